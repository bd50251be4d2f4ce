//! The clocks. Only the shell may ask them; the core gets its times with its inputs.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use crate::model::Timestamp;

/// Of the time that passes, this part is left out until a clock that was set back has caught up.
const SLOWER: u32 = 20;

/// How far this process is ahead of the machine's clock, in nanoseconds.
static AHEAD: AtomicU64 = AtomicU64::new(0);
/// Since when, by the boot clock.
static SINCE: AtomicU64 = AtomicU64::new(0);

/// The time now, by the machine's clock. Where that was set back ([`moved`]) the time of this process goes on from where it was, a little slower, until both agree:
/// nothing happens twice, and nothing waits for the time to come again.
pub fn wall_clock() -> Timestamp {
    let machine = Timestamp::EPOCH + SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    machine + ahead()
}

/// How far the time of this process is ahead of the machine's clock.
pub fn ahead() -> Duration {
    // Nearly always: no other clock is asked.
    let ahead = AHEAD.load(Ordering::Acquire);
    if ahead == 0 {
        return Duration::ZERO;
    }
    let since = Duration::from_nanos(SINCE.load(Ordering::Relaxed));
    left(Duration::from_nanos(ahead), boot_clock().saturating_sub(since))
}

/// What is left of being ahead, after so long.
fn left(ahead: Duration, after: Duration) -> Duration {
    ahead.saturating_sub(after / SLOWER)
}

/// The machine's clock was found to have moved by so many nanoseconds against time itself. Only the one loop that watches for it may say so.
pub fn moved(nanos: i64) {
    let ahead = after_a_move(ahead(), nanos);
    SINCE.store(nanoseconds(boot_clock()), Ordering::Relaxed);
    AHEAD.store(nanoseconds(ahead), Ordering::Release);
}

/// How far this process is ahead once the clock has moved. A clock that is set forward is followed, as far as it does not only take back what it was set back.
fn after_a_move(ahead: Duration, nanos: i64) -> Duration {
    let by = Duration::from_nanos(nanos.unsigned_abs());
    if nanos < 0 {
        ahead.saturating_add(by)
    } else {
        ahead.saturating_sub(by)
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_was_set_back_is_caught_up_with_by_going_slower() {
        let hour = Duration::from_secs(3600);
        let back = |by: Duration| -i64::try_from(by.as_nanos()).unwrap();
        let ahead = after_a_move(Duration::ZERO, back(hour));
        assert_eq!(ahead, hour, "time goes on from where it was");
        assert_eq!(left(ahead, Duration::ZERO), hour);
        assert_eq!(left(ahead, Duration::from_secs(20)), Duration::from_secs(3599));
        assert_eq!(left(ahead, hour * 20), Duration::ZERO);
        assert_eq!(left(ahead, hour * 21), Duration::ZERO);
        assert_eq!(after_a_move(ahead, back(hour)), hour * 2);
    }

    #[test]
    fn a_clock_that_is_set_right_again_moves_nothing() {
        let hour = Duration::from_secs(3600);
        let forward = |by: Duration| i64::try_from(by.as_nanos()).unwrap();
        assert_eq!(
            after_a_move(hour, forward(Duration::from_secs(3540))),
            Duration::from_secs(60)
        );
        assert_eq!(after_a_move(hour, forward(hour)), Duration::ZERO);
        // What is beyond it is the machine's new time, and followed.
        assert_eq!(after_a_move(hour, forward(hour * 2)), Duration::ZERO);
    }
}
