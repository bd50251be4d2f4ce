//! Listens to everything on a broker for a while, as a client of its own that takes nothing from anybody.

use std::path::PathBuf;
use std::time::Duration;

use rumqttc::{AsyncClient, Event, MqttOptions, Packet, QoS, SubscribeReasonCode};
use tokio::time::{Instant, timeout_at};

use super::Survey;
use crate::client::mqtt as client;
use crate::clock::wall_clock;
use crate::ingest::mqtt::Settings;
use crate::net::Tls;

/// Packets up to so many bytes are taken.
const PACKET_MAX: usize = 4 << 20;

/// Packets under way to the broker; we send no more than the subscriptions.
const REQUESTS: usize = 8;

/// Connections tried in a row that end before they are accepted.
const TRIES: u32 = 3;

/// The broker that is listened to.
#[derive(Debug, Clone, Default)]
pub struct Broker {
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: String,
    /// User name.
    pub username: Option<String>,
    /// A file that holds the password.
    pub password_file: Option<PathBuf>,
    /// A file of the authorities that are trusted.
    pub ca_file: Option<PathBuf>,
    /// Topic filters.
    pub filters: Vec<String>,
}

/// A broker that could not be listened to.
#[derive(Debug, thiserror::Error)]
pub enum ListenError {
    /// What was given.
    #[error("{0}")]
    Given(String),
    /// The broker.
    #[error("{url}: {problem}; is it the right address, and may this user connect?")]
    Broker {
        /// Its URL.
        url: String,
        /// What came of it.
        problem: String,
    },
    /// The broker refuses every filter.
    #[error(
        "{url} refuses the subscription to {filters}: its access list lets this user read nothing of it; try --filter"
    )]
    Refused {
        /// Its URL.
        url: String,
        /// What was asked for.
        filters: String,
    },
}

fn options(broker: &Broker) -> Result<MqttOptions, ListenError> {
    let given = |problem: String| ListenError::Given(problem);
    let settings = serde_json::json!({"name": "discover", "url": broker.url, "subscribe": []});
    let settings: Settings = serde_json::from_value(settings).map_err(|error| given(error.to_string()))?;
    let place = settings.address().map_err(|error| given(error.to_string()))?;
    let tls = Tls {
        ca_file: broker.ca_file.clone(),
        ..Tls::default()
    };
    let known = client::Broker {
        url: &broker.url,
        username: broker.username.as_deref(),
        password_file: broker.password_file.as_ref(),
        tls: &tls,
    };
    let id = format!("jurymast-discover-{}", std::process::id());
    let mut options = known.session(place, id).map_err(given)?;
    options.set_keep_alive(Duration::from_secs(15));
    options.set_max_packet_size(PACKET_MAX, PACKET_MAX);
    Ok(options)
}

/// Listens for so long; `progress` is told how many messages came.
pub async fn listen(
    broker: &Broker,
    span: Duration,
    survey: &mut Survey,
    mut progress: impl FnMut(u64),
) -> Result<(), ListenError> {
    let (client, mut events) = AsyncClient::new(options(broker)?, REQUESTS);
    let mut until = Instant::now() + span;
    let (mut heard, mut failed, mut refused) = (false, 0, 0);
    loop {
        let event = match timeout_at(until, events.poll()).await {
            Err(_) if heard => return Ok(()),
            Err(_) => {
                return Err(ListenError::Broker {
                    url: broker.url.clone(),
                    problem: "it did not answer in time".into(),
                });
            }
            Ok(event) => event,
        };
        match event {
            Ok(Event::Incoming(Packet::ConnAck(_))) => {
                if !heard {
                    // The time counts from when there is something to hear.
                    until = Instant::now() + span;
                }
                (heard, failed, refused) = (true, 0, 0);
                for filter in &broker.filters {
                    let asked = client.try_subscribe(filter, QoS::AtMostOnce);
                    asked.map_err(|error| ListenError::Given(format!("filter '{filter}': {error}")))?;
                }
            }
            Ok(Event::Incoming(Packet::SubAck(answer))) => {
                refused += usize::from(answer.return_codes.contains(&SubscribeReasonCode::Failure));
                if refused >= broker.filters.len() {
                    return Err(ListenError::Refused {
                        url: broker.url.clone(),
                        filters: broker.filters.join(", "),
                    });
                }
            }
            Ok(Event::Incoming(Packet::Publish(message))) => {
                survey.message(&message.topic, &message.payload, message.retain, wall_clock());
                progress(survey.messages);
            }
            Ok(_) => {}
            Err(error) => {
                failed += 1;
                if failed >= TRIES {
                    return Err(ListenError::Broker {
                        url: broker.url.clone(),
                        problem: error.to_string(),
                    });
                }
                tokio::time::sleep(Duration::from_millis(500)).await;
            }
        }
    }
}
