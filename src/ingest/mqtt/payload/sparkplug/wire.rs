//! Sparkplug B on the wire: of `org.eclipse.tahu.protobuf.Payload`, the fields that matter here.

use prost::Message;

use crate::ingest::mqtt::payload::{fits_double, scalar};

/// A payload.
#[derive(Clone, PartialEq, Message)]
pub struct Payload {
    #[prost(uint64, optional, tag = "1")]
    pub timestamp: Option<u64>,
    #[prost(message, repeated, tag = "2")]
    pub metrics: Vec<Metric>,
    #[prost(uint64, optional, tag = "3")]
    pub seq: Option<u64>,
}

/// One metric of a payload.
#[derive(Clone, PartialEq, Message)]
pub struct Metric {
    #[prost(string, optional, tag = "1")]
    pub name: Option<String>,
    #[prost(uint64, optional, tag = "2")]
    pub alias: Option<u64>,
    #[prost(uint64, optional, tag = "3")]
    pub timestamp: Option<u64>,
    #[prost(uint32, optional, tag = "4")]
    pub datatype: Option<u32>,
    #[prost(bool, optional, tag = "5")]
    pub is_historical: Option<bool>,
    #[prost(bool, optional, tag = "7")]
    pub is_null: Option<bool>,
    #[prost(oneof = "Value", tags = "10, 11, 12, 13, 14, 15")]
    pub value: Option<Value>,
}

/// A metric's value; data sets, templates and bytes are no signals.
#[derive(Clone, PartialEq, prost::Oneof)]
pub enum Value {
    #[prost(uint32, tag = "10")]
    Int(u32),
    #[prost(uint64, tag = "11")]
    Long(u64),
    #[prost(float, tag = "12")]
    Float(f32),
    #[prost(double, tag = "13")]
    Double(f64),
    #[prost(bool, tag = "14")]
    Boolean(bool),
    #[prost(string, tag = "15")]
    String(String),
}

impl Payload {
    /// The number of the session, in births and deaths.
    pub fn bd_seq(&self) -> Option<u64> {
        let metric = self
            .metrics
            .iter()
            .find(|metric| metric.name.as_deref() == Some("bdSeq"))?;
        match metric.value {
            Some(Value::Long(value)) => Some(value),
            Some(Value::Int(value)) => Some(value.into()),
            _ => None,
        }
    }
}

impl Value {
    /// As a number, and whether it holds all its digits. Signed integers travel as unsigned ones of the same bits (3.0, 6.4.17).
    pub fn number(&self, datatype: Option<u32>) -> Option<(f64, bool)> {
        let number = match (self, datatype) {
            (Self::Int(bits), Some(1)) => f64::from(i8::from_le_bytes([bits.to_le_bytes()[0]])),
            (Self::Int(bits), Some(2)) => {
                let [low, high, ..] = bits.to_le_bytes();
                f64::from(i16::from_le_bytes([low, high]))
            }
            (Self::Int(bits), Some(3)) => f64::from(bits.cast_signed()),
            (Self::Int(bits), _) => f64::from(*bits),
            (Self::Long(bits), Some(4)) => {
                let signed = bits.cast_signed();
                return Some((signed as f64, fits_double(signed.into())));
            }
            (Self::Long(bits), _) => return Some((*bits as f64, fits_double((*bits).into()))),
            (Self::Float(value), _) => f64::from(*value),
            (Self::Double(value), _) => *value,
            (Self::Boolean(on), _) => f64::from(u8::from(*on)),
            (Self::String(text), _) => return scalar::value(text).ok(),
        };
        Some((number, true))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signed_numbers_keep_their_sign() {
        assert_eq!(Value::Int(u32::MAX).number(Some(3)), Some((-1.0, true)));
        assert_eq!(Value::Int(0xff).number(Some(1)), Some((-1.0, true)));
        assert_eq!(Value::Int(0xffff).number(Some(2)), Some((-1.0, true)));
        assert_eq!(Value::Long(u64::MAX).number(Some(4)), Some((-1.0, true)));
        assert_eq!(Value::Long(5).number(Some(8)), Some((5.0, true)));
        assert_eq!(Value::Long(u64::MAX).number(Some(8)), Some((u64::MAX as f64, false)));
    }
}
