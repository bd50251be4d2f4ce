//! `jurymast audit`: what an agent has ever written into its journal, and whether anybody has changed it since.

use std::path::{Path, PathBuf};

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::act::journal::{AuditError, Place, page, verify};
use crate::config::Loaded;

/// Records that are missing are named one by one up to so many.
const SHOWN: usize = 20;

/// Whose log it is.
#[derive(clap::Args)]
pub struct Whose {
    /// The config; the log is in the folder that it names as `agent.data_dir`.
    #[arg(short, long, default_value = "jurymast.yml")]
    config: PathBuf,
    /// The folder itself, instead of a config.
    #[arg(long)]
    data_dir: Option<PathBuf>,
}

impl Whose {
    fn dir(&self) -> Result<PathBuf, String> {
        if let Some(dir) = &self.data_dir {
            return Ok(dir.clone());
        }
        let loaded = Loaded::read(&self.config).map_err(|errors| errors.to_string())?;
        Ok(loaded.config.agent.data_dir)
    }
}

/// What is asked.
#[derive(clap::Subcommand)]
pub enum What {
    /// Follow the chain of hashes from its beginning, and compare with the journal beside it; exit code 1 if it is broken or a record is missing.
    Verify {
        #[command(flatten)]
        whose: Whose,
        /// A hash that was the last one once, kept elsewhere: it must be met, or the end was cut off.
        #[arg(long)]
        contains: Option<String>,
    },
    /// The latest records, oldest first, with when each was written and its place in the log.
    List {
        #[command(flatten)]
        whose: Whose,
        /// At most so many.
        #[arg(long, default_value_t = 100)]
        limit: usize,
        /// Only those before this place, such as 1:4096; where a list was cut it names the next one.
        #[arg(long)]
        before: Option<String>,
    },
}

/// Verifies or lists.
pub fn run(what: &What, output: Output) -> Outcome {
    match what {
        What::Verify { whose, contains } => verified(&whose.dir()?, contains.as_deref(), output),
        What::List { whose, limit, before } => list(&whose.dir()?, *limit, before.as_deref(), output),
    }
}

fn verified(dir: &Path, contains: Option<&str>, output: Output) -> Outcome {
    match verify(dir, contains) {
        Ok(told) => {
            if output == Output::Json {
                println!("{:#}", json!(told));
            } else {
                println!("{} records in {} files, the chain is whole", told.records, told.files);
                println!("last hash: {}", told.last);
                if told.torn > 0 {
                    println!("a last line of {} bytes was cut off by a crash", told.torn);
                }
                if told.recovered > 0 {
                    println!(
                        "{} of them had been lost by a crash and were taken from the journal at the next start",
                        told.recovered
                    );
                }
                for what in told.missing.iter().take(SHOWN) {
                    println!("WRONG: the journal beside it holds what the log does not: {what}");
                }
                if let more @ 1.. = told.missing.len().saturating_sub(SHOWN) {
                    println!("WRONG: and {more} more");
                }
                if !told.met {
                    println!("WRONG: the wanted hash is not there: the end was cut off, or it is another log");
                }
            }
            let good = told.met && told.missing.is_empty();
            Ok(if good { Ended::Good } else { Ended::Bad })
        }
        Err(error @ AuditError::Broken { .. }) => {
            if output == Output::Json {
                println!("{:#}", json!({"broken": error.to_string()}));
            } else {
                println!("WRONG: {error}");
            }
            Ok(Ended::Bad)
        }
        Err(error) => Err(error.to_string()),
    }
}

fn list(dir: &Path, limit: usize, before: Option<&str>, output: Output) -> Outcome {
    let told = |error: AuditError| error.to_string();
    let before: Option<Place> = before.map(str::parse).transpose().map_err(told)?;
    let page = page(dir, before, limit).map_err(told)?;
    if output == Output::Json {
        println!("{:#}", json!({"records": page.records, "before": page.before}));
        return Ok(Ended::Good);
    }
    for one in &page.records {
        println!("{} {} {}", one.written, one.place, json!(one.record));
    }
    if let Some(place) = page.before {
        eprintln!("there are earlier ones: --before {place}");
    }
    Ok(Ended::Good)
}
