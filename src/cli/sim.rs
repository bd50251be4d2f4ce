//! `jurymast sim`: worlds that go wrong, one for each seed. A seed that breaks a law is printed with the command that runs it again.

use serde_json::json;

use std::path::PathBuf;

use super::{Ended, Outcome, Output};
use crate::sim::{Mutant, Stats, run as simulate};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// How many worlds; 100 if neither this nor a seed is given.
    #[arg(long)]
    seeds: Option<u64>,
    /// The first seed; alone, only that one.
    #[arg(long)]
    seed: Option<u64>,
    /// Instead of worlds, act out the cases of fault patterns as raw telemetry with noise, through the whole engine, and keep them here as
    /// recorded incidents with their truth, for `replay` and `eval diagnose --format capsule`.
    #[arg(long, value_name = "DIR", conflicts_with_all = ["seeds", "mutant"])]
    stage: Option<PathBuf>,
    /// The cases to act out: files or folders.
    #[arg(long, num_args = 1.., default_value = "rules/patterns/tests", requires = "stage")]
    cases: Vec<PathBuf>,
    /// Break a rule on purpose, to see that it is noticed.
    #[arg(long, value_enum, hide = true)]
    mutant: Option<Mutant>,
}

/// Simulates; 1 if a law was broken.
pub fn run(args: &Args, output: Output) -> Outcome {
    if let Some(into) = &args.stage {
        return super::stage::run(into, &args.cases, args.seed.unwrap_or(1), output);
    }
    let first = args.seed.unwrap_or(0);
    let count = args.seeds.unwrap_or(if args.seed.is_some() { 1 } else { 100 });
    let mut sum = Stats::default();
    for seed in (first..).take(usize::try_from(count).unwrap_or(usize::MAX)) {
        match simulate(seed, args.mutant) {
            Ok(stats) => sum.add(&stats),
            Err(broken) => {
                let mutant = args
                    .mutant
                    .and_then(|mutant| clap::ValueEnum::to_possible_value(&mutant))
                    .map_or_else(String::new, |value| format!(" --mutant {}", value.get_name()));
                let again = format!("jurymast sim --seed {seed}{mutant}");
                if output == Output::Json {
                    let told = json!({"seed": seed, "law": broken.law, "what": broken.what, "trace": broken.trace, "again": again});
                    println!("{told:#}");
                } else {
                    println!("seed {seed}: {broken}\n\nagain: {again}");
                }
                return Ok(Ended::Bad);
            }
        }
    }
    if output == Output::Json {
        println!("{:#}", json!({"seeds": count, "first": first, "sum": sum}));
    } else {
        println!(
            "{count} worlds, every law held: {} events, {} plans ({} done, {} taken back, {} handed over, {} resumed after a crash), {} crashes of the agent,\n\
             messages: {} lost, {} twice, {} late; {} writes failed\n\
             several agents: stood still {} times, took over {} times, {} writes refused to those who no longer led; {:.0} agent-hours simulated",
            sum.events,
            sum.plans,
            sum.done,
            sum.taken_back,
            sum.handed_over,
            sum.resumed,
            sum.crashes,
            sum.lost,
            sum.twice,
            sum.late,
            sum.writes_failed,
            sum.stood_still,
            sum.taken_over,
            sum.refused,
            sum.agent_seconds as f64 / 3600.0,
        );
    }
    Ok(Ended::Good)
}
