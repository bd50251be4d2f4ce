//! restic and borg: `restore` of the newest verified snapshot into a folder, `put_back` of what was there before.
//!
//! A restore goes into a folder beside the target, is checked there, and takes the target's place by a rename: nobody ever starts on half of it. What was
//! there before is kept as `TARGET.before-TOKEN`. What came of it stands in `TARGET.jurymast.json`: the snapshot, how old its data was (the measured RPO),
//! how much and how long.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::tool::{Place, Tools};
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::backup::{Kind, Repository, Snapshot, Tests};
use crate::client::program::{Ended, argv};
use crate::clock::wall_clock;
use crate::model::Span;

/// How often progress is told.
const PROGRESS: Duration = Duration::from_secs(2);

/// See the module.
pub struct Backup {
    kind: Kind,
    tools: Tools,
}

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    #[serde(default)]
    repository: String,
    #[serde(default)]
    password_file: String,
    /// `verified` (the newest that a test restore has proven), `latest`, or an id.
    #[serde(default = "verified")]
    snapshot: String,
    /// Where test restores are kept; the same as in `sources.backup`.
    #[serde(default)]
    tests: PathBuf,
    /// Older data is not restored.
    #[serde(default)]
    rpo: Option<Span>,
    /// The folder inside the snapshot that becomes the target; all of it if empty.
    #[serde(default)]
    path: String,
    /// The folder that is to hold the data.
    target: String,
    /// Must end well for what was restored to be taken; `{}` stands for the folder.
    #[serde(default)]
    check: Vec<String>,
    /// Where the target is.
    #[serde(default)]
    at: Place,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Restore,
    PutBack,
}

fn verified() -> String {
    "verified".into()
}

impl With {
    fn checked(with: &Map<String, Value>, kind: Kind) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        with.at.check()?;
        if !with.target.starts_with('/') || with.target.trim_matches('/').is_empty() || with.target.ends_with('/') {
            return Err(format!("target '{}' is not the whole path of a folder", with.target));
        }
        if with.path.split('/').any(|part| part == "..") {
            return Err(format!("path '{}' leads out of the snapshot", with.path));
        }
        if with.verb == Verb::Restore {
            with.repository(kind).check()?;
            if with.snapshot == "verified" && with.tests.as_os_str().is_empty() {
                return Err("snapshot: verified needs tests, the file of sources.backup that tells which are".into());
            }
        }
        Ok(with)
    }

    fn repository(&self, kind: Kind) -> Repository<'_> {
        Repository {
            kind,
            at: &self.repository,
            password_file: &self.password_file,
            path: "",
        }
    }

    fn note(&self) -> String {
        format!("{}.jurymast.json", self.target)
    }

    fn before(&self, call: &Call<'_>) -> String {
        format!("{}.before-{}", self.target, call.token)
    }
}

/// One call: its programs run where the target is.
struct Job<'a> {
    tools: &'a Tools,
    call: &'a Call<'a>,
    with: &'a With,
    kind: Kind,
    until: Instant,
}

impl Job<'_> {
    fn left(&self) -> Duration {
        self.until
            .saturating_duration_since(Instant::now())
            .max(Duration::from_millis(100))
    }

    async fn run(&self, command: &[String], text: &str) -> Result<String, String> {
        let call = Call {
            timeout: self.left(),
            ..*self.call
        };
        let there = self.with.at.command(command);
        let pass = ["RESTIC_", "BORG_", "AWS_", "B2_", "RCLONE_"];
        self.tools.run_with(&call, &there, text, Vec::new(), &pass).await.good()
    }

    async fn look(&self, command: &[String]) -> Ended {
        self.tools.look(&self.with.at.command(command), self.left()).await
    }

    async fn is_there(&self, path: &str) -> Result<bool, String> {
        match self.look(&argv(["test", "-e", path])).await {
            Ended::Exited { code: 0, .. } => Ok(true),
            Ended::Exited { code: 1, .. } => Ok(false),
            other => Err(other.to_string()),
        }
    }

    /// The note of an earlier restore; `None` if there is none.
    async fn note(&self) -> Result<Option<Value>, String> {
        let note = self.with.note();
        if !self.is_there(&note).await? {
            return Ok(None);
        }
        let text = self.look(&argv(["cat", &note])).await.good()?;
        Ok(serde_json::from_str(&text).ok())
    }

    async fn choose(&self) -> Result<Snapshot, String> {
        let repository = self.with.repository(self.kind);
        let snapshots = repository.read_list(&self.look(&repository.list()).await.good()?)?;
        let found = match self.with.snapshot.as_str() {
            "verified" => Tests::read(&self.with.tests)?.newest(&snapshots),
            "latest" => snapshots.last(),
            id => snapshots.iter().find(|snapshot| snapshot.id.starts_with(id)),
        };
        let found = found
            .cloned()
            .ok_or_else(|| format!("of {} snapshots none is {}", snapshots.len(), self.with.snapshot))?;
        let age = Span(wall_clock().since(found.made));
        match self.with.rpo {
            Some(rpo) if age > rpo => Err(format!("snapshot {} is {age} old, the RPO is {rpo}", found.id)),
            _ => Ok(found),
        }
    }

    async fn bytes_of(&self, folder: &str) -> Option<u64> {
        let said = self
            .tools
            .look(&self.with.at.command(&argv(["du", "-sb", folder])), PROGRESS * 5)
            .await;
        said.good().ok()?.split_whitespace().next()?.parse().ok()
    }

    async fn tell_progress(&self, staging: &str, all: Option<u64>) {
        loop {
            tokio::time::sleep(PROGRESS).await;
            let bytes = self.bytes_of(staging).await.unwrap_or_default();
            let percent = all.filter(|all| *all > 0).map(|all| bytes * 100 / all);
            tracing::info!(plan = %self.call.plan, bytes, of = all, percent, "restoring");
        }
    }

    /// Is there a snapshot to be restored, and what is wanted inside it?
    async fn foresee(&self) -> Result<(), String> {
        let snapshot = self.choose().await?;
        let wanted = self.with.path.trim_matches('/');
        if wanted.is_empty() {
            return Ok(());
        }
        let repository = self.with.repository(self.kind);
        let listed = self.look(&repository.inside(&snapshot.id, wanted)).await;
        let missing = format!("there is no '{wanted}' in snapshot {} (snapshot_path)", snapshot.id);
        match listed {
            Ended::Exited { out, .. } if repository.read_inside(&out, wanted) => Ok(()),
            Ended::Exited { code: 0, .. } => Err(missing),
            other => Err(format!("{missing}: {other}")),
        }
    }

    /// Where this very step restores to.
    fn staging(&self) -> String {
        let key = crc32fast::hash(self.call.key.as_bytes());
        format!("{}.jurymast-{key:08x}", self.with.target)
    }

    /// A restore that has not touched the target leaves nothing behind: half a copy for each try would fill the disk that the next one needs.
    async fn restore_or_tidy(&self) -> Result<(), (bool, String)> {
        let done = self.restore().await;
        if matches!(done, Err((false, _))) {
            let _ = self.run(&argv(["rm", "-rf", "--", &self.staging()]), "").await;
        }
        done
    }

    /// `Err((begun, why))`: whether the target may have been touched.
    async fn restore(&self) -> Result<(), (bool, String)> {
        let begin = Instant::now();
        let before = |why: String| (false, why);
        if let Some(token) = self.note().await.map_err(before)?.as_ref().and_then(kept)
            && token > (self.call.token.epoch, self.call.token.seq)
        {
            return Err((
                false,
                format!(
                    "it was restored with token {}.{}, ours is {}",
                    token.0, token.1, self.call.token
                ),
            ));
        }
        let snapshot = self.choose().await.map_err(before)?;
        let repository = self.with.repository(self.kind);
        let all = self.look(&repository.size(&snapshot.id)).await.good().ok();
        let all = all.and_then(|answer| repository.read_size(&answer));
        let staging = self.staging();
        // What an earlier try of this very step has left.
        self.run(&argv(["rm", "-rf", "--", &staging]), "")
            .await
            .map_err(before)?;
        self.run(&argv(["mkdir", "-p", "--", &staging]), "")
            .await
            .map_err(before)?;
        tracing::info!(plan = %self.call.plan, snapshot = snapshot.id, made = %snapshot.made, bytes = all, "restoring");
        let command = repository.restore(&snapshot.id, &staging);
        let restored = tokio::select! {
            ended = self.run(&command, "") => ended,
            () = self.tell_progress(&staging, all) => Ok(String::new()),
        };
        restored.map_err(before)?;
        let inside = match self.with.path.trim_matches('/') {
            "" => staging.clone(),
            path => format!("{staging}/{path}"),
        };
        if !self.is_there(&inside).await.map_err(before)? {
            return Err((false, format!("snapshot {} holds no {}", snapshot.id, self.with.path)));
        }
        if !self.with.check.is_empty() {
            let check: Vec<String> = self.with.check.iter().map(|word| word.replace("{}", &inside)).collect();
            let good = self.run(&check, "").await;
            good.map_err(|why| (false, format!("what was restored is not good: {why}")))?;
        }
        let bytes = self.bytes_of(&inside).await.unwrap_or_default();
        let age = wall_clock().since(snapshot.made);
        let note = json!({
            "key": self.call.key, "plan": self.call.plan, "epoch": self.call.token.epoch, "seq": self.call.token.seq,
            "snapshot": snapshot.id, "made": snapshot.made, "rpo_seconds": age.as_secs_f64(), "bytes": bytes,
            "seconds": begin.elapsed().as_secs_f64(),
        });
        let touched = |why: String| (true, why);
        if self.is_there(&self.with.target).await.map_err(before)? {
            let aside = self.with.before(self.call);
            self.run(&argv(["mv", "-T", "--", &self.with.target, &aside]), "")
                .await
                .map_err(touched)?;
        }
        self.run(&argv(["mv", "-T", "--", &inside, &self.with.target]), "")
            .await
            .map_err(touched)?;
        self.run(&argv(["tee", &self.with.note()]), &note.to_string())
            .await
            .map_err(touched)?;
        self.run(&argv(["sync", &self.with.note()]), "")
            .await
            .map_err(touched)?;
        let _ = self.run(&argv(["rm", "-rf", "--", &staging]), "").await;
        tracing::info!(plan = %self.call.plan, %note, "restored");
        Ok(())
    }

    async fn put_back(&self) -> Result<(), (bool, String)> {
        let before = |why: String| (false, why);
        let touched = |why: String| (true, why);
        if self.note().await.map_err(before)?.is_none() {
            return Ok(());
        }
        let (aside, undone) = (
            self.with.before(self.call),
            format!("{}.undone-{}", self.with.target, self.call.token),
        );
        if self.is_there(&self.with.target).await.map_err(before)? {
            self.run(&argv(["mv", "-T", "--", &self.with.target, &undone]), "")
                .await
                .map_err(touched)?;
        }
        if self.is_there(&aside).await.map_err(touched)? {
            self.run(&argv(["mv", "-T", "--", &aside, &self.with.target]), "")
                .await
                .map_err(touched)?;
        }
        self.run(&argv(["rm", "-f", "--", &self.with.note()]), "")
            .await
            .map_err(touched)
            .map(|_| ())
    }
}

fn kept(note: &Value) -> Option<(u64, u64)> {
    Some((note.get("epoch")?.as_u64()?, note.get("seq")?.as_u64()?))
}

impl Backup {
    /// With the stdin of running programs in the folder of these tools.
    pub const fn new(kind: Kind, tools: Tools) -> Self {
        Self { kind, tools }
    }

    fn job<'a>(&'a self, call: &'a Call<'a>, with: &'a With) -> Job<'a> {
        Job {
            tools: &self.tools,
            call,
            with,
            kind: self.kind,
            until: Instant::now() + call.timeout,
        }
    }
}

impl Executor for Backup {
    fn name(&self) -> &'static str {
        match self.kind {
            Kind::Restic => "restic",
            Kind::Borg => "borg",
        }
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with, self.kind).map(|_| ())
    }

    fn programs(&self, with: &Map<String, Value>) -> Vec<String> {
        let with = With::checked(with, self.kind);
        with.map_or_else(|_| Vec::new(), |with| with.at.begins(self.name()))
    }

    fn foresee<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(async move {
            let with = With::checked(call.with, self.kind)?;
            match with.verb {
                Verb::Restore => self.job(call, &with).foresee().await,
                Verb::PutBack => Ok(()),
            }
        })
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Compared
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            let with = match With::checked(call.with, self.kind) {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            let job = self.job(call, &with);
            let done = match with.verb {
                Verb::Restore => job.restore_or_tidy().await,
                Verb::PutBack => job.put_back().await,
            };
            match done {
                Ok(()) => Applied::Done,
                Err((false, why)) => Applied::NoEffect(why),
                Err((true, why)) => Applied::Unknown(why),
            }
        })
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with, self.kind) else {
                return Effect::Unknown;
            };
            let note = self.job(call, &with).note().await;
            match (with.verb, note) {
                (_, Err(_)) => Effect::Unknown,
                (Verb::Restore, Ok(Some(note))) if note.get("key").and_then(Value::as_str) == Some(call.key) => {
                    Effect::There
                }
                (Verb::Restore, Ok(_)) => Effect::NotThere,
                (Verb::PutBack, Ok(None)) => Effect::There,
                (Verb::PutBack, Ok(Some(_))) => Effect::NotThere,
            }
        })
    }

    fn settle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.tools.settle(call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_target_that_is_no_folder_of_its_own_is_refused() {
        let check = |with: Value| Backup::new(Kind::Restic, Tools::default()).check(with.as_object().unwrap());
        let with = |target: &str| json!({"do": "restore", "repository": "/r", "snapshot": "latest", "target": target});
        assert_eq!(check(with("/srv/app")), Ok(()));
        for target in ["/", "app", "//", "/srv/app/"] {
            assert!(check(with(target)).is_err_and(|e| e.contains("whole path")), "{target}");
        }
        let no_tests = json!({"do": "restore", "repository": "/r", "target": "/srv/app"});
        assert!(check(no_tests).is_err_and(|e| e.contains("tests")));
        let out = json!({"do": "restore", "repository": "/r", "snapshot": "latest", "target": "/srv/app", "path": "a/../../b"});
        assert!(check(out).is_err_and(|e| e.contains("leads out")));
    }
}
