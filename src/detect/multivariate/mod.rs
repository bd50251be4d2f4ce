//! All channels of one entity judged as one row: learned once, then one state machine per entity, row in, score out.
//!
//! In: rows of numbers, in the order of their time. Out: how surprising the newest row is, whether that is an alarm, and which
//! channels make it so. Never: a look ahead, a clock, growth with the number of rows.
//!
//! * [`Learner`] takes the learning rows and makes a [`Watch`] of them.
//! * [`Watch`] scores row by row: residual (PCA), shift (MEWMA) and the channel furthest off, each as the surprise that it is.
//! * [`Company`] judges each channel by what the others do not account for, and names the one that moves alone or no longer with them.
//! * [`Peers`] parts the fault of one device from what all of its group show.

mod company;
mod learner;
mod linalg;
mod model;
mod peaks;
mod peers;
mod scale;
mod tail;
mod watch;

#[cfg(test)]
pub mod testing;
#[cfg(test)]
mod tests;

pub use company::Company;
pub use learner::{LearnError, Learner};
pub use linalg::{Eigen, Symmetric};
pub use peaks::Peaks;
pub use peers::{Peers, Standing};
pub use watch::{Reading, Share, Watch};

/// Most channels of one row: work and state grow with their square.
pub const CHANNELS_MAX: usize = 64;

/// One configuration for all entities; what differs between them is learned.
#[derive(Debug, Clone, PartialEq)]
pub struct Settings {
    /// Rows that are kept for learning, the newest. Memory while learning is this times the channels times 8 bytes.
    pub learn_rows_max: usize,
    /// Weight of the newest row in the moving averages.
    pub smoothing: f64,
    /// How fast the levels follow the rows while all is calm.
    pub adapting: f64,
    /// Share of the variance that the principal directions explain.
    pub variance_kept: f64,
    /// How much of the covariance between channels is taken for chance.
    pub ridge: f64,
    /// How strongly a level that wandered while learning widens what is normal.
    pub wander_power: f64,
    /// Weight of the residuals' surprises beside those of the shifts.
    pub residual_weight: f64,
    /// An alarm rises when the score is above this.
    pub alarm_above: f64,
    /// For so many rows running.
    pub alarm_rows: u32,
    /// It falls when the score is below this.
    pub clear_below: f64,
    /// For so many rows running.
    pub clear_rows: u32,
    /// Levels follow the rows only while the score is below this.
    pub calm_below: f64,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            learn_rows_max: 32_768,
            smoothing: 0.1,
            adapting: 0.001,
            variance_kept: 0.9,
            ridge: 0.5,
            wander_power: 3.5,
            residual_weight: 0.5,
            alarm_above: 22.0,
            alarm_rows: 3,
            clear_below: 9.0,
            clear_rows: 5,
            calm_below: 4.0,
        }
    }
}

/// The value that a share `q` of the sorted values does not exceed. Zero of none.
fn quantile(sorted: &[f64], q: f64) -> f64 {
    let last = sorted.len().saturating_sub(1);
    let place = (last as f64 * q).round() as usize;
    sorted.get(place.min(last)).copied().unwrap_or(0.0)
}
