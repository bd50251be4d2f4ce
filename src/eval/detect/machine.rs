//! What the scorers of row-wise sets share: learning, running, and turning an alarm per row into alarms and windows in seconds.

use std::path::Path;
use std::time::Instant;

use crate::detect::multivariate::{Learner, Settings, Watch};

use super::{EvalError, Tally, Window};

/// A run of a watch over rows.
#[derive(Debug, Default)]
pub struct Run {
    /// Score of each row.
    pub scores: Vec<f64>,
    /// The alarm's state at each row.
    pub alarm: Vec<bool>,
    /// What it took, in seconds, learning left out.
    pub seconds: f64,
}

impl Run {
    /// Rows at which the alarm rose.
    pub fn rises(&self) -> impl Iterator<Item = usize> {
        (0..self.alarm.len()).filter(|row| self.alarm[*row] && (*row == 0 || !self.alarm[row - 1]))
    }

    /// Hands the run to the operator's numbers. `second` is the time of a row, `windows` are rows, both ends inside.
    pub fn tally(&self, tally: &mut Tally, windows: &[(usize, usize)], second: impl Fn(usize) -> f64) {
        let rises: Vec<f64> = self.rises().map(&second).collect();
        let windows: Vec<Window> = windows
            .iter()
            .map(|(first, last)| Window {
                first_s: second(*first),
                last_s: second(*last),
                start_s: second(*first),
            })
            .collect();
        let judged = if self.alarm.is_empty() {
            0.0
        } else {
            second(self.alarm.len() - 1) - second(0)
        };
        tally.series(&rises, &windows, judged);
        tally.spent(self.alarm.len() as u64, self.seconds);
    }
}

/// Learns from rows with the default settings. `path` is where they came from, for what goes wrong.
pub fn learn<'a>(path: &Path, rows: impl IntoIterator<Item = &'a Vec<f64>>) -> Result<Watch, EvalError> {
    let unlearned = |error: &dyn std::fmt::Display| EvalError::Line {
        path: path.to_owned(),
        line: 1,
        problem: format!("nothing can be learned from it: {error}"),
    };
    let mut learner: Option<Learner> = None;
    for row in rows {
        if learner.is_none() {
            learner = Some(Learner::new(row.len(), &Settings::default()).map_err(|error| unlearned(&error))?);
        }
        if let Some(learner) = &mut learner {
            learner.push(row).map_err(|error| unlearned(&error))?;
        }
    }
    let learner = learner.ok_or_else(|| unlearned(&"it has no rows"))?;
    learner.finish().map_err(|error| unlearned(&error))
}

/// Lets a copy of the watch judge the rows. A row of nothing keeps the state before it.
pub fn watch(learned: &Watch, rows: &[Vec<f64>]) -> Run {
    let mut watch = learned.clone();
    let mut run = Run::default();
    let begun = Instant::now();
    for row in rows {
        let (score, alarm) = match watch.observe(row) {
            Some(reading) => (reading.score, reading.alarm),
            None => (0.0, run.alarm.last().copied().unwrap_or(false)),
        };
        run.scores.push(score);
        run.alarm.push(alarm);
    }
    run.seconds = begun.elapsed().as_secs_f64();
    run
}
