//! `MongoDB`: the primary of a replica set is asked to step down, by `mongosh`; the set elects. Which member it elects is its own affair: weigh it by `priority`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Orders, Tool, program, says};
use crate::act::executor::tool::Place;
use crate::act::executor::{Call, TokenClass, parameters};
use crate::client::program::argv;

pub struct Mongodb;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// Any members of the set, `mongodb://a,b/?replicaSet=rs`, without a password.
    uri: String,
    /// `host:port` of the member that is to be the primary, as the set knows it.
    to: String,
    /// For so long the old primary does not stand for election.
    #[serde(default = "a_minute")]
    seconds: u32,
    #[serde(default)]
    program: String,
}

const fn a_minute() -> u32 {
    60
}

impl Tool for Mongodb {
    fn name(&self) -> &'static str {
        "mongodb"
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Manager
    }

    fn orders(&self, with: &Map<String, Value>, _call: Option<&Call<'_>>) -> Result<Orders, String> {
        let with: With = parameters(with)?;
        let has_password = with
            .uri
            .split_once("://")
            .is_some_and(|(_, rest)| rest.split('/').next().is_some_and(|a| a.contains('@')));
        if !with.uri.starts_with("mongodb") || has_password || !with.to.contains(':') {
            return Err("mongodb needs uri (mongodb://…, without user and password) and to (host:port)".into());
        }
        let tool = program(&with.program, "mongosh");
        let step_down = format!("rs.stepDown({})", with.seconds);
        let primary = "print(db.hello().primary || 'none')";
        Ok(Orders {
            place: Place::default(),
            fenced_otherwise: false,
            claim: Vec::new(),
            apply: vec![argv([&tool, "--quiet", &with.uri, "--eval", &step_down])],
            stdin: String::new(),
            look: argv([&tool, "--quiet", &with.uri, "--eval", primary]),
            judge: says(with.to),
        })
    }
}
