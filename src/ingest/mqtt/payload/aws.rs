//! AWS `IoT`: device shadows (`$aws/things/…/shadow/…`) and lifecycle events (`$aws/events/…`).
//!
//! <https://docs.aws.amazon.com/iot/latest/developerguide/device-shadow-mqtt.html>. What is reported is what is; what is desired is not yet. Each value has a
//! time of its own in the metadata.

use serde_json::{Map, Value};

use super::presence::PresenceWords;
use super::tell::{Book, Tell, object};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, json, time};
use crate::model::{Batch, EntityName, Timestamp};

/// See the module.
pub struct Aws {
    book: Book,
    presence: PresenceWords,
}

impl Default for Aws {
    fn default() -> Self {
        Self {
            book: Book::default(),
            presence: PresenceWords::new(&[], &[]),
        }
    }
}

/// Whose topic it is.
pub fn speaker(topic: &str) -> Option<EntityName> {
    let levels: Vec<&str> = topic.split('/').collect();
    match levels.as_slice() {
        ["$aws", "things", thing, "shadow", ..] => Some((*thing).into()),
        ["$aws", "events", "presence", _, client, ..] => Some((*client).into()),
        _ => None,
    }
}

impl Decoder for Aws {
    fn read(&mut self, context: &Context<'_>, memo: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let speaker = speaker(context.topic);
        if context.topic.starts_with("$aws/events/") {
            if !context.topic.starts_with("$aws/events/presence/") {
                // Subscriptions and registrations say nothing of how a thing does.
                return Ok(Notes::default());
            }
            let entity = if context.is_named() {
                context.entity.clone()
            } else {
                speaker.unwrap_or_else(|| context.entity.clone())
            };
            Tell::new(context, &mut self.book, out).meet(&entity, context.broker);
            return self.presence.decode(
                &Context {
                    entity: &entity,
                    ..*context
                },
                memo,
                payload,
                out,
            );
        }
        let Some(thing) = speaker else {
            return Err(DecodeError::Topic(
                "$aws/things/THING/shadow/… or $aws/events/presence/… is due".into(),
            ));
        };
        let last = context.topic.rsplit('/').next().unwrap_or_default();
        if !matches!(last, "accepted" | "documents" | "update") || context.topic.contains("/delete/") {
            // A delta is what is desired, a refusal what is not.
            return Ok(Notes::default());
        }
        let mut whole = object(payload)?;
        if let Some(Value::Object(current)) = whole.remove("current") {
            whole.extend(current);
        }
        let whole = Value::Object(whole);
        let mut tell = Tell::new(context, &mut self.book, out);
        let entity = tell.named(|| thing);
        tell.meet(&entity, context.broker);
        let at = tell.time(whole.get("timestamp"));
        if let Some(Value::Object(reported)) = whole.pointer("/state/reported") {
            let named = context
                .topic
                .split_once("/shadow/name/")
                .and_then(|(_, rest)| rest.split('/').next());
            let times = whole.pointer("/metadata/reported");
            take(&mut tell, &entity, named.unwrap_or_default(), reported, times, at, 0)?;
        }
        Ok(tell.notes)
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        speaker(topic)
    }
}

fn take(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    prefix: &str,
    members: &Map<String, Value>,
    times: Option<&Value>,
    at: Option<Timestamp>,
    depth: usize,
) -> Result<(), DecodeError> {
    for (name, value) in members {
        let own = times.and_then(|times| times.get(name));
        let signal = json::joined(prefix, name);
        match value {
            Value::Object(inside) if depth < json::DEPTH_MAX => {
                take(tell, entity, &signal, inside, own, at, depth + 1)?;
            }
            _ => {
                let at = own.and_then(|own| time::of_json(own.get("timestamp")?).ok()).or(at);
                tell.json(entity, &signal, value, at)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::read;

    #[test]
    fn what_is_reported_counts_with_its_own_time_and_what_is_desired_does_not() {
        let shadow = br#"{"state":{"desired":{"temp":50},"reported":{"temp":41.2,"pump":{"rpm":3}}},"metadata":{"reported":{"temp":{"timestamp":1767225601},"pump":{"rpm":{"timestamp":1767225602}}}},"timestamp":1767225603}"#;
        let (samples, errors, _) = read(
            "{filter: '#', decode: aws}",
            "$aws/things/p/shadow/update/accepted",
            &[shadow],
        );
        assert!(errors.is_empty());
        assert_eq!(samples, ["dev/pump.rpm=3@1767225602000", "dev/temp=41.2@1767225601000"]);
        let (samples, errors, _) = read(
            "{filter: '#', decode: aws}",
            "$aws/things/p/shadow/update/delta",
            &[shadow],
        );
        assert!(samples.is_empty() && errors.is_empty());
        assert_eq!(super::speaker("$aws/events/presence/connected/p"), Some("p".into()));
    }
}
