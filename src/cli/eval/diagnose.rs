//! `jurymast eval diagnose`: the root-cause ranking on a labelled set.

use std::path::PathBuf;

use clap::ValueEnum;
use serde::Serialize;

use crate::cli::{Ended, Outcome, Output, print_json, table};
use crate::config::read_models;
use crate::eval::diagnose::{Figures, Format, Report, Scored, capsules, run as score, tep, unknown};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// How the files are laid out.
    #[arg(long, value_enum)]
    format: Layout,
    /// One day's folder (nezha), one traffic folder (petshop), or a folder of cases (rcaeval) or of capsules, a folder of runs (tep).
    path: PathBuf,
    /// Show every case with the rank of its true cause.
    #[arg(short, long)]
    verbose: bool,
    /// Of capsules: as if no pattern were known; scores the places that the statistical ranking names.
    #[arg(long)]
    unknown: bool,
    /// Of capsules: judge with these models, files or folders, as `models` in the config names them: lessons of `jurymast learn`, corrections of
    /// probabilities. Instead of those that were recorded.
    #[arg(long, num_args = 1.., value_name = "DIR", conflicts_with = "unknown")]
    models: Vec<PathBuf>,
}

/// The layouts by name.
#[derive(Clone, Copy, ValueEnum)]
enum Layout {
    /// Metrics, spans and log lines of one day, with a fault list.
    Nezha,
    /// Call graph, normal time and a window for each issue.
    Petshop,
    /// Wide CSV files beside `inject_time.txt`.
    Rcaeval,
    /// Recorded incidents, run through the whole engine.
    Capsule,
    /// Runs of a process under known faults: train and test of each.
    Tep,
}

/// Scores and prints.
pub fn run(args: &Args, output: Output) -> Outcome {
    if !matches!(args.format, Layout::Capsule) && !args.models.is_empty() {
        return Err("--models goes with --format capsule: the other sets are ranked without patterns, and models teach patterns".into());
    }
    let format = match args.format {
        Layout::Capsule if args.unknown => return nameless(args, output),
        Layout::Capsule => return recorded(args, output),
        _ if args.unknown => {
            return Err(
                "--unknown goes with --format capsule: the other sets are ranked without patterns anyway".into(),
            );
        }
        Layout::Tep => return process(args, output),
        Layout::Nezha => Format::Nezha,
        Layout::Petshop => Format::Petshop,
        Layout::Rcaeval => Format::Rcaeval,
    };
    let report = score(format, &args.path).map_err(|error| error.to_string())?;
    told(&report, output, || people(&report, args))?;
    // A figure over nothing is no figure.
    Ok(if report.unscored < report.all.cases {
        Ended::Good
    } else {
        Ended::Bad
    })
}

/// Tells what came of it: the figures are the answer, whatever they are.
fn told(report: &impl Serialize, output: Output, people: impl FnOnce()) -> Outcome {
    match output {
        Output::Json => print_json(report)?,
        Output::Text => people(),
    }
    Ok(Ended::Good)
}

/// Case by case, if that is wanted.
fn each<'a>(
    args: &Args,
    header: &[&str],
    cases: impl IntoIterator<Item = &'a Scored>,
    cells: impl Fn(&'a Scored) -> Vec<String>,
) {
    if args.verbose {
        table(header, &cases.into_iter().map(cells).collect::<Vec<_>>());
        println!();
    }
}

fn rank(case: &Scored) -> String {
    case.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string())
}

fn first(case: &Scored) -> String {
    format!("{} ({:.2})", case.first, case.probability)
}

/// What a table of capsules begins with.
const OF_CAPSULES: &[&str] = &["RANK", "CAPSULE", "TRUTH", "NAMED FIRST"];

fn of_capsules(case: &Scored) -> Vec<String> {
    vec![rank(case), case.name.clone(), case.truth.clone(), first(case)]
}

/// Recorded incidents.
fn recorded(args: &Args, output: Output) -> Outcome {
    let models = (!args.models.is_empty())
        .then(|| read_models(&args.models))
        .transpose()?;
    let report = capsules::run(&args.path, models.as_deref()).map_err(|error| error.to_string())?;
    told(&report, output, || {
        each(args, OF_CAPSULES, &report.per_case, of_capsules);
        table(HEADER, &[row("all", &report.causes)]);
        println!(
            "\n{} capsules: {:.3} wholly right, verdicts {:.3} right, {} wrong moves; {} look-alikes, {:.3} right\n\
             calibration error over every judgement of every incident: {:.3}",
            report.capsules,
            report.right,
            report.verdict_right,
            report.wrong_moves,
            report.look_alikes,
            report.look_alikes_right,
            report.calibration_error_judgements,
        );
        if report.unread > 0 {
            println!("{} capsules could not be read and count as wrong", report.unread);
        }
        for wrong in &report.wrong {
            println!("  {wrong}");
        }
    })
}

/// Recorded incidents without any pattern.
fn nameless(args: &Args, output: Output) -> Outcome {
    let report = unknown::run(&args.path).map_err(|error| error.to_string())?;
    told(&report, output, || {
        let cases = report.per_case.iter().map(|case| &case.scored);
        each(args, &[OF_CAPSULES, &["WHY"]].concat(), cases, |case| {
            [of_capsules(case), vec![case.why.clone()]].concat()
        });
        table(
            HEADER,
            &[row("all", &report.all), row("several suspects", &report.several)],
        );
    })
}

/// Fault classes of a process.
fn process(args: &Args, output: Output) -> Outcome {
    let report = tep::run(&args.path).map_err(|error| error.to_string())?;
    told(&report, output, || {
        each(args, &["FAULT", "NAMED FIRST", "RIGHT"], &report.per_case, |case| {
            vec![case.truth.clone(), first(case), case.why.clone()]
        });
        table(HEADER, &[row("runs", &report.runs)]);
        println!(
            "{} stretches, {:.3} named rightly",
            report.stretches, report.stretches_right
        );
    })
}

const HEADER: &[&str] = &[
    "",
    "CASES",
    "AC@1",
    "AC@3",
    "AC@5",
    "AVG@5",
    "FAULT TYPE",
    "BRIER",
    "CALIBRATION ERROR",
    "S/CASE",
];

fn people(report: &Report, args: &Args) {
    let header = ["RANK", "CASE", "KIND FOUND", "NAMED FIRST", "WHY"];
    each(args, &header, &report.per_case, |case| {
        let kind = case.kind_found.clone().unwrap_or_default();
        let why = case.why.chars().take(100).collect();
        vec![rank(case), case.name.clone(), kind, first(case), why]
    });
    let mut rows = vec![row("all", &report.all)];
    rows.extend(report.groups.iter().map(|(group, figures)| row(group, figures)));
    table(HEADER, &rows);
    println!("read in {:.1} s", report.seconds_reading);
    if report.unscored > 0 {
        println!(
            "{} of {} cases could not be scored and count as wrong:",
            report.unscored, report.all.cases
        );
        for case in &report.per_case {
            if let Some(why) = &case.unscored {
                println!("  {}: {why}", case.name);
            }
        }
    }
    if report.malformed_rows > 0 {
        println!("{} rows could not be read:", report.malformed_rows);
        for place in &report.malformed {
            println!("  {place}");
        }
    }
}

fn row(name: &str, figures: &Figures) -> Vec<String> {
    let share = |value: f64| format!("{value:.3}");
    vec![
        name.to_owned(),
        figures.cases.to_string(),
        share(figures.ac1),
        share(figures.ac3),
        share(figures.ac5),
        share(figures.avg5),
        figures.fault_type_accuracy.map_or_else(|| "-".to_owned(), share),
        share(figures.brier),
        share(figures.calibration_error),
        share(figures.seconds_per_case),
    ]
}
