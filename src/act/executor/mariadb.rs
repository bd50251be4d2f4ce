//! `MariaDB` with GTIDs: `promote`, `fence`, `release`, `caught_up`, `follow`, `prove`, by the program `mariadb`.
//!
//! The token is kept in each server, in `mysql.jurymast_token`, which is not replicated: a stale command is refused there. Every server must have
//! `read_only=1` in its config file, so that whoever starts it again it takes no writes, and `log_slave_updates`. A user that may write in spite of
//! `read_only` is not stopped by this fence.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};
use tokio::time::Instant;

use super::replicated::{self, Unreachable, split};
use super::tool::Tools;
use super::wait::{Looks, Steady};
use super::{Call, Executor, TokenClass, parameters};
use crate::act::BoxFuture;
use crate::act::runner::{Applied, Effect};
use crate::client::program::{Ended, argv};
use crate::model::plan::PlanKind;

/// Between two looks at something that is to come.
const LOOKS: Duration = Duration::from_millis(100);

/// Where the token is kept: in this server alone.
const TABLE: &str = "SET SESSION sql_log_bin = 0;
CREATE TABLE IF NOT EXISTS mysql.jurymast_token (one TINYINT PRIMARY KEY, epoch BIGINT UNSIGNED NOT NULL, seq BIGINT UNSIGNED NOT NULL) ENGINE=Aria TRANSACTIONAL=1;
";

/// See the module.
pub struct Mariadb {
    tools: Tools,
}

/// Parameters.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    #[serde(rename = "do")]
    verb: Verb,
    /// `host:port`.
    address: String,
    #[serde(default)]
    user: String,
    /// An option file with the password.
    #[serde(default)]
    defaults_file: String,
    /// `failover` or `failback`.
    #[serde(default = "replicated::broken")]
    kind: PlanKind,
    /// `fence`: what to think of a server that nobody can reach: `fail` or `ok`.
    #[serde(default)]
    unreachable: Unreachable,
    /// `follow`, `caught_up`: the primary, `host:port`.
    #[serde(default)]
    primary: String,
    /// `follow`: as whom it replicates.
    #[serde(default)]
    replication_user: String,
    /// `follow`: the file of that user's password.
    #[serde(default)]
    replication_password_file: Option<PathBuf>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Verb {
    Promote,
    Fence,
    Release,
    CaughtUp,
    Follow,
    Prove,
}

/// Why there is no answer.
enum Failed {
    /// There was no connection: nothing was done.
    NoConnection(String),
    /// Something may have been done.
    Unknown(String),
}

/// How a server stands.
#[derive(Debug, Default, PartialEq, Eq)]
struct State {
    read_only: bool,
    /// It has been told to follow somebody.
    follows: bool,
    /// Both of its threads run.
    runs: bool,
    /// What it has received.
    received: String,
}

impl State {
    fn of(answer: &str) -> Option<Self> {
        let line = answer.lines().find_map(|line| line.strip_prefix("at\t"))?;
        let value = |name: &str| {
            let value = answer
                .lines()
                .find_map(|line| line.trim_start().strip_prefix(name)?.strip_prefix(':'))?;
            Some(value.trim().to_owned())
        };
        let yes = |name: &str| value(name).as_deref() == Some("Yes");
        Some(Self {
            read_only: line.split('\t').next()? != "0",
            follows: value("Slave_IO_Running").is_some(),
            runs: yes("Slave_IO_Running") && yes("Slave_SQL_Running"),
            received: value("Gtid_IO_Pos").unwrap_or_default(),
        })
    }
}

fn text(value: &str) -> String {
    format!("'{}'", value.replace('\\', "\\\\").replace('\'', "''"))
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        split(&with.address)?;
        if matches!(with.verb, Verb::Follow | Verb::CaughtUp) {
            split(&with.primary)?;
        }
        if with.verb == Verb::Follow && with.replication_user.is_empty() {
            return Err("follow needs replication_user".into());
        }
        Ok(with)
    }

    fn command(&self, address: &str, limit: Duration) -> Vec<String> {
        let (host, port) = split(address).unwrap_or((address, 3306));
        let mut command = argv(["mariadb"]);
        if self.defaults_file.is_empty() {
            command.push("--no-defaults".into());
        } else {
            command.push(format!("--defaults-file={}", self.defaults_file));
        }
        command.extend([
            format!("--host={host}"),
            format!("--port={port}"),
            format!("--connect-timeout={}", limit.as_secs().max(1)),
        ]);
        command.extend(argv(["--protocol=tcp", "--batch", "--unbuffered"]));
        if !self.user.is_empty() {
            command.push(format!("--user={}", self.user));
        }
        command
    }
}

/// A block that does `then` unless a higher token is kept.
fn guarded(call: &Call<'_>, then: &str) -> String {
    let (epoch, seq) = (call.token.epoch, call.token.seq);
    let patience = (call.timeout.as_secs() / 2).max(1);
    format!(
        "{TABLE}DELIMITER //
BEGIN NOT ATOMIC
 DECLARE e, s BIGINT UNSIGNED DEFAULT 0;
 IF GET_LOCK('jurymast', {patience}) <> 1 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'another command is under way'; END IF;
 SELECT coalesce(max(epoch), 0), coalesce(max(seq), 0) INTO e, s FROM mysql.jurymast_token;
 IF e > {epoch} OR (e = {epoch} AND s > {seq}) THEN
  SELECT concat('stale ', e, '.', s);
 ELSE
  REPLACE INTO mysql.jurymast_token VALUES (1, {epoch}, {seq});
  {then}
  SELECT 'done';
 END IF;
 DO RELEASE_LOCK('jurymast');
END //
"
    )
}

fn answered(ended: Ended) -> Result<String, Failed> {
    match ended {
        Ended::Exited { code: 0, out, .. } => Ok(out),
        // Client errors 2002 to 2005: no connection was made.
        Ended::Exited { said, .. }
            if ["ERROR 2002", "ERROR 2003", "ERROR 2005", "ERROR 1045"]
                .iter()
                .any(|e| said.starts_with(e)) =>
        {
            Err(Failed::NoConnection(said))
        }
        Ended::NotStarted(why) => Err(Failed::NoConnection(why)),
        other => Err(Failed::Unknown(other.to_string())),
    }
}

fn applied(call: &Call<'_>, said: Result<String, Failed>) -> Applied {
    match said {
        Ok(out) if out.lines().any(|line| line == "done") => Applied::Done,
        Ok(out) => match out.lines().find_map(|line| line.strip_prefix("stale ")) {
            Some(kept) => Applied::NoEffect(format!(
                "it has been commanded with token {kept}, ours is {}: another agent acts, or data_dir was lost (then: DELETE FROM mysql.jurymast_token)",
                call.token
            )),
            None => Applied::Unknown(out),
        },
        Err(Failed::NoConnection(why)) => Applied::NoEffect(why),
        Err(Failed::Unknown(why)) => Applied::Unknown(why),
    }
}

impl Mariadb {
    /// With the stdin of running programs in the folder of these tools.
    pub const fn new(tools: Tools) -> Self {
        Self { tools }
    }

    async fn run(&self, call: &Call<'_>, with: &With, sql: &str) -> Result<String, Failed> {
        answered(
            self.tools
                .run(call, &with.command(&with.address, call.timeout), sql)
                .await,
        )
    }

    async fn guarded(&self, call: &Call<'_>, with: &With, then: &str) -> Applied {
        applied(call, self.run(call, with, &guarded(call, then)).await)
    }

    async fn ask(&self, with: &With, address: &str, sql: &str, limit: Duration) -> Result<String, Failed> {
        let mut command = with.command(address, limit);
        command.extend(argv(["-e", sql]));
        answered(self.tools.look(&command, limit).await)
    }

    async fn state(&self, with: &With, limit: Duration) -> Result<State, Failed> {
        let sql = "SELECT 'at' AS what, @@read_only; SHOW ALL SLAVES STATUS\\G";
        let answer = self.ask(with, &with.address, sql, limit).await?;
        State::of(&answer).ok_or_else(|| Failed::Unknown("an answer to another question".into()))
    }

    /// What it has received is applied before it takes writes.
    async fn promote(&self, call: &Call<'_>, with: &With) -> Applied {
        let state = match self.state(with, call.timeout).await {
            Ok(state) => state,
            Err(Failed::NoConnection(why) | Failed::Unknown(why)) => return Applied::NoEffect(why),
        };
        let position: String = state
            .received
            .chars()
            .filter(|c| c.is_ascii_digit() || "-,".contains(*c))
            .collect();
        let seconds = (call.timeout.as_secs() / 2).max(1);
        let apply = if position.is_empty() {
            String::new()
        } else {
            format!(
                "IF MASTER_GTID_WAIT('{position}', {seconds}) <> 0 THEN SIGNAL SQLSTATE '45000' SET MESSAGE_TEXT = 'it has not applied all that it has received'; END IF;"
            )
        };
        let then = format!("{apply}\n  STOP ALL SLAVES;\n  RESET SLAVE ALL;\n  SET GLOBAL read_only = 0;");
        self.guarded(call, with, &then).await
    }

    async fn fence(&self, call: &Call<'_>, with: &With) -> Applied {
        let said = self.run(call, with, &guarded(call, "SET GLOBAL read_only = 1;")).await;
        let fenced = match said {
            Err(Failed::NoConnection(why)) => return with.unreachable.applied(call, why, Applied::NoEffect),
            said => applied(call, said),
        };
        if fenced == Applied::Done {
            // Whoever is connected would go on reading what is old. Those that follow are left alone.
            let sql = "SELECT concat('KILL ', id, ';') FROM information_schema.processlist WHERE id <> connection_id() AND command NOT IN ('Binlog Dump', 'Slave_IO', 'Slave_SQL', 'Daemon') AND user <> 'system user'";
            if let Ok(kills) = self.ask(with, &with.address, sql, call.timeout).await {
                let kills: String = kills
                    .lines()
                    .filter(|line| line.starts_with("KILL "))
                    .collect::<Vec<_>>()
                    .join("\n");
                let _ = self.run(call, with, &kills).await;
            }
        }
        fenced
    }

    async fn follow(&self, call: &Call<'_>, with: &With) -> Applied {
        let until = Instant::now() + call.timeout;
        let (host, port) = match split(&with.primary) {
            Ok(parts) => parts,
            Err(why) => return Applied::NoEffect(why),
        };
        let file = with
            .replication_password_file
            .as_ref()
            .filter(|file| !file.as_os_str().is_empty());
        let password = match file {
            None => String::new(),
            Some(file) => match std::fs::read_to_string(file) {
                Ok(password) => password.trim_end().to_owned(),
                Err(error) => return Applied::NoEffect(format!("{}: {error}", file.display())),
            },
        };
        // What it wrote as a primary is part of where it stands.
        let begin = guarded(call, "SET GLOBAL read_only = 1;\n  STOP ALL SLAVES;");
        let change = format!(
            "DELIMITER ;\nSET @position = @@gtid_current_pos;\nSET GLOBAL gtid_slave_pos = @position;\nCHANGE MASTER TO MASTER_HOST = {}, \
             MASTER_PORT = {port}, MASTER_USER = {}, MASTER_PASSWORD = {}, MASTER_USE_GTID = slave_pos;\nSTART SLAVE;\n",
            text(host),
            text(&with.replication_user),
            text(&password)
        );
        let told = match applied(call, self.run(call, with, &begin).await) {
            Applied::Done => self.run(call, with, &change).await,
            other => return other,
        };
        if let Err(Failed::NoConnection(why) | Failed::Unknown(why)) = told {
            return Applied::Unknown(why);
        }
        let mut looks = Looks::new(until, LOOKS);
        let mut steady = Steady::default();
        while let Some(left) = looks.next().await {
            if steady.sees(self.state(with, left).await.is_ok_and(|state| state.runs)) {
                return Applied::Done;
            }
        }
        Applied::Unknown(
            "it does not follow; if it has changes that the new primary lacks, it must be copied anew".into(),
        )
    }

    async fn still_follows(&self, with: &With, limit: Duration) -> bool {
        tokio::time::sleep(LOOKS).await;
        let again = self.state(with, limit).await;
        again.is_ok_and(|state| state.runs && state.read_only)
    }

    async fn has_caught_up(&self, call: &Call<'_>, with: &With) -> Effect {
        let sql = "SELECT concat('at ', @@gtid_binlog_pos)";
        let Ok(answer) = self.ask(with, &with.primary, sql, call.timeout).await else {
            return Effect::Unknown;
        };
        let Some(position) = answer.lines().find_map(|line| line.strip_prefix("at ")) else {
            return Effect::Unknown;
        };
        let seconds = call.timeout.as_secs().max(1);
        let sql = format!(
            "SELECT concat('waited ', MASTER_GTID_WAIT({}, {seconds}))",
            text(position)
        );
        match self
            .ask(with, &with.address, &sql, call.timeout + Duration::from_secs(1))
            .await
        {
            Ok(answer) if answer.lines().any(|line| line == "waited 0") => Effect::There,
            Ok(_) => Effect::NotThere,
            Err(_) => Effect::Unknown,
        }
    }
}

impl Executor for Mariadb {
    fn name(&self) -> &'static str {
        "mariadb"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Server
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(async move {
            let with = match With::checked(call.with) {
                Ok(with) => with,
                Err(error) => return Applied::NoEffect(error),
            };
            match with.verb {
                Verb::Promote => self.promote(call, &with).await,
                Verb::Fence => self.fence(call, &with).await,
                Verb::Release => self.guarded(call, &with, "SET GLOBAL read_only = 0;").await,
                Verb::Follow => self.follow(call, &with).await,
                // Nothing but what is kept anyway is written, and this time it is for others to have as well.
                Verb::Prove => {
                    let sql = guarded(call, "").replace("sql_log_bin = 0", "sql_log_bin = 1");
                    applied(call, self.run(call, &with, &sql).await)
                }
                Verb::CaughtUp if !replicated::waits_for_the_last(with.kind) => Applied::Done,
                Verb::CaughtUp => match self.has_caught_up(call, &with).await {
                    Effect::There => Applied::Done,
                    _ => replicated::lacks(),
                },
            }
        })
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        match With::checked(call.with) {
            Ok(with) if matches!(with.verb, Verb::Promote | Verb::Fence) => self.observe(call),
            _ => Box::pin(async { Effect::Unknown }),
        }
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            let Ok(with) = With::checked(call.with) else {
                return Effect::Unknown;
            };
            if with.verb == Verb::CaughtUp {
                return self.has_caught_up(call, &with).await;
            }
            let seen = match self.state(&with, call.timeout).await {
                Ok(state) => match with.verb {
                    Verb::Promote => !state.read_only && !state.follows,
                    Verb::Fence => state.read_only,
                    Verb::Release => !state.read_only,
                    Verb::Follow => state.runs && state.read_only && self.still_follows(&with, call.timeout).await,
                    Verb::CaughtUp | Verb::Prove => false,
                },
                Err(Failed::NoConnection(_)) if with.verb == Verb::Fence => return with.unreachable.seen(),
                Err(_) => return Effect::Unknown,
            };
            if seen { Effect::There } else { Effect::NotThere }
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
    fn the_state_is_read() {
        let primary = State::of("what\t@@read_only\nat\t0\n").unwrap();
        assert!(!primary.read_only && !primary.follows);
        let text = "x\t@@read_only\nat\t1\n*** 1. row ***\n  Slave_IO_Running: Yes\n  Slave_SQL_Running: Yes\n  Gtid_IO_Pos: 0-1-9\n";
        let state = State::of(text).unwrap();
        assert!(state.read_only && state.follows && state.runs && state.received == "0-1-9");
        assert_eq!(State::of(""), None);
    }

    #[test]
    fn a_text_stays_a_text() {
        assert_eq!(text("it's \\"), "'it''s \\\\'");
    }
}
