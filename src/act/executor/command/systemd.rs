//! systemd: `start`, `stop`, `fence` (stopped, and masked until the next boot, so that nothing starts it again), `release` of a unit, here or by ssh.

use serde::Deserialize;
use serde_json::{Map, Value};

use super::{Orders, Tool, claim, program, says};
use crate::act::executor::replicated::Unreachable;
use crate::act::executor::tool::Place;
use crate::act::executor::{Call, parameters};
use crate::act::runner::Effect;
use crate::client::program::argv;

pub struct Systemd;

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    unit: String,
    #[serde(default)]
    at: Place,
    /// `fence`: what to think of a host that cannot be reached: `fail` or `ok`.
    #[serde(default)]
    unreachable: Unreachable,
    #[serde(default)]
    program: String,
}

#[derive(Clone, Copy, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Start,
    Stop,
    Fence,
    Release,
}

/// `ActiveState` and `LoadState` of a unit that does not run; `failed` has ended as well.
fn stopped(out: &str, masked: bool) -> Effect {
    let value = |name: &str| out.lines().find_map(|line| line.strip_prefix(name)).unwrap_or_default();
    let rests = ["inactive", "failed"].contains(&value("ActiveState="));
    if value("ActiveState=").is_empty() {
        Effect::Unknown
    } else if rests && (!masked || value("LoadState=") == "masked") {
        Effect::There
    } else {
        Effect::NotThere
    }
}

impl Tool for Systemd {
    fn name(&self) -> &'static str {
        "systemd"
    }

    fn lasts(&self) -> bool {
        true
    }

    fn orders(&self, with: &Map<String, Value>, _call: Option<&Call<'_>>) -> Result<Orders, String> {
        let With {
            verb,
            unit,
            at,
            unreachable,
            program: given,
        } = parameters(with)?;
        if unit.is_empty() || unit.starts_with('-') {
            return Err(format!("'{unit}' is not a unit"));
        }
        // Pacemaker names units with and without their suffix, and quotes are no part of a unit's name.
        let bare = unit.strip_suffix(".service").unwrap_or(&unit).replace('\'', "");
        let managed = claim(&format!(
            "//primitive[(@class='systemd' or @class='service') and (@type='{bare}' or @type='{bare}.service')]"
        ));
        let ctl = program(&given, "systemctl");
        let command = |words: &[&str]| {
            let words = std::iter::once(ctl.as_str())
                .chain(words.iter().copied())
                .chain([unit.as_str()]);
            words.map(str::to_owned).collect::<Vec<_>>()
        };
        let show = command(&["show", "-p", "ActiveState", "-p", "LoadState"]);
        let (apply, look, judge) = match verb {
            Verb::Start => (vec![command(&["start"])], command(&["is-active"]), says("active")),
            Verb::Stop => (
                vec![command(&["stop"])],
                show,
                Box::new(|_, out: &str| stopped(out, false)) as super::Judge,
            ),
            Verb::Fence => (
                vec![command(&["mask", "--runtime", "--now"])],
                show,
                Box::new(|_, out: &str| stopped(out, true)) as super::Judge,
            ),
            Verb::Release => (
                vec![command(&["unmask", "--runtime"]), command(&["start"])],
                argv([&ctl, "is-active", &unit]),
                says("active"),
            ),
        };
        Ok(Orders {
            place: at,
            fenced_otherwise: unreachable == Unreachable::Ok,
            claim: managed,
            apply,
            stdin: String::new(),
            look,
            // `is-active` ends with 3 where it says "inactive".
            judge: match verb {
                Verb::Start | Verb::Release => Box::new(move |code, out| match judge(code, out) {
                    Effect::Unknown if !out.trim().is_empty() => Effect::NotThere,
                    seen => seen,
                }),
                Verb::Stop | Verb::Fence => judge,
            },
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fenced_is_stopped_and_masked() {
        assert_eq!(stopped("ActiveState=inactive\nLoadState=masked\n", true), Effect::There);
        assert_eq!(
            stopped("ActiveState=inactive\nLoadState=loaded\n", true),
            Effect::NotThere
        );
        assert_eq!(stopped("ActiveState=failed\nLoadState=loaded\n", false), Effect::There);
        assert_eq!(
            stopped("ActiveState=deactivating\nLoadState=loaded\n", false),
            Effect::NotThere
        );
        assert_eq!(stopped("", false), Effect::Unknown);
    }
}
