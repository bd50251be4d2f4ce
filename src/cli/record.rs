//! `jurymast record`: watch without acting, and record everything that the engine is fed.

use std::path::PathBuf;

use super::{Outcome, run};
use crate::model::Span;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The config.
    #[arg(short, long, default_value = "jurymast.yml")]
    config: PathBuf,
    /// The capsule: a folder that does not exist yet.
    #[arg(long)]
    out: PathBuf,
    /// How long; until it is told to stop if left out.
    #[arg(long = "for")]
    span: Option<Span>,
}

/// Records.
pub fn run(args: &Args) -> Outcome {
    let watch = run::Args {
        config: args.config.clone(),
        observe_only: true,
    };
    run::agent(&watch, Some(args.out.clone()), args.span.map(Into::into))
}
