//! Exec: a program of the user's own, by its argument list, never through a shell.
//!
//! It gets nothing of our environment but `PATH`, the variables `JURYMAST_PLAN`, `JURYMAST_TOKEN`, `JURYMAST_EPOCH`, `JURYMAST_SEQ` and
//! `JURYMAST_KEY`, and the same as one JSON object on its stdin. Exit code 0 is success; 75 (`EX_TEMPFAIL`) says that nothing was done and a further try is
//! welcome; anything else leaves open what has happened. It is killed when its time is over.
//!
//! A program outlives an agent that is killed, and may have its effect after the next agent has looked for it. So its stdin is a file that
//! stays locked for as long as it runs: the next agent waits for the lock before it looks. What a program leaves running behind it must not
//! keep its stdin.

use std::fs::{File, OpenOptions, TryLockError};
use std::io::{self, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{ChildStderr, Command};
use tokio::time::{Instant, timeout};

use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};

/// Of what a program says on stderr, so much of the end is kept.
const OUTPUT_MAX: usize = 16 * 1024;

/// A program that has ended may have left another behind that holds its stderr; its last words are waited for no longer.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// How often the lock of a program of an earlier run is tried, and how much longer than the program may take.
const LOCK_ASKS: Duration = Duration::from_millis(20);
const LOCK_GRACE: Duration = Duration::from_secs(1);

/// `EX_TEMPFAIL` of sysexits.h.
const NOTHING_DONE: i32 = 75;

/// See the module.
pub struct Exec {
    /// Where the stdin of running programs is.
    dir: Option<PathBuf>,
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

enum Ran {
    Exited(i32, String),
    NotStarted(String),
    Killed(String),
}

impl Exec {
    /// Without a folder programs run all the same, but nobody can wait for those of an earlier run.
    pub const fn new(dir: Option<PathBuf>) -> Self {
        Self { dir }
    }

    fn ticket(&self, key: &str) -> Option<PathBuf> {
        let name: String = key
            .chars()
            .map(|c| if c.is_ascii_alphanumeric() || c == '.' { c } else { '-' })
            .collect();
        // Two keys may look alike once they are file names.
        let name = format!("{name}-{:08x}", crc32fast::hash(key.as_bytes()));
        Some(self.dir.as_ref()?.join(name))
    }

    async fn apply_once(&self, call: &Call<'_>) -> Applied {
        let with: With = match call.parameters() {
            Ok(with) => with,
            Err(error) => return Applied::NoEffect(error),
        };
        let ticket = self.ticket(call.key);
        let stdin = match ticket.as_deref().map(|path| locked(path, &text(&with.argv, call))) {
            None => None,
            Some(Ok(file)) => Some(file),
            Some(Err(why)) => return Applied::NoEffect(why),
        };
        let ran = run(&with.argv, call, stdin).await;
        if let Some(ticket) = ticket {
            let _ = std::fs::remove_file(ticket);
        }
        match ran {
            Ran::Exited(0, _) => Applied::Done,
            Ran::Exited(NOTHING_DONE, said) | Ran::NotStarted(said) => Applied::NoEffect(said),
            Ran::Exited(code, said) => Applied::Unknown(format!("exit code {code}: {said}")),
            Ran::Killed(why) => Applied::Unknown(why),
        }
    }
}

/// A file with that text, to be read from its beginning, locked until the last process that has it open ends.
fn locked(path: &Path, text: &str) -> Result<File, String> {
    let error = |error: io::Error| format!("{}: {error}", path.display());
    if let Some(dir) = path.parent() {
        std::fs::create_dir_all(dir).map_err(error)?;
    }
    let mut file = OpenOptions::new()
        .create(true)
        .truncate(false)
        .read(true)
        .write(true)
        .open(path)
        .map_err(error)?;
    match file.try_lock() {
        Ok(()) => {}
        Err(TryLockError::WouldBlock) => return Err("the program of an earlier try still runs".into()),
        Err(TryLockError::Error(e)) => return Err(error(e)),
    }
    file.set_len(0)
        .and_then(|()| file.write_all(text.as_bytes()))
        .and_then(|()| file.seek(SeekFrom::Start(0)))
        .map_err(error)?;
    Ok(file)
}

fn text(argv: &[String], call: &Call<'_>) -> String {
    let token = call.token;
    json!({"plan": call.plan, "epoch": token.epoch, "seq": token.seq, "key": call.key, "argv": argv}).to_string()
}

async fn run(argv: &[String], call: &Call<'_>, stdin: Option<File>) -> Ran {
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
        .stdin(stdin.map_or_else(Stdio::piped, Stdio::from))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true);
    let spawned = command.spawn();
    // The command keeps the program's stdin open, and with it the lock.
    drop(command);
    let mut child = match spawned {
        Ok(child) => child,
        Err(error) => return Ran::NotStarted(format!("{program}: {error}")),
    };
    let group = child.id();
    let said = Arc::new(Mutex::new(Vec::new()));
    let drain = child
        .stderr
        .take()
        .map(|stderr| tokio::spawn(keep_end(stderr, Arc::clone(&said))));
    if let Some(mut stdin) = child.stdin.take() {
        let text = text(argv, call);
        // A program that does not read its stdin is in its right.
        tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
    }
    let ended = timeout(call.timeout, child.wait()).await;
    if ended.is_err() {
        kill_group(group);
        let _ = child.wait().await;
    }
    // The task goes on reading if it must: whoever was left behind would die of a pipe that nobody reads.
    if let Some(drain) = drain {
        let _ = timeout(LAST_WORDS, drain).await;
    }
    let said = String::from_utf8_lossy(&said.lock().unwrap_or_else(PoisonError::into_inner))
        .trim()
        .to_owned();
    match ended {
        Ok(Ok(status)) => match status.code() {
            Some(code) => Ran::Exited(code, said),
            None => Ran::Killed(format!("{program} was killed by a signal: {said}")),
        },
        Ok(Err(error)) => Ran::Killed(format!("{program}: {error}")),
        Err(_) => Ran::Killed(format!("{program} was killed after {:?}: {said}", call.timeout)),
    }
}

/// Reads all that there is and keeps the end of it.
async fn keep_end(mut stderr: ChildStderr, said: Arc<Mutex<Vec<u8>>>) {
    let mut piece = [0; 4096];
    while let Ok(read @ 1..) = stderr.read(&mut piece).await {
        let mut said = said.lock().unwrap_or_else(PoisonError::into_inner);
        said.extend_from_slice(piece.get(..read).unwrap_or_default());
        let over = said.len().saturating_sub(OUTPUT_MAX);
        said.drain(..over);
    }
}

/// Ends the program with whatever it has started. It has not been waited for yet, so the number is still its own.
fn kill_group(group: Option<u32>) {
    let group = group
        .and_then(|group| i32::try_from(group).ok())
        .and_then(Pid::from_raw);
    if let Some(group) = group {
        let _ = kill_process_group(group, Signal::KILL);
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
            match run(&with.observe, call, None).await {
                Ran::Exited(0, _) => Effect::There,
                Ran::Exited(1, _) => Effect::NotThere,
                _ => Effect::Unknown,
            }
        })
    }

    fn settle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let Some(path) = self.ticket(call.key) else {
                return Ok(());
            };
            let Ok(file) = File::open(&path) else { return Ok(()) };
            let deadline = Instant::now() + call.timeout + LOCK_GRACE;
            loop {
                match file.try_lock() {
                    Ok(()) => break,
                    Err(TryLockError::WouldBlock) if Instant::now() < deadline => tokio::time::sleep(LOCK_ASKS).await,
                    Err(error) => {
                        return Err(format!(
                            "a program that an earlier run of this agent has started still runs, or left its stdin to \
                             another one ({}: {error})",
                            path.display()
                        ));
                    }
                }
            }
            let _ = std::fs::remove_file(&path);
            Ok(())
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
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
    async fn a_program_that_says_much_lives_and_its_end_is_kept() {
        let exec = Exec::new(None);
        let script = "i=0; while [ $i -lt 3000 ]; do echo 'a line that is of no use to anyone at all' >&2 || exit 3; i=$((i+1)); done; echo last >&2; exit 75";
        let Applied::NoEffect(said) = apply(&exec, script, LONG).await else {
            panic!("it was not told to do anything else");
        };
        assert!(
            said.len() <= OUTPUT_MAX && said.ends_with("last"),
            "{} bytes",
            said.len()
        );
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
        let path = exec.ticket("svc-3-1/0/0/3.1").unwrap();
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
