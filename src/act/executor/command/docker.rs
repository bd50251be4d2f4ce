//! Docker: `start`, `stop`, `fence` (stopped, and not restarted by the daemon), `release` of a container, by the program `docker`.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Orders, Tool, program};
use crate::act::executor::tool::Place;
use crate::act::executor::{Call, parameters};
use crate::act::runner::Effect;

pub struct Docker;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    container: String,
    /// The daemon, as `docker --host` takes it; the local one if empty.
    #[serde(default)]
    host: String,
    /// `release`: the policy that it had.
    #[serde(default = "unless_stopped")]
    restart: String,
    #[serde(default)]
    program: String,
}

fn unless_stopped() -> String {
    "unless-stopped".into()
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Start,
    Stop,
    Fence,
    Release,
}

impl Tool for Docker {
    fn name(&self) -> &'static str {
        "docker"
    }

    fn orders(&self, with: &Map<String, Value>, _call: Option<&Call<'_>>) -> Result<Orders, String> {
        let with: With = parameters(with)?;
        if with.container.is_empty() || with.container.starts_with('-') {
            return Err(format!("'{}' is not a container", with.container));
        }
        let command = |words: &[&str]| {
            let mut command = vec![program(&with.program, "docker")];
            if !with.host.is_empty() {
                command.extend(["--host".to_owned(), with.host.clone()]);
            }
            command.extend(words.iter().map(ToString::to_string));
            command.push(with.container.clone());
            command
        };
        let restart = format!("--restart={}", with.restart);
        let (apply, wanted) = match with.verb {
            Verb::Start => (vec![command(&["start"])], "true "),
            Verb::Stop => (vec![command(&["stop"])], "false "),
            Verb::Fence => (
                vec![command(&["update", "--restart=no"]), command(&["stop"])],
                "false no",
            ),
            Verb::Release => (vec![command(&["update", &restart]), command(&["start"])], "true "),
        };
        let look = command(&["inspect", "-f", "{{.State.Running}} {{.HostConfig.RestartPolicy.Name}}"]);
        Ok(Orders {
            place: Place::default(),
            fenced_otherwise: false,
            claim: Vec::new(),
            apply,
            stdin: String::new(),
            look,
            judge: Box::new(move |code, out| match code {
                0 if out.trim_end_matches('\n').starts_with(wanted) => Effect::There,
                0 => Effect::NotThere,
                _ => Effect::Unknown,
            }),
        })
    }
}
