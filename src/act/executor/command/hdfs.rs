//! HDFS with a standby `NameNode`: `hdfs haadmin -failover`, which fences by HDFS's own means. Nothing here ever formats anything.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Orders, Tool, program, says};
use crate::act::executor::tool::Place;
use crate::act::executor::{Call, TokenClass, parameters};
use crate::client::program::argv;

pub struct Hdfs;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// The `NameNode` that is active, by its id.
    from: String,
    /// The one that is to be.
    to: String,
    #[serde(default)]
    at: Place,
    #[serde(default)]
    program: String,
}

impl Tool for Hdfs {
    fn name(&self) -> &'static str {
        "hdfs"
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Manager
    }

    fn orders(&self, with: &Map<String, Value>, _call: Option<&Call<'_>>) -> Result<Orders, String> {
        let with: With = parameters(with)?;
        if [&with.from, &with.to]
            .iter()
            .any(|node| node.is_empty() || node.starts_with('-'))
        {
            return Err("hdfs needs from and to, the ids of two NameNodes".into());
        }
        let tool = program(&with.program, "hdfs");
        Ok(Orders {
            place: with.at,
            fenced_otherwise: false,
            claim: Vec::new(),
            apply: vec![argv([&tool, "haadmin", "-failover", &with.from, &with.to])],
            stdin: String::new(),
            look: argv([&tool, "haadmin", "-getServiceState", &with.to]),
            judge: says("active"),
        })
    }
}
