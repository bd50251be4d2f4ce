//! Gateways and their devices: each gateway one connection, each device two values twice a second.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rumqttc::{AsyncClient, LastWill, MqttOptions, QoS};
use tokio_util::sync::CancellationToken;

use crate::clock::wall_clock;

/// Gateways, and devices behind each.
pub const GATEWAYS: usize = 3;
/// Devices behind each gateway.
pub const DEVICES: usize = 20;

/// Each device speaks this often.
pub const PERIOD: Duration = Duration::from_millis(500);

/// A gateway that can be taken away, with one device whose sensor can be made to stick.
pub struct Gateway {
    /// Its name.
    pub name: String,
    gone: CancellationToken,
    /// Its first device's temperature stands still.
    pub stuck: Arc<AtomicBool>,
}

/// The name of a gateway.
pub fn gateway(number: usize) -> String {
    format!("gateway-{}", number + 1)
}

/// The name of a device.
pub fn device(gateway: usize, number: usize) -> String {
    format!("sensor-{}{:02}", gateway + 1, number + 1)
}

impl Gateway {
    /// Starts one that speaks to the broker on that port.
    pub fn start(number: usize, broker: u16, seed: u64) -> Self {
        let (gone, stuck) = (CancellationToken::new(), Arc::new(AtomicBool::new(false)));
        let name = gateway(number);
        tokio::spawn(live(number, broker, seed, gone.clone(), Arc::clone(&stuck)));
        Self { name, gone, stuck }
    }

    /// Takes it away without a goodbye, for good.
    pub fn lose(&self) {
        self.gone.cancel();
    }
}

impl Drop for Gateway {
    fn drop(&mut self) {
        self.lose();
    }
}

async fn live(number: usize, broker: u16, seed: u64, gone: CancellationToken, stuck: Arc<AtomicBool>) {
    let mut rng = fastrand::Rng::with_seed(seed ^ number as u64);
    let name = gateway(number);
    let status = format!("plant/{name}/status");
    let mut levels: Vec<(f64, f64)> = (0..DEVICES)
        .map(|_| (20.0 + 5.0 * rng.f64(), 3.0 + rng.f64()))
        .collect();
    let mut held = None;
    while !gone.is_cancelled() {
        let mut options = MqttOptions::new(&name, "127.0.0.1", broker);
        options.set_keep_alive(Duration::from_secs(10));
        options.set_last_will(LastWill::new(&status, "offline", QoS::AtLeastOnce, true));
        let (client, mut events) = AsyncClient::new(options, 1000);
        let _ = client.try_publish(&status, QoS::AtLeastOnce, true, "online");
        let mut due = tokio::time::interval(PERIOD);
        loop {
            tokio::select! {
                // The connection is dropped as it is: the broker sees it break and publishes the will.
                () = gone.cancelled() => return,
                event = events.poll() => if event.is_err() { break },
                _ = due.tick() => {
                    for (n, (temperature, pressure)) in levels.iter_mut().enumerate() {
                        *temperature += 0.2 * (rng.f64() - 0.5) + 0.01 * (22.0 - *temperature);
                        *pressure += 0.02 * (rng.f64() - 0.5) + 0.01 * (3.5 - *pressure);
                        let shown = if n == 0 && stuck.load(Ordering::Relaxed) {
                            *held.get_or_insert(*temperature)
                        } else {
                            *temperature
                        };
                        let at = wall_clock().millis();
                        let payload = format!("{{\"ts\":{at},\"temperature\":{shown:.3},\"pressure\":{pressure:.4}}}");
                        let topic = format!("plant/{name}/{}/telemetry", device(number, n));
                        let _ = client.try_publish(topic, QoS::AtMostOnce, false, payload);
                    }
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
