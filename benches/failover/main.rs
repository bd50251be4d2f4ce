//! Fault to first request served by the standby, side by side in one run: Prometheus (1 s / 1 s) with Alertmanager
//! (`group_wait: 0s`) and a webhook; Jurymast fed by MQTT; Jurymast scraping every second. All switch the same `HAProxy`.
//!
//! `cargo bench --bench failover -- [--n 16] [--rounds 2]`. Needs mosquitto, haproxy, prometheus and prometheus-alertmanager.
//! Each of the n services gets one fault, spread evenly over the phase of a polled second: its primary answers 503 on every path, and at the same moment
//! its metric goes from 1 to 0 and, for the push contender, one MQTT message says so. Success is the first request through
//! `HAProxy` that the standby answers; a client asks every 5 ms.

mod contender;
#[path = "../shared/mod.rs"]
mod shared;
mod world;

use std::time::Duration;

use contender::{Alertmanager, Contender, Jurymast};
use world::World;

/// Services per round that get one fault each.
const DEFAULT_FAULTS: usize = 16;

#[tokio::main]
async fn main() {
    let _ = rustls::crypto::ring::default_provider().install_default();
    let args: Vec<String> = std::env::args().collect();
    let number = |name: &str, default: usize| {
        args.iter()
            .position(|a| a == name)
            .and_then(|at| args.get(at + 1)?.parse().ok())
            .unwrap_or(default)
    };
    let (faults, rounds) = (number("--n", DEFAULT_FAULTS), number("--rounds", 1));
    let missing = shared::missing(&["mosquitto", "haproxy", "prometheus", "prometheus-alertmanager"]);
    if !missing.is_empty() {
        println!("SKIPPED: failover bench ({} not installed)", missing.join(", "));
        return;
    }
    let all: [&dyn Contender; 3] = [&Alertmanager, &Jurymast { push: true }, &Jurymast { push: false }];
    let only = args.iter().position(|a| a == "--only").and_then(|at| args.get(at + 1));
    let contenders: Vec<&dyn Contender> = all
        .into_iter()
        .filter(|c| only.is_none_or(|only| c.name().contains(only.as_str())))
        .collect();
    let mut times: Vec<Vec<f64>> = vec![Vec::new(); contenders.len()];
    for round in 0..rounds {
        for (contender, times) in contenders.iter().zip(&mut times) {
            let world = World::start(faults).await;
            let guard = contender.start(&world).await;
            world.settle(Duration::from_secs(6)).await;
            let seed = u64::try_from(round).unwrap_or_default();
            let served = world.break_all(contender.push(), seed).await;
            if served.len() < faults {
                println!(
                    "{}: only {} of {faults} were served; the end of its log:",
                    contender.name(),
                    served.len()
                );
                println!("{}", world.log_end(contender.log()));
            }
            times.extend(served);
            drop(guard);
        }
    }
    println!(
        "{:<58} {:>4} {:>8} {:>8} {:>8} {:>8} {:>9}",
        "fault -> served by the standby (ms)", "n", "min", "p50", "p99", "max", "vs peer"
    );
    let peer = percentile(&mut times[0].clone(), 0.5);
    for (contender, mut times) in contenders.iter().zip(times) {
        let wanted = faults * rounds;
        println!(
            "{:<58} {:>4} {:>8.1} {:>8.1} {:>8.1} {:>8.1} {:>9.4}",
            contender.name(),
            format!("{}/{wanted}", times.len()),
            percentile(&mut times, 0.0),
            percentile(&mut times, 0.5),
            percentile(&mut times, 0.99),
            percentile(&mut times, 1.0),
            percentile(&mut times, 0.5) / peer,
        );
    }
}

fn percentile(values: &mut [f64], p: f64) -> f64 {
    values.sort_by(f64::total_cmp);
    if values.is_empty() {
        return f64::NAN;
    }
    values[((values.len() - 1) as f64 * p).round() as usize]
}
