//! OPC UA `PubSub` in JSON (Part 14, 7.2.5): data set messages of writers, fields with or without their quality.
//!
//! A field that its server calls bad is no value: it is left out and counted. A writer is an entity of its own, behind its publisher.

use serde_json::{Map, Value};
use std::collections::BTreeMap;

use super::tell::{Book, Tell, parse};
use super::{Context, DecodeError, Decoded, Decoder, Memo, time};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::{EventKind, Presence};
use crate::model::{Batch, EntityKind, EntityName, Timestamp};

/// Writers of which the last sequence number is remembered.
const WRITERS_MAX: usize = 100_000;

/// The two highest bits of a status tell good, uncertain and bad (Part 4, 7.39).
const BAD: u64 = 0x8000_0000;

/// See the module.
#[derive(Default)]
pub struct OpcUa {
    book: Book,
    sequences: BTreeMap<EntityName, u64>,
}

/// True if JSON is a message of this sort.
pub fn looks_like(members: &Map<String, Value>) -> bool {
    members
        .get("MessageType")
        .and_then(Value::as_str)
        .is_some_and(|kind| kind.starts_with("ua-"))
        || (members.contains_key("DataSetWriterId") && members.contains_key("Payload"))
}

/// A name or a number as text.
fn name(value: Option<&Value>) -> Option<String> {
    match value? {
        Value::String(text) if !text.is_empty() => Some(text.clone()),
        Value::Number(number) => Some(number.to_string()),
        _ => None,
    }
}

fn status(field: &Map<String, Value>) -> u64 {
    let code = field.get("StatusCode").or_else(|| field.get("Status"));
    let code = match code {
        Some(Value::Object(inside)) => inside.get("Code"),
        other => other,
    };
    code.and_then(Value::as_u64).unwrap_or(0)
}

impl Decoder for OpcUa {
    fn speaker(&self, topic: &str) -> Option<EntityName> {
        // The payload names it; until then the topic stands in.
        Some(topic.into())
    }

    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let whole = parse(payload)?;
        let mut tell = Tell::new(context, &mut self.book, out);
        let network = whole.as_object();
        let publisher = network.and_then(|members| name(members.get("PublisherId")));
        let kind = network
            .and_then(|members| members.get("MessageType")?.as_str())
            .unwrap_or("ua-data");
        let publisher_entity = publisher.as_deref().map(EntityName::from);
        match kind {
            "ua-data" => {}
            "ua-keepalive" | "ua-deltaframe" | "ua-keyframe" => {}
            "ua-status" => {
                let status = network.and_then(|members| members.get("Status"));
                if let (Some(entity), Some(status)) = (publisher_entity, status) {
                    of_status(&mut tell, &entity, status);
                }
                return Ok(tell.notes);
            }
            // Definitions say nothing of how a field does.
            _ => return Ok(tell.notes),
        }
        let messages: Vec<&Value> = match (&whole, network.and_then(|members| members.get("Messages"))) {
            (_, Some(Value::Array(messages))) => messages.iter().collect(),
            (_, Some(message)) => vec![message],
            (Value::Array(messages), _) => messages.iter().collect(),
            (message, None) => vec![message],
        };
        for (place, message) in messages.into_iter().enumerate() {
            let Value::Object(message) = message else {
                tell.leave_out(misshapen("a data set message is an object", place));
                continue;
            };
            let writer = name(message.get("DataSetWriterName")).or_else(|| name(message.get("DataSetWriterId")));
            let entity = tell.named(|| match (publisher.as_deref(), writer) {
                (Some(publisher), Some(writer)) => format!("{publisher}/{writer}").into(),
                (Some(name), None) => name.into(),
                (None, Some(writer)) => writer.into(),
                (None, None) => context.topic.into(),
            });
            if let Some(publisher) = publisher_entity.as_ref().filter(|publisher| **publisher != entity) {
                tell.meet_as(plain(publisher, EntityKind::Gateway), context.broker);
                tell.meet(&entity, publisher);
            } else {
                tell.meet(&entity, context.broker);
            }
            sequence(&mut self.sequences, &mut tell, &entity, message);
            let at = tell.time(message.get("Timestamp"));
            if message.get("Status").map_or(0, |code| code.as_u64().unwrap_or(0)) & BAD != 0 {
                let status = message.get("Status").map(ToString::to_string).unwrap_or_default();
                tell.leave_out(DecodeError::BadQuality {
                    place: format!("{entity}"),
                    status,
                });
                continue;
            }
            if let Some(Value::Object(fields)) = message.get("Payload") {
                for (name, field) in fields {
                    take(&mut tell, &entity, name, field, at)?;
                }
            } else if kind == "ua-keepalive"
                || message.get("MessageType").and_then(Value::as_str) == Some("ua-keepalive")
            {
                tell.presence(&entity, Presence::Online, "ua-keepalive");
            } else {
                tell.leave_out(misshapen("a Payload is due", place));
            }
        }
        let nothing = tell.found() == 0;
        match tell
            .notes
            .fault
            .take_if(|fault| nothing && matches!(fault, DecodeError::Misshapen { .. }))
        {
            Some(fault) => Err(fault),
            None => Ok(tell.notes),
        }
    }
}

fn misshapen(problem: &str, place: usize) -> DecodeError {
    DecodeError::Misshapen {
        convention: "OPC UA PubSub",
        problem: problem.to_owned(),
        place: format!("Messages[{place}]"),
    }
}

fn of_status(tell: &mut Tell<'_, '_>, entity: &EntityName, status: &Value) {
    // Numbers are those of PubSubState (Part 14, 6.2.1).
    let word = status.as_str().map_or_else(|| status.to_string(), String::from);
    let presence = match word.as_str() {
        "2" | "Operational" | "4" | "PreOperational" => Presence::Online,
        "0" | "Disabled" | "1" | "Paused" => Presence::Left,
        _ => Presence::Lost,
    };
    tell.presence(entity, presence, &format!("ua-status {word}"));
}

/// The field's own time wins over the message's.
fn take(
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    name: &str,
    field: &Value,
    at: Option<Timestamp>,
) -> Result<(), DecodeError> {
    let data_value = field.as_object().filter(|inside| {
        let known = |key: &String| {
            matches!(
                key.as_str(),
                "Value"
                    | "StatusCode"
                    | "Status"
                    | "SourceTimestamp"
                    | "SourcePicoseconds"
                    | "ServerTimestamp"
                    | "ServerPicoseconds"
                    | "UaType"
                    | "Type"
                    | "Dimensions"
            )
        };
        !inside.is_empty() && inside.keys().all(known)
    });
    let Some(inside) = data_value else {
        return match field {
            Value::Object(members) => tell.walk(entity, name, members, at, &|_| false),
            _ => tell.json(entity, name, field, at).map(drop),
        };
    };
    let code = status(inside);
    if code & BAD != 0 {
        tell.leave_out(DecodeError::BadQuality {
            place: name.to_owned(),
            status: format!("0x{code:08X}"),
        });
        return Ok(());
    }
    let own = ["SourceTimestamp", "ServerTimestamp"]
        .iter()
        .find_map(|key| time::of_json(inside.get(*key)?).ok());
    match inside.get("Value") {
        // A variant has its type around it: {"Type": 11, "Body": 2.5}.
        Some(Value::Object(variant)) if variant.contains_key("Body") => {
            tell.json(entity, name, &variant["Body"], own.or(at)).map(drop)
        }
        Some(Value::Object(members)) => tell.walk(entity, name, members, own.or(at), &|_| false),
        Some(value) => tell.json(entity, name, value, own.or(at)).map(drop),
        None => Ok(()),
    }
}

/// Numbers of 16 or of 32 bits that wrap; what starts anew starts low.
fn sequence(
    known: &mut BTreeMap<EntityName, u64>,
    tell: &mut Tell<'_, '_>,
    entity: &EntityName,
    message: &Map<String, Value>,
) {
    let Some(got) = message.get("SequenceNumber").and_then(Value::as_u64) else {
        return;
    };
    if known.len() >= WRITERS_MAX {
        known.clear();
        tell.notes.forgotten += 1;
    }
    let Some(before) = known.insert(entity.clone(), got) else {
        return;
    };
    let expected = before.wrapping_add(1);
    let wrapped = got <= 1 && (expected == 1 << 16 || expected == 1 << 32 || before > got);
    if got != expected && !wrapped && !tell.context.retained {
        tell.event(entity, EventKind::Sequence { expected, got });
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{Bench, said};

    fn message(sequence: u64, payload: &str) -> String {
        format!(
            r#"{{"MessageType":"ua-data","PublisherId":"P","Messages":[{{"DataSetWriterId":1,"SequenceNumber":{sequence},"Timestamp":"2026-01-01T00:00:00Z","Payload":{payload}}}]}}"#
        )
    }

    #[test]
    fn fields_with_quality_raw_fields_and_variants_are_read_and_bad_ones_are_not() {
        let mut bench = Bench::new("{filter: '#', decode: opcua}");
        let payload = r#"{"A":{"Value":23.4,"SourceTimestamp":"2026-01-01T00:00:01Z"},"B":{"Value":7,"StatusCode":{"Code":2147483648}},"C":5,"D":{"Value":{"Type":11,"Body":2.5}},"E":{"Value":1,"StatusCode":1073741824}}"#;
        let (batch, notes) = bench.feed("o", message(4, payload).as_bytes());
        assert_eq!(
            bench.words(&batch),
            [
                "dev/A=23.4@1767225601000",
                "dev/C=5@1767225600000",
                "dev/D=2.5@1767225600000",
                "dev/E=1@1767225600000"
            ]
        );
        let notes = notes.unwrap();
        assert_eq!(notes.left_out, 1);
        assert!(notes.fault.unwrap().to_string().contains("0x80000000"));
        assert_eq!(
            said(&batch.events),
            ["P Gateway", "P -> broker", "dev Device", "dev -> P"]
        );
    }

    #[test]
    fn a_skipped_number_is_a_gap_and_one_that_wraps_is_not() {
        let mut bench = Bench::new("{filter: '#', decode: opcua}");
        let mut gaps = Vec::new();
        for sequence in [65_534, 65_535, 0, 1, 3] {
            let (batch, _) = bench.feed("o", message(sequence, r#"{"C":5}"#).as_bytes());
            gaps.extend(said(&batch.events).into_iter().filter(|said| said.contains("!=")));
        }
        assert_eq!(gaps, ["dev 2!=3"]);
    }
}
