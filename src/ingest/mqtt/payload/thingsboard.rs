//! `ThingsBoard`'s device and gateway MQTT API.
//!
//! <https://thingsboard.io/docs/reference/mqtt-api/>, <https://thingsboard.io/docs/reference/gateway-mqtt-api/>

use std::collections::BTreeSet;

use serde_json::{Map, Value};

use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, VALUES_MAX, json, time};
use crate::ingest::mqtt::worker::plain;
use crate::model::event::{EventKind, Presence};
use crate::model::{Batch, EdgeKind, EntityKind, EntityName, Event, Timestamp, TopologyChange};

/// Devices behind gateways that are remembered as known to the topology.
const DEVICES_MAX: usize = 100_000;

/// `v1/devices/me/telemetry` and `attributes`: one object, `{"ts":…, "values":{…}}`, or a list of them.
pub struct Device;

/// `v1/gateway/telemetry`, `attributes`, `connect` and `disconnect`.
#[derive(Default)]
pub struct Gateway {
    known: BTreeSet<EntityName>,
}

fn parse(payload: &[u8]) -> Result<Value, DecodeError> {
    serde_json::from_slice(payload).map_err(|error| DecodeError::Json(error.to_string()))
}

/// Takes values out of one payload.
struct Taking<'a, 'c> {
    context: &'a Context<'c>,
    notes: Notes,
    found: usize,
}

impl Taking<'_, '_> {
    fn telemetry(&mut self, entity: &EntityName, value: &Value, out: &mut Batch) -> Result<(), DecodeError> {
        match value {
            Value::Array(list) => list.iter().try_for_each(|item| self.telemetry(entity, item, out)),
            Value::Object(object) => {
                let (at, values) = match (object.get("ts"), object.get("values")) {
                    (Some(ts), Some(Value::Object(values))) => (Some(time::of_json(ts)?), values),
                    _ => (None, object),
                };
                self.take(entity, values, at, out)
            }
            _ => Err(DecodeError::NoValue("$: an object or a list of objects is due".into())),
        }
    }

    fn take(
        &mut self,
        entity: &EntityName,
        values: &Map<String, Value>,
        at: Option<Timestamp>,
        out: &mut Batch,
    ) -> Result<(), DecodeError> {
        for (name, value) in values {
            let Some((number, exact)) = json::number(value) else {
                continue;
            };
            if self.found >= VALUES_MAX {
                return Err(DecodeError::TooMany(VALUES_MAX));
            }
            self.found += 1;
            self.notes.integer(exact);
            out.samples.push(self.context.sample_of(entity, name, number, at));
        }
        Ok(())
    }
}

impl Decoder for Device {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let mut taking = Taking {
            context,
            notes: Notes::default(),
            found: 0,
        };
        taking.telemetry(context.entity, &parse(payload)?, out)?;
        Ok(taking.notes)
    }
}

impl Gateway {
    fn meet(&mut self, context: &Context<'_>, device: &EntityName, notes: &mut Notes, out: &mut Batch) {
        if self.known.len() >= DEVICES_MAX {
            self.known.clear();
            notes.forgotten += 1;
        }
        if !self.known.insert(device.clone()) {
            return;
        }
        for change in [
            TopologyChange::Entity {
                entity: plain(device, EntityKind::Device),
            },
            TopologyChange::Edge {
                from: device.clone(),
                edge: EdgeKind::ConnectsVia,
                to: context.entity.clone(),
            },
        ] {
            out.events.push(event(context, device, EventKind::Topology(change)));
        }
    }
}

fn event(context: &Context<'_>, entity: &EntityName, kind: EventKind) -> Event {
    Event {
        entity: entity.clone(),
        at: context.seen,
        seen: context.seen,
        kind,
    }
}

impl Decoder for Gateway {
    fn read(&mut self, context: &Context<'_>, _: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        let json = parse(payload)?;
        let action = context.topic.rsplit('/').next().unwrap_or_default();
        match action {
            "telemetry" | "attributes" => {
                let Value::Object(devices) = &json else {
                    return Err(DecodeError::NoValue(
                        "$: an object with one member per device is due".into(),
                    ));
                };
                let mut taking = Taking {
                    context,
                    notes: Notes::default(),
                    found: 0,
                };
                for (name, values) in devices {
                    let device = EntityName::from(name.as_str());
                    self.meet(context, &device, &mut taking.notes, out);
                    taking.telemetry(&device, values, out)?;
                }
                Ok(taking.notes)
            }
            "connect" | "disconnect" => {
                let name = json.get("device").and_then(Value::as_str);
                let device: EntityName = name.ok_or_else(|| DecodeError::NoValue("$.device".into()))?.into();
                let mut notes = Notes::default();
                self.meet(context, &device, &mut notes, out);
                let presence = if action == "connect" {
                    Presence::Online
                } else {
                    Presence::Lost
                };
                let reason = format!("the gateway says {action}");
                let kind = EventKind::Presence {
                    presence,
                    reason,
                    retained: context.retained,
                };
                out.events.push(event(context, &device, kind));
                Ok(notes)
            }
            other => Err(DecodeError::Topic(format!(
                "'{other}' is not telemetry, attributes, connect or disconnect"
            ))),
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::read;

    #[test]
    fn a_device_sends_bare_values_or_values_with_their_time() {
        let payloads: [&[u8]; 2] = [
            br#"{"t": 1}"#,
            br#"[{"ts": 1767225601000, "values": {"t": 2, "on": true}}]"#,
        ];
        let (samples, errors, _) = read("{filter: a, decode: thingsboard}", "v1/devices/me/telemetry", &payloads);
        assert_eq!(
            samples,
            [
                "dev/t=1@1767225600000",
                "dev/on=1@1767225601000",
                "dev/t=2@1767225601000"
            ]
        );
        assert!(errors.is_empty());
    }

    #[test]
    fn a_gateway_speaks_for_its_devices_and_makes_them_known_once() {
        let payload = br#"{"pump": [{"ts": 1767225601000, "values": {"t": 2}}], "fan": {"rpm": 3}}"#;
        let (samples, errors, events) = read(
            "{filter: a, decode: thingsboard-gateway}",
            "v1/gateway/telemetry",
            &[payload, payload],
        );
        assert_eq!(samples.len(), 4);
        assert!(samples.contains(&"pump/t=2@1767225601000".to_owned()) && errors.is_empty());
        assert_eq!(events.len(), 4, "an entity and an edge for each device");
    }
}
