//! MQTT: publishes one message at `QoS` 1, retained or not, and waits until the broker has it. A retained one can be read back. `mqtts://` speaks TLS.

use std::path::PathBuf;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS};
use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::timeout;

use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::mqtt::Broker;
use crate::net::Tls;

/// How much longer than its acknowledgement a broker may take with what is retained.
const STRAGGLERS: Duration = Duration::from_millis(100);

/// See the module.
pub struct Mqtt;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// `mqtt://host:port`, or `mqtts://host:port` for TLS.
    broker: String,
    topic: String,
    payload: String,
    #[serde(default)]
    retain: bool,
    #[serde(default)]
    username: Option<String>,
    #[serde(default)]
    password_file: Option<PathBuf>,
    #[serde(default)]
    tls: Tls,
}

impl With {
    fn broker(&self) -> Broker<'_> {
        Broker {
            url: &self.broker,
            username: self.username.as_deref(),
            password_file: self.password_file.as_ref(),
            tls: &self.tls,
        }
    }

    fn options(&self, key: &str) -> Result<MqttOptions, String> {
        let id = format!("jurymast-act-{:08x}", crc32fast::hash(key.as_bytes()));
        self.broker().options(id)
    }
}

/// `Err((sent, why))`.
async fn publish(with: &With, key: &str) -> Result<(), (bool, String)> {
    let options = with.options(key).map_err(|why| (false, why))?;
    let (client, mut events) = AsyncClient::new(options, 10);
    let mut sent = false;
    loop {
        match events.poll().await {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                client
                    .publish(&with.topic, QoS::AtLeastOnce, with.retain, with.payload.as_bytes())
                    .await
                    .map_err(|e| (false, e.to_string()))?;
                sent = true;
            }
            Ok(Event::Incoming(Packet::PubAck(_))) => {
                let _ = client.disconnect().await;
                let _ = events.poll().await;
                return Ok(());
            }
            Ok(_) => {}
            Err(error) => return Err((sent, format!("{}: {error}", with.broker))),
        }
    }
}

/// What is retained on the topic. Nothing is published: whoever listens there hears nothing of it.
async fn read_back(with: &With, key: &str) -> Result<Option<Vec<u8>>, String> {
    let (client, mut events) = AsyncClient::new(with.options(&format!("{key}-look"))?, 10);
    client
        .subscribe(&with.topic, QoS::AtLeastOnce)
        .await
        .map_err(|e| e.to_string())?;
    let mut answered = 0;
    let found = loop {
        // A broker may send what is retained a moment after its SUBACK.
        let heard = if answered < 2 {
            events.poll().await
        } else {
            match timeout(STRAGGLERS, events.poll()).await {
                Ok(heard) => heard,
                Err(_) => break None,
            }
        };
        match heard.map_err(|e| e.to_string())? {
            Event::Incoming(Packet::Publish(publish)) if publish.retain => break Some(publish.payload.to_vec()),
            Event::Incoming(Packet::SubAck(_)) => {
                answered += 1;
                if answered == 1 {
                    // A second time (MQTT 3.1.1, 3.8.4): what is retained is sent again, and the answer comes after the first lot.
                    client
                        .subscribe(&with.topic, QoS::AtLeastOnce)
                        .await
                        .map_err(|e| e.to_string())?;
                }
            }
            _ => {}
        }
    };
    let _ = client.disconnect().await;
    let _ = events.poll().await;
    Ok(found)
}

impl Executor for Mqtt {
    fn name(&self) -> &'static str {
        "mqtt"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        parameters::<With>(with)?.broker().check()
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Target
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            let with: With = match call.parameters() {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            match timeout(call.timeout, publish(&with, call.key)).await {
                Ok(Ok(())) => Applied::Done,
                Ok(Err((true, why))) => Applied::Unknown(why),
                Ok(Err((false, why))) => Applied::NoEffect(why),
                Err(_) => Applied::Unknown(format!("{} gave no answer within {:?}", with.broker, call.timeout)),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = call.parameters::<With>() else {
                return Effect::Unknown;
            };
            if !with.retain {
                return Effect::Unknown;
            }
            match timeout(call.timeout, read_back(&with, call.key)).await {
                Ok(Ok(Some(payload))) if payload == with.payload.as_bytes() => Effect::There,
                Ok(Ok(_)) => Effect::NotThere,
                _ => Effect::Unknown,
            }
        })
    }
}
