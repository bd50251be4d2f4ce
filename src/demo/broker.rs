//! A small MQTT 3.1.1 broker, enough for a plant: `QoS` 0 and 1, wildcards, retained messages, wills. Can be killed and started again on its port.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::v4::{
    ConnAck, Connect, ConnectReturnCode, LastWill, Packet, PubAck, Publish, SubAck, SubscribeReasonCode, UnsubAck,
};
use rumqttc::mqttbytes::{Error, QoS, matches};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// A packet longer than this ends its connection.
const PACKET_MAX: usize = 1 << 20;

/// Packets that wait for a slow subscriber; more are dropped.
const QUEUE: usize = 10_000;

/// A running broker.
pub struct Broker {
    port: u16,
    stop: CancellationToken,
}

#[derive(Default)]
struct Shared {
    retained: BTreeMap<String, Publish>,
    clients: HashMap<u64, Client>,
    next: u64,
}

struct Client {
    filters: Vec<String>,
    queue: mpsc::Sender<Packet>,
}

type State = Arc<Mutex<Shared>>;

impl Broker {
    /// Listens on that port of the loopback, or on a free one for 0.
    pub fn start(port: u16) -> std::io::Result<Self> {
        let listener = super::link::listen(port, 1024)?;
        let port = listener.local_addr()?.port();
        let stop = CancellationToken::new();
        tokio::spawn(accept(listener, State::default(), stop.clone()));
        Ok(Self { port, stop })
    }

    /// Where it listens.
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Dies: no goodbye, no wills, nothing kept.
    pub fn kill(&self) {
        self.stop.cancel();
    }
}

impl Drop for Broker {
    fn drop(&mut self) {
        self.kill();
    }
}

fn lock(state: &State) -> std::sync::MutexGuard<'_, Shared> {
    state.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn accept(listener: TcpListener, state: State, stop: CancellationToken) {
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => {
                if let Ok((stream, _)) = accepted {
                    let (state, stop) = (Arc::clone(&state), stop.clone());
                    tokio::spawn(async move {
                        tokio::select! { () = stop.cancelled() => {} () = client(stream, state) => {} }
                    });
                }
            }
        }
    }
}

/// The next packet; `None` at the end of the connection or at anything that is no packet.
async fn read(stream: &mut (impl AsyncReadExt + Unpin), buffer: &mut BytesMut) -> Option<Packet> {
    loop {
        match Packet::read(buffer, PACKET_MAX) {
            Ok(packet) => return Some(packet),
            Err(Error::InsufficientBytes(_)) => {}
            Err(_) => return None,
        }
        if stream.read_buf(buffer).await.ok()? == 0 {
            return None;
        }
    }
}

async fn client(stream: TcpStream, state: State) {
    let _ = stream.set_nodelay(true);
    let (mut reader, mut writer) = stream.into_split();
    let mut buffer = BytesMut::new();
    let hello = tokio::time::timeout(Duration::from_secs(5), read(&mut reader, &mut buffer)).await;
    let Ok(Some(Packet::Connect(Connect {
        keep_alive, last_will, ..
    }))) = hello
    else {
        return;
    };
    let (queue, mut waiting) = mpsc::channel(QUEUE);
    let id = {
        let mut shared = lock(&state);
        shared.next += 1;
        let id = shared.next;
        shared.clients.insert(
            id,
            Client {
                filters: Vec::new(),
                queue: queue.clone(),
            },
        );
        id
    };
    let _ = queue.try_send(Packet::ConnAck(ConnAck::new(ConnectReturnCode::Success, false)));
    let write = async {
        let mut out = BytesMut::new();
        while let Some(packet) = waiting.recv().await {
            if packet.write(&mut out, PACKET_MAX).is_err() {
                continue;
            }
            while let Ok(packet) = waiting.try_recv() {
                let _ = packet.write(&mut out, PACKET_MAX);
            }
            if writer.write_all_buf(&mut out).await.is_err() {
                return;
            }
        }
    };
    // MQTT 3.1.1, 3.1.2.10: one and a half times the keep alive without a packet ends the connection.
    let patience = if keep_alive == 0 {
        Duration::MAX
    } else {
        Duration::from_millis(u64::from(keep_alive) * 1500)
    };
    let serve = async {
        loop {
            match tokio::time::timeout(patience, read(&mut reader, &mut buffer)).await {
                Ok(Some(Packet::Disconnect)) => return true,
                Ok(Some(packet)) => take(packet, id, &queue, &state),
                Ok(None) | Err(_) => return false,
            }
        }
    };
    let goodbye = tokio::select! { said = serve => said, () = write => false };
    lock(&state).clients.remove(&id);
    if let (
        false,
        Some(LastWill {
            topic,
            message,
            qos,
            retain,
        }),
    ) = (goodbye, last_will)
    {
        let mut will = Publish::from_bytes(topic, qos, message);
        will.retain = retain;
        publish(&state, will);
    }
}

fn take(packet: Packet, id: u64, queue: &mpsc::Sender<Packet>, state: &State) {
    match packet {
        Packet::Publish(message) => {
            if message.qos == QoS::AtLeastOnce {
                let _ = queue.try_send(Packet::PubAck(PubAck::new(message.pkid)));
            }
            publish(state, message);
        }
        Packet::Subscribe(subscribe) => {
            let codes = vec![SubscribeReasonCode::Success(QoS::AtMostOnce); subscribe.filters.len()];
            let _ = queue.try_send(Packet::SubAck(SubAck::new(subscribe.pkid, codes)));
            let mut shared = lock(state);
            for filter in subscribe.filters {
                for message in shared
                    .retained
                    .values()
                    .filter(|message| matches(&message.topic, &filter.path))
                {
                    let mut message = message.clone();
                    message.qos = QoS::AtMostOnce;
                    let _ = queue.try_send(Packet::Publish(message));
                }
                if let Some(client) = shared.clients.get_mut(&id) {
                    client.filters.push(filter.path);
                }
            }
        }
        Packet::Unsubscribe(unsubscribe) => {
            if let Some(client) = lock(state).clients.get_mut(&id) {
                client.filters.retain(|filter| !unsubscribe.topics.contains(filter));
            }
            let _ = queue.try_send(Packet::UnsubAck(UnsubAck::new(unsubscribe.pkid)));
        }
        Packet::PingReq => {
            let _ = queue.try_send(Packet::PingResp);
        }
        _ => {}
    }
}

fn publish(state: &State, message: Publish) {
    let mut shared = lock(state);
    let mut live = message.clone();
    live.retain = false;
    live.dup = false;
    // Subscriptions are granted at QoS 0, which nobody has to acknowledge.
    live.qos = QoS::AtMostOnce;
    for client in shared.clients.values() {
        if client.filters.iter().any(|filter| matches(&live.topic, filter)) {
            let _ = client.queue.try_send(Packet::Publish(live.clone()));
        }
    }
    if message.retain {
        if message.payload.is_empty() {
            shared.retained.remove(&message.topic);
        } else {
            shared.retained.insert(message.topic.clone(), message);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use rumqttc::{AsyncClient, Event, MqttOptions};

    async fn next_message(events: &mut rumqttc::EventLoop) -> (String, Vec<u8>, bool) {
        loop {
            if let Event::Incoming(rumqttc::Packet::Publish(message)) = events.poll().await.unwrap() {
                return (message.topic, message.payload.to_vec(), message.retain);
            }
        }
    }

    #[tokio::test]
    async fn messages_retained_ones_and_wills_arrive() {
        let broker = Broker::start(0).unwrap();
        let mut options = MqttOptions::new("dying", "127.0.0.1", broker.port());
        options.set_last_will(rumqttc::LastWill::new("gone", "will", rumqttc::QoS::AtLeastOnce, false));
        let (dying, mut dying_events) = AsyncClient::new(options, 10);
        dying
            .publish("state/a", rumqttc::QoS::AtLeastOnce, true, "kept")
            .await
            .unwrap();
        while !matches!(
            dying_events.poll().await.unwrap(),
            Event::Incoming(rumqttc::Packet::PubAck(_))
        ) {}
        let (client, mut events) = AsyncClient::new(MqttOptions::new("watching", "127.0.0.1", broker.port()), 10);
        client.subscribe("state/+", rumqttc::QoS::AtMostOnce).await.unwrap();
        client.subscribe("gone", rumqttc::QoS::AtMostOnce).await.unwrap();
        assert_eq!(
            next_message(&mut events).await,
            ("state/a".into(), b"kept".to_vec(), true)
        );
        drop(dying_events);
        drop(dying);
        assert_eq!(
            next_message(&mut events).await,
            ("gone".into(), b"will".to_vec(), false)
        );
    }
}
