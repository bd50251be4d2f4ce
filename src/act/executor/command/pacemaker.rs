//! Pacemaker: where it owns a service it is asked to move it, by `crm_resource`, and never gone round. `move` leaves a constraint, which `clear` takes away.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Orders, Tool, program};
use crate::act::executor::tool::Place;
use crate::act::executor::{Call, TokenClass, parameters};
use crate::act::runner::Effect;
use crate::client::program::argv;

pub struct Pacemaker;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    resource: String,
    /// `move`: the node to run on.
    #[serde(default)]
    to: String,
    /// The cluster node that is asked.
    #[serde(default)]
    at: Place,
    #[serde(default)]
    program: String,
}

#[derive(Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Move,
    Clear,
}

/// `resource R is running on: node-b Master`.
fn runs_on(out: &str, node: &str) -> Effect {
    let places: Vec<&str> = out
        .lines()
        .filter_map(|line| line.split_once("is running on:")?.1.split_whitespace().next())
        .collect();
    match places.as_slice() {
        [one] if *one == node => Effect::There,
        [] if !out.contains("NOT running") => Effect::Unknown,
        _ => Effect::NotThere,
    }
}

impl Tool for Pacemaker {
    fn name(&self) -> &'static str {
        "pacemaker"
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Manager
    }

    fn orders(&self, with: &Map<String, Value>, _call: Option<&Call<'_>>) -> Result<Orders, String> {
        let with: With = parameters(with)?;
        let tool = program(&with.program, "crm_resource");
        if with.resource.is_empty() || (with.verb == Verb::Move && with.to.is_empty()) {
            return Err("pacemaker needs resource, and to for a move".into());
        }
        let (apply, look, judge): (_, _, super::Judge) = match with.verb {
            Verb::Move => {
                let to = with.to.clone();
                (
                    argv([&tool, "--resource", &with.resource, "--move", "--node", &with.to]),
                    argv([&tool, "--resource", &with.resource, "--locate"]),
                    Box::new(move |_, out| runs_on(out, &to)),
                )
            }
            Verb::Clear => (
                argv([&tool, "--resource", &with.resource, "--clear"]),
                argv([&tool, "--resource", &with.resource, "--constraints"]),
                Box::new(|code, out| match code {
                    0 if out.contains("cli-prefer-") || out.contains("cli-ban-") => Effect::NotThere,
                    0 => Effect::There,
                    _ => Effect::Unknown,
                }),
            ),
        };
        Ok(Orders {
            place: with.at,
            fenced_otherwise: false,
            apply: vec![apply],
            stdin: String::new(),
            look,
            judge,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_it_runs_is_read() {
        assert_eq!(runs_on("resource vip is running on: b \n", "b"), Effect::There);
        assert_eq!(runs_on("resource vip is running on: a\n", "b"), Effect::NotThere);
        assert_eq!(runs_on("resource vip is NOT running\n", "b"), Effect::NotThere);
        assert_eq!(
            runs_on("resource vip is running on: a\nresource vip is running on: b\n", "b"),
            Effect::NotThere
        );
        assert_eq!(runs_on("", "b"), Effect::Unknown);
    }
}
