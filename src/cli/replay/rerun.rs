//! The decision log that a capsule's inputs lead to, under its own rules or under others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::agent::engine_setup;
use crate::capsule::{Because, Capsule, RulesDigest};
use crate::config::{Config, Loaded};
use crate::detect::Sequential;
use crate::diagnose::{Learned, Library};
use crate::engine::{Effects, Engine, Record, Setup};
use crate::eval::diagnose::capsules;
use crate::model::Catalog;
use crate::plan::Playbooks;

/// A capsule goes on from another one, that one from another, and so on: no further back than this.
const CHAIN_MAX: usize = 64;

/// Under what a capsule is replayed.
pub enum Under {
    /// What was recorded.
    Recorded,
    /// The recorded config and playbooks, and the patterns of this binary.
    Builtin,
    /// Another config with its rules.
    Config(Box<Loaded>),
    /// The recorded config under other rules.
    Rules {
        /// Instead of all others; those that would be used anyway if `None`.
        library: Option<Box<Library>>,
        /// What was learned, instead of what was known then; that if empty.
        learned: Vec<Learned>,
        /// Instead of those of the same name.
        playbooks: Playbooks,
    },
}

impl Under {
    /// As the arguments say.
    pub fn of(builtin: bool, config: Option<&Path>, rules: &[PathBuf]) -> Result<Self, String> {
        if let Some(path) = config {
            let loaded = Loaded::read(path).map_err(|errors| errors.to_string())?;
            return Ok(Self::Config(Box::new(loaded)));
        }
        if rules.is_empty() {
            return Ok(if builtin { Self::Builtin } else { Self::Recorded });
        }
        let (mut files, mut learned) = (Vec::new(), Vec::new());
        for path in super::super::check::files(rules)? {
            let place = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
            let text = std::fs::read_to_string(&path).map_err(|error| place(&error))?;
            if path.extension().is_some_and(|ending| ending == "json") {
                learned.push(Learned::read(&text).map_err(|error| place(&error))?);
                continue;
            }
            // Cases lie beside the patterns that they test.
            if !super::super::test::holds_cases(&text) {
                files.push((path.display().to_string(), text));
            }
        }
        let (books, patterns): (Vec<_>, Vec<_>) = files
            .iter()
            .map(|(name, text)| (name.as_str(), text.as_str()))
            .partition(|(_, text)| super::super::check::is_playbook(text));
        let library = (!patterns.is_empty())
            .then(|| {
                Library::parse(patterns)
                    .map(Box::new)
                    .map_err(|error| error.to_string())
            })
            .transpose()?;
        Learned::check_all(&learned).map_err(|error| error.to_string())?;
        let playbooks = Playbooks::parse(books).map_err(|error| error.to_string())?;
        Ok(Self::Rules {
            library,
            learned,
            playbooks,
        })
    }

    /// True for anything but what was recorded.
    pub const fn is_other(&self) -> bool {
        !matches!(self, Self::Recorded)
    }

    fn parts(&self, capsule: &Capsule) -> Result<(Config, Arc<Library>, Arc<Playbooks>), String> {
        if let Self::Config(loaded) = self {
            return Ok((loaded.config.clone(), loaded.library.clone(), loaded.playbooks.clone()));
        }
        let place = |error: String| format!("{}: {error}", capsule.dir.display());
        let mut config = capsules::config(capsule).map_err(place)?;
        if let Self::Rules { learned, .. } = self
            && !learned.is_empty()
        {
            config.rules.learned.clone_from(learned);
        }
        let own: &[(String, String)] = match self {
            Self::Builtin => &[],
            _ => &capsule.patterns,
        };
        let own_library = || config.library(own).map_err(|error| place(error.to_string()));
        let mut playbooks = Playbooks::builtin();
        playbooks.extend(Playbooks::parse(pairs(&capsule.playbooks)).map_err(|error| place(error.to_string()))?);
        let library = match self {
            Self::Rules {
                library,
                playbooks: others,
                ..
            } => {
                playbooks.extend(others.clone());
                let given = library.as_deref().cloned();
                given.map_or_else(own_library, |given| Ok(given.with_learned(&config.rules.learned)))?
            }
            _ => own_library()?,
        };
        Ok((config, Arc::new(library), Arc::new(playbooks)))
    }
}

fn pairs(files: &[(String, String)]) -> impl Iterator<Item = (&str, &str)> {
    files.iter().map(|(name, text)| (name.as_str(), text.as_str()))
}

/// What came of it.
pub struct Rerun {
    /// The decision log of this capsule.
    pub log: Vec<Record>,
    /// The engine at its end.
    pub engine: Engine,
    /// The rules that were used.
    pub rules: RulesDigest,
    /// What a reader should know.
    pub notes: Vec<String>,
    /// The log can be held against the recorded one: nothing is missing of what came before.
    pub comparable: bool,
}

impl Rerun {
    /// The decision log as it is recorded: one JSON object a line.
    pub fn text(&self) -> Result<String, String> {
        let mut text = String::new();
        for record in &self.log {
            text += &serde_json::to_string(record).map_err(|error| error.to_string())?;
            text.push('\n');
        }
        Ok(text)
    }
}

/// Replays a capsule; before it, what it goes on from.
pub fn rerun(capsule: &Capsule, shards: Option<usize>, under: &Under) -> Result<Rerun, String> {
    rerun_with(capsule, shards, under, &mut |_| {})
}

/// The same; `watch` is shown the engine after each input of this capsule.
pub fn rerun_with(
    capsule: &Capsule,
    shards: Option<usize>,
    under: &Under,
    watch: &mut dyn FnMut(&Engine),
) -> Result<Rerun, String> {
    let mut notes = Vec::new();
    let (before, comparable) = chain(capsule, &mut notes)?;
    let catalog = Catalog::new();
    let then = capsule.manifest.rules.as_ref();
    let setup = |capsule: &Capsule| -> Result<(Setup, RulesDigest, Vec<&'static str>), String> {
        let (mut config, library, playbooks) = under.parts(capsule)?;
        if let Some(shards) = shards {
            config.agent.shards = shards;
        }
        let digest = RulesDigest::of(&library, &playbooks, &config.services);
        let changed = then.map(|then| then.changed(&library, &playbooks));
        let catalog = catalog.clone();
        Ok((
            engine_setup(&config, library, playbooks, catalog, Box::new(Sequential)),
            digest,
            changed.unwrap_or_default(),
        ))
    };
    let place = |error: String| format!("{}: {error}", capsule.dir.display());
    let first = before.first().unwrap_or(capsule);
    let (first_setup, mut digest, mut changed) = setup(first)?;
    let mut engine = Engine::new(first_setup).map_err(|error| place(error.to_string()))?;
    let mut log = Vec::new();
    let mut effects = Effects::default();
    let links = before.len();
    for (number, link) in before.iter().chain([capsule]).enumerate() {
        let reloaded = link
            .manifest
            .continues
            .as_ref()
            .is_some_and(|continues| continues.because == Because::Reload);
        if number > 0 && reloaded {
            let next;
            (next, digest, changed) = setup(link)?;
            engine.reload(next).map_err(|error| place(error.to_string()))?;
        }
        log.clear();
        link.inputs(&catalog, |input| {
            engine.handle(input, &mut effects);
            log.append(&mut effects.log);
            effects.clear();
            if number == links {
                watch(&engine);
            }
        })
        .map_err(|error| error.to_string())?;
    }
    if !under.is_other() {
        notes.extend(other_rules(capsule, &changed));
    }
    if capsule.manifest.dropped > 0 {
        notes.push(format!(
            "the disk was too slow: {} lines at its end could not be kept",
            capsule.manifest.dropped
        ));
    }
    Ok(Rerun {
        log,
        engine,
        rules: digest,
        notes,
        comparable,
    })
}

/// What is to be replayed before, the earliest first; and whether it is all there.
fn chain(capsule: &Capsule, notes: &mut Vec<String>) -> Result<(Vec<Capsule>, bool), String> {
    let mut before: Vec<Capsule> = Vec::new();
    loop {
        let last = before.last().unwrap_or(capsule);
        let Some(continues) = &last.manifest.continues else {
            before.reverse();
            return Ok((before, true));
        };
        if continues.because == Because::Gap {
            notes.push(format!(
                "it begins in the midst, after '{}', because the disk could not be written for a while: what was known before is not in it, and decisions may differ",
                continues.capsule
            ));
            before.reverse();
            return Ok((before, false));
        }
        match last.before() {
            Some(found) if before.len() < CHAIN_MAX => {
                let found = found.map_err(|error| error.to_string())?;
                before.push(found);
            }
            _ => {
                notes.push(format!(
                    "it goes on from '{}', which is not there: what was learned before is not known, and decisions may differ",
                    continues.capsule
                ));
                before.reverse();
                return Ok((before, false));
            }
        }
    }
}

/// Recorded with other rules than those that it was replayed with?
fn other_rules(capsule: &Capsule, changed: &[&str]) -> Option<String> {
    if changed.is_empty() {
        return None;
    }
    let by = capsule.manifest.version.as_deref().unwrap_or("an unknown version");
    Some(format!(
        "recorded with other rules ({}; by Jurymast {by}, this is {}): decisions may differ",
        changed.join(" and "),
        env!("CARGO_PKG_VERSION")
    ))
}
