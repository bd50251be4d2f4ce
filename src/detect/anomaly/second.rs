//! Second opinions: what detectors that tell nothing by themselves make of a closely watched series, for whoever looks at a finding.
//!
//! Two look at every sample: Page and Hinkley's sum (a creep), and the hour against the same hour of other days. Two are dear, the random cut
//! forest and the search for change points ([`crate::detect::gated`]): they run while the series has one of the few gates, which it asks for
//! when the others find it strange, and gives back after a calm while.

use crate::detect::gated::{Gates, Opinion};
use crate::detect::trace::Opinions;
use crate::detect::univariate::{PAGE_HINKLEY_ALARM, PageHinkley, Seasonal};
use crate::model::Timestamp;

/// Places remembered, for a gate to learn from.
const PAST: usize = 128;

/// Fewer are no past.
const PAST_MIN: u8 = 64;

/// Steps of a remembered place in one unit of the series' frame.
const STEPS: f32 = 256.0;

/// From this surprise on a series asks for a gate; half of it is not calm.
const STRANGE: f32 = 7.0;

/// See the module.
pub struct Second {
    drift: PageHinkley,
    season: Seasonal,
    past: [i16; PAST],
    next: u8,
    len: u8,
    /// A gate is its own.
    granted: bool,
    latest: Opinions,
}

/// What the series wants of those who give gates away.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wish {
    /// Nothing.
    None,
    /// A gate.
    Gate,
    /// To give it back.
    Done,
}

impl Default for Second {
    fn default() -> Self {
        Self {
            drift: PageHinkley::default(),
            season: Seasonal::default(),
            past: [0; PAST],
            next: 0,
            len: 0,
            granted: false,
            latest: Opinions::default(),
        }
    }
}

impl Second {
    /// The next sample of the series with that number: where it lies in its frame, and how strange the others find it.
    pub fn observe(&mut self, series: u32, at: Timestamp, place: f32, surprise: f32, gates: &mut Gates) -> Wish {
        self.latest = Opinions {
            drift: self.drift.push(place) / PAGE_HINKLEY_ALARM,
            season: self.season.push(at, place).min(1e4),
            forest: None,
            change: None,
        };
        let mut wish = Wish::None;
        if self.granted {
            // Who has been given a gate is looked at, even if the next sample is an ordinary one.
            let strange = if gates.is_open(series) {
                surprise / (2.0 * STRANGE)
            } else {
                1.0
            };
            let opinion = gates.offer(series, place, strange, || self.past());
            if let Some(Opinion { forest, change }) = opinion {
                self.latest.forest = Some(forest);
                self.latest.change = Some(change);
            }
            if !gates.is_open(series) {
                self.granted = false;
                wish = Wish::Done;
            }
        } else if surprise >= STRANGE && self.len >= PAST_MIN {
            wish = Wish::Gate;
        }
        self.past[usize::from(self.next) % PAST] = (place * STEPS) as i16;
        self.next = (self.next + 1) % PAST as u8;
        self.len = self.len.saturating_add(1).min(PAST as u8);
        wish
    }

    /// It has been given a gate.
    pub fn grant(&mut self) {
        self.granted = true;
    }

    /// The series has ended; true if it had a gate.
    pub fn end(&mut self, series: u32, gates: &mut Gates) -> bool {
        gates.close(series);
        std::mem::take(&mut self.granted)
    }

    /// Of the latest sample.
    pub const fn opinions(&self) -> Opinions {
        self.latest
    }

    /// Oldest first.
    fn past(&self) -> Vec<f32> {
        let (newer, older) = self.past.split_at(usize::from(self.next) % PAST);
        let all = older.iter().chain(newer).map(|place| f32::from(*place) / STEPS);
        all.skip(PAST - usize::from(self.len)).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(n: u32) -> Timestamp {
        Timestamp::from_secs(1_700_000_000 + i64::from(n) * 60)
    }

    fn rough(n: u32) -> f32 {
        (n as f32 * 0.618_034).fract()
    }

    #[test]
    fn the_dear_ones_are_asked_only_after_a_gate_was_given() {
        let mut gates = Gates::new(8);
        let mut second = Second::default();
        for n in 0..300 {
            assert_eq!(second.observe(1, at(n), rough(n), 0.0, &mut gates), Wish::None);
        }
        assert_eq!(second.observe(1, at(300), 6.0, 20.0, &mut gates), Wish::Gate);
        assert_eq!(second.opinions().forest, None);
        second.grant();
        assert_eq!(second.observe(1, at(301), 6.0, 0.0, &mut gates), Wish::None);
        let opinions = second.opinions();
        assert!(opinions.forest.is_some_and(|forest| forest > 3.0), "{opinions:?}");
        assert!(opinions.change.is_some_and(|change| change > 0.5), "{opinions:?}");
        let back = (302..900).find(|n| second.observe(1, at(*n), rough(*n), 0.0, &mut gates) == Wish::Done);
        assert!(back.is_some() && gates.open() == 0);
    }

    #[test]
    fn the_past_is_the_latest_in_its_order() {
        let mut gates = Gates::new(1);
        let mut second = Second::default();
        for n in 0..200 {
            second.observe(1, at(n), n as f32 / 10.0, 0.0, &mut gates);
        }
        let past = second.past();
        assert_eq!(past.len(), PAST);
        assert!(past.is_sorted() && (past[PAST - 1] - 19.9).abs() < 0.01, "{past:?}");
        assert_eq!(second.observe(1, at(200), 1.0, 50.0, &mut gates), Wish::Gate);
        second.grant();
        assert!(second.end(1, &mut gates) && !second.end(1, &mut gates));
    }

    #[test]
    fn a_creep_and_a_wrong_hour_are_seen() {
        let mut gates = Gates::new(1);
        let mut second = Second::default();
        let usual = |n: u32| if (n / 60) % 24 < 12 { 0.0 } else { 1.0 } + 0.1 * rough(n);
        // Far from the hours in which it changes.
        let now = 6 * 1440 + 360;
        for n in 0..now {
            second.observe(1, at(n), usual(n), 0.0, &mut gates);
        }
        second.observe(1, at(now), usual(now + 720), 0.0, &mut gates);
        let Opinions { season, .. } = second.opinions();
        assert!(season > 3.0, "{season}");
    }
}
