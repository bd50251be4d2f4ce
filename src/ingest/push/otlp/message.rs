//! The messages of OTLP's metrics, and what its spans share with them, for protobuf and for JSON alike.
//!
//! <https://github.com/open-telemetry/opentelemetry-proto/blob/main/opentelemetry/proto/metrics/v1/metrics.proto>

use prost::Message;
use serde::{Deserialize, Deserializer};

macro_rules! message {
    ($(#[$doc:meta])* $name:ident { $($(#[$attribute:meta])* $field:ident: $kind:ty,)* }) => {
        $(#[$doc])*
        #[derive(Clone, PartialEq, Message, Deserialize)]
        #[allow(clippy::struct_field_names, reason = "the names are the protocol's")]
        #[serde(rename_all = "camelCase", default)]
        pub struct $name { $($(#[$attribute])* pub $field: $kind,)* }
    };
}

pub(super) use message;

message! {
    /// What is sent.
    Export { #[prost(message, repeated, tag = "1")] resource_metrics: Vec<ResourceMetrics>, }
}
message! {
    /// Of one resource.
    ResourceMetrics {
        #[prost(message, optional, tag = "1")] resource: Option<Resource>,
        #[prost(message, repeated, tag = "2")] scope_metrics: Vec<ScopeMetrics>,
    }
}
message! {
    /// Who it is.
    Resource { #[prost(message, repeated, tag = "1")] attributes: Vec<KeyValue>, }
}
message! {
    /// Of one library.
    ScopeMetrics { #[prost(message, repeated, tag = "2")] metrics: Vec<Metric>, }
}
message! {
    /// One metric.
    Metric {
        #[prost(string, tag = "1")] name: String,
        #[prost(string, tag = "3")] unit: String,
        #[prost(message, optional, tag = "5")] gauge: Option<Numbers>,
        #[prost(message, optional, tag = "7")] sum: Option<Numbers>,
        #[prost(message, optional, tag = "9")] histogram: Option<Histogram>,
        #[prost(message, optional, tag = "10")] exponential_histogram: Option<Points>,
        #[prost(message, optional, tag = "11")] summary: Option<Summary>,
    }
}
message! {
    /// A gauge or a sum.
    Numbers {
        #[prost(message, repeated, tag = "1")] data_points: Vec<Number>,
        #[prost(int32, tag = "2")] aggregation_temporality: i32,
        #[prost(bool, tag = "3")] is_monotonic: bool,
    }
}
message! {
    /// Points that are only counted.
    Points { #[prost(message, repeated, tag = "1")] data_points: Vec<Empty>, }
}
message! {
    /// A point of which nothing is read.
    Empty {}
}
message! {
    /// One number.
    Number {
        #[prost(message, repeated, tag = "7")] attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "3")] #[serde(deserialize_with = "whole")] time_unix_nano: u64,
        #[prost(double, optional, tag = "4")] as_double: Option<f64>,
        #[prost(sfixed64, optional, tag = "6")] #[serde(deserialize_with = "some_whole")] as_int: Option<i64>,
        #[prost(uint32, tag = "8")] flags: u32,
    }
}
message! {
    /// A histogram.
    Histogram {
        #[prost(message, repeated, tag = "1")] data_points: Vec<HistogramPoint>,
        #[prost(int32, tag = "2")] aggregation_temporality: i32,
    }
}
message! {
    /// One point of a histogram.
    HistogramPoint {
        #[prost(message, repeated, tag = "9")] attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "3")] #[serde(deserialize_with = "whole")] time_unix_nano: u64,
        #[prost(fixed64, tag = "4")] #[serde(deserialize_with = "whole")] count: u64,
        #[prost(double, optional, tag = "5")] sum: Option<f64>,
        #[prost(fixed64, repeated, tag = "6")] #[serde(deserialize_with = "wholes")] bucket_counts: Vec<u64>,
        #[prost(double, repeated, tag = "7")] explicit_bounds: Vec<f64>,
        #[prost(uint32, tag = "10")] flags: u32,
    }
}
message! {
    /// A summary.
    Summary { #[prost(message, repeated, tag = "1")] data_points: Vec<SummaryPoint>, }
}
message! {
    /// One point of a summary.
    SummaryPoint {
        #[prost(message, repeated, tag = "7")] attributes: Vec<KeyValue>,
        #[prost(fixed64, tag = "3")] #[serde(deserialize_with = "whole")] time_unix_nano: u64,
        #[prost(fixed64, tag = "4")] #[serde(deserialize_with = "whole")] count: u64,
        #[prost(double, tag = "5")] sum: f64,
        #[prost(message, repeated, tag = "6")] quantile_values: Vec<Quantile>,
        #[prost(uint32, tag = "8")] flags: u32,
    }
}
message! {
    /// One quantile.
    Quantile {
        #[prost(double, tag = "1")] quantile: f64,
        #[prost(double, tag = "2")] value: f64,
    }
}
message! {
    /// One attribute.
    KeyValue {
        #[prost(string, tag = "1")] key: String,
        #[prost(message, optional, tag = "2")] value: Option<AnyValue>,
    }
}
message! {
    /// The value of an attribute; lists and maps are left out.
    AnyValue {
        #[prost(string, optional, tag = "1")] string_value: Option<String>,
        #[prost(bool, optional, tag = "2")] bool_value: Option<bool>,
        #[prost(int64, optional, tag = "3")] #[serde(deserialize_with = "some_whole")] int_value: Option<i64>,
        #[prost(double, optional, tag = "4")] double_value: Option<f64>,
    }
}

/// Numbers of 64 bits are strings in JSON, though not with every sender.
#[derive(Deserialize)]
#[serde(untagged)]
enum Whole {
    Unsigned(u64),
    Signed(i64),
    Text(String),
}

impl Whole {
    fn value<T: TryFrom<i128>, E: serde::de::Error>(self) -> Result<T, E> {
        let value = match self {
            Self::Unsigned(value) => Some(i128::from(value)),
            Self::Signed(value) => Some(i128::from(value)),
            Self::Text(text) => text.parse().ok(),
        };
        value
            .and_then(|value| T::try_from(value).ok())
            .ok_or_else(|| E::custom("a whole number of 64 bits is due"))
    }
}

pub(super) fn whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<u64, D::Error> {
    Whole::deserialize(deserializer)?.value()
}

fn some_whole<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<i64>, D::Error> {
    Option::<Whole>::deserialize(deserializer)?
        .map(Whole::value)
        .transpose()
}

fn wholes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<u64>, D::Error> {
    Vec::<Whole>::deserialize(deserializer)?
        .into_iter()
        .map(Whole::value)
        .collect()
}
