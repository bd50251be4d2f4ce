//! Four contenders watch the same service break, at the same moment, on the same machine, behind one `HAProxy`: Prometheus (1 s / 1 s) with
//! Alertmanager (`group_wait: 0s`) and a webhook; `HAProxy`'s own checks (`inter 1s fall 3`); keepalived (VRRP, a check each second, `fall 3`); and
//! Jurymast with default settings. Half of the faults are cured by a move; the others are not, and whoever moves then has made it worse.
//!
//! `cargo bench --bench contenders -- [--only WORD] [--list] [--rounds N]`. Needs root (network namespaces), iproute2, mosquitto, haproxy, prometheus,
//! prometheus-alertmanager, keepalived and curl. Everything runs in a network of its own: no packet leaves it, and it is gone with this process.
//!
//! Each contender has a backend of its own in the same `HAProxy` (keepalived an address of its own), so that all four see one fault and none sees what another
//! one does about it. What is timed is the same for all: from the fault to the first good answer of the standby through the contender's front, asked for
//! every 50 ms. A wrong move is one after which the contender's traffic would go to the standby though the fault is none that a move cures.

mod faults;
mod instance;
mod peers;
#[path = "../shared/mod.rs"]
mod shared;
mod site;
mod watch;

use std::os::unix::process::CommandExt;
use std::process::{Command, ExitCode};
use std::time::Duration;

use faults::{FAULTS, Fault};
use peers::{CONTENDERS, Peers};
use site::Site;
use watch::Seen;

/// Says that the network is our own already.
const INSIDE: &str = "JURYMAST_BENCH_NETWORK";

/// Longer than any contender takes that sees a fault at all.
const PATIENCE: Duration = Duration::from_secs(20);

/// So long a fault that no move cures is left to work on all of them.
const TEMPTED: Duration = Duration::from_secs(12);

/// The programs that all of it needs.
const NEEDED: [&str; 8] = [
    "unshare",
    "nsenter",
    "ip",
    "mosquitto",
    "haproxy",
    "prometheus",
    "prometheus-alertmanager",
    "keepalived",
];

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().collect();
    if arguments.get(1).is_some_and(|word| word == "instance") {
        return instance::main(&arguments[2..]);
    }
    let after = |name: &str| {
        let at = arguments.iter().position(|word| word == name)?;
        arguments.get(at + 1).cloned()
    };
    let only = after("--only");
    let rounds: usize = after("--rounds").and_then(|n| n.parse().ok()).unwrap_or(1);
    let faults: Vec<&Fault> = FAULTS
        .iter()
        .filter(|fault| only.as_ref().is_none_or(|word| fault.name.contains(word.as_str())))
        .collect();
    if arguments.iter().any(|word| word == "--list") {
        for fault in faults {
            println!("{} {}", if fault.cured { "cured  " } else { "not    " }, fault.name);
        }
        return ExitCode::SUCCESS;
    }
    let missing = shared::missing(&NEEDED);
    if !missing.is_empty() {
        println!("SKIPPED: contenders bench ({} not installed)", missing.join(", "));
        return ExitCode::SUCCESS;
    }
    if std::env::var_os(INSIDE).is_none() {
        let inside = std::env::current_exe().expect("this program");
        let allowed = Command::new("unshare").args(["-n", "true"]).status();
        if !allowed.is_ok_and(|status| status.success()) {
            println!("SKIPPED: contenders bench (no right to make a network of its own)");
            return ExitCode::SUCCESS;
        }
        let error = Command::new("unshare")
            .arg("-n")
            .arg("--")
            .arg(inside)
            .args(&arguments[1..])
            .env(INSIDE, "1")
            .exec();
        println!("SKIPPED: contenders bench ({error})");
        return ExitCode::SUCCESS;
    }
    let _ = rustls::crypto::ring::default_provider().install_default();
    tokio::runtime::Runtime::new()
        .expect("a runtime")
        .block_on(run(&faults, rounds));
    ExitCode::SUCCESS
}

async fn run(faults: &[&Fault], rounds: usize) {
    let network = site::Network::build();
    let mut rows: Vec<(&Fault, Vec<Seen>)> = Vec::new();
    print!("{:<58}", "fault -> first answer of the standby (ms)");
    println!("{}", CONTENDERS.map(|c| format!("{:>12}", c.short)).concat());
    for round in 0..rounds {
        for (number, fault) in faults.iter().enumerate() {
            let seen = one(&network, fault, number * rounds + round, faults.len() * rounds).await;
            let cells = seen.iter().map(|seen| format!("{:>12}", seen.cell(fault.cured)));
            println!("{:<58}{}", fault.name, cells.collect::<String>());
            rows.push((fault, seen));
        }
    }
    summary(&rows);
}

/// One fault, acted in a world that was made for it.
async fn one(network: &site::Network, fault: &Fault, number: usize, of: usize) -> Vec<Seen> {
    let mut site = Site::start(network);
    let peers = Peers::start(&mut site);
    let devices = site.devices();
    let mut watch = watch::Watch::start(&site);
    if !peers.ready(&site, &mut watch).await {
        println!(
            "{}: the world did not come up; the ends of its logs:\n{}",
            fault.name,
            site.logs()
        );
    }
    // What a poller adds depends on where in its second a fault falls: they are spread evenly over it.
    let phase = (number as f64 * 0.618_034).fract();
    tokio::time::sleep(Duration::from_secs_f64(phase)).await;
    watch.begin();
    (fault.act)(&mut site).await;
    let began = std::time::Instant::now();
    if fault.cured {
        while began.elapsed() < PATIENCE && !watch.all_served() {
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    } else {
        tokio::time::sleep(TEMPTED).await;
    }
    let seen = watch.end();
    if std::env::var_os("KEEP_LOGS").is_some() || of == 1 {
        println!("{}", site.logs());
    }
    devices.abort();
    drop(peers);
    seen
}

fn summary(rows: &[(&Fault, Vec<Seen>)]) {
    let times = |contender: usize| -> Vec<f64> {
        let cured = rows.iter().filter(|(fault, _)| fault.cured);
        let mut times: Vec<f64> = cured.filter_map(|(_, seen)| seen[contender].served).collect();
        times.sort_by(f64::total_cmp);
        times
    };
    let (cured, not) = (
        rows.iter().filter(|(fault, _)| fault.cured).count(),
        rows.iter().filter(|(fault, _)| !fault.cured).count(),
    );
    let fastest = |sure: bool| {
        let peers = CONTENDERS
            .iter()
            .enumerate()
            .filter(|(_, c)| !c.ours && (!sure || c.looks > 1));
        peers
            .map(|(at, _)| percentile(&times(at), 0.5))
            .fold(f64::NAN, f64::min)
    };
    println!(
        "\n{:<46}{:>6}{:>9}{:>9}{:>9}{:>9}{:>11}{:>9}{:>13}",
        "", "looks", "cured", "p50 ms", "p99 ms", "max ms", "vs equal", "vs any", "wrong moves"
    );
    for (at, contender) in CONTENDERS.iter().enumerate() {
        let times = times(at);
        let wrong = rows
            .iter()
            .filter(|(fault, seen)| !fault.cured && seen[at].moved)
            .count();
        println!(
            "{:<46}{:>6}{:>9}{:>9.0}{:>9.0}{:>9.0}{:>11.2}{:>9.2}{:>13}",
            contender.name,
            contender.looks,
            format!("{}/{cured}", times.len()),
            percentile(&times, 0.5),
            percentile(&times, 0.99),
            percentile(&times, 1.0),
            percentile(&times, 0.5) / fastest(true),
            percentile(&times, 0.5) / fastest(false),
            format!("{wrong}/{not}"),
        );
    }
    println!(
        "\nlooks: how many agree before it moves. vs equal: p50 against the fastest other one that looks more than once (bar: 1.00); p99 bar: 5000 ms; \
         wrong moves bar: 0. A median is of what was cured at all."
    );
}

/// Of sorted values.
fn percentile(values: &[f64], p: f64) -> f64 {
    match values.len() {
        0 => f64::NAN,
        len => values[((len - 1) as f64 * p).round() as usize],
    }
}
