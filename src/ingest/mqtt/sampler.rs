//! Which of many like lines are written to the log: the first few, then one for each span of time with the number of those in between.

use std::time::{Duration, Instant};

/// Lines written before the log grows thrifty.
const FIRST: u32 = 5;

/// From then on one line for each such time.
const EVERY: Duration = Duration::from_secs(60);

/// Of one sort of line.
#[derive(Default)]
pub struct Sampler {
    written: u32,
    last: Option<Instant>,
    suppressed: u64,
}

impl Sampler {
    /// Whether the line is to be written, and how many before it were not.
    pub fn line(&mut self, now: Instant) -> Option<u64> {
        let due = self
            .last
            .is_none_or(|last| now.saturating_duration_since(last) >= EVERY);
        if self.written >= FIRST && !due {
            self.suppressed += 1;
            return None;
        }
        self.written = self.written.saturating_add(1);
        self.last = Some(now);
        Some(std::mem::take(&mut self.suppressed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_log_neither_floods_nor_falls_silent() {
        let (mut sampler, begin) = (Sampler::default(), Instant::now());
        // Ten a second for an hour.
        let lines: Vec<(u32, u64)> = (0..36_000)
            .filter_map(|n| Some((n, sampler.line(begin + Duration::from_millis(100) * n)?)))
            .collect();
        assert_eq!(lines.len(), 5 + 59);
        assert!(lines[..5].iter().all(|(_, suppressed)| *suppressed == 0));
        assert!(lines[5..].iter().all(|(_, suppressed)| *suppressed == 599), "{lines:?}");
        let told: u64 = lines.iter().map(|(_, suppressed)| suppressed + 1).sum();
        assert_eq!(
            told,
            u64::from(lines.last().unwrap().0) + 1,
            "every line is accounted for"
        );
    }
}
