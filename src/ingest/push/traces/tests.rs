//! Spans in, signals and edges out; the order of arrival, Zipkin's shared numbers, those who send nothing, and the bounds.

use std::time::Duration;

use super::weaver::{Bounds, Weaver};
use super::{Role, SpanSettings, Work};
use crate::model::{Batch, Catalog, EntityKind, EventKind, Span, Timestamp, Topology};

fn work(service: &str, id: u64, parent: Option<u64>, role: Role, seconds: f64) -> Work {
    Work {
        trace: 7,
        id,
        parent,
        shared: false,
        service: service.into(),
        operation: "work".into(),
        role,
        seconds,
        failed: false,
        peer: None,
        ended: Timestamp::EPOCH,
    }
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_secs(second)
}

struct Bench {
    weaver: Weaver,
    catalog: Catalog,
    topology: Topology,
}

impl Bench {
    fn new(bounds: Bounds) -> Self {
        let settings = SpanSettings {
            edge_calls: 1,
            edge_age: Span::secs(60),
            ..SpanSettings::default()
        };
        let mut weaver = Weaver::new(settings, bounds);
        let catalog = Catalog::new();
        weaver.flush(at(0), &catalog, &mut Batch::default());
        Self {
            weaver,
            catalog,
            topology: Topology::new(),
        }
    }

    fn flush(&mut self, second: i64) -> Vec<String> {
        let mut out = Batch::default();
        self.weaver.flush(at(second), &self.catalog, &mut out);
        for event in &out.events {
            if let EventKind::Topology(change) = &event.kind {
                self.topology.apply(change);
            }
        }
        let word = |sample: &crate::model::Sample| {
            let (entity, signal) = self.catalog.parts(sample.series).unwrap();
            let (entity, signal) = (self.catalog.entity_name(entity), self.catalog.signal_name(signal));
            format!("{entity}/{signal}={:.3}", sample.value)
        };
        out.samples.iter().map(word).collect()
    }

    fn edges(&self) -> Vec<String> {
        let edges = self.topology.edges();
        edges.map(|(from, _, to)| format!("{from}>{to}")).collect()
    }
}

#[test]
fn a_call_is_an_edge_whichever_side_is_told_first() {
    for swapped in [false, true] {
        let mut bench = Bench::new(Bounds::default());
        let mut spans = [
            work("shop", 1, None, Role::Server, 0.5),
            work("shop", 2, Some(1), Role::Client, 0.4),
            work("stock", 3, Some(2), Role::Server, 0.1),
            work("stock", 4, Some(3), Role::Inside, 0.1),
        ];
        if swapped {
            spans.reverse();
        }
        for span in &spans {
            bench.weaver.take(span, at(1));
        }
        let said = bench.flush(10);
        assert_eq!(bench.edges(), ["shop>stock"], "{swapped}");
        for wanted in [
            "shop/span_requests_per_second=0.100",
            "shop/span_latency_seconds=0.500",
            "shop/call_requests_per_second{to=\"stock\"}=0.100",
            "shop/call_latency_seconds{to=\"stock\"}=0.400",
            "shop/call_network_seconds{to=\"stock\"}=0.300",
            "stock/span_requests_per_second{kind=\"server\",operation=\"work\"}=0.100",
        ] {
            assert!(said.contains(&wanted.to_owned()), "{wanted} is not in {said:?}");
        }
        assert_eq!(bench.flush(20), Vec::<String>::new(), "nothing sent is nothing told");
    }
}

#[test]
fn how_often_each_step_is_taken_is_told_until_it_is_not_taken_any_more() {
    for swapped in [false, true] {
        let mut bench = Bench::new(Bounds::default());
        let request = |number: u64, reserves: bool, second: i64, bench: &mut Bench| {
            let mut spans = vec![
                Work {
                    operation: "GET /cart".into(),
                    ..work("shop", 1, None, Role::Server, 0.5)
                },
                Work {
                    operation: "price".into(),
                    ..work("shop", 2, Some(1), Role::Inside, 0.1)
                },
            ];
            if reserves {
                spans.push(Work {
                    operation: "reserve".into(),
                    ..work("stock", 3, Some(1), Role::Server, 0.1)
                });
            }
            if swapped {
                spans.reverse();
            }
            for span in spans {
                let trace = u128::from(number);
                bench.weaver.take(&Work { trace, ..span }, at(second));
            }
        };
        for number in 1..=4 {
            request(number, number % 2 == 0, 1, &mut bench);
        }
        let steps = |said: Vec<String>| -> Vec<String> {
            said.into_iter()
                .filter(|said| said.contains("span_steps_per_request"))
                .collect()
        };
        let step = |step: &str, share: &str| {
            format!("shop/span_steps_per_request{{operation=\"GET /cart\",step=\"{step}\"}}={share}")
        };
        let mut said = steps(bench.flush(10));
        said.sort();
        assert_eq!(
            said,
            [step("price", "1.000"), step("stock reserve", "0.500")],
            "{swapped}"
        );
        request(9, false, 11, &mut bench);
        let mut said = steps(bench.flush(20));
        said.sort();
        assert_eq!(
            said,
            [step("price", "1.000"), step("stock reserve", "0.000")],
            "{swapped}"
        );
        assert_eq!(
            steps(bench.flush(30)),
            Vec::<String>::new(),
            "of what was not done nothing is said"
        );
    }
}

#[test]
fn both_sides_of_zipkins_shared_spans_are_told_apart() {
    for swapped in [false, true] {
        let mut bench = Bench::new(Bounds::default());
        let mut spans = [
            work("shop", 2, None, Role::Client, 0.4),
            Work {
                shared: true,
                ..work("stock", 2, None, Role::Server, 0.1)
            },
            work("stock", 4, Some(2), Role::Client, 0.1),
        ];
        if swapped {
            spans.reverse();
        }
        for span in &spans {
            bench.weaver.take(span, at(1));
        }
        bench.flush(10);
        assert_eq!(bench.edges(), ["shop>stock"], "{swapped}");
    }
}

#[test]
fn one_who_sends_no_spans_is_known_from_who_asks_and_a_queue_is_no_call() {
    let mut bench = Bench::new(Bounds::default());
    bench.weaver.take(
        &Work {
            peer: Some(("store".into(), EntityKind::Database)),
            failed: true,
            ..work("shop", 1, None, Role::Client, 3.0)
        },
        at(1),
    );
    bench.weaver.take(&work("shop", 2, None, Role::Producer, 0.1), at(1));
    bench.weaver.take(&work("mail", 3, Some(2), Role::Consumer, 0.1), at(1));
    let said = bench.flush(10);
    assert_eq!(bench.edges(), ["shop>store"]);
    assert_eq!(bench.topology.kind("store"), EntityKind::Database);
    assert!(
        said.contains(&"shop/call_error_ratio{to=\"store\"}=1.000".to_owned()),
        "{said:?}"
    );
}

#[test]
fn an_edge_without_calls_is_forgotten_and_told_again_when_it_is_back() {
    let mut bench = Bench::new(Bounds::default());
    let pair = [
        work("shop", 2, None, Role::Client, 0.4),
        work("stock", 3, Some(2), Role::Server, 0.1),
    ];
    for span in &pair {
        bench.weaver.take(span, at(1));
    }
    bench.flush(10);
    bench.flush(60);
    assert_eq!(bench.edges(), ["shop>stock"]);
    bench.flush(70);
    assert_eq!(bench.edges(), Vec::<String>::new());
    for span in &pair {
        bench.weaver.take(span, at(71));
    }
    bench.flush(80);
    assert_eq!(bench.edges(), ["shop>stock"]);
}

#[test]
fn whatever_is_sent_no_bound_is_passed() {
    let bounds = Bounds {
        services: 3,
        operations: 2,
        edges: 2,
        steps: 4,
        spans: 10,
        age: Duration::from_secs(10),
    };
    let mut bench = Bench::new(bounds);
    for number in 0..500_u64 {
        let span = Work {
            trace: u128::from(number % 97) + 1,
            operation: format!("op{number}"),
            ..work(
                &format!("s{}", number % 5),
                number,
                Some(number / 2 + 1),
                Role::Server,
                0.1,
            )
        };
        bench.weaver.take(&span, at(1));
        assert!(bench.weaver.size().remembered <= 12);
    }
    let size = bench.weaver.size();
    assert_eq!((size.services, size.calls <= 2, size.steps <= 4), (3, true, true));
    // The two, and what lies beyond them.
    assert!(size.operations <= 3);
    assert!(bench.weaver.dropped > 0);
    bench.flush(10);
}
