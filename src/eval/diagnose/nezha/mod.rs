//! Nezha (Yu et al., FSE 2023): one day's folder with metrics a minute, log lines, spans and the list of injected faults.

mod faults;
mod metrics;
pub(super) mod spans;

use std::path::Path;

use super::case::{Case, Cases};
use super::table::{Malformed, ReadError};
use crate::diagnose::causal::{Behaviour, Evidence, Gap, Link, Node};
use crate::diagnose::traces::Story;

/// Seconds after the injection that may be looked at.
const WINDOW_S: i64 = 180;
const NS: i64 = 1_000_000_000;

/// One day.
pub struct Day {
    cases: Vec<Case>,
    times: Vec<i64>,
    metrics: metrics::Metrics,
    story: Story,
}

impl Day {
    /// Reads a day's folder.
    pub fn read(path: &Path, malformed: &mut Malformed) -> Result<Self, ReadError> {
        let faults = faults::read(path)?;
        let metrics = metrics::read(path, malformed)?;
        let story = spans::read(path, malformed)?;
        let (times, cases) = faults.into_iter().unzip();
        Ok(Self {
            cases,
            times,
            metrics,
            story,
        })
    }
}

/// A pod's name without its two hash parts.
fn service_of(pod: &str) -> &str {
    let hashlike = |part: &str| part.len() >= 4 && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let Some((rest, last)) = pod.rsplit_once('-') else {
        return pod;
    };
    if last.len() != 5 || !hashlike(last) {
        return pod;
    }
    match rest.rsplit_once('-') {
        Some((name, set)) if (6..=10).contains(&set.len()) && hashlike(set) => name,
        _ => pod,
    }
}

impl Cases for Day {
    fn cases(&self) -> &[Case] {
        &self.cases
    }

    fn evidence(&self, case: usize) -> Evidence {
        let Some(&at) = self.times.get(case) else {
            return Evidence::default();
        };
        let mut evidence = self.metrics.evidence(at, at + WINDOW_S);
        let (from, until) = (at * NS, (at + WINDOW_S) * NS);
        let calls = self.story.calls(until);
        let changes = self.story.changes(from, until);
        let mut place = |name: &str| -> usize {
            if let Some(found) = evidence.nodes.iter().position(|node| node.name == name) {
                return found;
            }
            evidence.nodes.push(Node {
                name: name.to_owned(),
                view_only: false,
            });
            evidence.nodes.len() - 1
        };
        let links: Vec<Link> = calls
            .iter()
            .map(|(caller, callee)| Link {
                caller: place(caller),
                callee: place(callee),
            })
            .collect();
        let gaps: Vec<Gap> = self
            .story
            .gaps(from, until)
            .into_iter()
            .map(|gap| Gap {
                link: Link {
                    caller: place(&gap.caller),
                    callee: place(&gap.callee),
                },
                series: gap.series,
            })
            .collect();
        let behaviours: Vec<Behaviour> = changes
            .into_iter()
            .map(|change| Behaviour {
                node: place(&change.service),
                change: change.change,
                surprise: change.surprise,
                coverage: change.coverage,
                factor: change.factor,
                in_log: change.in_log,
                what: change.what,
            })
            .collect();
        evidence.links.extend(links);
        evidence.links.sort_unstable();
        evidence.links.dedup();
        evidence.gaps.extend(gaps);
        evidence.behaviours = behaviours;
        evidence
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pod_is_called_after_its_service() {
        assert_eq!(service_of("frontend-579b9bff58-t2dbm"), "frontend");
        assert_eq!(service_of("ts-food-service-f5756978c-k8vqf"), "ts-food-service");
        assert_eq!(service_of("ts-food-service"), "ts-food-service");
        assert_eq!(service_of(""), "");
    }
}
