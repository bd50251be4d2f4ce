//! ssh: a program of the user's own on another host. It gets what an `exec` gets on its stdin; the token is refused there if that program refuses it,
//! as `jurymast exec` does.

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::{Orders, Tool};
use crate::act::executor::tool::Place;
use crate::act::executor::{Call, TokenClass, parameters};
use crate::act::runner::Effect;

pub struct Ssh;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// `user@host`.
    host: String,
    #[serde(default)]
    options: Vec<String>,
    argv: Vec<String>,
    /// Exits 0 if the effect is there, 1 if it is not.
    #[serde(default)]
    observe: Vec<String>,
}

impl Tool for Ssh {
    fn name(&self) -> &'static str {
        "ssh"
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Target
    }

    fn orders(&self, with: &Map<String, Value>, call: Option<&Call<'_>>) -> Result<Orders, String> {
        let with: With = parameters(with)?;
        if with.argv.is_empty() || with.host.is_empty() {
            return Err("ssh needs host and argv".into());
        }
        let stdin = call.map_or_else(String::new, |call| {
            let token = call.token;
            let timeout_ms = u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX);
            json!({"do": "apply", "timeout_ms": timeout_ms, "plan": call.plan, "epoch": token.epoch, "seq": token.seq, "key": call.key, "argv": with.argv})
                .to_string()
        });
        Ok(Orders {
            place: Place {
                ssh: with.host,
                ssh_options: with.options,
                user: String::new(),
            },
            fenced_otherwise: false,
            claim: Vec::new(),
            apply: vec![with.argv],
            stdin,
            look: with.observe,
            judge: Box::new(|code, _| match code {
                0 => Effect::There,
                1 => Effect::NotThere,
                _ => Effect::Unknown,
            }),
        })
    }
}
