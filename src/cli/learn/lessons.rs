//! `jurymast learn`: what confirmed incidents teach about patterns, and whether that is worth having.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde_json::json;

use super::folds::{FOLDS, fold};
use super::{Args, SAME, digest, keep};
use crate::agent::confirmed;
use crate::cli::{Outcome, Output};
use crate::diagnose::{Classifier, Learned, Lessons, Library, Resemblance, Taught, Testimony, Worth};
use crate::engine::Record;
use crate::eval::diagnose::Figures;
use crate::eval::diagnose::capsules::{self, Judged, Lived, With};

/// The file, which a config names under `models`.
pub const FILE: &str = "lessons.json";

/// What was said of incidents.
#[derive(Default)]
struct Heard {
    /// Of incidents that happened by themselves, confirmed by people.
    happened: Vec<Testimony>,
    /// Of incidents that were acted out or chosen.
    chosen: Vec<Testimony>,
}

impl Heard {
    fn of(lived: Lived) -> Self {
        match lived {
            Lived::Confirmed(happened) => Self {
                happened,
                ..Self::default()
            },
            Lived::Labelled(chosen) => Self {
                chosen,
                ..Self::default()
            },
        }
    }

    fn add(&mut self, other: &Self) {
        self.happened.extend(other.happened.iter().cloned());
        self.chosen.extend(other.chosen.iter().cloned());
    }

    fn all(&self) -> impl Iterator<Item = &Testimony> {
        self.happened.iter().chain(&self.chosen)
    }

    /// What they teach.
    fn teach(&self) -> Result<Taught, String> {
        let all: Vec<Testimony> = self.all().cloned().collect();
        let mut lessons = Lessons::default();
        self.happened.iter().for_each(|testimony| lessons.add(testimony));
        self.chosen.iter().for_each(|testimony| lessons.add_chosen(testimony));
        let (looks, classifier) = looks(&all);
        Ok(Taught {
            digest: digest(&all)?,
            incidents: all.len(),
            lessons,
            looks,
            metrics: None,
            classifier,
        })
    }
}

/// A recording and what it teaches.
struct Recorded {
    path: PathBuf,
    heard: Heard,
}

/// Learns from all that is given, measures it, and keeps it unless it makes things worse.
pub fn run(args: &Args, output: Output) -> Outcome {
    let patterns = args.patterns_in_use()?;
    let written = |own: Library| patterns.clone().unwrap_or(own);
    let (mut heard, mut recorded) = (Heard::default(), Vec::new());
    for path in &args.paths {
        let file = if path.is_dir() {
            path.join(confirmed::FILE)
        } else {
            path.clone()
        };
        if file.is_file() {
            heard.happened.extend(read(&file)?);
            continue;
        }
        let found = capsules::find(path);
        if found.is_empty() {
            return Err(format!(
                "{}: neither {} nor a capsule is there",
                path.display(),
                confirmed::FILE
            ));
        }
        for path in found {
            let lived = capsules::testimonies(&path, With::Made(&written)).map_err(|error| error.to_string())?;
            let of_it = Heard::of(lived);
            heard.add(&of_it);
            recorded.push(Recorded { path, heard: of_it });
        }
    }
    if heard.all().next().is_none() {
        return Err("no confirmed incident is there: 'jurymast confirm ID' confirms one".into());
    }
    let mut taught = heard.teach()?;
    let mut looks_left_out = false;
    if let Some((plain, with_looks)) = worth(&recorded, &written)? {
        // What faults look like is kept only where it does not take away from what their patterns say.
        looks_left_out = !taught.looks.is_empty() && is_below(&with_looks, &plain);
        if looks_left_out {
            taught.looks.clear();
        }
        taught.metrics = Some(if looks_left_out { plain } else { with_looks });
    }
    let learned = Learned::Lessons(Box::new(taught.clone()));
    let unused = learned.unused(&written(Library::builtin()));
    let worse = taught.metrics.as_ref().and_then(worse);
    if output == Output::Json {
        let kept = (worse.is_none() || args.force).then(|| args.into.join(FILE));
        println!(
            "{:#}",
            json!({"incidents": taught.incidents, "faults": taught.lessons.faults.len(), "digest": taught.digest, "metrics": taught.metrics,
                   "classifier": taught.classifier, "looks": taught.looks.len(), "unused": unused, "worse": worse, "kept": kept})
        );
    } else {
        let faults = taught.lessons.faults.len();
        println!(
            "learned from {} confirmed incidents of {faults} faults",
            taught.incidents
        );
        for line in &unused {
            println!("left out: {line}");
        }
        tell(&taught);
        if looks_left_out {
            println!("left out: what faults look like; with it, others were taken for them");
        }
    }
    keep(args, FILE, learned, worse.as_deref(), output)
}

fn tell(taught: &Taught) {
    if let Some(classifier) = &taught.classifier {
        println!(
            "what {} incidents of {} faults looked like: {:.3} called by their fault when not fitted to ({:.3} as the mean over faults)",
            classifier.incidents, classifier.faults, classifier.accuracy, classifier.recall
        );
    }
    match &taught.metrics {
        Some(worth) => println!(
            "on {} recorded incidents, each judged by what the others taught: right cause {:.3} before, {:.3} after; Brier {:.4}, {:.4}",
            worth.capsules, worth.ac1_before, worth.ac1_after, worth.brier_before, worth.brier_after
        ),
        None => println!("what that is worth is not measured: that needs at least {FOLDS} capsules"),
    }
}

/// In which way it is worse than the patterns as they are written.
fn worse(worth: &Worth) -> Option<String> {
    if worth.ac1_after < worth.ac1_before - SAME {
        return Some(format!(
            "it names the right cause less often ({:.3} instead of {:.3})",
            worth.ac1_after, worth.ac1_before
        ));
    }
    (worth.ac1_after <= worth.ac1_before + SAME && worth.brier_after > worth.brier_before + SAME).then(|| {
        format!(
            "its probabilities are further from the truth (Brier {:.4} instead of {:.4})",
            worth.brier_after, worth.brier_before
        )
    })
}

/// What faults look like, and how well that tells them apart.
#[cfg(feature = "train")]
fn looks(testimonies: &[Testimony]) -> (BTreeMap<String, Resemblance>, Option<Classifier>) {
    let Some(fitted) = crate::train::resemblance::fit(testimonies) else {
        return (BTreeMap::new(), None);
    };
    let classifier = Classifier {
        incidents: fitted.incidents,
        faults: fitted.rows.len(),
        accuracy: fitted.accuracy,
        recall: fitted.recall,
    };
    (fitted.rows, Some(classifier))
}

#[cfg(not(feature = "train"))]
fn looks(_: &[Testimony]) -> (BTreeMap<String, Resemblance>, Option<Classifier>) {
    (BTreeMap::new(), None)
}

fn read(file: &Path) -> Result<Vec<Testimony>, String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{}: {error}", file.display()))?;
    let mut found: Vec<Record> = Vec::new();
    for (line, number) in text.lines().zip(1..) {
        found.push(serde_json::from_str(line).map_err(|error| format!("{}:{number}: {error}", file.display()))?);
    }
    Ok(capsules::confirmed(&found))
}

/// One names the right cause less often than the other, or as often and with worse probabilities.
fn is_below(one: &Worth, other: &Worth) -> bool {
    one.ac1_after < other.ac1_after - SAME
        || (one.ac1_after <= other.ac1_after + SAME && one.brier_after > other.brier_after + SAME)
}

/// Each part of the recorded incidents under what the other parts taught: without what faults look like, and with it. Recordings of one case are in one part.
fn worth(recorded: &[Recorded], written: &dyn Fn(Library) -> Library) -> Result<Option<(Worth, Worth)>, String> {
    if recorded.len() < FOLDS {
        return Ok(None);
    }
    let (mut before, mut plain, mut with_looks): (Vec<Judged>, Vec<Judged>, Vec<Judged>) = Default::default();
    let part = |recorded: &Recorded| fold(&recorded.path.file_name().unwrap_or_default().to_string_lossy());
    for number in 0..FOLDS {
        let mut others = Heard::default();
        for other in recorded.iter().filter(|other| part(other) != number) {
            others.add(&other.heard);
        }
        let taught = others.teach()?;
        let bare = Taught {
            looks: BTreeMap::new(),
            ..taught.clone()
        };
        let (bare, whole) = ([Learned::Lessons(Box::new(bare))], [Learned::Lessons(Box::new(taught))]);
        let under = |lessons: &[Learned], own: Library| written(own).with_learned(lessons);
        for held in recorded.iter().filter(|held| part(held) == number) {
            let judge = |with: With<'_>| capsules::judge(&held.path, with).map_err(|error| error.to_string());
            before.push(judge(With::Made(written))?);
            plain.push(judge(With::Made(&|own| under(&bare, own)))?);
            with_looks.push(judge(With::Made(&|own| under(&whole, own)))?);
        }
    }
    let causes = |judged: &[Judged]| -> Figures { capsules::report(judged).causes };
    let before = causes(&before);
    let worth = |after: &[Judged]| {
        let after = causes(after);
        Worth {
            capsules: recorded.len(),
            ac1_before: before.ac1,
            ac1_after: after.ac1,
            brier_before: before.brier,
            brier_after: after.brier,
        }
    };
    Ok(Some((worth(&plain), worth(&with_looks))))
}
