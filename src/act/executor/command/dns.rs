//! DNS by RFC 2136 updates: one record set is replaced, by `nsupdate`, and looked at by `dig`.
//!
//! The token stands in a TXT record beside it (`_jurymast.NAME`). An update is made only if that record is still what was read before: the server itself
//! refuses whatever another one has overtaken.

use serde::Deserialize;
use serde_json::{Map, Value};

use crate::act::BoxFuture;
use crate::act::executor::tool::Tools;
use crate::act::executor::{Call, Executor, TokenClass, parameters};
use crate::act::runner::{Applied, Effect};
use crate::client::program::{Ended, argv};
use crate::model::Token;

/// See the module.
pub struct Dns(pub Tools);

/// Parameters.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct With {
    /// The primary server of the zone, `host:port`.
    server: String,
    zone: String,
    /// The whole name.
    name: String,
    /// `A`, `AAAA`, `CNAME`.
    #[serde(rename = "type")]
    sort: String,
    value: String,
    /// Seconds that resolvers keep it: short, or the switch is late for them.
    #[serde(default = "half_a_minute")]
    ttl: u32,
    /// The file of a TSIG key, as `nsupdate -k` takes it.
    #[serde(default)]
    key_file: String,
}

const fn half_a_minute() -> u32 {
    30
}

impl With {
    fn checked(with: &Map<String, Value>) -> Result<Self, String> {
        let with: Self = parameters(with)?;
        for (what, word) in [
            ("zone", &with.zone),
            ("name", &with.name),
            ("value", &with.value),
            ("server", &with.server),
        ] {
            let sane = |c: char| c.is_ascii_alphanumeric() || "-_.:".contains(c);
            if word.is_empty() || !word.chars().all(sane) {
                return Err(format!("{what} '{word}': letters, digits and -_.: only"));
            }
        }
        if !["A", "AAAA", "CNAME"].contains(&with.sort.as_str()) {
            return Err(format!("type '{}' is not A, AAAA or CNAME", with.sort));
        }
        with.address().map(|_| ())?;
        Ok(with)
    }

    fn address(&self) -> Result<(&str, u16), String> {
        let (host, port) = self.server.rsplit_once(':').unwrap_or((&self.server, "53"));
        Ok((host, port.parse().map_err(|_| format!("'{port}' is not a port"))?))
    }

    /// Is the wanted value the only one?
    fn is(&self, values: &[String]) -> bool {
        let bare = |text: &str| text.trim_end_matches('.').to_lowercase();
        matches!(values, [only] if bare(only) == bare(&self.value))
    }

    fn mark(&self) -> String {
        format!("_jurymast.{}.", self.name.trim_end_matches('.'))
    }

    fn dig(&self, name: &str, sort: &str) -> Result<Vec<String>, String> {
        let (host, port) = self.address()?;
        let (at, port) = (format!("@{host}"), port.to_string());
        Ok(argv([
            "dig",
            "+short",
            "+norecurse",
            "+tries=1",
            "+time=2",
            &at,
            "-p",
            &port,
            name,
            sort,
        ]))
    }

    /// What is to be sent, if the mark still says `before`.
    fn update(&self, token: Token, before: &str) -> Result<String, String> {
        let (host, port) = self.address()?;
        let (mark, name) = (self.mark(), format!("{}.", self.name.trim_end_matches('.')));
        let only_if = if before.is_empty() {
            format!("prereq nxrrset {mark} TXT")
        } else {
            format!("prereq yxrrset {mark} TXT {before}")
        };
        Ok(format!(
            "server {host} {port}\nzone {}\n{only_if}\nupdate delete {mark} TXT\nupdate add {mark} {ttl} TXT \"{token}\"\nupdate delete {name} {sort}\n\
             update add {name} {ttl} {sort} {}\nsend\n",
            self.zone,
            self.value,
            ttl = self.ttl,
            sort = self.sort,
        ))
    }
}

impl Dns {
    async fn ask(&self, with: &With, name: &str, sort: &str, call: &Call<'_>) -> Result<Vec<String>, String> {
        let answer = self.0.look(&with.dig(name, sort)?, call.timeout).await.good()?;
        // A server that does not answer is told of in comments, with a good exit code in some versions.
        if let Some(trouble) = answer.lines().find(|line| line.starts_with(";;")) {
            return Err(trouble.to_owned());
        }
        Ok(answer.lines().map(str::to_owned).collect())
    }

    /// The records there, if the server answers.
    async fn values(&self, call: &Call<'_>) -> Option<(With, Vec<String>)> {
        let with = With::checked(call.with).ok()?;
        let values = self.ask(&with, &with.name, &with.sort, call).await.ok()?;
        Some((with, values))
    }

    async fn apply_once(&self, call: &Call<'_>) -> Applied {
        let begun = async {
            let with = With::checked(call.with)?;
            let before = self
                .ask(&with, &with.mark(), "TXT", call)
                .await?
                .pop()
                .unwrap_or_default();
            let kept = before.trim_matches('"').split_once('.').and_then(|(epoch, seq)| {
                Some(Token {
                    epoch: epoch.parse().ok()?,
                    seq: seq.parse().ok()?,
                })
            });
            match kept {
                Some(kept) if kept > call.token => Err(format!(
                    "the zone has been changed with token {kept}, ours is {}: another agent acts, or data_dir was lost (then delete {} TXT)",
                    call.token,
                    with.mark()
                )),
                _ => Ok((with.update(call.token, &before)?, with)),
            }
        };
        let (update, with) = match begun.await {
            Ok(begun) => begun,
            Err(why) => return Applied::NoEffect(why),
        };
        let mut command = argv(["nsupdate"]);
        if !with.key_file.is_empty() {
            command.extend(argv(["-k", &with.key_file]));
        }
        match self.0.run(call, &command, &update).await {
            Ended::Exited { code: 0, .. } => Applied::Done,
            // NXRRSET, YXRRSET, REFUSED, NOTAUTH: the server's answer, and nothing was changed.
            Ended::Exited { said, .. } if said.contains("update failed:") => Applied::NoEffect(said),
            Ended::NotStarted(why) => Applied::NoEffect(why),
            other => Applied::Unknown(other.to_string()),
        }
    }
}

impl Executor for Dns {
    fn name(&self) -> &'static str {
        "dns"
    }

    fn check(&self, with: &Map<String, Value>) -> Result<(), String> {
        With::checked(with).map(|_| ())
    }

    fn token_class(&self) -> TokenClass {
        TokenClass::Server
    }

    fn apply<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Applied> {
        Box::pin(self.apply_once(call))
    }

    fn observe<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match self.values(call).await {
                Some((with, values)) if with.is(&values) => Effect::There,
                Some(_) => Effect::NotThere,
                None => Effect::Unknown,
            }
        })
    }

    fn stands<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Effect> {
        Box::pin(async move {
            match self.values(call).await {
                Some((with, values)) if with.is(&values) => Effect::There,
                // A server that cannot tell just now gives an empty answer as well.
                Some((_, values)) if !values.is_empty() => Effect::NotThere,
                _ => Effect::Unknown,
            }
        })
    }

    fn settle<'a>(&'a self, call: &'a Call<'a>) -> BoxFuture<'a, Result<(), String>> {
        Box::pin(self.0.settle(call))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_word_that_would_be_a_command_is_refused() {
        let with = serde_json::json!({"server": "127.0.0.1:53", "zone": "x.", "name": "a.x", "type": "A", "value": "1.2.3.4\nsend"});
        assert!(With::checked(with.as_object().unwrap()).is_err_and(|e| e.contains("letters")));
    }
}
