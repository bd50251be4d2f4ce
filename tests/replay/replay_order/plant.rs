//! A made-up plant: what it says as a rule, what happens to it, and what becomes of the plans that are started.

use jurymast::engine::{Effects, Input, PlanEvent};
use jurymast::model::event::Presence;
use jurymast::model::plan::Outcome;
use jurymast::model::sample::STALE_NAN;
use jurymast::model::{
    Catalog, Check, EdgeKind, Entity, EntityKind, Event, EventKind, PlanId, Reach, Sample, Span, Timestamp,
    TopologyChange,
};
use proptest::prelude::*;

use super::Arrival;

/// A plant with two services, so that verdicts, plans, permits and their ends are in the log as well.
pub const PLANT: &str = r#"
topology:
  entities:
    - {name: broker, kind: broker}
    - {name: host-0, kind: host, period: 1s}
    - {name: host-1, kind: host, period: 1s}
    - {name: gate-0, kind: gateway}
    - {name: gate-1, kind: gateway}
    - {name: web-0, kind: service, attributes: {address: "h:1"}}
    - {name: web-1, kind: service, attributes: {address: "h:2"}}
    - {name: web-2, kind: service, attributes: {address: "h:3"}}
    - {name: store-0, kind: database, attributes: {address: "h:4"}}
    - {name: store-1, kind: database, attributes: {address: "h:5"}}
  edges:
    - {from: web-0, edge: runs_on, to: host-0}
    - {from: web-1, edge: runs_on, to: host-1}
    - {from: web-2, edge: runs_on, to: host-1}
    - {from: web-0, edge: depends_on, to: broker}
    - {from: web-1, edge: depends_on, to: broker}
    - {from: store-0, edge: runs_on, to: host-0}
    - {from: store-1, edge: runs_on, to: host-1}
    - {from: gate-0, edge: connects_via, to: broker}
    - {from: gate-1, edge: connects_via, to: broker}
services:
  - {name: web, active: web-0, standbys: [{entity: web-1}, {entity: web-2, class: warm}], playbook: http-front-switch,
     vars: {front: "http://h:9"}, hold_off: 1s, cool_down: 5s, probe: {uses: http, with: {url: "http://{address}/"}}}
  - {name: store, active: store-0, standbys: [{entity: store-1, lag_signal: lag}], rpo: 5s, playbook: http-front-switch,
     vars: {front: "http://h:9"}, hold_off: 1s, probe: {uses: tcp}}
detect:
  threshold:
    - {name: warm, signal: 's*', above: 50}
    - {name: hot, signal: s0, above: 80, clear: 70, severity: critical}
    - {name: ill, signal: lag, above: 60, means: failing}
  rate: [{name: fast, signal: s2, per_second: 40, over: 2s}]
  absence: {missed_periods: 2}
  stuck: {warm_up: 10}
  drift: {warm_up: 10}
  anomaly: {warm_up: 10}
"#;

const REACHED: [&str; 6] = ["web-0", "web-1", "web-2", "store-0", "store-1", "broker"];
const SPOKEN: [&str; 10] = [
    "host-0", "host-1", "gate-0", "gate-1", "dev-0", "dev-1", "dev-2", "dev-3", "web-0", "store-1",
];
const SIGNALS: [&str; 6] = ["s0", "s1", "s2", "lag", "uptime", "process_start_time_seconds"];
pub const BEGIN: i64 = 1_000_000;
pub const TICK_MS: i64 = 500;

/// Something out of the ordinary: what, of whom, when within the tick, how late it is dated, a number.
pub type Odd = (u8, u8, i64, i64, f64);

/// A fault: of whom, from which tick, for how many.
pub type Fault = (u8, usize, usize);

#[derive(Clone, Debug)]
pub struct Scenario {
    pub odd: Vec<Vec<Odd>>,
    pub faults: Vec<Fault>,
}

pub fn scenarios() -> impl Strategy<Value = Scenario> {
    let number = prop_oneof![
        6 => -20.0..120.0_f64,
        1 => prop::sample::select(vec![f64::NAN, f64::INFINITY, STALE_NAN, -0.0, 1e300]),
    ];
    // Few different moments, so that arrivals of one moment are common.
    let odd = (
        0..14_u8,
        0..12_u8,
        (0..4_i64).prop_map(|n| n * 100),
        (-3..3_i64).prop_map(|n| n * 200),
        number,
    );
    let odd = prop::collection::vec(prop::collection::vec(odd, 0..8), 20..60);
    let faults = prop::collection::vec((0..8_u8, 2..40_usize, 3..30_usize), 1..4);
    (odd, faults).prop_map(|(odd, faults)| Scenario { odd, faults })
}

fn reach_of(name: &str, faults: &[Fault], tick: usize) -> Reach {
    let hit = faults.iter().find(|(who, from, ticks)| {
        REACHED.get(usize::from(*who)) == Some(&name) && (*from..from + ticks).contains(&tick)
    });
    match hit.map(|(_, from, _)| from % 4) {
        None => Reach::Good { took: Span::millis(2) },
        Some(0) => Reach::NoAnswer,
        Some(1) => Reach::Failing { detail: "503".into() },
        Some(_) => Reach::Refused,
    }
}

pub fn usual(tick: usize, faults: &[Fault], arrivals: &mut Vec<Arrival>) {
    let seen = Timestamp::from_millis(BEGIN + i64::try_from(tick).unwrap() * TICK_MS);
    for name in REACHED {
        for (vantage, check) in [
            ("jurymast", Check::Probe),
            ("jurymast", Check::Scrape),
            ("elsewhere", Check::Probe),
        ] {
            arrivals.push(Arrival::Event(Event {
                entity: name.into(),
                at: seen,
                seen,
                kind: EventKind::Reach {
                    vantage: vantage.into(),
                    check,
                    reach: reach_of(name, faults, tick),
                    asked: None,
                },
            }));
        }
    }
    let silent = faults
        .iter()
        .any(|(who, from, ticks)| *who == 7 && (*from..from + ticks).contains(&tick));
    for (n, name) in SPOKEN.iter().enumerate().filter(|(n, _)| !(silent && *n < 6)) {
        for signal in &SIGNALS[..4] {
            let value = ((tick * 7 + n * 3) % 11) as f64 / 11.0;
            arrivals.push(sample(name, signal, seen, seen, value, false));
        }
    }
}

fn sample(entity: &str, signal: &str, at: Timestamp, seen: Timestamp, value: f64, retained: bool) -> Arrival {
    let sample = Sample {
        series: Catalog::new().series("", ""),
        retained,
        at,
        seen,
        value,
    };
    Arrival::Sample(entity.to_owned(), signal.to_owned(), sample)
}

pub fn odd(tick: usize, (what, who, within, late, number): Odd) -> Vec<Arrival> {
    let seen = Timestamp::from_millis(BEGIN + i64::try_from(tick).unwrap() * TICK_MS + within);
    let at = Timestamp::from_millis(BEGIN + i64::try_from(tick).unwrap() * TICK_MS + within + late);
    let name = format!("{}{}", if who % 2 == 0 { "dev-" } else { "new-" }, who / 2);
    let event = |entity: &str, kind| {
        Arrival::Event(Event {
            entity: entity.into(),
            at,
            seen,
            kind,
        })
    };
    let place = usize::from(who) % SPOKEN.len();
    match what {
        0..=3 => vec![sample(
            &name,
            SIGNALS[usize::from(what) + 2 * usize::from(what > 2)],
            at,
            seen,
            number,
            what == 1 && who > 9,
        )],
        4 => vec![
            sample(SPOKEN[place], "s0", at, seen, number, false),
            sample(SPOKEN[place], "s0", at, seen, -number, false),
        ],
        5 => vec![
            sample("web-0", "process_start_time_seconds", at, seen, number * 10.0, false),
            event("web-0", EventKind::Restarted),
        ],
        6 => vec![event(
            &name,
            EventKind::BadPayload {
                place: format!("t/{who}"),
                error: format!("{number}"),
            },
        )],
        7 => vec![event(
            &name,
            EventKind::Sequence {
                expected: 1,
                got: u64::from(who),
            },
        )],
        8 => {
            let presence = [Presence::Online, Presence::Lost, Presence::Left][usize::from(who) % 3];
            vec![event(
                SPOKEN[place],
                EventKind::Presence {
                    presence,
                    reason: "will".into(),
                    retained: who > 10,
                },
            )]
        }
        9 | 10 => {
            // Discovery: an entity and how it hangs together, told by two sources in two ways at one moment.
            let entity = |kind| Entity {
                name: name.as_str().into(),
                kind,
                period: (who % 3 == 0).then(|| Span::millis(700)),
                group: (who % 4 == 0).then(|| format!("group-{what}")),
                attributes: [("from".to_owned(), format!("{kind:?}"))].into(),
            };
            let edge = TopologyChange::Edge {
                from: name.as_str().into(),
                edge: EdgeKind::ConnectsVia,
                to: format!("gate-{}", what - 9).as_str().into(),
            };
            let told = |kind| {
                event(
                    &name,
                    EventKind::Topology(TopologyChange::Entity { entity: entity(kind) }),
                )
            };
            vec![
                told(EntityKind::Device),
                told(EntityKind::Gateway),
                event(&name, EventKind::Topology(edge)),
            ]
        }
        11 => {
            let alert = EventKind::Alert {
                name: format!("Alert{}", who % 3),
                labels: [
                    ("alertname".to_owned(), format!("Alert{}", who % 3)),
                    ("severity".to_owned(), "critical".to_owned()),
                ]
                .into(),
                annotations: std::collections::BTreeMap::new(),
                firing: number > 20.0,
                starts_at: at,
            };
            vec![event(SPOKEN[place], alert)]
        }
        12 => vec![event("jurymast", EventKind::OwnStall { span: Span::secs(2) })],
        _ => {
            // Two answers to one check at one moment.
            let vantage = ["jurymast", "elsewhere"][usize::from(who) / 6];
            let answered = |reach| EventKind::Reach {
                vantage: vantage.into(),
                check: [Check::Scrape, Check::Probe][usize::from(who) % 2],
                reach,
                asked: Some(u64::from(who)),
            };
            let entity = REACHED[usize::from(who) % REACHED.len()];
            vec![
                event(entity, answered(Reach::Refused)),
                event(entity, answered(Reach::Good { took: Span::millis(1) })),
            ]
        }
    }
}

/// What the engine is told of the plans that it starts: each step asked for, done, and the end.
#[derive(Default)]
pub struct Runners {
    pub told: Vec<Input>,
}

impl Runners {
    pub fn hear(&mut self, effects: &Effects, at: Timestamp) {
        for plan in &effects.start {
            let (id, steps): (PlanId, usize) = (plan.id.clone(), plan.steps.len());
            for step in 0..steps {
                let asks = PlanEvent::Asks {
                    plan: id.clone(),
                    step,
                    committed: step > 1,
                };
                let done = PlanEvent::StepDone {
                    plan: id.clone(),
                    step,
                    at,
                };
                self.told.extend([Input::Plan(asks), Input::Plan(done)]);
            }
            let outcome = Outcome::Done {
                active: plan.to.clone(),
            };
            let ended = PlanEvent::Ended {
                plan: id,
                service: plan.service.clone(),
                at,
                outcome,
            };
            self.told.push(Input::Plan(ended));
        }
    }
}
