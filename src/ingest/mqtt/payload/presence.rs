//! Presence topics: a word that says whether an entity is there. Wills are usually published on such topics.

use super::{Context, DecodeError, Decoder, Memo, Notes};
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

impl Decoder for PresenceWords {
    fn decode(
        &mut self,
        context: &Context<'_>,
        _: &mut Memo,
        payload: &[u8],
        out: &mut Batch,
    ) -> Result<Notes, DecodeError> {
        let text = std::str::from_utf8(payload).map_err(|_| DecodeError::Utf8)?.trim();
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
            return Err(DecodeError::Presence(word.chars().take(64).collect()));
        };
        out.events.push(Event {
            entity: context.entity.clone(),
            at: context.seen,
            seen: context.seen,
            kind: EventKind::Presence {
                presence,
                reason: format!("'{word}' on {}", context.topic),
                retained: context.retained,
            },
        });
        Ok(Notes::default())
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
}
