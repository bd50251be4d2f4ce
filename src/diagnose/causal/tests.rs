//! Each scorer on a graph small enough to see the answer.

use super::scorers::{Calls, Carried, Network, Onset, OwnTime, Resource, Steps, Walk};
use super::*;

const SHOP: usize = 0;
const CART: usize = 1;
const STORE: usize = 2;

/// `shop` calls `cart`, `cart` calls `store`.
fn chain() -> Evidence {
    let node = |name: &str| Node {
        name: name.into(),
        view_only: false,
    };
    Evidence {
        nodes: vec![node("shop"), node("cart"), node("store")],
        links: vec![
            Link {
                caller: SHOP,
                callee: CART,
            },
            Link {
                caller: CART,
                callee: STORE,
            },
        ],
        period_s: 60.0,
        ..Evidence::default()
    }
}

/// Twenty restless values around the one level, then three at the other.
fn step(before: f64, after: f64) -> Series {
    let restless = |at: usize| before * (1.0 + 0.02 * ((at * 7 % 5) as f64 - 2.0));
    Series {
        before: (0..20).map(restless).collect(),
        after: vec![after; 3],
    }
}

impl Evidence {
    fn with(mut self, node: usize, measure: Measure, before: f64, after: f64) -> Self {
        self.signals.push(Signal {
            node,
            measure,
            name: format!("{measure:?}"),
            series: step(before, after),
        });
        self
    }

    fn changed(mut self, node: usize, change: Change, surprise: f64, what: &str, in_log: bool) -> Self {
        self.behaviours.push(Behaviour {
            node,
            change,
            surprise,
            coverage: 1.0,
            factor: 1.0,
            in_log,
            what: what.into(),
        });
        self
    }
}

/// The node that a scorer weighs most, with the kind.
fn first(scorer: &dyn Scorer, evidence: &Evidence) -> Option<(usize, Kind)> {
    scorer
        .score(evidence)
        .into_iter()
        .max_by(|a, b| a.weight.total_cmp(&b.weight))
        .map(|finding| (finding.node, finding.kind))
}

#[test]
fn a_processor_at_its_limit_is_a_resource_fault() {
    let evidence = chain()
        .with(CART, Measure::CpuShare, 5.0, 90.0)
        .with(SHOP, Measure::CpuShare, 0.5, 1.5);
    assert_eq!(first(&Resource, &evidence), Some((CART, Kind::CpuContention)));
    let tiny: f64 = Resource
        .score(&evidence)
        .iter()
        .filter(|f| f.node == SHOP)
        .map(|f| f.weight)
        .sum();
    assert!(tiny < 0.5, "a point more is nothing, however steady it was: {tiny}");
}

#[test]
fn time_lost_on_the_way_names_whom_all_calls_reach_late() {
    let mut evidence = chain();
    evidence.links.push(Link {
        caller: SHOP,
        callee: STORE,
    });
    evidence.gaps = vec![
        Gap {
            link: evidence.links[0],
            series: step(0.003, 0.003),
        },
        Gap {
            link: evidence.links[1],
            series: step(0.003, 0.3),
        },
        Gap {
            link: evidence.links[2],
            series: step(0.003, 0.3),
        },
    ];
    assert_eq!(first(&Network, &evidence), Some((STORE, Kind::NetworkDelay)));
}

#[test]
fn own_shift_is_what_those_it_calls_do_not_explain() {
    let evidence = chain()
        .with(SHOP, Measure::Latency, 0.1, 0.6)
        .with(CART, Measure::Latency, 0.05, 0.55)
        .with(STORE, Measure::Latency, 0.01, 0.01);
    assert_eq!(first(&OwnTime, &evidence), Some((CART, Kind::Slow)));
}

#[test]
fn who_carries_the_symptom_is_ahead_of_a_larger_oddity() {
    let mut evidence = chain()
        .with(SHOP, Measure::Latency, 0.1, 0.2)
        .with(SHOP, Measure::Requests, 1000.0, 1000.0)
        .with(CART, Measure::Latency, 0.05, 0.15)
        .with(CART, Measure::Requests, 1000.0, 1000.0)
        .with(STORE, Measure::Latency, 1.0, 9.0)
        .with(STORE, Measure::Requests, 2.0, 2.0);
    evidence.seen = Some(Seen {
        node: SHOP,
        measure: Measure::Latency,
    });
    assert_eq!(first(&Carried, &evidence), Some((CART, Kind::Slow)));
    assert_eq!(diagnose(&evidence).nodes[0].node, "cart");
}

#[test]
fn failed_requests_are_blamed_on_the_deepest_that_fails() {
    let mut evidence = chain();
    for node in [SHOP, CART, STORE] {
        evidence = evidence
            .with(node, Measure::Availability, 100.0, 90.0)
            .with(node, Measure::Requests, 100.0, 100.0);
    }
    evidence.seen = Some(Seen {
        node: SHOP,
        measure: Measure::Availability,
    });
    assert_eq!(first(&Carried, &evidence), Some((STORE, Kind::Failing)));
    assert_eq!(first(&Walk, &evidence).map(|(node, _)| node), Some(STORE));
}

#[test]
fn one_end_of_an_edge_steps_back_behind_the_other() {
    let mut evidence = chain();
    evidence.links = vec![
        Link {
            caller: SHOP,
            callee: CART,
        },
        Link {
            caller: SHOP,
            callee: STORE,
        },
    ];
    evidence.nodes[STORE].view_only = true;
    for node in [SHOP, CART, STORE] {
        evidence = evidence
            .with(node, Measure::Latency, 0.1, 0.5)
            .with(node, Measure::Requests, 100.0, 100.0);
    }
    evidence.seen = Some(Seen {
        node: SHOP,
        measure: Measure::Latency,
    });
    assert_eq!(first(&Carried, &evidence).map(|(node, _)| node), Some(CART));
}

#[test]
fn calls_no_longer_made_name_the_caller() {
    let evidence = chain()
        .with(SHOP, Measure::Requests, 9.0, 9.0)
        .with(CART, Measure::Requests, 5.0, 5.0)
        .with(STORE, Measure::Requests, 5.0, 0.0);
    assert_eq!(first(&Calls, &evidence).map(|(node, _)| node), Some(CART));
    let all_less = chain()
        .with(CART, Measure::Requests, 5.0, 0.1)
        .with(STORE, Measure::Requests, 5.0, 0.1);
    assert_eq!(
        first(&Calls, &all_less),
        None,
        "who is called less himself stops nothing"
    );
}

#[test]
fn the_first_to_begin_leads_where_sampling_is_fine_enough() {
    let mut evidence = chain();
    evidence.period_s = 1.0;
    for (node, lag) in [(SHOP, 20), (CART, 2), (STORE, 30)] {
        let mut series = step(1.0, 1.0);
        series.after = (0..60).map(|row| if row >= lag { 9.0 } else { 1.0 }).collect();
        evidence.signals.push(Signal {
            node,
            measure: Measure::Other,
            name: "x".into(),
            series,
        });
    }
    assert_eq!(first(&Onset, &evidence).map(|(node, _)| node), Some(CART));
    evidence.period_s = 60.0;
    assert_eq!(first(&Onset, &evidence), None);
}

#[test]
fn steps_tell_an_exception_from_a_return() {
    let kind = |evidence: Evidence| first(&Steps, &evidence).map(|(_, kind)| kind);
    assert_eq!(
        kind(chain().changed(CART, Change::Failed, 20.0, "ERROR not found", true)),
        Some(Kind::Return)
    );
    assert_eq!(
        kind(chain().changed(CART, Change::Failed, 20.0, "caught NullPointerException", true)),
        Some(Kind::Exception)
    );
    assert_eq!(
        kind(chain().changed(CART, Change::Vanished, 20.0, "INFO saved", true)),
        Some(Kind::Exception)
    );
    assert_eq!(
        kind(chain().changed(CART, Change::Vanished, 20.0, "→ store put", false)),
        Some(Kind::Return)
    );
    assert_eq!(kind(chain().changed(CART, Change::Vanished, 2.0, "chance", true)), None);
}

#[test]
fn work_of_one_kind_alone_consumes_and_all_of_it_is_starved() {
    let slower = |evidence: Evidence, factor: f64| {
        let mut evidence = evidence.changed(CART, Change::Slower, 20.0, "works longer", false);
        if let Some(last) = evidence.behaviours.last_mut() {
            last.factor = factor;
        }
        evidence
    };
    let busy = || chain().with(CART, Measure::CpuShare, 5.0, 95.0);
    assert_eq!(
        diagnose(&slower(slower(busy(), 900.0), 3.0)).nodes[0].kind,
        Kind::CpuConsumed
    );
    assert_eq!(
        diagnose(&slower(slower(busy(), 9.0), 5.0)).nodes[0].kind,
        Kind::CpuContention
    );
}

#[test]
fn without_evidence_nobody_is_named() {
    let ranking = diagnose(&chain());
    assert!(ranking.nodes.iter().all(|node| node.probability == 0.0));
    assert!((ranking.something_else - 1.0).abs() < 1e-12);
    assert_eq!(
        diagnose(&Evidence::default()),
        Ranking {
            something_else: 1.0,
            ..Ranking::default()
        }
    );
}

#[test]
fn probabilities_are_shares_of_the_whole() {
    let evidence = chain()
        .with(CART, Measure::CpuShare, 5.0, 30.0)
        .with(STORE, Measure::CpuShare, 5.0, 25.0);
    let ranking = diagnose(&evidence);
    let sum: f64 = ranking.nodes.iter().map(|node| node.probability).sum();
    assert!(sum + ranking.something_else <= 1.0 + 1e-9);
    assert!(ranking.nodes[0].probability > ranking.nodes[1].probability);
    assert!(ranking.nodes[0].probability <= 0.95);
}

/// A second a row: restless values, from `begins` rows after the moment on at another level.
fn each_second(level: f64, faulty: f64, begins: usize, salt: usize) -> Series {
    let restless = |at: usize| 1.0 + 0.04 * (((at * 13 + salt * 7) % 11) as f64 / 5.0 - 1.0);
    let after = |at: usize| if at >= begins { faulty } else { level };
    Series {
        before: (0..300).map(|at| level * restless(at)).collect(),
        after: (0..120).map(|at| after(at) * restless(at + 3)).collect(),
    }
}

/// Five services of which nobody knows who calls whom. The culprit's latency rises by so many seconds, that of two callers by a share of it, a row or none later.
fn unlinked(culprit: usize, rise: f64, share: f64, lag: usize) -> Evidence {
    let mut evidence = Evidence {
        period_s: 1.0,
        ..Evidence::default()
    };
    for node in 0..5 {
        let name = format!("service-{node}");
        evidence.nodes.push(Node { name, view_only: false });
        let apart = (node + 5 - culprit) % 5;
        let (rise, lag) = match apart {
            0 => (rise, 0),
            1 | 2 => (rise * share, lag),
            _ => (0.0, 0),
        };
        let mut add = |measure: Measure, series: Series| {
            let name = format!("{measure:?}");
            evidence.signals.push(Signal {
                node,
                measure,
                name,
                series,
            });
        };
        let level = 0.02 + 0.01 * node as f64;
        add(Measure::Latency, each_second(level, level + rise, lag, node));
        // Neither moves, and neither ever rests.
        add(Measure::Memory, each_second(2e8, 2.02e8, 0, node + 5));
        add(Measure::Cpu, each_second(0.4, 0.41, 0, node + 9));
    }
    evidence
}

#[test]
fn what_only_began_with_others_is_never_called_with_certainty() {
    for share in [0.3, 0.6, 0.8, 1.0, 1.1] {
        for rise in [0.02, 0.06, 0.12, 0.3] {
            for culprit in 0..5 {
                let ranking = diagnose(&unlinked(culprit, rise, share, 0));
                let first = &ranking.nodes[0];
                let wrong = first.node != format!("service-{culprit}");
                assert!(!wrong || first.probability < 0.6, "{share} {rise} {culprit}: {first:?}");
            }
        }
    }
}

#[test]
fn probabilities_mean_what_they_say_over_cases_of_several_shapes() {
    let (mut said, mut right, mut cases) = (0.0, 0.0, 0.0);
    for share in [0.2, 0.5, 0.8, 1.0] {
        for rise in [0.03, 0.08, 0.3] {
            for (culprit, lag) in [(0, 0), (1, 0), (2, 3), (3, 0), (4, 6)] {
                let ranking = diagnose(&unlinked(culprit, rise, share, lag));
                let first = &ranking.nodes[0];
                said += first.probability;
                right += f64::from(u8::from(first.node == format!("service-{culprit}")));
                cases += 1.0;
            }
        }
    }
    // It may be wary, and must not be sure of more than comes.
    let (said, right): (f64, f64) = (said / cases, right / cases);
    assert!(said <= right + 0.05 && right > 0.7, "said {said}, right {right}");
}

#[test]
fn a_breath_of_memory_does_not_make_a_delay_one_of_memory() {
    for culprit in 0..5 {
        let ranking = diagnose(&unlinked(culprit, 0.3, 0.5, 2));
        let first = &ranking.nodes[0];
        assert_eq!(
            (first.node.as_str(), first.kind),
            (format!("service-{culprit}").as_str(), Kind::Slow)
        );
    }
    let grown = chain()
        .with(CART, Measure::Memory, 2e8, 6e8)
        .with(CART, Measure::Latency, 0.1, 0.15);
    let ranking = diagnose(&grown);
    assert_eq!(
        (ranking.nodes[0].node.as_str(), ranking.nodes[0].kind),
        ("cart", Kind::Memory)
    );
}
