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

/// Looks at a server, and marks it if it does not run and no higher token is kept there: one way over ssh in place of two, because clients wait for it.
/// The words are ours; what comes from outside are its arguments. The line to add is on stdin. Behind `marking` a failure may have left something.
///
/// A server that was killed may leave processes behind that are in the middle of a statement and would still commit it: they notice the death of their
/// server only once they wait for something. They hold its shared memory (7th line of `postmaster.pid`, 7th column of `/proc/sysvipc/shm`) and are ended.
const LOOK_AND_MARK: &str = r#"kept=$(cat "$2/postgresql.auto.conf") || exit 1
"$1" status -D "$2" >/dev/null 2>&1; status=$?
echo "status $status"
attached() {
  while read -r key segment mode size creator last count rest; do
    [ "$segment" = "$id" ] && [ "$count" -gt 0 ] && return 0
  done < /proc/sysvipc/shm
  return 1
}
if [ $status = 3 ]; then
  set -- "$2" "$3" "$4" $(printf '%s\n' "$kept" | sed -n "s/^[ ]*jurymast\.token[ ]*=[ ]*'\{0,1\}\([0-9][0-9]*\)\.\([0-9][0-9]*\).*/\1 \2/p" | tail -n 1)
  if [ "${4:-0}" -lt "$2" ] || { [ "${4:-0}" -eq "$2" ] && [ "${5:-0}" -le "$3" ]; }; then
    id= line=0
    [ -r "$1/postmaster.pid" ] && while read -r key segment; do
      line=$((line + 1)); [ $line = 7 ] && id=$segment
    done < "$1/postmaster.pid"
    if [ -n "$id" ] && [ -r /proc/sysvipc/shm ]; then
      tries=0
      while attached; do
        [ $tries = 400 ] && echo "processes of the dead server do not end" >&2 && exit 1
        for process in /proc/[0-9]*; do
          [ "$process/cwd" -ef "$1" ] && read -r name < "$process/comm" && [ "$name" = postgres ] && kill -KILL "${process#/proc/}"
        done
        tries=$((tries + 1)); sleep 0.02
      done
    fi
    set -e
    echo marking
    touch "$1/standby.signal"
    sync "$1/standby.signal" "$1"
    cat >> "$1/postgresql.auto.conf"
    sync "$1/postgresql.auto.conf"
    echo marked
  fi
fi
printf '%s\n' "$kept""#;

/// A server that is frozen obeys no other signal. It and its children end together: one that is left would still commit what it has begun.
const KILL: &str = r#"tries=0
while :; do
  left=
  for process in /proc/[0-9]*; do
    [ "$process/cwd" -ef "$1" ] && read -r name < "$process/comm" && [ "$name" = postgres ] && kill -KILL "${process#/proc/}" && left=1
  done
  [ -z "$left" ] && exit 0
  [ $tries = 200 ] && echo "its processes do not end" >&2 && exit 1
  tries=$((tries + 1)); sleep 0.02
done"#;

/// A server that has not obeyed by then is killed, where nothing of it is waited for.
const FROZEN_AFTER: Duration = Duration::from_secs(3);

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

    /// Refuses if a higher token is kept there. A server that does not run is marked at once, and our token left with it; `true` if it runs.
    pub(super) async fn runs_or_is_marked(&self) -> Tried<bool> {
        let (ctl, token) = (self.program("pg_ctl"), self.call.token);
        let (epoch, seq) = (token.epoch.to_string(), token.seq.to_string());
        let command = argv(["sh", "-c", LOOK_AND_MARK, "sh", &ctl, &self.with.data_dir, &epoch, &seq]);
        match self.run_text(&command, &token_line(token)).await? {
            Ended::Exited { code: 0, out, .. } => {
                let (status, rest) = out.split_once('\n').unwrap_or((&out, ""));
                let marked = rest.strip_prefix("marking\nmarked\n");
                self.refuse_stale(marked.unwrap_or(rest))?;
                match (
                    status.strip_prefix("status ").and_then(|code| code.parse().ok()),
                    marked,
                ) {
                    (Some(0), _) => Ok(true),
                    (Some(NOT_RUNNING), Some(_)) => Ok(false),
                    _ => Err(Trouble::NoEffect(format!(
                        "pg_ctl does not tell whether it runs: {status}"
                    ))),
                }
            }
            ended @ Ended::Exited { .. } => {
                let begun = matches!(&ended, Ended::Exited { out, .. } if out.lines().nth(1) == Some("marking"));
                Err(if begun {
                    Trouble::Unknown(ended.to_string())
                } else {
                    Trouble::NoEffect(ended.to_string())
                })
            }
            other => Err(Trouble::Unknown(other.to_string())),
        }
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

    /// At once, as if its power had failed.
    pub(super) async fn cut_off(&self) -> Tried<()> {
        let limit = self.left().min(FROZEN_AFTER);
        let Err(trouble) = self.stop_within("immediate", limit).await else {
            return Ok(());
        };
        if matches!(trouble, Trouble::Unreachable(_)) {
            return Err(trouble);
        }
        tracing::warn!(plan = %self.call.plan, "it obeys no stop and is killed");
        self.must(["sh", "-c", KILL, "sh", &self.with.data_dir]).await?;
        if !self.runs().await? || self.is_zombie().await? {
            return Ok(());
        }
        Err(Trouble::Unknown("it does not end when it is killed".into()))
    }

    pub(super) async fn stop(&self, mode: &str) -> Tried<()> {
        self.stop_within(mode, self.left()).await
    }

    async fn stop_within(&self, mode: &str, limit: Duration) -> Tried<()> {
        let seconds = limit.as_secs().max(1).to_string();
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

    /// What the script says, and whether it has marked the folder.
    fn looked(status: i32, settings: &str) -> (String, bool) {
        use std::io::Write;
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let (ctl, data) = (dir.path().join("pg_ctl"), dir.path().join("data"));
        std::fs::create_dir(&data).unwrap();
        std::fs::write(&ctl, format!("#!/bin/sh\nexit {status}\n")).unwrap();
        std::fs::set_permissions(&ctl, std::fs::Permissions::from_mode(0o755)).unwrap();
        std::fs::write(data.join("postgresql.auto.conf"), settings).unwrap();
        let mut child = std::process::Command::new("sh")
            .args(["-c", LOOK_AND_MARK, "sh"])
            .args([&ctl, &data])
            .args(["3", "2"])
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::piped())
            .spawn()
            .unwrap();
        let line = token_line(Token { epoch: 3, seq: 2 });
        child.stdin.take().unwrap().write_all(line.as_bytes()).unwrap();
        let out = child.wait_with_output().unwrap();
        assert!(out.status.success());
        let after = std::fs::read_to_string(data.join("postgresql.auto.conf")).unwrap();
        let marked = data.join("standby.signal").exists();
        assert_eq!(
            after == format!("{settings}{line}"),
            marked,
            "the token is left with the mark"
        );
        assert_eq!(after == settings, !marked);
        (String::from_utf8(out.stdout).unwrap(), marked)
    }

    #[test]
    fn only_a_server_that_does_not_run_and_keeps_no_higher_token_is_marked() {
        for settings in [
            "port = '5'\n",
            "jurymast.token = '3.2'\n",
            "jurymast.token = '9.9'\njurymast.token='2.9'\n",
        ] {
            assert_eq!(
                looked(3, settings),
                (format!("status 3\nmarking\nmarked\n{settings}"), true)
            );
        }
        for settings in ["jurymast.token = '3.3'\n", "jurymast.token='4.0'\n"] {
            assert_eq!(looked(3, settings), (format!("status 3\n{settings}"), false));
        }
        assert_eq!(looked(0, "port = '5'\n"), ("status 0\nport = '5'\n".to_owned(), false));
        assert!(!looked(4, "port = '5'\n").1);
    }
}
