//! `jurymast run`: the agent.

use std::path::PathBuf;

use tokio_util::sync::CancellationToken;

use super::{Ended, Outcome, foreign};
use crate::agent::{self, Options};
use crate::config::Loaded;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The config.
    #[arg(short, long, default_value = "jurymast.yml")]
    pub config: PathBuf,
    /// Watch and decide, but never act.
    #[arg(long)]
    pub observe_only: bool,
}

/// Runs until it is told to stop.
pub fn run(args: &Args) -> Outcome {
    agent(args, None, None)
}

/// Runs, perhaps recording, perhaps for a limited time.
pub fn agent(args: &Args, record: Option<PathBuf>, limit: Option<std::time::Duration>) -> Outcome {
    let loaded = Loaded::read(&args.config).map_err(|errors| foreign::told(&args.config, &errors))?;
    for warning in &loaded.warnings {
        tracing::warn!("{warning}");
    }
    super::runtime()?.block_on(async {
        let stop = CancellationToken::new();
        until_told(stop.clone(), limit)?;
        let options = Options {
            config: loaded,
            config_path: Some(args.config.clone()),
            observe_only: args.observe_only,
            record,
            ready: None,
            watch: None,
            stop,
        };
        Box::pin(agent::run(options)).await.map_err(|error| error.to_string())?;
        Ok(Ended::Good)
    })
}

/// SIGTERM and SIGINT end it in an orderly manner.
fn until_told(stop: CancellationToken, limit: Option<std::time::Duration>) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let mut term = signal(SignalKind::terminate()).map_err(|error| error.to_string())?;
    let mut int = signal(SignalKind::interrupt()).map_err(|error| error.to_string())?;
    tokio::spawn(async move {
        let over = async {
            match limit {
                Some(limit) => tokio::time::sleep(limit).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! { _ = term.recv() => {} _ = int.recv() => {} () = over => {} }
        tracing::info!("stopping");
        stop.cancel();
    });
    Ok(())
}
