//! Secrets: values that are never printed.

use std::fmt;
use std::path::{Path, PathBuf};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize, Serializer};

/// A secret as it stands in the config. Prints as `<secret>` wherever it is printed.
#[derive(Clone, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(transparent)]
pub struct Secret(String);

impl Secret {
    /// The secret itself, for the one place that needs it.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Secret {
    fn from(text: String) -> Self {
        Self(text)
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("<secret>")
    }
}

impl Serialize for Secret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str("<secret>")
    }
}

/// A secret file that cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("{path}: {error}; it should hold a secret that this process may read")]
pub struct SecretError {
    path: PathBuf,
    error: std::io::Error,
}

/// The secret itself or the content of its file, without a line end.
pub fn resolve(secret: Option<&Secret>, file: Option<&Path>) -> Result<Option<Secret>, SecretError> {
    match (secret, file) {
        (_, Some(path)) => match std::fs::read_to_string(path) {
            Ok(text) => Ok(Some(Secret(text.trim_end_matches(['\r', '\n']).to_owned()))),
            Err(error) => Err(SecretError {
                path: path.to_owned(),
                error,
            }),
        },
        (secret, None) => Ok(secret.cloned()),
    }
}
