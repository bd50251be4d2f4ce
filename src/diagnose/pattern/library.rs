//! The library: all patterns, read from YAML, checked as a whole.

use std::collections::BTreeSet;

use serde_saphyr::Spanned;

use crate::model::hint::meant;
use crate::model::{FaultName, Hypothesis, Remedy};

use super::super::calibrate::Reliability;
use super::super::suspects::Trust;
use super::{Expectation, Pattern};

/// All known faults, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Library {
    patterns: Vec<Pattern>,
    reliability: Reliability,
    trust: Trust,
}

/// A pattern file that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum PatternError {
    /// Not YAML, or not a list of patterns. The message holds line and column.
    #[error("{file}: {error}")]
    Syntax {
        /// Which file.
        file: String,
        /// What is wrong, and where.
        error: String,
    },
    /// A pattern that contradicts itself.
    #[error("{file}:{line}: pattern '{pattern}': {problem}")]
    Content {
        /// Which file.
        file: String,
        /// The line on which the pattern begins.
        line: u64,
        /// Which pattern.
        pattern: FaultName,
        /// What is wrong, and how to mend it.
        problem: String,
    },
}

/// The files that come with the binary.
const BUILTIN: &[(&str, &str)] = &[
    ("services.yml", include_str!("../../../rules/patterns/services.yml")),
    ("load.yml", include_str!("../../../rules/patterns/load.yml")),
    ("hosts.yml", include_str!("../../../rules/patterns/hosts.yml")),
    ("networks.yml", include_str!("../../../rules/patterns/networks.yml")),
    ("brokers.yml", include_str!("../../../rules/patterns/brokers.yml")),
    ("gateways.yml", include_str!("../../../rules/patterns/gateways.yml")),
    ("devices.yml", include_str!("../../../rules/patterns/devices.yml")),
    ("databases.yml", include_str!("../../../rules/patterns/databases.yml")),
    ("kubernetes.yml", include_str!("../../../rules/patterns/kubernetes.yml")),
    (
        "certificates.yml",
        include_str!("../../../rules/patterns/certificates.yml"),
    ),
    ("releases.yml", include_str!("../../../rules/patterns/releases.yml")),
    ("senses.yml", include_str!("../../../rules/patterns/senses.yml")),
];

impl Library {
    /// The patterns that come with the binary.
    pub fn builtin() -> Self {
        // They are part of the program, and a test reads them.
        Self::parse(BUILTIN.iter().copied()).unwrap_or_default()
    }

    /// The files that come with the binary, by name.
    pub const fn builtin_files() -> &'static [(&'static str, &'static str)] {
        BUILTIN
    }

    /// Reads files of patterns, each a YAML list.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PatternError> {
        let mut patterns: Vec<Pattern> = Vec::new();
        let mut names = BTreeSet::new();
        for (file, text) in files {
            let read: Vec<Spanned<Pattern>> = serde_saphyr::from_str(text).map_err(|error| PatternError::Syntax {
                file: file.to_owned(),
                error: meant(&error.to_string()),
            })?;
            for Spanned {
                value: pattern,
                referenced,
                ..
            } in read
            {
                let wrong = |problem: String| PatternError::Content {
                    file: file.to_owned(),
                    line: referenced.line(),
                    pattern: pattern.name.clone(),
                    problem,
                };
                if !names.insert(pattern.name.clone()) {
                    return Err(wrong("a pattern of that name exists already".into()));
                }
                check(&pattern).map_err(wrong)?;
                patterns.push(pattern);
            }
        }
        patterns.sort_by(|a, b| a.name.cmp(&b.name));
        Ok(Self {
            patterns,
            reliability: Reliability::builtin(),
            trust: Trust::builtin(),
        })
    }

    /// With every pattern changed in the same way.
    pub(in crate::diagnose) fn map(&self, change: impl Fn(&mut Pattern)) -> Self {
        let mut changed = self.clone();
        changed.patterns.iter_mut().for_each(change);
        changed
    }

    /// With another correction of probabilities than the one that comes with the binary.
    #[must_use]
    pub fn with_reliability(mut self, reliability: Reliability) -> Self {
        self.reliability = reliability;
        self
    }

    /// With another measure of what rankings without a pattern are worth.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// As if no fault were known.
    #[must_use]
    pub fn without_patterns(mut self) -> Self {
        self.patterns.clear();
        self
    }

    /// What rankings without a pattern are worth.
    pub const fn trust(&self) -> &Trust {
        &self.trust
    }

    /// How often causes are right, by how probable they are called.
    pub const fn reliability(&self) -> &Reliability {
        &self.reliability
    }

    /// All patterns, by name.
    pub fn patterns(&self) -> impl ExactSizeIterator<Item = &Pattern> {
        self.patterns.iter()
    }
}

fn check(pattern: &Pattern) -> Result<(), String> {
    if !Hypothesis::is_of_a_pattern(&pattern.name) {
        return Err("that name stands for what no pattern explains".into());
    }
    if !(pattern.prior > 0.0 && pattern.prior < 1.0) {
        return Err(format!("prior {} must lie between 0 and 1", pattern.prior));
    }
    if pattern.at.is_empty() {
        return Err("'at' must name the kinds of entity that it can sit at".into());
    }
    if pattern.remedy == Remedy::Failover && !pattern.moving_helps {
        return Err("its remedy is to run the service elsewhere, and 'moving_helps' does not say that this helps: add 'moving_helps: true', or name \
                    another remedy"
            .into());
    }
    if pattern.must.is_empty() {
        return Err("'must' needs at least one expectation; without it nothing would speak for the fault".into());
    }
    let all = pattern.must.iter().chain(&pattern.may).chain(&pattern.must_not);
    for expectation in all {
        check_expectation(expectation)?;
    }
    Ok(())
}

fn check_expectation(expectation: &Expectation) -> Result<(), String> {
    if expectation.kinds.is_empty() {
        return Err("an expectation names no symptom in 'kinds'".into());
    }
    if !(expectation.likelihood > 0.0 && expectation.likelihood < 1.0) {
        return Err(format!(
            "likelihood {} must lie between 0 and 1: nothing shows always or never",
            expectation.likelihood
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_library_in_the_binary_reads() {
        let library = Library::parse(BUILTIN.iter().copied()).unwrap();
        assert!(library.patterns().len() >= 60, "{}", library.patterns().len());
    }

    #[test]
    fn a_wrong_pattern_is_refused_with_its_name_or_its_line() {
        let good = "- {name: x, summary: s, at: [service], prior: 0.1, remedy: notify, must: [{kinds: [refused], likelihood: 0.9}], source: s}";
        assert!(Library::parse([("a.yml", good)]).is_ok());
        for (text, word) in [
            (good.replace("0.9", "1.5"), "likelihood 1.5"),
            (good.replace("prior: 0.1", "prior: 0"), "prior 0"),
            (good.replace("[refused]", "[refuse]"), "refuse"),
            (good.replace("kinds: [refused]", "kinds: []"), "names no symptom"),
            (good.replace("name: x", "name: something-else"), "stands for"),
            (format!("{good}\n{good}"), "exists already"),
            (good.replace("summary", "sumary"), "sumary"),
            (
                good.replace("remedy: notify", "remedy: failover"),
                "'moving_helps: true'",
            ),
        ] {
            let error = Library::parse([("a.yml", text.as_str())]).unwrap_err().to_string();
            assert!(error.starts_with("a.yml") && error.contains(word), "{error}");
            assert!(
                error.starts_with("a.yml:1:") || error.contains("line 1") || error.starts_with("a.yml:2:"),
                "{error}"
            );
        }
    }
}
