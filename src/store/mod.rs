//! The store: the latest values of each series in bounded windows, columns side by side.
//!
//! In: samples of one shard. Out: last values and windows. Never: a decision, a name where a number will do, growth without a bound: a
//! series takes [`DEPTH`] values and no more, whatever arrives.

mod paged;

pub use paged::Paged;

use crate::model::sample::is_stale;
use crate::model::{Sample, Timestamp};

/// Values kept per series.
pub const DEPTH: usize = 4;

/// All series of one shard. A series is an index that the shard hands out.
#[derive(Debug, Default)]
pub struct Columns {
    rings: Paged<Ring>,
    state: Vec<State>,
    counts: Counts,
}

/// The window of one series: one line of cache, because a sample in random order pays for each line that it touches.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Ring {
    at: [i64; DEPTH],
    value: [f64; DEPTH],
}

/// Where the window of a series stands.
#[derive(Debug, Clone, Copy, Default)]
struct State {
    newest: u8,
    filled: u8,
    ended: bool,
}

/// What was not taken for a new value.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Counts {
    /// Older than what was known already.
    pub late: u64,
    /// The same time and the same value as before.
    pub duplicate: u64,
    /// The same time as before with another value: the first is kept.
    pub conflicting: u64,
    /// Dated far ahead of its arrival: taken in with the time of arrival.
    pub ahead: u64,
}

/// What became of a sample.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Pushed {
    /// It is the newest value; this was the one before, if there was one.
    New {
        /// Time and value of the one before.
        before: Option<(Timestamp, f64)>,
    },
    /// It says that the series has ended.
    Ended,
    /// It was late, or came twice, and was counted and dropped.
    Dropped,
}

impl Columns {
    /// Makes room for one more series and returns its index.
    pub fn add(&mut self) -> usize {
        self.rings.push(Ring {
            at: [0; DEPTH],
            value: [0.0; DEPTH],
        });
        self.state.push(State::default());
        self.state.len() - 1
    }

    /// How many series there are.
    pub const fn len(&self) -> usize {
        self.state.len()
    }

    /// True if there is none.
    pub const fn is_empty(&self) -> bool {
        self.state.is_empty()
    }

    /// What was dropped so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// Takes in a sample of the series with that index.
    pub fn push(&mut self, series: usize, sample: &Sample) -> Pushed {
        let state = &mut self.state[series];
        let ring = &mut self.rings[series];
        let newest = usize::from(state.newest);
        let before = (state.filled > 0).then(|| (ring.at[newest], ring.value[newest]));
        if let Some((at, value)) = before {
            let new_at = sample.at.nanos();
            if new_at < at {
                self.counts.late += 1;
                return Pushed::Dropped;
            }
            if new_at == at && !state.ended {
                if value.to_bits() == sample.value.to_bits() {
                    self.counts.duplicate += 1;
                } else {
                    self.counts.conflicting += 1;
                }
                return Pushed::Dropped;
            }
        }
        if is_stale(sample.value) {
            state.ended = true;
            return Pushed::Ended;
        }
        let next = if state.filled == 0 { 0 } else { (newest + 1) % DEPTH };
        ring.at[next] = sample.at.nanos();
        ring.value[next] = sample.value;
        let continued = !std::mem::take(&mut state.ended);
        state.newest = u8::try_from(next).unwrap_or(0);
        state.filled = (state.filled + 1).min(u8::try_from(DEPTH).unwrap_or(u8::MAX));
        Pushed::New {
            before: before
                .filter(|_| continued)
                .map(|(at, value)| (Timestamp::from_nanos(at), value)),
        }
    }

    /// The newest value, unless the series has ended or has none.
    pub fn last(&self, series: usize) -> Option<(Timestamp, f64)> {
        let state = self
            .state
            .get(series)
            .filter(|state| state.filled > 0 && !state.ended)?;
        let newest = usize::from(state.newest);
        let ring = &self.rings[series];
        Some((Timestamp::from_nanos(ring.at[newest]), ring.value[newest]))
    }

    /// Reads what [`Self::push`] will read of that series, so that it is near when its turn comes.
    pub fn touch(&self, series: usize) -> u64 {
        u64::from(self.state[series].newest) ^ self.rings[series].value[0].to_bits()
    }

    /// The window, oldest first.
    pub fn window(&self, series: usize) -> impl Iterator<Item = (Timestamp, f64)> {
        let state = self.state.get(series).copied().unwrap_or_default();
        let filled = usize::from(state.filled);
        let oldest = (usize::from(state.newest) + DEPTH + 1 - filled.max(1)) % DEPTH;
        (0..filled).map(move |n| {
            let place = (oldest + n) % DEPTH;
            let ring = &self.rings[series];
            (Timestamp::from_nanos(ring.at[place]), ring.value[place])
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SeriesId;
    use crate::model::sample::STALE_NAN;

    fn sample(at: i64, value: f64) -> Sample {
        let at = Timestamp::from_secs(at);
        Sample {
            series: SeriesId(0),
            retained: false,
            at,
            seen: at,
            value,
        }
    }

    fn store(samples: &[(i64, f64)]) -> Columns {
        let mut columns = Columns::default();
        columns.add();
        for (at, value) in samples {
            columns.push(0, &sample(*at, *value));
        }
        columns
    }

    #[test]
    fn a_window_keeps_the_latest_values_in_order() {
        let columns = store(&[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0)]);
        let values: Vec<f64> = columns.window(0).map(|(_, value)| value).collect();
        assert_eq!(values, [2.0, 3.0, 4.0, 5.0]);
        assert_eq!(columns.last(0), Some((Timestamp::from_secs(5), 5.0)));
        assert_eq!(store(&[(1, 1.0), (2, 2.0)]).window(0).count(), 2);
        assert_eq!(store(&[]).window(0).count(), 0);
    }

    #[test]
    fn late_repeated_and_contradicting_samples_are_counted_and_not_merged() {
        let columns = store(&[(5, 1.0), (4, 9.0), (5, 1.0), (5, 2.0)]);
        assert_eq!(
            columns.counts(),
            Counts {
                late: 1,
                duplicate: 1,
                conflicting: 1,
                ahead: 0
            }
        );
        assert_eq!(columns.last(0), Some((Timestamp::from_secs(5), 1.0)));
    }

    #[test]
    fn a_staleness_marker_ends_a_series_until_it_speaks_again() {
        let mut columns = store(&[(1, 1.0), (2, STALE_NAN)]);
        assert_eq!(columns.last(0), None);
        assert_eq!(columns.push(0, &sample(3, 2.0)), Pushed::New { before: None });
        assert_eq!(columns.last(0), Some((Timestamp::from_secs(3), 2.0)));
    }
}
