//! Who stands aside, told as what agents see second by second.

use std::time::Duration;

use serde_json::json;

use super::*;
use crate::model::Span;

const GOOD: Reach = Reach::Good { took: Span::millis(1) };
const BAD: Reach = Reach::Unreachable;

/// One agent, `web` with three instances and `base` with two in one part, and what it is told each half of a second.
struct Scene {
    aside: Aside,
    now: Duration,
    lead: Lead,
    changes: Vec<(u64, Change)>,
}

/// What one agent sees of `web-a`, `web-b`, `web-c`, `base-a`, `base-b`: `+` well, `-` badly, a blank for nothing told.
type Sees = &'static str;

const INSTANCES: [&str; 5] = ["web-a", "web-b", "web-c", "base-a", "base-b"];

fn looks(sees: Sees) -> impl Iterator<Item = (EntityName, Reach)> {
    let looks = INSTANCES.into_iter().zip(sees.chars());
    looks.filter_map(|(name, mark)| match mark {
        '+' => Some((name.into(), GOOD)),
        '-' => Some((name.into(), BAD)),
        _ => None,
    })
}

impl Scene {
    fn new() -> Self {
        let service = |name: &str, standbys: &[&str]| -> Service {
            let standbys: Vec<_> = standbys.iter().map(|entity| json!({"entity": entity})).collect();
            serde_json::from_value(json!({
                "name": name, "active": format!("{name}-a"), "standbys": standbys, "playbook": "p", "probe": {"uses": "tcp"},
            }))
            .unwrap()
        };
        let services = [service("web", &["web-b", "web-c"]), service("base", &["base-b"])];
        let part = Part {
            name: "base".into(),
            services: services.iter().map(|service| service.name.clone()).collect(),
        };
        let parts = [("base".to_owned(), part)].into();
        Self {
            aside: Aside::new(PATIENCE, &services, &parts),
            now: Duration::from_secs(1000),
            lead: Lead::Ours,
            changes: Vec::new(),
        }
    }

    /// So many seconds of it. Others: name, whether it may lead, what it sees.
    fn goes_on(&mut self, seconds: u64, own: Sees, others: &[(&str, bool, Sees)]) -> &mut Self {
        for _ in 0..seconds * 2 {
            self.now += Duration::from_millis(500);
            for (entity, reach) in looks(own) {
                self.aside.saw(&entity, &reach, self.now);
            }
            for (agent, may_lead, sees) in others {
                for (entity, reach) in looks(sees) {
                    let at = self.now.saturating_sub(Duration::from_millis(400));
                    self.aside.heard(&(*agent).into(), &entity, &reach, *may_lead, at);
                }
            }
            let lead = self.lead;
            let changes = self.aside.judge(self.now, |_| lead);
            let at = self.now.as_secs() - 1000;
            self.changes.extend(changes.into_iter().map(|change| (at, change)));
        }
        self
    }

    fn stands(&self) -> bool {
        self.aside.stands("base")
    }

    /// The reason of the only change so far.
    fn why(&self) -> &str {
        match &self.changes[..] {
            [(_, Change::Aside { why, .. })] => why,
            other => panic!("{other:?}"),
        }
    }
}

#[test]
fn a_leader_that_reaches_nothing_gives_way_to_one_that_reaches_all() {
    let mut scene = Scene::new();
    scene
        .goes_on(20, "+++++", &[])
        .goes_on(4, "-----", &[("two", true, "+++++")]);
    assert!(!scene.stands(), "not at once");
    scene.goes_on(3, "-----", &[("two", true, "+++++")]);
    assert!(scene.stands());
    assert_eq!(
        scene.why(),
        "two reaches base-a, base-b, web-a and 2 more, and this agent does not"
    );
}

#[test]
fn an_outage_that_all_see_moves_no_lead() {
    let mut scene = Scene::new();
    scene.goes_on(20, "+++++", &[("two", true, "+++++")]).goes_on(
        60,
        "-----",
        &[("two", true, "-----"), ("three", true, "-----")],
    );
    assert_eq!(scene.changes, []);
    // What was said right before it does not speak against it, and nor does who has fallen silent.
    let mut scene = Scene::new();
    scene
        .goes_on(20, "+++++", &[("two", true, "+++++")])
        .goes_on(60, "-----", &[]);
    assert_eq!(scene.changes, []);
}

#[test]
fn single_looks_that_fail_move_no_lead() {
    let mut scene = Scene::new();
    for _ in 0..20 {
        scene
            .goes_on(4, "-----", &[("two", true, "+++++")])
            .goes_on(1, "+++++", &[("two", true, "+++++")]);
    }
    assert_eq!(scene.changes, []);
    // Nor does another one that sees it well now and then.
    for _ in 0..20 {
        scene
            .goes_on(4, "-----", &[("two", true, "+++++")])
            .goes_on(1, "-----", &[("two", true, "-----")]);
    }
    assert_eq!(scene.changes, []);
}

#[test]
fn a_minority_of_a_services_instances_is_no_reason_until_the_others_fail() {
    let mut scene = Scene::new();
    scene.goes_on(60, "+-++-", &[("two", true, "+++++")]);
    assert_eq!(scene.changes, [], "one of three, one of two");
    // Now base-a is down, for all. What is left of base is what this agent does not reach.
    scene.goes_on(8, "+-+--", &[("two", true, "+++-+")]);
    assert_eq!(scene.why(), "two reaches base-b, and this agent does not");
}

#[test]
fn nobody_gives_way_to_one_that_would_not_lead_or_sees_worse_elsewhere() {
    let mut scene = Scene::new();
    scene.goes_on(30, "-----", &[("two", false, "+++++")]);
    assert_eq!(scene.changes, []);
    scene.goes_on(30, "---++", &[("two", true, "+++--")]);
    assert_eq!(scene.changes, [], "each is worse off at one service");
    scene.goes_on(30, "---++", &[("two", true, "+++--"), ("three", true, "++++ ")]);
    assert_eq!(
        scene.why(),
        "three reaches web-a, web-b, web-c, and this agent does not"
    );
}

/// Two halves that nobody sees both of: whatever they tell each other, they do not both give way.
#[test]
fn of_two_agents_one_at_the_most_gives_way() {
    let marks = ['+', '-'];
    for all in 0..1_u32 << 10 {
        let sees = |from: u32| -> String { (0..5).map(|n| marks[usize::from(all >> (from + n) & 1 == 1)]).collect() };
        let (one, two): (&'static str, &'static str) = (sees(0).leak(), sees(5).leak());
        let (mut first, mut second) = (Scene::new(), Scene::new());
        first.goes_on(8, one, &[("two", true, two)]);
        second.goes_on(8, two, &[("one", true, one)]);
        assert!(!(first.stands() && second.stands()), "{one} {two}");
    }
}

#[test]
fn a_lead_is_not_given_back_in_the_middle_of_a_plan_nor_while_the_store_is_silent() {
    for lead in [Lead::AtWork, Lead::Unknown] {
        let mut scene = Scene::new();
        scene.lead = lead;
        scene.goes_on(60, "-----", &[("two", true, "+++++")]);
        assert_eq!(scene.changes, [], "{lead:?}");
        scene.lead = Lead::Ours;
        scene.goes_on(1, "-----", &[("two", true, "+++++")]);
        assert!(scene.stands());
    }
}

#[test]
fn it_comes_back_when_it_has_seen_what_the_others_see_for_a_while() {
    let mut scene = Scene::new();
    scene.goes_on(10, "-----", &[("two", true, "+++++")]);
    assert!(scene.stands());
    scene.lead = Lead::Anothers;
    // One instance that it does not reach is enough to stay away.
    for _ in 0..4 {
        scene
            .goes_on(25, "+++++", &[("two", true, "+++++")])
            .goes_on(2, "++++-", &[("two", true, "+++++")]);
    }
    assert!(scene.stands());
    // Nobody suspects anything, so nobody says anything.
    scene.goes_on(27, "+++++", &[]);
    assert!(scene.stands());
    scene.goes_on(4, "+++++", &[]);
    assert!(!scene.stands(), "{:?}", scene.changes);
}

/// Whoever was given way to has died as well, or cannot lead: somebody has to.
#[test]
fn a_lead_that_nobody_takes_is_sought_again() {
    let mut scene = Scene::new();
    scene.goes_on(10, "-----", &[("two", true, "+++++")]);
    scene.lead = Lead::Free;
    scene.goes_on(4, "-----", &[("two", true, "+++++")]);
    assert!(scene.stands(), "the other one has a moment to take it");
    scene.goes_on(2, "-----", &[("two", true, "+++++")]);
    assert!(!scene.stands());
    scene.lead = Lead::Ours;
    scene.goes_on(500, "-----", &[("two", true, "+++++")]);
    assert!(!scene.stands(), "not again and again");
    scene.goes_on(120, "-----", &[("two", true, "+++++")]);
    assert!(scene.stands(), "but once in a while");

    let mut scene = Scene::new();
    scene.goes_on(10, "-----", &[("two", true, "+++++")]);
    scene.lead = Lead::Anothers;
    scene.goes_on(60, "-----", &[("two", true, "+++++")]);
    assert!(scene.stands());
    // It has died, and its lease has run out.
    scene.goes_on(4, "-----", &[]);
    assert!(scene.stands());
    scene.lead = Lead::Free;
    scene.goes_on(1, "-----", &[]);
    assert!(!scene.stands(), "nobody is left who sees more");
}

/// Three agents that are blind in turn: there is always one that seeks the lead.
#[test]
fn two_that_stand_aside_do_not_leave_it_to_nobody() {
    let mut scene = Scene::new();
    scene.goes_on(10, "-----", &[("two", true, "+++--"), ("three", true, "+++++")]);
    assert!(scene.stands());
    // The third one dies; the second one stands aside for it as well, and says so.
    scene.lead = Lead::Free;
    scene.goes_on(5, "-----", &[("two", false, "+++--")]);
    assert!(!scene.stands());
}
