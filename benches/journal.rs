//! A step's two records, intent and outcome, made durable: beside two plain appends of as many bytes with `fdatasync` on the same disk, in turn in
//! the same run.
//!
//! `cargo bench --bench journal`. The bar is 1.5 times the plain appends.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::time::{Duration, Instant};

use jurymast::act::Journal;
use jurymast::act::journal::{Record, encode};
use jurymast::act::runner::Entry;
use jurymast::model::{Plan, PlanId, PlanKind, Timestamp, Token};

const STEPS: usize = 1000;

/// Compaction as often as in an agent that has a plan each minute would be years; here it happens several times in a run.
const COMPACT_BEYOND: u64 = 256 * 1024;

const BAR: f64 = 1.5;

fn plan() -> Plan {
    let at = Timestamp::from_secs(1);
    Plan {
        id: PlanId("ingest-3-1".into()),
        token: Token { epoch: 3, seq: 1 },
        kind: PlanKind::Failover,
        incident: None,
        service: "ingest".into(),
        from: "ingest-a".into(),
        to: "ingest-b".into(),
        alternatives: Vec::new(),
        steps: Vec::new(),
        made: at,
        deadline: at,
        expected_rto_s: 0.0,
        summary: "move ingest from ingest-a to ingest-b".into(),
    }
}

fn step(step: usize) -> [Record; 2] {
    let (plan, candidate, at) = (plan().id, 0, Timestamp::from_secs(1));
    let intent = Entry::Intent {
        plan: plan.clone(),
        candidate,
        step,
    };
    let done = Entry::Done { plan, candidate, step };
    [intent, done].map(|entry| Record::Plan { at, entry })
}

fn timed(work: impl FnOnce()) -> Duration {
    let begin = Instant::now();
    work();
    begin.elapsed()
}

fn quantile(times: &mut [Duration], q: f64) -> f64 {
    times.sort_unstable();
    let at = ((times.len() - 1) as f64 * q).round() as usize;
    times[at].as_secs_f64() * 1e6
}

fn main() {
    // `cargo test --benches` only wants to know that it runs.
    let steps = if std::env::args().any(|arg| arg == "--bench") {
        STEPS
    } else {
        20
    };
    let dir = tempfile::tempdir_in(Path::new(env!("CARGO_TARGET_TMPDIR"))).expect("a folder");
    let opened = Journal::open(&dir.path().join("journal"), Timestamp::EPOCH).expect("a journal");
    let mut journal = opened.journal.compact_beyond(COMPACT_BEYOND);
    let mut plain = File::options()
        .create(true)
        .append(true)
        .open(dir.path().join("plain"))
        .expect("a file");
    let (mut ours, mut theirs) = (Vec::new(), Vec::new());
    for n in 0..steps {
        if n % 6 == 0 {
            // Plans come and go, so that there is something to leave out.
            let at = Timestamp::from_secs(1);
            let entry = Entry::Plan { plan: Box::new(plan()) };
            journal.append(&Record::Plan { at, entry }).expect("a record");
        }
        let records = step(n % 6);
        let bytes = records.each_ref().map(|record| {
            let mut bytes = Vec::new();
            encode(record, &mut bytes).expect("a record");
            bytes
        });
        let mut journaled = || {
            ours.push(timed(|| {
                for record in &records {
                    journal.append(record).expect("a record");
                }
            }));
        };
        let mut appended = || {
            theirs.push(timed(|| {
                for bytes in &bytes {
                    plain
                        .write_all(bytes)
                        .and_then(|()| plain.sync_data())
                        .expect("an append");
                }
            }));
        };
        // Whoever comes second finds the disk as the other has left it: each is second half of the time.
        if n % 2 == 0 {
            journaled();
            appended();
        } else {
            appended();
            journaled();
        }
        if n % 6 == 5 {
            let entry = Entry::End {
                plan: plan().id,
                outcome: jurymast::model::plan::Outcome::Done {
                    active: "ingest-b".into(),
                },
            };
            let at = Timestamp::from_secs(1);
            journal.append(&Record::Plan { at, entry }).expect("a record");
        }
    }
    println!("a step's two records durable, {steps} steps, microseconds");
    println!("{:<28} {:>9} {:>9} {:>9}", "", "p50", "p90", "p99");
    for (name, times) in [("journal", &mut ours), ("two appends + fdatasync", &mut theirs)] {
        let [p50, p90, p99] = [0.5, 0.9, 0.99].map(|q| quantile(times, q));
        println!("{name:<28} {p50:>9.1} {p90:>9.1} {p99:>9.1}");
    }
    let ratio = quantile(&mut ours, 0.5) / quantile(&mut theirs, 0.5);
    println!(
        "p50 ratio {ratio:.2} (bar {BAR}), journal at the end {} bytes",
        journal.len()
    );
}
