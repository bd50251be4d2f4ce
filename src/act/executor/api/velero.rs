//! Velero: restores a backup by its custom resources. What it calls completed is not taken for restored: a phase with errors is a failure, and a playbook
//! that uses it should look at the data as well (`compare`, or the service's probe).

use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value, json};
use tokio::time::Instant;

use super::client::{Api, Failed, Request, sane};
use crate::act::BoxFuture;
use crate::act::executor::wait::Looks;
use crate::act::executor::{Call, Executor, TokenClass, parameters};
use crate::act::runner::{Applied, Effect};

/// Between two looks at a restore under way.
const LOOKS: Duration = Duration::from_millis(500);

/// See the module.
pub struct Velero;

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    api: Api,
    #[serde(default = "velero")]
    namespace: String,
    /// The backup; the newest one that is complete and has no errors, of that schedule, if `schedule` is given instead.
    #[serde(default)]
    backup: String,
    #[serde(default)]
    schedule: String,
}

fn velero() -> String {
    "velero".into()
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        with.api.check()?;
        sane("namespace", &with.namespace)?;
        match (with.backup.as_str(), with.schedule.as_str()) {
            ("", "") => Err("velero needs backup, or schedule".into()),
            ("", schedule) => sane("schedule", schedule),
            (backup, _) => sane("backup", backup),
        }?;
        Ok(with)
    }

    fn path(&self, what: &str) -> String {
        format!("/apis/velero.io/v1/namespaces/{}/{what}", self.namespace)
    }
}

/// The same for each try of the same step: a restore is never made twice.
fn name(call: &Call<'_>) -> String {
    let name: String = call
        .key
        .to_lowercase()
        .chars()
        .map(|c| if c.is_ascii_alphanumeric() { c } else { '-' })
        .take(200)
        .collect();
    format!("jurymast-{name}-{:08x}", crc32fast::hash(call.key.as_bytes()))
}

/// Complete, and without errors.
fn is_whole(object: &Value) -> bool {
    let errors = object
        .pointer("/status/errors")
        .and_then(Value::as_u64)
        .unwrap_or_default();
    object.pointer("/status/phase").and_then(Value::as_str) == Some("Completed") && errors == 0
}

fn newest<'a>(list: &'a Value, schedule: &str) -> Option<&'a str> {
    let of = |backup: &&Value| {
        let labels = backup.pointer("/metadata/labels");
        labels
            .and_then(|labels| labels.get("velero.io/schedule-name"))
            .and_then(Value::as_str)
            == Some(schedule)
    };
    let done = |backup: &&Value| {
        backup
            .pointer("/status/completionTimestamp")
            .and_then(Value::as_str)
            .map(str::to_owned)
    };
    let backups = list.get("items")?.as_array()?.iter();
    let best = backups.filter(of).filter(|backup| is_whole(backup)).max_by_key(done)?;
    best.pointer("/metadata/name")?.as_str()
}

/// How a restore stands. `Err` tells that it has failed for good.
fn judge(restore: &Value) -> Result<Effect, String> {
    match restore.pointer("/status/phase").and_then(Value::as_str) {
        Some("Completed") if is_whole(restore) => Ok(Effect::There),
        Some(
            phase @ ("Completed"
            | "PartiallyFailed"
            | "Failed"
            | "FailedValidation"
            | "WaitingForPluginOperationsPartiallyFailed"),
        ) => {
            let errors = restore.pointer("/status/errors").cloned().unwrap_or_default();
            Err(format!("Velero says {phase}, with {errors} errors"))
        }
        _ => Ok(Effect::NotThere),
    }
}

async fn apply(call: &Call<'_>) -> Applied {
    let until = Instant::now() + call.timeout;
    let with = match With::checked(call.with) {
        Ok(with) => with,
        Err(error) => return Applied::NoEffect(error),
    };
    let backup = if with.backup.is_empty() {
        let listed = with.api.send(Request::get(&with.path("backups")), call.timeout).await;
        match listed.map(|list| newest(&list, &with.schedule).map(str::to_owned)) {
            Ok(Some(backup)) => backup,
            Ok(None) => {
                return Applied::NoEffect(format!(
                    "no backup of schedule {} is complete and without errors",
                    with.schedule
                ));
            }
            Err(failed) => return Applied::NoEffect(failed.why()),
        }
    } else {
        match with
            .api
            .send(
                Request::get(&with.path(&format!("backups/{}", with.backup))),
                call.timeout,
            )
            .await
        {
            Ok(object) if is_whole(&object) => with.backup.clone(),
            Ok(_) => return Applied::NoEffect(format!("backup {} is not complete, or has errors", with.backup)),
            Err(failed) => return Applied::NoEffect(failed.why()),
        }
    };
    let body = json!({
        "apiVersion": "velero.io/v1",
        "kind": "Restore",
        "metadata": {"name": name(call), "annotations": {"jurymast.io/token": call.token.to_string()}},
        "spec": {"backupName": backup},
    });
    match with
        .api
        .send(Request::post(&with.path("restores"), body), call.timeout)
        .await
    {
        // Ours, from an earlier try.
        Ok(_) | Err(Failed::Refused(409, _)) => {}
        Err(failed) => return failed.into(),
    }
    let path = with.path(&format!("restores/{}", name(call)));
    let mut looks = Looks::new(until, LOOKS);
    while let Some(left) = looks.next().await {
        let Ok(restore) = with.api.send(Request::get(&path), left).await else {
            continue;
        };
        match judge(&restore) {
            Ok(Effect::There) => return Applied::Done,
            Ok(_) => {}
            Err(why) => return Applied::NoEffect(why),
        }
    }
    Applied::Unknown("the restore has not come to its end in time".into())
}

impl Executor for Velero {
    fn name(&self) -> &'static str {
        "velero"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Nowhere
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(apply(call))
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with) else {
                return Effect::Unknown;
            };
            let path = with.path(&format!("restores/{}", name(call)));
            match with.api.send(Request::get(&path), call.timeout).await {
                Ok(restore) => match judge(&restore) {
                    Ok(Effect::There) => Effect::There,
                    // It goes on by itself.
                    Ok(_) => Effect::Unknown,
                    Err(_) => Effect::NotThere,
                },
                Err(Failed::Refused(404, _)) => Effect::NotThere,
                Err(_) => Effect::Unknown,
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn completed_with_errors_is_not_restored() {
        let restore = |phase: &str, errors: u64| json!({"status": {"phase": phase, "errors": errors}});
        assert_eq!(judge(&restore("Completed", 0)), Ok(Effect::There));
        assert!(judge(&restore("Completed", 1)).is_err() && judge(&restore("PartiallyFailed", 3)).is_err());
        assert_eq!(judge(&restore("InProgress", 0)), Ok(Effect::NotThere));
    }

    #[test]
    fn the_newest_whole_backup_of_the_schedule_is_taken() {
        let backup = |name: &str, of: &str, phase: &str, done: &str| json!({"metadata": {"name": name, "labels": {"velero.io/schedule-name": of}}, "status": {"phase": phase, "completionTimestamp": done}});
        let list = json!({"items": [
            backup("old", "daily", "Completed", "2026-01-01T00:00:00Z"),
            backup("good", "daily", "Completed", "2026-01-02T00:00:00Z"),
            backup("torn", "daily", "PartiallyFailed", "2026-01-03T00:00:00Z"),
            backup("other", "weekly", "Completed", "2026-01-04T00:00:00Z"),
        ]});
        assert_eq!(newest(&list, "daily"), Some("good"));
        assert_eq!(newest(&list, "hourly"), None);
    }
}
