//! Exec: a program of the user's own, by its argument list, never through a shell. The contract is docs/executors.md.
//!
//! It gets nothing of our environment but `PATH`, `HOME` and `TZ`, the variables `JURYMAST_PLAN`, `JURYMAST_TOKEN`, `JURYMAST_EPOCH`,
//! `JURYMAST_SEQ` and `JURYMAST_KEY`, and the same as one JSON object on its stdin. Exit code 0 is success; 75 (`EX_TEMPFAIL`) says that nothing was done and a
//! further try is welcome; anything else leaves open what has happened. A last line of JSON on stdout may say it more exactly than the code 0. It is killed
//! when its time is over. Its stdin is a ticket (see [`Tickets`]).

use std::path::PathBuf;

use serde::Deserialize;
use serde_json::{Map, Value, json};

use super::ticket::Tickets;
use super::tool::{Tools, said_of};
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::program::{Ended, Program, Stdin};

/// `EX_TEMPFAIL` of sysexits.h.
const NOTHING_DONE: i32 = 75;

/// See the module.
pub struct Exec {
    tools: Tools,
}

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    argv: Vec<String>,
    /// Exits 0 if the effect is there, 1 if it is not.
    #[serde(default)]
    observe: Vec<String>,
}

/// The last line of stdout, where it is a JSON object with a `result`.
#[derive(Debug)]
struct Said {
    result: Word,
    message: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// The effect is there.
    Done,
    There,
    /// It certainly is not.
    NoEffect,
    NotThere,
    /// Nobody can tell.
    Unknown,
}

impl Said {
    fn of(out: &str) -> Option<Self> {
        let line = out.lines().rev().find(|line| !line.trim().is_empty())?;
        let object: Value = serde_json::from_str(line).ok()?;
        let word = object.get("result")?;
        let message = object.get("message").and_then(Value::as_str).unwrap_or_default();
        Some(match Word::deserialize(word) {
            Ok(result) => Self {
                result,
                message: message.to_owned(),
            },
            // `failed`, `ok`, `false`: whoever says something means something by it, and it may be that nothing was done.
            Err(_) => Self {
                result: Word::Unknown,
                message: format!("it says {line}, which is no result of the contract (docs/executors.md)"),
            },
        })
    }
}

impl Exec {
    /// Without a folder programs run all the same, but nobody can wait for those of an earlier run.
    pub const fn new(dir: Option<PathBuf>) -> Self {
        Self {
            tools: Tools::new(Tickets::new(dir)),
        }
    }

    async fn apply_once(&self, call: &Call<'_>) -> Applied {
        let with: With = match call.parameters() {
            Ok(with) => with,
            Err(error) => return Applied::NoEffect(error),
        };
        let ended = self.tools.run(call, &with.argv, &text("apply", &with.argv, call)).await;
        match ended {
            Ended::Exited { code: 0, out, .. } => match Said::of(&out) {
                None => Applied::Done,
                Some(said) => match said.result {
                    Word::Done | Word::There => Applied::Done,
                    Word::NoEffect | Word::NotThere => Applied::NoEffect(said.message),
                    Word::Unknown => Applied::Unknown(said.message),
                },
            },
            Ended::Exited {
                code: NOTHING_DONE,
                said,
                ..
            } => Applied::NoEffect(said),
            Ended::NotStarted(why) => Applied::NoEffect(why),
            Ended::Exited { code, said, .. } => Applied::Unknown(format!("exit code {code}: {said}")),
            Ended::Killed(why) => Applied::Unknown(why),
        }
    }
}

fn text(what: &str, argv: &[String], call: &Call<'_>) -> String {
    let token = call.token;
    let timeout_ms = u64::try_from(call.timeout.as_millis()).unwrap_or(u64::MAX);
    json!({
        "do": what, "plan": call.plan, "epoch": token.epoch, "seq": token.seq, "key": call.key, "argv": argv,
        "timeout_ms": timeout_ms,
    })
    .to_string()
}

impl Executor for Exec {
    fn name(&self) -> &'static str {
        "exec"
    }

    fn programs(&self, with: &Map<String, Value>) -> Vec<String> {
        let with: Option<With> = parameters(with).ok();
        let both = with.map(|with| [with.argv, with.observe]);
        both.into_iter()
            .flatten()
            .filter_map(|argv| argv.into_iter().next())
            .collect()
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        let with: With = parameters(with)?;
        if with.argv.is_empty() {
            Err("argv is empty".into())
        } else {
            Ok(())
        }
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Target
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(self.apply_once(call))
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = call.parameters::<With>() else {
                return Effect::Unknown;
            };
            if with.observe.is_empty() {
                return Effect::Unknown;
            }
            let program = Program {
                argv: &with.observe,
                env: said_of(call).into(),
                pass: &[],
                stdin: Stdin::Text(text("observe", &with.observe, call)),
                limit: call.timeout,
            };
            match program.run().await {
                Ended::Exited { code: 0, out, .. } => match Said::of(&out) {
                    None => Effect::There,
                    Some(said) => match said.result {
                        Word::Done | Word::There => Effect::There,
                        Word::NoEffect | Word::NotThere => Effect::NotThere,
                        Word::Unknown => Effect::Unknown,
                    },
                },
                Ended::Exited { code: 1, .. } => Effect::NotThere,
                _ => Effect::Unknown,
            }
        })
    }

    fn settle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.tools.settle(call))
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use rustix::process::{Pid, Signal};

    use super::super::ticket::locked;
    use super::*;
    use crate::client::program::SAID_MAX;
    use crate::model::{PlanId, Token};

    fn with(script: &str) -> Map<String, Value> {
        let with = json!({"argv": ["sh", "-c", script]});
        with.as_object().unwrap().clone()
    }

    async fn apply(exec: &Exec, script: &str, limit: Duration) -> Applied {
        let with = with(script);
        let call = Call {
            with: &with,
            plan: &PlanId("svc-3-1".into()),
            token: Token { epoch: 3, seq: 1 },
            key: "svc-3-1/0/0/3.1",
            timeout: limit,
        };
        exec.apply(&call).await
    }

    const LONG: Duration = Duration::from_secs(20);

    #[tokio::test]
    async fn the_token_is_in_the_environment_and_on_stdin() {
        let dir = tempfile::tempdir().unwrap();
        let exec = Exec::new(Some(dir.path().join("exec")));
        let said = apply(&exec, "echo \"$JURYMAST_TOKEN $(cat)\" >&2; exit 75", LONG).await;
        let Applied::NoEffect(said) = said else {
            panic!("{said:?}");
        };
        assert!(
            said.starts_with("3.1 {") && said.contains("\"epoch\":3") && said.contains("\"key\":\"svc-3-1/0/0/3.1\""),
            "{said}"
        );
        assert_eq!(
            std::fs::read_dir(dir.path().join("exec")).unwrap().count(),
            0,
            "nothing is left behind"
        );
    }

    #[tokio::test]
    async fn the_last_line_on_stdout_may_say_what_came_of_it() {
        let exec = Exec::new(None);
        let said = |line: &str| format!("echo working; echo '{line}'");
        let no = apply(&exec, &said(r#"{"result": "no_effect", "message": "busy"}"#), LONG).await;
        assert_eq!(no, Applied::NoEffect("busy".into()));
        let unknown = apply(&exec, &said(r#"{"result": "unknown"}"#), LONG).await;
        assert_eq!(unknown, Applied::Unknown(String::new()));
        assert_eq!(apply(&exec, &said(r#"{"result": "done"}"#), LONG).await, Applied::Done);
        assert_eq!(apply(&exec, "echo '{\"other\": 1}'", LONG).await, Applied::Done);
        // A word that nobody knows is no success: it may mean that nothing was done.
        let odd = apply(&exec, &said(r#"{"result": "failed", "message": "no route"}"#), LONG).await;
        assert!(
            matches!(&odd, Applied::Unknown(why) if why.contains("failed")),
            "{odd:?}"
        );
        // A bad end is not talked away.
        let bad = apply(&exec, "echo '{\"result\": \"done\"}'; exit 3", LONG).await;
        assert!(matches!(bad, Applied::Unknown(_)), "{bad:?}");
    }

    #[tokio::test]
    async fn a_program_that_says_much_lives_and_its_end_is_kept() {
        let exec = Exec::new(None);
        let script = "i=0; while [ $i -lt 3000 ]; do echo 'a line that is of no use to anyone at all' >&2 || exit 3; i=$((i+1)); done; echo last >&2; exit 75";
        let Applied::NoEffect(said) = apply(&exec, script, LONG).await else {
            panic!("it was not told to do anything else");
        };
        assert!(said.len() <= SAID_MAX && said.ends_with("last"), "{} bytes", said.len());
    }

    #[tokio::test]
    async fn a_daemon_that_keeps_stderr_does_not_hold_the_step() {
        let exec = Exec::new(None);
        let applied = apply(&exec, "sleep 60 </dev/null & echo $! >&2; exit 75", LONG).await;
        let Applied::NoEffect(daemon) = applied else {
            panic!("{applied:?}");
        };
        let daemon = Pid::from_raw(daemon.parse().unwrap()).unwrap();
        // It still lives: the step has ended without it.
        rustix::process::kill_process(daemon, Signal::KILL).unwrap();
    }

    #[tokio::test]
    async fn a_program_of_an_earlier_run_is_waited_for() {
        let dir = tempfile::tempdir().unwrap();
        let exec = Exec::new(Some(dir.path().to_owned()));
        let path = Tickets::new(Some(dir.path().to_owned()))
            .path("svc-3-1/0/0/3.1")
            .unwrap();
        let stdin = locked(&path, "{}").unwrap();
        let mut orphan = std::process::Command::new("sleep")
            .arg("0.3")
            .stdin(stdin)
            .spawn()
            .unwrap();
        assert!(matches!(
            apply(&exec, "exit 0", LONG).await,
            Applied::NoEffect(why) if why.contains("still runs")
        ));
        let with = with("exit 0");
        let call = Call {
            with: &with,
            plan: &PlanId("svc-3-1".into()),
            token: Token { epoch: 3, seq: 1 },
            key: "svc-3-1/0/0/3.1",
            timeout: LONG,
        };
        assert_eq!(exec.settle(&call).await, Ok(()));
        assert!(orphan.wait().unwrap().success());
        assert_eq!(apply(&exec, "exit 0", LONG).await, Applied::Done);
    }
}
