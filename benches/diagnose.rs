//! From measurements in memory to a ranking: a system of services with metrics, and the change search over spans.
//!
//! `cargo bench --bench diagnose`. Medians of five rounds. Beside it, on the same cases in the same run, BARO as `baro.py` has it, where python3 and numpy are.

use std::fmt::Write as _;
use std::hint::black_box;
use std::path::Path;
use std::process::Command;
use std::time::Instant;

use jurymast::diagnose::causal::{Evidence, Link, Measure, Node, Seen, Series, Signal, diagnose};
use jurymast::diagnose::traces::{LogRow, SpanRow, Story};

const ROUNDS: usize = 5;

fn median(mut times: Vec<f64>) -> f64 {
    times.sort_by(f64::total_cmp);
    times[times.len() / 2]
}

fn timed(what: &str, mut run: impl FnMut()) {
    let times = (0..ROUNDS)
        .map(|_| {
            let begun = Instant::now();
            run();
            begun.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    println!("{what}: {:.2} ms", median(times));
}

/// Rows after the fault of the cases that both are timed on.
const AFTER: usize = 30;

/// A tree of services, three called by each, with two hours of a value a minute.
fn system(services: usize) -> Evidence {
    case(services, services / 2, 3)
}

/// The same with the fault at one of them.
fn case(services: usize, culprit: usize, after: usize) -> Evidence {
    let mut evidence = Evidence {
        period_s: 60.0,
        seen: Some(Seen {
            node: 0,
            measure: Measure::Latency,
        }),
        ..Evidence::default()
    };
    for node in 0..services {
        evidence.nodes.push(Node {
            name: format!("service-{node}"),
            view_only: false,
        });
        if node > 0 {
            evidence.links.push(Link {
                caller: (node - 1) / 3,
                callee: node,
            });
        }
        for (measure, level) in [
            (Measure::CpuShare, 20.0),
            (Measure::Memory, 300.0),
            (Measure::Latency, 0.05),
            (Measure::Requests, 50.0),
        ] {
            let value = |row: usize| level * (1.0 + 0.05 * ((row * 31 + node * 7) % 13) as f64 / 13.0);
            let faulty = node == culprit && measure != Measure::Requests;
            evidence.signals.push(Signal {
                node,
                measure,
                name: format!("{measure:?}"),
                series: Series {
                    before: (0..120).map(value).collect(),
                    after: (0..after)
                        .map(|row| value(row + 120) * if faulty { 4.0 } else { 1.0 })
                        .collect(),
                },
            });
        }
    }
    evidence
}

/// Half an hour of requests through a chain of ten services.
fn story(requests: i64) -> Story {
    let mut story = Story::new();
    for request in 0..requests {
        let start_ns = request * 1_800_000_000_000 / requests;
        let trace = format!("t{request}");
        let mut parent = "root".to_owned();
        for depth in 0..10 {
            let span = format!("s{request}-{depth}");
            let service = format!("service-{depth}");
            story.push_span(&SpanRow {
                trace: &trace,
                span: &span,
                parent: &parent,
                service: &service,
                operation: "serve",
                start_ns: start_ns + depth,
                end_ns: start_ns + 1_000_000 - depth,
            });
            story.push_line(&LogRow {
                span: &span,
                service: &service,
                time_ns: start_ns + depth,
                text: "INFO request served",
            });
            parent = span;
        }
    }
    story.finish();
    story
}

/// The cases as tables for `baro.py`: a column for each node and measure, the row of the fault and the culprit in the file's name.
fn tables(cases: &[(usize, Evidence)], dir: &Path) -> std::io::Result<()> {
    for (number, (culprit, evidence)) in cases.iter().enumerate() {
        let names: Vec<String> = evidence
            .signals
            .iter()
            .map(|signal| format!("service-{}_{}", signal.node, signal.name))
            .collect();
        let mut text = names.join(",") + "\n";
        let rows = evidence
            .signals
            .first()
            .map_or(0, |signal| signal.series.before.len() + AFTER);
        for row in 0..rows {
            for (place, signal) in evidence.signals.iter().enumerate() {
                let series = &signal.series;
                let value = series
                    .before
                    .iter()
                    .chain(&series.after)
                    .nth(row)
                    .copied()
                    .unwrap_or(f64::NAN);
                let _ = write!(text, "{}{value}", if place > 0 { "," } else { "" });
            }
            text.push('\n');
        }
        std::fs::write(dir.join(format!("{number:03}@120@service-{culprit}.csv")), text)?;
    }
    Ok(())
}

/// How many times as long BARO in Python takes.
fn beside_baro(services: usize) {
    let cases: Vec<(usize, Evidence)> = (0..8)
        .map(|number| (1 + number * (services - 1) / 8, number))
        .map(|(culprit, _)| (culprit, case(services, culprit, AFTER)))
        .collect();
    let Ok(dir) = tempfile::tempdir() else { return };
    if tables(&cases, dir.path()).is_err() {
        println!("SKIPPED BARO: no temporary folder can be written to");
        return;
    }
    let mut right = 0;
    let ours = median(
        (0..ROUNDS)
            .map(|_| {
                right = 0;
                let begun = Instant::now();
                for (culprit, evidence) in &cases {
                    let ranking = black_box(diagnose(black_box(evidence)));
                    right += usize::from(
                        ranking
                            .nodes
                            .first()
                            .is_some_and(|first| first.node == format!("service-{culprit}")),
                    );
                }
                begun.elapsed().as_secs_f64() * 1e3 / cases.len() as f64
            })
            .collect(),
    );
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("benches/baro.py");
    let told = Command::new("python3").arg(script).arg(dir.path()).output();
    let told = told.ok().filter(|told| told.status.success());
    let Some(told) = told.and_then(|told| serde_json::from_slice::<serde_json::Value>(&told.stdout).ok()) else {
        println!("SKIPPED BARO: python3 with numpy is not here");
        return;
    };
    let number = |name: &str| told[name].as_f64().unwrap_or(f64::NAN);
    println!(
        "{services} services, {} cases: {ours:.3} ms a case ({right} right); BARO in numpy {:.1} ms ({:.0} times, {} right), its scorer alone, told the moment as we are, {:.2} ms ({:.1} times, {} right)",
        cases.len(),
        number("baro_ms"),
        number("baro_ms") / ours,
        told["baro_right"],
        number("scorer_ms"),
        number("scorer_ms") / ours,
        told["right"],
    );
}

fn main() {
    for services in [12, 40] {
        beside_baro(services);
    }
    for services in [10, 50, 200] {
        let evidence = system(services);
        timed(&format!("rank {services} services"), || {
            black_box(diagnose(black_box(&evidence)));
        });
    }
    let begun = Instant::now();
    let story = story(20_000);
    println!(
        "200000 spans and lines taken in and linked: {:.2} ms",
        begun.elapsed().as_secs_f64() * 1e3
    );
    timed("changes among 200000 spans", || {
        black_box(story.changes(1_500_000_000_000, 1_680_000_000_000));
    });
}
