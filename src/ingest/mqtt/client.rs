//! rumqttc for both versions, behind what a source needs of it.

use std::io;

use bytes::Bytes;
use rumqttc::{TlsConfiguration, Transport, v5};

use super::settings::{Protocol, Settings, SettingsError};
use crate::model::{EntityName, Reach, Span};
use crate::net::TlsError;
use crate::secret::{SecretError, resolve};

/// Packets under way to the broker; we hardly send any.
const REQUESTS: usize = 64;

/// A connection attempt takes no longer than this.
const CONNECT_TIMEOUT_S: u64 = 5;

/// What a connection brings.
pub enum Packet {
    /// Connected; the session of before is gone, so everything must be subscribed to again.
    Connected,
    /// A message.
    Message {
        /// On which topic.
        topic: String,
        /// What it holds.
        payload: Bytes,
        /// It was kept by the broker and is old.
        retained: bool,
    },
    /// A subscription was refused: its place in the list of subscriptions.
    Refused(Vec<usize>),
    /// All subscriptions of the list were taken.
    Subscribed,
    /// Something else from the broker, of no interest but as a sign of life.
    Other,
    /// We have asked the broker whether it is there.
    Asked,
    /// Something else of our own. Says nothing of the broker.
    Ours,
}

/// Why a connection ended.
pub struct Lost {
    /// As a try to reach the broker.
    pub reach: Reach,
    /// In words.
    pub reason: String,
}

/// A client that cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum ClientError {
    /// The settings.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The password.
    #[error(transparent)]
    Secret(#[from] SecretError),
    /// Certificates.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A connection of either version.
pub enum Client {
    /// MQTT 3.1.1.
    V311(rumqttc::AsyncClient, Box<rumqttc::EventLoop>),
    /// MQTT 5.
    V5(v5::AsyncClient, Box<v5::EventLoop>),
}

impl Client {
    /// Not connected yet: the first poll connects.
    pub fn new(settings: &Settings, agent: &EntityName) -> Result<Self, ClientError> {
        let (host, port, tls) = settings.address()?;
        let id = settings
            .client_id
            .clone()
            .unwrap_or_else(|| format!("{agent}-{}", settings.name));
        let password = resolve(settings.password.as_ref(), settings.password_file.as_deref())?;
        let transport = if tls {
            Transport::tls_with_config(TlsConfiguration::Rustls(settings.tls.client_config()?))
        } else {
            Transport::Tcp
        };
        let keep_alive = settings.ping_every();
        let user = settings
            .username
            .clone()
            .zip(Some(password.map_or_else(String::new, |p| p.expose().to_owned())));
        Ok(match settings.protocol {
            Protocol::V311 => {
                let mut options = rumqttc::MqttOptions::new(id, host, port);
                options
                    .set_keep_alive(keep_alive)
                    .set_clean_session(true)
                    .set_transport(transport);
                options.set_max_packet_size(settings.max_payload, settings.max_payload);
                if let Some((user, password)) = user {
                    options.set_credentials(user, password);
                }
                let (client, mut events) = rumqttc::AsyncClient::new(options, REQUESTS);
                let mut network = rumqttc::NetworkOptions::new();
                network.set_connection_timeout(CONNECT_TIMEOUT_S).set_tcp_nodelay(true);
                events.set_network_options(network);
                Self::V311(client, Box::new(events))
            }
            Protocol::V5 => {
                let mut options = v5::MqttOptions::new(id, host, port);
                options
                    .set_keep_alive(keep_alive)
                    .set_clean_start(true)
                    .set_transport(transport);
                options.set_max_packet_size(u32::try_from(settings.max_payload).ok());
                options.set_connection_timeout(CONNECT_TIMEOUT_S);
                if let Some((user, password)) = user {
                    options.set_credentials(user, password);
                }
                let (client, events) = v5::AsyncClient::new(options, REQUESTS);
                Self::V5(client, Box::new(events))
            }
        })
    }

    /// Asks for subscriptions; the answer comes by [`Client::poll`].
    pub async fn subscribe(&mut self, filters: &[(String, u8)]) -> Result<(), String> {
        match self {
            Self::V311(client, _) => {
                let filters = filters.iter().map(|(path, qos)| rumqttc::SubscribeFilter {
                    path: path.clone(),
                    qos: if *qos == 0 {
                        rumqttc::QoS::AtMostOnce
                    } else {
                        rumqttc::QoS::AtLeastOnce
                    },
                });
                client.subscribe_many(filters).await.map_err(|e| e.to_string())
            }
            Self::V5(client, _) => {
                let filters = filters.iter().map(|(path, qos)| {
                    let qos = if *qos == 0 {
                        v5::mqttbytes::QoS::AtMostOnce
                    } else {
                        v5::mqttbytes::QoS::AtLeastOnce
                    };
                    v5::mqttbytes::v5::Filter::new(path.clone(), qos)
                });
                client.subscribe_many(filters).await.map_err(|e| e.to_string())
            }
        }
    }

    /// The next packet. Safe to be dropped and called again.
    pub async fn poll(&mut self) -> Result<Packet, Lost> {
        match self {
            Self::V311(_, events) => match events.poll().await {
                Ok(rumqttc::Event::Incoming(packet)) => Ok(of_v311(packet)),
                Ok(rumqttc::Event::Outgoing(rumqttc::Outgoing::PingReq)) => Ok(Packet::Asked),
                Ok(rumqttc::Event::Outgoing(_)) => Ok(Packet::Ours),
                Err(error) => Err(lost_v311(&error)),
            },
            Self::V5(_, events) => match events.poll().await {
                Ok(v5::Event::Incoming(packet)) => Ok(of_v5(packet)),
                Ok(v5::Event::Outgoing(rumqttc::Outgoing::PingReq)) => Ok(Packet::Asked),
                Ok(v5::Event::Outgoing(_)) => Ok(Packet::Ours),
                Err(error) => Err(lost_v5(&error)),
            },
        }
    }
}

fn of_v311(packet: rumqttc::Packet) -> Packet {
    match packet {
        rumqttc::Packet::ConnAck(_) => Packet::Connected,
        rumqttc::Packet::Publish(publish) => Packet::Message {
            topic: publish.topic,
            payload: publish.payload,
            retained: publish.retain,
        },
        rumqttc::Packet::SubAck(ack) => {
            let failed = ack.return_codes.iter().enumerate();
            suback(
                failed
                    .filter(|(_, code)| matches!(code, rumqttc::SubscribeReasonCode::Failure))
                    .map(|(n, _)| n),
            )
        }
        _ => Packet::Other,
    }
}

fn of_v5(packet: v5::mqttbytes::v5::Packet) -> Packet {
    use v5::mqttbytes::v5::{Packet as V5Packet, SubscribeReasonCode};
    match packet {
        V5Packet::ConnAck(_) => Packet::Connected,
        V5Packet::Publish(publish) => Packet::Message {
            topic: String::from_utf8_lossy(&publish.topic).into_owned(),
            payload: publish.payload,
            retained: publish.retain,
        },
        V5Packet::SubAck(ack) => {
            let failed = ack.return_codes.iter().enumerate();
            suback(
                failed
                    .filter(|(_, code)| !matches!(code, SubscribeReasonCode::Success(_)))
                    .map(|(n, _)| n),
            )
        }
        _ => Packet::Other,
    }
}

/// What the broker says when it ends the session itself.
fn goodbye_v5(code: v5::mqttbytes::v5::DisconnectReasonCode) -> Reach {
    use v5::mqttbytes::v5::DisconnectReasonCode as Code;
    let detail = format!("the broker said goodbye: {code:?}");
    match code {
        Code::ServerShuttingDown
        | Code::ServerBusy
        | Code::ServerMoved
        | Code::UseAnotherServer
        | Code::UnspecifiedError
        | Code::ImplementationSpecificError
        | Code::QuotaExceeded => Reach::Failing { detail },
        // It is us whom it does not want: another client has our id, we may not be here, we were silent. It is well itself.
        _ => Reach::Odd { detail },
    }
}

fn suback(failed: impl Iterator<Item = usize>) -> Packet {
    let failed: Vec<usize> = failed.collect();
    if failed.is_empty() {
        Packet::Subscribed
    } else {
        Packet::Refused(failed)
    }
}

fn of_io(error: &io::Error) -> Reach {
    match error.kind() {
        io::ErrorKind::ConnectionRefused
        | io::ErrorKind::ConnectionReset
        | io::ErrorKind::ConnectionAborted
        | io::ErrorKind::BrokenPipe
        | io::ErrorKind::UnexpectedEof => Reach::Refused,
        _ => Reach::Unreachable,
    }
}

fn lost_v311(error: &rumqttc::ConnectionError) -> Lost {
    use rumqttc::{ConnectionError as E, StateError as S};
    let reach = match error {
        E::Io(io) | E::MqttState(S::Io(io)) => of_io(io),
        E::MqttState(S::ConnectionAborted) => Reach::Refused,
        E::NetworkTimeout | E::FlushTimeout => Reach::Unreachable,
        E::MqttState(S::AwaitPingResp) => Reach::NoAnswer,
        E::ConnectionRefused(code) => refuses(&format!("{code:?}")),
        E::MqttState(S::Deserialization(rumqttc::mqttbytes::Error::PayloadSizeLimitExceeded(size))) => too_long(*size),
        other => Reach::Odd {
            detail: other.to_string(),
        },
    };
    of_reach(reach, error)
}

fn lost_v5(error: &v5::ConnectionError) -> Lost {
    use v5::{ConnectionError as E, StateError as S};
    let reach = match error {
        E::Io(io) | E::MqttState(S::Io(io)) => of_io(io),
        E::MqttState(S::ConnectionAborted) => Reach::Refused,
        E::Timeout(_) => Reach::Unreachable,
        E::MqttState(S::AwaitPingResp) => Reach::NoAnswer,
        E::ConnectionRefused(code) => refuses(&format!("{code:?}")),
        E::MqttState(S::ServerDisconnect { reason_code, .. }) => goodbye_v5(*reason_code),
        E::MqttState(S::Deserialization(v5::mqttbytes::Error::PayloadSizeLimitExceeded { pkt_size, .. })) => {
            too_long(*pkt_size)
        }
        other => Reach::Odd {
            detail: other.to_string(),
        },
    };
    of_reach(reach, error)
}

fn refuses(code: &str) -> Reach {
    Reach::Odd {
        detail: format!("the broker refuses us: {code}"),
    }
}

fn too_long(bytes: usize) -> Reach {
    Reach::Odd {
        detail: format!(
            "a packet of {bytes} bytes is longer than max_payload allows: it is lost and the session with it"
        ),
    }
}

/// In words: what the reach says where it says something, the client's own words elsewhere.
fn of_reach(reach: Reach, error: &dyn std::error::Error) -> Lost {
    let reason = match &reach {
        Reach::Odd { detail } | Reach::Failing { detail } => detail.clone(),
        _ => error.to_string(),
    };
    Lost { reach, reason }
}

/// A good session.
pub const fn good() -> Reach {
    Reach::Good { took: Span::millis(0) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_broker_that_goes_is_told_from_one_that_does_not_want_us() {
        use v5::mqttbytes::v5::DisconnectReasonCode as Code;
        let lost = |reason_code| {
            let state = v5::StateError::ServerDisconnect {
                reason_code,
                reason_string: None,
            };
            lost_v5(&v5::ConnectionError::MqttState(state))
        };
        assert!(matches!(lost(Code::ServerShuttingDown).reach, Reach::Failing { .. }));
        for code in [Code::SessionTakenOver, Code::KeepAliveTimeout, Code::NotAuthorized] {
            let lost = lost(code);
            assert!(matches!(lost.reach, Reach::Odd { .. }), "{code:?}");
            assert!(lost.reason.contains(&format!("{code:?}")), "{}", lost.reason);
        }
    }
}
