//! Cutting a stream of bytes into MQTT packets. Pure: bytes in, packets out, no socket and no clock.
//!
//! In: what has been read so far, whole packets or not. Out: messages in place, without a copy; every other packet as it stands, for the
//! library's codec. Never: a packet that runs beyond its own length, a wait for a message that will not be taken. A message longer than the
//! limit is told by its topic and skipped as it comes in, so that it costs neither memory nor the session.

use super::settings::Protocol;

/// Packets other than messages are small. A longer one is no packet but a stream that is out of step.
pub const CONTROL_MAX: usize = 128 << 10;

/// Where the stream stands.
#[derive(Debug)]
pub struct Cutter {
    protocol: Protocol,
    limit: usize,
    /// Bytes of a message that is too long, still to come.
    skip: usize,
}

/// What the bytes at hand begin with.
#[derive(Debug, PartialEq, Eq)]
pub enum Cut<'a> {
    /// A packet, and how many bytes it takes.
    Frame(Frame<'a>, usize),
    /// So many bytes of a message that is being skipped.
    Skipped(usize),
    /// Nothing whole: so many bytes are needed in all.
    More(usize),
}

/// A packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Frame<'a> {
    /// A message.
    Message(Message<'a>),
    /// A message longer than the limit; its payload is skipped.
    TooLong {
        /// The message, without its payload.
        message: Message<'a>,
        /// How long the packet is.
        bytes: usize,
    },
    /// A message on a topic that is not UTF-8. Nobody can have a meaning for it.
    Nameless {
        /// The number by which it is acknowledged.
        ack: Option<u16>,
    },
    /// Any other packet, with its header.
    Other(&'a [u8]),
}

/// A PUBLISH packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Message<'a> {
    /// On which topic.
    pub topic: &'a str,
    /// What it holds.
    pub payload: &'a [u8],
    /// It was kept by the broker and is old.
    pub retained: bool,
    /// The number by which it is acknowledged, with `QoS` 1.
    pub ack: Option<u16>,
}

/// Bytes that are not MQTT. Where the next packet begins cannot be told any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// A length of more than four bytes.
    #[error("the length of a packet takes more than four bytes")]
    Length,
    /// Longer than any packet of its kind.
    #[error("a packet of kind {kind} with {bytes} bytes")]
    Long {
        /// The kind, 1 to 15.
        kind: u8,
        /// Its length.
        bytes: usize,
    },
    /// A part that runs beyond the end of its packet.
    #[error("the {0} of a message runs beyond its end")]
    Overrun(&'static str),
    /// A `QoS` that nobody asked for, or that there is not.
    #[error("a message of QoS {0}; asked for was at most 1")]
    Qos(u8),
    /// Number 0.
    #[error("a message of QoS 1 with the number 0")]
    NumberZero,
    /// No topic.
    #[error("a message without a topic (topic aliases were not allowed)")]
    NoTopic,
}

impl Cutter {
    /// Of a connection that takes packets of at most so many bytes.
    pub const fn new(protocol: Protocol, limit: usize) -> Self {
        Self {
            protocol,
            limit,
            skip: 0,
        }
    }

    /// What `bytes` begins with. The caller takes as many away as it is told, and calls again.
    pub fn cut<'a>(&mut self, bytes: &'a [u8]) -> Result<Cut<'a>, FrameError> {
        if self.skip > 0 {
            let skipped = self.skip.min(bytes.len());
            self.skip -= skipped;
            return Ok(if skipped == 0 {
                Cut::More(1)
            } else {
                Cut::Skipped(skipped)
            });
        }
        let (Some(first), Some((length, head))) = (bytes.first(), number(bytes.get(1..).unwrap_or_default())?) else {
            return Ok(Cut::More((bytes.len() + 1).max(2)));
        };
        let (kind, head) = (first >> 4, head + 1);
        let whole = head + length;
        if kind != PUBLISH {
            if length > CONTROL_MAX {
                return Err(FrameError::Long { kind, bytes: whole });
            }
            return Ok(bytes
                .get(..whole)
                .map_or(Cut::More(whole), |frame| Cut::Frame(Frame::Other(frame), whole)));
        }
        if length > self.limit {
            return self.begin_to_skip(*first, bytes, head, whole);
        }
        let Some(body) = bytes.get(head..whole) else {
            return Ok(Cut::More(whole));
        };
        let opening = Opening::read(*first, body)?;
        let mut rest = body.get(opening.bytes..).unwrap_or_default();
        if self.protocol == Protocol::V5 {
            let overrun = FrameError::Overrun("properties");
            let (properties, head) = number(rest)?.ok_or(overrun)?;
            rest = rest.get(head + properties..).ok_or(overrun)?;
        }
        Ok(Cut::Frame(
            opening
                .message(rest)
                .map_or(Frame::Nameless { ack: opening.ack }, Frame::Message),
            whole,
        ))
    }

    /// Tells of a message that is too long as soon as it is known which, and skips the rest.
    fn begin_to_skip<'a>(
        &mut self,
        first: u8,
        bytes: &'a [u8],
        head: usize,
        whole: usize,
    ) -> Result<Cut<'a>, FrameError> {
        let opening_max = 2 + usize::from(u16::MAX) + 2;
        let body = bytes.get(head..whole.min(bytes.len())).unwrap_or_default();
        let opening = match Opening::read(first, body) {
            Ok(opening) => opening,
            // What is missing may be under way.
            Err(FrameError::Overrun(_)) if bytes.len() < whole.min(head + opening_max) => {
                return Ok(Cut::More((bytes.len() + 1).min(whole)));
            }
            Err(error) => return Err(error),
        };
        let taken = head + opening.bytes;
        self.skip = whole - taken;
        let frame = opening
            .message(&[])
            .map_or(Frame::Nameless { ack: opening.ack }, |message| Frame::TooLong {
                message,
                bytes: whole,
            });
        Ok(Cut::Frame(frame, taken))
    }
}

const PUBLISH: u8 = 3;

/// What a message begins with: its topic, and its number.
struct Opening<'a> {
    topic: &'a [u8],
    retained: bool,
    ack: Option<u16>,
    bytes: usize,
}

impl<'a> Opening<'a> {
    fn read(first: u8, body: &'a [u8]) -> Result<Self, FrameError> {
        let overrun = FrameError::Overrun("topic");
        let qos = (first >> 1) & 3;
        if qos > 1 {
            return Err(FrameError::Qos(qos));
        }
        let (length, rest) = body.split_first_chunk::<2>().ok_or(overrun)?;
        let length = usize::from(u16::from_be_bytes(*length));
        if length == 0 {
            return Err(FrameError::NoTopic);
        }
        let (topic, rest) = rest.split_at_checked(length).ok_or(overrun)?;
        let ack = if qos == 1 {
            let number = rest.first_chunk::<2>().ok_or(FrameError::Overrun("number"))?;
            Some(u16::from_be_bytes(*number))
        } else {
            None
        };
        if ack == Some(0) {
            return Err(FrameError::NumberZero);
        }
        Ok(Self {
            topic,
            retained: first & 1 == 1,
            ack,
            bytes: 2 + length + if ack.is_some() { 2 } else { 0 },
        })
    }

    /// With that payload; `None` if the topic is not text.
    fn message(&self, payload: &'a [u8]) -> Option<Message<'a>> {
        Some(Message {
            topic: std::str::from_utf8(self.topic).ok()?,
            payload,
            retained: self.retained,
            ack: self.ack,
        })
    }
}

/// A variable byte integer and how many bytes it takes; `None` if its end is not there.
fn number(bytes: &[u8]) -> Result<Option<(usize, usize)>, FrameError> {
    let mut value = 0;
    for (place, byte) in bytes.iter().take(4).enumerate() {
        value |= usize::from(byte & 0x7f) << (7 * place);
        if byte & 0x80 == 0 {
            return Ok(Some((value, place + 1)));
        }
    }
    if bytes.len() < 4 {
        Ok(None)
    } else {
        Err(FrameError::Length)
    }
}

#[cfg(test)]
mod tests {
    use bytes::BytesMut;
    use proptest::prelude::*;
    use rumqttc::mqttbytes::{QoS, v4};
    use rumqttc::v5::mqttbytes::{QoS as QoS5, v5};

    use super::*;

    const LIMIT: usize = 300;

    fn publish(protocol: Protocol, topic: &str, payload: &[u8], qos: u8, retained: bool, number: u16) -> Vec<u8> {
        let mut bytes = BytesMut::new();
        match protocol {
            Protocol::V311 => {
                let qos = if qos == 0 { QoS::AtMostOnce } else { QoS::AtLeastOnce };
                let mut packet = v4::Publish::new(topic, qos, payload);
                packet.retain = retained;
                packet.pkid = if qos == QoS::AtMostOnce { 0 } else { number };
                packet.write(&mut bytes).unwrap();
            }
            Protocol::V5 => {
                let qos = if qos == 0 { QoS5::AtMostOnce } else { QoS5::AtLeastOnce };
                let properties = v5::PublishProperties {
                    message_expiry_interval: Some(60),
                    content_type: Some("application/json".into()),
                    user_properties: vec![("key".into(), "value".into())],
                    ..v5::PublishProperties::default()
                };
                let properties = retained.then_some(properties);
                let mut packet = v5::Publish::new(topic, qos, payload.to_vec(), properties);
                packet.retain = retained;
                packet.pkid = if qos == QoS5::AtMostOnce { 0 } else { number };
                packet.write(&mut bytes).unwrap();
            }
        }
        bytes.to_vec()
    }

    /// All that a stream says, if it comes in pieces that end at these places.
    fn said(protocol: Protocol, stream: &[u8], ends: &[usize]) -> Vec<String> {
        let mut cutter = Cutter::new(protocol, LIMIT);
        let (mut from, mut said) = (0, Vec::new());
        for end in ends.iter().chain([&stream.len()]) {
            loop {
                let bytes = &stream[from..(*end).max(from)];
                match cutter.cut(bytes) {
                    Ok(Cut::Frame(frame, taken)) => {
                        assert!(taken > 0 && taken <= bytes.len());
                        said.push(format!("{frame:?}"));
                        from += taken;
                    }
                    Ok(Cut::Skipped(taken)) => {
                        assert!(taken > 0 && taken <= bytes.len());
                        from += taken;
                    }
                    Ok(Cut::More(needed)) => {
                        assert!(needed > bytes.len(), "more is more than there is");
                        break;
                    }
                    Err(error) => {
                        said.push(error.to_string());
                        return said;
                    }
                }
            }
        }
        said
    }

    fn packets() -> impl Strategy<Value = (Protocol, Vec<u8>)> {
        let message = (
            "[a-z/]{1,20}",
            prop_oneof![prop::collection::vec(any::<u8>(), 0..40), Just(vec![7; 2 * LIMIT])],
            0..2_u8,
            any::<bool>(),
            1..u16::MAX,
        );
        (any::<bool>(), prop::collection::vec(message, 0..6)).prop_map(|(v5, messages)| {
            let protocol = if v5 { Protocol::V5 } else { Protocol::V311 };
            let mut stream = Vec::new();
            for (topic, payload, qos, retained, number) in messages {
                stream.extend(publish(protocol, &topic, &payload, qos, retained, number));
                stream.extend([0xd0, 0]);
            }
            (protocol, stream)
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(500))]

        #[test]
        fn it_does_not_matter_how_a_stream_comes_in_pieces((protocol, stream) in packets()) {
            let whole = said(protocol, &stream, &[]);
            for end in 0..stream.len() {
                prop_assert_eq!(&said(protocol, &stream, &[end]), &whole);
            }
            let each: Vec<usize> = (0..stream.len()).collect();
            prop_assert_eq!(said(protocol, &stream, &each), whole);
        }

        #[test]
        fn the_library_reads_the_same(v5 in any::<bool>(), topic in "\\PC{1,30}", payload in prop::collection::vec(any::<u8>(), 0..100),
                                      qos in 0..2_u8, retained in any::<bool>(), number in 1..u16::MAX) {
            let protocol = if v5 { Protocol::V5 } else { Protocol::V311 };
            let stream = publish(protocol, &topic, &payload, qos, retained, number);
            let expected = Message { topic: &topic, payload: &payload, retained, ack: (qos == 1).then_some(number) };
            let mut cutter = Cutter::new(protocol, 1000);
            prop_assert_eq!(cutter.cut(&stream), Ok(Cut::Frame(Frame::Message(expected), stream.len())));
        }

        #[test]
        fn any_bytes_make_packets_or_an_error(v5 in any::<bool>(), stream in prop::collection::vec(any::<u8>(), 0..200)) {
            let protocol = if v5 { Protocol::V5 } else { Protocol::V311 };
            let each: Vec<usize> = (0..stream.len()).collect();
            prop_assert_eq!(said(protocol, &stream, &each), said(protocol, &stream, &[]));
        }

        /// A real packet with one byte changed comes closer to the edges than chance does.
        #[test]
        fn a_changed_byte_makes_packets_or_an_error((protocol, mut stream) in packets(), place in any::<prop::sample::Index>(), byte in any::<u8>()) {
            if !stream.is_empty() {
                let place = place.index(stream.len());
                stream[place] = byte;
                let each: Vec<usize> = (0..stream.len()).collect();
                prop_assert_eq!(said(protocol, &stream, &each), said(protocol, &stream, &[]));
            }
        }
    }

    #[test]
    fn a_message_that_is_too_long_is_told_and_what_follows_is_read() {
        for protocol in [Protocol::V311, Protocol::V5] {
            let mut stream = publish(protocol, "plant/big", &vec![b'x'; 70_000], 1, false, 9);
            stream.extend(publish(protocol, "plant/small", b"1", 0, false, 0));
            let mut cutter = Cutter::new(protocol, LIMIT);
            let Ok(Cut::Frame(Frame::TooLong { message, bytes }, taken)) = cutter.cut(&stream[..20]) else {
                panic!("told before it has come in");
            };
            assert_eq!((message.topic, message.ack), ("plant/big", Some(9)));
            assert!(bytes > 70_000 && taken <= 20);
            let said = said(protocol, &stream, &[100, 30_000]);
            assert_eq!(said.len(), 2, "{said:?}");
            assert!(said[1].contains("plant/small"), "{said:?}");
        }
    }

    #[test]
    fn a_topic_that_is_no_text_is_skipped_alone() {
        let mut stream = publish(Protocol::V311, "ab", b"1", 1, false, 7);
        stream[4] = 0xff;
        stream.extend(publish(Protocol::V311, "ok", b"1", 0, false, 0));
        let said = said(Protocol::V311, &stream, &[]);
        assert_eq!(said[0], "Nameless { ack: Some(7) }");
        assert!(said[1].contains("\"ok\""), "{said:?}");
    }

    #[test]
    fn what_breaks_the_protocol_is_named() {
        let cases: [(&[u8], FrameError); 9] = [
            (b"\x30\xff\xff\xff\xff\x01", FrameError::Length),
            (
                b"\x90\xff\xff\xff\x7f",
                FrameError::Long {
                    kind: 9,
                    bytes: 268_435_460,
                },
            ),
            (b"\x30\x03\x00\x05a", FrameError::Overrun("topic")),
            (b"\x30\x01\x00", FrameError::Overrun("topic")),
            (b"\x32\x03\x00\x01a", FrameError::Overrun("number")),
            (b"\x32\x05\x00\x01a\x00\x00", FrameError::NumberZero),
            (b"\x34\x05\x00\x01a\x00\x01", FrameError::Qos(2)),
            (b"\x36\x05\x00\x01a\x00\x01", FrameError::Qos(3)),
            (b"\x30\x02\x00\x00", FrameError::NoTopic),
        ];
        for (bytes, error) in cases {
            assert_eq!(Cutter::new(Protocol::V311, LIMIT).cut(bytes), Err(error), "{bytes:?}");
        }
        for properties in [
            &b"\x30\x03\x00\x01a"[..],
            b"\x30\x04\x00\x01a\x01",
            b"\x30\x04\x00\x01a\x80",
        ] {
            let got = Cutter::new(Protocol::V5, LIMIT).cut(properties);
            assert_eq!(got, Err(FrameError::Overrun("properties")));
        }
    }
}
