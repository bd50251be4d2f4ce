//! The wall clock. Only the shell may ask it; the core gets its times with its inputs.

use std::time::{SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// The time now, by the machine's clock.
pub fn wall_clock() -> Timestamp {
    Timestamp::EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}
