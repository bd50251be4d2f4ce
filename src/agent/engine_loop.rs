//! The loop: inputs in, a tick after each burst, effects out. One task owns the engine.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::{self, wall_clock};
use crate::engine::{Effects, Engine, Input, OperatorCommand};
use crate::model::{Span, Timestamp};

use super::effects::Dispatcher;
use super::reload::Wanted;

/// Inputs taken out of the inbox before the next tick.
const BURST: usize = 1024;

/// With nothing coming in, time still passes: silence, hold-off and deadlines are found out by this tick.
const QUIET_TICK: Duration = Duration::from_millis(50);

/// A loop that stood still for longer than this, or a wall clock that jumped by as much against the monotonic one, makes
/// the evidence of that time worthless (FAILOVER.md 5.2.9).
const STALL: Duration = Duration::from_secs(1);

/// After a stall nothing is acted upon for so long: fresh looks must come in first.
const RECOVER: Span = Span::secs(5);

/// systemd's watchdog is fed from here and nowhere else: a loop that stands still is a dead agent.
const FEED_DOG: Duration = Duration::from_secs(1);

/// Runs until `stop`, or until a new config has come.
pub async fn run(
    engine: &mut Engine,
    inbox: &mut mpsc::Receiver<Input>,
    reloads: &mut mpsc::Receiver<Wanted>,
    dispatcher: &mut Dispatcher,
    stop: &CancellationToken,
) -> Option<Wanted> {
    let mut burst = Vec::with_capacity(BURST);
    let mut effects = Effects::default();
    let mut quiet = tokio::time::interval(QUIET_TICK);
    quiet.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut watch = StallWatch::new();
    let mut fed = Instant::now();
    loop {
        tokio::select! {
            biased;
            () = stop.cancelled() => return None,
            Some(wanted) = reloads.recv() => return Some(wanted),
            count = inbox.recv_many(&mut burst, BURST) => if count == 0 { return None },
            _ = quiet.tick() => {}
        }
        let (jumped, unready) = watch.check(wall_clock());
        let mut leap = Span::default();
        if let Some(jumped) = jumped {
            let seen = watch.wall;
            clock::moved(jumped);
            watch.wall = wall_clock();
            leap = left_of(jumped, seen, watch.wall);
        }
        if let Some(reason) = unready {
            tracing::warn!(%reason, "not acting for {RECOVER}");
            let span = RECOVER;
            burst.push(Input::Operator(OperatorCommand::Unready { span, leap, reason }));
        }
        burst.push(Input::Tick(wall_clock()));
        hand_over(engine, burst.drain(..), dispatcher, &mut effects);
        if fed.elapsed() >= FEED_DOG {
            fed = Instant::now();
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }
}

/// How far the time of this process has leapt: what only takes back an earlier setting is no leap.
fn left_of(jumped: i64, seen: Timestamp, now: Timestamp) -> Span {
    let left = jumped.saturating_add(now.nanos().saturating_sub(seen.nanos()));
    Span(Duration::from_nanos(u64::try_from(left).unwrap_or(0)))
}

/// Tells the engine of what comes from no source.
pub fn take_in(engine: &mut Engine, inputs: Vec<Input>, dispatcher: &mut Dispatcher) {
    hand_over(engine, inputs.into_iter(), dispatcher, &mut Effects::default());
}

fn hand_over(
    engine: &mut Engine,
    inputs: impl Iterator<Item = Input>,
    dispatcher: &mut Dispatcher,
    effects: &mut Effects,
) {
    for mut input in inputs {
        dispatcher.record_input(&mut input);
        engine.handle(input, effects);
    }
    dispatcher.carry_out(engine, effects);
}

/// Notices when this very process stood still or its clock was moved.
struct StallWatch {
    monotonic: Instant,
    wall: Timestamp,
}

impl StallWatch {
    fn new() -> Self {
        Self {
            monotonic: Instant::now(),
            wall: wall_clock(),
        }
    }

    /// By how many nanoseconds the clock was moved, if it was; and why nothing is to be acted upon for a while.
    fn check(&mut self, wall: Timestamp) -> (Option<i64>, Option<String>) {
        let monotonic = Instant::now();
        let stood = monotonic.duration_since(self.monotonic);
        let wall_passed = wall.nanos().saturating_sub(self.wall.nanos());
        let jumped = wall_passed.saturating_sub(i64::try_from(stood.as_nanos()).unwrap_or(i64::MAX));
        *self = Self { monotonic, wall };
        let jump = Duration::from_nanos(jumped.unsigned_abs());
        let moved = (jump > STALL).then_some(jumped);
        if stood > STALL {
            return (moved, Some(format!("this process stood still for {}", Span(stood))));
        }
        let by = Span(Duration::from_millis(
            u64::try_from(jump.as_millis()).unwrap_or(u64::MAX),
        ));
        let reason = moved.map(|jumped| {
            if jumped < 0 {
                format!(
                    "the clock was set back by {by}; the time of this agent goes on, a little slower until both agree"
                )
            } else {
                format!("the clock was set forward by {by}")
            }
        });
        (moved, reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_clock_that_is_set_right_again_is_no_leap() {
        let hour = 3_600_000_000_000;
        let at = Timestamp::from_nanos;
        assert_eq!(left_of(hour, at(2 * hour), at(2 * hour)), Span::secs(3600));
        assert_eq!(left_of(hour, at(2 * hour), at(hour)), Span::default());
        assert_eq!(left_of(hour, at(3 * hour), at(3 * hour - hour / 2)), Span::secs(1800));
        assert_eq!(left_of(-hour, at(hour), at(2 * hour)), Span::default(), "set back");
    }

    fn check(forward: Duration, back: Duration) -> (Option<i64>, Option<String>) {
        let mut watch = StallWatch::new();
        let wall = watch.wall.nanos() + i64::try_from(forward.as_nanos()).unwrap();
        watch.check(Timestamp::from_nanos(wall - i64::try_from(back.as_nanos()).unwrap()))
    }

    #[test]
    fn a_clock_that_is_set_is_noticed_with_its_direction() {
        let hour = Duration::from_secs(3600);
        let (moved, reason) = check(Duration::ZERO, hour);
        assert_eq!(moved.map(|nanos| nanos / 1_000_000_000), Some(-3600));
        assert!(reason.is_some_and(|reason| reason.starts_with("the clock was set back by 1h;")));
        let (moved, reason) = check(hour, Duration::ZERO);
        assert_eq!(moved.map(|nanos| (nanos + 1_000_000_000) / 1_000_000_000), Some(3600));
        assert!(reason.is_some_and(|reason| reason.contains("set forward by")));
        assert_eq!(check(Duration::ZERO, Duration::ZERO), (None, None));
    }
}
