//! MQTT round trip: publish to a topic of our own and get it back. A broker that accepts connections and delivers nothing does not serve.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use rumqttc::{AsyncClient, ConnectionError, Event, MqttOptions, Packet, QoS, StateError, TlsError};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Probe, classify};
use crate::act::BoxFuture;
use crate::act::executor::parameters;
use crate::client::mqtt::Broker;
use crate::model::{Reach, Span};
use crate::net::Tls;

/// See the module.
pub struct Mqtt;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// `host:port`, or `mqtts://host:port` for TLS.
    address: String,
    #[serde(default = "default_topic")]
    topic: String,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
}

fn default_topic() -> String {
    "jurymast/probe".into()
}

impl With {
    fn url(&self) -> String {
        if self.address.contains("://") {
            self.address.clone()
        } else {
            format!("mqtt://{}", self.address)
        }
    }

    fn broker<'a>(&'a self, url: &'a str) -> Result<Broker<'a>, String> {
        if !self.address.rsplit('/').next().is_some_and(|place| place.contains(':')) {
            return Err(format!("'{}' is not host:port", self.address));
        }
        Ok(Broker {
            url,
            username: self.username.as_deref(),
            password_file: self.password_file.as_ref(),
            tls: &self.tls,
        })
    }

    fn options(&self) -> Result<MqttOptions, String> {
        let id = format!("jurymast-probe-{}", fastrand::u64(..));
        self.broker(&self.url())?.options(id)
    }
}

async fn round_trip(with: &With, options: MqttOptions) -> Reach {
    let (client, mut events) = AsyncClient::new(options, 10);
    let topic = format!("{}/{}", with.topic, fastrand::u64(..));
    if client.subscribe(&topic, QoS::AtMostOnce).await.is_err() {
        return Reach::Odd {
            detail: "the client's queue is full".into(),
        };
    }
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::SubAck(_))) => {
                if client.publish(&topic, QoS::AtMostOnce, false, "ping").await.is_err() {
                    return Reach::Odd {
                        detail: "the client's queue is full".into(),
                    };
                }
            }
            Ok(Event::Incoming(Packet::Publish(publish))) if publish.topic == topic => {
                let _ = client.disconnect().await;
                let _ = events.poll().await;
                return Reach::Good { took: Span::default() };
            }
            Ok(_) => {}
            Err(ConnectionError::Io(error) | ConnectionError::MqttState(StateError::Io(error))) => {
                return classify(&error);
            }
            Err(ConnectionError::Tls(TlsError::Io(error))) if error.kind() != io::ErrorKind::InvalidData => {
                return classify(&error);
            }
            // A certificate that we do not trust says more of our settings than of the broker.
            Err(ConnectionError::Tls(error)) => {
                return Reach::Odd {
                    detail: error.to_string(),
                };
            }
            Err(ConnectionError::ConnectionRefused(code)) => {
                return Reach::Odd {
                    detail: format!("{code:?}"),
                };
            }
            Err(error) => {
                return Reach::Failing {
                    detail: error.to_string(),
                };
            }
        }
    }
}

impl Probe for Mqtt {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        with.broker(&with.url())?.check()
    }

    fn ask<'a>(&'a self, with: &'a Map<String, Value>, limit: Duration) -> BoxFuture<'a, Reach> {
        Box::pin(async move {
            let with: With = match parameters(with) {
                Ok(with) => with,
                Err(detail) => return Reach::Odd { detail },
            };
            let options = match with.options() {
                Ok(options) => options,
                Err(detail) => return Reach::Odd { detail },
            };
            timeout(limit, round_trip(&with, options))
                .await
                .unwrap_or(Reach::NoAnswer)
        })
    }
}
