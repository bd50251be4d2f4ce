//! A Lease as Kubernetes gives it, and what agents keep in its annotations. Fields that others have put there stay as they are.

use std::collections::BTreeMap;
use std::io::{Read, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use flate2::Compression;
use flate2::read::GzDecoder;
use flate2::write::GzEncoder;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::hash::{FNV, fnv1a};
use crate::model::{ServiceName, Timestamp};

/// Our annotations begin so; the label of the fleet as well.
pub const DOMAIN: &str = "jurymast.io";

/// Unpacked data of one object beyond this is refused.
const UNPACKED_MAX: u64 = 64 << 20;

/// One Lease.
#[derive(Debug, Clone, PartialEq)]
pub struct Object(pub Value);

impl Object {
    /// One that nobody holds yet.
    pub fn new(fleet: &str, name: &str) -> Self {
        Self(json!({
            "apiVersion": "coordination.k8s.io/v1",
            "kind": "Lease",
            "metadata": {"name": name, "labels": {format!("{DOMAIN}/fleet"): fleet}, "annotations": {}},
            "spec": {"leaseTransitions": 0},
        }))
    }

    /// Its name.
    pub fn name(&self) -> &str {
        self.0["metadata"]["name"].as_str().unwrap_or_default()
    }

    /// What every write changes.
    pub fn version(&self) -> &str {
        self.0["metadata"]["resourceVersion"].as_str().unwrap_or_default()
    }

    /// Who holds it; empty for nobody.
    pub fn holder(&self) -> &str {
        self.0["spec"]["holderIdentity"].as_str().unwrap_or_default()
    }

    /// How often it has passed to another holder.
    pub fn transitions(&self) -> u64 {
        self.0["spec"]["leaseTransitions"].as_u64().unwrap_or(0)
    }

    /// Sets one of the fields that `kubectl get lease` shows.
    pub fn set(&mut self, field: &str, value: Value) {
        self.0["spec"][field] = value;
    }

    /// A renewal at that time, for that long.
    pub fn renew(&mut self, holder: &str, at: Timestamp, seconds: u64) {
        self.set("holderIdentity", json!(holder));
        self.set("renewTime", json!(micro_time(at)));
        self.set("leaseDurationSeconds", json!(seconds));
    }

    /// One of our annotations.
    pub fn note(&self, name: &str) -> Option<&str> {
        self.0["metadata"]["annotations"][format!("{DOMAIN}/{name}")].as_str()
    }

    /// Sets one of our annotations.
    pub fn set_note(&mut self, name: &str, value: String) {
        self.0["metadata"]["annotations"][format!("{DOMAIN}/{name}")] = Value::String(value);
    }

    /// Packed data of ours; what cannot be read is told, never taken for nothing.
    pub fn packed<T: DeserializeOwned + Default>(&self, name: &str) -> Result<T, String> {
        let Some(text) = self.note(name) else {
            return Ok(T::default());
        };
        unpack(text).map_err(|error| format!("annotation {DOMAIN}/{name} of lease {}: {error}", self.name()))
    }

    /// Keeps data of ours.
    pub fn pack<T: Serialize>(&mut self, name: &str, data: &T) -> Result<(), String> {
        let text = pack(data).map_err(|error| error.to_string())?;
        self.set_note(name, text);
        Ok(())
    }
}

/// What is kept of a service in the Lease of its part.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Kept {
    /// Its state.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub state: Option<String>,
    /// The entries of the plan under way, by number.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub entries: BTreeMap<u64, String>,
    /// What was written last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last: Option<String>,
}

/// By service.
pub type KeptOf = BTreeMap<ServiceName, Kept>;

/// Bytes that were written as text; ours are JSON.
pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn pack<T: Serialize>(data: &T) -> std::io::Result<String> {
    // An object may hold 256 KiB of annotations; what is kept is JSON that says much the same of each service.
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&serde_json::to_vec(data)?)?;
    Ok(STANDARD.encode(encoder.finish()?))
}

fn unpack<T: DeserializeOwned>(text: &str) -> Result<T, String> {
    let bytes = STANDARD.decode(text).map_err(|error| error.to_string())?;
    let mut json = Vec::new();
    let mut decoder = GzDecoder::new(bytes.as_slice()).take(UNPACKED_MAX);
    decoder.read_to_end(&mut json).map_err(|error| error.to_string())?;
    serde_json::from_slice(&json).map_err(|error| error.to_string())
}

/// As Kubernetes wants it: six decimals.
fn micro_time(at: Timestamp) -> String {
    let text = at.to_string();
    format!("{}Z", text.get(..26).unwrap_or(&text))
}

/// A name that Kubernetes takes, for whatever name people have given; two names never give the same.
pub fn object_name(prefix: &str, kind: &str, name: &str) -> String {
    let fits = |c: char| {
        if c.is_ascii_alphanumeric() {
            c.to_ascii_lowercase()
        } else {
            '-'
        }
    };
    let readable: String = name.chars().map(fits).take(40).collect();
    format!(
        "{prefix}-{kind}-{}-{:016x}",
        readable.trim_matches('-'),
        fnv1a(FNV, name)
    )
    .replace("--", "-")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_packed_is_unpacked_and_what_is_broken_is_told() {
        let mut object = Object::new("fleet", "a");
        let kept: KeptOf = [(
            "web".into(),
            Kept {
                state: Some("{}".into()),
                entries: [(3, "x".repeat(9000))].into(),
                last: Some("p 3".into()),
            },
        )]
        .into();
        object.pack("data", &kept).unwrap();
        assert!(object.note("data").unwrap().len() < 1000);
        assert_eq!(object.packed::<KeptOf>("data"), Ok(kept));
        assert_eq!(object.packed::<KeptOf>("other"), Ok(KeptOf::new()));
        object.set_note("data", "AAAA".into());
        assert!(object.packed::<KeptOf>("data").unwrap_err().contains("lease a"));
    }

    #[test]
    fn names_are_such_that_kubernetes_takes_them() {
        let name = object_name("jurymast", "part", "Hall 3/ingest_A");
        assert!(name.starts_with("jurymast-part-hall-3-ingest-a-"), "{name}");
        assert!(
            name.chars()
                .all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-')
        );
        assert_ne!(object_name("j", "part", "a b"), object_name("j", "part", "a-b"));
        assert!(object_name("j", "part", &"ö".repeat(300)).len() < 64);
    }

    #[test]
    fn a_time_has_six_decimals() {
        let at: Timestamp = "2026-11-21T04:25:00.123456789Z".parse().unwrap();
        assert_eq!(micro_time(at), "2026-11-21T04:25:00.123456Z");
    }
}
