//! `jurymast drill`: would a move work? Dry, all that a plan needs is looked at; real, a running agent moves the service to a standby and back; or
//! what there was of drills before.

mod current;
mod front;
mod history;
mod junit;
mod real;

use std::path::{Path, PathBuf};

use super::{Ended, Outcome, Output, client, table};
use crate::agent::drill::{Found, Look, drill};
use crate::config::Loaded;
use crate::model::{Service, Span};

/// Arguments.
#[derive(clap::Args)]
pub struct Drill {
    /// The config.
    #[arg(short, long, default_value = "jurymast.yml")]
    config: PathBuf,
    /// Only these services; all if left out.
    #[arg(long)]
    service: Vec<String>,
    /// Write the report for a build server as well.
    #[arg(long, value_name = "FILE", conflicts_with = "history")]
    junit: Option<PathBuf>,
    /// Have the running agent move the service to a standby and back. In a maintenance window, or with --yes; never while an incident is open.
    #[arg(long, requires = "service")]
    real: bool,
    /// Where to, if not to the best standby.
    #[arg(long, requires = "real")]
    to: Option<String>,
    /// How long it stays there.
    #[arg(long, requires = "real", default_value = "10s")]
    stay: Span,
    /// Also outside of a maintenance window.
    #[arg(long, requires = "real")]
    yes: bool,
    /// Ask here as clients do while it goes on (an HTTP URL of what stands before the service, or `tcp://host:port`), and report how long
    /// they saw it gone.
    #[arg(long, requires = "real", value_name = "URL")]
    front: Option<String>,
    /// Show the drills that the agent of this config has kept, and their trend.
    #[arg(long, conflicts_with = "real")]
    history: bool,
    #[command(flatten)]
    agent: client::At,
}

/// Drills; 1 if anything would fail, or has failed.
pub fn run(args: &Drill, output: Output) -> Outcome {
    if args.history {
        return history::run(&args.config, &args.service, output);
    }
    if args.real {
        return real::run(args, output);
    }
    let loaded = Loaded::read(&args.config).map_err(|errors| errors.to_string())?;
    let services: Vec<&Service> = loaded
        .config
        .services
        .iter()
        .filter(|service| args.service.is_empty() || args.service.iter().any(|name| name == service.name.as_str()))
        .collect();
    if let Some(unknown) = args
        .service
        .iter()
        .find(|name| !services.iter().any(|service| service.name.as_str() == name.as_str()))
    {
        return Err(format!("no service is called {unknown}"));
    }
    if services.is_empty() {
        return Err(format!("{} has no services to drill", args.config.display()));
    }
    let active = current::active(&loaded, &args.agent.of(&args.config))?;
    let looks = super::runtime()?.block_on(drill(&loaded, &services, &active));
    write_junit(args.junit.as_deref(), &looks)?;
    let bad = bad(&looks);
    if output == Output::Json {
        println!(
            "{:#}",
            serde_json::json!({"good": bad == 0, "active": active, "checks": looks})
        );
    } else {
        show(&looks);
        for note in current::notes(&services, &active) {
            println!("{note}");
        }
        println!(
            "\n{} looks, {bad} bad{}",
            looks.len(),
            if bad == 0 {
                ": a move would find what it needs"
            } else {
                ""
            }
        );
    }
    Ok(if bad == 0 { Ended::Good } else { Ended::Bad })
}

fn bad(looks: &[Look]) -> usize {
    looks.iter().filter(|look| matches!(look.found, Found::Bad(_))).count()
}

fn show(looks: &[Look]) {
    let rows: Vec<Vec<String>> = looks.iter().map(row).collect();
    table(&["SERVICE", "LOOKED AT", "FOUND", "TOOK"], &rows);
}

fn write_junit(file: Option<&Path>, looks: &[Look]) -> Result<(), String> {
    let Some(file) = file else { return Ok(()) };
    std::fs::write(file, junit::junit(looks)).map_err(|error| format!("{}: {error}", file.display()))
}

fn row(look: &Look) -> Vec<String> {
    let found = match &look.found {
        Found::Good => "good".to_owned(),
        Found::Bad(why) => format!("BAD: {why}"),
        Found::Unseen(why) => format!("not seen: {why}"),
    };
    let took = format!("{:.0} ms", look.seconds * 1e3);
    vec![look.service.clone(), look.name.clone(), found, took]
}
