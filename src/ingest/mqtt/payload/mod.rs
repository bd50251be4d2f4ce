//! Payload conventions, one file each.
//!
//! A new one is one file and one line in [`find`].

mod json;
mod presence;
mod scalar;
mod sparkplug;
mod thingsboard;
mod time;

use crate::model::{Batch, Catalog, EntityName, Sample, Timestamp};

use super::settings::Subscription;

pub use json::Mapping;

/// Reads payloads of one subscription.
pub trait Decoder: Send {
    /// Adds what the payload says to `out`. On an error nothing of the payload counts.
    fn decode(&mut self, context: &Context<'_>, payload: &[u8], out: &mut Batch) -> Result<(), DecodeError>;
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

    /// A sample of another entity that the payload names.
    pub fn sample_of(&self, entity: &EntityName, signal: &str, value: f64, at: Option<Timestamp>) -> Sample {
        Sample {
            series: self.catalog.series(entity.as_str(), signal),
            retained: self.retained,
            at: at.unwrap_or(self.seen),
            seen: self.seen,
            value,
        }
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

    /// Decodes with a subscription as the config would state it; the samples as `entity/signal=value@ms`.
    pub fn read(yaml: &str, topic: &str, payloads: &[&[u8]]) -> (Vec<String>, Vec<String>, Vec<crate::model::Event>) {
        let subscription: Subscription = serde_saphyr::from_str(yaml).unwrap();
        let mut decoder = find(&subscription).unwrap();
        let catalog = Catalog::new();
        let (entity, broker) = (EntityName::from("dev"), EntityName::from("broker"));
        let signal = topic.rsplit('/').next().unwrap();
        let seen = Timestamp::from_secs(1_767_225_600);
        let context = Context {
            topic,
            entity: &entity,
            signal,
            retained: false,
            seen,
            catalog: &catalog,
            broker: &broker,
        };
        let mut out = Batch::default();
        let errors = payloads
            .iter()
            .filter_map(|payload| decoder.decode(&context, payload, &mut out).err())
            .map(|error| error.to_string())
            .collect();
        let samples = out
            .samples
            .iter()
            .map(|sample| {
                let (entity, signal) = catalog.parts(sample.series).unwrap();
                let (entity, signal) = (catalog.entity_name(entity), catalog.signal_name(signal));
                format!("{entity}/{signal}={}@{}", sample.value, sample.at.millis())
            })
            .collect();
        (samples, errors, out.events)
    }

    #[test]
    fn no_bytes_make_a_decoder_panic() {
        proptest::proptest!(|(bytes: Vec<u8>, name in "(scalar|json|sparkplug|thingsboard|thingsboard-gateway|presence)")| {
            let yaml = format!("{{filter: a, decode: {name}}}");
            read(&yaml, "spBv1.0/g/NDATA/n", &[&bytes]);
            read(&yaml, "v1/gateway/telemetry", &[&bytes]);
        });
    }
}
