//! Each playbook that comes with the binary runs as a whole plan somewhere: on the real servers where Debian has them, else on a stand-in that keeps to the
//! recorded contract of the real one. Those of tools are here, those of databases in `playbooks_data.rs`; the list says where each is played.

use std::net::TcpListener;
use std::path::Path;
use std::process::Command;

use jurymast::model::PlanKind::{Failback, Failover};
use jurymast::plan::Playbooks;
use serde_json::json;

use crate::harness::api::kubernetes;
use crate::harness::play::{Front, Play};
use crate::harness::{Server, calls, free_port, skipped, stand_in, systemctl};

/// Which test plays it; those of `contract` have no real counterpart here.
const PLAYED: [(&str, &str, &str); 18] = [
    ("borg-restore", "real", "executors/executors_backup.rs"),
    ("broker-redirect", "real", "deploy/deploy_examples.rs"),
    ("exec-scripts", "real", "executors/playbooks.rs"),
    ("haproxy-switch", "real", "failover/failover_haproxy.rs"),
    ("haproxy-withdraw", "real", "deploy/deploy_examples.rs"),
    ("http-front-switch", "real", "deploy/demo.rs"),
    ("keepalived-switch", "real", "executors/managers.rs"),
    ("kubernetes-switch", "contract", "executors/playbooks.rs"),
    ("mariadb-haproxy", "real", "executors/playbooks_data.rs"),
    ("mqtt-role-switch", "real", "executors/playbooks.rs"),
    ("pacemaker-move", "real", "executors/managers.rs"),
    ("patroni-switchover", "real", "executors/playbooks_data.rs"),
    ("postgres-haproxy", "real", "deploy/deploy_examples.rs"),
    ("postgres-promote", "real", "failover/failover_postgres.rs"),
    ("redis-haproxy", "real", "executors/playbooks_data.rs"),
    ("redis-sentinel", "real", "executors/playbooks_data.rs"),
    ("restic-restore", "real", "deploy/deploy_examples.rs"),
    ("systemd-haproxy", "contract", "executors/playbooks.rs"),
];

#[test]
fn none_is_left_out() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("rules/playbooks");
    let mut files: Vec<String> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path().file_stem().unwrap().to_string_lossy().into_owned())
        .collect();
    files.sort();
    let builtin = Playbooks::builtin();
    for name in &files {
        assert!(builtin.get(name).is_ok(), "{name} does not come with the binary");
    }
    let played: Vec<&str> = PLAYED.iter().map(|(name, ..)| *name).collect();
    assert_eq!(files, played, "a playbook that no test plays as a whole");
    for (name, _, test) in PLAYED {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join("tests").join(test)).unwrap();
        // The examples and the demo name theirs in the files that they run.
        let elsewhere = ["deploy/deploy_examples.rs", "deploy/demo.rs"].contains(&test);
        assert!(elsewhere || text.contains(name), "{test} does not name {name}");
    }
}

fn entity(name: &str, attributes: &str) -> String {
    format!("{{name: {name}, kind: service, attributes: {{{attributes}}}}}")
}

/// Two places that only answer a knock.
fn listening() -> ([TcpListener; 2], [u16; 2]) {
    let both = [(); 2].map(|()| TcpListener::bind("127.0.0.1:0").unwrap());
    let ports = [0, 1].map(|at: usize| both[at].local_addr().unwrap().port());
    (both, ports)
}

#[tokio::test]
async fn scripts_of_ones_own() {
    let dir = tempfile::tempdir().unwrap();
    let (_both, [a, b]) = listening();
    let script = |name: &str| {
        let text = "case $1 in do) touch $state.$2;; undo) rm -f $state.$2;; observe) test -e $state.$2;; esac";
        stand_in(dir.path(), name, text)
    };
    let (fence, start, switch) = (script("fence"), script("start"), script("switch"));
    let service = format!(
        "{{name: app, active: a, standbys: [{{entity: b}}], playbook: exec-scripts, probe: {{uses: tcp}}, \
         vars: {{fence_script: '{fence}', start_script: '{start}', switch_script: '{switch}'}}}}"
    );
    let entities = [("a", a), ("b", b)].map(|(name, port)| entity(name, &format!("address: '127.0.0.1:{port}'")));
    let mut play = Play::new(dir.path(), &service, &entities);
    play.named = vec!["c".into()];
    play.play(Failover, "a", "b").await.all_done("b");
    // Whoever loses its power is looked at before anybody else gets it.
    assert_eq!(
        calls(dir.path()),
        ["do a", "observe a", "do c", "observe c", "do b", "do b"]
    );
    // A script that says no: what was done before is taken back, in turn.
    std::fs::write(&start, "#!/bin/sh\nexit 1\n").unwrap();
    let played = play.play(Failover, "b", "a").await;
    assert!(
        matches!(played.outcome, jurymast::model::plan::Outcome::Compensated { .. })
            || matches!(played.outcome, jurymast::model::plan::Outcome::HandedOver { .. }),
        "{played:#?}"
    );
}

#[tokio::test]
async fn roles_told_by_a_real_broker() {
    if skipped("playbook mqtt-role-switch", &["mosquitto", "mosquitto_sub"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let port = free_port();
    let _broker = Server::mosquitto(dir.path(), port, "allow_anonymous true");
    let (_both, [a, b]) = listening();
    let service = format!(
        "{{name: app, active: a, standbys: [{{entity: b}}], playbook: mqtt-role-switch, probe: {{uses: tcp}}, \
         vars: {{broker: 'mqtt://127.0.0.1:{port}', role_topic: plant/role}}}}"
    );
    let entities = [("a", a), ("b", b)].map(|(name, port)| entity(name, &format!("address: '127.0.0.1:{port}'")));
    let mut play = Play::new(dir.path(), &service, &entities);
    play.play(Failover, "a", "b").await.all_done("b");
    let retained = |topic: &str| {
        let port = port.to_string();
        let ran = Command::new("mosquitto_sub")
            .args(["-p", &port, "-t", topic, "-C", "1", "-W", "5"])
            .output()
            .unwrap();
        serde_json::from_slice::<serde_json::Value>(&ran.stdout).unwrap()
    };
    assert_eq!(
        retained("plant/role/a"),
        json!({"role": "standby", "epoch": 1, "seq": 1})
    );
    assert_eq!(
        retained("plant/role/b"),
        json!({"role": "active", "epoch": 1, "seq": 1})
    );
    assert_eq!(retained("plant/role"), json!({"active": "b", "epoch": 1, "seq": 1}));
}

/// Recorded contract: there is no systemd to command in a container.
#[tokio::test]
async fn units_on_two_hosts_behind_a_real_front() {
    if skipped("playbook systemd-haproxy", &["haproxy"]) {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (_both, [a, b]) = listening();
    let front = Front::start(dir.path(), a, b);
    let program = systemctl(dir.path());
    let service = format!(
        "{{name: app, active: a, standbys: [{{entity: b, class: cold}}], playbook: systemd-haproxy, probe: {{uses: tcp}}, \
         vars: {{socket: '{}', backend: be, unit: app.service, systemctl: '{program}'}}}}",
        front.socket
    );
    let entities = [("a", a), ("b", b)].map(|(name, port)| entity(name, &format!("address: '127.0.0.1:{port}'")));
    let mut play = Play::new(dir.path(), &service, &entities);
    play.play(Failover, "a", "b").await.all_done("b");
    let told = calls(dir.path());
    let order: Vec<&String> = told
        .iter()
        .filter(|call| !call.starts_with("show") && !call.starts_with("is-active"))
        .collect();
    assert_eq!(
        order,
        [
            "mask --runtime --now app.service",
            "unmask --runtime app.service",
            "start app.service"
        ],
        "stopped for good before the other one starts"
    );
    play.play(Failback, "b", "a").await.all_done("a");
}

/// Recorded contract: an API server with the objects of two workloads and a Service.
#[tokio::test]
async fn workloads_behind_a_selector() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("token"), "t").unwrap();
    let workload = |name: &str, replicas: u8| {
        json!({"metadata": {"name": name, "resourceVersion": "7", "generation": 1}, "spec": {"replicas": replicas},
               "status": {"observedGeneration": 1, "replicas": replicas, "readyReplicas": replicas}})
    };
    let api = kubernetes(&[
        ("/apis/apps/v1/namespaces/plant/deployments/a", workload("a", 1)),
        ("/apis/apps/v1/namespaces/plant/deployments/b", workload("b", 0)),
        (
            "/api/v1/namespaces/plant/services/app",
            json!({"metadata": {"name": "app", "resourceVersion": "3"}, "spec": {"selector": {"app.kubernetes.io/instance": "a"}}}),
        ),
    ]);
    let (_both, [a, b]) = listening();
    let service = format!(
        "{{name: app, active: a, standbys: [{{entity: b, class: cold}}], playbook: kubernetes-switch, probe: {{uses: tcp}}, \
         vars: {{kubernetes: '{}', kubernetes_token_file: '{}', kubernetes_ca_file: '', namespace: plant, service_name: app}}}}",
        api.url,
        dir.path().join("token").display()
    );
    let entities = [("a", a), ("b", b)].map(|(name, port)| entity(name, &format!("address: '127.0.0.1:{port}'")));
    let mut play = Play::new(dir.path(), &service, &entities);
    play.play(Failover, "a", "b").await.all_done("b");
    let patches: Vec<String> = api
        .asked("PATCH")
        .iter()
        .map(|(path, _)| path.rsplit('/').next().unwrap().to_owned())
        .collect();
    assert_eq!(
        patches,
        ["a", "b", "app"],
        "down to nothing, up, and only then selected"
    );
    let selector = &api.asked("PATCH")[2].1["spec"]["selector"];
    assert_eq!(selector["app.kubernetes.io/instance"], "b");
}
