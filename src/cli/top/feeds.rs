//! How much comes in from each source, from two looks at `/metrics`.

use std::collections::BTreeMap;
use std::time::Instant;

use serde::Serialize;

/// What one look found.
#[derive(Debug, Clone, Default)]
pub struct Feeds {
    at: Option<Instant>,
    counts: BTreeMap<String, Feed>,
}

/// One source: counts of a look, or what came in a second between two.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize)]
pub struct Feed {
    /// Messages or scrapes.
    pub messages: f64,
    /// Samples.
    pub samples: f64,
    /// Input that could not be read.
    pub bad: f64,
    /// It is connected; `None` for one that others come to.
    pub up: Option<bool>,
}

impl Serialize for Feeds {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.counts.serialize(serializer)
    }
}

/// `name{source="x",...} value`: the source and the value.
fn of<'t>(line: &'t str, name: &str) -> Option<(&'t str, f64)> {
    let rest = line.strip_prefix(name)?.strip_prefix('{')?;
    let (labels, value) = rest.rsplit_once("} ")?;
    let source = labels.split("source=\"").nth(1)?.split('"').next()?;
    Some((source, value.trim().parse().ok()?))
}

impl Feeds {
    /// Reads `/metrics`.
    pub fn read(metrics: &str) -> Self {
        let mut counts: BTreeMap<String, Feed> = BTreeMap::new();
        for line in metrics.lines() {
            let mut add = |name: &str, put: fn(&mut Feed, f64)| {
                if let Some((source, value)) = of(line, name) {
                    put(counts.entry(source.to_owned()).or_default(), value);
                }
            };
            add("jurymast_messages_total", |feed, value| feed.messages += value);
            add("jurymast_samples_total", |feed, value| feed.samples += value);
            // What could not be reached was not read at all; `DOWN` says so.
            if !line.contains("reason=\"unreached\"") {
                add("jurymast_bad_input_total", |feed, value| feed.bad += value);
            }
            add("jurymast_source_up", |feed, value| feed.up = Some(value > 0.5));
        }
        let at = Some(Instant::now());
        Self { at, counts }
    }

    /// A second of what came since the other look. Bad input is counted from the start: one bad message in an hour matters.
    pub fn since(&self, before: &Self) -> Self {
        let passed = self
            .at
            .zip(before.at)
            .map_or(1.0, |(now, then)| now.duration_since(then).as_secs_f64());
        let rate = |now: f64, then: f64| (now - then).max(0.0) / passed.max(0.001);
        let one = |(source, now): (&String, &Feed)| {
            let then = before.counts.get(source).copied().unwrap_or(*now);
            let feed = Feed {
                messages: rate(now.messages, then.messages),
                samples: rate(now.samples, then.samples),
                ..*now
            };
            (source.clone(), feed)
        };
        Self {
            at: self.at,
            counts: self.counts.iter().map(one).collect(),
        }
    }

    /// By source.
    pub fn iter(&self) -> impl Iterator<Item = (&String, &Feed)> {
        self.counts.iter()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[test]
    fn two_looks_make_a_rate() {
        let text = |count: u32| {
            format!(
                "# TYPE jurymast_messages counter\njurymast_messages_total{{source=\"b\"}} {count}\njurymast_samples_total{{source=\"b\"}} {}\n\
                 jurymast_source_up{{source=\"b\"}} 1\njurymast_bad_input_total{{source=\"b\",reason=\"json\"}} 2\njurymast_bad_input_total{{source=\"b\",reason=\"time\"}} 1\n\
                 jurymast_bad_input_total{{source=\"b\",reason=\"unreached\"}} 7\n",
                count * 3
            )
        };
        let before = Feeds::read(&text(100));
        let mut after = Feeds::read(&text(150));
        after.at = before.at.map(|at| at + Duration::from_secs(2));
        let feeds = after.since(&before);
        let due = Feed {
            messages: 25.0,
            samples: 75.0,
            bad: 3.0,
            up: Some(true),
        };
        assert_eq!(feeds.iter().collect::<Vec<_>>(), [(&"b".to_owned(), &due)]);
        // An agent that has begun anew counts from zero; nothing flows backwards.
        let anew = Feeds::read(&text(3)).since(&before);
        assert!(anew.iter().all(|(_, feed)| feed.messages == 0.0));
    }
}
