//! All packets but messages: what we say to a broker, and what it answers, by rumqttc's codecs for both versions.

use std::time::Duration;

use bytes::BytesMut;
use rumqttc::mqttbytes::{QoS, v4};
use rumqttc::v5::mqttbytes::{QoS as QoS5, v5};

use super::settings::Protocol;
use crate::model::Reach;

/// Is anybody there?
pub const PING: [u8; 2] = [0xc0, 0];

/// The session is over as we wish it: no will of ours is due.
pub const GOODBYE: [u8; 2] = [0xe0, 0];

/// Messages of `QoS` 1 that may be under way to us at once; beyond that a broker of version 5 waits for our acknowledgements.
const RECEIVE_MAX: u16 = 4096;

/// What we say of ourselves.
pub struct Hello {
    /// Who we are.
    pub client_id: String,
    /// User name and password.
    pub login: Option<(String, String)>,
    /// The broker hears something of us at least this often.
    pub keep_alive: Duration,
}

/// What a broker answers.
#[derive(Debug, PartialEq, Eq)]
pub enum Answer {
    /// It takes us. It may ask us to be heard more often than we said.
    Welcome {
        /// How often at the least.
        keep_alive: Option<Duration>,
    },
    /// It does not, or it ends the session.
    Unwelcome(String, Whose),
    /// Which of the filters it refuses, each with its reason.
    Subscribed(Vec<(usize, String)>),
    /// Of no interest but as a sign of life.
    Other,
}

/// At whom it lies that a broker does not want us.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Whose {
    /// It is ill, or has too much to do.
    Its,
    /// It is well itself, and does not want us: a wrong login, another client of our id, silence of ours.
    Ours,
}

impl Whose {
    /// As what came of the try to reach it.
    pub fn reach(self, detail: String) -> Reach {
        match self {
            Self::Its => Reach::Failing { detail },
            Self::Ours => Reach::Odd { detail },
        }
    }
}

/// Takes a message of `QoS` 1 off the broker's hands.
pub const fn acknowledge(number: u16) -> [u8; 4] {
    let [high, low] = number.to_be_bytes();
    [0x40, 2, high, low]
}

/// Asks to be let in. `Err` is a sentence.
pub fn connect(protocol: Protocol, hello: &Hello) -> Result<Vec<u8>, String> {
    let mut bytes = BytesMut::new();
    let keep_alive = u16::try_from(hello.keep_alive.as_secs()).unwrap_or(u16::MAX);
    let written = match protocol {
        Protocol::V311 => {
            let mut packet = v4::Connect::new(&hello.client_id);
            packet.keep_alive = keep_alive;
            packet.clean_session = true;
            if let Some((user, password)) = &hello.login {
                packet.set_login(user, password);
            }
            packet.write(&mut bytes).map_err(|error| error.to_string())
        }
        Protocol::V5 => {
            let packet = v5::Connect {
                keep_alive,
                client_id: hello.client_id.clone(),
                clean_start: true,
                properties: Some(v5::ConnectProperties {
                    // Nothing is kept for us: what was missed is old, and what is retained comes again.
                    session_expiry_interval: Some(0),
                    receive_maximum: Some(RECEIVE_MAX),
                    topic_alias_max: Some(0),
                    // No greatest packet size: a broker that knows it drops longer messages without a word.
                    ..v5::ConnectProperties::default()
                }),
            };
            let login = hello
                .login
                .as_ref()
                .map(|(user, password)| v5::Login::new(user, password));
            packet
                .write(&None, &login, &mut bytes)
                .map_err(|error| error.to_string())
        }
    };
    written.map(|_| bytes.to_vec())
}

/// Asks for subscriptions.
pub fn subscribe(protocol: Protocol, number: u16, filters: &[(String, u8)]) -> Result<Vec<u8>, String> {
    let mut bytes = BytesMut::new();
    let written = match protocol {
        Protocol::V311 => {
            let filters = filters.iter().map(|(path, qos)| v4::SubscribeFilter {
                path: path.clone(),
                qos: if *qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce },
            });
            let mut packet = v4::Subscribe::new_many(filters);
            packet.pkid = number;
            packet.write(&mut bytes).map_err(|error| error.to_string())
        }
        Protocol::V5 => {
            let filters = filters.iter().map(|(path, qos)| {
                let qos = if *qos == 0 { QoS5::AtMostOnce } else { QoS5::AtLeastOnce };
                v5::Filter::new(path.clone(), qos)
            });
            let mut packet = v5::Subscribe::new_many(filters, None);
            packet.pkid = number;
            packet.write(&mut bytes).map_err(|error| error.to_string())
        }
    };
    written.map(|_| bytes.to_vec())
}

const CONNACK: u8 = 2;
const SUBACK: u8 = 9;
const DISCONNECT: u8 = 14;

/// Reads a whole packet. `Err` is a sentence on what is wrong with it.
pub fn read(protocol: Protocol, frame: &[u8]) -> Result<Answer, String> {
    let kind = frame.first().map_or(0, |first| first >> 4);
    match (kind, protocol) {
        (CONNACK | SUBACK, Protocol::V311) => {
            let packet =
                v4::Packet::read(&mut BytesMut::from(frame), frame.len()).map_err(|error| error.to_string())?;
            Ok(of_v311(packet))
        }
        (CONNACK | SUBACK, Protocol::V5) => {
            let packet = v5::Packet::read(&mut BytesMut::from(frame), None).map_err(|error| error.to_string())?;
            Ok(of_v5(packet))
        }
        (DISCONNECT, Protocol::V5) => goodbye(frame),
        // Answers to what we never send, and to pings.
        (4..=7 | 11 | 13, _) => Ok(Answer::Other),
        (kind, _) => Err(format!("a packet of kind {kind}, which no broker sends to a listener")),
    }
}

fn of_v311(packet: v4::Packet) -> Answer {
    use v4::ConnectReturnCode as Code;
    match packet {
        v4::Packet::ConnAck(ack) => match ack.code {
            Code::Success => Answer::Welcome { keep_alive: None },
            code => {
                let whose = if code == Code::ServiceUnavailable {
                    Whose::Its
                } else {
                    Whose::Ours
                };
                Answer::Unwelcome(format!("the broker refuses us: {code:?}"), whose)
            }
        },
        v4::Packet::SubAck(ack) => {
            let codes = ack.return_codes.iter().enumerate();
            let refused = codes.filter(|(_, code)| matches!(code, v4::SubscribeReasonCode::Failure));
            Answer::Subscribed(refused.map(|(place, code)| (place, format!("{code:?}"))).collect())
        }
        _ => Answer::Other,
    }
}

fn of_v5(packet: v5::Packet) -> Answer {
    use v5::ConnectReturnCode as Code;
    match packet {
        v5::Packet::ConnAck(ack) => {
            let properties = ack.properties.as_ref();
            let whose = match ack.code {
                Code::Success => {
                    let seconds = properties.and_then(|properties| properties.server_keep_alive);
                    let keep_alive = seconds.filter(|s| *s > 0).map(|s| Duration::from_secs(s.into()));
                    return Answer::Welcome { keep_alive };
                }
                Code::UnspecifiedError
                | Code::ImplementationSpecificError
                | Code::ServerUnavailable
                | Code::ServerBusy
                | Code::QuotaExceeded
                | Code::UseAnotherServer
                | Code::ServerMoved
                | Code::ConnectionRateExceeded => Whose::Its,
                _ => Whose::Ours,
            };
            let said = properties.and_then(|properties| properties.reason_string.as_deref());
            Answer::Unwelcome(
                in_words("the broker refuses us", &format!("{:?}", ack.code), said),
                whose,
            )
        }
        v5::Packet::SubAck(ack) => {
            let codes = ack.return_codes.iter().enumerate();
            let refused = codes.filter(|(_, code)| !matches!(code, v5::SubscribeReasonCode::Success(_)));
            Answer::Subscribed(refused.map(|(place, code)| (place, format!("{code:?}"))).collect())
        }
        _ => Answer::Other,
    }
}

/// What the broker says when it ends the session itself. The codec refuses a packet that ends with its reason, which is how Mosquitto
/// sends it.
fn goodbye(frame: &[u8]) -> Result<Answer, String> {
    use v5::DisconnectReasonCode as Code;
    let code = match frame.get(2) {
        None => Code::NormalDisconnection,
        Some(code) => Code::try_from(*code).map_err(|error| error.to_string())?,
    };
    let whole = v5::Packet::read(&mut BytesMut::from(frame), None);
    let said = match whole {
        Ok(v5::Packet::Disconnect(packet)) => packet.properties.and_then(|properties| properties.reason_string),
        _ => None,
    };
    let whose = match code {
        Code::ServerShuttingDown
        | Code::ServerBusy
        | Code::ServerMoved
        | Code::UseAnotherServer
        | Code::UnspecifiedError
        | Code::ImplementationSpecificError
        | Code::QuotaExceeded => Whose::Its,
        _ => Whose::Ours,
    };
    let words = in_words("the broker said goodbye", &format!("{code:?}"), said.as_deref());
    Ok(Answer::Unwelcome(words, whose))
}

fn in_words(what: &str, code: &str, said: Option<&str>) -> String {
    match said {
        Some(said) if !said.is_empty() => format!("{what}: {code} ({said})"),
        _ => format!("{what}: {code}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BOTH: [Protocol; 2] = [Protocol::V311, Protocol::V5];

    #[test]
    fn a_broker_that_goes_is_told_from_one_that_does_not_want_us() {
        for (code, word, whose) in [
            (0x8b, "ServerShuttingDown", Whose::Its),
            (0x89, "ServerBusy", Whose::Its),
            (0x8e, "SessionTakenOver", Whose::Ours),
            (0x8d, "KeepAliveTimeout", Whose::Ours),
            (0x87, "NotAuthorized", Whose::Ours),
        ] {
            // With no length of properties, with none, and with words.
            for (frame, said) in [
                (vec![0xe0, 1, code], ""),
                (vec![0xe0, 2, code, 0], ""),
                (vec![0xe0, 7, code, 5, 31, 0, 2, b'n', b'o'], " (no)"),
            ] {
                let expected = Answer::Unwelcome(format!("the broker said goodbye: {word}{said}"), whose);
                assert_eq!(read(Protocol::V5, &frame), Ok(expected));
            }
        }
        let plain = read(Protocol::V5, &[0xe0, 0]).unwrap();
        assert!(matches!(plain, Answer::Unwelcome(words, Whose::Ours) if words.contains("NormalDisconnection")));
    }

    #[test]
    fn a_refusal_has_its_reason() {
        let cases: [(Protocol, &[u8], &str, Whose); 4] = [
            (Protocol::V311, b"\x20\x02\x00\x05", "NotAuthorized", Whose::Ours),
            (Protocol::V311, b"\x20\x02\x00\x03", "ServiceUnavailable", Whose::Its),
            (
                Protocol::V5,
                b"\x20\x08\x00\x87\x05\x1f\x00\x02no",
                "NotAuthorized (no)",
                Whose::Ours,
            ),
            (Protocol::V5, b"\x20\x03\x00\x89\x00", "ServerBusy", Whose::Its),
        ];
        for (protocol, frame, words, whose) in cases {
            let expected = Answer::Unwelcome(format!("the broker refuses us: {words}"), whose);
            assert_eq!(read(protocol, frame), Ok(expected));
        }
        assert_eq!(
            read(Protocol::V5, b"\x90\x05\x00\x01\x00\x01\x87"),
            Ok(Answer::Subscribed(vec![(1, "NotAuthorized".into())]))
        );
        assert_eq!(
            read(Protocol::V311, b"\x90\x04\x00\x01\x00\x80"),
            Ok(Answer::Subscribed(vec![(1, "Failure".into())]))
        );
    }

    #[test]
    fn a_broker_may_ask_to_hear_of_us_more_often() {
        let welcome = read(Protocol::V5, b"\x20\x06\x00\x00\x03\x13\x00\x07").unwrap();
        let keep_alive = Some(Duration::from_secs(7));
        assert_eq!(welcome, Answer::Welcome { keep_alive });
        assert_eq!(
            read(Protocol::V311, b"\x20\x02\x00\x00"),
            Ok(Answer::Welcome { keep_alive: None })
        );
    }

    #[test]
    fn what_no_broker_sends_is_an_error_and_no_bytes_are_a_panic() {
        for protocol in BOTH {
            for kind in [0, 1, 8, 10, 12, 15] {
                assert!(read(protocol, &[kind << 4, 0]).is_err(), "{kind}");
            }
            for kind in [4, 5, 6, 7, 11, 13] {
                assert_eq!(read(protocol, &[kind << 4, 0]), Ok(Answer::Other));
            }
            let mut rng = fastrand::Rng::with_seed(1);
            for _ in 0..200_000 {
                let length = rng.u8(0..24);
                let mut frame = vec![*rng.choice(&[0x20, 0x90, 0xe0]).unwrap(), length];
                frame.extend((0..length).map(|_| if rng.bool() { rng.u8(0..40) } else { rng.u8(..) }));
                let _ = read(protocol, &frame);
            }
        }
        assert!(
            read(Protocol::V311, &[0xe0, 0]).is_err(),
            "3.1.1 knows no goodbye of the broker"
        );
        assert!(read(Protocol::V5, &[]).is_err());
    }

    #[test]
    fn what_we_say_is_read_by_the_library_as_it_was_meant() {
        let hello = Hello {
            client_id: "jurymast-plant".into(),
            login: Some(("u".into(), "p".into())),
            keep_alive: Duration::from_secs(7),
        };
        let bytes = connect(Protocol::V311, &hello).unwrap();
        let v4::Packet::Connect(packet) = v4::Packet::read(&mut BytesMut::from(&bytes[..]), 1000).unwrap() else {
            panic!("a CONNECT");
        };
        assert!(packet.clean_session && packet.keep_alive == 7 && packet.client_id == "jurymast-plant");
        assert_eq!(packet.login.map(|login| login.password), Some("p".into()));
        let bytes = connect(Protocol::V5, &hello).unwrap();
        let v5::Packet::Connect(packet, None, Some(login)) =
            v5::Packet::read(&mut BytesMut::from(&bytes[..]), None).unwrap()
        else {
            panic!("a CONNECT");
        };
        let properties = packet.properties.unwrap();
        assert_eq!(login.username, "u");
        assert_eq!(
            (
                properties.session_expiry_interval,
                properties.topic_alias_max,
                properties.receive_maximum
            ),
            (Some(0), Some(0), Some(RECEIVE_MAX))
        );
        for protocol in BOTH {
            let bytes = subscribe(protocol, 3, &[("a/+".into(), 0), ("b".into(), 1)]).unwrap();
            assert_eq!(bytes[0], 0x82);
            assert!(bytes.ends_with(b"\x00\x01b\x01"), "{bytes:?}");
        }
        let ack = v4::Packet::read(&mut BytesMut::from(&acknowledge(0x0102)[..]), 10).unwrap();
        assert_eq!(ack, v4::Packet::PubAck(v4::PubAck::new(0x0102)));
    }
}
