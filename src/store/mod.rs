//! The store: the latest values of each series in bounded windows.
//!
//! In: samples of one shard. Out: last values and windows. Never: a decision, a name where a number will do, growth without a bound: a
//! series takes [`DEPTH`] values and no more, whatever arrives.
//!
//! All that a sample asks of its series stands in one line of cache, because samples come in random order and pay for each line that
//! they touch.

use crate::model::sample::is_stale;
use crate::model::{Paged, Sample, SignalId, Timestamp};

/// Values kept per series: as many as leave room in the line for the rest.
pub const DEPTH: usize = 3;

/// All series of one shard. A series is an index that the shard hands out.
#[derive(Debug, Default)]
pub struct Columns {
    lines: Paged<Line>,
    counts: Counts,
}

/// What the shard asks of a series with every sample.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tag {
    /// Whose.
    pub entity: u32,
    /// Of what signal.
    pub signal: SignalId,
    /// A bit for each detector that wants its samples.
    pub wants: u32,
}

/// One series: its window, and its tag.
#[derive(Debug, Clone, Copy)]
#[repr(align(64))]
struct Line {
    at: [i64; DEPTH],
    value: [f64; DEPTH],
    entity: u32,
    signal: SignalId,
    wants: u32,
    /// Where in the window the newest value stands.
    newest: u8,
    /// How many there are, and [`ENDED`].
    filled: u8,
}

const _: () = assert!(size_of::<Line>() == 64, "a series takes one line of cache");

/// The series has ended.
const ENDED: u8 = 0x80;

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

impl Line {
    const fn filled(&self) -> u8 {
        self.filled & !ENDED
    }

    const fn ended(&self) -> bool {
        self.filled & ENDED != 0
    }
}

impl Columns {
    /// Makes room for one more series and returns its index.
    pub fn add(&mut self, tag: Tag) -> usize {
        self.lines.push(Line {
            at: [0; DEPTH],
            value: [0.0; DEPTH],
            entity: tag.entity,
            signal: tag.signal,
            wants: tag.wants,
            newest: 0,
            filled: 0,
        });
        self.lines.len() - 1
    }

    /// How many series there are.
    pub fn len(&self) -> usize {
        self.lines.len()
    }

    /// True if there is none.
    pub const fn is_empty(&self) -> bool {
        self.lines.is_empty()
    }

    /// What was dropped so far.
    pub const fn counts(&self) -> Counts {
        self.counts
    }

    /// What is known of the series with that index.
    pub fn tag(&self, series: usize) -> Tag {
        let line = &self.lines[series];
        Tag {
            entity: line.entity,
            signal: line.signal,
            wants: line.wants,
        }
    }

    /// Reads what [`Self::push`] will read of that series, so that it is near when its turn comes.
    pub fn touch(&self, series: usize) -> u64 {
        self.lines[series].filled.into()
    }

    /// Takes in a sample of the series with that index.
    pub fn push(&mut self, series: usize, sample: &Sample) -> Pushed {
        let line = &mut self.lines[series];
        let newest = usize::from(line.newest);
        let before = (line.filled() > 0).then(|| (line.at[newest], line.value[newest]));
        if let Some((at, value)) = before {
            let new_at = sample.at.nanos();
            if new_at < at {
                self.counts.late += 1;
                return Pushed::Dropped;
            }
            if new_at == at && !line.ended() {
                if value.to_bits() == sample.value.to_bits() {
                    self.counts.duplicate += 1;
                } else {
                    self.counts.conflicting += 1;
                }
                return Pushed::Dropped;
            }
        }
        if is_stale(sample.value) {
            line.filled |= ENDED;
            return Pushed::Ended;
        }
        let next = if line.filled() == 0 || newest + 1 == DEPTH {
            0
        } else {
            newest + 1
        };
        line.at[next] = sample.at.nanos();
        line.value[next] = sample.value;
        let continued = !line.ended();
        line.newest = u8::try_from(next).unwrap_or(0);
        line.filled = (line.filled() + 1).min(u8::try_from(DEPTH).unwrap_or(u8::MAX));
        Pushed::New {
            before: before
                .filter(|_| continued)
                .map(|(at, value)| (Timestamp::from_nanos(at), value)),
        }
    }

    /// The newest value, unless the series has ended or has none.
    pub fn last(&self, series: usize) -> Option<(Timestamp, f64)> {
        let line = self
            .lines
            .get(series)
            .filter(|line| line.filled() > 0 && !line.ended())?;
        let newest = usize::from(line.newest);
        Some((Timestamp::from_nanos(line.at[newest]), line.value[newest]))
    }

    /// The window, oldest first.
    pub fn window(&self, series: usize) -> impl Iterator<Item = (Timestamp, f64)> {
        let line = self.lines.get(series);
        let filled = line.map_or(0, |line| usize::from(line.filled()));
        let newest = line.map_or(0, |line| usize::from(line.newest));
        let oldest = (newest + DEPTH + 1 - filled.max(1)) % DEPTH;
        (0..filled).filter_map(move |n| {
            let place = (oldest + n) % DEPTH;
            let line = line?;
            Some((Timestamp::from_nanos(line.at[place]), line.value[place]))
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::SeriesId;
    use crate::model::sample::STALE_NAN;

    const TAG: Tag = Tag {
        entity: 7,
        signal: SignalId(3),
        wants: 5,
    };

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
        columns.add(TAG);
        for (at, value) in samples {
            columns.push(0, &sample(*at, *value));
        }
        columns
    }

    #[test]
    fn a_window_keeps_the_latest_values_in_order() {
        let columns = store(&[(1, 1.0), (2, 2.0), (3, 3.0), (4, 4.0), (5, 5.0)]);
        let values: Vec<f64> = columns.window(0).map(|(_, value)| value).collect();
        assert_eq!(values, [3.0, 4.0, 5.0]);
        assert_eq!(columns.tag(0), TAG, "values leave it alone");
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
