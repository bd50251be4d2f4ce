//! `jurymast eval diagnose`: the root-cause ranking on a labelled set.

use std::path::PathBuf;

use clap::ValueEnum;

use crate::cli::{Ended, Outcome, Output, table};
use crate::eval::diagnose::{Figures, Format, Report, capsules, run as score, tep, unknown};

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
    match output {
        Output::Json => {
            let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
            println!("{json}");
        }
        Output::Text => people(&report, args.verbose),
    }
    Ok(Ended::Good)
}

/// Recorded incidents; 1 never: the figures are the answer.
fn recorded(args: &Args, output: Output) -> Outcome {
    let report = capsules::run(&args.path).map_err(|error| error.to_string())?;
    if output == Output::Json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        println!("{json}");
        return Ok(Ended::Good);
    }
    if args.verbose {
        let rows: Vec<Vec<String>> = report
            .per_case
            .iter()
            .map(|case| {
                vec![
                    case.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
                    case.name.clone(),
                    case.truth.clone(),
                    format!("{} ({:.2})", case.first, case.probability),
                ]
            })
            .collect();
        table(&["RANK", "CAPSULE", "TRUTH", "NAMED FIRST"], &rows);
        println!();
    }
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
    for wrong in &report.wrong {
        println!("  {wrong}");
    }
    Ok(Ended::Good)
}

/// Recorded incidents without any pattern.
fn nameless(args: &Args, output: Output) -> Outcome {
    let report = unknown::run(&args.path).map_err(|error| error.to_string())?;
    if output == Output::Json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        println!("{json}");
        return Ok(Ended::Good);
    }
    if args.verbose {
        let rows: Vec<Vec<String>> = report
            .per_case
            .iter()
            .map(|case| {
                let case = &case.scored;
                vec![
                    case.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
                    case.name.clone(),
                    case.truth.clone(),
                    format!("{} ({:.2})", case.first, case.probability),
                    case.why.clone(),
                ]
            })
            .collect();
        table(&["RANK", "CAPSULE", "TRUTH", "NAMED FIRST", "WHY"], &rows);
        println!();
    }
    table(
        HEADER,
        &[row("all", &report.all), row("several suspects", &report.several)],
    );
    Ok(Ended::Good)
}

/// Fault classes of a process.
fn process(args: &Args, output: Output) -> Outcome {
    let report = tep::run(&args.path).map_err(|error| error.to_string())?;
    if output == Output::Json {
        let json = serde_json::to_string_pretty(&report).map_err(|error| error.to_string())?;
        println!("{json}");
        return Ok(Ended::Good);
    }
    if args.verbose {
        let rows: Vec<Vec<String>> = report
            .per_case
            .iter()
            .map(|case| {
                let first = format!("{} ({:.2})", case.first, case.probability);
                vec![case.truth.clone(), first, case.why.clone()]
            })
            .collect();
        table(&["FAULT", "NAMED FIRST", "RIGHT"], &rows);
        println!();
    }
    table(HEADER, &[row("runs", &report.runs)]);
    println!(
        "{} stretches, {:.3} named rightly",
        report.stretches, report.stretches_right
    );
    Ok(Ended::Good)
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

fn people(report: &Report, verbose: bool) {
    if verbose {
        let rows: Vec<Vec<String>> = report
            .per_case
            .iter()
            .map(|case| {
                vec![
                    case.rank.map_or_else(|| "-".to_owned(), |rank| rank.to_string()),
                    case.name.clone(),
                    case.kind_found.clone().unwrap_or_default(),
                    format!("{} ({:.2})", case.first, case.probability),
                    case.why.chars().take(100).collect(),
                ]
            })
            .collect();
        table(&["RANK", "CASE", "KIND FOUND", "NAMED FIRST", "WHY"], &rows);
        println!();
    }
    let mut rows = vec![row("all", &report.all)];
    rows.extend(report.groups.iter().map(|(group, figures)| row(group, figures)));
    table(HEADER, &rows);
    println!("read in {:.1} s", report.seconds_reading);
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
