//! Presence topics: a word that says whether an entity is there. Wills are usually published on such topics.

use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes};
use crate::model::event::{EventKind, Presence};
use crate::model::{Batch, Event};

/// See the module.
pub struct PresenceWords {
    online: Vec<String>,
    offline: Vec<String>,
}

impl PresenceWords {
    /// With these words, upper and lower case alike.
    pub fn new(online: &[String], offline: &[String]) -> Self {
        let lower = |words: &[String]| words.iter().map(|word| word.to_lowercase()).collect();
        Self {
            online: lower(online),
            offline: lower(offline),
        }
    }
}

/// The words of most conventions that have words of their own.
pub fn online(word: &str) -> Result<Presence, DecodeError> {
    match word {
        "online" => Ok(Presence::Online),
        "offline" => Ok(Presence::Lost),
        other => Err(DecodeError::presence(other)),
    }
}

/// What a broker tells of a client's connection: EMQX under `$SYS/brokers/+/clients/+/`, AWS `IoT` under `$aws/events/presence/`.
#[derive(serde::Deserialize)]
#[serde(rename_all = "camelCase")]
struct Told {
    #[serde(alias = "disconnectReason")]
    reason: Option<String>,
    client_initiated_disconnect: Option<bool>,
}

enum Ended {
    Connected,
    Disconnected(Told),
}

impl Ended {
    fn of(topic: &str, text: &str) -> Option<Self> {
        let told: Told = if text.starts_with('{') {
            serde_json::from_str(text).ok()?
        } else {
            return None;
        };
        if !topic.starts_with('$') {
            return None;
        }
        // The words stand at different levels: EMQX ends with them, AWS goes on with the client's id.
        let says = |word: &str| topic.split('/').any(|level| level == word);
        match (says("connected"), says("disconnected")) {
            (true, false) => Some(Self::Connected),
            (false, true) => Some(Self::Disconnected(told)),
            _ => None,
        }
    }

    /// A client that said goodbye has left; one that the broker gave up is lost.
    fn means(&self) -> (Presence, String) {
        let told = match self {
            Self::Connected => return (Presence::Online, "connected".into()),
            Self::Disconnected(told) => told,
        };
        let reason = told.reason.as_deref().unwrap_or("disconnected");
        let said_goodbye = told.client_initiated_disconnect == Some(true)
            || ["normal", "CLIENT_INITIATED_DISCONNECT"].contains(&reason);
        let presence = if said_goodbye { Presence::Left } else { Presence::Lost };
        (presence, reason.chars().take(64).collect())
    }
}

impl Context<'_> {
    fn presence(&self, presence: Presence, reason: String) -> Event {
        Event {
            entity: self.entity.clone(),
            at: self.seen,
            seen: self.seen,
            kind: EventKind::Presence {
                presence,
                reason,
                retained: self.retained,
            },
        }
    }
}

impl Decoder for PresenceWords {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Utf8)?.trim();
        if let Some(ended) = Ended::of(context.topic, text) {
            let (presence, reason) = ended.means();
            out.events.push(context.presence(presence, reason));
            return Ok(Notes::default());
        }
        // Home Assistant and others wrap the word: {"state": "online"}.
        let json: Option<serde_json::Value> = text.starts_with('{').then(|| serde_json::from_str(text).ok()).flatten();
        let wrapped = json.as_ref().and_then(|json| {
            ["state", "status", "presence", "online"]
                .iter()
                .find_map(|name| json.get(name))
        });
        let word = match wrapped {
            Some(serde_json::Value::String(word)) => word.to_lowercase(),
            Some(other) => other.to_string(),
            None => text.to_lowercase(),
        };
        let presence = if self.online.contains(&word) {
            Presence::Online
        } else if self.offline.contains(&word) {
            Presence::Lost
        } else if word.is_empty() {
            // An empty retained payload deletes the state: it has been taken away in an orderly manner.
            Presence::Left
        } else {
            return Err(DecodeError::presence(&word));
        };
        let reason = format!("'{word}' on {}", context.topic);
        out.events.push(context.presence(presence, reason));
        Ok(Notes::default())
    }

    fn reads_empty(&self) -> bool {
        true
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::read;
    use crate::model::event::{EventKind, Presence};

    #[test]
    fn words_and_wrapped_words_are_understood_and_others_are_refused() {
        let payloads: [&[u8]; 4] = [b"Online", b"{\"state\":\"offline\"}", b"", b"maybe"];
        let (_, errors, events) = read("{filter: a, decode: presence}", "a/status", &payloads);
        let said: Vec<_> = events
            .iter()
            .map(|event| match &event.kind {
                EventKind::Presence { presence, .. } => *presence,
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(said, [Presence::Online, Presence::Lost, Presence::Left]);
        assert!(errors[0].contains("'maybe'"));
    }

    #[test]
    fn a_client_that_said_goodbye_is_told_from_one_that_the_broker_gave_up() {
        for (topic, payload, expected) in [
            (
                "$SYS/brokers/emqx@h/clients/pump/connected",
                r#"{"clientid": "pump"}"#,
                Presence::Online,
            ),
            (
                "$SYS/brokers/emqx@h/clients/pump/disconnected",
                r#"{"reason": "normal"}"#,
                Presence::Left,
            ),
            (
                "$SYS/brokers/emqx@h/clients/pump/disconnected",
                r#"{"reason": "keepalive_timeout"}"#,
                Presence::Lost,
            ),
            (
                "$aws/events/presence/connected/pump",
                r#"{"clientId": "pump"}"#,
                Presence::Online,
            ),
            (
                "$aws/events/presence/disconnected/pump",
                r#"{"clientInitiatedDisconnect": true, "disconnectReason": "CLIENT_INITIATED_DISCONNECT"}"#,
                Presence::Left,
            ),
            (
                "$aws/events/presence/disconnected/pump",
                r#"{"clientInitiatedDisconnect": false, "disconnectReason": "MQTT_KEEP_ALIVE_TIMEOUT"}"#,
                Presence::Lost,
            ),
        ] {
            let (_, errors, events) = read("{filter: a, decode: presence}", topic, &[payload.as_bytes()]);
            assert!(errors.is_empty(), "{errors:?}");
            let said = events.iter().map(|event| match &event.kind {
                EventKind::Presence { presence, .. } => *presence,
                other => panic!("{other:?}"),
            });
            assert_eq!(said.collect::<Vec<_>>(), [expected], "{topic} {payload}");
        }
    }
}
