//! A `PostgreSQL` server that follows: everything that the old primary wrote is there, and the old primary becomes a standby of the new one.

use std::time::Duration;

use tokio::time::Instant;

use super::host::{Host, Tried, Trouble, token_line};
use super::{LOOKS, sql};
use crate::act::executor::replicated;
use crate::act::executor::wait::Looks;
use crate::act::runner::{Applied, Effect};
use crate::client::psql::{self, Failed};

/// A standby that has not begun to stream by then has to be rewound.
const STREAMS_WITHIN: Duration = Duration::from_secs(3);

impl Host<'_> {
    /// Waits until the new primary has everything that the old one ever wrote.
    pub async fn caught_up(&self) -> Applied {
        if !self.with.planned() {
            return Applied::Done;
        }
        let mut looks = Looks::new(self.until, LOOKS);
        while looks.next().await.is_some() {
            match self.has_caught_up().await {
                Effect::There => return Applied::Done,
                Effect::NotThere => {}
                Effect::Unknown => break,
            }
        }
        replicated::lacks()
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
        match self.start().await {
            Ok(()) if self.streams(STREAMS_WITHIN).await => return Ok(()),
            Err(lost @ Trouble::Unreachable(_)) => return Err(lost),
            // Whose last checkpoint lies beyond the point where the timelines part does not even start.
            _ => self.stop("fast").await?,
        }
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
        // Before version 16 `pg_rewind` reads in the control file which timeline the source is on, and finds nothing to do until a checkpoint has been made
        // since the promotion. Who may not ask for one is told by `pg_rewind` itself what he may not.
        let asked = psql::ask(&self.with.primary, &[], "CHECKPOINT;", self.left()).await;
        if let Err(why) = asked {
            tracing::debug!(plan = %self.call.plan, ?why, "the new primary makes no checkpoint when asked");
        }
        let data = format!("--target-pgdata={}", self.with.data_dir);
        let source = format!("--source-server={}", self.with.primary);
        // One that was not stopped in order is first recovered by `pg_rewind`, which a standby refuses.
        let control = self
            .must([&self.program("pg_controldata"), &self.with.data_dir])
            .await?;
        if !is_clean(&control) {
            self.must(["rm", "-f", &self.file("standby.signal")]).await?;
        }
        let rewound = self.run([&self.program("pg_rewind"), &data, &source]).await?;
        let Err(why) = rewound.good() else { return Ok(()) };
        self.mark().await?;
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
        let mut looks = Looks::new(Instant::now() + within, LOOKS);
        while looks.next().await.is_some() {
            if self.receives_all().await.is_ok_and(|all| all) {
                return true;
            }
        }
        false
    }

    /// A server that has written beyond the point where the timelines part streams for a moment as well: what was written before that point. It
    /// follows once it receives the timeline that the primary writes now.
    async fn receives_all(&self) -> Result<bool, Failed> {
        let state = sql::state(&self.with.dsn, self.left()).await?;
        if !state.standby || state.receives.is_none() {
            return Ok(false);
        }
        Ok(sql::timeline(&self.with.primary, self.left()).await? == state.receives)
    }

    /// Does it follow?
    pub async fn follows(&self) -> Effect {
        match self.receives_all().await {
            Ok(true) => Effect::There,
            Ok(false) | Err(Failed::NoConnection(_)) => Effect::NotThere,
            Err(_) => Effect::Unknown,
        }
    }
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

/// What `pg_controldata` tells under that name.
fn told<'a>(controldata: &'a str, name: &str) -> Option<&'a str> {
    let line = controldata.lines().find(|line| line.starts_with(name))?;
    Some(line.split_once(':')?.1.trim())
}

fn is_clean(controldata: &str) -> bool {
    told(controldata, "Database cluster state").is_some_and(|state| state.starts_with("shut down"))
}

/// Where a cleanly stopped server's last record begins.
fn last_record(controldata: &str) -> Option<String> {
    let clean = told(controldata, "Database cluster state")? == "shut down";
    clean.then(|| told(controldata, "Latest checkpoint location").map(str::to_owned))?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_clean_stop_tells_its_last_record() {
        let text = "Database cluster state:               shut down\nLatest checkpoint location:           0/3000028\n";
        assert_eq!(last_record(text), Some("0/3000028".into()));
        assert_eq!(last_record(&text.replace("shut down", "in production")), None);
        assert_eq!(last_record(&text.replace("shut down", "shut down in recovery")), None);
        for (state, clean) in [("shut down in recovery", true), ("in crash recovery", false)] {
            assert_eq!(is_clean(&text.replace("shut down", state)), clean);
        }
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
