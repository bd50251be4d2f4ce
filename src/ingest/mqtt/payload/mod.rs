//! Payload conventions, one file each.
//!
//! A new one is one file and one line in [`find`].

mod json;
mod presence;
mod scalar;
mod shape;
mod sparkplug;
mod thingsboard;
mod time;

use crate::model::{Batch, Catalog, EntityName, Sample, SeriesId, Timestamp};

use super::settings::Subscription;

pub use json::Mapping;
pub use shape::Memo;

/// Reads payloads of one subscription.
pub trait Decoder: Send {
    /// Adds what the payload says to `out`; what was left out or changed on the way is in the notes. On an error nothing of the payload
    /// counts. `memo` is the decoder's own memory of this one topic.
    fn decode(
        &mut self,
        context: &Context<'_>,
        memo: &mut Memo,
        payload: &[u8],
        out: &mut Batch,
    ) -> Result<Notes, DecodeError>;

    /// Whom a topic speaks for, where the convention itself says so.
    fn speaker(&self, _topic: &str) -> Option<EntityName> {
        None
    }
}

/// What of a payload did not come through as it was sent, though the payload as a whole did.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Notes {
    /// Integers beyond 2^53 whose last digits a double cannot hold.
    pub digits_lost: u32,
    /// Values of the past, sent later: they are not what is the case now, so detection does not see them.
    pub historical: u32,
    /// The payload was empty: a retained message was taken away. There is no value in it.
    pub empty: u32,
    /// Values whose time cannot be one; the time of arrival stands in.
    pub odd_times: u32,
    /// Messages of a session that is over: a will that came late.
    pub stale: u32,
    /// Times that a bound made the decoder forget what it had learned.
    pub forgotten: u32,
    /// Values left out, each for the fault beside it.
    pub left_out: u32,
    /// Why the first of those was left out.
    pub fault: Option<DecodeError>,
}

impl Notes {
    /// For an empty payload.
    pub fn empty() -> Self {
        Self {
            empty: 1,
            ..Self::default()
        }
    }

    /// Takes in whether an integer came through whole.
    fn integer(&mut self, exact: bool) {
        self.digits_lost += u32::from(!exact);
    }

    /// By the words by which they are counted.
    pub fn counts(&self) -> [(&'static str, u32); 7] {
        [
            ("digits_lost", self.digits_lost),
            ("historical", self.historical),
            ("empty", self.empty),
            ("odd_time", self.odd_times),
            ("stale", self.stale),
            ("forgotten", self.forgotten),
            (
                self.fault.as_ref().map_or("left_out", DecodeError::reason),
                self.left_out,
            ),
        ]
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
    /// A sample of the topic's entity.
    pub fn sample(&self, signal: &str, value: f64, at: Option<Timestamp>) -> Sample {
        self.sample_of(self.entity, signal, value, at)
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

/// A payload that cannot be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum DecodeError {
    /// Not text.
    #[error("it is not UTF-8 text")]
    Utf8,
    /// Not JSON.
    #[error("it is not JSON: {0}")]
    Json(String),
    /// Not the protobuf that it should be.
    #[error("it is not a Sparkplug B payload: {0}")]
    Protobuf(String),
    /// Neither a number nor a switch word.
    #[error("'{0}' is neither a number nor one of on, off, true, false")]
    Scalar(String),
    /// Nothing in it that could be a value.
    #[error("it holds no value at {0}")]
    NoValue(String),
    /// A time whose unit cannot be told, or that is none.
    #[error("{0} is not a time in s, ms, us or ns since 1970 of this century, nor RFC 3339")]
    Time(String),
    /// A word that says neither there nor gone.
    #[error("'{0}' is in neither list of presence words (online, offline)")]
    Presence(String),
    /// A topic that does not fit the convention.
    #[error("the topic does not fit the convention: {0}")]
    Topic(String),
    /// A Sparkplug metric by an alias that no birth has told.
    #[error(
        "alias {alias} of {node} is unknown: no birth was seen since we listen; its values are dropped until the next birth"
    )]
    UnknownAlias {
        /// The edge node.
        node: String,
        /// The alias.
        alias: u64,
    },
    /// More than is read.
    #[error("it holds more than {0} values")]
    TooMany(usize),
    /// Longer than is read.
    #[error("its packet of {bytes} bytes is longer than max_payload allows ({limit}): it was skipped")]
    TooLong {
        /// How long it was.
        bytes: usize,
        /// How long it may be.
        limit: usize,
    },
}

impl DecodeError {
    /// One word, for counting.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Utf8 => "utf8",
            Self::Json(_) => "json",
            Self::Protobuf(_) => "protobuf",
            Self::Scalar(_) => "scalar",
            Self::NoValue(_) => "no_value",
            Self::Time(_) => "time",
            Self::Presence(_) => "presence",
            Self::Topic(_) => "topic",
            Self::UnknownAlias { .. } => "unknown_alias",
            Self::TooMany(_) => "too_many",
            Self::TooLong { .. } => "too_long",
        }
    }
}

/// Values taken from one payload.
pub(super) const VALUES_MAX: usize = 10_000;

/// The decoder that a subscription names. `Err` is a sentence for a person.
pub fn find(subscription: &Subscription) -> Result<Box<dyn Decoder>, String> {
    Ok(match subscription.decode.as_str() {
        "scalar" => Box::new(scalar::Scalar),
        "json" => Box::new(json::Json::new(&subscription.json)?),
        "sparkplug" => Box::new(sparkplug::Sparkplug::default()),
        "thingsboard" => Box::new(thingsboard::Device),
        "thingsboard-gateway" => Box::new(thingsboard::Gateway::default()),
        "presence" => Box::new(presence::PresenceWords::new(
            &subscription.online,
            &subscription.offline,
        )),
        other => {
            return Err(format!(
                "no payload convention is called '{other}'; there are scalar, json, sparkplug, thingsboard, \
                 thingsboard-gateway and presence"
            ));
        }
    })
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
        pub fn feed(&mut self, topic: &str, payload: &[u8]) -> (Batch, Result<Notes, DecodeError>) {
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
        ];
        proptest::proptest!(|(
            name in "(scalar|json|sparkplug|thingsboard|thingsboard-gateway|presence)",
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
