//! The time that is lost between caller and callee: what a call takes less what the callee works for it.

use std::collections::BTreeMap;

use super::story::{NONE, Story};
use crate::diagnose::causal::Series;
use crate::diagnose::causal::stats::median;

const MINUTE_NS: i64 = 60_000_000_000;
/// Minutes of the past that are looked at.
const MAX_MINUTES: i64 = 240;

/// The medians of each minute for one edge. Minutes without calls are left out.
#[derive(Debug, Clone, PartialEq)]
pub struct GapSeries {
    /// Who calls.
    pub caller: String,
    /// Who is called.
    pub callee: String,
    /// Seconds.
    pub series: Series,
}

impl Story {
    /// All edges with calls after `from`.
    pub fn gaps(&self, from: i64, until: i64) -> Vec<GapSeries> {
        let mut found: BTreeMap<(u32, u32), BTreeMap<i64, Vec<f64>>> = BTreeMap::new();
        for span in self.between(from.saturating_sub(MAX_MINUTES * MINUTE_NS), until) {
            let parent = self.parents[span];
            if parent == NONE || !self.only_child[span] {
                continue;
            }
            let (above, below) = (self.spans[parent as usize], self.spans[span]);
            let (caller, callee) = (
                self.service_number(above.signature),
                self.service_number(below.signature),
            );
            // Only of a span that does nothing but call: one that serves has work of its own.
            let above_it = self.parents[parent as usize];
            let inner = self
                .spans
                .get(above_it as usize)
                .map(|span| self.service_number(span.signature));
            if caller == callee || inner != Some(caller) {
                continue;
            }
            let lost = ((above.end - above.start) - (below.end - below.start)) as f64 / 1e9;
            let minute = (below.start - from).div_euclid(MINUTE_NS);
            found
                .entry((caller, callee))
                .or_default()
                .entry(minute)
                .or_default()
                .push(lost);
        }
        found
            .into_iter()
            .filter_map(|((caller, callee), minutes)| {
                let mut series = Series::default();
                for (minute, lost) in minutes {
                    let side = if minute < 0 {
                        &mut series.before
                    } else {
                        &mut series.after
                    };
                    side.push(median(&lost)?);
                }
                (!series.after.is_empty()).then(|| GapSeries {
                    caller: self.service(caller).to_owned(),
                    callee: self.service(callee).to_owned(),
                    series,
                })
            })
            .collect()
    }

    /// Who calls whom, as far as spans before `until` show.
    pub fn calls(&self, until: i64) -> Vec<(String, String)> {
        let mut found = std::collections::BTreeSet::new();
        for span in self.between(i64::MIN, until) {
            let parent = self.parents[span];
            if parent == NONE {
                continue;
            }
            let caller = self.service_number(self.spans[parent as usize].signature);
            let callee = self.service_number(self.spans[span].signature);
            if caller != callee {
                found.insert((caller, callee));
            }
        }
        found
            .into_iter()
            .map(|(caller, callee)| (self.service(caller).to_owned(), self.service(callee).to_owned()))
            .collect()
    }
}
