//! Eclipse Ditto: events of the Ditto protocol, each a path and a value of a thing.
//!
//! <https://eclipse.dev/ditto/protocol-specification.html>. The entity is the thing's id `NAMESPACE:NAME`; a property is the signal `FEATURE.PROPERTY`.

use serde_json::{Map, Value};

use super::tell::{Book, Tell, object, str_of};
use super::{Context, DecodeError, Decoded, Decoder, Memo};
use crate::model::event::Presence;
use crate::model::{Batch, EntityName, Timestamp};

/// See the module.
#[derive(Default)]
pub struct Ditto {
    book: Book,
}

/// What the envelope's topic says: `NAMESPACE/NAME/things/CHANNEL/CRITERION/ACTION`.
struct Topic<'a> {
    thing: String,
    criterion: &'a str,
    action: &'a str,
}

fn topic(text: &str) -> Option<Topic<'_>> {
    let levels: Vec<&str> = text.split('/').collect();
    let [namespace, name, "things", rest @ ..] = levels.as_slice() else {
        return None;
    };
    let (criterion, action) = match rest {
        ["twin" | "live", criterion, action] => (*criterion, *action),
        ["twin" | "live", criterion] | [criterion] => (*criterion, ""),
        _ => return None,
    };
    let thing = if *namespace == "_" {
        (*name).to_owned()
    } else {
        format!("{namespace}:{name}")
    };
    Some(Topic {
        thing,
        criterion,
        action,
    })
}

/// True if JSON is a message of this sort.
pub fn looks_like(members: &Map<String, Value>) -> bool {
    let said = members.get("topic").and_then(Value::as_str);
    said.is_some_and(|said| topic(said).is_some()) && members.get("path").is_some_and(Value::is_string)
}

impl Decoder for Ditto {
    fn speaker(&self, topic: &str) -> Option<EntityName> {
        // The payload names it; until then the topic stands in.
        Some(topic.into())
    }

    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let whole = Value::Object(object(payload)?);
        let topic = str_of(&whole, "/topic")
            .and_then(topic)
            .ok_or_else(|| DecodeError::NoValue("$.topic: NAMESPACE/NAME/things/… is due".into()))?;
        let telemetry = match topic.criterion {
            "events" => topic.action != "deleted",
            // A device's own modification is a command to the twin that says how it is.
            "commands" => matches!(topic.action, "modify" | "merge" | "create"),
            _ => false,
        };
        let mut tell = Tell::new(context, &mut self.book, out);
        let entity = tell.named(|| topic.thing.as_str().into());
        tell.meet(&entity, context.broker);
        let at = tell.time(whole.get("timestamp"));
        let path = whole.get("path").and_then(Value::as_str).unwrap_or_default();
        if topic.criterion == "events" && topic.action == "deleted" && path == "/" {
            tell.presence(&entity, Presence::Left, "the thing was deleted");
        }
        if let (true, Some(value)) = (telemetry, whole.get("value")) {
            // `~1` and `~0` are a slash and a tilde (RFC 6901).
            let levels: Vec<String> = path
                .split('/')
                .filter(|level| !level.is_empty())
                .map(|level| level.replace("~1", "/").replace("~0", "~"))
                .collect();
            at_path(&mut tell, &entity, &levels, value, at)?;
        }
        Ok(tell.notes)
    }
}

/// Values below a path: of the thing, of its features, of a feature, of properties, of one of them.
fn at_path(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    levels: &[String],
    value: &Value,
    at: Option<Timestamp>,
) -> Result<(), DecodeError> {
    let below = |tell: &mut Tell<'_, '_>, more: &str, value: Option<&Value>| match value {
        Some(value) => {
            let mut longer = levels.to_vec();
            longer.push(more.to_owned());
            at_path(tell, entity, &longer, value, at)
        }
        None => Ok(()),
    };
    let words: Vec<&str> = levels.iter().map(String::as_str).collect();
    match words.as_slice() {
        [] => {
            below(tell, "features", value.get("features"))?;
            below(tell, "attributes", value.get("attributes"))
        }
        ["features"] => {
            let features: Vec<_> = value.as_object().into_iter().flatten().collect();
            features
                .into_iter()
                .try_for_each(|(name, feature)| below(tell, name, Some(feature)))
        }
        ["features", _] => below(tell, "properties", value.get("properties")),
        ["features", feature, "properties", rest @ ..] => {
            let prefix = std::iter::once(feature)
                .chain(rest)
                .copied()
                .collect::<Vec<_>>()
                .join(".");
            // A property that is called `value` and nothing else is the feature's value.
            let prefix = prefix.strip_suffix(".value").unwrap_or(&prefix);
            match value {
                Value::Object(members) => tell.walk(entity, prefix, members, at, &|_| false),
                _ => tell.json(entity, prefix, value, at).map(drop),
            }
        }
        ["attributes", rest @ ..] => match value {
            Value::Object(members) => tell.walk(
                entity,
                &std::iter::once(&"attributes")
                    .chain(rest)
                    .copied()
                    .collect::<Vec<_>>()
                    .join("."),
                members,
                at,
                &|_| false,
            ),
            _ => tell.json(entity, &words.join("."), value, at).map(drop),
        },
        // Policies and definitions are no telemetry.
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::read;

    #[test]
    fn a_path_and_its_value_are_a_signal_wherever_the_path_ends() {
        let message = |path: &str, value: &str| {
            format!(r#"{{"topic":"org.acme/p3/things/twin/events/modified","path":"{path}","value":{value},"timestamp":"2026-01-01T00:00:00Z"}}"#).into_bytes()
        };
        for (path, value) in [
            ("/features/pressure/properties/bar", "2.5"),
            ("/features/pressure/properties", r#"{"bar":2.5}"#),
            ("/features/pressure", r#"{"properties":{"bar":2.5}}"#),
            ("/features", r#"{"pressure":{"properties":{"bar":2.5}}}"#),
            (
                "/",
                r#"{"thingId":"org.acme:p3","features":{"pressure":{"properties":{"bar":2.5}}}}"#,
            ),
        ] {
            let (samples, errors, _) = read("{filter: '#', decode: ditto}", "d", &[&message(path, value)]);
            assert_eq!(
                (samples, errors.len()),
                (vec!["dev/pressure.bar=2.5@1767225600000".to_owned()], 0),
                "{path}"
            );
        }
    }
}
