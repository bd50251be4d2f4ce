//! The decision log depends on what arrived until a tick and on nothing else: not on the number of shards, not on the order of
//! arrival, not on which numbers names were given, not on how the arrivals were cut into batches.

mod plant;

use std::path::Path;
use std::sync::Arc;

use fastrand::Rng;
use jurymast::agent::{Threads, engine_setup};
use jurymast::capsule::Capsule;
use jurymast::config::Config;
use jurymast::detect::{Parallel, Sequential};
use jurymast::diagnose::Library;
use jurymast::engine::{Effects, Engine, Input, OperatorCommand, Record};
use jurymast::model::{Batch, Catalog, Event, Lease, Sample, Span, Timestamp};
use jurymast::plan::Playbooks;
use proptest::prelude::*;
use proptest::test_runner::FileFailurePersistence;

use plant::{BEGIN, PLANT, Runners, Scenario, TICK_MS, odd, scenarios, usual};

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

/// Cases that failed once are tried again: they stand in a file beside this one.
const SEEDS: FileFailurePersistence = FileFailurePersistence::WithSource("proptest-regressions");

proptest! {
    #![proptest_config(ProptestConfig { cases: cases(), failure_persistence: Some(Box::new(SEEDS)), ..ProptestConfig::default() })]

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
