//! Where the agent of a config is asked, read without the rest of it: whoever asks may lack the config's secrets, and a slip elsewhere in it is no reason not to ask.

use std::path::Path;

use serde_json::Value;

use super::confd;
use super::expand::expand;
use super::schema::Api;

/// The base URL of the API of that config's agent, as seen from its own machine; or why it cannot be told.
pub fn address(path: &Path) -> Result<String, String> {
    let told = |error: &dyn std::fmt::Display| format!("{}: {error}", path.display());
    let text = std::fs::read_to_string(path).map_err(|error| told(&error))?;
    let variable = |name: &str| std::env::var(name).ok();
    let whole = match confd::merged(path, &text, &variable).map_err(|errors| errors.to_string())? {
        Some(merged) => expand(&merged, |_| None),
        None => expand(&text, variable),
    };
    let whole = whole.map_err(|(_, name)| told(&format!("the variable {name} is not set")))?;
    let value: Option<Value> = match whole.trim() {
        "" => None,
        whole => serde_saphyr::from_str(whole).map_err(|error| told(&error.without_snippet()))?,
    };
    let listen = value.as_ref().and_then(|value| value.pointer("/api/listen")?.as_str());
    let usual = Api::default().listen;
    reached(listen.unwrap_or(&usual))
        .ok_or_else(|| told(&format!("api.listen '{}' names no port", listen.unwrap_or(&usual))))
}

/// Who listens everywhere is asked here.
fn reached(listen: &str) -> Option<String> {
    let (host, port) = listen.rsplit_once(':')?;
    port.parse::<u16>().ok().filter(|port| *port > 0)?;
    let host = match host {
        "0.0.0.0" => "127.0.0.1",
        "[::]" => "[::1]",
        host => host,
    };
    Some(format!("http://{host}:{port}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_listens_everywhere_is_asked_here_and_a_port_of_chance_is_no_address() {
        for (listen, url) in [
            ("127.0.0.1:9909", Some("http://127.0.0.1:9909")),
            ("0.0.0.0:9910", Some("http://127.0.0.1:9910")),
            ("[::]:9910", Some("http://[::1]:9910")),
            ("plant.example.org:80", Some("http://plant.example.org:80")),
            ("127.0.0.1:0", None),
            ("127.0.0.1", None),
        ] {
            assert_eq!(reached(listen).as_deref(), url, "{listen}");
        }
    }
}
