//! Texts without their secrets, for capsules: what is recorded may be handed on.
//!
//! In: the config and the playbooks as they were written. Out: the same with `<secret>` where a secret stood (in a field made for one, before the `@` of
//! a URL, under a key that sounds like one), and the list of what was replaced, so that the recorder can do the same to its lines.

use serde_json::Value;

use super::schema::Config;
use crate::secret::Secret;

const REDACTED: &str = "<secret>";

/// Keys that sound like this hold secrets.
const SECRET_WORDS: &[&str] = &[
    "password",
    "passwd",
    "passphrase",
    "secret",
    "token",
    "credential",
    "authorization",
    "apikey",
    "api_key",
    "api-key",
    "api key",
];

/// Unless they end like this: a place where one is kept, or the name of one.
const NO_SECRET: &[&str] = &["_file", "_path", "_topic", "_script", "_url", "_name", "_id", "_env"];

/// What was replaced, and by what.
pub type Replaced = Vec<(String, String)>;

/// The config's text with every secret replaced; it says the same otherwise.
pub fn redact(text: &str, config: &Config, replaced: &mut Replaced) -> String {
    let mut own: Replaced = inline(config)
        .into_iter()
        .map(|secret| (secret.expose().to_owned(), REDACTED.to_owned()))
        .collect();
    // Secrets in fields made for them print as `<secret>` by themselves.
    let mut without = serde_json::to_value(config).unwrap_or_default();
    walk(&mut without, &mut own);
    let meant: Option<Config> = serde_json::from_value(without.clone()).ok();
    let text = replace(text, &own, |text| Config::parse(text).ok() == meant && meant.is_some())
        // Written in another way than it is meant, or also a part of something else: the config is written anew.
        .unwrap_or_else(|| serde_saphyr::to_string(&without).unwrap_or_default());
    keep(own, &without, replaced);
    text
}

/// The text of a playbook or of patterns in the same way. What is no YAML is left out as a whole.
pub fn redact_file(text: &str, replaced: &mut Replaced) -> String {
    let Ok(mut without) = serde_saphyr::from_str::<Value>(text) else {
        return String::new();
    };
    let mut own = Vec::new();
    walk(&mut without, &mut own);
    let text = replace(text, &own, |text| {
        serde_saphyr::from_str::<Value>(text).is_ok_and(|read| read == without)
    })
    .unwrap_or_else(|| serde_saphyr::to_string(&without).unwrap_or_default());
    keep(own, &without, replaced);
    text
}

/// The text with all of them replaced, if it then says what it should.
fn replace(text: &str, own: &Replaced, says: impl Fn(&str) -> bool) -> Option<String> {
    let mut longest: Vec<_> = own.iter().filter(|(secret, _)| !secret.is_empty()).collect();
    // A secret that holds another is replaced first.
    longest.sort_by_key(|(secret, _)| std::cmp::Reverse(secret.len()));
    let replaced = longest
        .iter()
        .fold(text.to_owned(), |text, (secret, by)| text.replace(secret.as_str(), by));
    says(&replaced).then_some(replaced)
}

/// Remembers what may be replaced wherever it turns up. What is also a part of something else may not: a name that is cut up in the inputs
/// and not in the config would make another plant of it.
fn keep(own: Replaced, without: &Value, replaced: &mut Replaced) {
    let rest = without.to_string();
    replaced.extend(own.into_iter().filter(|(secret, _)| {
        let quoted = Value::from(secret.as_str()).to_string();
        !rest.contains(&quoted[1..quoted.len() - 1])
    }));
}

/// Secrets in fields made for them.
fn inline(config: &Config) -> Vec<&Secret> {
    let sources = &config.sources;
    let http = sources
        .scrape
        .iter()
        .map(|s| &s.http)
        .chain(sources.query.iter().map(|s| &s.http));
    let mut secrets: Vec<&Secret> = Vec::new();
    for http in http {
        secrets.extend(http.bearer_token.as_ref());
        secrets.extend(http.basic_auth.as_ref().and_then(|auth| auth.password.as_ref()));
    }
    secrets.extend(
        sources
            .scrape_configs
            .iter()
            .flat_map(crate::ingest::prometheus::native::ScrapeConfig::secrets),
    );
    secrets.extend(sources.mqtt.iter().filter_map(|source| source.password.as_ref()));
    secrets.extend(config.coordinate.etcd.iter().filter_map(|etcd| etcd.password.as_ref()));
    secrets
}

/// Replaces what looks like a secret, however deep.
fn walk(value: &mut Value, replaced: &mut Replaced) {
    match value {
        Value::String(text) => {
            for info in user_infos(text) {
                replaced.push((format!("{info}@"), format!("{REDACTED}@")));
                *text = text.replace(&format!("{info}@"), &format!("{REDACTED}@"));
            }
            for scheme in ["Bearer ", "Basic "] {
                if let Some(rest) = text.strip_prefix(scheme).filter(|rest| is_literal(rest)) {
                    replaced.push((rest.to_owned(), REDACTED.to_owned()));
                    *text = format!("{scheme}{REDACTED}");
                }
            }
        }
        Value::Array(list) => list.iter_mut().for_each(|value| walk(value, replaced)),
        Value::Object(map) => {
            for (key, value) in map {
                if let Value::String(text) = value
                    && sounds_secret(key)
                    && is_literal(text)
                {
                    replaced.push((std::mem::replace(text, REDACTED.to_owned()), REDACTED.to_owned()));
                } else {
                    walk(value, replaced);
                }
            }
        }
        _ => {}
    }
}

/// Something that is not filled in from elsewhere.
fn is_literal(text: &str) -> bool {
    !text.is_empty() && text != REDACTED && !text.contains('{')
}

fn sounds_secret(key: &str) -> bool {
    let key = key.to_lowercase();
    let sounds = SECRET_WORDS.iter().any(|word| key.contains(word)) || key.ends_with("_key");
    sounds && !NO_SECRET.iter().any(|end| key.ends_with(end))
}

/// What stands before the `@` of each URL in a text.
fn user_infos(text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for (at, mark) in text.match_indices("://") {
        let rest = &text[at + mark.len()..];
        let authority = rest
            .split(|c: char| c.is_whitespace() || "/?#\"'".contains(c))
            .next()
            .unwrap_or_default();
        if let Some((info, _)) = authority.rsplit_once('@').filter(|(info, _)| is_literal(info)) {
            found.push(info.to_owned());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(password: &str) -> String {
        format!(
            "sources: {{mqtt: [{{name: broker, url: 'mqtt://h:1', username: u, password: {password}, subscribe: []}}]}}\n"
        )
    }

    #[test]
    fn no_secret_is_left_however_it_is_written() {
        for (written, meant) in [
            ("'hunter2-secret'", "hunter2-secret"),
            ("\"tab\\there\"", "tab\there"),
            ("b", "b"),
        ] {
            let text = config(written);
            let parsed = Config::parse(&text).unwrap();
            let redacted = redact(&text, &parsed, &mut Vec::new());
            let read = Config::parse(&redacted).unwrap();
            let secret = read.sources.mqtt[0].password.as_ref().unwrap();
            assert_eq!(secret.expose(), REDACTED, "{meant}: {redacted}");
            assert!(
                !redacted.contains(&format!("password: {written}\n"))
                    && (meant.len() == 1 || !redacted.contains(meant)),
                "{redacted}"
            );
            assert_eq!(read.sources.mqtt[0].name, "broker");
        }
    }

    #[test]
    fn secrets_in_urls_and_under_keys_that_sound_like_it_are_replaced_and_told() {
        let text = "
sources: {query: [{name: p, url: 'http://reader:swordfish@h:9090/', queries: []}]}
notify: {webhook: [{url: 'https://t0k3n@hooks.example/a'}]}
services:
  - name: ingest
    active: a
    standbys: [{entity: b}]
    playbook: http-front-switch
    vars: {front: 'http://admin:open-sesame@f:1', api_token: abcdef, token_file: /run/token, fence_key: \"{key}\", admin_password: ingest}
    probe: {uses: http, with: {url: 'http://{address}/', headers: {authorization: 'Bearer xyzzy123', accept: text/plain}}}
";
        let mut replaced = Vec::new();
        let redacted = redact(text, &Config::parse(text).unwrap(), &mut replaced);
        for secret in ["swordfish", "t0k3n", "open-sesame", "abcdef", "xyzzy123"] {
            assert!(!redacted.contains(secret), "{secret} is in\n{redacted}");
            assert!(
                replaced.iter().any(|(from, _)| from.contains(secret)),
                "{secret} is not told"
            );
        }
        let read = Config::parse(&redacted).unwrap();
        let service = &read.services[0];
        assert_eq!(service.vars["front"], "http://<secret>@f:1");
        assert_eq!(service.vars["token_file"], "/run/token");
        assert_eq!(service.vars["fence_key"], "{key}");
        assert_eq!(service.vars["admin_password"], REDACTED);
        assert_eq!(
            service.name.as_str(),
            "ingest",
            "the name is not the secret that it equals"
        );
        assert!(!replaced.iter().any(|(from, _)| from == "ingest"));
        assert_eq!(read.sources.query[0].url, "http://<secret>@h:9090/");
    }

    #[test]
    fn a_text_without_secrets_stays_as_it_is() {
        let text = "agent: {name: x} # why\nservices: []\n";
        let mut replaced = Vec::new();
        assert_eq!(redact(text, &Config::parse(text).unwrap(), &mut replaced), text);
        assert!(replaced.is_empty());
        let book = "name: x\nsteps: [{with: {headers: {x-api-key: abcd1234, token: '{token}'}}}] # why\n";
        let redacted = redact_file(book, &mut replaced);
        assert_eq!(redacted, book.replace("abcd1234", REDACTED));
    }
}
