//! Exec: a program of the user's own, by its argument list, never through a shell.
//!
//! It gets nothing of our environment but `PATH`, the variables `JURYMAST_PLAN`, `JURYMAST_TOKEN`, `JURYMAST_EPOCH`, `JURYMAST_SEQ` and
//! `JURYMAST_KEY`, and the same as one JSON object on its stdin. Exit code 0 is success; 75 (`EX_TEMPFAIL`) says that nothing was done and a further try is
//! welcome; anything else leaves open what has happened. It is killed when its time is over.

use std::process::Stdio;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::time::timeout;

use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};

/// What a program says beyond this is not kept.
const OUTPUT_MAX: u64 = 16 * 1024;

/// `EX_TEMPFAIL` of sysexits.h.
const NOTHING_DONE: i32 = 75;

/// See the module.
pub struct Exec;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    argv: Vec<String>,
    /// Exits 0 if the effect is there, 1 if it is not.
    #[serde(default)]
    observe: Vec<String>,
}

enum Ran {
    Exited(i32, String),
    NotStarted(String),
    Killed(String),
}

async fn run(argv: &[String], call: &Call<'_>) -> Ran {
    let Some((program, args)) = argv.split_first() else {
        return Ran::NotStarted("argv is empty".into());
    };
    let token = call.token;
    let mut command = Command::new(program);
    command
        .args(args)
        .env_clear()
        .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
        .env("JURYMAST_PLAN", call.plan.to_string())
        .env("JURYMAST_TOKEN", token.to_string())
        .env("JURYMAST_EPOCH", token.epoch.to_string())
        .env("JURYMAST_SEQ", token.seq.to_string())
        .env("JURYMAST_KEY", call.key)
        .stdin(Stdio::piped())
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return Ran::NotStarted(format!("{program}: {error}")),
    };
    let group = child.id();
    let work = async {
        if let Some(mut stdin) = child.stdin.take() {
            let text =
                json!({"plan": call.plan, "epoch": token.epoch, "seq": token.seq, "key": call.key, "argv": argv});
            // A program that does not read its stdin is in its right.
            let _ = stdin.write_all(text.to_string().as_bytes()).await;
        }
        let mut said = Vec::new();
        if let Some(stderr) = child.stderr.take() {
            let _ = stderr.take(OUTPUT_MAX).read_to_end(&mut said).await;
        }
        let status = child.wait().await;
        (status, String::from_utf8_lossy(&said).trim().to_owned())
    };
    match timeout(call.timeout, work).await {
        Ok((Ok(status), said)) => match status.code() {
            Some(code) => Ran::Exited(code, said),
            None => Ran::Killed(format!("{program} was killed by a signal: {said}")),
        },
        Ok((Err(error), _)) => Ran::Killed(format!("{program}: {error}")),
        Err(_) => {
            kill_group(group).await;
            Ran::Killed(format!("{program} was killed after {:?}", call.timeout))
        }
    }
}

/// Ends the program with whatever it has started. Through `kill(1)`, because signals to a group need no unsafe code there.
async fn kill_group(group: Option<u32>) {
    if let Some(group) = group {
        let _ = Command::new("kill")
            .args(["-KILL", "--", &format!("-{group}")])
            .stderr(Stdio::null())
            .status()
            .await;
    }
}

impl Executor for Exec {
    fn name(&self) -> &'static str {
        "exec"
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
        Box::pin(async move {
            let with: With = match call.parameters() {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            match run(&with.argv, call).await {
                Ran::Exited(0, _) => Applied::Done,
                Ran::Exited(NOTHING_DONE, said) | Ran::NotStarted(said) => Applied::NoEffect(said),
                Ran::Exited(code, said) => Applied::Unknown(format!("exit code {code}: {said}")),
                Ran::Killed(why) => Applied::Unknown(why),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = call.parameters::<With>() else {
                return Effect::Unknown;
            };
            if with.observe.is_empty() {
                return Effect::Unknown;
            }
            match run(&with.observe, call).await {
                Ran::Exited(0, _) => Effect::There,
                Ran::Exited(1, _) => Effect::NotThere,
                _ => Effect::Unknown,
            }
        })
    }
}
