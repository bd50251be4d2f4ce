//! What detectors that learn have in common.

/// A signal of which a larger share of samples repeats the one before rests by nature: a door, a mode, a set point.
pub const RESTING: f32 = 0.95;

/// Beyond this a value is no measurement but a filler such as `f64::MAX`; sums with it would never come back.
pub const BEYOND: f64 = 1e150;
