//! Guards the planner: how good an answer is within how much time, on made fleets (`eval::plan::fleet`) of three sizes.
//!
//! Budgets are processor time of this thread where the kernel tells it (so that a busy machine does not falsify them), else wall time.
//! The yardstick is the best bound that the exact solver proves in 20 s; where somebody must stay out, no bound is near, and those left
//! out are counted instead.

use std::time::Instant;

use jurymast::eval::plan::fleet::{Fleet, Spec};
use jurymast::plan::solver::{Budget, Exact, Greedy, Instance, Local, Placement, Solver, check};

const SEEDS: [u64; 3] = [1, 2, 3];

fn main() {
    println!("200 services x 500 nodes, demand 15 % of capacity");
    for seed in SEEDS {
        normal(seed);
    }
    println!("\na zone of five lost: 200 services x 500 nodes");
    for seed in SEEDS {
        zone_lost(seed);
    }
    println!("\nshort of capacity: services left out");
    for (services, nodes, load, bars) in [
        (200, 60, 0.80, "bars: <= 5 after 1 s, <= 4 after 5 s"),
        (200, 60, 0.95, "no bar"),
        (1000, 300, 0.85, "bar: <= 90 after 5 s"),
    ] {
        println!(
            "{services} x {nodes}, demand {:.0} % of capacity ({bars})",
            load * 100.0
        );
        for seed in SEEDS {
            short(Spec {
                services,
                nodes,
                load,
                seed,
            });
        }
    }
}

/// Seconds of this thread's work.
struct Clock {
    began: Instant,
    worked: Option<f64>,
}

fn worked() -> Option<f64> {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").ok()?;
    Some(text.split_whitespace().next()?.parse::<f64>().ok()? / 1e9)
}

impl Clock {
    fn start() -> Self {
        Self {
            began: Instant::now(),
            worked: worked(),
        }
    }

    fn seconds(&self) -> f64 {
        let spent = self.worked.and_then(|before| Some(worked()? - before));
        spent.unwrap_or_else(|| self.began.elapsed().as_secs_f64())
    }
}

/// An answer within that many seconds, checked, and how long it took.
fn solve(solver: &dyn Solver, instance: &Instance, limit: f64) -> (Placement, f64) {
    let clock = Clock::start();
    let gone = || clock.seconds() / limit;
    let placement = solver.solve(instance, Budget::until(&gone));
    let seconds = clock.seconds();
    assert_eq!(
        check(instance, &placement.at),
        Ok(placement.value),
        "a wrong answer needs no timing"
    );
    (placement, seconds)
}

fn over(value: i64, bound: i64) -> String {
    format!("{value} (+{:.2} %)", (value - bound) as f64 / bound as f64 * 100.0)
}

fn instance(spec: Spec) -> Instance {
    Fleet::make(spec).instance().expect("a fleet of this bench")
}

fn normal(seed: u64) {
    let instance = instance(Spec {
        services: 200,
        nodes: 500,
        load: 0.15,
        seed,
    });
    let (exact, exact_s) = solve(&Exact, &instance, 20.0);
    let bound = exact.bound.unwrap_or(0);
    let (greedy, greedy_s) = fastest(&instance);
    let (short, short_s) = solve(&Local, &instance, 0.020);
    let (long, _) = solve(&Local, &instance, 5.0);
    println!(
        "  #{seed}: bound {bound}, exact {} in {exact_s:.1} s | greedy {} in {:.2} ms (bar: 5 ms) | local {:.0} ms {} (bar: 20 ms, 2 %) | 5 s {} (bar: 0.4 %)",
        over(exact.value, bound),
        over(greedy.value, bound),
        greedy_s * 1e3,
        short_s * 1e3,
        over(short.value, bound),
        over(long.value, bound),
    );
}

/// Of a few runs, so that the first touch of memory is not what is timed.
fn fastest(instance: &Instance) -> (Placement, f64) {
    let mut runs: Vec<_> = (0..9)
        .map(|_| {
            // Too short for the kernel's count of processor time.
            let began = Instant::now();
            let placement = Greedy.solve(instance, Budget::moves(1));
            (placement, began.elapsed().as_secs_f64())
        })
        .collect();
    runs.sort_by(|a, b| a.1.total_cmp(&b.1));
    runs.swap_remove(4)
}

fn zone_lost(seed: u64) {
    let spec = Spec {
        services: 200,
        nodes: 500,
        load: 0.15,
        seed,
    };
    let (before, _) = solve(&Local, &instance(spec), 1.0);
    let lost = Fleet::make(spec).without(0, &before.at).expect("a fleet of this bench");
    let (exact, exact_s) = solve(&Exact, &lost, 20.0);
    let bound = exact.bound.unwrap_or(0);
    let (plan, seconds) = solve(&Local, &lost, 0.045);
    println!(
        "  #{seed}: bound {bound}, exact {} in {exact_s:.1} s | plan {} in {:.0} ms (bar: 50 ms, 3 %)",
        over(exact.value, bound),
        over(plan.value, bound),
        seconds * 1e3
    );
}

fn short(spec: Spec) {
    let instance = instance(spec);
    let out = |limit: f64| solve(&Local, &instance, limit).0.unplaced();
    println!(
        "  #{}: greedy {} | local 20 ms {} | 1 s {} | 5 s {}",
        spec.seed,
        solve(&Greedy, &instance, 1.0).0.unplaced(),
        out(0.020),
        out(1.0),
        out(5.0)
    );
}
