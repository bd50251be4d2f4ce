//! An MQTT broker as steps and probes reach it: where it is, TLS, who we are there.

use std::path::PathBuf;

use rumqttc::{MqttOptions, TlsConfiguration, Transport};

use crate::net::{Tls, named};
use crate::secret;

/// Host, port, and whether TLS is spoken, of `mqtt://host:port` or `mqtts://host:port`.
pub fn address(url: &str) -> Option<(String, u16, bool)> {
    let (rest, tls) = match (url.strip_prefix("mqtt://"), url.strip_prefix("mqtts://")) {
        (Some(rest), _) => (rest, false),
        (_, Some(rest)) => (rest, true),
        _ => return None,
    };
    let (host, port) = rest
        .rsplit_once(':')
        .unwrap_or((rest, if tls { "8883" } else { "1883" }));
    let port = port.parse().ok()?;
    let host = host
        .strip_prefix('[')
        .and_then(|host| host.strip_suffix(']'))
        .unwrap_or(host);
    (!host.is_empty()).then(|| (host.to_owned(), port, tls))
}

/// See the module.
#[derive(Debug)]
pub struct Broker<'a> {
    /// `mqtt://host:port` or `mqtts://host:port`.
    pub url: &'a str,
    /// The user, if there is one and it is not empty.
    pub username: Option<&'a str>,
    /// The file of the password; none if it is empty.
    pub password_file: Option<&'a PathBuf>,
    /// Certificates.
    pub tls: &'a Tls,
}

impl Broker<'_> {
    /// Finds what cannot be followed.
    pub fn check(&self) -> Result<(), String> {
        self.place().map(|_| ())
    }

    fn place(&self) -> Result<(String, u16, bool), String> {
        let (url, wrong) = (self.url, "must be mqtt://host:port or mqtts://host:port");
        let place = address(url).ok_or_else(|| format!("'{url}' {wrong}"))?;
        self.tls.check(place.2, "mqtts://")?;
        Ok(place)
    }

    /// A clean session of that client id.
    pub fn options(&self, client_id: String) -> Result<MqttOptions, String> {
        self.session(self.place()?, client_id)
    }

    /// The same at a host and port that are known, by TLS or without.
    pub fn session(&self, (host, port, secure): (String, u16, bool), client_id: String) -> Result<MqttOptions, String> {
        let mut options = MqttOptions::new(client_id, host, port);
        options.set_clean_session(true);
        if secure {
            let config = self.tls.client_config().map_err(|error| error.to_string())?;
            options.set_transport(Transport::tls_with_config(TlsConfiguration::Rustls(config)));
        }
        if let Some(user) = self.username.filter(|user| !user.is_empty()) {
            let password = secret::resolve(None, named(self.password_file)).map_err(|error| error.to_string())?;
            options.set_credentials(user, password.as_ref().map_or("", |password| password.expose()));
        }
        Ok(options)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_address_has_a_scheme_and_a_port_of_its_own() {
        assert_eq!(address("mqtt://b"), Some(("b".into(), 1883, false)));
        assert_eq!(
            address("mqtts://[::1]"),
            None,
            "the port is looked for behind the last colon"
        );
        assert_eq!(address("mqtts://[::1]:8884"), Some(("::1".into(), 8884, true)));
        assert_eq!(address("mqtts://b"), Some(("b".into(), 8883, true)));
        for wrong in ["b:1883", "mqtt://", "mqtt://b:x", "tcp://b:1883"] {
            assert_eq!(address(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn tls_is_neither_forgotten_nor_half_stated() {
        let check = |url: &str, tls: &Tls| {
            let broker = Broker {
                url,
                username: None,
                password_file: None,
                tls,
            };
            broker.check()
        };
        let ca = Tls {
            ca_file: Some("ca.pem".into()),
            ..Tls::default()
        };
        let none = Tls {
            ca_file: Some("".into()),
            ..Tls::default()
        };
        assert_eq!(check("mqtts://b:1", &ca), Ok(()));
        assert_eq!(check("mqtt://b:1", &none), Ok(()));
        assert!(check("mqtts://b:1", &none).unwrap_err().contains("tls.ca_file"));
        assert!(check("mqtt://b:1", &ca).unwrap_err().contains("mqtts://"));
        let half = Tls {
            cert_file: Some("own.pem".into()),
            ..ca
        };
        assert!(check("mqtts://b:1", &half).unwrap_err().contains("belong together"));
    }
}
