//! Managers that own a service, as real clusters of two machines in namespaces: Corosync with Pacemaker, and keepalived. They are asked, followed by what the
//! machines themselves show, and what they refuse is never "done".

use std::time::Duration;

use jurymast::act::runner::{Applied, Effect};
use jurymast::model::PlanKind::{Failback, Failover};
use jurymast::model::plan::Outcome;
use serde_json::{Value, json};

use crate::harness::deed::Deeds;
use crate::harness::nodes::{ADDRESS, Nodes, apart, keepalived, pacemaker, served};
use crate::harness::play::Play;
use crate::harness::{calls, systemctl, wait};

const PACEMAKER: [&str; 7] = [
    "corosync",
    "pacemakerd",
    "crm_resource",
    "crm_mon",
    "crm_attribute",
    "corosync-cfgtool",
    // Of the package with the agents.
    "ocf-tester",
];

/// Two nodes keep their quorum when one of them is gone.
const TWO: &str = "two_node: 1\n wait_for_all: 0";

/// A service at the address that moves: whoever holds it says its name.
fn play(playbook: &str, vars: &str, attributes: fn(&str) -> String) -> Play {
    let service = format!(
        "{{name: app, active: a, standbys: [{{entity: b}}], single_writer: true, playbook: {playbook}, vars: {{{vars}}}, \
         probe: {{uses: http, with: {{url: 'http://{ADDRESS}/', contains: '{{name}}'}}}}}}"
    );
    let entities = ["a", "b"].map(|name| {
        let more = attributes(name);
        format!("{{name: {name}, kind: service, attributes: {{{more}}}}}")
    });
    Play::new(&std::env::temp_dir(), &service, &entities)
}

/// Node `b` is asked.
fn of_pacemaker() -> Play {
    play("pacemaker-move", "resource: vip, cluster_ssh: 'root@b'", |_| {
        String::new()
    })
}

fn of_keepalived() -> Play {
    let vars = format!("address: {ADDRESS}, weight_file: /run/weight");
    play("keepalived-switch", &vars, |name| format!("ssh: 'root@{name}'"))
}

/// Of the executor that asks Pacemaker at `b`.
fn order(verb: &str, resource: &str, to: &str) -> Value {
    json!({"do": verb, "resource": resource, "to": to, "at": {"ssh": "root@b"}})
}

fn is_at(nodes: &Nodes, node: &str) -> bool {
    let other = if node == "a" { "b" } else { "a" };
    nodes.holds(node) && !nodes.holds(other) && served(ADDRESS).as_deref() == Some(node)
}

/// The wishes of the configuration that somebody has left.
fn wishes(nodes: &Nodes) -> Vec<String> {
    let said = nodes.says("b", &["cibadmin", "--query", "--scope", "constraints"]);
    let ids = said.split("id=\"").skip(1).filter_map(|rest| rest.split_once('"'));
    ids.map(|(id, _)| id.to_owned())
        .filter(|id| id.starts_with("cli-"))
        .collect()
}

#[tokio::test]
async fn pacemaker_moves_its_resource_and_is_left_alone_again() {
    if !apart(
        "managers::pacemaker_moves_its_resource_and_is_left_alone_again",
        &PACEMAKER,
    ) {
        return;
    }
    let mut nodes = pacemaker(TWO);
    let mut play = of_pacemaker();
    play.play(Failback, "a", "b").await.all_done("b");
    assert!(
        is_at(&nodes, "b"),
        "it runs there although Pacemaker likes the other one better"
    );
    assert_eq!(wishes(&nodes), Vec::<String>::new());
    play.play(Failback, "b", "a").await.all_done("a");
    assert!(is_at(&nodes, "a"));
    // A group, and the promoted one of a clone; a clone of which all serve has no other place.
    let deeds = Deeds::new(&std::env::temp_dir());
    for resource in ["pair", "db"] {
        let begins = deeds.look("pacemaker", &order("move", resource, "a"), (1, 1)).await;
        let to = if begins == Effect::There { "b" } else { "a" };
        deeds.done("pacemaker", &order("move", resource, to), (1, 1)).await;
        assert_eq!(wishes(&nodes), [format!("cli-prefer-{resource}")]);
        let clear = order("clear", resource, to);
        assert_eq!(deeds.apply("pacemaker", &clear, (1, 1)).await, Applied::Done);
        assert_eq!(deeds.look("pacemaker", &clear, (1, 1)).await, Effect::There);
        assert_eq!(wishes(&nodes), Vec::<String>::new());
    }
    deeds
        .refused("pacemaker", &order("move", "all", "b"), (1, 1), "of a clone only")
        .await;
    // The machine dies: Pacemaker moves by itself, and to be asked for what it is about to do does not disturb it.
    nodes.kill("a");
    play.play(Failover, "a", "b").await.all_done("b");
    assert!(nodes.holds("b") && served(ADDRESS).as_deref() == Some("b"));
    assert_eq!(wishes(&nodes), Vec::<String>::new());
}

#[tokio::test]
async fn what_pacemaker_does_not_follow_is_refused_and_leaves_no_wish() {
    if !apart(
        "managers::what_pacemaker_does_not_follow_is_refused_and_leaves_no_wish",
        &PACEMAKER,
    ) {
        return;
    }
    let mut nodes = pacemaker(TWO);
    let set = |words: &str| nodes.says("b", &words.split(' ').collect::<Vec<_>>());
    let seen = |what: &str, word: &str| {
        wait(what, || {
            nodes.says("b", &["crm_mon", "-1", "--output-as=xml"]).contains(word)
        });
    };
    // As a whole plan: a person is told what to do, and when the standby ends nothing jumps.
    set("crm_attribute --node b --name standby --update on");
    seen("b is in standby", "standby=\"true\"");
    let mut play = of_pacemaker();
    let played = play.play(Failover, "a", "b").await;
    assert!(
        matches!(&played.outcome, Outcome::HandedOver { reason } if reason.contains("b is in standby: end it by `crm_attribute")),
        "{played:#?}"
    );
    assert_eq!(played.done, Vec::<String>::new());
    set("crm_attribute --node b --name standby --delete");
    let mut deeds = Deeds::new(&std::env::temp_dir());
    deeds.timeout = Duration::from_secs(6);
    let refused = async |word: &str| {
        deeds
            .refused("pacemaker", &order("move", "vip", "b"), (1, 1), word)
            .await;
        assert!(is_at(&nodes, "a"), "{word}");
        assert_eq!(
            deeds.look("pacemaker", &order("move", "vip", "b"), (1, 1)).await,
            Effect::NotThere
        );
    };
    set("crm_resource --resource vip --meta --set-parameter is-managed --parameter-value false");
    seen("vip is unmanaged", " managed=\"false\"");
    refused("unmanaged").await;
    set("crm_resource --resource vip --meta --delete-parameter is-managed");
    set("crm_attribute --name maintenance-mode --update true");
    seen("it is in maintenance", "maintenance-mode=\"true\"");
    refused("maintenance-mode").await;
    set("crm_attribute --name maintenance-mode --delete");
    deeds
        .refused("pacemaker", &order("move", "vip", "c"), (1, 1), "no node 'c'")
        .await;
    deeds
        .refused("pacemaker", &order("move", "web", "b"), (1, 1), "no resource 'web'")
        .await;
    assert_eq!(wishes(&nodes), Vec::<String>::new());
    // What a person has banned stays so.
    set("crm_resource --resource vip --ban --node b");
    seen("it is banned", "cli-ban-vip-on-b");
    refused("somebody has banned vip from b").await;
    assert_eq!(wishes(&nodes), ["cli-ban-vip-on-b"]);
    set("crm_resource --resource vip --clear --node b");
    // Nothing tells beforehand that it has failed there too often: asked, not followed, taken back.
    let failures = ["--lifetime", "reboot", "--name", "fail-count-vip#start_0"];
    let count = |last: &[&str]| {
        nodes.says(
            "b",
            &[&["crm_attribute", "--node", "b"], failures.as_slice(), last].concat(),
        )
    };
    count(&["--update", "INFINITY"]);
    refused("It runs at a still, and the wish is taken back").await;
    assert_eq!(wishes(&nodes), Vec::<String>::new());
    count(&["--delete"]);
    // One that goes home as soon as it may is not left behind as moved.
    set("crm_resource --resource vip --meta --delete-parameter resource-stickiness");
    wait("it is moved", || {
        // The failures of a moment ago are forgotten in a moment.
        let _ = nodes.run("b", &["crm_resource", "--resource", "vip", "--move", "--node", "b"]);
        is_at(&nodes, "b")
    });
    let cleared = deeds.apply("pacemaker", &order("clear", "vip", "b"), (1, 1)).await;
    assert!(
        matches!(&cleared, Applied::NoEffect(why) if why.contains("does not stay at b, it runs at a") && why.contains("resource-stickiness")),
        "{cleared:?}"
    );
    // What it manages is not gone round.
    let unit = "<primitive id=\"app\" class=\"systemd\" type=\"app\"><meta_attributes id=\"am\"><nvpair id=\"am1\" name=\"is-managed\" value=\"false\"/></meta_attributes></primitive>";
    nodes.says(
        "b",
        &["cibadmin", "--create", "--scope", "resources", "--xml-text", unit],
    );
    let program = systemctl(&std::env::temp_dir());
    let systemd =
        |verb: &str, unit: &str| json!({"do": verb, "unit": unit, "program": program, "at": {"ssh": "root@a"}});
    for verb in ["start", "stop", "fence", "release"] {
        deeds
            .refused(
                "systemd",
                &systemd(verb, "app.service"),
                (1, 1),
                "playbook pacemaker-move",
            )
            .await;
    }
    assert_eq!(calls(&std::env::temp_dir()), Vec::<String>::new());
    deeds.done("systemd", &systemd("stop", "apps.service"), (1, 1)).await;
    // Nobody to ask.
    nodes.kill("b");
    deeds
        .refused(
            "pacemaker",
            &order("move", "vip", "b"),
            (1, 1),
            "does not answer at root@b",
        )
        .await;
    let mut asked_at_a = order("move", "vip", "b");
    asked_at_a["at"]["ssh"] = json!("root@a");
    wait("a has noticed", || {
        nodes
            .says("a", &["crm_mon", "-1", "--output-as=xml"])
            .contains("name=\"b\" id=\"2\" online=\"false\"")
    });
    deeds
        .refused("pacemaker", &asked_at_a, (1, 1), "b is offline in the cluster")
        .await;
    assert!(nodes.holds("a"));
}

#[tokio::test]
async fn pacemaker_without_a_quorum_is_asked_for_nothing() {
    if !apart("managers::pacemaker_without_a_quorum_is_asked_for_nothing", &PACEMAKER) {
        return;
    }
    let mut nodes = pacemaker("expected_votes: 2");
    nodes.kill("a");
    wait("the quorum is lost", || {
        nodes
            .says("b", &["crm_mon", "-1", "--output-as=xml"])
            .contains("with_quorum=\"false\"")
    });
    let mut deeds = Deeds::new(&std::env::temp_dir());
    deeds.timeout = Duration::from_secs(4);
    let order = order("move", "vip", "b");
    deeds.refused("pacemaker", &order, (1, 1), "has no quorum").await;
    wait("it stops what it may not run", || !nodes.holds("b"));
    assert_eq!(wishes(&nodes), Vec::<String>::new());
    // Its own programs are there, but nothing that they could talk to.
    nodes.run("b", &["sh", "-c", "kill -9 $(cat /run/corosync.pid)"]);
    wait("Pacemaker has ended", || {
        !nodes
            .says("b", &["crm_mon", "-1", "--output-as=xml"])
            .contains("<current_dc")
    });
    deeds
        .refused("pacemaker", &order, (1, 1), "does not answer at root@b")
        .await;
}

#[tokio::test]
async fn keepalived_moves_its_address_and_stands_by_on_the_other_side() {
    if !apart(
        "managers::keepalived_moves_its_address_and_stands_by_on_the_other_side",
        &["keepalived"],
    ) {
        return;
    }
    let mut nodes = keepalived();
    let mut play = of_keepalived();
    play.play(Failback, "a", "b").await.all_done("b");
    assert!(is_at(&nodes, "b"));
    // There and back: whoever gave it up once is elected again.
    play.play(Failback, "b", "a").await.all_done("a");
    assert!(is_at(&nodes, "a"));
    // Whoever gave it up is still in the election: the new one dies, and nobody has to be asked.
    nodes.kill("a");
    wait("keepalived moves by itself", || nodes.holds("b"));
    play.play(Failover, "a", "b").await.all_done("b");
    assert!(nodes.holds("b") && served(ADDRESS).as_deref() == Some("b"));
}

#[tokio::test]
async fn an_address_that_keepalived_does_not_move_stays_where_it_is() {
    if !apart(
        "managers::an_address_that_keepalived_does_not_move_stays_where_it_is",
        &["keepalived"],
    ) {
        return;
    }
    let mut nodes = keepalived();
    let mut deeds = Deeds::new(&std::env::temp_dir());
    deeds.timeout = Duration::from_secs(4);
    let order = |verb: &str, file: &str, node: &str| json!({"do": verb, "file": file, "address": ADDRESS, "at": {"ssh": format!("root@{node}")}});
    // A file that nobody tracks is written in vain, and no written file is taken for its effect.
    let vain = deeds
        .apply("keepalived", &order("give_up", "/run/other", "a"), (1, 1))
        .await;
    assert!(
        matches!(&vain, Applied::Unknown(why) if why.contains("does not leave root@a") && why.contains("track /run/other")),
        "{vain:?}"
    );
    deeds
        .refused(
            "keepalived",
            &order("take", "/run/other", "b"),
            (1, 1),
            "does not come to root@b",
        )
        .await;
    deeds
        .refused(
            "keepalived",
            &order("ready", "/nowhere/weight", "b"),
            (1, 1),
            "/nowhere/weight",
        )
        .await;
    assert!(is_at(&nodes, "a"));
    // Asked while nobody else can have it: the address stays, and the plan is taken back.
    nodes.says("b", &["sh", "-c", "kill $(cat /run/keepalived.pid)"]);
    wait("keepalived has ended at b", || {
        !nodes.run("b", &["pidof", "keepalived"]).status.success()
    });
    let mut play = of_keepalived();
    let played = play.play(Failover, "a", "b").await;
    assert!(
        matches!(&played.outcome, Outcome::Compensated { reason } if reason.contains("no keepalived runs at root@b")),
        "{played:#?}"
    );
    let alone = deeds
        .apply("keepalived", &order("give_up", "/run/weight", "a"), (1, 1))
        .await;
    assert!(
        matches!(&alone, Applied::Unknown(why) if why.contains("does not leave")),
        "{alone:?}"
    );
    assert!(is_at(&nodes, "a"), "the last one keeps it");
    deeds
        .done("keepalived", &order("ready", "/run/weight", "a"), (1, 1))
        .await;
    // Both are there again, and now it can.
    nodes.says("b", &["sh", "-c", "keepalived -f /run/keepalived.conf -p /run/keepalived.pid -r /run/vrrp.pid --vrrp < /dev/null > /dev/null 2>&1"]);
    wait("keepalived runs at b", || {
        nodes.run("b", &["pidof", "keepalived"]).status.success()
    });
    play.play(Failover, "a", "b").await.all_done("b");
    assert!(is_at(&nodes, "b"));
    // A host that cannot be reached gives nothing up, unless the plan says that the others elect without it.
    nodes.kill("a");
    deeds
        .refused("keepalived", &order("give_up", "/run/weight", "a"), (1, 1), "255")
        .await;
    let mut dead = order("give_up", "/run/weight", "a");
    dead["unreachable"] = json!("ok");
    assert_eq!(deeds.apply("keepalived", &dead, (1, 1)).await, Applied::Done);
    assert_eq!(deeds.look("keepalived", &dead, (1, 1)).await, Effect::There);
}
