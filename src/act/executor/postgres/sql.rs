//! What is said to a `PostgreSQL` server in SQL.

use std::time::Duration;

use tokio::time::Instant;

use super::{LOOKS, With};
use crate::act::executor::Call;
use crate::act::executor::tool::Tools;
use crate::act::executor::wait::Looks;
use crate::act::runner::{Applied, Effect};
use crate::client::psql::{self, Failed};
use crate::model::Token;

/// Whoever commands a server holds this lock: two commands never mix. The number is ours and means nothing.
const LOCK: &str = "SET lock_timeout = :patience;\nSELECT pg_advisory_lock(7481246) \\g /dev/null\n";

/// The kept token; `0.0` if none was ever kept.
const KEPT: &str = "SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = 'jurymast.token' ORDER BY seqno DESC LIMIT 1), '0.0') \
                    AS kept \\gset\n";

/// Ends the script if a higher token is kept there; keeps ours otherwise. `set_config` makes the name known, so that it can be kept.
const COMPARE: &str =
    "SELECT string_to_array(:'kept', '.')::bigint[] > string_to_array(:'token', '.')::bigint[] AS stale \\gset
\\if :stale
\\echo stale :kept
\\q
\\endif
SELECT set_config('jurymast.token', :'token', false) \\g /dev/null
ALTER SYSTEM SET jurymast.token = :'token';
";

/// Another manager that is connected promotes by itself: it is never gone round.
const MANAGED: &str = "SELECT coalesce(string_agg(DISTINCT application_name, ', '), '') AS manager, count(*) > 0 AS managed \
                       FROM pg_stat_activity WHERE application_name ~* '^(patroni|repmgrd|pg_autoctl|pg_auto_failover)' \\gset
\\if :managed
\\echo managed :manager
\\q
\\endif
";

/// One that stands at a recovery target is promoted as it is there: what it has received beyond, which others may have been told is safe, would be lost.
const HALTED: &str = "SELECT coalesce(CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() AND pg_last_wal_receive_lsn() > pg_last_wal_replay_lsn()
 AND EXISTS (SELECT FROM pg_settings WHERE name IN ('recovery_target', 'recovery_target_lsn', 'recovery_target_name', 'recovery_target_time',
 'recovery_target_xid') AND setting <> '') END, false) AS halted \\gset
\\if :halted
\\echo halted
\\q
\\endif
";

/// It holds from the reload behind the promotion on: one before it would send the standby to its dead primary once more (see [`PROMOTE`]).
const ALONE: &str = "SELECT current_setting('synchronous_standby_names') <> '' AS waits \\gset
\\if :waits
ALTER SYSTEM SET synchronous_standby_names = '';
\\endif
";

/// `pg_promote` would look only ten times a second whether it is done; writers wait for each look. And a standby that is told to promote while it tries
/// to reach its primary sleeps `wal_retrieve_retry_interval` (5 s) out first, unless something wakes it: a reload does.
const PROMOTE: &str = "SELECT pg_is_in_recovery() AS standby \\gset
\\if :standby
SELECT set_config('jurymast.seconds', :'seconds', false) \\g /dev/null
SELECT pg_promote(false) \\g /dev/null
DO $$ DECLARE
 late timestamptz := clock_timestamp() + current_setting('jurymast.seconds')::float * interval '1 s';
 looks int := 0;
BEGIN
 WHILE pg_is_in_recovery() AND clock_timestamp() < late LOOP
  PERFORM pg_sleep(0.005);
  looks := looks + 1;
  IF looks % 20 = 5 THEN PERFORM pg_reload_conf(); END IF;
 END LOOP;
END $$;
\\endif
SELECT pg_reload_conf() \\g /dev/null
SELECT NOT pg_is_in_recovery() AS promoted \\gset
\\if :promoted
\\echo done
\\else
\\echo late
\\endif
";

/// How a server stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct State {
    /// It recovers: it takes no writes.
    pub standby: bool,
    /// The timeline that it receives from its primary right now.
    pub receives: Option<u32>,
    /// The token that it keeps, where we may see it.
    pub token: Option<Token>,
}

/// Reads `E.S`.
pub fn token(text: &str) -> Option<Token> {
    let (epoch, seq) = text.trim().split_once('.')?;
    Some(Token {
        epoch: epoch.parse().ok()?,
        seq: seq.parse().ok()?,
    })
}

/// Asks how it stands.
pub async fn state(dsn: &str, limit: Duration) -> Result<State, Failed> {
    let sql = format!(
        "{KEPT}SELECT pg_is_in_recovery(), coalesce((SELECT received_tli FROM pg_stat_wal_receiver WHERE status = 'streaming'), 0), :'kept';"
    );
    let answer = psql::ask(dsn, &[], &sql, limit).await?;
    let mut fields = answer.split('|');
    let standby = fields.next() == Some("t");
    let received = fields.next().and_then(|timeline| timeline.parse().ok());
    Ok(State {
        standby,
        receives: received.filter(|timeline| *timeline > 0),
        token: fields.next().and_then(token),
    })
}

/// Asks a primary which timeline it writes. Not its control file: that knows of a promotion only once a checkpoint has been made.
pub async fn timeline(dsn: &str, limit: Duration) -> Result<Option<u32>, Failed> {
    let sql = "SELECT substr(pg_walfile_name(pg_current_wal_lsn()), 1, 8);";
    let answer = psql::ask(dsn, &[], sql, limit).await?;
    Ok(u32::from_str_radix(answer.trim(), 16).ok())
}

/// Runs a script that may have an effect.
pub async fn run(
    tools: &Tools,
    call: &Call<'_>,
    dsn: &str,
    variables: &[(&str, &str)],
    sql: &str,
) -> Result<String, Failed> {
    let token = call.token.to_string();
    let patience = (call.timeout.as_millis() / 2).max(1).to_string();
    let seconds = call.timeout.as_secs().max(1).to_string();
    let mut all = vec![
        ("token", token.as_str()),
        ("patience", patience.as_str()),
        ("seconds", seconds.as_str()),
    ];
    all.extend_from_slice(variables);
    let env = psql::environment(call.timeout, &format!("jurymast {token}"));
    psql::answer(
        tools
            .run_with(call, &psql::command(dsn, &all), &psql::script(sql), env, &["PG"])
            .await,
    )
}

/// What a script's last word means.
fn applied(call: &Call<'_>, said: Result<String, Failed>) -> Applied {
    let said = match said {
        Ok(said) => said,
        Err(Failed::NoConnection(why)) => return Applied::NoEffect(why),
        // A statement before the one that counts may have been refused, or that one: the look tells.
        Err(Failed::Refused(why) | Failed::Lost(why)) => return Applied::Unknown(why),
    };
    let last = said.lines().last().unwrap_or_default();
    match last.split_once(' ').unwrap_or((last, "")) {
        ("done", _) => Applied::Done,
        ("stale", kept) => Applied::NoEffect(format!(
            "it has been commanded with token {kept}, ours is {}: another agent acts, or data_dir was lost (then: ALTER SYSTEM RESET \
             jurymast.token)",
            call.token
        )),
        ("managed", by) => Applied::NoEffect(format!(
            "{by} manages it: use a playbook that asks it to switch, never go round it"
        )),
        ("halted", _) => Applied::NoEffect(
            "its replay stands at a recovery_target, and what it has received beyond would be lost: take recovery_target out of its settings, and start it anew"
                .to_owned(),
        ),
        _ => Applied::Unknown(format!("it says: {said}")),
    }
}

/// Makes it the primary.
pub async fn promote(tools: &Tools, call: &Call<'_>, with: &With) -> Applied {
    let alone = if with.alone { ALONE } else { "" };
    let sql = format!("{LOCK}{MANAGED}{HALTED}{KEPT}{COMPARE}{alone}{PROMOTE}");
    applied(call, run(tools, call, &with.dsn, &[], &sql).await)
}

/// Keeps our token there, if no higher one is kept.
pub async fn seal(tools: &Tools, call: &Call<'_>, dsn: &str) -> Applied {
    let sql = format!("{LOCK}{KEPT}{COMPARE}\\echo done");
    applied(call, run(tools, call, dsn, &[], &sql).await)
}

/// Does that standby stream from it?
async fn is_streamed_by(call: &Call<'_>, with: &With) -> bool {
    let sql = "SELECT count(*) > 0 FROM pg_stat_replication WHERE state = 'streaming' AND application_name = :'name';";
    let answer = psql::ask(&with.dsn, &[("name", &with.name)], sql, call.timeout).await;
    answer.as_deref() == Ok("t")
}

/// Changes a setting for good.
pub async fn set(tools: &Tools, call: &Call<'_>, with: &With) -> Applied {
    let mut looks = Looks::new(Instant::now() + call.timeout, LOOKS);
    while !with.name.is_empty() {
        if looks.next().await.is_none() {
            return Applied::NoEffect(format!(
                "{} does not stream: whatever waits for it would wait for ever",
                with.name
            ));
        }
        if is_streamed_by(call, with).await {
            break;
        }
    }
    let sql = format!(
        "{LOCK}{KEPT}{COMPARE}ALTER SYSTEM SET :\"setting\" = :'value';\nSELECT pg_reload_conf() \\g /dev/null\n\\echo done"
    );
    let variables = [("setting", with.setting.as_str()), ("value", with.value.as_str())];
    applied(call, run(tools, call, &with.dsn, &variables, &sql).await)
}

/// Is it set?
pub async fn is_set(call: &Call<'_>, with: &With) -> Effect {
    let sql = "SELECT coalesce((SELECT setting FROM pg_file_settings WHERE name = :'setting' ORDER BY seqno DESC LIMIT 1), '') = :'value';";
    let variables = [("setting", with.setting.as_str()), ("value", with.value.as_str())];
    match psql::ask(&with.dsn, &variables, sql, call.timeout).await.as_deref() {
        Ok("t") => Effect::There,
        Ok("f") => Effect::NotThere,
        _ => Effect::Unknown,
    }
}

/// A message in the log of changes: written, flushed and, where that is asked for, replicated, without a table of ours.
pub async fn prove(tools: &Tools, call: &Call<'_>, with: &With) -> Applied {
    let sql = "SELECT pg_logical_emit_message(true, 'jurymast', :'token') \\g /dev/null\n\\echo done";
    match applied(call, run(tools, call, &with.dsn, &[], sql).await) {
        // It has left nothing that matters.
        Applied::Unknown(why) => Applied::NoEffect(format!("it took no write: {why}")),
        other => other,
    }
}
