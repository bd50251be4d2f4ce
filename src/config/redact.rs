//! The config's text without its secrets, for capsules: what is recorded may be handed on.

use super::schema::Config;
use crate::secret::Secret;

const REDACTED: &str = "<secret>";

/// The text with every inline secret replaced; it says the same otherwise.
pub fn redact(text: &str, config: &Config) -> String {
    let mut without = config.clone();
    let mut secrets: Vec<String> = Vec::new();
    for secret in inline(&mut without) {
        secrets.push(
            std::mem::replace(secret, Secret::from(REDACTED.to_owned()))
                .expose()
                .to_owned(),
        );
    }
    // A secret that holds another is replaced first.
    secrets.sort_by_key(|secret| std::cmp::Reverse(secret.len()));
    let replaced = secrets
        .iter()
        .filter(|secret| !secret.is_empty())
        .fold(text.to_owned(), |text, secret| text.replace(secret.as_str(), REDACTED));
    if Config::parse(&replaced).is_ok_and(|read| read == without) {
        return replaced;
    }
    // Written in another way than it is meant, or also a part of something else: the config is written anew.
    serde_saphyr::to_string(&without).unwrap_or_default()
}

/// Secrets that stand in the config itself.
fn inline(config: &mut Config) -> Vec<&mut Secret> {
    let sources = &mut config.sources;
    let http = sources
        .scrape
        .iter_mut()
        .map(|s| &mut s.http)
        .chain(sources.query.iter_mut().map(|s| &mut s.http));
    let mut secrets: Vec<&mut Secret> = Vec::new();
    for http in http {
        secrets.extend(http.bearer_token.as_mut());
        secrets.extend(http.basic_auth.as_mut().and_then(|auth| auth.password.as_mut()));
    }
    secrets.extend(sources.mqtt.iter_mut().filter_map(|source| source.password.as_mut()));
    secrets
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
            let redacted = redact(&text, &parsed);
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
}
