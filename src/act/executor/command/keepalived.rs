//! keepalived: asked to give an address up, or take it, by the weight in a file that it tracks (`track_file`); it elects by itself.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Orders, Tool, says};
use crate::act::executor::tool::Place;
use crate::act::executor::{Call, TokenClass, parameters};
use crate::client::program::argv;

pub struct Keepalived;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// The file of a `track_file`.
    file: String,
    /// What is to stand in it: `-254` gives the address up.
    weight: i16,
    #[serde(default)]
    at: Place,
}

impl Tool for Keepalived {
    fn name(&self) -> &'static str {
        "keepalived"
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Manager
    }

    fn orders(&self, with: &Map<String, Value>, _call: Option<&Call<'_>>) -> Result<Orders, String> {
        let with: With = parameters(with)?;
        if !with.file.starts_with('/') {
            return Err(format!("file '{}' is not a whole path", with.file));
        }
        if !(-254..=254).contains(&with.weight) {
            return Err(format!("weight {} must lie between -254 and 254", with.weight));
        }
        Ok(Orders {
            place: with.at,
            fenced_otherwise: false,
            apply: vec![argv(["tee", &with.file])],
            stdin: format!("{}\n", with.weight),
            look: argv(["cat", &with.file]),
            judge: says(with.weight.to_string()),
        })
    }
}
