//! `jurymast eval plan`: the solvers on instances whose best values are known.

use std::path::PathBuf;
use std::time::Duration;

use indicatif::ProgressBar;

use super::super::{Ended, Outcome, Output, colour, print_json, table};
use crate::eval::plan::gap;
use crate::plan::solver::{Exact, Greedy, Local, Solver};

/// What is solved, how, and for how long.
#[derive(clap::Args)]
pub struct Args {
    /// How the data is laid out.
    #[arg(long, value_enum)]
    format: Format,
    /// A folder with `best.csv`, or one instance below such a folder.
    path: PathBuf,
    /// Seconds of a processor for each instance.
    #[arg(long, default_value_t = 5.0)]
    seconds: f64,
    /// Which solver.
    #[arg(long, value_enum, default_value_t = Which::Local)]
    solver: Which,
    /// Where chance begins.
    #[arg(long, default_value_t = 1)]
    seed: u64,
}

/// How the data is laid out.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Format {
    /// Generalised assignment, OR-Library's text files.
    Gap,
}

/// Which solver.
#[derive(Clone, Copy, clap::ValueEnum)]
enum Which {
    /// One pass in a few orders.
    Greedy,
    /// Local search until the time is over.
    Local,
    /// Local search, then bounds and branching.
    Exact,
}

/// Scores; 1 if an answer is not feasible.
pub fn run(args: &Args, output: Output) -> Outcome {
    let Format::Gap = args.format;
    let limit =
        Duration::try_from_secs_f64(args.seconds).map_err(|error| format!("--seconds {}: {error}", args.seconds))?;
    let solver: &dyn Solver = match args.solver {
        Which::Greedy => &Greedy,
        Which::Local => &Local,
        Which::Exact => &Exact,
    };
    let found = gap::find(&args.path).map_err(|error| error.to_string())?;
    let shown = output == Output::Text && colour();
    let bar = if shown {
        ProgressBar::new(found.len() as u64)
    } else {
        ProgressBar::hidden()
    };
    let mut results = Vec::new();
    for (name, path, best) in found {
        let instance = gap::read(&path).map_err(|error| error.to_string())?;
        results.push(gap::solve(&name, &instance, best, solver, limit, args.seed));
        bar.inc(1);
    }
    bar.finish_and_clear();
    let report = gap::report(solver, results);
    let good = report.feasible == report.instances;
    if output == Output::Json {
        print_json(&report)?;
        return Ok(if good { Ended::Good } else { Ended::Bad });
    }
    let percent =
        |share: Option<f64>| share.map_or_else(|| "unknown".to_owned(), |share| format!("{:.3} %", share * 100.0));
    let number = |value: Option<i64>| value.map_or_else(|| "-".to_owned(), |value| value.to_string());
    let rows: Vec<Vec<String>> = report
        .results
        .iter()
        .map(|solved| {
            vec![
                solved.name.clone(),
                format!("{} x {}", solved.items, solved.agents),
                if solved.feasible {
                    number(solved.value)
                } else {
                    "INFEASIBLE".into()
                },
                solved.best.to_string(),
                percent(solved.gap),
                number(solved.bound),
                percent(solved.claimed_gap),
                format!("{:.2}", solved.seconds),
            ]
        })
        .collect();
    table(
        &[
            "INSTANCE",
            "SIZE",
            "VALUE",
            "BEST KNOWN",
            "GAP",
            "BOUND",
            "CLAIMED GAP",
            "SECONDS",
        ],
        &rows,
    );
    println!(
        "\n{}: {} of {} feasible, mean gap {:.3} %, max gap {:.3} %, {:.2} s per instance ({:.2} s by the clock)",
        report.solver,
        report.feasible,
        report.instances,
        report.mean_gap * 100.0,
        report.max_gap * 100.0,
        report.seconds_per_instance,
        report.wall_seconds_per_instance
    );
    Ok(if good { Ended::Good } else { Ended::Bad })
}
