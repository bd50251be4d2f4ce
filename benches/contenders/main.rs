//! Four contenders watch the same service break, at the same moment, on the same machine, behind one `HAProxy`: Prometheus (1 s / 1 s) with
//! Alertmanager (`group_wait: 0s`) and a webhook; `HAProxy`'s own checks (`inter 1s fall 3`); keepalived (VRRP, a check each second, `fall 3`); and
//! Jurymast with default settings. Half of the faults are cured by a move; the others are not, and whoever moves then has made it worse.
//!
//! `cargo bench --bench contenders -- [--only WORD] [--list] [--rounds N] [--json FILE]`. A round of all forty takes about a quarter of an hour. Needs root (network namespaces), iproute2, mosquitto, haproxy, prometheus,
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
use std::path::PathBuf;
use std::process::{Command, ExitCode};
use std::time::{Duration, Instant};

use faults::{FAULTS, Fault};
use peers::{CONTENDERS, Peers};
use serde_json::{Value, json};
use site::Site;
use watch::Seen;

/// Says that the network is our own already.
const INSIDE: &str = "JURYMAST_BENCH_NETWORK";

/// Longer than any contender takes that sees a fault at all.
const PATIENCE: Duration = Duration::from_secs(12);

/// So long a fault that no move cures is left to work on all of them.
const TEMPTED: Duration = Duration::from_secs(10);

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
        .block_on(run(&faults, rounds, after("--json").map(Into::into)));
    ExitCode::SUCCESS
}

async fn run(faults: &[&Fault], rounds: usize, json: Option<PathBuf>) {
    let began = Instant::now();
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
    let report = report(&rows, began.elapsed());
    println!("\n{report}");
    if let Some(file) = json
        && let Err(error) = std::fs::write(&file, format!("{report:#}\n"))
    {
        println!("{}: {error}", file.display());
    }
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
    let began = Instant::now();
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

/// What came of all faults for one contender.
struct Score {
    /// Of those that a move cures: milliseconds to the first answer of the standby, sorted.
    times: Vec<f64>,
    cured: usize,
    curable: usize,
    wrong: usize,
    not_curable: usize,
}

fn scores(rows: &[(&Fault, Vec<Seen>)]) -> Vec<Score> {
    let of = |at: usize| {
        let (curable, not): (Vec<_>, Vec<_>) = rows.iter().partition(|(fault, _)| fault.cured);
        let mut times: Vec<f64> = curable.iter().filter_map(|(_, seen)| seen[at].served).collect();
        times.sort_by(f64::total_cmp);
        Score {
            cured: times.len(),
            times,
            curable: curable.len(),
            wrong: not.iter().filter(|(_, seen)| seen[at].moved).count(),
            not_curable: not.len(),
        }
    };
    (0..CONTENDERS.len()).map(of).collect()
}

/// The best median of the others; `sure`: of those that look more than once.
fn fastest(scores: &[Score], sure: bool) -> f64 {
    let others = CONTENDERS
        .iter()
        .zip(scores)
        .filter(|(c, _)| !c.ours && (!sure || c.looks > 1));
    others
        .map(|(_, score)| percentile(&score.times, 0.5))
        .fold(f64::NAN, f64::min)
}

fn summary(rows: &[(&Fault, Vec<Seen>)]) {
    let scores = scores(rows);
    println!(
        "\n{:<46}{:>6}{:>9}{:>9}{:>9}{:>9}{:>11}{:>9}{:>13}",
        "", "looks", "cured", "p50 ms", "p99 ms", "max ms", "vs equal", "vs any", "wrong moves"
    );
    for (contender, score) in CONTENDERS.iter().zip(&scores) {
        println!(
            "{:<46}{:>6}{:>9}{:>9.0}{:>9.0}{:>9.0}{:>11.2}{:>9.2}{:>13}",
            contender.name,
            contender.looks,
            format!("{}/{}", score.cured, score.curable),
            percentile(&score.times, 0.5),
            percentile(&score.times, 0.99),
            percentile(&score.times, 1.0),
            percentile(&score.times, 0.5) / fastest(&scores, true),
            percentile(&score.times, 0.5) / fastest(&scores, false),
            format!("{}/{}", score.wrong, score.not_curable),
        );
    }
    println!(
        "\nlooks: how many agree before it moves. vs equal: p50 against the fastest other one that looks more than once (bar: 1.00); p99 bar: 5000 ms; \
         wrong moves bar: 0. A median is of what was cured at all."
    );
}

/// The same for programs, with what came of each fault. What was never measured is null.
fn report(rows: &[(&Fault, Vec<Seen>)], took: Duration) -> Value {
    let scores = scores(rows);
    let contenders: Vec<Value> = CONTENDERS
        .iter()
        .zip(&scores)
        .map(|(contender, score)| {
            let p50 = percentile(&score.times, 0.5);
            json!({
                "name": contender.name,
                "looks": contender.looks,
                "cured": score.cured,
                "curable": score.curable,
                "p50_ms": p50,
                "p99_ms": percentile(&score.times, 0.99),
                "max_ms": percentile(&score.times, 1.0),
                "p50_to_fastest_of_equal_confirmation": p50 / fastest(&scores, true),
                "p50_to_fastest_of_any": p50 / fastest(&scores, false),
                "wrong_moves": score.wrong,
                "not_curable": score.not_curable,
            })
        })
        .collect();
    let faults: Vec<Value> = rows
        .iter()
        .map(|(fault, seen)| {
            let each = CONTENDERS.iter().zip(seen).map(|(contender, seen)| {
                let cell = json!({"served_ms": seen.served, "moved": seen.moved});
                (contender.short.to_owned(), cell)
            });
            json!({"name": fault.name, "cured_by_a_move": fault.cured, "seen": each.collect::<serde_json::Map<_, _>>()})
        })
        .collect();
    json!({"seconds": took.as_secs_f64().round(), "contenders": contenders, "faults": faults})
}

/// Of sorted values.
fn percentile(values: &[f64], p: f64) -> f64 {
    match values.len() {
        0 => f64::NAN,
        len => values[((len - 1) as f64 * p).round() as usize],
    }
}
