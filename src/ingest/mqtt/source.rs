//! One broker: connects, hands the connection to a session, tries again when it ends. On a thread of its own: whatever else the agent is
//! at, the broker's packets are read and its pings answered, and no other thread is woken for either.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use tokio::sync::oneshot;

use super::client::Dial;
use super::outbox::Outbox;
use super::session::Session;
use super::settings::Settings;
use super::worker::Worker;
use crate::ingest::{Feed, Source};
use crate::metrics::BySource;

/// Tries to connect again after so long, doubled up to the second with each failure, with a random share taken off.
const BACK_OFF: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));

/// A session that ended sooner is a failure as well: a broker that takes us and throws us out at once, or another client that has our
/// id and takes our place each time, must not make us storm it.
const STOOD: Duration = Duration::from_secs(10);

/// A thread that could not be started is tried again after so long.
const START_AGAIN: Duration = Duration::from_secs(5);

/// See the module.
pub struct MqttSource {
    settings: Settings,
}

impl MqttSource {
    /// A source of checked settings.
    pub const fn new(settings: Settings) -> Self {
        Self { settings }
    }
}

/// How long to wait after so many failures in a row.
fn back_off(failures: u32) -> Duration {
    let longest = BACK_OFF.0.saturating_mul(1 << failures.min(16)).min(BACK_OFF.1);
    longest.mul_f64(0.5 + fastrand::f64() / 2.0)
}

impl Source for MqttSource {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run(self: Box<Self>, mut feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            // The thread ends with this future, however that ends.
            feed.stop = feed.stop.child_token();
            let _end = feed.stop.clone().drop_guard();
            while !feed.stop.is_cancelled() {
                let (settings, on_thread) = (self.settings.clone(), feed.clone());
                let (over, ended) = oneshot::channel::<()>();
                let started = std::thread::Builder::new()
                    .name(format!("mqtt {}", self.settings.name))
                    .spawn(move || {
                        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
                        match runtime {
                            Ok(runtime) => runtime.block_on(work(&settings, &on_thread)),
                            Err(error) => {
                                tracing::error!(source = %settings.name, %error, "cannot start to listen");
                            }
                        }
                        drop(over);
                    });
                match started {
                    // Nothing is ever sent: it ends with the thread.
                    Ok(_) => drop(ended.await),
                    Err(error) => tracing::error!(source = %self.settings.name, %error, "cannot start to listen"),
                }
                tokio::select! {
                    () = feed.stop.cancelled() => {}
                    () = tokio::time::sleep(START_AGAIN) => {}
                }
            }
        })
    }
}

/// Connects and listens again and again, until it is to stop.
async fn work(settings: &Settings, feed: &Feed) {
    let mut worker = Worker::new(settings, feed);
    let mut outbox = Outbox::new(&settings.name, feed);
    let label = BySource {
        source: settings.name.clone(),
    };
    let up = feed.metrics.source_up.get_or_create_owned(&label);
    let mut failures = 0;
    while !feed.stop.is_cancelled() {
        up.set(0);
        let stood = match Dial::new(settings, &feed.agent) {
            Ok(dial) => {
                let session = Session {
                    settings,
                    feed,
                    worker: &mut worker,
                    outbox: &mut outbox,
                    up: &up,
                };
                session.run(&dial).await
            }
            Err(error) => {
                tracing::error!(source = %settings.name, %error, "cannot connect");
                None
            }
        };
        up.set(0);
        failures = if stood.is_some_and(|stood| stood >= STOOD) {
            0
        } else {
            failures + 1_u32
        };
        let mut pause = std::pin::pin!(tokio::time::sleep(back_off(failures)));
        loop {
            tokio::select! {
                () = feed.stop.cancelled() => return,
                () = &mut pause => break,
                () = outbox.hand_on() => {}
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_failure_makes_the_wait_longer_up_to_a_bound() {
        for failures in 0..100 {
            let longest = back_off(failures);
            assert!(longest <= BACK_OFF.1);
            assert!(longest >= BACK_OFF.0.saturating_mul(1 << failures.min(5)) / 2);
        }
    }
}
