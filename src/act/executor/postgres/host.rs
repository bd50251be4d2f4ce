//! What is done in the data folder of a `PostgreSQL` server, on its host.

use std::time::Duration;

use tokio::time::Instant;

use super::{LOOKS, Unreachable, With, sql};
use crate::act::executor::Call;
use crate::act::executor::tool::Tools;
use crate::act::runner::{Applied, Effect};
use crate::client::program::{Ended, argv};
use crate::client::psql::{self, Failed};
use crate::model::Token;

/// `pg_ctl status` of a server that does not run.
const NOT_RUNNING: i32 = 3;

/// A standby that has not begun to stream by then has to be rewound.
const STREAMS_WITHIN: Duration = Duration::from_secs(3);

/// Nothing was done, or nobody knows.
enum Trouble {
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

type Tried<T> = Result<T, Trouble>;

/// One data folder, for the time of one call.
pub struct Host<'a> {
    tools: &'a Tools,
    call: &'a Call<'a>,
    with: &'a With,
    until: Instant,
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

    fn left(&self) -> Duration {
        self.until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(100))
    }

    fn program(&self, name: &str) -> String {
        match self.with.bin_dir.as_str() {
            "" => name.to_owned(),
            dir => format!("{dir}/{name}"),
        }
    }

    fn file(&self, name: &str) -> String {
        format!("{}/{name}", self.with.data_dir)
    }

    async fn run_text(&self, command: &[String], text: &str) -> Tried<Ended> {
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

    async fn run<const N: usize>(&self, command: [&str; N]) -> Tried<Ended> {
        self.run_text(&argv(command), "").await
    }

    async fn must<const N: usize>(&self, command: [&str; N]) -> Tried<String> {
        self.run(command).await?.good().map_err(Trouble::Unknown)
    }

    /// The settings that the server itself wrote; the last of a name counts.
    async fn settings(&self) -> Tried<String> {
        let read = self.run(["cat", &self.file("postgresql.auto.conf")]).await?;
        read.good().map_err(Trouble::NoEffect)
    }

    /// Refuses if a higher token is kept there.
    async fn compare(&self) -> Tried<()> {
        match kept(&self.settings().await?) {
            Some(kept) if kept > self.call.token => Err(Trouble::NoEffect(format!(
                "it has been commanded with token {kept}, ours is {}: another agent acts, or data_dir was lost",
                self.call.token
            ))),
            _ => Ok(()),
        }
    }

    /// Adds settings to those of a server that does not run.
    async fn append(&self, lines: &str) -> Tried<()> {
        let file = self.file("postgresql.auto.conf");
        let written = self.run_text(&argv(["tee", "-a", &file]), lines).await?;
        written.good().map_err(Trouble::Unknown)?;
        self.must(["sync", &file]).await.map(|_| ())
    }

    async fn runs(&self) -> Tried<bool> {
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
    async fn mark(&self) -> Tried<()> {
        let signal = self.file("standby.signal");
        self.must(["touch", &signal]).await?;
        self.must(["sync", &signal, &self.with.data_dir]).await.map(|_| ())
    }

    async fn is_marked(&self) -> Tried<bool> {
        let test = self.run(["test", "-e", &self.file("standby.signal")]).await?;
        Ok(matches!(test, Ended::Exited { code: 0, .. }))
    }

    async fn stop(&self, mode: &str) -> Tried<()> {
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
    async fn is_zombie(&self) -> Tried<bool> {
        let lines = self.run(["head", "-n", "1", &self.file("postmaster.pid")]).await?;
        let Ok(pid) = lines.good() else { return Ok(true) };
        match self.run(["ps", "-o", "stat=", "-p", pid.trim()]).await? {
            Ended::Exited { out, .. } => Ok(out.trim().is_empty() || out.trim().starts_with('Z')),
            _ => Ok(false),
        }
    }

    async fn start(&self) -> Tried<()> {
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

    /// Takes its power to write.
    pub async fn fence(&self) -> Applied {
        let fenced = if self.with.data_dir.is_empty() {
            self.fence_by_sql().await
        } else {
            self.fence_on_host().await
        };
        match fenced {
            Ok(applied) => applied,
            Err(Trouble::Unreachable(why)) if self.with.unreachable == Unreachable::Ok => {
                tracing::warn!(plan = %self.call.plan, %why, "cannot be reached; the other fence of this playbook keeps clients away");
                Applied::Done
            }
            Err(trouble) => trouble.into(),
        }
    }

    async fn fence_by_sql(&self) -> Tried<Applied> {
        match sql::state(&self.with.dsn, self.left()).await {
            Ok(state) if state.standby => Ok(sql::seal(self.tools, self.call, &self.with.dsn).await),
            Ok(_) => Err(Trouble::NoEffect(
                "it is a primary, and without data_dir nobody can stop it".into(),
            )),
            Err(failed) => Err(Trouble::Unreachable(failed.to_string())),
        }
    }

    async fn fence_on_host(&self) -> Tried<Applied> {
        self.compare().await?;
        if self.runs().await? {
            let limit = self.left() / 4;
            if let Ok(state) = sql::state(&self.with.dsn, limit).await
                && state.standby
            {
                return Ok(sql::seal(self.tools, self.call, &self.with.dsn).await);
            }
            self.mark().await?;
            // A planned move waits until the standbys have everything; a broken server is not trusted with that.
            self.stop(if self.with.planned() { "fast" } else { "immediate" })
                .await?;
        } else {
            self.mark().await?;
        }
        self.append(&token_line(self.call.token)).await?;
        Ok(Applied::Done)
    }

    /// Is its power to write gone?
    pub async fn is_fenced(&self) -> Effect {
        let by_sql = sql::state(&self.with.dsn, self.left() / 4).await;
        if let Ok(state) = &by_sql {
            return if state.standby && state.token.is_some_and(|kept| kept >= self.call.token) {
                Effect::There
            } else {
                Effect::NotThere
            };
        }
        let unreachable = match self.with.unreachable {
            Unreachable::Ok => Effect::There,
            Unreachable::Fail => Effect::Unknown,
        };
        if self.with.data_dir.is_empty() {
            return unreachable;
        }
        let marked =
            async { Ok::<_, Trouble>(self.is_marked().await? && (!self.runs().await? || self.is_zombie().await?)) };
        match marked.await {
            Ok(true) => Effect::There,
            Ok(false) => Effect::NotThere,
            Err(Trouble::Unreachable(_)) => unreachable,
            Err(_) => Effect::Unknown,
        }
    }

    /// Takes a fence back: it is what it was.
    pub async fn release(&self) -> Applied {
        let released = async {
            self.compare().await?;
            if self.runs().await? && !self.is_zombie().await? {
                if !self.is_marked().await? {
                    return Ok(());
                }
                self.stop("fast").await?;
            }
            let signal = self.file("standby.signal");
            self.must(["rm", "-f", &signal]).await?;
            self.must(["sync", &self.with.data_dir]).await?;
            self.start().await
        };
        released.await.map_or_else(Into::into, |()| Applied::Done)
    }

    /// Does it take writes again?
    pub async fn is_released(&self) -> Effect {
        match sql::state(&self.with.dsn, self.left()).await {
            Ok(state) if !state.standby => Effect::There,
            Ok(_) => Effect::NotThere,
            Err(Failed::NoConnection(_)) => Effect::NotThere,
            Err(_) => Effect::Unknown,
        }
    }

    /// Waits until the new primary has everything that the old one ever wrote.
    pub async fn caught_up(&self) -> Applied {
        if !self.with.planned() {
            // A dead primary sends nothing any more; how much may be lost was judged by the lag.
            return Applied::Done;
        }
        loop {
            match self.has_caught_up().await {
                Effect::There => return Applied::Done,
                Effect::NotThere if Instant::now() < self.until => tokio::time::sleep(LOOKS).await,
                _ => return Applied::NoEffect("the new primary lacks something that the old one has written".into()),
            }
        }
    }

    /// Has it everything?
    pub async fn has_caught_up(&self) -> Effect {
        let last = async {
            let data = self
                .must([&self.program("pg_controldata"), "-D", &self.with.data_dir])
                .await?;
            Ok::<_, Trouble>(last_record(&data))
        };
        let Ok(Some(last)) = last.await else {
            return Effect::Unknown;
        };
        let sql = "SELECT coalesce(pg_last_wal_receive_lsn() > :'last'::pg_lsn, NOT pg_is_in_recovery());";
        match psql::ask(&self.with.dsn, &[("last", &last)], sql, self.left())
            .await
            .as_deref()
        {
            Ok("t") => Effect::There,
            Ok("f") => Effect::NotThere,
            _ => Effect::Unknown,
        }
    }

    /// Makes it a standby of the new primary.
    pub async fn follow(&self) -> Applied {
        match self.follow_on_host().await {
            Ok(()) => Applied::Done,
            Err(trouble) => trouble.into(),
        }
    }

    async fn follow_on_host(&self) -> Tried<()> {
        let conninfo = conninfo(&self.with.primary, &self.with.name);
        let lines = format!(
            "{}primary_conninfo = {}\n",
            token_line(self.call.token),
            conf(&conninfo)
        );
        if self.runs().await? && !self.is_zombie().await? {
            let state = sql::state(&self.with.dsn, self.left()).await;
            match state {
                Ok(state) if !state.standby => {
                    return Err(Trouble::NoEffect("it is a primary: it must be fenced first".into()));
                }
                _ => {}
            }
            self.mark().await?;
            self.stop("fast").await?;
        }
        self.compare().await?;
        self.mark().await?;
        self.append(&lines).await?;
        self.start().await?;
        if self.streams(STREAMS_WITHIN).await {
            return Ok(());
        }
        self.stop("fast").await?;
        self.renew().await?;
        self.mark().await?;
        self.append(&lines).await?;
        self.start().await?;
        if self.streams(self.left()).await {
            return Ok(());
        }
        Err(Trouble::Unknown("it does not stream from the new primary".into()))
    }

    /// What it has written beyond the point where the timelines part is undone; or all of it is copied anew.
    async fn renew(&self) -> Tried<()> {
        let data = format!("--target-pgdata={}", self.with.data_dir);
        let source = format!("--source-server={}", self.with.primary);
        let rewound = self.run([&self.program("pg_rewind"), &data, &source]).await?;
        let Err(why) = rewound.good() else { return Ok(()) };
        if !self.with.rebuild {
            return Err(Trouble::Unknown(format!(
                "it cannot be rewound ({why}); it stays fenced; `rebuild: true` would copy it anew"
            )));
        }
        tracing::warn!(plan = %self.call.plan, %why, "cannot be rewound; it is copied anew, the old folder is put aside");
        let aside = format!("{}.before-{}", self.with.data_dir, self.call.token);
        self.must(["mv", "-T", &self.with.data_dir, &aside]).await?;
        let copy = self.program("pg_basebackup");
        let copied = self
            .must([
                &copy,
                "-D",
                &self.with.data_dir,
                "-d",
                &self.with.primary,
                "-c",
                "fast",
                "-X",
                "stream",
            ])
            .await;
        copied.map(|_| ())
    }

    async fn streams(&self, within: Duration) -> bool {
        let until = Instant::now() + within;
        loop {
            if sql::state(&self.with.dsn, self.left())
                .await
                .is_ok_and(|s| s.standby && s.streaming)
            {
                return true;
            }
            if Instant::now() >= until {
                return false;
            }
            tokio::time::sleep(LOOKS).await;
        }
    }

    /// Does it follow?
    pub async fn follows(&self) -> Effect {
        match sql::state(&self.with.dsn, self.left()).await {
            Ok(state) if state.standby && state.streaming => Effect::There,
            Ok(_) | Err(Failed::NoConnection(_)) => Effect::NotThere,
            Err(_) => Effect::Unknown,
        }
    }
}

fn token_line(token: Token) -> String {
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

/// A text as files of settings have it.
fn conf(text: &str) -> String {
    format!("'{}'", text.replace('\\', "\\\\").replace('\'', "''"))
}

fn conninfo(primary: &str, name: &str) -> String {
    if primary.contains("://") {
        let joint = if primary.contains('?') { '&' } else { '?' };
        format!("{primary}{joint}application_name={name}")
    } else {
        format!("{primary} application_name={name}")
    }
}

/// Where a cleanly stopped server's last record begins.
fn last_record(controldata: &str) -> Option<String> {
    let value = |name: &str| {
        let line = controldata.lines().find(|line| line.starts_with(name))?;
        Some(line.split_once(':')?.1.trim().to_owned())
    };
    (value("Database cluster state")? == "shut down").then(|| value("Latest checkpoint location"))?
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

    #[test]
    fn only_a_clean_stop_tells_its_last_record() {
        let text = "Database cluster state:               shut down\nLatest checkpoint location:           0/3000028\n";
        assert_eq!(last_record(text), Some("0/3000028".into()));
        assert_eq!(last_record(&text.replace("shut down", "in production")), None);
    }

    #[test]
    fn a_connection_string_is_one_text_in_the_settings() {
        assert_eq!(
            conf(&conninfo("host=b passfile='/x'", "a")),
            "'host=b passfile=''/x'' application_name=a'"
        );
        assert_eq!(
            conninfo("postgresql://b/x?sslmode=require", "a"),
            "postgresql://b/x?sslmode=require&application_name=a"
        );
    }
}
