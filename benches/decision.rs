//! Guards one figure: from the deciding sample to the call of the first executor, in one process with 100,000 live series, at most
//! 2 ms at the 99th percentile. The two writes to the journal that stand in this path are timed apart: they are the disk's.
//!
//! A fleet of 10,000 devices with 10 signals each; 200 services, of which one after the other says that it fails. One sample is enough for
//! the rule; hold-off and confirmation are off, so that nothing but our own work is timed.

use std::fmt::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use jurymast::act::runner::{Command, Event, Runner};
use jurymast::agent::engine_setup;
use jurymast::config::Config;
use jurymast::detect::Sequential;
use jurymast::diagnose::Library;
use jurymast::engine::{Effects, Engine, Input, PlanEvent};
use jurymast::model::event::{Check, EventKind, Reach};
use jurymast::model::{Batch, Catalog, Lease, Sample, SeriesId, Span, Timestamp};
use jurymast::plan::Playbooks;

const DEVICES: usize = 10_000;
const SIGNALS: usize = 10;
const SERVICES: usize = 200;

fn main() {
    let text = config();
    let config = Config::parse(&text).unwrap_or_else(|error| panic!("{}", error.message));
    let catalog = Catalog::new();
    let (library, playbooks) = (Arc::new(Library::builtin()), Arc::new(Playbooks::builtin()));
    let setup = engine_setup(&config, library, playbooks, catalog.clone(), Box::new(Sequential));
    let mut engine = Engine::new(setup).unwrap_or_else(|error| panic!("{error}"));
    let mut effects = Effects::default();
    let start = Timestamp::from_secs(1_000_000);
    let lease = Lease {
        epoch: 1,
        seq: 0,
        until: start + Duration::from_secs(100_000),
    };
    engine.handle(Input::Lease(lease), &mut effects);
    let series: Vec<_> = (0..DEVICES)
        .flat_map(|device| (0..SIGNALS).map(move |signal| (device, signal)))
        .map(|(device, signal)| catalog.series(&format!("device-{device}"), &format!("signal_{signal}")))
        .collect();
    let says: Vec<_> = (0..SERVICES)
        .map(|i| catalog.series(&format!("primary-{i}"), "ok"))
        .collect();
    let mut now = start;
    let mut chance = fastrand::Rng::with_seed(1);
    let mut round = |engine: &mut Engine, effects: &mut Effects| {
        now = now + Duration::from_secs(1);
        let mut batch = Batch::default();
        batch
            .samples
            .extend(series.iter().map(|s| sample(*s, now, 20.0 + chance.f64())));
        batch.samples.extend(says.iter().map(|s| sample(*s, now, 1.0)));
        engine.handle(Input::Batch(batch), effects);
        for i in 0..SERVICES {
            for role in ["primary", "standby"] {
                let reach = Reach::Good { took: Span::millis(1) };
                let event = jurymast::model::Event {
                    entity: format!("{role}-{i}").as_str().into(),
                    at: now,
                    seen: now,
                    kind: EventKind::Reach {
                        vantage: "jurymast".into(),
                        check: Check::Probe,
                        reach,
                        asked: None,
                    },
                };
                engine.handle(Input::Event(event), effects);
            }
        }
        engine.handle(Input::Tick(now), effects);
        effects.clear();
        now
    };
    for _ in 0..5 {
        round(&mut engine, &mut effects);
    }
    let journal = tempfile::tempdir().unwrap_or_else(|error| panic!("{error}"));
    let mut disk = std::fs::File::create(journal.path().join("journal")).unwrap_or_else(|error| panic!("{error}"));
    let (mut ours, mut fsyncs, mut called) = (Vec::new(), Vec::new(), 0);
    for (i, bad) in says.iter().enumerate() {
        let mut at = round(&mut engine, &mut effects);
        at = at + Duration::from_millis(1);
        let mut batch = Batch::default();
        batch.samples.push(sample(*bad, at, 0.0));
        let begun = Instant::now();
        engine.handle(Input::Batch(batch), &mut effects);
        engine.handle(Input::Tick(at), &mut effects);
        let Some(plan) = effects.start.pop() else {
            panic!("service {i} was not moved: {:?}", effects.log);
        };
        let id = plan.id.clone();
        let (mut runner, mut waiting) = (Runner::new(plan), vec![Event::Start]);
        let mut on_disk = Duration::ZERO;
        'act: while let Some(event) = waiting.pop() {
            for command in runner.handle(event) {
                match command {
                    Command::Journal(entry) => {
                        let written = Instant::now();
                        let line = serde_json::to_vec(&entry).unwrap_or_default();
                        std::io::Write::write_all(&mut disk, &line).unwrap_or_else(|error| panic!("{error}"));
                        disk.sync_data().unwrap_or_else(|error| panic!("{error}"));
                        on_disk += written.elapsed();
                        waiting.push(Event::Journaled);
                    }
                    Command::Ask { step, committed, .. } => {
                        let plan = id.clone();
                        engine.handle(Input::Plan(PlanEvent::Asks { plan, step, committed }), &mut effects);
                        engine.handle(Input::Tick(at), &mut effects);
                        if let Some(permit) = effects.permits.pop() {
                            waiting.push(Event::Permit(permit.refusal.map(|refusal| refusal.reason)));
                        }
                    }
                    Command::Apply { .. } | Command::Observe { .. } => {
                        called += 1;
                        break 'act;
                    }
                    _ => {}
                }
            }
        }
        ours.push(begun.elapsed().saturating_sub(on_disk));
        fsyncs.push(on_disk);
        effects.clear();
    }
    assert_eq!(called, SERVICES, "each decision reaches its executor");
    let spread = |times: &mut Vec<Duration>| {
        times.sort_unstable();
        let at = |share: f64| times[((times.len() - 1) as f64 * share) as usize].as_secs_f64() * 1e3;
        format!("p50 {:.3} ms, p99 {:.3} ms", at(0.5), at(0.99))
    };
    println!("{} live series, {SERVICES} decisions", DEVICES * SIGNALS + SERVICES);
    println!(
        "deciding sample to executor call, without the disk: {} (bar: p99 2)",
        spread(&mut ours)
    );
    println!(
        "two durable journal entries:                        {}",
        spread(&mut fsyncs)
    );
}

const fn sample(series: SeriesId, at: Timestamp, value: f64) -> Sample {
    Sample {
        series,
        retained: false,
        at,
        seen: at,
        value,
    }
}

fn config() -> String {
    let (mut entities, mut services) = (String::new(), String::new());
    for i in 0..SERVICES {
        for role in ["primary", "standby"] {
            let _ = writeln!(
                entities,
                "    - {{name: {role}-{i}, kind: service, attributes: {{address: '127.0.0.1:1', haproxy_server: {role}-{i}}}}}"
            );
        }
        let _ = writeln!(
            services,
            "  - {{name: svc-{i}, active: primary-{i}, standbys: [{{entity: standby-{i}}}], hold_off: 0s, confirm: 0, playbook: haproxy-switch, vars: {{socket: /run/none.sock, backend: be{i}}}, probe: {{uses: http, with: {{url: 'http://{{address}}/'}}, interval: 2s}}}}"
        );
    }
    format!(
        "agent: {{name: jurymast, data_dir: data}}\nsources: {{}}\ntopology:\n  entities:\n{entities}services:\n{services}detect:\n  threshold:\n    - {{name: says-it-fails, signal: ok, below: 0.5, means: failing}}\npolicy:\n  fleet_budget: {{moves: {SERVICES}, window: 1h}}\n  zone_budget: {{moves: {SERVICES}, window: 1h}}\n  max_red_share: 1\n"
    )
}
