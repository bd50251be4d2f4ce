//! `jurymast sim`: worlds that go wrong, one for each seed. A seed that breaks a law is printed with the command that runs it again.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::sim::{Broken, Kind, Mutant, Stats, run as simulate};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// How many storms: worlds of less than two minutes in which everything goes wrong at once; 100 if nothing else is given.
    #[arg(long)]
    seeds: Option<u64>,
    /// Instead of storms, days of a fleet in production: hours between two troubles, long periods, the default budgets. So many fleet-hours, in whole
    /// days; a fleet-hour is all agents and services of one world together for one simulated hour.
    #[arg(long, value_name = "FLEET-HOURS", conflicts_with = "seeds")]
    hours: Option<u64>,
    /// Instead of storms, worlds in which whoever leads is cut off from all that it watches, and not from the store, and a service fails.
    #[arg(long, conflicts_with = "hours")]
    blind: bool,
    /// The first seed; alone, only that one.
    #[arg(long)]
    seed: Option<u64>,
    /// How many worlds at a time; as many as there are cores if not given. What comes out does not depend on it.
    #[arg(long, value_parser = clap::value_parser!(u16).range(1..=256))]
    jobs: Option<u16>,
    /// Instead of worlds, act out the cases of fault patterns as raw telemetry with noise, through the whole engine, and keep them here as
    /// recorded incidents with their truth, for `replay` and `eval diagnose --format capsule`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["seeds", "hours", "blind", "jobs", "mutant"])]
    stage: Option<PathBuf>,
    /// The cases to act out: files or folders.
    #[arg(long, num_args = 1.., default_value = "rules/patterns/tests", requires = "stage")]
    cases: Vec<PathBuf>,
    /// Break a rule on purpose, to see that it is noticed.
    #[arg(long, value_enum)]
    mutant: Option<Mutant>,
}

/// Which worlds.
#[derive(Clone, Copy)]
struct Worlds {
    kind: Kind,
    first: u64,
    count: u64,
    mutant: Option<Mutant>,
}

/// Simulates; 1 if a law was broken.
pub fn run(args: &Args, output: Output) -> Outcome {
    if let Some(into) = &args.stage {
        return super::stage::run(into, &args.cases, args.seed.unwrap_or(1), output);
    }
    let kind = match (args.hours, args.blind) {
        (Some(_), _) => Kind::Day,
        (None, true) => Kind::Blind,
        (None, false) => Kind::Storm,
    };
    let days = args.hours.map(|hours| hours.div_ceil(24).max(1));
    let worlds = Worlds {
        kind,
        first: args.seed.unwrap_or(0),
        count: days.or(args.seeds).unwrap_or(if args.seed.is_some() { 1 } else { 100 }),
        mutant: args.mutant,
    };
    let cores = || std::thread::available_parallelism().map_or(1, usize::from);
    let jobs = args.jobs.map_or_else(cores, usize::from);
    let begin = Instant::now();
    match worlds.run(jobs, &bar(worlds.count, output)) {
        Ok(sum) => {
            worlds.tell(&sum, begin.elapsed(), output);
            Ok(Ended::Good)
        }
        Err((seed, broken)) => {
            let again = worlds.again(seed);
            if output == Output::Json {
                let told = json!({"seed": seed, "law": broken.law, "what": broken.what, "trace": broken.trace, "again": again});
                println!("{told:#}");
            } else {
                println!("seed {seed}: {broken}\n\nagain: {again}");
            }
            Ok(Ended::Bad)
        }
    }
}

fn bar(count: u64, output: Output) -> ProgressBar {
    if output == Output::Json || !super::colour() {
        return ProgressBar::hidden();
    }
    let style = ProgressStyle::with_template("{bar:30} {pos}/{len} worlds, {eta} left");
    ProgressBar::new(count).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
}

impl Worlds {
    /// Runs them, so many at a time. The sum, or the lowest seed that breaks a law: the same whatever `jobs` is.
    fn run(self, jobs: usize, bar: &ProgressBar) -> Result<Stats, (u64, Box<Broken>)> {
        let (next, stop) = (AtomicU64::new(0), AtomicU64::new(self.count));
        let (sender, results) = mpsc::channel();
        std::thread::scope(|scope| {
            for _ in 0..jobs {
                let (sender, next, stop) = (sender.clone(), &next, &stop);
                scope.spawn(move || {
                    loop {
                        let number = next.fetch_add(1, Ordering::Relaxed);
                        if number >= stop.load(Ordering::Relaxed) {
                            return;
                        }
                        let result = simulate(self.kind, self.first.wrapping_add(number), self.mutant);
                        if result.is_err() {
                            // Lower ones are still waited for.
                            stop.fetch_min(number, Ordering::Relaxed);
                        }
                        if sender.send((number, result)).is_err() {
                            return;
                        }
                    }
                });
            }
            drop(sender);
            self.sum(&results, bar)
        })
    }

    /// Adds results up in the order of their seeds.
    fn sum(
        self,
        results: &mpsc::Receiver<(u64, Result<Stats, Box<Broken>>)>,
        bar: &ProgressBar,
    ) -> Result<Stats, (u64, Box<Broken>)> {
        let (mut sum, mut due, mut early) = (Stats::default(), 0, BTreeMap::new());
        for (number, result) in results {
            bar.inc(1);
            early.insert(number, result);
            while let Some(result) = early.remove(&due) {
                match result {
                    Ok(stats) => sum.add(&stats),
                    Err(broken) => return Err((self.first.wrapping_add(due), broken)),
                }
                due += 1;
            }
        }
        bar.finish_and_clear();
        Ok(sum)
    }

    /// The command that runs that seed once more.
    fn again(self, seed: u64) -> String {
        let kind = match self.kind {
            Kind::Storm => "",
            Kind::Day => " --hours 24",
            Kind::Blind => " --blind",
        };
        let mutant = self
            .mutant
            .and_then(|mutant| clap::ValueEnum::to_possible_value(&mutant))
            .map_or_else(String::new, |value| format!(" --mutant {}", value.get_name()));
        format!("jurymast sim{kind} --seed {seed}{mutant}")
    }

    fn tell(self, sum: &Stats, took: Duration, output: Output) {
        let Self { first, count, .. } = self;
        let (fleet_hours, agent_hours) = (hours(sum.fleet_seconds), hours(sum.agent_seconds));
        if output == Output::Json {
            let told = json!({
                "worlds": match self.kind { Kind::Storm => "storms", Kind::Day => "days", Kind::Blind => "blind worlds" },
                "seeds": count, "first": first, "fleet_hours": fleet_hours, "agent_hours": agent_hours,
                "seconds": took.as_secs_f64(), "sum": sum,
            });
            println!("{told:#}");
            return;
        }
        let what = match (self.kind, count) {
            (Kind::Storm, 1) => "storm",
            (Kind::Storm, _) => "storms",
            (Kind::Day, 1) => "day",
            (Kind::Day, _) => "days",
            (Kind::Blind, 1) => "blind world",
            (Kind::Blind, _) => "blind worlds",
        };
        println!(
            "{count} {what} ({fleet_hours:.1} fleet-hours, {agent_hours:.1} agent-hours), every law held\n\
             {} faults: {} plans, {} failovers done, {} taken back, {} handed over, {} resumed after a crash, {} questions answered by a person\n\
             {} crashes of an agent, {} times stood still, {} times another took over, {} times one stood aside, {} writes refused to those who no longer led\n\
             messages: {} lost, {} twice, {} late; {} writes failed; {} events in {:.1} s",
            sum.faults,
            sum.plans,
            sum.done,
            sum.taken_back,
            sum.handed_over,
            sum.resumed,
            sum.answers,
            sum.crashes,
            sum.stood_still,
            sum.taken_over,
            sum.stood_aside,
            sum.refused,
            sum.lost,
            sum.twice,
            sum.late,
            sum.writes_failed,
            sum.events,
            took.as_secs_f64(),
        );
    }
}

fn hours(seconds: u64) -> f64 {
    seconds as f64 / 3600.0
}
