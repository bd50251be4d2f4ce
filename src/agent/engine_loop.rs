//! The loop: inputs in, a tick after each burst, effects out. One task owns the engine.

use std::time::{Duration, Instant};

use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_clock;
use crate::config::Loaded;
use crate::engine::{Effects, Engine, Input, OperatorCommand};
use crate::model::{Span, Timestamp};

use super::effects::Dispatcher;

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
    reloads: &mut mpsc::Receiver<Loaded>,
    dispatcher: &mut Dispatcher,
    stop: &CancellationToken,
) -> Option<Loaded> {
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
            Some(loaded) = reloads.recv() => return Some(loaded),
            count = inbox.recv_many(&mut burst, BURST) => if count == 0 { return None },
            _ = quiet.tick() => {}
        }
        let now = wall_clock();
        if let Some(reason) = watch.check(now) {
            tracing::warn!(%reason, "not acting for {RECOVER}");
            burst.push(Input::Operator(OperatorCommand::Unready { span: RECOVER, reason }));
        }
        burst.push(Input::Tick(now));
        for mut input in burst.drain(..) {
            dispatcher.record_input(&mut input);
            engine.handle(input, &mut effects);
        }
        dispatcher.carry_out(engine, &mut effects);
        if fed.elapsed() >= FEED_DOG {
            fed = Instant::now();
            let _ = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
    }
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

    fn check(&mut self, wall: Timestamp) -> Option<String> {
        let monotonic = Instant::now();
        let stood = monotonic.duration_since(self.monotonic);
        let wall_passed = wall.nanos().saturating_sub(self.wall.nanos());
        let jumped = wall_passed.saturating_sub(i64::try_from(stood.as_nanos()).unwrap_or(i64::MAX));
        *self = Self { monotonic, wall };
        if stood > STALL {
            return Some(format!("this process stood still for {}", Span(stood)));
        }
        let jump = Duration::from_nanos(jumped.unsigned_abs());
        (jump > STALL).then(|| {
            format!(
                "the clock was moved by {}{}",
                if jumped < 0 { "-" } else { "" },
                Span(jump)
            )
        })
    }
}
