//! The commands, one file each.
//!
//! Exit codes: 0 good, 1 ran and found bad, 2 could not run.

mod audit;
mod backtest;
mod check;
mod client;
mod demo;
mod discover;
mod doctor;
mod drill;
mod eval;
mod exec;
mod explain;
mod explained;
mod foreign;
mod hint;
mod import;
mod inject;
mod learn;
mod operate;
mod plan;
mod reach;
mod record;
mod reference;
mod replay;
mod run;
mod sim;
mod stage;
mod test;
mod top;
mod train;

pub use reference::reference;

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand, ValueEnum};
use tracing_subscriber::EnvFilter;

/// What a newcomer types first.
const FIRST: &str = "\
To begin:
  jurymast demo --stay 5m               see it at work, with nothing installed
  jurymast discover mqtt://HOST:1883    write a config from what a broker says
  jurymast check config, doctor, drill  is the config right, would it work here, would a move work
  jurymast record                       watch beside the real thing, and never act
  jurymast run                          in earnest; `jurymast status` and http://127.0.0.1:9909/ show it

Exit codes: 0 all is good; 1 it ran and found something bad; 2 it could not run.";

/// Finds out what broke, decides whether moving the service would help, and fails it over exactly once.
#[derive(Parser)]
#[command(name = "jurymast", version, about, max_term_width = 100, after_help = FIRST)]
struct Cli {
    /// How to print.
    #[arg(short, long, global = true, value_enum, default_value_t = Output::Text)]
    output: Output,
    /// What to log: error, warn, info, debug, or a filter such as `jurymast::ingest=debug`.
    #[arg(long, global = true, env = "JURYMAST_LOG")]
    log: Option<String>,
    #[command(subcommand)]
    command: Command,
}

/// How to print.
#[derive(Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Output {
    /// For people.
    Text,
    /// For programs.
    Json,
}

#[derive(Subcommand)]
enum Command {
    /// Run the agent.
    Run(run::Args),
    /// A plant in a box: a fault is injected and cured in front of you. Needs nothing installed.
    Demo(demo::Args),
    /// Replay recorded incidents and compare every decision.
    Replay(replay::Args),
    /// Make a recording of what others have recorded: dumps of metrics, logs of MQTT, tables.
    Import(import::Args),
    /// Replay recordings under another config or other rules, and show what would have been decided otherwise.
    Backtest(backtest::Args),
    /// Watch without acting, and record everything that the engine is fed.
    Record(record::Args),
    /// Check a config, rules or recorded incidents.
    #[command(subcommand)]
    Check(check::What),
    /// Play the tests of rules.
    #[command(subcommand)]
    Test(test::What),
    /// How a running agent stands.
    Status(client::Args),
    /// The page in a terminal: how a running agent stands, each second anew.
    Top(top::Top),
    /// The incidents that a running agent knows.
    Incidents(client::Args),
    /// Why an incident was judged as it was.
    Explain(explain::Explain),
    /// Say yes to a verdict that asks.
    Approve(operate::Approve),
    /// Say no to a verdict that asks: nothing is moved for that incident, and nobody is asked again.
    Deny(operate::Deny),
    /// Say that an incident was what it was taken for, or what else it was, to be learned from.
    Confirm(learn::Confirm),
    /// Learn from confirmed incidents how faults really show, as a file that `models` in the config names.
    Learn(learn::Args),
    /// Take back a running plan.
    Abort(operate::Abort),
    /// Send a service back to where it belongs.
    Failback(operate::Failback),
    /// No moves of a service, or of all, for a while.
    Maintenance(operate::Maintenance),
    /// Stop all acting, or release it: nothing further begins, what has not passed its commit point is taken back, what has is finished.
    Hold(operate::Hold),
    /// Has anybody changed what an agent has written into its journal?
    #[command(subcommand)]
    Audit(audit::What),
    /// On a target host: run a command unless its token is stale.
    ///
    /// Remembers the highest token of each service on disk, before the command begins. Exit code: the command's own; 75 if nothing was done because
    /// the token is stale; 3 if the same command was begun before and nobody knows how it ended.
    Exec(exec::Args),
    /// Run the engine and its plans in simulated worlds that go wrong, and see that every law holds.
    Sim(sim::Args),
    /// Listen on a broker for a minute and write a commented config to start with.
    Discover(discover::Args),
    /// Find out why things might not work here.
    Doctor(doctor::Args),
    /// Would a move work? Looks at all that a plan needs; with --real the service is moved and brought back.
    Drill(drill::Drill),
    /// What if this is lost? Who goes where, what is missed, what one more standby would buy.
    Plan(plan::Args),
    /// Score what ships on labelled data.
    #[command(subcommand)]
    Eval(eval::What),
    /// Put faults of devices into recorded telemetry, with labels.
    Inject(inject::Args),
    /// Learn what is normal for a class of devices from recordings, as a model to run with.
    Train(train::Args),
    /// Print the config's JSON schema.
    Schema,
    /// Write the manual pages into a folder.
    Man {
        /// The folder; made if it is not there.
        folder: std::path::PathBuf,
    },
    /// Print completions for a shell.
    Completions {
        /// Which shell.
        shell: clap_complete::Shell,
    },
    #[command(flatten)]
    Hidden(demo::Hidden),
}

/// What came of a command.
pub enum Ended {
    /// All is good: 0.
    Good,
    /// It ran and found something bad: 1.
    Bad,
    /// A program that it ran has ended so.
    Code(i32),
}

/// A sentence for a person: the command could not run.
pub type Outcome = Result<Ended, String>;

/// Parses the arguments and runs the command.
pub fn main() -> ExitCode {
    quiet_when_cut_short();
    crate::net::install_crypto();
    let cli = Cli::try_parse().unwrap_or_else(|error| hint::with(error, &Cli::command()).exit());
    log(&cli);
    let ended = match cli.command {
        Command::Run(args) => run::run(&args),
        Command::Demo(args) => demo::run(&args, cli.output),
        Command::Replay(args) => replay::run(&args, cli.output),
        Command::Import(args) => import::run(&args, cli.output),
        Command::Backtest(args) => backtest::run(&args, cli.output),
        Command::Record(args) => record::run(&args),
        Command::Check(what) => check::run(&what, cli.output),
        Command::Test(what) => test::run(&what, cli.output),
        Command::Status(args) => operate::status(&args, cli.output),
        Command::Top(args) => top::run(&args, cli.output),
        Command::Incidents(args) => operate::incidents(&args, cli.output),
        Command::Explain(args) => explain::run(&args, cli.output),
        Command::Approve(args) => operate::approve(&args, cli.output),
        Command::Deny(args) => operate::deny(&args, cli.output),
        Command::Confirm(args) => learn::confirm(&args, cli.output),
        Command::Learn(args) => learn::learn(&args, cli.output),
        Command::Abort(args) => operate::abort(&args, cli.output),
        Command::Failback(args) => operate::failback(&args, cli.output),
        Command::Maintenance(args) => operate::maintenance(&args, cli.output),
        Command::Hold(args) => operate::hold(&args, cli.output),
        Command::Audit(what) => audit::run(&what, cli.output),
        Command::Exec(args) => exec::run(&args, cli.output),
        Command::Sim(args) => sim::run(&args, cli.output),
        Command::Discover(args) => discover::run(&args, cli.output),
        Command::Doctor(args) => doctor::run(&args, cli.output),
        Command::Drill(args) => drill::run(&args, cli.output),
        Command::Plan(args) => plan::run(&args, cli.output),
        Command::Eval(what) => eval::run(&what, cli.output),
        Command::Inject(args) => inject::run(&args, cli.output),
        Command::Train(args) => train::run(&args, cli.output),
        Command::Schema => {
            println!("{:#}", crate::config::json_schema());
            Ok(Ended::Good)
        }
        Command::Man { folder } => reference::manual(&folder),
        Command::Completions { shell } => {
            clap_complete::generate(shell, &mut Cli::command(), "jurymast", &mut std::io::stdout());
            Ok(Ended::Good)
        }
        Command::Hidden(hidden) => demo::hidden(&hidden),
    };
    match ended {
        Ok(Ended::Good) => ExitCode::SUCCESS,
        Ok(Ended::Bad) => ExitCode::from(1),
        Ok(Ended::Code(code)) => ExitCode::from(u8::try_from(code).unwrap_or(u8::MAX)),
        Err(error) => {
            eprintln!("{}: {error}", if colour() { "\x1b[31merror\x1b[0m" } else { "error" });
            ExitCode::from(2)
        }
    }
}

/// A reader such as `head` that has seen enough is no failure of ours to be told at length.
fn quiet_when_cut_short() {
    let usual = std::panic::take_hook();
    std::panic::set_hook(Box::new(move |info| {
        let said = info.payload().downcast_ref::<String>();
        if said.is_some_and(|said| said.starts_with("failed printing to stdout") && said.contains("Broken pipe")) {
            std::process::exit(0);
        }
        usual(info);
    }));
}

fn log(cli: &Cli) {
    let default = match cli.command {
        Command::Run(_) | Command::Record(_) => "jurymast=info,warn",
        Command::Demo(_) | Command::Hidden(_) => "off",
        _ => "warn",
    };
    let filter = cli
        .log
        .clone()
        .or_else(|| std::env::var("RUST_LOG").ok())
        .unwrap_or_else(|| default.to_owned());
    let filter = EnvFilter::try_new(&filter).unwrap_or_else(|_| EnvFilter::new(default));
    tracing_subscriber::fmt()
        .with_env_filter(filter)
        .with_writer(std::io::stderr)
        .with_ansi(colour())
        .init();
}

/// Colours only on a terminal, and never against `NO_COLOR` (<https://no-color.org>).
pub fn colour() -> bool {
    std::io::stderr().is_terminal() && std::io::stdout().is_terminal() && std::env::var_os("NO_COLOR").is_none()
}

/// A runtime for commands that talk to the world.
pub fn runtime() -> Result<tokio::runtime::Runtime, String> {
    tokio::runtime::Builder::new_multi_thread()
        .worker_threads(2)
        .enable_all()
        .build()
        .map_err(|error| format!("cannot start: {error}"))
}

/// Prints it as JSON.
pub fn print_json<T: serde::Serialize + ?Sized>(value: &T) -> Result<(), String> {
    let text = serde_json::to_string_pretty(value).map_err(|error| error.to_string())?;
    println!("{text}");
    Ok(())
}

/// Prints rows under a header, columns aligned.
pub fn table(header: &[&str], rows: &[Vec<String>]) {
    let mut widths: Vec<usize> = header.iter().map(|cell| cell.chars().count()).collect();
    for row in rows {
        for (width, cell) in widths.iter_mut().zip(row) {
            *width = (*width).max(cell.chars().count());
        }
    }
    let line = |cells: &[String]| {
        let padded: Vec<String> = cells
            .iter()
            .zip(&widths)
            .map(|(cell, width)| format!("{cell:<width$}"))
            .collect();
        println!("{}", padded.join("  ").trim_end());
    };
    line(&header.iter().map(ToString::to_string).collect::<Vec<_>>());
    for row in rows {
        line(row);
    }
}
