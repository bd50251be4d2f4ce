//! The plant: started, broken on request, ended.

use std::collections::BTreeMap;
use std::io;
use std::sync::atomic::Ordering;
use std::time::Duration;

use rumqttc::{AsyncClient, MqttOptions, QoS};
use tokio_util::sync::CancellationToken;

use super::broker::Broker;
use super::config::{Addresses, config};
use super::devices::{GATEWAYS, Gateway, device, gateway};
use super::front::Front;
use super::link::{Hole, Line, free_port};
use super::process::Process;

const LETTERS: [&str; 3] = ["a", "b", "c"];

/// Standbys follow the stream so far behind the one before them: what kills a reader kills them in turn.
const LAG_MS: u64 = 2500;

/// A running plant.
pub struct Plant {
    broker: Broker,
    gateways: Vec<Gateway>,
    ingest: Vec<Process>,
    ports: [u16; 3],
    /// Each host's line to the broker: a dead host does not close its connections.
    lines: Vec<Line>,
    heartbeats: Vec<CancellationToken>,
    store: Process,
    store_port: u16,
    /// The front, where clients are served.
    pub front: Front,
    /// The agent's own lines, where it has lines that can be cut.
    uplink: Vec<Line>,
    holes: Vec<Hole>,
    supervisor: CancellationToken,
}

fn arguments(letter: usize, port: u16, broker: u16, store: u16) -> Vec<String> {
    let lag = LAG_MS * letter as u64;
    let name = format!("ingest-{}", LETTERS[letter]);
    [
        "demo-ingest",
        "--name",
        &name,
        "--port",
        &port.to_string(),
        "--broker",
        &broker.to_string(),
        "--store",
        &store.to_string(),
        "--lag-ms",
        &lag.to_string(),
    ]
    .map(String::from)
    .to_vec()
}

impl Plant {
    /// Starts everything and waits until it serves. The config is what the agent is to be run with.
    pub async fn start(seed: u64, uplink_can_be_cut: bool) -> io::Result<(Self, String)> {
        let broker = Broker::start(free_port()?)?;
        let store_port = free_port()?;
        let store = Process::start(&["demo-store".into(), "--port".into(), store_port.to_string()])?;
        let (mut ingest, mut ports, mut lines, mut heartbeats) = (Vec::new(), [0; 3], Vec::new(), Vec::new());
        for letter in 0..3 {
            let line = Line::to(broker.port())?;
            ports[letter] = free_port()?;
            ingest.push(Process::start(&arguments(
                letter,
                ports[letter],
                line.port(),
                store_port,
            ))?);
            let beat = CancellationToken::new();
            tokio::spawn(heartbeat(LETTERS[letter], broker.port(), beat.clone()));
            lines.push(line);
            heartbeats.push(beat);
        }
        let backends: BTreeMap<String, u16> = LETTERS
            .iter()
            .zip(ports)
            .map(|(letter, port)| (format!("ingest-{letter}"), port))
            .collect();
        let front = Front::start(backends, "ingest-a")?;
        let gateways = (0..GATEWAYS)
            .map(|number| Gateway::start(number, broker.port(), seed))
            .collect();
        let mut uplink = Vec::new();
        let mut seen = |port: u16| -> io::Result<u16> {
            if !uplink_can_be_cut {
                return Ok(port);
            }
            let line = Line::to(port)?;
            let seen = line.port();
            uplink.push(line);
            Ok(seen)
        };
        let addresses = Addresses {
            broker: seen(broker.port())?,
            store: seen(store_port)?,
            ingest: [seen(ports[0])?, seen(ports[1])?, seen(ports[2])?],
            front_admin: front.admin,
        };
        for port in ports.iter().chain([&store_port]) {
            wait_for(*port).await?;
        }
        let text = config(&addresses);
        let plant = Self {
            broker,
            gateways,
            ingest,
            ports,
            lines,
            heartbeats,
            store,
            store_port,
            front,
            uplink,
            holes: Vec::new(),
            supervisor: CancellationToken::new(),
        };
        Ok((plant, text))
    }

    /// Breaks it. The deed is done when this returns.
    pub async fn inject(&mut self, fault: &str) -> io::Result<()> {
        match fault {
            "service-crash" => self.ingest[0].kill().await,
            "service-hang" => self.ingest[0].freeze().await,
            "host-loss" => self.lose_host().await?,
            "broker-loss" => self.broker.kill(),
            "gateway-loss" => {
                if let Some(lost) = self.gateways.iter().find(|lost| lost.name == gateway(1)) {
                    lost.lose();
                }
            }
            "sensor-stuck" => {
                if let Some(first) = self.gateways.first() {
                    first.stuck.store(true, Ordering::Relaxed);
                }
            }
            "poisoned-message" => {
                self.supervise(true);
                self.poison().await;
            }
            "own-network-loss" => {
                for line in &self.uplink {
                    line.cut().await;
                }
            }
            "shared-dependency" => self.store.kill().await,
            "flapping" => self.supervise(false),
            other => return Err(io::Error::other(format!("no fault is called {other}"))),
        }
        Ok(())
    }

    async fn lose_host(&mut self) -> io::Result<()> {
        self.heartbeats[0].cancel();
        self.lines[0].cut().await;
        self.ingest[0].kill().await;
        // The port is free for the hole at once; in between a connection would be refused, as by a host that lives.
        self.holes.push(Hole::open(self.ports[0]).await?);
        Ok(())
    }

    async fn poison(&self) {
        let (client, mut events) = AsyncClient::new(MqttOptions::new("poison", "127.0.0.1", self.broker.port()), 10);
        let topic = format!("plant/{}/{}/telemetry", gateway(2), device(2, 4));
        let _ = client
            .publish(topic, QoS::AtLeastOnce, true, "{\"temperature\": 21.4, \"pre\u{0}")
            .await;
        while let Ok(event) = events.poll().await {
            if matches!(event, rumqttc::Event::Incoming(rumqttc::Packet::PubAck(_))) {
                return;
            }
        }
    }

    /// Restarts dead ingest services after a while; or, for flapping, kills the active and restarts it again and again.
    fn supervise(&mut self, restart_only: bool) {
        let stop = self.supervisor.clone();
        let mut ingest = std::mem::take(&mut self.ingest);
        let lines: Vec<u16> = self.lines.iter().map(Line::port).collect();
        let (ports, store) = (self.ports, self.store_port);
        tokio::spawn(async move {
            loop {
                let pause = if restart_only {
                    Duration::from_millis(1200)
                } else {
                    Duration::from_millis(900)
                };
                tokio::select! { () = stop.cancelled() => return, () = tokio::time::sleep(pause) => {} }
                if !restart_only {
                    ingest[0].kill().await;
                    tokio::time::sleep(Duration::from_millis(250)).await;
                }
                for letter in 0..3 {
                    if ingest[letter].has_ended()
                        && let Ok(new) = Process::start(&arguments(letter, ports[letter], lines[letter], store))
                    {
                        ingest[letter] = new;
                    }
                }
            }
        });
    }
}

impl Drop for Plant {
    fn drop(&mut self) {
        self.supervisor.cancel();
        for beat in &self.heartbeats {
            beat.cancel();
        }
    }
}

async fn wait_for(port: u16) -> io::Result<()> {
    for _ in 0..200 {
        if tokio::net::TcpStream::connect(("127.0.0.1", port)).await.is_ok() {
            return Ok(());
        }
        tokio::time::sleep(Duration::from_millis(25)).await;
    }
    Err(io::Error::other(format!(
        "a process of the plant does not listen on port {port}"
    )))
}

/// A host that says twice a second that it lives.
async fn heartbeat(letter: &str, broker: u16, stop: CancellationToken) {
    let topic = format!("host/host-{letter}/heartbeat");
    let id = format!("host-{letter}");
    while !stop.is_cancelled() {
        let (client, mut events) = AsyncClient::new(MqttOptions::new(&id, "127.0.0.1", broker), 100);
        let mut due = tokio::time::interval(super::devices::PERIOD);
        let mut beats = 0_u64;
        loop {
            tokio::select! {
                () = stop.cancelled() => return,
                event = events.poll() => if event.is_err() { break },
                _ = due.tick() => {
                    beats += 1;
                    let _ = client.try_publish(&topic, QoS::AtMostOnce, false, beats.to_string());
                }
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}
