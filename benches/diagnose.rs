//! From measurements in memory to a ranking: a system of services with metrics, and the change search over spans.
//!
//! `cargo bench --bench diagnose`. Medians of five rounds.

use std::hint::black_box;
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

/// A tree of services, three called by each, with two hours of a value a minute.
fn system(services: usize) -> Evidence {
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
            let faulty = node == services / 2 && measure != Measure::Requests;
            evidence.signals.push(Signal {
                node,
                measure,
                name: format!("{measure:?}"),
                series: Series {
                    before: (0..120).map(value).collect(),
                    after: (0..3).map(|row| value(row) * if faulty { 4.0 } else { 1.0 }).collect(),
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

fn main() {
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
