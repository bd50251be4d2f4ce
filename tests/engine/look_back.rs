//! What was done is looked at again and again: by whoever leads the service, and while nobody works on it.

use std::sync::Arc;
use std::time::Duration;

use jurymast::config::Config;
use jurymast::engine::{Effects, Engine, Gone, Input, NotificationKind, OperatorCommand, PlanEvent};
use jurymast::model::{Catalog, Lease, Step, Timestamp};
use jurymast::plan::Playbooks;

use crate::harness::engine::{engine_of, setup};
use crate::harness::watch::World as Watched;

const CONFIG: &str = "
agent: {name: here}
services:
  - {name: web, active: a, standbys: [{entity: b}, {entity: e}], playbook: haproxy-switch, vars: {socket: /s, backend: web}, probe: {uses: tcp}}
  - {name: mail, active: c, standbys: [{entity: d}], playbook: haproxy-switch, vars: {socket: /s, backend: mail}, probe: {uses: tcp}}
";

struct World {
    engine: Engine,
    now: Timestamp,
    told: Vec<(bool, String)>,
}

impl World {
    fn new() -> Self {
        let config = Config::parse(CONFIG).unwrap_or_else(|error| panic!("{}", error.message));
        let now = Timestamp::from_secs(1_700_000_000);
        let mut engine = engine_of(&config, &Catalog::new());
        engine.handle(Input::Tick(now), &mut Effects::default());
        let told = Vec::new();
        Self { engine, now, told }
    }

    /// What is looked at in so many seconds.
    fn pass(&mut self, seconds: u64, leads: bool) -> Vec<String> {
        let mut looks = Vec::new();
        for _ in 0..seconds {
            let mut effects = Effects::default();
            self.now = self.now + Duration::from_secs(1);
            if leads {
                let until = self.now + Duration::from_secs(4);
                self.engine.handle(
                    Input::Lease(Lease {
                        epoch: 1,
                        seq: 0,
                        until,
                    }),
                    &mut effects,
                );
            }
            self.engine.handle(Input::Tick(self.now), &mut effects);
            let steps = effects.look_back.iter().flat_map(|look| &look.steps);
            looks.extend(steps.map(|step| step.name.clone()));
        }
        looks
    }

    /// As an earlier run has left it.
    fn finds_web_on_b(&mut self) {
        self.take(Input::Plan(PlanEvent::Restored {
            service: "web".into(),
            active: "b".into(),
            moved: None,
            named: Vec::new(),
            took: [].into(),
            running: None,
            taken_back: None,
            handed_over: None,
            begun: Vec::new(),
        }));
    }

    fn take(&mut self, input: Input) {
        let mut effects = Effects::default();
        self.engine.handle(input, &mut effects);
        let told = effects
            .notify
            .into_iter()
            .filter(|told| told.kind == NotificationKind::Undone);
        self.told.extend(told.map(|told| (told.firing, told.text)));
    }
}

#[test]
fn each_service_is_looked_at_once_in_ten_seconds_by_whoever_leads_it() {
    let mut world = World::new();
    assert!(world.pass(20, false).is_empty());
    let mut looks = world.pass(20, true);
    looks.sort();
    // At home nobody was ever taken out.
    assert_eq!(
        looks,
        ["put a into web", "put a into web", "put c into mail", "put c into mail"]
    );
    world.finds_web_on_b();
    let (service, until) = (Some("mail".into()), world.now + Duration::from_secs(60));
    world.take(Input::Operator(OperatorCommand::Maintenance {
        service,
        until,
        by: "me".into(),
    }));
    // A third one that traffic reaches as well would be seen.
    assert_eq!(
        world.pass(10, true),
        ["take a out of web", "keep e out of web", "put b into web"]
    );
}

/// Of a database the role counts as well, at home too; once it was moved, also that the old one has not taken its own back.
#[test]
fn roles_are_looked_at_and_a_look_that_asks_for_the_token_is_not_believed() {
    const STEPS: &str = "
name: p
summary: Two looks over HTTP, one of which asks for the token.
steps:
  - {name: 'fence {from}', phase: fence, on: from, uses: redis, with: {do: fence, address: '127.0.0.1:1'}}
  - {name: 'promote {to}', phase: promote, uses: redis, with: {do: promote, address: '127.0.0.1:1'}}
  - {name: 'send to {to}', phase: switch, uses: http, with: {url: 'http://x/', observe: {url: 'http://x/', pointer: /active, equals: '{to}'}}}
  - {name: 'token of {to}', phase: switch, uses: http, with: {url: 'http://x/', observe: {url: 'http://x/', pointer: /seq, equals: '{seq}'}}}
  - {name: 'ask {to}', phase: verify, uses: probe}
";
    let text = "
agent: {name: here}
services:
  - {name: web, active: a, standbys: [{entity: b}], playbook: p, probe: {uses: tcp}}
";
    let config = Config::parse(text).unwrap_or_else(|error| panic!("{}", error.message));
    let mut setup = setup(&config, &Catalog::new());
    setup.playbooks = Arc::new(Playbooks::parse([("p.yml", STEPS)]).unwrap());
    let mut world = World {
        engine: Engine::new(setup).unwrap(),
        now: Timestamp::from_secs(1_700_000_000),
        told: Vec::new(),
    };
    let mut looks = world.pass(10, true);
    looks.dedup();
    assert_eq!(looks, ["promote a", "send to a"]);
    world.finds_web_on_b();
    assert_eq!(world.pass(10, true), ["fence a", "promote b", "send to b"]);
}

/// A fence that passes where nobody answers may never have been done.
#[test]
fn of_a_fence_that_may_never_have_reached_anybody_nobody_says_that_it_was_changed() {
    let text = CONFIG.replace(
        "haproxy-switch, vars: {socket: /s, backend: web}",
        "redis-haproxy, vars: {socket: /s, backend: web}",
    );
    let entities = "topology: {entities: [{name: a, attributes: {address: '127.0.0.1:1'}}, {name: b, attributes: {address: '127.0.0.1:2'}}]}\n";
    let config = Config::parse(&(text + entities)).unwrap_or_else(|error| panic!("{}", error.message));
    let mut world = World {
        engine: engine_of(&config, &Catalog::new()),
        now: Timestamp::from_secs(1_700_000_000),
        told: Vec::new(),
    };
    world.finds_web_on_b();
    let looks = world.pass(20, true);
    let fence = "make a refuse writes, if it can be reached";
    assert!(looks.iter().any(|step| step == fence), "{looks:?}");
    let mut says = |step: &str| {
        let gone = Some(Gone {
            step: step.to_owned(),
            forgotten: false,
        });
        let (service, at) = ("web".into(), world.now);
        world.take(Input::Plan(PlanEvent::LookedBack { service, at, gone }));
        world.told.last().unwrap().1.clone()
    };
    let told = says(fence);
    assert!(
        told.contains("was it ever reached?") && !told.contains("by hand"),
        "{told}"
    );
    assert!(told.contains("stop it, or let it follow b"), "{told}");
    assert!(
        told.ends_with("until a look finds 'make a refuse writes, if it can be reached' done"),
        "{told}"
    );
    assert!(says("take a out of web").contains("changed by hand?"));
    // Whoever looks at the status or the page reads the same, for as long as it stands.
    let why = |world: &World| {
        let mut services = world.engine.services();
        let (_, state) = services.find(|(service, _)| service.name.as_str() == "web").unwrap();
        state.undone_why.clone()
    };
    assert!(why(&world).is_some_and(|why| why.contains("changed by hand?")));
    let (service, at) = ("web".into(), world.now);
    world.take(Input::Plan(PlanEvent::LookedBack {
        service,
        at,
        gone: None,
    }));
    assert_eq!(why(&world), None);
}

#[test]
fn what_is_gone_is_told_and_stands_in_the_state_until_it_is_back() {
    let mut world = World::new();
    let looked = |gone: Option<&str>| {
        let gone = gone.map(|step| Gone {
            step: step.to_owned(),
            forgotten: false,
        });
        let service = "web".into();
        let at = Timestamp::from_secs(1_700_000_100);
        Input::Plan(PlanEvent::LookedBack { service, at, gone })
    };
    world.take(looked(Some("put a into web")));
    let undone = |world: &World| {
        let mut services = world.engine.services();
        services.find_map(|(_, state)| Some(state.undone.clone()?.step))
    };
    assert_eq!(undone(&world).as_deref(), Some("put a into web"));
    world.take(looked(None));
    assert_eq!(undone(&world), None);
    assert!(
        world.told[0].0 && world.told[0].1.contains("'put a into web' does not stand any more"),
        "{:?}",
        world.told
    );
    assert!(!world.told[1].0, "{:?}", world.told);
}

/// A sick instance is drained; one that people send their service away from is not.
#[test]
fn what_depends_on_the_kind_of_the_move_is_looked_at_by_its_kind() {
    const CONFIG: &str = "
agent: {name: here}
services:
  - {name: web, active: a, standbys: [{entity: b}, {entity: c}], single_writer: false, playbook: haproxy-withdraw,
     vars: {socket: /s, backend: web}, probe: {uses: tcp, interval: 1s}}
policy:
  canaries: [{name: router, probe: {uses: tcp}}, {name: names, probe: {uses: tcp}}, {name: clock, probe: {uses: tcp}}]
";
    let book = Playbooks::builtin_files()
        .iter()
        .find(|(name, _)| *name == "haproxy-withdraw.yml")
        .unwrap()
        .1;
    let states = |world: &mut Watched| -> Vec<(String, String)> {
        world.effects.look_back.clear();
        world.pass(10);
        let steps = world.effects.look_back.iter().flat_map(|look| &look.steps);
        let told = |step: &Step, what: &str| step.action.with[what].as_str().unwrap().to_owned();
        steps.map(|step| (told(step, "server"), told(step, "state"))).collect()
    };
    let pair = |server: &str, state: &str| (server.to_owned(), state.to_owned());
    let send = |world: &mut Watched, to: &str| {
        world.effects.start.clear();
        world.say(OperatorCommand::Failback {
            service: "web".into(),
            to: Some(to.into()),
            by: "me".into(),
        });
        let plan = world.effects.start.pop().expect("it is sent");
        world.done(&plan);
    };
    let mut world = Watched::by(book, Timestamp::from_secs(1_000), CONFIG, &["a", "b", "c"]).finely();
    send(&mut world, "c");
    assert_eq!(states(&mut world), [pair("a", "failback"), pair("c", "ready")]);

    let mut world = Watched::by(book, Timestamp::from_secs(1_000), CONFIG, &["a", "b", "c"]).finely();
    world.gone = vec!["a"];
    world.pass(10);
    let plan = world.effects.start.pop().expect("it is moved");
    world.done(&plan);
    assert_eq!(states(&mut world), [pair("a", "failover"), pair("b", "ready")]);
    // Whether the one that was left first is still drained depends on what people have done since.
    send(&mut world, "c");
    assert_eq!(states(&mut world), [pair("b", "failback"), pair("c", "ready")]);
}
