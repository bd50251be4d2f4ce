//! MQTT round trip: publish to a topic of our own and get it back. A broker that accepts connections and delivers nothing does not serve.

use std::time::Duration;

use rumqttc::{AsyncClient, ConnectionError, Event, MqttOptions, Packet, QoS, StateError};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Probe, classify};
use crate::act::BoxFuture;
use crate::act::executor::parameters;
use crate::model::{Reach, Span};

/// See the module.
pub struct Mqtt;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// `host:port`.
    address: String,
    #[serde(default = "default_topic")]
    topic: String,
}

fn default_topic() -> String {
    "jurymast/probe".into()
}

impl With {
    fn options(&self) -> Result<MqttOptions, String> {
        let address = self.address.strip_prefix("mqtt://").unwrap_or(&self.address);
        let (host, port) = address
            .rsplit_once(':')
            .ok_or_else(|| format!("'{address}' is not host:port"))?;
        let port: u16 = port.parse().map_err(|_| format!("'{port}' is not a port"))?;
        let mut options = MqttOptions::new(format!("jurymast-probe-{}", fastrand::u64(..)), host, port);
        options.set_clean_session(true);
        Ok(options)
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
        parameters::<With>(with)?.options().map(|_| ())
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
