//! `jurymast confirm` and `jurymast learn`: what people say that incidents were, and what patterns learn from it.

mod folds;
mod lessons;
mod reliability;
mod suspects;

use std::path::{Path, PathBuf};

use serde::Serialize;
use serde_json::json;

use super::{Ended, Outcome, Output, client};
use crate::config::Loaded;
use crate::diagnose::{Learned, Library};
use crate::model::hash::{FNV, fnv1a};

/// Where earlier versions are kept, below the folder of the models: no config that names the folder reads them.
const EARLIER: &str = "earlier";

/// Earlier versions that are looked through.
const VERSIONS_MAX: u32 = 100_000;

/// A difference in a share or in a mean square that is no difference.
const SAME: f64 = 1e-6;

/// Arguments of `confirm`.
#[derive(clap::Args)]
pub struct Confirm {
    /// Which incident.
    id: u64,
    /// What it was, as FAULT or FAULT@ENTITY, where the most probable cause was not it.
    #[arg(long)]
    cause: Option<String>,
    #[command(flatten)]
    agent: client::Args,
}

/// Arguments of `learn`.
#[derive(clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a flag on the command line")]
pub struct Args {
    /// Confirmed incidents: an agent's `data_dir`, its `confirmed.jsonl`, capsules with their truth, or folders of capsules.
    #[arg(required_unless_present = "rollback")]
    paths: Vec<PathBuf>,
    /// Where models are kept.
    #[arg(long, default_value = "models")]
    into: PathBuf,
    /// Bring back what was there before the last time; with --reliability or --suspects of those.
    #[arg(long, conflicts_with_all = ["paths", "config", "patterns", "force"])]
    rollback: bool,
    /// Instead of lessons about patterns, measure on these capsules how often causes called so probable were right, and keep the correction.
    #[arg(long)]
    reliability: bool,
    /// The same for the statistical ranking of suspects, run without any pattern.
    #[arg(long, conflicts_with = "reliability")]
    suspects: bool,
    /// Judge capsules by the patterns of this config, instead of by those that they were recorded with.
    #[arg(short, long, conflicts_with = "patterns")]
    config: Option<PathBuf>,
    /// Judge capsules by these patterns, files or folders.
    #[arg(long, num_args = 1.., value_name = "PATH")]
    patterns: Vec<PathBuf>,
    /// Keep what was learned though it makes things worse.
    #[arg(long)]
    force: bool,
}

impl Args {
    /// The file that is written.
    fn file(&self) -> &'static str {
        if self.reliability {
            reliability::FILE
        } else if self.suspects {
            suspects::FILE
        } else {
            lessons::FILE
        }
    }

    /// The patterns that capsules are judged by, as they are written; `None` for those that each was recorded with.
    fn patterns_in_use(&self) -> Result<Option<Library>, String> {
        if let Some(config) = &self.config {
            let mut loaded = Loaded::read(config).map_err(|errors| errors.to_string())?;
            loaded.config.rules.learned.clear();
            let library = loaded.config.library(&loaded.pattern_files);
            return library.map(Some).map_err(|error| error.to_string());
        }
        let mut files = Vec::new();
        for path in super::check::files(&self.patterns)? {
            let text = std::fs::read_to_string(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            // Cases lie beside the patterns that they test.
            if !super::test::holds_cases(&text) {
                files.push((path.display().to_string(), text));
            }
        }
        let texts = files.iter().map(|(name, text)| (name.as_str(), text.as_str()));
        let library = Library::parse(texts).map_err(|error| error.to_string())?;
        Ok((!self.patterns.is_empty()).then_some(library))
    }
}

/// `jurymast confirm`.
pub fn confirm(args: &Confirm, output: Output) -> Outcome {
    let (fault, entity) = match args.cause.as_deref().map(|cause| cause.split_once('@').ok_or(cause)) {
        None => (None, None),
        Some(Ok((fault, entity))) => (Some(fault), Some(entity)),
        Some(Err(fault)) => (Some(fault), None),
    };
    let body = json!({"fault": fault, "entity": entity});
    let answer = args.agent.post(&format!("/api/incidents/{}/confirm", args.id), &body)?;
    if output == Output::Json {
        println!("{answer:#}");
    } else {
        println!(
            "incident {} is confirmed; 'jurymast learn DATA_DIR' learns from it",
            args.id
        );
    }
    Ok(Ended::Good)
}

/// `jurymast learn`.
pub fn learn(args: &Args, output: Output) -> Outcome {
    if args.rollback {
        return rollback(&args.into, args.file(), output);
    }
    if args.reliability {
        return reliability::run(args, output);
    }
    if args.suspects {
        return suspects::run(args, output);
    }
    lessons::run(args, output)
}

fn digest(of: &impl Serialize) -> Result<String, String> {
    let text = serde_json::to_string(of).map_err(|error| error.to_string())?;
    Ok(format!("{:016x}", fnv1a(FNV, &text)))
}

/// Where an earlier version lies: `earlier/lessons.3.json`.
fn version(dir: &Path, name: &str, number: u32) -> PathBuf {
    let (stem, ending) = name.rsplit_once('.').unwrap_or((name, "json"));
    dir.join(EARLIER).join(format!("{stem}.{number}.{ending}"))
}

/// The number of the latest earlier version.
fn latest(dir: &Path, name: &str) -> Option<u32> {
    (1..VERSIONS_MAX)
        .take_while(|number| version(dir, name, *number).exists())
        .last()
}

/// Keeps what was learned, and says so; unless it makes things worse in the way that is told.
fn keep(args: &Args, file: &str, learned: Learned, worse: Option<&str>, output: Output) -> Outcome {
    let path = args.into.join(file);
    let refused = worse.is_some() && !args.force;
    if !refused {
        write(&args.into, file, &learned.text())?;
    }
    if output == Output::Text {
        let path = path.display();
        match worse {
            None => println!("kept; use it by 'models: [{path}]' in the config"),
            Some(worse) if refused => {
                println!("NOT kept: {worse}. What is in use stays; --force keeps it all the same");
            }
            Some(worse) => println!("kept by --force though {worse}: {path}"),
        }
    }
    Ok(if refused { Ended::Bad } else { Ended::Good })
}

/// Writes a file whole; what was there before is kept under a number.
fn write(dir: &Path, name: &str, text: &str) -> Result<(), String> {
    let wrong = |path: &Path| {
        let path = path.display().to_string();
        move |error: std::io::Error| format!("{path}: {error}")
    };
    let path = dir.join(name);
    let earlier = dir.join(EARLIER);
    std::fs::create_dir_all(dir).map_err(wrong(dir))?;
    if path.exists() {
        std::fs::create_dir_all(&earlier).map_err(wrong(&earlier))?;
        let older = version(dir, name, latest(dir, name).unwrap_or(0) + 1);
        std::fs::rename(&path, &older).map_err(wrong(&older))?;
    }
    let part = dir.join(format!("{name}.part"));
    std::fs::write(&part, text).map_err(wrong(&part))?;
    std::fs::rename(&part, &path).map_err(wrong(&path))
}

fn rollback(dir: &Path, name: &str, output: Output) -> Outcome {
    let path = dir.join(name);
    let number = latest(dir, name).ok_or_else(|| {
        format!(
            "{}: there is no earlier version to bring back; to do without it take it out of 'models' in the config",
            path.display()
        )
    })?;
    let older = version(dir, name, number);
    std::fs::rename(&older, &path).map_err(|error| format!("{}: {error}", path.display()))?;
    if output == Output::Json {
        println!("{:#}", json!({"restored": number, "path": path}));
    } else {
        println!("version {number} is back in {}", path.display());
    }
    Ok(Ended::Good)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_before_is_kept_and_can_be_brought_back() {
        let dir = tempfile::tempdir().unwrap();
        for name in [lessons::FILE, reliability::FILE] {
            let is = |text: &str| assert_eq!(std::fs::read_to_string(dir.path().join(name)).unwrap(), text);
            for text in ["one", "two", "three"] {
                write(dir.path(), name, text).unwrap();
            }
            is("three");
            rollback(dir.path(), name, Output::Text).unwrap();
            is("two");
            rollback(dir.path(), name, Output::Text).unwrap();
            is("one");
            assert!(rollback(dir.path(), name, Output::Text).is_err());
        }
        // No config that names the folder reads earlier versions.
        let files = std::fs::read_dir(dir.path())
            .unwrap()
            .flatten()
            .filter(|entry| entry.path().is_file());
        assert_eq!(files.count(), 2);
    }
}
