//! Payload conventions, one file each.
//!
//! A new one is one file and one line in [`CONVENTIONS`].

mod auto;
mod aws;
mod ditto;
mod flow;
mod generic;
mod homeassistant;
mod homie;
mod influx;
mod json;
mod lean;
mod lorawan;
mod notes;
mod opcua;
mod presence;
mod scalar;
mod senml;
mod shape;
mod sparkplug;
mod sys;
mod tasmota;
mod tell;
mod thingsboard;
mod time;
mod zigbee2mqtt;

use std::borrow::Cow;

use crate::model::hint::did_you_mean;
use crate::model::{Batch, Catalog, EntityName, Sample, SeriesId, Timestamp};

use super::settings::Subscription;

pub use auto::{Auto, Convention};
pub(super) use generic::entity_of;
pub use json::Mapping;
pub use notes::{DecodeError, Notes};
pub use shape::Memo;
pub(in crate::ingest) use time::of_text as time_of_text;

/// What came of a payload.
pub type Decoded = Result<Notes, DecodeError>;

/// Reads payloads of one subscription.
pub trait Decoder: Send {
    /// Adds what the payload says to `out`; what was left out or changed on the way is in the notes. On an error nothing of the payload
    /// counts. `memo` is the decoder's own memory of this one topic.
    fn decode(&mut self, context: &Context<'_>, memo: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        if payload.is_empty() && !self.reads_empty() {
            return Ok(Notes::empty());
        }
        self.read(context, memo, payload, out)
    }

    /// The same, of a payload that is not empty unless [`Decoder::reads_empty`].
    fn read(&mut self, context: &Context<'_>, memo: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded;

    /// Whether an empty payload may say something. Else it is only what deletes a message that the broker had kept.
    fn reads_empty(&self) -> bool {
        false
    }

    /// Whom a topic speaks for, where the convention itself says so.
    fn speaker(&self, _topic: &str) -> Option<EntityName> {
        None
    }
}

/// True if a double holds the integer with all its digits.
fn fits_double(integer: i128) -> bool {
    // Beyond 2^53 every second integer, then every fourth, and so on, has no double of its own.
    (integer as f64) as i128 == integer
}

/// Where a payload came from.
pub struct Context<'a> {
    /// Its topic.
    pub topic: &'a str,
    /// The entity that the topic names.
    pub entity: &'a EntityName,
    /// The signal that the topic names.
    pub signal: &'a str,
    /// It was kept by the broker and is old.
    pub retained: bool,
    /// When it arrived.
    pub seen: Timestamp,
    /// Names to numbers.
    pub catalog: &'a Catalog,
    /// The broker that it came through.
    pub broker: &'a EntityName,
}

impl Context<'_> {
    /// True if the subscription or the topic says whose the message is.
    pub(super) fn is_named(&self) -> bool {
        self.entity != self.broker && self.entity.as_str() != self.topic
    }

    /// A sample of the topic's entity.
    pub fn sample(&self, signal: &str, value: f64, at: Option<Timestamp>) -> Sample {
        self.sample_of(self.entity, signal, value, at)
    }

    /// Samples of several signals of the topic's entity.
    pub(super) fn samples(&self, values: &[(Cow<'_, str>, f64)], at: Option<Timestamp>, out: &mut Batch) {
        let signals = values.iter().map(|(signal, _)| signal.as_ref());
        let mut numbers = values.iter().map(|(_, value)| *value);
        out.samples.reserve(values.len());
        self.catalog.series_each(self.entity.as_str(), signals, |series| {
            let value = numbers.next().unwrap_or(f64::NAN);
            out.samples.push(self.sample_in(series, value, at));
        });
    }

    /// A sample of a series whose number is known.
    pub(super) fn sample_in(&self, series: SeriesId, value: f64, at: Option<Timestamp>) -> Sample {
        Sample {
            series,
            retained: self.retained,
            at: at.unwrap_or(self.seen),
            seen: self.seen,
            value,
        }
    }

    /// A sample of another entity that the payload names.
    pub fn sample_of(&self, entity: &EntityName, signal: &str, value: f64, at: Option<Timestamp>) -> Sample {
        self.sample_in(self.catalog.series(entity.as_str(), signal), value, at)
    }
}

/// Values taken from one payload.
pub(super) const VALUES_MAX: usize = 10_000;

/// What the decoders of one source share.
#[derive(Default)]
pub struct Shared {
    homeassistant: homeassistant::Shared,
}

/// Makes a decoder. `Err` is a sentence for a person.
type Make = fn(&Subscription, &Shared) -> Result<Box<dyn Decoder>, String>;

/// Every convention by its name.
const CONVENTIONS: &[(&str, Make)] = &[
    ("auto", |_, shared| Ok(Box::new(auto::Auto::new(shared)))),
    ("scalar", |_, _| Ok(Box::new(scalar::Scalar))),
    ("json", |subscription, _| {
        Ok(Box::new(json::Json::new(&subscription.json)?))
    }),
    ("presence", |subscription, _| {
        Ok(Box::new(presence::PresenceWords::new(
            &subscription.online,
            &subscription.offline,
        )))
    }),
    ("sparkplug", |_, _| Ok(Box::<sparkplug::Sparkplug>::default())),
    ("homeassistant", |_, shared| {
        Ok(Box::new(homeassistant::HomeAssistant::new(&shared.homeassistant)))
    }),
    ("zigbee2mqtt", |_, _| Ok(Box::<zigbee2mqtt::Zigbee2Mqtt>::default())),
    ("tasmota", |_, _| Ok(Box::<tasmota::Tasmota>::default())),
    ("homie", |_, _| Ok(Box::<homie::Homie>::default())),
    ("thingsboard", |_, _| Ok(Box::new(thingsboard::Device))),
    ("thingsboard-gateway", |_, _| Ok(Box::<thingsboard::Gateway>::default())),
    ("senml", |_, _| Ok(Box::<senml::SenMl>::default())),
    ("influx", |_, _| Ok(Box::<influx::Influx>::default())),
    ("chirpstack", |_, _| Ok(Box::<lorawan::ChirpStack>::default())),
    ("ttn", |_, _| Ok(Box::<lorawan::Ttn>::default())),
    ("opcua", |_, _| Ok(Box::<opcua::OpcUa>::default())),
    ("aws", |_, _| Ok(Box::<aws::Aws>::default())),
    ("ditto", |_, _| Ok(Box::<ditto::Ditto>::default())),
    ("sys", |_, _| Ok(Box::<sys::Sys>::default())),
];

/// The names of all conventions.
pub fn names() -> impl Iterator<Item = &'static str> {
    CONVENTIONS.iter().map(|(name, _)| *name)
}

/// A number or a switch word.
pub(in crate::ingest) fn value_of_text(text: &str) -> Result<f64, DecodeError> {
    scalar::value(text).map(|(value, _)| value)
}

/// The reading of JSON without any mapping.
pub fn plain_json() -> Box<dyn Decoder> {
    Box::new(json::Json::plain())
}

/// The decoder that a subscription names. `Err` is a sentence for a person.
pub fn find(subscription: &Subscription) -> Result<Box<dyn Decoder>, String> {
    find_with(subscription, &Shared::default())
}

/// The same, with what the decoders of its source share.
pub fn find_with(subscription: &Subscription, shared: &Shared) -> Result<Box<dyn Decoder>, String> {
    let wanted = subscription.decode.as_str();
    let Some((_, make)) = CONVENTIONS.iter().find(|(name, _)| *name == wanted) else {
        let meant = did_you_mean(wanted, names());
        let end = if meant.is_empty() { "." } else { "" };
        let names: Vec<&str> = names().collect();
        return Err(format!(
            "no payload convention is called '{wanted}'{meant}{end} There are {}",
            names.join(", ")
        ));
    };
    make(subscription, shared)
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// A decoder that is fed one payload after the other, as the source feeds it.
    pub struct Bench {
        decoder: Box<dyn Decoder>,
        pub catalog: Catalog,
        memo: Memo,
        /// Whether the broker had kept the messages.
        pub retained: bool,
    }

    impl Bench {
        /// Of a subscription as the config would state it.
        pub fn new(yaml: &str) -> Self {
            let subscription: Subscription = serde_saphyr::from_str(yaml).unwrap();
            Self::of(find(&subscription).unwrap())
        }

        /// Of a decoder that a test made.
        pub fn of(decoder: Box<dyn Decoder>) -> Self {
            Self {
                decoder,
                catalog: Catalog::new(),
                memo: Memo::default(),
                retained: false,
            }
        }

        /// One payload: what it brought, and what was noted beside.
        pub fn feed(&mut self, topic: &str, payload: &[u8]) -> (Batch, Decoded) {
            let (entity, broker) = (EntityName::from("dev"), EntityName::from("broker"));
            let context = Context {
                topic,
                entity: &entity,
                signal: topic.rsplit('/').next().unwrap(),
                retained: self.retained,
                seen: Timestamp::from_secs(1_767_225_600),
                catalog: &self.catalog,
                broker: &broker,
            };
            let mut out = Batch::default();
            let notes = self.decoder.decode(&context, &mut self.memo, payload, &mut out);
            (out, notes)
        }

        /// Samples as `entity/signal=value@ms`.
        pub fn words(&self, batch: &Batch) -> Vec<String> {
            let word = |sample: &Sample| {
                let (entity, signal) = self.catalog.parts(sample.series).unwrap();
                let (entity, signal) = (self.catalog.entity_name(entity), self.catalog.signal_name(signal));
                format!("{entity}/{signal}={}@{}", sample.value, sample.at.millis())
            };
            batch.samples.iter().map(word).collect()
        }
    }

    /// Samples in words, errors in words, events.
    pub fn read(yaml: &str, topic: &str, payloads: &[&[u8]]) -> (Vec<String>, Vec<String>, Vec<crate::model::Event>) {
        let mut bench = Bench::new(yaml);
        let (mut samples, mut errors, mut events) = (Vec::new(), Vec::new(), Vec::new());
        for payload in payloads {
            let (batch, notes) = bench.feed(topic, payload);
            errors.extend(notes.err().map(|error| error.to_string()));
            samples.extend(bench.words(&batch));
            events.extend(batch.events);
        }
        (samples, errors, events)
    }

    /// Events in short.
    pub fn said(events: &[crate::model::Event]) -> Vec<String> {
        use crate::model::{EventKind, TopologyChange};
        let say = |event: &crate::model::Event| match &event.kind {
            EventKind::Presence { presence, .. } => format!("{} {presence:?}", event.entity),
            EventKind::Sequence { expected, got } => format!("{} {expected}!={got}", event.entity),
            EventKind::Text { signal, text } => format!("{}/{signal}='{text}'", event.entity),
            EventKind::Topology(TopologyChange::Entity { entity }) => format!("{} {:?}", entity.name, entity.kind),
            EventKind::Topology(TopologyChange::Edge { from, to, .. }) => format!("{from} -> {to}"),
            EventKind::Topology(TopologyChange::Period { entity, period }) => format!("{entity} period {period}"),
            other => format!("{} {other:?}", event.entity),
        };
        events.iter().map(say).collect()
    }

    #[test]
    fn digits_are_lost_beyond_2_to_the_53_only() {
        for integer in [0, -1, 1 << 53, -(1 << 53), (1 << 53) + 2, i128::from(u64::MAX) + 1] {
            assert!(fits_double(integer), "{integer}");
        }
        for integer in [
            (1 << 53) + 1,
            -(1 << 53) - 1,
            i128::from(i64::MAX),
            i128::from(u64::MAX),
        ] {
            assert!(!fits_double(integer), "{integer}");
        }
    }

    #[test]
    fn no_bytes_make_a_decoder_panic_whatever_it_has_read_before() {
        let topics = [
            "spBv1.0/g/NBIRTH/n",
            "spBv1.0/g/DDATA/n/d",
            "spBv1.0/STATE/h",
            "v1/gateway/telemetry",
            "a",
            "homeassistant/sensor/a/t/config",
            "a/state",
            "tele/a/STATE",
            "homie/5/a/$description",
            "$SYS/brokers/n/clients/c/disconnected",
            "$aws/things/a/shadow/update/accepted",
            "application/1/device/2/event/up",
            "v3/a@b/devices/c/up",
            "zigbee2mqtt/a",
        ];
        proptest::proptest!(|(
            name in proptest::sample::select(names().collect::<Vec<_>>()),
            payloads in proptest::collection::vec((0..topics.len(), payload()), 1..12),
        )| {
            let mut bench = Bench::new(&format!("{{filter: a, decode: {name}}}"));
            for (topic, payload) in payloads {
                let (batch, notes) = bench.feed(topics[topic], &payload);
                proptest::prop_assert!(batch.samples.len() <= VALUES_MAX);
                drop(notes);
            }
        });
    }

    /// Bytes that get past the first look of one decoder or another.
    fn payload() -> impl proptest::strategy::Strategy<Value = Vec<u8>> {
        use proptest::prelude::*;
        let json = "(\\{(\"[abt]s?\": ?(-?[0-9]{1,19}|true|\"[a-z0-9]{0,4}\"|\\{\"x\":1\\}|\\[1,2\\]|null),?){0,4}\\}|[0-9.]{1,5}|ON)";
        prop_oneof![
            any::<Vec<u8>>(),
            json.prop_map(|text| text.replace(",}", "}").into_bytes()),
            proptest::collection::vec(sparkplug::tests::any_metric(), 0..6)
                .prop_map(|metrics| sparkplug::tests::encoded(&metrics)),
        ]
    }
}
