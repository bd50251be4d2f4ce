//! The ways to look at a case, one file each.

mod calls;
mod carried;
mod network;
mod onset;
mod own_time;
mod resource;
mod steps;
mod walk;

pub use calls::Calls;
pub use carried::Carried;
pub use network::Network;
pub use onset::Onset;
pub use own_time::OwnTime;
pub use resource::Resource;
pub use steps::Steps;
pub use walk::Walk;

/// Nats for a deviation: few up to three usual deviations, then with the logarithm, so that ten times the deviation is not ten times the proof.
fn nats(z: f64, most: f64) -> f64 {
    if z.is_nan() || z <= 0.0 {
        return 0.0;
    }
    (z / 3.0).powi(2).ln_1p().min(most)
}
