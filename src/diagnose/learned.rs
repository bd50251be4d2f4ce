//! What `jurymast learn` writes and an agent loads: lessons about patterns, a correction of probabilities, the worth of rankings without a pattern.
//!
//! In: the text of a file. Out: a [`Library`] that knows it ([`Library::with_learned`]). Lessons are counts beside the patterns and never patterns themselves: they
//! teach whatever patterns are in use, those of the house as well. Never: a file that does not fit; every refusal says why.

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::model::hash::{FNV, fnv1a};
use crate::model::{FaultName, hint};

use super::calibrate::Reliability;
use super::learn::{Lessons, keys};
use super::pattern::Library;
use super::resemblance::Resemblance;
use super::suspects::Trust;

/// What the files call themselves, and the version of their layout.
const FORMAT: &str = "jurymast-learned";
const SCHEMA: u32 = 1;

/// What was learned.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Learned {
    /// About patterns.
    Lessons(Box<Taught>),
    /// How often causes are right, by how probable they are called.
    Reliability(Reliability),
    /// What the statistical ranking of suspects is worth.
    Suspects(Trust),
}

/// What confirmed incidents have taught about patterns.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Taught {
    /// Of what was learned from.
    pub digest: String,
    /// How many incidents that was.
    pub incidents: usize,
    /// How faults show, and how often they happen.
    pub lessons: Lessons,
    /// What they look like, by fault.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub looks: BTreeMap<String, Resemblance>,
    /// On recorded incidents, each judged by what the others taught; none without any.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub metrics: Option<Worth>,
    /// Of what tells faults apart by their looks; none of too few incidents.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub classifier: Option<Classifier>,
}

/// What lessons are worth on recorded incidents that they were not learned from.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Worth {
    /// Recordings.
    pub capsules: usize,
    /// Share with the right cause first, under the patterns as they are written.
    pub ac1_before: f64,
    /// And under what was learned.
    pub ac1_after: f64,
    /// Mean squared distance of the first's probability from the truth, before.
    pub brier_before: f64,
    /// And after.
    pub brier_after: f64,
}

/// How a classifier of what incidents look like did on incidents that it was not fitted to.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Classifier {
    /// Incidents.
    pub incidents: usize,
    /// Faults.
    pub faults: usize,
    /// Share called by their fault.
    pub accuracy: f64,
    /// The mean of that over faults.
    pub recall: f64,
}

/// Why a file is refused.
#[derive(Debug, Clone, PartialEq, thiserror::Error)]
pub enum LearnedError {
    /// Not one of these.
    #[error("'jurymast learn' has not written this: {0}")]
    Shape(String),
    /// Of another version.
    #[error("'{FORMAT}' schema {0} is not known; this version reads schema {SCHEMA}: learn it anew")]
    Schema(u64),
    /// Changed since it was written.
    #[error("its digest says {said}, its content {found}: it was damaged or changed by hand; learn it anew")]
    Digest {
        /// What it says.
        said: String,
        /// What was found.
        found: String,
    },
    /// Numbers that cannot be.
    #[error("{0}: learn it anew")]
    Numbers(&'static str),
    /// Two files of one sort.
    #[error("two of these files hold {0}: keep one")]
    Twice(&'static str),
}

/// As it stands in a file.
#[derive(Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
struct Sealed {
    format: String,
    schema: u32,
    made_by: String,
    /// Of the content, so that damage and changes by hand are seen.
    digest: String,
    content: Learned,
}

impl Learned {
    /// Whether a text says of itself that it is one of these.
    pub fn is_one(text: &str) -> bool {
        let value: Result<serde_json::Value, _> = serde_json::from_str(text);
        value.is_ok_and(|value| value["format"] == FORMAT)
    }

    /// From the text of a file, checked.
    pub fn read(text: &str) -> Result<Self, LearnedError> {
        let shape = |error: serde_json::Error| LearnedError::Shape(hint::meant(&error.to_string()));
        let value: serde_json::Value = serde_json::from_str(text).map_err(shape)?;
        if value["format"] != FORMAT {
            return Err(LearnedError::Shape(format!("no \"format\": \"{FORMAT}\" in it")));
        }
        let schema = value["schema"].as_u64().unwrap_or_default();
        if schema != u64::from(SCHEMA) {
            return Err(LearnedError::Schema(schema));
        }
        let sealed: Sealed = serde_json::from_value(value).map_err(shape)?;
        let found = sealed.content.digest();
        if sealed.digest != found {
            let said = sealed.digest;
            return Err(LearnedError::Digest { said, found });
        }
        sealed.content.sound()?;
        Ok(sealed.content)
    }

    /// The text of a file.
    pub fn text(self) -> String {
        let sealed = Sealed {
            format: FORMAT.to_owned(),
            schema: SCHEMA,
            made_by: format!("jurymast {}", env!("CARGO_PKG_VERSION")),
            digest: self.digest(),
            content: self,
        };
        serde_json::to_string_pretty(&sealed).unwrap_or_default() + "\n"
    }

    /// Refused if two are of one sort.
    pub fn check_all(all: &[Self]) -> Result<(), LearnedError> {
        let mut sorts = BTreeSet::new();
        let twice = all.iter().map(Self::sort).find(|sort| !sorts.insert(*sort));
        twice.map_or(Ok(()), |sort| Err(LearnedError::Twice(sort)))
    }

    /// What it is, for people.
    pub const fn sort(&self) -> &'static str {
        match self {
            Self::Lessons(_) => "lessons about patterns",
            Self::Reliability(_) => "a correction of probabilities",
            Self::Suspects(_) => "the worth of rankings without a pattern",
        }
    }

    /// The same with its numbers, for people.
    pub fn about(&self) -> String {
        let sort = self.sort();
        match self {
            Self::Lessons(taught) => {
                let faults = taught.lessons.faults.len();
                format!("{sort}, from {} incidents of {faults} faults", taught.incidents)
            }
            Self::Reliability(model) => format!(
                "{sort}, from {} judgements of {} incidents",
                model.judgements, model.incidents
            ),
            Self::Suspects(model) => format!("{sort}, from {} cases", model.cases),
        }
    }

    /// What of it these patterns cannot use, in words.
    pub fn unused(&self, library: &Library) -> Vec<String> {
        let Self::Lessons(taught) = self else {
            return Vec::new();
        };
        let names = || library.patterns().map(|pattern| pattern.name.as_str());
        let of = |(fault, lesson): (&FaultName, &super::Lesson)| {
            let Some(pattern) = library.patterns().find(|pattern| pattern.name == *fault) else {
                let near = hint::did_you_mean(fault.as_str(), names());
                return Some(format!("no pattern in use is called '{fault}'{near}"));
            };
            let known: BTreeSet<String> = keys(pattern).collect();
            let gone = lesson.shown.keys().filter(|key| !known.contains(*key)).count();
            (gone > 0).then(|| {
                format!("{gone} expectations of '{fault}' were written otherwise then: nothing is known of them")
            })
        };
        taught.lessons.faults.iter().filter_map(of).collect()
    }

    fn digest(&self) -> String {
        format!("{:016x}", fnv1a(FNV, &serde_json::to_string(self).unwrap_or_default()))
    }

    fn sound(&self) -> Result<(), LearnedError> {
        let (fine, what) = match self {
            Self::Lessons(taught) => (taught.sound(), "its counts are none"),
            Self::Reliability(model) => (model.sound(), "its points do not rise from 0 to 1"),
            Self::Suspects(model) => (model.sound(), "it has not one weight for each feature"),
        };
        if fine { Ok(()) } else { Err(LearnedError::Numbers(what)) }
    }
}

impl Taught {
    fn sound(&self) -> bool {
        let count = |count: &f64| count.is_finite() && *count >= 0.0;
        let mut looks = self.looks.values();
        self.lessons.faults.values().all(|lesson| {
            let mut shown = lesson.shown.values();
            count(&lesson.happened) && shown.all(|(shown, missed)| count(shown) && count(missed))
        }) && looks.all(|row| row.bias.is_finite() && row.weights.values().all(|weight| weight.is_finite()))
    }
}

impl Library {
    /// With what was learned.
    #[must_use]
    pub fn with_learned(self, learned: &[Learned]) -> Self {
        learned.iter().fold(self, |library, learned| match learned {
            Learned::Lessons(taught) => library.taught(&taught.lessons).with_resemblances(&taught.looks),
            Learned::Reliability(model) => library.with_reliability(model.clone()),
            Learned::Suspects(model) => library.with_trust(model.clone()),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::diagnose::Testimony;

    const OWN: &str = "- {name: pump-dry, summary: s, at: [device], prior: 0.1, remedy: notify, must: [{kinds: [low], likelihood: 0.6}], source: s}";

    fn own() -> Library {
        Library::parse([("own.yml", OWN)]).unwrap()
    }

    fn lessons(library: &Library) -> Learned {
        let pattern = library.patterns().next().unwrap();
        let testimony = Testimony {
            fault: pattern.name.clone(),
            entity: "pump-1".into(),
            shown: keys(pattern).map(|key| (key, 1.0)).collect(),
            features: BTreeMap::new(),
        };
        let mut lessons = Lessons::default();
        for _ in 0..10 {
            lessons.add(&testimony);
        }
        Learned::Lessons(Box::new(Taught {
            lessons,
            incidents: 10,
            ..Taught::default()
        }))
    }

    #[test]
    fn what_is_written_is_read_and_teaches_the_patterns_of_the_house() {
        let learned = lessons(&own());
        let text = learned.clone().text();
        assert!(Learned::is_one(&text));
        let read = Learned::read(&text).unwrap();
        assert_eq!(read, learned);
        assert!(read.unused(&own()).is_empty());
        let taught = own().with_learned(&[read]);
        let pattern = taught.patterns().next().unwrap();
        assert!(pattern.must[0].likelihood > 0.7, "{pattern:?}");
    }

    #[test]
    fn what_was_changed_by_hand_or_is_something_else_is_refused() {
        let text = lessons(&own()).text();
        let error = |text: &str| Learned::read(text).unwrap_err().to_string();
        assert!(error(&text.replace("\"incidents\": 10", "\"incidents\": 99")).contains("digest"));
        assert!(error(&text.replace("\"schema\": 1", "\"schema\": 7")).contains("schema 7"));
        assert!(error("{}").contains("has not written this"));
        assert!(error("no json").contains("has not written this"));
        let falling = Learned::Suspects(Trust::default()).text();
        assert!(error(&falling).contains("one weight for each"));
        let twice = [lessons(&own()), lessons(&own())];
        assert!(Learned::check_all(&twice).is_err() && Learned::check_all(&twice[..1]).is_ok());
    }

    #[test]
    fn lessons_that_no_pattern_can_use_are_told() {
        let learned = lessons(&own());
        let other = Library::parse([("own.yml", OWN.replace("pump-dry", "pump-dri").as_str())]).unwrap();
        assert!(learned.unused(&other)[0].contains("did you mean 'pump-dri'"));
        let changed = Library::parse([("own.yml", OWN.replace("[low]", "[high]").as_str())]).unwrap();
        assert!(learned.unused(&changed)[0].contains("written otherwise"));
    }
}
