//! The config to start with, with a comment on all that a person must decide.

use super::{Broker, Filter, Found, Survey, filters};
use crate::model::EntityKind;

/// Entities that are listed; what is discovered while running needs no list.
const LISTED_MAX: usize = 500;

/// A text as YAML, quoted where that is needed.
fn quoted(text: &str) -> String {
    // Dollar signs are the config's own variables.
    let text = text.replace('$', "$$");
    let plain = !text.is_empty()
        && text.chars().all(|c| c.is_ascii_alphanumeric() || "_-./".contains(c))
        && text.starts_with(|c: char| c.is_ascii_alphabetic())
        && !["true", "false", "null", "yes", "no", "on", "off", "y", "n"].contains(&text.to_ascii_lowercase().as_str());
    if plain {
        text
    } else {
        serde_json::Value::String(text).to_string()
    }
}

/// Text for a comment: one line, no control characters.
fn remark(text: &str) -> String {
    text.chars()
        .take(120)
        .map(|c| if c.is_control() { ' ' } else { c })
        .collect()
}

fn seconds(value: f64) -> String {
    if value >= 120.0 && value % 60.0 == 0.0 {
        format!("{}m", value / 60.0)
    } else if value < 2.0 {
        format!("{}ms", (value * 1000.0).round())
    } else {
        format!("{}s", value.round())
    }
}

/// The config that reads what was found.
pub fn config(survey: &Survey, broker: &Broker, span: &str) -> String {
    let filters = filters(&survey.topics);
    let found = survey.found(&filters);
    let mut text = format!(
        "# Written by `jurymast discover`, which listened to {} for {span}: {} messages on {} topics, {} entities.\n\
         # It watches and moves nothing yet. Check it with `jurymast check config`, and run it with `jurymast run -c FILE`.\n\n\
         agent:\n  name: jurymast\n  data_dir: data\n\nsources:\n  mqtt:\n    - name: {}\n      url: {}\n",
        remark(&broker.url),
        survey.messages,
        survey.topics.len(),
        found.len(),
        quoted(survey.broker().as_str()),
        quoted(&broker.url),
    );
    if let Some(user) = &broker.username {
        text += &format!("      username: {}\n", quoted(user));
    }
    match (&broker.password_file, &broker.username) {
        (Some(file), _) => text += &format!("      password_file: {}\n", quoted(&file.display().to_string())),
        (None, Some(_)) => {
            text += "      # The password belongs in a file that only the agent may read:\n      # password_file: broker-password\n";
        }
        _ => {}
    }
    if let Some(file) = &broker.ca_file {
        text += &format!("      tls: {{ca_file: {}}}\n", quoted(&file.display().to_string()));
    }
    subscriptions(&mut text, &filters);
    unread(&mut text, survey);
    let candidates = candidates(&found);
    entities(&mut text, &found, &candidates);
    services(&mut text, &candidates);
    text
}

fn subscriptions(text: &mut String, filters: &[Filter]) {
    if filters.is_empty() {
        *text += "      # Nothing that can be read was heard. Everything is listened to, and each topic is taken for what it looks like.\n";
        *text += "      subscribe:\n        - {filter: '#', decode: auto}\n";
        return;
    }
    *text += "      # The first filter that fits a topic counts.\n      subscribe:\n";
    for one in filters {
        let topics = match one.topics {
            1 => remark(&one.example),
            many => format!("{many} topics, such as {}", remark(&one.example)),
        };
        *text += &format!("        # {topics}\n");
        *text += &format!(
            "        - filter: {}\n          decode: {}\n",
            quoted(&one.filter),
            one.decode
        );
        for (key, value) in [("entity", &one.entity), ("signal", &one.signal)] {
            if let Some(value) = value {
                *text += &format!("          {key}: {}\n", quoted(value));
            }
        }
    }
}

fn unread(text: &mut String, survey: &Survey) {
    let bad: Vec<_> = survey.topics.iter().filter(|(_, topic)| topic.bad > 0).collect();
    if bad.is_empty() {
        return;
    }
    *text += &format!("      # {} topics hold payloads that cannot be read:\n", bad.len());
    for (name, topic) in bad.iter().take(20) {
        let error = topic.error.as_deref().unwrap_or_default();
        *text += &format!(
            "      #   {} ({} of {}): {}\n",
            remark(name),
            topic.bad,
            topic.messages,
            remark(error)
        );
    }
}

fn entities(text: &mut String, found: &[Found], candidates: &[Candidate]) {
    // What the topics and births tell while running need not be said; a period or a group that was only seen must.
    let said: Vec<&Found> = found
        .iter()
        .filter(|one| one.period_s.is_some() || one.group.is_some())
        .collect();
    let instances = candidates.iter().flat_map(Candidate::instances).zip(1..);
    let instances = instances.map(|(name, number)| {
        let name = quoted(&name);
        format!("- {{name: {name}, kind: service, attributes: {{address: \"192.0.2.{number}:8080\"}}}}\n")
    });
    if said.is_empty() {
        *text += "\n#topology:\n#  entities:\n";
        text.extend(instances.map(|line| format!("#    {line}")));
        return;
    }
    *text += "\ntopology:\n  # A period is how often one promises to speak; after three of them without a word it counts as silent. Without a period it is learned.\n";
    *text += "  # Entities of one group measure the same sort of thing.\n  entities:\n";
    for one in said.iter().take(LISTED_MAX) {
        let mut parts = vec![format!("name: {}", quoted(one.entity.as_str()))];
        if one.kind != EntityKind::Device {
            let kind = serde_json::to_value(one.kind)
                .ok()
                .and_then(|kind| kind.as_str().map(String::from));
            parts.extend(kind.map(|kind| format!("kind: {kind}")));
        }
        parts.extend(one.period_s.map(|period| format!("period: {}", seconds(period))));
        parts.extend(one.group.as_ref().map(|group| format!("group: {}", quoted(group))));
        let why = match (one.period_s, one.declared) {
            (Some(_), true) => "  # it promises this period itself",
            (Some(_), false) => "  # as heard",
            _ => "",
        };
        *text += &format!("    - {{{}}}{why}\n", parts.join(", "));
    }
    if said.len() > LISTED_MAX {
        *text += &format!(
            "    # and {} more; what is learned while running is enough for them\n",
            said.len() - LISTED_MAX
        );
    }
    *text += "    # Instances of the services below.\n";
    text.extend(instances.map(|line| format!("    #{line}")));
}

/// What might be worth a standby.
struct Candidate {
    name: String,
    why: &'static str,
}

impl Candidate {
    /// The active one and its standby.
    fn instances(&self) -> [String; 2] {
        ["a", "b"].map(|end| format!("{}-{end}", self.name))
    }
}

fn candidates(found: &[Found]) -> Vec<Candidate> {
    let candidate = |one: &Found| match one.kind {
        EntityKind::Service => true,
        EntityKind::Gateway => {
            found
                .iter()
                .filter(|other| other.via.as_ref() == Some(&one.entity))
                .count()
                > 1
        }
        _ => false,
    };
    let why = |one: &Found| match one.kind {
        EntityKind::Service => "a service that tells of itself",
        _ => "several devices speak through it",
    };
    let mut all: Vec<Candidate> = found
        .iter()
        .filter(|one| candidate(one))
        .map(|one| Candidate {
            name: one.entity.to_string(),
            why: why(one),
        })
        .take(8)
        .collect();
    if all.is_empty() {
        all.push(Candidate {
            name: "ingest".into(),
            why: "whatever takes in what these devices say",
        });
    }
    all
}

fn services(text: &mut String, candidates: &[Candidate]) {
    *text += "\n# What must stay up is yours to say: a service has an active instance, standbys, a probe that tells from outside whether it serves,\n";
    *text += "# and a playbook that moves it. `approval: ask` proposes moves and waits for a person. Take away the # of what fits, here and under topology,\n";
    *text += "# and put in your own addresses.\n#services:\n";
    for one in candidates {
        let [active, standby] = one.instances().map(|name| quoted(&name));
        let name = quoted(&one.name);
        let lines = [
            format!("  # {}: {}", remark(&one.name), one.why),
            format!("  - name: {name}"),
            format!("    active: {active}"),
            format!("    standbys: [{{entity: {standby}}}]"),
            "    approval: ask".to_owned(),
            "    playbook: haproxy-switch".to_owned(),
            format!("    vars: {{socket: /run/haproxy/admin.sock, backend: {name}}}"),
            "    probe: {uses: tcp, with: {address: \"{address}\"}}".to_owned(),
        ];
        text.extend(lines.map(|line| format!("#{line}\n")));
    }
}
