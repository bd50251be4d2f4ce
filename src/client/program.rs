//! A program by its argument list, never through a shell: scrubbed environment, bounded output, killed with all that it has started when its time is
//! over.

use std::fs::File;
use std::process::Stdio;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWriteExt};
use tokio::process::Command;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// Of what a program says on stderr, so much of the end is kept.
pub const SAID_MAX: usize = 16 * 1024;

/// Of what a program writes to stdout, so much of the end is kept.
pub const OUT_MAX: usize = 1 << 20;

/// A program that has ended may have left another behind that holds its pipes; its last words are waited for no longer.
const LAST_WORDS: Duration = Duration::from_millis(200);

/// What every program gets of our environment, where it is set.
const PASSED: [&str; 3] = ["PATH", "HOME", "TZ"];

/// What a program reads.
#[derive(Debug)]
pub enum Stdin {
    /// Nothing.
    Nothing,
    /// That text, whether it is read or not.
    Text(String),
    /// That file; locks on it last as long as the program.
    File(File),
}

/// A program about to be run.
#[derive(Debug)]
pub struct Program<'a> {
    /// Name and arguments, as they stand.
    pub argv: &'a [String],
    /// Variables that it gets.
    pub env: Vec<(String, String)>,
    /// Variables of ours that begin so are passed on: `PG` for `psql`, `RESTIC_` for `restic`.
    pub pass: &'a [&'a str],
    /// What it reads.
    pub stdin: Stdin,
    /// It is killed after that.
    pub limit: Duration,
}

/// How a program ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Ended {
    /// By itself.
    Exited {
        /// Its exit code.
        code: i32,
        /// The end of what it wrote to stdout.
        out: String,
        /// The end of what it said on stderr, without blanks around it.
        said: String,
    },
    /// It never ran.
    NotStarted(String),
    /// By a signal, ours or another's. What it has done is not known.
    Killed(String),
}

impl Ended {
    /// What it wrote, if it was content.
    pub fn good(self) -> Result<String, String> {
        match self {
            Self::Exited { code: 0, out, .. } => Ok(out),
            other => Err(other.to_string()),
        }
    }
}

impl std::fmt::Display for Ended {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Exited { code, out, said } => {
                let words = if said.is_empty() { out.trim() } else { said };
                let skip = words.chars().count().saturating_sub(400);
                let end: String = words.chars().skip(skip).collect();
                write!(f, "exit code {code}: {end}")
            }
            Self::NotStarted(why) | Self::Killed(why) => f.write_str(why),
        }
    }
}

impl Program<'_> {
    /// Runs it to its end.
    pub async fn run(self) -> Ended {
        let Some((program, args)) = self.argv.split_first() else {
            return Ended::NotStarted("argv is empty".into());
        };
        let (stdin, text) = match self.stdin {
            Stdin::Nothing => (Stdio::null(), None),
            Stdin::Text(text) => (Stdio::piped(), Some(text)),
            Stdin::File(file) => (Stdio::from(file), None),
        };
        let mut command = Command::new(program);
        let passed = std::env::vars_os().filter(|(name, _)| {
            let name = name.to_string_lossy();
            PASSED.contains(&&*name) || self.pass.iter().any(|prefix| name.starts_with(prefix))
        });
        command
            .args(args)
            .env_clear()
            .envs(passed)
            // What programs say is compared; it must not depend on the language of the machine.
            .env("LC_ALL", "C")
            .envs(self.env)
            .stdin(stdin)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0)
            .kill_on_drop(true);
        let spawned = command.spawn();
        // The command keeps the program's stdin open, and with it the lock.
        drop(command);
        let mut child = match spawned {
            Ok(child) => child,
            Err(error) => return Ended::NotStarted(format!("{program}: {error}")),
        };
        let group = child.id();
        let out = child.stdout.take().map(|pipe| Drain::of(pipe, OUT_MAX));
        let said = child.stderr.take().map(|pipe| Drain::of(pipe, SAID_MAX));
        if let (Some(mut stdin), Some(text)) = (child.stdin.take(), text) {
            // A program that does not read its stdin is in its right.
            tokio::spawn(async move { stdin.write_all(text.as_bytes()).await });
        }
        let ended = timeout(self.limit, child.wait()).await;
        if ended.is_err() {
            kill_group(group);
            let _ = child.wait().await;
        }
        let out = words(out).await;
        let said = words(said).await.trim().to_owned();
        match ended {
            Ok(Ok(status)) => match status.code() {
                Some(code) => Ended::Exited { code, out, said },
                None => Ended::Killed(format!("{program} was killed by a signal: {said}")),
            },
            Ok(Err(error)) => Ended::Killed(format!("{program}: {error}")),
            Err(_) => Ended::Killed(format!("{program} was killed after {:?}: {said}", self.limit)),
        }
    }
}

/// Reads a pipe to its end and keeps the last of it.
struct Drain {
    kept: Arc<Mutex<Vec<u8>>>,
    task: JoinHandle<()>,
}

impl Drain {
    fn of(mut pipe: impl AsyncRead + Unpin + Send + 'static, max: usize) -> Self {
        let kept = Arc::new(Mutex::new(Vec::new()));
        let into = Arc::clone(&kept);
        let task = tokio::spawn(async move {
            let mut piece = [0; 4096];
            while let Ok(read @ 1..) = pipe.read(&mut piece).await {
                let mut kept = into.lock().unwrap_or_else(PoisonError::into_inner);
                kept.extend_from_slice(piece.get(..read).unwrap_or_default());
                let over = kept.len().saturating_sub(max);
                kept.drain(..over);
            }
        });
        Self { kept, task }
    }
}

/// The task goes on reading if it must: whoever was left behind would die of a pipe that nobody reads.
async fn words(drain: Option<Drain>) -> String {
    let Some(Drain { kept, task }) = drain else {
        return String::new();
    };
    let _ = timeout(LAST_WORDS, task).await;
    String::from_utf8_lossy(&kept.lock().unwrap_or_else(PoisonError::into_inner)).into_owned()
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

/// An argument list of texts that stand in the source.
pub fn argv<const N: usize>(words: [&str; N]) -> Vec<String> {
    words.map(str::to_owned).to_vec()
}

/// For the shell at the other end of `ssh`: every argument as one word.
pub fn quoted(argv: &[String]) -> String {
    let quote = |word: &String| format!("'{}'", word.replace('\'', "'\\''"));
    argv.iter().map(quote).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str, limit_ms: u64) -> impl Future<Output = Ended> {
        let argv = argv(["sh", "-c", script]);
        async move {
            let program = Program {
                argv: &argv,
                env: vec![("GIVEN".into(), "x".into())],
                pass: &[],
                stdin: Stdin::Text("in".into()),
                limit: Duration::from_millis(limit_ms),
            };
            program.run().await
        }
    }

    #[tokio::test]
    async fn output_code_and_environment_are_what_the_program_says() {
        let ended = sh("cat; echo $GIVEN$CARGO_PKG_NAME; echo no >&2; exit 3", 20_000).await;
        let expected = Ended::Exited {
            code: 3,
            out: "inx\n".into(),
            said: "no".into(),
        };
        assert_eq!(ended, expected);
        assert_eq!(ended.good(), Err("exit code 3: no".into()));
    }

    #[tokio::test]
    async fn what_takes_too_long_is_killed_with_its_children() {
        let ended = sh("sleep 60 & sleep 60", 50).await;
        assert!(
            matches!(&ended, Ended::Killed(why) if why.contains("killed after")),
            "{ended:?}"
        );
    }

    #[test]
    fn a_word_stays_one_word_for_the_shell_at_the_other_end() {
        let argv = argv(["echo", "it's $HOME; rm -rf /"]);
        assert_eq!(quoted(&argv), "'echo' 'it'\\''s $HOME; rm -rf /'");
    }
}
