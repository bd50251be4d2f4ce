//! Several real agents beside a real etcd: one of them acts, another takes over, and whoever was away does nothing with what it knew.

use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use crate::harness::agents::{self, Agent, WHOLE, World, request};
use crate::harness::contract;
use crate::harness::etcd::arguments;
use crate::harness::way::Way;
use crate::harness::{Server, find, free_port, skipped, wait};

fn settings(endpoints: &[String]) -> String {
    format!("etcd: {{endpoints: {endpoints:?}, prefix: /test/, ttl: 2s}}")
}

/// A cluster of etcd.
struct Etcd {
    _dir: tempfile::TempDir,
    members: Vec<Server>,
    endpoints: Vec<String>,
}

impl Etcd {
    fn start(count: usize) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let ports: Vec<(u16, u16)> = (0..count).map(|_| (free_port(), free_port())).collect();
        let cluster: Vec<String> = ports
            .iter()
            .enumerate()
            .map(|(n, (_, peer))| format!("m{n}=http://127.0.0.1:{peer}"))
            .collect();
        let cluster = cluster.join(",");
        let members = ports.iter().enumerate().map(|(n, (client, peer))| {
            let (client, peer) = (format!("http://127.0.0.1:{client}"), format!("http://127.0.0.1:{peer}"));
            let folder = dir.path().join(format!("m{n}"));
            std::fs::create_dir(&folder).unwrap();
            let name = format!("m{n}");
            let arguments = arguments(&name, "data", &client, &peer, &cluster);
            Server::start(&folder, &find("etcd").unwrap(), &arguments)
        });
        let members: Vec<Server> = members.collect();
        for (client, _) in &ports {
            wait("etcd is healthy", || {
                request(*client, "GET /health", "").is_ok_and(|answer| answer["health"] == "true")
            });
        }
        Self {
            endpoints: ports
                .iter()
                .map(|(client, _)| format!("http://127.0.0.1:{client}"))
                .collect(),
            _dir: dir,
            members,
        }
    }

    /// As the config has it.
    fn settings(&self) -> String {
        settings(&self.endpoints)
    }

    /// A way of its own to each member, and the settings that go by them.
    fn ways(&self) -> (Vec<Way>, String) {
        let port = |endpoint: &String| endpoint.rsplit(':').next().unwrap().parse().unwrap();
        let ways: Vec<Way> = self.endpoints.iter().map(|endpoint| Way::to(port(endpoint))).collect();
        let endpoints: Vec<String> = ways
            .iter()
            .map(|way| format!("http://127.0.0.1:{}", way.port))
            .collect();
        (ways, settings(&endpoints))
    }

    fn world(&self, confirm: u8) -> World {
        World::new(&self.settings(), confirm)
    }
}

#[test]
fn three_agents_move_it_once_with_a_member_of_etcd_killed_and_two_vantage_points_asked_for() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let mut etcd = Etcd::start(3);
    let world = etcd.world(2);
    let first = world.agent("one");
    wait("the only agent leads", || first.leads());
    drop(etcd.members.remove(0));
    world.ill[0].store(true, Ordering::SeqCst);
    wait("one vantage point is not enough", || first.gate() == "confirmed");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.effects(), [""; 0]);
    world.ill[0].store(false, Ordering::SeqCst);
    let others = [world.agent("two"), world.agent("three")];
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it is moved", || world.effects() == WHOLE);
    for agent in others.iter().chain([&first]) {
        wait("every agent knows where it runs", || agent.active() == "b");
    }
    let leaders = others.iter().chain([&first]).filter(|agent| agent.leads()).count();
    assert_eq!(leaders, 1);
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(world.effects(), WHOLE);
}

#[test]
fn what_a_leader_has_moved_counts_in_the_budget_of_the_next() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    let mut world = etcd.world(1);
    world.service = "cool_down: 0s, ".to_owned();
    world.policy = "fleet_budget: {moves: 1, window: 1h}, ".to_owned();
    let first = world.agent("one");
    wait("the only agent leads", || first.leads());
    let next = world.agent("two");
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it is moved", || world.effects() == WHOLE);
    wait("both know where it runs", || {
        first.active() == "b" && next.active() == "b"
    });
    world.ill[0].store(false, Ordering::SeqCst);
    drop(first);
    wait("the other one leads", || next.leads());
    world.ill[1].store(true, Ordering::SeqCst);
    wait("the budget is used up", || next.gate() == "budget");
    // An agent that has never run counts it as well.
    drop(next);
    world.ill[1].store(false, Ordering::SeqCst);
    let last = world.agent("three");
    wait("the third one leads", || last.leads());
    world.ill[1].store(true, Ordering::SeqCst);
    wait("the budget is used up", || last.gate() == "budget");
    assert_eq!(world.effects(), WHOLE);
}

#[test]
fn what_is_called_otherwise_after_a_crash_in_mid_plan_needs_a_person() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    let mut world = etcd.world(1);
    world.half("2");
    let agent = world.agent("one");
    wait("it leads", || agent.leads());
    world.ill[0].store(true, Ordering::SeqCst);
    wait(
        "a plan is under way, and its first step has done half of what it does",
        || !world.effects().is_empty(),
    );
    drop(agent);
    world.ill[0].store(false, Ordering::SeqCst);
    world.name = "shop";
    let agent = world.agent("one");
    let why = || agent.status()["services"][0]["state"]["handed_over"].to_string();
    wait("a person is asked for", || {
        why().contains("it seems to be what was 'web'")
    });
    wait("it leads", || agent.leads());
    assert!(why().contains("from a to b"), "{}", why());
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it is not moved", || agent.gate() == "in-flight");
}

#[test]
fn an_owner_that_stood_still_in_mid_plan_finds_that_another_has_gone_on_and_does_nothing() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    agents::an_owner_that_stood_still_does_nothing(&etcd.settings());
}

#[test]
fn a_cut_off_agent_holds_and_the_other_one_leads_and_moves() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(3);
    let world = etcd.world(1);
    let (members, settings) = etcd.ways();
    let instances = world.ports.map(Way::to);
    let first = world.agent_by("one", [instances[0].port, instances[1].port], &settings);
    wait("it leads", || first.leads());
    let second = world.agent("two");
    for way in members.iter().chain(&instances) {
        way.cut();
    }
    wait("it sees that something is wrong", || !first.gate().is_empty());
    wait("the other one takes over", || second.leads());
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.effects(), [""; 0], "everything works but the way of one agent");
    world.ill[0].store(true, Ordering::SeqCst);
    wait("the other one moves it", || world.effects() == WHOLE);
    for way in members.iter().chain(&instances) {
        way.mend();
    }
    wait("the first one has understood", || {
        !first.leads() && first.active() == "b"
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(world.effects(), WHOLE);
}

#[test]
fn an_owner_that_loses_its_way_to_etcd_in_mid_plan_stops_and_the_other_one_goes_on() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(3);
    let world = etcd.world(1);
    let (members, settings) = etcd.ways();
    let first = world.agent_by("one", world.ports, &settings);
    wait("it leads", || first.leads());
    let second = world.agent("two");
    world.half("0.5");
    world.ill[0].store(true, Ordering::SeqCst);
    wait("the plan has begun", || world.effects() == ["do fence"]);
    for way in &members {
        way.cut();
    }
    let begin = Instant::now();
    wait("the other one takes over", || second.leads());
    println!("taken over {:?} after the cut, TTL 2 s", begin.elapsed());
    wait("the other one goes on", || world.effects() == WHOLE);
    wait("it runs on b", || second.active() == "b");
    for way in &members {
        way.mend();
    }
    wait("the first one has understood", || {
        !first.leads() && first.active() == "b"
    });
    std::thread::sleep(Duration::from_secs(1));
    assert_eq!(world.effects(), WHOLE, "each effect once");
}

#[test]
fn what_one_of_three_sees_is_not_moved_where_two_must_see_it() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(3);
    let world = etcd.world(2);
    let way = Way::to(world.ports[0]);
    let first = world.agent_by("one", [way.port, world.ports[1]], &etcd.settings());
    wait("it leads", || first.leads());
    let others = [world.agent("two"), world.agent("three")];
    way.cut();
    wait("it asks the others", || first.gate() == "confirmed");
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.effects(), [""; 0], "two others see that all is well");
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it is moved", || world.effects() == WHOLE);
    for agent in others.iter().chain([&first]) {
        wait("every agent knows where it runs", || agent.active() == "b");
    }
    assert_eq!(world.effects(), WHOLE);
}

#[test]
fn a_leader_that_is_cut_off_from_what_it_watches_lets_another_one_lead() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(3);
    agents::a_leader_that_is_cut_off_from_what_it_watches_lets_another_one_lead(&etcd.settings());
}

#[test]
fn an_outage_that_all_agents_see_moves_no_lead() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    let world = etcd.world(1);
    let first = world.agent("one");
    wait("it leads", || first.leads());
    let others = [world.agent("two"), world.agent("three")];
    let epoch = || first.status()["leases"][0]["lease"]["epoch"].clone();
    let before = epoch();
    for ill in &world.ill {
        ill.store(true, Ordering::SeqCst);
    }
    wait("all see it", || {
        let mut all = others.iter().chain([&first]);
        all.all(|agent| !agent.gate().is_empty())
    });
    // Longer than whoever is worse off than others goes on leading.
    std::thread::sleep(Duration::from_secs(10));
    assert_eq!(epoch(), before);
    for agent in others.iter().chain([&first]) {
        assert_eq!((agent.leader(), agent.aside()), ("one".into(), String::new()));
    }
}

#[test]
fn without_etcd_nothing_is_demoted_and_nobody_acts() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(3);
    let world = etcd.world(1);
    let agents = [world.agent("one"), world.agent("two")];
    wait("one leads", || agents.iter().any(Agent::leads));
    for member in &etcd.members[..2] {
        member.signal("STOP");
    }
    // Longer than the lease.
    std::thread::sleep(Duration::from_secs(3));
    world.ill[0].store(true, Ordering::SeqCst);
    wait("both hold", || agents.iter().all(|agent| agent.gate() == "lease"));
    std::thread::sleep(Duration::from_secs(2));
    assert_eq!(world.effects(), [""; 0]);
    for member in &etcd.members[..2] {
        member.signal("CONT");
    }
    wait("it is moved", || world.effects() == WHOLE);
}

#[test]
fn a_hold_holds_all_agents_and_outlives_them() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    let world = etcd.world(1);
    let first = world.agent("one");
    let second = world.agent("two");
    request(first.api, "POST /api/hold", "{}").unwrap();
    wait("the other one holds too", || second.status()["held"] == true);
    drop(first);
    drop(second);
    let first = world.agent("one");
    wait("it still holds", || first.status()["held"] == true && first.leads());
    world.ill[0].store(true, Ordering::SeqCst);
    wait("it says so", || first.gate() == "held");
    request(first.api, "POST /api/hold", "{\"on\": false}").unwrap();
    wait("it is moved", || world.effects() == WHOLE);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stale_leader_writes_nothing_and_epochs_only_grow() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    contract::a_stale_leader_writes_nothing_and_epochs_only_grow(&etcd.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_cut_the_services_differently_never_lead_side_by_side() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    contract::agents_that_cut_the_services_differently_never_lead_side_by_side(&etcd.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whoever_reads_its_config_anew_takes_no_lead_from_whoever_has_it_now() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    contract::whoever_reads_its_config_anew_takes_no_lead_from_whoever_has_it_now(&etcd.settings()).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_lead_is_left_before_it_is_given_back_and_not_sought_again() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    contract::a_lead_is_left_before_it_is_given_back_and_not_sought_again(&etcd.settings()).await;
}

/// It must never look as if nothing acted while the others do, nor as if something began that did not.
#[test]
fn an_order_that_does_not_count_is_not_taken_for_done() {
    if skipped("etcd", &["etcd"]) {
        return;
    }
    let etcd = Etcd::start(1);
    let world = etcd.world(1);
    let (members, settings) = etcd.ways();
    let first = world.agent("one");
    wait("it leads", || first.leads());
    let second = world.agent_by("two", world.ports, &settings);
    let failback = "POST /api/services/web/failback";
    let refused = request(second.api, failback, "{}").unwrap_err();
    assert!(refused.starts_with("HTTP/1.1 409"), "it does not lead: {refused}");
    for way in &members {
        way.cut();
    }
    let untold = request(second.api, "POST /api/hold", "{}").unwrap_err();
    assert!(untold.starts_with("HTTP/1.1 503"), "nobody else knows: {untold}");
    wait("it holds itself", || second.status()["held"] == true);
    assert_eq!(first.status()["held"], false);
    // What is said to another one since goes before what comes late.
    request(first.api, "POST /api/hold", "{\"on\": false}").unwrap();
    for way in &members {
        way.mend();
    }
    wait("it has heard the later word", || second.status()["held"] == false);
    assert_eq!(first.status()["held"], false);
}
