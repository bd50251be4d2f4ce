//! Several agents that agree through Leases of Kubernetes. There is no Kubernetes in Debian: a contract server that is honest about optimistic
//! concurrency stands in for it (tests/harness/kubernetes.rs).

use std::process::Command;
use std::sync::atomic::Ordering;
use std::time::Duration;

use jurymast::coordinate::News;

use crate::harness::agents::{self, Agent, WHOLE, World};
use crate::harness::contract::{self, member, taken, until};
use crate::harness::kubernetes::ApiServer;
use crate::harness::wait;

struct Cluster {
    dir: tempfile::TempDir,
    api: ApiServer,
}

impl Cluster {
    fn start() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::write(dir.path().join("sa-token"), "first\n").unwrap();
        Self {
            dir,
            api: ApiServer::start("first"),
        }
    }

    fn settings(&self) -> String {
        self.api.settings(&self.dir.path().join("sa-token"))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_leader_writes_nothing_and_epochs_only_grow() {
    let cluster = Cluster::start();
    contract::a_stale_leader_writes_nothing_and_epochs_only_grow(&cluster.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_cut_the_services_differently_never_lead_side_by_side() {
    let cluster = Cluster::start();
    contract::agents_that_cut_the_services_differently_never_lead_side_by_side(&cluster.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_its_config_anew_takes_no_lead_from_whoever_has_it_now() {
    let cluster = Cluster::start();
    contract::whoever_reads_its_config_anew_takes_no_lead_from_whoever_has_it_now(&cluster.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_left_before_it_is_given_back_and_not_sought_again() {
    let cluster = Cluster::start();
    contract::a_lead_is_left_before_it_is_given_back_and_not_sought_again(&cluster.settings()).await;
}

/// An answer that got lost: the write was carried out, and is not carried out again. A note that somebody else adds is no loss of the lease.
#[tokio::test(flavor = "multi_thread")]
async fn a_lost_answer_and_a_strangers_note_change_nothing() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().unwrap();
    let mut first = member(&cluster.settings(), dir.path(), "one", "x", 0);
    until(&mut first, "the lead", |news| taken(news).is_some()).await;
    let (store, service) = (first.store(), "x".into());
    cluster.api.lose_answers(1);
    let lost = store
        .put(&service, "p 0", Some((0, b"intent")), None)
        .await
        .unwrap_err();
    assert!(lost.to_string().contains("does not answer"), "{lost}");
    store.put(&service, "p 0", Some((0, b"intent")), None).await.unwrap();
    cluster.api.annotate_all();
    store
        .put(&service, "p 1", Some((1, b"done")), Some(b"state"))
        .await
        .unwrap();
    first.beat().await;
    let before = cluster.api.leases();
    assert!(
        before
            .values()
            .all(|lease| lease["metadata"]["annotations"]["example.org/note"] == "seen")
    );
    // The Lease itself is deleted: what was led is lost, and epochs go on above.
    cluster.api.forget();
    until(&mut first, "its loss", |news| matches!(news, News::Lost { .. })).await;
    let refused = store.put(&service, "p 2", Some((2, b"stale")), None).await.unwrap_err();
    assert!(refused.to_string().contains("no longer held"), "{refused}");
    first.resign().await;
}

/// What is told goes to everybody, and once.
#[tokio::test(flavor = "multi_thread")]
async fn words_and_sights_reach_the_others() {
    let cluster = Cluster::start();
    let dir = tempfile::tempdir().unwrap();
    let mut first = member(&cluster.settings(), dir.path(), "one", "x", 0);
    let mut second = member(&cluster.settings(), dir.path(), "two", "x", 0);
    until(&mut first, "the lead", |news| taken(news).is_some()).await;
    second.beat().await;
    first.store().tell("word/hold", b"{\"on\":true}", false).await.unwrap();
    first.store().tell("sight/one", b"[1]", true).await.unwrap();
    first.beat().await;
    let mut heard = Vec::new();
    for _ in 0..5 {
        for news in second.beat().await {
            if let News::Changed { pairs, .. } = news {
                heard.extend(pairs);
            }
        }
    }
    let pair = |name: &str, value: &str| (name.to_owned(), value.as_bytes().to_vec());
    assert_eq!(heard, [pair("sight/one", "[1]"), pair("word/hold", "{\"on\":true}")]);
    // A token that was changed is read anew.
    std::fs::write(cluster.dir.path().join("sa-token"), "second\n").unwrap();
    let news = second.beat().await;
    let refused = |news: &News| matches!(news, News::Trouble(Some(why)) if why.contains("401") && why.contains("deploy/kubernetes"));
    assert!(news.iter().any(refused), "{news:?}");
    cluster.api.rotate("second");
    until(&mut second, "it goes on", |news| matches!(news, News::Trouble(None))).await;
}

#[test]
fn an_owner_that_stood_still_in_mid_plan_finds_that_another_has_gone_on_and_does_nothing() {
    let cluster = Cluster::start();
    agents::an_owner_that_stood_still_does_nothing(&cluster.settings());
}

#[test]
fn a_leader_that_is_cut_off_from_what_it_watches_lets_another_one_lead() {
    let cluster = Cluster::start();
    agents::a_leader_that_is_cut_off_from_what_it_watches_lets_another_one_lead(&cluster.settings());
}

#[test]
fn two_vantage_points_are_asked_for_and_without_the_api_server_nobody_acts() {
    let cluster = Cluster::start();
    let world = World::new(&cluster.settings(), 2);
    let agents = [world.agent("one"), world.agent("two")];
    wait("one leads", || agents.iter().any(Agent::leads));
    cluster.api.is_down(true);
    // Longer than the lease.
    std::thread::sleep(Duration::from_secs(3));
    world.ill[0].store(true, Ordering::SeqCst);
    wait("both hold", || agents.iter().all(|agent| agent.gate() == "lease"));
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(world.effects(), [""; 0]);
    cluster.api.is_down(false);
    wait("it is moved", || world.effects() == WHOLE);
    wait("both know", || agents.iter().all(|agent| agent.active() == "b"));
}

#[test]
fn a_check_of_the_config_asks_whether_leases_may_be_written() {
    let cluster = Cluster::start();
    let config = cluster.dir.path().join("jurymast.yml");
    std::fs::write(&config, format!("coordinate: {{{}}}\n", cluster.settings())).unwrap();
    let check = || {
        let output = Command::new(env!("CARGO_BIN_EXE_jurymast"))
            .args(["check", "config", "--online"])
            .arg(&config)
            .output()
            .unwrap();
        (output.status.code().unwrap(), String::from_utf8(output.stdout).unwrap())
    };
    let (code, text) = check();
    assert!(
        code == 0 && text.contains("kubernetes leases: 0 leases of test, and one may be written"),
        "{text}"
    );
    assert!(cluster.api.leases().is_empty());
    cluster.api.rotate("other");
    let (code, text) = check();
    assert!(code == 1 && text.contains("leases.coordination.k8s.io"), "{text}");
}

/// The manifest: its config is right, and its role allows what is asked of the API server and no more.
#[test]
fn the_manifest_of_several_agents_holds_a_config_that_is_right_and_the_role_that_it_takes() {
    let path = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/kubernetes/several.yml");
    let text = std::fs::read_to_string(path).unwrap();
    let documents: Vec<serde_json::Value> = text
        .split("\n---\n")
        .map(|document| serde_saphyr::from_str(document).unwrap())
        .collect();
    let of = |kind: &str| documents.iter().find(|document| document["kind"] == kind).unwrap();
    let dir = tempfile::tempdir().unwrap();
    // Outside of a pod address and namespace must be said, and the token lies elsewhere.
    let config = of("ConfigMap")["data"]["jurymast.yml"].as_str().unwrap();
    let config = config
        .replace(
            "{prefix: jurymast,",
            "{url: 'https://kubernetes', namespace: plant, prefix: jurymast,",
        )
        .replace("/run/secrets/jurymast/token", "token");
    std::fs::write(dir.path().join("jurymast.yml"), config).unwrap();
    std::fs::write(dir.path().join("token"), "s3cret\n").unwrap();
    let checked = Command::new(env!("CARGO_BIN_EXE_jurymast"))
        .args(["check", "config"])
        .current_dir(dir.path())
        .env("POD_NAME", "jurymast-0")
        .output()
        .unwrap();
    assert!(checked.status.success(), "{}", String::from_utf8_lossy(&checked.stdout));
    let rules = of("Role")["rules"].as_array().unwrap();
    assert_eq!(rules.len(), 1);
    assert_eq!(
        rules[0]["verbs"],
        serde_json::json!(["get", "list", "create", "update"])
    );
    assert_eq!(rules[0]["resources"], serde_json::json!(["leases"]));
}
