//! What is done in the data folder of a `PostgreSQL` server, on its host.

use std::time::Duration;

use tokio::time::Instant;

use super::{With, sql};
use crate::act::executor::Call;
use crate::act::executor::tool::Tools;
use crate::act::runner::Applied;
use crate::client::program::{Ended, argv};
use crate::model::Token;

/// `pg_ctl status` of a server that does not run.
const NOT_RUNNING: i32 = 3;

/// One way over ssh in place of two. The words are ours; what comes from outside are its arguments.
const LOOK: &str = r#""$1" status -D "$2" >/dev/null 2>&1; echo "status $?"; exec cat "$2/postgresql.auto.conf""#;

/// One in place of four. The line to add is on stdin.
const MARK: &str = r#"set -e; touch "$1/standby.signal"; sync "$1/standby.signal" "$1"; cat >> "$1/postgresql.auto.conf"; sync "$1/postgresql.auto.conf""#;

/// Nothing was done, or nobody knows.
pub(super) enum Trouble {
    NoEffect(String),
    Unknown(String),
    /// The host cannot be reached.
    Unreachable(String),
}

impl From<Trouble> for Applied {
    fn from(trouble: Trouble) -> Self {
        match trouble {
            Trouble::NoEffect(why) => Self::NoEffect(why),
            Trouble::Unknown(why) | Trouble::Unreachable(why) => Self::Unknown(why),
        }
    }
}

pub(super) type Tried<T> = Result<T, Trouble>;

/// One data folder, for the time of one call.
pub struct Host<'a> {
    pub(super) tools: &'a Tools,
    pub(super) call: &'a Call<'a>,
    pub(super) with: &'a With,
    pub(super) until: Instant,
}

impl<'a> Host<'a> {
    pub fn new(tools: &'a Tools, call: &'a Call<'a>, with: &'a With) -> Self {
        Self {
            tools,
            call,
            with,
            until: Instant::now() + call.timeout,
        }
    }

    pub(super) fn left(&self) -> Duration {
        self.until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(100))
    }

    pub(super) fn program(&self, name: &str) -> String {
        match self.with.bin_dir.as_str() {
            "" => name.to_owned(),
            dir => format!("{dir}/{name}"),
        }
    }

    pub(super) fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.with.data_dir)
    }

    pub(super) async fn run_text(&self, command: &[String], text: &str) -> Tried<Ended> {
        let call = Call {
            timeout: self.left(),
            ..*self.call
        };
        let ended = self.tools.run(&call, &self.with.at.command(command), text).await;
        match ended {
            ended @ Ended::Exited { .. } if self.with.at.is_lost(&ended) => {
                Err(Trouble::Unreachable(ended.to_string()))
            }
            Ended::NotStarted(why) => Err(Trouble::NoEffect(why)),
            Ended::Killed(why) if !self.with.at.ssh.is_empty() => Err(Trouble::Unreachable(why)),
            Ended::Killed(why) => Err(Trouble::Unknown(why)),
            ended @ Ended::Exited { .. } => Ok(ended),
        }
    }

    pub(super) async fn run<const N: usize>(&self, command: [&str; N]) -> Tried<Ended> {
        self.run_text(&argv(command), "").await
    }

    pub(super) async fn must<const N: usize>(&self, command: [&str; N]) -> Tried<String> {
        self.run(command).await?.good().map_err(Trouble::Unknown)
    }

    /// The settings that the server itself wrote; the last of a name counts.
    pub(super) async fn settings(&self) -> Tried<String> {
        let read = self.run(["cat", &self.file("postgresql.auto.conf")]).await?;
        read.good().map_err(Trouble::NoEffect)
    }

    /// Refuses if a higher token is kept there.
    pub(super) async fn compare(&self) -> Tried<()> {
        self.refuse_stale(&self.settings().await?)
    }

    fn refuse_stale(&self, settings: &str) -> Tried<()> {
        match kept(settings) {
            Some(kept) if kept > self.call.token => Err(Trouble::NoEffect(format!(
                "it has been commanded with token {kept}, ours is {}: another agent acts, or data_dir was lost",
                self.call.token
            ))),
            _ => Ok(()),
        }
    }

    /// Refuses if a higher token is kept there; tells whether the server runs.
    pub(super) async fn compare_and_see(&self) -> Tried<bool> {
        let ctl = self.program("pg_ctl");
        let seen = self.must(["sh", "-c", LOOK, "sh", &ctl, &self.with.data_dir]).await;
        let seen = seen.map_err(|trouble| match trouble {
            Trouble::Unknown(why) => Trouble::NoEffect(why),
            other => other,
        })?;
        let (status, settings) = seen.split_once('\n').unwrap_or((&seen, ""));
        self.refuse_stale(settings)?;
        match status.strip_prefix("status ").and_then(|code| code.trim().parse().ok()) {
            Some(0) => Ok(true),
            Some(NOT_RUNNING) => Ok(false),
            _ => Err(Trouble::NoEffect(format!(
                "pg_ctl does not tell whether it runs: {status}"
            ))),
        }
    }

    /// Marks a server that does not run, and leaves our token with it.
    pub(super) async fn mark_stopped(&self) -> Tried<()> {
        let command = argv(["sh", "-c", MARK, "sh", &self.with.data_dir]);
        let marked = self.run_text(&command, &token_line(self.call.token)).await?;
        marked.good().map(|_| ()).map_err(Trouble::Unknown)
    }

    /// Adds settings to those of a server that does not run.
    pub(super) async fn append(&self, lines: &str) -> Tried<()> {
        let file = self.file("postgresql.auto.conf");
        let written = self.run_text(&argv(["tee", "-a", &file]), lines).await?;
        written.good().map_err(Trouble::Unknown)?;
        self.must(["sync", &file]).await.map(|_| ())
    }

    pub(super) async fn runs(&self) -> Tried<bool> {
        let status = self
            .run([&self.program("pg_ctl"), "status", "-D", &self.with.data_dir])
            .await?;
        match status {
            Ended::Exited { code: 0, .. } => Ok(true),
            Ended::Exited { code: NOT_RUNNING, .. } => Ok(false),
            other => Err(Trouble::NoEffect(other.to_string())),
        }
    }

    /// Whoever starts it from now on, it will not take writes.
    pub(super) async fn mark(&self) -> Tried<()> {
        let signal = self.file("standby.signal");
        self.must(["touch", &signal]).await?;
        self.must(["sync", &signal, &self.with.data_dir]).await.map(|_| ())
    }

    pub(super) async fn is_marked(&self) -> Tried<bool> {
        let test = self.run(["test", "-e", &self.file("standby.signal")]).await?;
        Ok(matches!(test, Ended::Exited { code: 0, .. }))
    }

    pub(super) async fn stop(&self, mode: &str) -> Tried<()> {
        let seconds = self.left().as_secs().max(1).to_string();
        let ctl = self.program("pg_ctl");
        let command = [
            ctl.as_str(),
            "stop",
            "-D",
            &self.with.data_dir,
            "-m",
            mode,
            "-w",
            "-t",
            &seconds,
        ];
        let stopped = self.run(command).await?;
        if matches!(stopped, Ended::Exited { code: 0, .. }) || !self.runs().await? || self.is_zombie().await? {
            return Ok(());
        }
        Err(Trouble::Unknown(format!("it does not stop: {stopped}")))
    }

    /// A dead server that nobody has waited for yet still has its number.
    pub(super) async fn is_zombie(&self) -> Tried<bool> {
        let lines = self.run(["head", "-n", "1", &self.file("postmaster.pid")]).await?;
        let Ok(pid) = lines.good() else { return Ok(true) };
        match self.run(["ps", "-o", "stat=", "-p", pid.trim()]).await? {
            Ended::Exited { out, .. } => Ok(out.trim().is_empty() || out.trim().starts_with('Z')),
            _ => Ok(false),
        }
    }

    pub(super) async fn start(&self) -> Tried<()> {
        let started = if self.with.unit.is_empty() {
            let (ctl, log) = (self.program("pg_ctl"), self.file("jurymast-start.log"));
            let mut command = argv([&ctl, "start", "-D", &self.with.data_dir, "-w", "-l", &log]);
            if !self.with.options.is_empty() {
                command.extend(argv(["-o", &self.with.options]));
            }
            self.run_text(&command, "").await?
        } else {
            // The unit is root's, not the database user's.
            let place = crate::act::executor::tool::Place {
                user: String::new(),
                ..self.with.at.clone()
            };
            let command = place.command(&argv(["systemctl", "start", &self.with.unit]));
            self.tools.run(self.call, &command, "").await
        };
        started.good().map(|_| ()).map_err(Trouble::Unknown)
    }
}

pub(super) fn token_line(token: Token) -> String {
    format!("jurymast.token = '{token}'\n")
}

/// The last token in a file of settings.
fn kept(settings: &str) -> Option<Token> {
    let value = settings
        .lines()
        .rev()
        .find_map(|line| line.trim().strip_prefix("jurymast.token")?.trim().strip_prefix('='))?;
    sql::token(value.trim().trim_matches('\''))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_token_in_the_file_counts() {
        let settings = "# x\njurymast.token = '1.2'\nport = '5'\njurymast.token='3.1'\n";
        assert_eq!(kept(settings), Some(Token { epoch: 3, seq: 1 }));
        assert_eq!(kept("port = '5'\n"), None);
    }
}
