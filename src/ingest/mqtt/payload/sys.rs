//! What brokers tell of themselves under `$SYS`: figures of Mosquitto, EMQX, `VerneMQ` and `HiveMQ`, and EMQX' client events.
//!
//! Figures are signals of the broker, named as the exporters name them: `$SYS/broker/clients/connected` is `broker_clients_connected`, and
//! `$SYS/brokers/NODE/stats/connections.count` is `emqx_connections_count`.

use super::presence::PresenceWords;
use super::tell::{Book, Tell, text};
use super::{Context, DecodeError, Decoded, Decoder, Memo, Notes, scalar};
use crate::model::{Batch, EntityName};

/// See the module.
pub struct Sys {
    book: Book,
    presence: PresenceWords,
}

impl Default for Sys {
    fn default() -> Self {
        Self {
            book: Book::default(),
            presence: PresenceWords::new(&[], &[]),
        }
    }
}

/// Of `$SYS/brokers/NODE/clients/CLIENT/connected|disconnected`, the client.
fn client(topic: &str) -> Option<&str> {
    let (_, rest) = topic.strip_prefix("$SYS/brokers/")?.split_once("/clients/")?;
    let (client, what) = rest.rsplit_once('/')?;
    matches!(what, "connected" | "disconnected").then_some(client)
}

/// Whose topic it is: a client's, or nobody's but the broker's.
pub fn speaker(topic: &str) -> Option<EntityName> {
    client(topic).map(EntityName::from)
}

fn signal(topic: &str) -> String {
    let rest = topic.strip_prefix("$SYS/").unwrap_or(topic);
    let name = match rest.strip_prefix("brokers/").and_then(|rest| rest.split_once('/')) {
        Some((_, rest)) => {
            let rest = rest
                .strip_prefix("stats/")
                .or_else(|| rest.strip_prefix("metrics/"))
                .unwrap_or(rest);
            format!("emqx_{rest}")
        }
        None => rest.to_owned(),
    };
    name.chars()
        .map(|c| if c.is_ascii_alphanumeric() || c == '_' { c } else { '_' })
        .collect()
}

/// `93784 seconds`, or EMQX' `1 days, 2 hours, 3 minutes, 4 seconds`: in seconds.
fn duration(said: &str) -> Option<f64> {
    let mut total = None;
    let mut words = said.split([' ', ',']).filter(|word| !word.is_empty());
    while let (Some(count), Some(unit)) = (words.next(), words.next()) {
        let seconds = match unit.trim_end_matches('s') {
            "day" => 86_400.0,
            "hour" => 3600.0,
            "minute" => 60.0,
            "second" => 1.0,
            _ => return None,
        };
        total = Some(total.unwrap_or(0.0) + count.parse::<u32>().ok().map(f64::from)? * seconds);
    }
    total
}

impl Decoder for Sys {
    fn read(&mut self, context: &Context<'_>, memo: &mut Memo, payload: &[u8], out: &mut Batch) -> Decoded {
        if let Some(client) = client(context.topic) {
            let entity = if context.is_named() {
                context.entity.clone()
            } else {
                client.into()
            };
            Tell::new(context, &mut self.book, out).meet(&entity, context.broker);
            return self.presence.decode(
                &Context {
                    entity: &entity,
                    ..*context
                },
                memo,
                payload,
                out,
            );
        }
        if !context.topic.starts_with("$SYS/") {
            return Err(DecodeError::Topic("$SYS/… is due".into()));
        }
        let said = text(payload)?.trim();
        if context.topic.contains("/alarms/") || said.starts_with('{') {
            // Lists and alarms are for people; the figures behind them come by themselves.
            return Ok(Notes::default());
        }
        let mut tell = Tell::new(context, &mut self.book, out);
        let (broker, signal) = (context.broker, signal(context.topic));
        let seconds = duration(said).or_else(|| said.parse().ok());
        if let (Some(seconds), true) = (seconds, signal.ends_with("uptime")) {
            tell.uptime(broker, seconds);
            tell.value(broker, &signal, seconds, None)?;
            return Ok(tell.notes);
        }
        match scalar::value(said) {
            Ok((value, exact)) => {
                tell.notes.integer(exact);
                tell.value(broker, &signal, value, None)?;
            }
            // The broker's clock, which says nothing that arrival does not.
            Err(_) if signal.ends_with("datetime") => {}
            Err(_) => tell.word(broker, &signal, said, None)?,
        }
        Ok(tell.notes)
    }

    fn speaker(&self, topic: &str) -> Option<EntityName> {
        speaker(topic)
    }
}

#[cfg(test)]
mod tests {
    use crate::ingest::mqtt::payload::tests::{Bench, said};

    #[test]
    fn figures_are_the_brokers_and_an_uptime_that_falls_is_its_restart() {
        let mut bench = Bench::new("{filter: '$SYS/#', decode: sys}");
        let mut all = Vec::new();
        for (topic, payload) in [
            ("$SYS/broker/clients/connected", "7"),
            ("$SYS/broker/load/messages/received/1min", "12.5"),
            ("$SYS/broker/version", "mosquitto version 2.0.11"),
            ("$SYS/broker/uptime", "93784 seconds"),
            ("$SYS/broker/uptime", "3 seconds"),
            ("$SYS/brokers/emqx@h/stats/connections.count", "9"),
            ("$SYS/brokers/emqx@h/uptime", "1 days, 2 hours, 3 minutes, 4 seconds"),
        ] {
            let (batch, notes) = bench.feed(topic, payload.as_bytes());
            assert!(notes.is_ok(), "{topic}: {notes:?}");
            all.extend(
                bench
                    .words(&batch)
                    .iter()
                    .map(|s| s.split('@').next().unwrap().to_owned()),
            );
            all.extend(said(&batch.events));
        }
        assert_eq!(
            all,
            [
                "broker/broker_clients_connected=7",
                "broker/broker_load_messages_received_1min=12.5",
                "broker/broker_version='mosquitto version 2.0.11'",
                "broker/broker_uptime=93784",
                "broker/broker_uptime=3",
                "broker Restarted",
                "broker/emqx_connections_count=9",
                "broker/emqx_uptime=93784"
            ]
        );
    }
}
