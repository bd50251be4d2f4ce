//! Asks a database server how it stands in its replication: `PostgreSQL`, Redis, `MariaDB`.

use std::time::Duration;

use super::gtid::Changes;
use super::{Kind, Member};
use crate::client::program::{Program, Stdin, argv};
use crate::client::psql;
use crate::client::resp::{Connection, Login, Reply, info};

/// How one server stands.
#[derive(Debug, Clone, PartialEq)]
#[allow(
    clippy::struct_excessive_bools,
    reason = "what a server says of itself: none of it follows from the rest"
)]
pub struct Standing {
    /// It is the primary.
    pub primary: bool,
    /// A primary that refuses writes all the same: it is fenced.
    pub fenced: bool,
    /// A primary: what it has written. A standby: what it has received; what it has applied, if it is halted. In one log of changes.
    pub position: u64,
    /// Names the log of changes: a cluster's identifier, a replication id. Empty where nothing names it.
    pub log: String,
    /// Which changes it has, by whom they were made, where the database tells.
    pub changes: Changes,
    /// A standby: it receives from a primary now.
    pub attached: bool,
    /// A standby: it does not apply what it receives, or stops at some point. Whoever promotes it may lose what it has only received, or waits for it.
    pub halted: bool,
    /// A standby: seconds since the last change that it has applied was made, as it says itself.
    pub age_s: Option<f64>,
    /// A primary: the standbys without which nothing is committed.
    pub sync: Vec<String>,
}

/// One question.
pub async fn ask(kind: Kind, member: &Member, limit: Duration) -> Result<Standing, String> {
    match kind {
        Kind::Postgres => postgres(member, limit).await,
        Kind::Redis => redis(member, limit).await,
        Kind::Mariadb => mariadb(member, limit).await,
    }
}

/// Of several standbys that any one of may confirm none is known to have everything. Confirmation in memory only is none. That a standby has applied all that it has
/// received tells its age only while it receives. Who may not see the state of the receiver sees that there is one.
/// A standby with a recovery target is promoted as it is at that target, whatever it has received beyond.
const POSTGRES: &str = "WITH r AS (SELECT count(*) > 0 AS receives FROM pg_stat_wal_receiver WHERE coalesce(status, 'streaming') = 'streaming'),
 h AS (SELECT CASE WHEN pg_is_in_recovery() THEN pg_is_wal_replay_paused() OR EXISTS (SELECT FROM pg_settings WHERE name IN
 ('recovery_target', 'recovery_target_lsn', 'recovery_target_name', 'recovery_target_time', 'recovery_target_xid') AND setting <> '') ELSE false END AS halted)
 SELECT pg_is_in_recovery(),
 CASE WHEN halted THEN pg_wal_lsn_diff(pg_last_wal_replay_lsn(), '0/0')
 WHEN pg_is_in_recovery() THEN pg_wal_lsn_diff(greatest(pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()), '0/0')
 ELSE pg_wal_lsn_diff(pg_current_wal_lsn(), '0/0') END,
 CASE WHEN receives AND pg_last_wal_receive_lsn() = pg_last_wal_replay_lsn() THEN 0 ELSE extract(epoch FROM now() - pg_last_xact_replay_timestamp()) END,
 CASE WHEN current_setting('synchronous_commit') IN ('on', 'remote_apply') THEN
 (SELECT string_agg(application_name, ',') FROM pg_stat_replication WHERE state = 'streaming' AND (sync_state = 'sync' OR (sync_state = 'quorum' AND
 (SELECT count(*) FROM pg_stat_replication WHERE sync_state = 'quorum') = 1))) END,
 receives, (SELECT system_identifier FROM pg_control_system()), halted FROM r, h;";

async fn postgres(member: &Member, limit: Duration) -> Result<Standing, String> {
    let answer = psql::ask(&member.dsn, &[], POSTGRES, limit)
        .await
        .map_err(|e| e.to_string())?;
    read_postgres(&answer).ok_or_else(|| format!("an answer to another question: {answer}"))
}

fn read_postgres(answer: &str) -> Option<Standing> {
    let fields: Vec<&str> = answer.split('|').collect();
    let [standby, position, age, sync, receives, system, halted] = fields.as_slice() else {
        return None;
    };
    Some(Standing {
        primary: *standby == "f",
        fenced: false,
        position: position.parse().ok()?,
        // A standby does not always know its timeline; a switch is seen by another server being the primary, and who left it by not receiving.
        log: (*system).to_owned(),
        changes: Changes::default(),
        attached: *receives == "t",
        halted: *halted == "t",
        age_s: age.parse().ok(),
        sync: sync
            .split(',')
            .filter(|name| !name.is_empty())
            .map(str::to_owned)
            .collect(),
    })
}

async fn redis(member: &Member, limit: Duration) -> Result<Standing, String> {
    let login = Login::of(&member.user, member.password_file.as_ref(), &member.tls);
    let open = Connection::open(&member.address, &login, limit).await;
    let mut connection = open.map_err(|e| e.to_string())?;
    let answer = connection.command(&["INFO", "replication"]).await;
    let text = answer.map_err(|e| e.to_string())?.text()?;
    let mut standing = read_redis(&text).ok_or("INFO replication tells no offset")?;
    if standing.primary {
        // Who may not ask for the setting takes it for a primary that takes writes: the worse of the two.
        let set = connection.command(&["CONFIG", "GET", "min-replicas-to-write"]).await;
        standing.fenced = set.is_ok_and(|set| refuses_writes(&text, &set));
    }
    Ok(standing)
}

/// It wants more replicas than it has before it takes a write.
fn refuses_writes(text: &str, set: &Reply) -> bool {
    let Reply::List(pair) = set else {
        return false;
    };
    let Some(Reply::Text(wanted)) = pair.get(1) else {
        return false;
    };
    let has = info(text, "connected_slaves").and_then(|has| has.parse::<u64>().ok());
    matches!((has, wanted.parse::<u64>()), (Some(has), Ok(wanted)) if has < wanted)
}

fn read_redis(text: &str) -> Option<Standing> {
    let primary = info(text, "role")? == "master";
    let offset = if primary {
        "master_repl_offset"
    } else {
        "slave_repl_offset"
    };
    Some(Standing {
        primary,
        fenced: false,
        position: info(text, offset)?.parse().ok()?,
        log: info(text, "master_replid").unwrap_or_default().to_owned(),
        changes: Changes::default(),
        attached: info(text, "master_link_status").is_some_and(|status| status == "up"),
        halted: false,
        age_s: None,
        sync: Vec::new(),
    })
}

async fn mariadb(member: &Member, limit: Duration) -> Result<Standing, String> {
    let (host, port) = member.address.rsplit_once(':').unwrap_or((&member.address, "3306"));
    let mut command = argv(["mariadb"]);
    if let Some(file) = &member.defaults_file {
        command.push(format!("--defaults-extra-file={}", file.display()));
    }
    let seconds = limit.as_secs().max(1);
    command.extend([
        format!("--host={host}"),
        format!("--port={port}"),
        "--protocol=tcp".into(),
        format!("--connect-timeout={seconds}"),
    ]);
    if !member.user.is_empty() {
        command.push(format!("--user={}", member.user));
    }
    command.extend(argv([
        "--batch",
        "-e",
        "SELECT 'at' AS what, @@read_only, @@gtid_binlog_pos, @@server_id, @@gtid_binlog_state, @@gtid_slave_pos; SHOW ALL SLAVES STATUS\\G",
    ]));
    let program = Program {
        argv: &command,
        env: Vec::new(),
        pass: &[],
        stdin: Stdin::Nothing,
        limit,
    };
    let answer = program.run().await.good()?;
    read_mariadb(&answer).ok_or_else(|| "no position in the answer".into())
}

/// `0-1-100,1-1-5`: how many changes of all domains.
fn gtid(position: &str) -> Option<u64> {
    let mut sum: u64 = 0;
    for part in position.split(',').map(str::trim).filter(|part| !part.is_empty()) {
        sum = sum.checked_add(part.rsplit('-').next()?.parse().ok()?)?;
    }
    Some(sum)
}

fn read_mariadb(answer: &str) -> Option<Standing> {
    let mut first = answer.lines().find_map(|line| line.strip_prefix("at\t"))?.split('\t');
    let read_only = first.next()? != "0";
    let mut field = || first.next().unwrap_or_default();
    let written = field();
    let value = |name: &str| {
        answer
            .lines()
            .find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))
            .map(str::trim)
    };
    let received = value("Gtid_IO_Pos");
    let primary = !read_only && received.is_none();
    // The thread that receives goes on where the one that applies was stopped, or has met a change that does not fit.
    let halted = received.is_some() && value("Slave_SQL_Running") == Some("No");
    let position = match received {
        _ if primary => written,
        Some(_) if halted => value("Gtid_Slave_Pos").unwrap_or_default(),
        Some(received) => received,
        None => written,
    };
    Some(Standing {
        primary,
        fenced: false,
        position: gtid(position)?,
        log: String::new(),
        changes: Changes::read(field(), field(), field()),
        attached: value("Slave_IO_Running") == Some("Yes"),
        halted,
        age_s: value("Seconds_Behind_Master").and_then(|s| s.parse().ok()),
        sync: Vec::new(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn answers_of_postgres_are_read() {
        let primary = read_postgres("f|50331648||b|f|7|f").unwrap();
        assert!(primary.primary && primary.position == 50_331_648 && primary.sync == ["b"]);
        let standby = read_postgres("t|50331648|0.25||t|7|f").unwrap();
        assert!(!standby.primary && standby.age_s == Some(0.25) && standby.sync.is_empty());
        assert!(standby.attached && !primary.attached && standby.log == "7");
        assert!(!standby.halted && read_postgres("t|50331648|9||t|7|t").unwrap().halted);
        assert_eq!(read_postgres("t"), None);
    }

    #[test]
    fn answers_of_mariadb_are_read() {
        let primary = read_mariadb("what\t@@read_only\t@@gtid_binlog_pos\nat\t0\t0-1-100,2-1-5\n").unwrap();
        assert!(primary.primary && primary.position == 105);
        let text = "at\t1\t0-1-90\n*** 1. row ***\n     Seconds_Behind_Master: 3\n   Gtid_IO_Pos: 0-1-98\n";
        let standby = read_mariadb(text).unwrap();
        assert!(!standby.primary && standby.position == 98 && standby.age_s == Some(3.0));
        assert_eq!(read_mariadb(""), None);
        let stopped = format!("{text}   Slave_IO_Running: Yes\n   Slave_SQL_Running: No\n   Gtid_Slave_Pos: 0-1-90\n");
        let stopped = read_mariadb(&stopped).unwrap();
        assert!(stopped.halted && stopped.attached && stopped.position == 90);
    }

    #[test]
    fn a_redis_tells_its_offset_by_its_role() {
        let text = "role:slave\r\nslave_repl_offset:7\r\nmaster_replid:x\r\nmaster_repl_offset:9\r\n";
        assert_eq!(read_redis(text).map(|s| (s.primary, s.position)), Some((false, 7)));
    }

    #[test]
    fn a_redis_that_wants_more_replicas_than_it_has_takes_no_writes() {
        let set = |wanted: &str| {
            Reply::List(vec![
                Reply::Text("min-replicas-to-write".into()),
                Reply::Text(wanted.into()),
            ])
        };
        let text = "role:master\r\nconnected_slaves:1\r\n";
        assert!(refuses_writes(text, &set("2")));
        assert!(!refuses_writes(text, &set("1")) && !refuses_writes(text, &set("0")));
        assert!(!refuses_writes(text, &Reply::Error("NOPERM".into())));
    }
}
