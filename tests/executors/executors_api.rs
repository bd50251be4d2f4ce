//! Executors of HTTP interfaces. Kubernetes, Nomad and Velero cannot run here: recorded contracts, a stand-in that holds objects as the real API server
//! does (resourceVersion, merge patch, 409) and writes down how it was asked. Patroni is the real one, on real `PostgreSQL` servers, beside a real etcd.

use std::time::Duration;

use jurymast::act::runner::{Applied, Effect};
use serde_json::{Value, json};

use crate::harness::api::{Api, kubernetes};
use crate::harness::deed::Deeds;
use crate::harness::patroni::{self, Patroni};
use crate::harness::{free_port, get, wait};

#[tokio::test]
async fn kubernetes_keeps_the_token_in_the_object_that_is_changed() {
    let dir = tempfile::tempdir().unwrap();
    let deeds = Deeds::new(dir.path());
    let meta = json!({"resourceVersion": "7", "generation": 7});
    let status = json!({"observedGeneration": 7, "replicas": 1, "readyReplicas": 1});
    let api = kubernetes(&[("", json!({"metadata": meta, "spec": {"replicas": 1}, "status": status}))]);
    let scale = |replicas: &str| json!({"do": "scale", "api": {"url": api.url}, "namespace": "plant", "kind": "statefulset", "name": "ingest-a", "replicas": replicas});
    deeds.done("kubernetes", &scale("0"), (3, 1)).await;
    let (path, patch) = api.asked("PATCH").remove(0);
    assert_eq!(path, "/apis/apps/v1/namespaces/plant/statefulsets/ingest-a");
    let expected = json!({"metadata": {"resourceVersion": "7", "annotations": {"jurymast.io/token": "3.1"}}, "spec": {"replicas": 0}});
    assert_eq!(patch, expected);
    deeds.refused("kubernetes", &scale("1"), (2, 9), "3.1").await;
    assert_eq!(deeds.stands("kubernetes", &scale("0")).await, Effect::There);
    deeds.done("kubernetes", &scale("1"), (3, 2)).await;
    assert_eq!(deeds.stands("kubernetes", &scale("0")).await, Effect::NotThere);

    let api = kubernetes(&[(
        "",
        json!({"metadata": meta, "spec": {"selector": {"app": "ingest", "instance": "a"}}}),
    )]);
    let select = json!({"do": "select", "api": {"url": api.url}, "name": "ingest", "selector": {"instance": "b"}});
    deeds.done("kubernetes", &select, (3, 1)).await;
    assert_eq!(deeds.stands("kubernetes", &select).await, Effect::There);
    let other = json!({"do": "select", "api": {"url": api.url}, "name": "ingest", "selector": {"instance": "a"}});
    assert_eq!(deeds.stands("kubernetes", &other).await, Effect::NotThere);
    assert_eq!(api.asked("PATCH")[0].0, "/api/v1/namespaces/default/services/ingest");

    let api = kubernetes(&[("", json!({"metadata": meta, "spec": {}}))]);
    for verb in ["cordon", "uncordon"] {
        deeds
            .done(
                "kubernetes",
                &json!({"do": verb, "api": {"url": api.url}, "name": "node-1"}),
                (3, 1),
            )
            .await;
    }
    assert_eq!(api.asked("PATCH")[0].0, "/api/v1/nodes/node-1");
}

#[tokio::test]
async fn whom_another_one_overtakes_kubernetes_refuses() {
    let dir = tempfile::tempdir().unwrap();
    // The object changes between every look and the next word.
    let mut version = 0;
    let api = Api::start(move |method, _, body| {
        version += 1;
        match method {
            "GET" => (
                200,
                json!({"metadata": {"resourceVersion": version.to_string()}, "spec": {"unschedulable": false}}),
            ),
            _ if body["metadata"]["resourceVersion"] != json!(version.to_string()) => {
                (409, json!({"reason": "Conflict"}))
            }
            _ => (200, Value::Null),
        }
    });
    let cordon = json!({"do": "cordon", "api": {"url": api.url}, "name": "node-1"});
    Deeds::new(dir.path())
        .refused("kubernetes", &cordon, (3, 1), "409")
        .await;
}

#[tokio::test]
async fn nomad_is_told_and_looked_at() {
    let dir = tempfile::tempdir().unwrap();
    let (mut count, mut eligible) = (1, true);
    let api = Api::start(move |method, path, body| match (method, path) {
        ("POST", "/v1/job/ingest/scale") => {
            count = body["Count"].as_u64().unwrap();
            (200, json!({"EvalID": "x"}))
        }
        ("GET", "/v1/job/ingest/scale") => (200, json!({"TaskGroups": {"a": {"Desired": count, "Running": count}}})),
        ("POST", "/v1/node/n1/drain") => {
            eligible = body["DrainSpec"].is_null();
            (200, json!({}))
        }
        ("GET", "/v1/node/n1") => (
            200,
            json!({"SchedulingEligibility": if eligible { "eligible" } else { "ineligible" }}),
        ),
        _ => (404, Value::Null),
    });
    let deeds = Deeds::new(dir.path());
    deeds
        .done(
            "nomad",
            &json!({"do": "scale", "api": {"url": api.url}, "job": "ingest", "group": "a", "count": "0"}),
            (3, 1),
        )
        .await;
    assert_eq!(api.asked("POST")[0].1["Meta"]["jurymast_token"], "3.1");
    for verb in ["drain", "undrain"] {
        deeds
            .done(
                "nomad",
                &json!({"do": verb, "api": {"url": api.url}, "node": "n1"}),
                (3, 1),
            )
            .await;
    }
}

#[tokio::test]
async fn velero_restores_once_and_its_completed_is_not_believed_with_errors() {
    let dir = tempfile::tempdir().unwrap();
    let mut made: Option<Value> = None;
    let mut looks = 0;
    let api = Api::start(move |method, path, body| match (method, path) {
        ("GET", "/apis/velero.io/v1/namespaces/velero/backups/b1") => (200, json!({"status": {"phase": "Completed"}})),
        ("GET", "/apis/velero.io/v1/namespaces/velero/backups/torn") => {
            (200, json!({"status": {"phase": "PartiallyFailed", "errors": 2}}))
        }
        ("POST", "/apis/velero.io/v1/namespaces/velero/restores") => {
            if made.is_some() {
                return (409, json!({"reason": "AlreadyExists"}));
            }
            made = Some(body.clone());
            (201, body.clone())
        }
        ("GET", _) if path.starts_with("/apis/velero.io/v1/namespaces/velero/restores/") => match &made {
            Some(restore) if path.ends_with(restore["metadata"]["name"].as_str().unwrap()) => {
                looks += 1;
                (
                    200,
                    json!({"status": {"phase": if looks > 1 { "Completed" } else { "InProgress" }}}),
                )
            }
            _ => (404, json!({"reason": "NotFound"})),
        },
        _ => (404, Value::Null),
    });
    let deeds = Deeds::new(dir.path());
    let restore = |backup: &str| json!({"api": {"url": api.url}, "backup": backup});
    deeds.refused("velero", &restore("torn"), (3, 1), "has errors").await;
    deeds.done("velero", &restore("b1"), (3, 1)).await;
    let (_, body) = api.asked("POST").remove(0);
    assert_eq!(body["spec"]["backupName"], "b1");
    assert_eq!(body["metadata"]["annotations"]["jurymast.io/token"], "3.1");

    let lying = Api::start(|method, path, _| match method {
        "POST" => (201, Value::Null),
        _ if path.contains("/backups/") => (200, json!({"status": {"phase": "Completed"}})),
        _ => (200, json!({"status": {"phase": "Completed", "errors": 1}})),
    });
    let restore = json!({"api": {"url": lying.url}, "backup": "b1"});
    deeds.refused("velero", &restore, (3, 1), "1 errors").await;
    assert_eq!(deeds.look("velero", &restore, (3, 1)).await, Effect::NotThere);
}

#[tokio::test]
async fn an_interface_that_is_ill_leaves_it_open_and_one_that_refuses_does_not() {
    let dir = tempfile::tempdir().unwrap();
    let mut deeds = Deeds::new(dir.path());
    deeds.timeout = Duration::from_secs(2);
    for (status, open) in [(500, true), (403, false)] {
        let api = Api::start(move |_, _, _| (status, json!({"message": "no"})));
        let order = json!({"do": "scale", "api": {"url": api.url}, "job": "ingest", "group": "a", "count": "0"});
        let applied = deeds.apply("nomad", &order, (3, 1)).await;
        assert_eq!(matches!(applied, Applied::Unknown(_)), open, "{status}: {applied:?}");
        assert_eq!(deeds.look("nomad", &order, (3, 1)).await, Effect::Unknown);
    }
}

#[tokio::test]
async fn patroni_is_asked_to_switch_and_never_gone_round() {
    if patroni::skipped("Patroni beside etcd") {
        return;
    }
    let patroni = Patroni::start();
    let mut deeds = Deeds::new(patroni.dir.path());
    deeds.timeout = Duration::from_secs(60);
    let promote = json!({"do": "promote", "dsn": format!("host=127.0.0.1 port={} user=postgres dbname=postgres", patroni.sql[1])});
    deeds.refused("postgres", &promote, (3, 1), "manages it").await;
    // One that does not answer stands before those that do.
    let members = format!(
        "http://127.0.0.1:{},http://127.0.0.1:{},http://127.0.0.1:{}",
        free_port(),
        patroni.rest[0],
        patroni.rest[1]
    );
    let begin = std::time::Instant::now();
    deeds
        .done("patroni", &json!({"members": members, "to": "b"}), (3, 1))
        .await;
    println!("Patroni: switched after {} ms", begin.elapsed().as_millis());
    patroni.wait_for(
        "the old leader follows",
        &[("a", "replica", "running"), ("b", "leader", "running")],
    );
    let nobody = json!({"members": members, "to": "nobody"});
    deeds.refused("patroni", &nobody, (3, 2), "412").await;
    assert_eq!(deeds.look("patroni", &nobody, (3, 2)).await, Effect::NotThere);
    // Paused by a person: it is for that person to go on.
    let home = json!({"members": members, "to": "a"});
    let says = |word: &'static str| {
        wait(word, || {
            get(patroni.rest[1], "/cluster").is_some_and(|text| text.contains(word))
        });
    };
    patroni.tell("PATCH", 1, "/config", r#"{"pause": true}"#);
    says("\"pause\": true");
    deeds.refused("patroni", &home, (3, 3), "paused: resume it").await;
    patroni.tell("PATCH", 1, "/config", r#"{"pause": null}"#);
    wait("it goes on", || {
        get(patroni.rest[1], "/cluster").is_some_and(|text| !text.contains("\"pause\""))
    });
    // A member that shall never lead.
    let file = patroni.dir.path().join("a.yml");
    let text = std::fs::read_to_string(&file).unwrap() + "tags: {nofailover: true}\n";
    std::fs::write(&file, text).unwrap();
    patroni.tell("POST", 0, "/reload", "");
    says("nofailover");
    deeds.refused("patroni", &home, (3, 4), "412").await;
    assert_eq!(deeds.look("patroni", &home, (3, 4)).await, Effect::NotThere);
    patroni.wait_for(
        "all is as it was",
        &[("a", "replica", "running"), ("b", "leader", "running")],
    );
}
