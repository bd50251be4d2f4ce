//! The clocks. Only the shell may ask them; the core gets its times with its inputs.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// The time now, by the machine's clock.
pub fn wall_clock() -> Timestamp {
    Timestamp::EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default()
}

/// Whole seconds since 1970, by the machine's clock.
pub fn wall_seconds() -> u64 {
    wall_clock().since(Timestamp::EPOCH).as_secs()
}

/// Time since the machine was started, time asleep included. Nobody can set it, and a machine that was suspended finds it
/// moved on: what `Instant` and the wall clock cannot promise together.
pub fn boot_clock() -> Duration {
    #[cfg(target_os = "linux")]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Boottime;
    #[cfg(not(target_os = "linux"))]
    const CLOCK: rustix::time::ClockId = rustix::time::ClockId::Monotonic;
    duration(rustix::time::clock_gettime(CLOCK))
}

/// What this thread has had of a processor. On a machine that others use as well it stands still while they work.
pub fn thread_clock() -> Duration {
    duration(rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime))
}

fn duration(time: rustix::time::Timespec) -> Duration {
    Duration::new(
        u64::try_from(time.tv_sec).unwrap_or_default(),
        u32::try_from(time.tv_nsec).unwrap_or_default(),
    )
}
