//! The decision log depends on what arrived until a tick and on nothing else: not on the number of shards, not on the order of
//! arrival, not on which numbers names were given, not on how the arrivals were cut into batches.

use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;
use jurymast::agent::{Threads, engine_setup};
use jurymast::capsule::Capsule;
use jurymast::config::Config;
use jurymast::detect::{Parallel, Sequential};
use jurymast::diagnose::Library;
use jurymast::engine::{Effects, Engine, Input, OperatorCommand, PlanEvent, Record};
use jurymast::model::event::Presence;
use jurymast::model::plan::Outcome;
use jurymast::model::sample::STALE_NAN;
use jurymast::model::{
    Batch, Catalog, Check, EdgeKind, Entity, EntityKind, Event, EventKind, Lease, PlanId, Reach, Sample, Span,
    Timestamp, TopologyChange,
};
use jurymast::plan::Playbooks;
use proptest::prelude::*;

/// A sample by its names, or an event: what may arrive in any order.
#[derive(Clone, Debug)]
enum Arrival {
    Sample(String, String, Sample),
    Event(Event),
}

/// What comes between two ticks: arrivals in any order, and what has an order of its own.
#[derive(Clone, Debug, Default)]
struct Between {
    arrivals: Vec<Arrival>,
    told: Vec<Input>,
}

fn engine(text: &str, patterns: &[(String, String)], shards: usize, catalog: Catalog, threads: bool) -> Engine {
    let mut config = Config::parse(text).unwrap();
    config.agent.shards = shards;
    let pairs = patterns.iter().map(|(name, text)| (name.as_str(), text.as_str()));
    let library = if patterns.is_empty() {
        Library::builtin()
    } else {
        Library::parse(pairs).unwrap()
    };
    let parallel: Box<dyn Parallel + Send> = if threads {
        Box::new(Threads)
    } else {
        Box::new(Sequential)
    };
    let playbooks = Arc::new(Playbooks::builtin());
    Engine::new(engine_setup(&config, Arc::new(library), playbooks, catalog, parallel)).unwrap()
}

/// Hands in what came between two ticks; with a random source in another order, cut into other pieces, and with other numbers.
fn hand_in(between: &Between, engine: &mut Engine, catalog: &Catalog, rng: Option<&mut Rng>, effects: &mut Effects) {
    let mut arrivals = between.arrivals.clone();
    let mut cuts = vec![arrivals.len()];
    let mut gaps = vec![0; between.told.len()];
    if let Some(rng) = rng {
        rng.shuffle(&mut arrivals);
        cuts = std::iter::repeat_with(|| rng.usize(0..=arrivals.len()))
            .take(3)
            .collect();
        cuts.push(arrivals.len());
        cuts.sort_unstable();
        gaps = std::iter::repeat_with(|| rng.usize(0..cuts.len()))
            .take(between.told.len())
            .collect();
        gaps.sort_unstable();
    }
    let mut told = gaps.iter().zip(&between.told).peekable();
    let mut begin = 0;
    for (piece, end) in cuts.iter().enumerate() {
        while let Some((_, input)) = told.next_if(|(gap, _)| **gap <= piece) {
            engine.handle(input.clone(), effects);
        }
        let mut batch = Batch::default();
        for arrival in &arrivals[begin..*end] {
            match arrival {
                Arrival::Sample(entity, signal, sample) => batch.samples.push(Sample {
                    series: catalog.series(entity, signal),
                    ..*sample
                }),
                Arrival::Event(event) => batch.events.push(event.clone()),
            }
        }
        begin = *end;
        engine.handle(Input::Batch(batch), effects);
    }
    for (_, input) in told {
        engine.handle(input.clone(), effects);
    }
}

fn lines(log: &mut Vec<Record>, out: &mut String) {
    for record in log.drain(..) {
        *out += &serde_json::to_string(&record).unwrap();
        out.push('\n');
    }
}

/// The first line that differs, so that a failure can be read.
fn difference(a: &str, b: &str) -> Option<String> {
    (a != b).then(|| {
        let (mut a, mut b) = (a.lines(), b.lines());
        loop {
            let (left, right) = (a.next(), b.next());
            if left != right {
                return format!("one: {left:?}\nother: {right:?}");
            }
        }
    })
}

// ---- recorded incidents ----

fn recorded(capsule: &Capsule) -> (Vec<(Between, Timestamp)>, usize) {
    let catalog = Catalog::new();
    let mut ticks = Vec::new();
    let mut between = Between::default();
    let mut crowded = 0;
    capsule
        .inputs(&catalog, |input| match input {
            Input::Batch(batch) => {
                between.arrivals.extend(batch.samples.into_iter().map(|sample| {
                    let (entity, signal) = catalog.parts(sample.series).unwrap();
                    let (entity, signal) = (catalog.entity_name(entity), catalog.signal_name(signal));
                    Arrival::Sample(entity.to_string(), signal.to_string(), sample)
                }));
                between.arrivals.extend(batch.events.into_iter().map(Arrival::Event));
            }
            Input::Event(event) => between.arrivals.push(Arrival::Event(event)),
            Input::Tick(now) => {
                crowded += usize::from(between.arrivals.len() > 1);
                ticks.push((std::mem::take(&mut between), now));
            }
            other => between.told.push(other),
        })
        .unwrap();
    (ticks, crowded)
}

#[test]
fn a_recorded_incident_is_judged_alike_in_any_order_of_arrival() {
    let datasets = Path::new(env!("CARGO_MANIFEST_DIR")).join("datasets");
    let (mut replayed, mut shuffled) = (0, 0);
    for entry in std::fs::read_dir(datasets).unwrap() {
        let dir = entry.unwrap().path();
        if !dir.join("manifest.yml").is_file() {
            continue;
        }
        let capsule = Capsule::open(&dir).unwrap();
        let (ticks, crowded) = recorded(&capsule);
        shuffled += crowded;
        for (shards, seed) in [(1, 1), (2, 2), (8, 3)] {
            let catalog = Catalog::new();
            let mut rng = Rng::with_seed(seed);
            let mut engine = engine(&capsule.config, &capsule.patterns, shards, catalog.clone(), seed == 3);
            let (mut effects, mut text) = (Effects::default(), String::new());
            for (between, now) in &ticks {
                hand_in(between, &mut engine, &catalog, Some(&mut rng), &mut effects);
                engine.handle(Input::Tick(*now), &mut effects);
                lines(&mut effects.log, &mut text);
                effects.clear();
            }
            let differs = difference(&text, &capsule.decisions);
            assert!(
                differs.is_none(),
                "{} with {shards} shards: {}",
                dir.display(),
                differs.unwrap()
            );
        }
        replayed += 1;
    }
    assert!(replayed >= 8, "only {replayed} capsules");
    assert!(shuffled > 10, "only {shuffled} ticks had anything to shuffle");
}

// ---- made-up plants ----

/// A plant with two services, so that verdicts, plans, permits and their ends are in the log as well.
const PLANT: &str = r#"
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
const BEGIN: i64 = 1_000_000;
const TICK_MS: i64 = 500;

/// Something out of the ordinary: what, of whom, when within the tick, how late it is dated, a number.
type Odd = (u8, u8, i64, i64, f64);

/// A fault: of whom, from which tick, for how many.
type Fault = (u8, usize, usize);

#[derive(Clone, Debug)]
struct Scenario {
    odd: Vec<Vec<Odd>>,
    faults: Vec<Fault>,
}

fn scenarios() -> impl Strategy<Value = Scenario> {
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

fn usual(tick: usize, faults: &[Fault], arrivals: &mut Vec<Arrival>) {
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

fn odd(tick: usize, (what, who, within, late, number): Odd) -> Vec<Arrival> {
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
struct Runners {
    told: Vec<Input>,
}

impl Runners {
    fn hear(&mut self, effects: &Effects, at: Timestamp) {
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

fn log(scenario: &Scenario, shards: usize, seed: Option<u64>) -> String {
    let catalog = Catalog::new();
    let mut engine = engine(
        PLANT,
        &[],
        shards,
        catalog.clone(),
        seed.is_some_and(|seed| seed % 2 == 1),
    );
    let (mut effects, mut text, mut runners) = (Effects::default(), String::new(), Runners::default());
    let mut rng = seed.map(Rng::with_seed);
    for (tick, odds) in scenario.odd.iter().enumerate() {
        let now = Timestamp::from_millis(BEGIN + (i64::try_from(tick).unwrap() + 1) * TICK_MS);
        let mut between = Between {
            told: std::mem::take(&mut runners.told),
            ..Between::default()
        };
        usual(tick, &scenario.faults, &mut between.arrivals);
        between.arrivals.extend(odds.iter().flat_map(|one| odd(tick, *one)));
        let until = now + Span::secs(10).0;
        between.told.push(Input::Lease(Lease {
            epoch: 1,
            seq: 0,
            until,
        }));
        if tick % 17 == 9 {
            let by = "test".to_owned();
            between
                .told
                .push(Input::Operator(OperatorCommand::Hold { on: tick % 34 == 9, by }));
        }
        hand_in(&between, &mut engine, &catalog, rng.as_mut(), &mut effects);
        engine.handle(Input::Tick(now), &mut effects);
        runners.hear(&effects, now);
        lines(&mut effects.log, &mut text);
        // Not only the log: what is done about it, too.
        text += &format!("{:?} {:?} {:?}\n", effects.probes, effects.notify, effects.permits);
        effects.clear();
    }
    text
}

#[test]
fn the_made_up_plant_has_plans_in_its_log() {
    let scenario = Scenario {
        odd: vec![Vec::new(); 30],
        faults: vec![(0, 6, 20)],
    };
    let log = log(&scenario, 1, None);
    for word in [
        "\"record\":\"finding\"",
        "\"record\":\"plan\"",
        "\"record\":\"permit\"",
        "\"outcome\":\"done\"",
    ] {
        assert!(log.contains(word), "no {word} in\n{log}");
    }
}

/// A plant's life is long and is lived six times: few by default, more by `PROPTEST_CASES`.
fn cases() -> u32 {
    std::env::var("PROPTEST_CASES")
        .ok()
        .and_then(|cases| cases.parse().ok())
        .unwrap_or(6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), ..ProptestConfig::default() })]

    #[test]
    fn shards_and_the_order_of_arrival_change_no_byte_of_the_decision_log(scenario in scenarios(), seed in any::<u64>()) {
        let one = log(&scenario, 1, None);
        for (shards, seed) in [(2, None), (8, None), (1, Some(seed)), (2, Some(seed ^ 1)), (8, Some(seed.rotate_left(7)))] {
            let other = log(&scenario, shards, seed);
            let differs = difference(&one, &other);
            prop_assert!(differs.is_none(), "{} shards, {:?}: {}", shards, seed, differs.unwrap());
        }
    }
}
