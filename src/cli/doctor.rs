//! `jurymast doctor`: finds out why things might not work here.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Ended, Outcome, Output, print_json, table};
use crate::act::journal::look;
use crate::config::Loaded;
use crate::model::Span;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The config.
    #[arg(short, long, default_value = "jurymast.yml")]
    config: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    check: String,
    result: &'static str,
    detail: String,
}

/// A disk on which one record takes longer makes every move slow.
const SLOW_DISK: Duration = Duration::from_millis(20);

/// Examines; 1 if anything fails.
pub fn run(args: &Args, output: Output) -> Outcome {
    let mut all = Vec::new();
    let mut note = |check: &str, result: Result<String, (bool, String)>| {
        let (result, detail) = match result {
            Ok(detail) => ("ok", detail),
            Err((false, detail)) => ("warn", detail),
            Err((true, detail)) => ("FAIL", detail),
        };
        all.push(Checked {
            check: check.to_owned(),
            result,
            detail,
        });
    };
    match Loaded::read(&args.config) {
        Err(errors) => note("config", Err((true, errors.to_string()))),
        Ok(loaded) => {
            note("config", Ok(args.config.display().to_string()));
            for warning in &loaded.warnings {
                note("config", Err((false, warning.clone())));
            }
            if loaded.token.is_none() {
                note(
                    "token",
                    Err((
                        false,
                        "no api.token_file: nobody can approve, abort or hold over HTTP".into(),
                    )),
                );
            }
            if loaded.config.services.is_empty() {
                note(
                    "services",
                    Err((false, "none: Jurymast will watch and never move anything".into())),
                );
            }
            note("journal", journal(&loaded));
            let reached = super::runtime()?.block_on(super::reach::reach(&loaded));
            for (check, result) in reached {
                note(&check, result);
            }
        }
    }
    let bad = all.iter().any(|checked| checked.result == "FAIL");
    if output == Output::Json {
        print_json(&all)?;
    } else {
        let rows: Vec<Vec<String>> = all
            .into_iter()
            .map(|c| vec![c.result.to_owned(), c.check, c.detail])
            .collect();
        table(&["", "CHECK", "DETAIL"], &rows);
    }
    Ok(if bad { Ended::Bad } else { Ended::Good })
}

/// Reads the journal and leaves all as it is: an agent may hold it, and whoever asks may be another user than the agent's, who could not write what this one had made.
fn journal(loaded: &Loaded) -> Result<String, (bool, String)> {
    let dir = &loaded.config.agent.data_dir;
    let state = look(dir).map_err(|error| (true, error.to_string()))?;
    for name in ["lock", "journal", "audit"] {
        let path = dir.join(name);
        match std::fs::OpenOptions::new().append(true).open(&path) {
            Ok(_) => {}
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => {
                let problem = format!(
                    "{}: {error}: run this as the user that the agent runs as",
                    path.display()
                );
                return Err((true, problem));
            }
        }
    }
    // Measured beside the journal, not in it; where the agent will make its folder if there is none yet.
    let within = std::path::absolute(dir).map_err(|error| (true, error.to_string()))?;
    let Some(within) = within.ancestors().find(|folder| folder.is_dir()) else {
        return Err((true, format!("{}: no such folder", dir.display())));
    };
    let path = within.join(format!(".jurymast-doctor-{}", std::process::id()));
    let begin = Instant::now();
    let written = std::fs::File::create_new(&path).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &[0; 256])?;
        file.sync_data()
    });
    let took = Span(Duration::from_micros(
        u64::try_from(begin.elapsed().as_micros()).unwrap_or(0),
    ));
    if !matches!(&written, Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists) {
        let _ = std::fs::remove_file(&path);
    }
    written.map_err(|error| (true, format!("{}: {error}", within.display())))?;
    if took.0 > SLOW_DISK {
        return Err((false, format!("one record takes {took}: a plan writes two per step")));
    }
    if !dir.is_dir() {
        return Ok(format!(
            "{}: the agent makes it when it starts, {took} per record",
            dir.display()
        ));
    }
    let open = state.open.len();
    Ok(format!(
        "{}: epoch {}, {open} unfinished plans, {took} per record",
        dir.display(),
        state.epoch
    ))
}
