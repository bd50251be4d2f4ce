//! `jurymast audit`: what an agent has ever written into its journal, and whether anybody has changed it since.

use std::path::PathBuf;

use serde_json::json;

use super::{Ended, Outcome, Output};
use crate::act::journal::{AuditError, verify};
use crate::config::Loaded;

/// What is asked.
#[derive(clap::Subcommand)]
pub enum What {
    /// Follow the chain of hashes from its beginning; exit code 1 if it is broken.
    Verify {
        /// The config; the log is in the folder that it names as `agent.data_dir`.
        #[arg(short, long, default_value = "jurymast.yml")]
        config: PathBuf,
        /// The folder itself, instead of a config.
        #[arg(long)]
        data_dir: Option<PathBuf>,
        /// A hash that was the last one once, kept elsewhere: it must be met, or the end was cut off.
        #[arg(long)]
        contains: Option<String>,
    },
}

/// Verifies.
pub fn run(what: &What, output: Output) -> Outcome {
    let What::Verify {
        config,
        data_dir,
        contains,
    } = what;
    let dir = match data_dir {
        Some(dir) => dir.clone(),
        None => {
            Loaded::read(config)
                .map_err(|errors| errors.to_string())?
                .config
                .agent
                .data_dir
        }
    };
    match verify(&dir, contains.as_deref()) {
        Ok(told) => {
            if output == Output::Json {
                println!("{:#}", json!(told));
            } else {
                println!("{} records in {} files, the chain is whole", told.records, told.files);
                println!("last hash: {}", told.last);
                if told.torn > 0 {
                    println!("a last line of {} bytes was cut off by a crash", told.torn);
                }
                if !told.met {
                    println!("WRONG: the wanted hash is not there: the end was cut off, or it is another log");
                }
            }
            Ok(if told.met { Ended::Good } else { Ended::Bad })
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
