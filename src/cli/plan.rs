//! `jurymast plan`: what if? Who goes where when this is lost, what that misses, what one more standby would buy.

mod of_config;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Ended, Outcome, Output, table};
use crate::config::Loaded;
use crate::plan::contingency::{self, Contingencies};
use crate::plan::fleet::{Answer, Fate, Fleet, Limits, Point, Purchase, frontier, one_more};
use crate::plan::solver::{Budget, Exact};

/// What is asked.
#[derive(clap::Args)]
pub struct Args {
    /// A fleet file (nodes, services), or an agent's config.
    file: PathBuf,
    /// What is lost, all at once: nodes, zones, racks, gateways, entities that services stand on, or services whose present instance breaks. Without it,
    /// every single failure is gone through.
    #[arg(long, value_delimiter = ',')]
    lose: Vec<String>,
    /// Show what tighter limits on recovery and on lost data would cost.
    #[arg(long, requires = "lose")]
    frontier: bool,
    /// How hard to search: moves that are tried for each question. The same number, the same answer.
    #[arg(long, default_value_t = 200_000)]
    effort: u64,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// Answers; 1 if somebody stays down, is pushed out or is late.
pub fn run(args: &Args, output: Output) -> Outcome {
    let (fleet, mut notes) = read(&args.file)?;
    notes.extend(fleet.overrun());
    let budget = Budget {
        seed: args.seed,
        ..Budget::moves(args.effort)
    };
    let told = |error: crate::plan::fleet::FleetError| format!("{}: {error}", args.file.display());
    if args.lose.is_empty() {
        let all = contingency::compute(&fleet, &Exact, budget).map_err(told)?;
        return Ok(every_failure(&all, &notes, output));
    }
    let lost: BTreeSet<String> = args.lose.iter().cloned().collect();
    let case = fleet.case(&lost, Limits::default()).map_err(told)?;
    let answer = case.answer(&crate::plan::solver::Solver::solve(&Exact, &case.instance, budget));
    let buys = one_more(&fleet, &lost, &answer, &Exact, budget).map_err(told)?;
    let points = if args.frontier {
        frontier(&fleet, &lost, &Exact, budget).map_err(told)?
    } else {
        Vec::new()
    };
    let good = answer.whole() && answer.late == 0;
    if output == Output::Json {
        let mut all = json!({"lost": lost, "answer": answer, "one_more_standby": buys, "notes": notes});
        if args.frontier {
            all["frontier"] = json!(points);
        }
        println!("{all:#}");
    } else {
        print_answer(&answer);
        print_purchases(&buys);
        if args.frontier {
            print_frontier(&points);
        }
        print_notes(&notes);
    }
    Ok(if good { Ended::Good } else { Ended::Bad })
}

/// A file with `nodes` is a fleet; else it is a config.
fn read(path: &Path) -> Result<(Fleet, Vec<String>), String> {
    let place = |error: String| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| place(error.to_string()))?;
    if text.lines().any(|line| line.starts_with("nodes:")) {
        let fleet: Fleet = serde_saphyr::from_str(&text).map_err(|error| place(error.to_string()))?;
        fleet.check().map_err(|error| place(error.to_string()))?;
        fleet.refuse_strangers().map_err(|error| place(error.to_string()))?;
        fleet.refuse_circles().map_err(|error| place(error.to_string()))?;
        return Ok((fleet, Vec::new()));
    }
    let config = Loaded::read(path).map_err(|errors| errors.to_string())?.config;
    if config.services.is_empty() {
        return Err(place(
            "it has neither `nodes` (a fleet file) nor `services` (an agent's config)".into(),
        ));
    }
    let note = "from a config: standbys count as serving and level with their active; what runs well is never moved";
    Ok((of_config::fleet(&config), vec![note.to_owned()]))
}

fn seconds(seconds: f64) -> String {
    format!("{seconds:.1} s")
}

fn percent(share: Option<f64>) -> String {
    share.map_or_else(|| "unknown".into(), |share| format!("{:.2} %", share * 100.0))
}

fn row(name: &str, fate: &Fate) -> Vec<String> {
    let dash = || "-".to_owned();
    let (word, place, rto, lag) = match fate {
        Fate::Stays { on } => ("stays", on.clone(), dash(), dash()),
        Fate::Moves {
            from,
            to,
            makes_room,
            rto_s,
            lag_s,
            late,
        } => {
            let word = match (makes_room, late) {
                (true, _) => "makes room",
                (_, true) => "LATE",
                _ => "moves",
            };
            let from = from.as_deref().unwrap_or("nowhere");
            (word, format!("{from} -> {to}"), seconds(*rto_s), seconds(*lag_s))
        }
        Fate::PushedOut { from } => ("PUSHED OUT", from.clone(), dash(), dash()),
        Fate::Stranded { on, without } => (
            "STRANDED",
            format!("{on}; {without} has no standby, no move helps"),
            dash(),
            dash(),
        ),
        Fate::Useless { on, without } => ("USELESS", format!("{on}, without {without}"), dash(), dash()),
        Fate::Down { why } => ("DOWN", why.clone(), dash(), dash()),
    };
    vec![name.to_owned(), word.to_owned(), rto, lag, place]
}

fn print_answer(answer: &Answer) {
    let rows: Vec<Vec<String>> = answer.services.iter().map(|(name, fate)| row(name, fate)).collect();
    table(&["SERVICE", "FATE", "RTO", "DATA LOST", "WHERE"], &rows);
    println!(
        "\n{} of {} serve; {} were hit, {} recover, {} of them late; {} disturbed; money {}; proven within {}",
        answer.served,
        answer.services.len(),
        answer.hit,
        answer.recovered,
        answer.late,
        answer.disturbed,
        answer.money,
        percent(answer.gap),
    );
}

fn print_purchases(buys: &[Purchase]) {
    if buys.is_empty() {
        return;
    }
    println!("\nWhat one more standby would buy:");
    let rows: Vec<Vec<String>> = buys
        .iter()
        .map(|buy| {
            vec![
                buy.zone.clone(),
                format!("{:?}", buy.class).to_lowercase(),
                format!("{} ({:+})", buy.served, buy.more),
                buy.late.to_string(),
                buy.disturbed.to_string(),
                seconds(buy.worst_rto_s),
                buy.money.to_string(),
            ]
        })
        .collect();
    table(
        &["ZONE", "CLASS", "SERVE", "LATE", "DISTURBED", "WORST RTO", "MONEY"],
        &rows,
    );
}

fn print_frontier(points: &[Point]) {
    println!("\nCost against objectives (* no other is as good in all and better in one):");
    let limit = |limit: Option<f64>| limit.map_or_else(|| "-".to_owned(), seconds);
    let rows: Vec<Vec<String>> = points
        .iter()
        .map(|point| {
            vec![
                if point.best { "*" } else { "" }.to_owned(),
                limit(point.rto_limit_s),
                limit(point.lag_limit_s),
                point.served.to_string(),
                seconds(point.worst_rto_s),
                seconds(point.worst_lag_s),
                point.disturbed.to_string(),
                point.money.to_string(),
            ]
        })
        .collect();
    table(
        &[
            "",
            "RTO LIMIT",
            "LOSS LIMIT",
            "SERVE",
            "WORST RTO",
            "WORST LOSS",
            "DISTURBED",
            "MONEY",
        ],
        &rows,
    );
}

fn print_notes(notes: &[String]) {
    for note in notes {
        println!("note: {note}");
    }
}

fn every_failure(all: &Contingencies, notes: &[String], output: Output) -> Ended {
    let coverage = all.coverage();
    let ended = if coverage.covered == coverage.failures {
        Ended::Good
    } else {
        Ended::Bad
    };
    if output == Output::Json {
        let share = coverage.share();
        println!(
            "{:#}",
            json!({"coverage": coverage, "share": share, "contingencies": all.plans, "notes": notes})
        );
        return ended;
    }
    let rows: Vec<Vec<String>> = all
        .plans
        .values()
        .map(|plan| {
            let left = plan.fates.iter().filter_map(|(name, fate)| match fate {
                Fate::Down { .. } => Some(format!("{name} down")),
                Fate::PushedOut { .. } => Some(format!("{name} pushed out")),
                Fate::Useless { without, .. } => Some(format!("{name} useless without {without}")),
                Fate::Stranded { without, .. } => Some(format!("{name} stranded: {without} has no standby")),
                Fate::Moves { late: true, .. } => Some(format!("{name} late")),
                _ => None,
            });
            let left: Vec<String> = left.collect();
            let moves = plan.fates.iter().filter_map(|(name, fate)| match fate {
                Fate::Moves { to, .. } => Some(format!("{name} -> {to}")),
                _ => None,
            });
            let moves: Vec<String> = moves.collect();
            vec![
                plan.failure.clone(),
                format!("{:?}", plan.kind).to_lowercase(),
                plan.hit.to_string(),
                plan.recovered.to_string(),
                if plan.hit == 0 {
                    "-"
                } else if plan.is_full() {
                    "yes"
                } else {
                    "NO"
                }
                .to_owned(),
                moves.join(", "),
                left.join(", "),
            ]
        })
        .collect();
    table(
        &["FAILURE", "KIND", "HIT", "RECOVER", "COVERED", "MOVES", "LEFT"],
        &rows,
    );
    println!(
        "\n{} of {} failures that hit anybody are covered ({:.0} %); {} of {} services hit serve again in time",
        coverage.covered,
        coverage.failures,
        coverage.share() * 100.0,
        coverage.recovered_in_time,
        coverage.hit
    );
    print_notes(notes);
    ended
}
