//! Replication: asks the servers of one database how they stand and tells how far each standby is behind.
//!
//! Signals of each server's entity: `replication_lag_seconds` (0 for the primary, and for a standby without which nothing is committed),
//! `replication_lag_bytes` (positions, as the database counts them), `replication_primary` (1 or 0), `replication_sync` (1 or 0). A lag that nobody knows is not told:
//! the gates take a lag without news as growing. Nor is that of a standby told that stands in another log of changes than the primary's. Of two
//! that take writes at the same time nobody's lag is told until one of them follows again, and both get the alert `TwoPrimaries`.

mod apart;
mod ask;
mod gtid;
mod kept;
mod split;
#[cfg(test)]
mod tests;
mod tracker;

use std::collections::BTreeSet;
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use self::apart::Apart;
use self::ask::{Standing, ask};
use self::kept::Kept;
use self::split::Split;
use self::tracker::Tracker;
use super::{Feed, Source};
use crate::client::resp::Login;
use crate::clock::wall_clock;
use crate::engine::Input;
use crate::metrics::{ByReason, BySource};
use crate::model::{Batch, EntityName, Event, Sample, Span, Timestamp};
use crate::net::Tls;

/// One replicated database.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct ReplicationSettings {
    /// Its name.
    pub name: String,
    /// What it is.
    pub kind: Kind,
    /// How often its servers are asked.
    #[serde(default = "default_interval")]
    pub interval: Span,
    /// How long an answer may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// Its servers.
    pub members: Vec<Member>,
}

/// A kind of replicated database.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// `PostgreSQL` with streaming replication, by `psql`.
    Postgres,
    /// Redis, by its own protocol.
    Redis,
    /// `MariaDB` with GTIDs, by `mariadb`.
    Mariadb,
}

/// One server of it.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields, default)]
pub struct Member {
    /// Its entity; for `PostgreSQL` also the `application_name` by which the primary knows it.
    pub entity: EntityName,
    /// `PostgreSQL`: the connection string, without a password.
    pub dsn: String,
    /// Redis, `MariaDB`: `host:port`; Redis over TLS: `rediss://host:port`.
    pub address: String,
    /// Redis, `MariaDB`: the user.
    pub user: String,
    /// Redis: the file of the password.
    pub password_file: Option<PathBuf>,
    /// Redis over TLS: certificates.
    pub tls: Tls,
    /// `MariaDB`: an option file with the password.
    pub defaults_file: Option<PathBuf>,
}

const fn default_interval() -> Span {
    Span::secs(2)
}
const fn default_timeout() -> Span {
    Span::secs(1)
}

impl ReplicationSettings {
    /// Finds what cannot be followed.
    pub fn check(&self) -> Result<(), String> {
        let wrong = |problem: String| Err(format!("sources.replication '{}': {problem}", self.name));
        if self.members.len() < 2 {
            return wrong("a database of one server has nobody to be behind".into());
        }
        for member in &self.members {
            let problem = match self.kind {
                Kind::Postgres => crate::client::psql::check(&member.dsn).err(),
                Kind::Redis => {
                    let login = Login {
                        tls: Some(&member.tls),
                        ..Login::default()
                    };
                    login.check(&member.address).err()
                }
                Kind::Mariadb if !member.address.contains(':') => Some("address is not host:port".into()),
                Kind::Mariadb => None,
            };
            if let Some(problem) = problem {
                return wrong(format!("'{}': {problem}", member.entity));
            }
        }
        Ok(())
    }
}

/// See the module.
pub struct ReplicationSource {
    settings: ReplicationSettings,
    tracker: Tracker,
    apart: Apart,
    /// Standbys without which the primary, when it was last heard, committed nothing. Its death changes nothing about that.
    sync: Vec<String>,
    split: Split,
    /// What was put on disk of that, and where.
    written: Split,
    kept: Kept,
    trouble: BTreeSet<String>,
}

impl ReplicationSource {
    /// A source of checked settings.
    pub fn new(settings: ReplicationSettings) -> Self {
        Self {
            settings,
            tracker: Tracker::default(),
            apart: Apart::default(),
            sync: Vec::new(),
            split: Split::default(),
            written: Split::default(),
            kept: Kept::default(),
            trouble: BTreeSet::new(),
        }
    }

    /// Remembers in that folder, and over restarts, whose data cannot be trusted.
    #[must_use]
    pub fn kept_in(mut self, data_dir: &Path) -> Self {
        self.kept = Kept::of(data_dir, &self.settings.name);
        let members = &self.settings.members;
        self.written = self
            .kept
            .read(|name| members.iter().any(|member| member.entity == *name));
        self.split.clone_from(&self.written);
        self
    }

    /// What has changed goes to the disk before anything is told of it, and once more at the next round where that cannot be written.
    async fn keep(&mut self) {
        if self.split == self.written {
            return;
        }
        let (kept, split) = (self.kept.clone(), self.split.clone());
        match tokio::task::spawn_blocking(move || kept.write(&split).map(|()| split)).await {
            Ok(Ok(split)) => self.written = split,
            Ok(Err(error)) => {
                tracing::error!(source = %self.settings.name, %error, "that two servers take writes does not outlive this agent until it can be written");
            }
            Err(error) => tracing::error!(source = %self.settings.name, %error, "cannot be kept"),
        }
    }

    /// One round of questions, all at once.
    async fn round(&mut self) -> (Timestamp, Vec<Option<Standing>>, usize) {
        let at = wall_clock();
        let (kind, limit) = (self.settings.kind, self.settings.timeout.0);
        let asked: Vec<_> = self
            .settings
            .members
            .iter()
            .map(|member| {
                let member = member.clone();
                tokio::spawn(async move { ask(kind, &member, limit).await })
            })
            .collect();
        let mut standings = Vec::new();
        let mut failed = BTreeSet::new();
        for (asked, member) in asked.into_iter().zip(&self.settings.members) {
            match asked.await.unwrap_or_else(|error| Err(error.to_string())) {
                Ok(standing) => standings.push(Some(standing)),
                Err(error) => {
                    failed.insert(format!("{}: {error}", member.entity));
                    standings.push(None);
                }
            }
        }
        for trouble in failed.difference(&self.trouble) {
            tracing::warn!(source = %self.settings.name, "a server does not tell how it stands: {trouble}");
        }
        let bad = failed.len();
        self.trouble = failed;
        (at, standings, bad)
    }

    fn samples(
        &mut self,
        at: Timestamp,
        standings: &[Option<Standing>],
        events: &mut Vec<Event>,
        mut tell: impl FnMut(&str, &'static str, f64),
    ) {
        let members = &self.settings.members;
        let known = || {
            members
                .iter()
                .zip(standings)
                .filter_map(|(m, s)| Some((m, s.as_ref()?)))
        };
        // Whoever answers is not silent, whatever else is unknown.
        for (member, standing) in known() {
            tell(
                member.entity.as_str(),
                "replication_primary",
                f64::from(u8::from(standing.primary)),
            );
        }
        let takes_writes: Vec<_> = known()
            .map(|(member, standing)| (&member.entity, standing.primary && !standing.fenced))
            .collect();
        self.split.hears(at, &takes_writes, events);
        let mut primaries = known().filter(|(_, standing)| standing.primary);
        let primary = match (primaries.next(), primaries.next()) {
            (Some(one), None) => Some(one),
            (None, _) => None,
            // Whose log the standbys should have is not known.
            (Some(_), Some(_)) => return,
        };
        if self.split.stands() {
            // The one that is left, if one has died: it lacks what the other has written, and nobody knows how much.
            return;
        }
        match primary {
            Some((member, standing)) => {
                let log = format!("{} {}", member.entity, standing.log);
                self.tracker.primary(&log, at, standing.position);
                self.sync.clone_from(&standing.sync);
            }
            None => self.tracker.silent(at),
        }
        let standbys: Vec<_> = known()
            .filter(|(_, standing)| !standing.primary)
            .map(|(member, standing)| (&member.entity, standing))
            .collect();
        self.apart.hears(primary.map(|(_, standing)| standing), &standbys);
        for (member, standing) in known() {
            let name = member.entity.as_str();
            let sync = !standing.halted && self.sync.iter().any(|sync| sync == name);
            tell(name, "replication_sync", f64::from(u8::from(sync)));
            let lag = self.tracker.lag(standing.position).map(|lag| lag.as_secs_f64());
            let lag = match (standing.primary, sync) {
                (true, _) | (_, true) => Some(0.0),
                _ if self.apart.is(&member.entity, standing) => None,
                // Further behind than anybody remembers: only it itself can tell, while there is a primary to hear from.
                _ => lag.or(standing.age_s.filter(|_| primary.is_some())),
            };
            if let Some(lag) = lag {
                tell(name, "replication_lag_seconds", lag);
            }
            let missing = self.tracker.missing(standing.position);
            if let Some(missing) = missing.filter(|_| !standing.primary && !self.apart.is(&member.entity, standing)) {
                tell(name, "replication_lag_bytes", missing as f64);
            }
        }
    }
}

impl Source for ReplicationSource {
    fn name(&self) -> &str {
        &self.settings.name
    }

    fn run(mut self: Box<Self>, feed: Feed) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async move {
            let mut due = tokio::time::interval(self.settings.interval.0.max(std::time::Duration::from_millis(50)));
            due.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
            let source = self.settings.name.clone();
            loop {
                tokio::select! {
                    () = feed.stop.cancelled() => return,
                    _ = due.tick() => {}
                }
                let (at, standings, bad) = self.round().await;
                let mut batch = Batch::default();
                let Batch { samples, events } = &mut batch;
                self.samples(at, &standings, events, |entity, signal, value| {
                    samples.push(Sample {
                        series: feed.catalog.series(entity, signal),
                        retained: false,
                        at,
                        seen: wall_clock(),
                        value,
                    });
                });
                self.keep().await;
                let label = BySource { source: source.clone() };
                feed.metrics.messages.get_or_create(&label).inc();
                feed.metrics
                    .samples
                    .get_or_create(&label)
                    .inc_by(batch.samples.len() as u64);
                feed.metrics.source_up.get_or_create(&label).set(i64::from(bad == 0));
                if bad > 0 {
                    let reason = ByReason {
                        source: source.clone(),
                        reason: "no_answer",
                    };
                    feed.metrics.bad_input.get_or_create(&reason).inc_by(bad as u64);
                }
                let _ = feed.inbox.send(Input::Batch(batch)).await;
            }
        })
    }
}
