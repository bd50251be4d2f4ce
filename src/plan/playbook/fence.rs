//! Which steps take the power of whom so that it holds. A command that somebody has only taken note of is no fence.

use serde_json::Value;

use super::{On, Playbook, Playbooks, Template};
use crate::model::Service;
use crate::model::plan::Phase;

impl Template {
    /// `Err` says why it leaves open whether the node can still write.
    pub(super) fn holds(&self) -> Result<(), &'static str> {
        if self.with.get("unreachable").and_then(Value::as_str) == Some("ok") {
            return Err("`unreachable: ok` lets a host pass that nobody reaches");
        }
        let looked_at = self.observe.is_some() || self.with.contains_key("observe");
        match self.uses.as_str() {
            "mqtt" if self.observe.is_none() => {
                Err("that the broker has taken a message says nothing of whether it was obeyed: it needs an `observe`")
            }
            "exec" | "ssh" if !looked_at && !self.is_helped() => {
                Err("an exit code is no proof: it needs an `observe`, or `jurymast exec` on the target host")
            }
            "http" if !looked_at => Err("an answer is no proof: it needs an `observe`"),
            "dns" => Err("whoever has looked the name up goes on to the old address"),
            "probe" | "compare" | "restic" | "borg" | "velero" => Err("it takes nobody's power"),
            _ => Ok(()),
        }
    }

    /// The helper on the target host refuses stale tokens, and ends as the command has ended there.
    fn is_helped(&self) -> bool {
        let argv = self.with.get("argv").and_then(Value::as_array);
        let words: Vec<&str> = argv.into_iter().flatten().filter_map(Value::as_str).collect();
        words
            .windows(2)
            .any(|pair| pair[0].ends_with("jurymast") && pair[1] == "exec")
    }
}

impl Playbook {
    /// `Err` says why no step of that phase takes the power of those for certain.
    fn has(&self, phase: Phase, on: On) -> Result<(), String> {
        let mut why = None;
        let on_it = |step: &On| *step == on || (on == On::EachNamed && *step == On::EachOther);
        for step in self.steps.iter().filter(|step| step.phase == phase && on_it(&step.on)) {
            match step.holds() {
                Ok(()) => return Ok(()),
                Err(reason) => why = Some(format!("'{}' does not hold: {reason}", step.name)),
            }
        }
        Err(why.unwrap_or_else(|| "there is none".to_owned()))
    }
}

impl Playbooks {
    /// Why two of the service could write at once, if a plan of its own playbook went on by itself. `None` where it has no single writer, or where the playbook
    /// (or the manager that it asks) takes the old active's power first and, with more than one standby, that of each node that was tried before.
    pub fn unfenced(&self, service: &Service) -> Option<String> {
        let single = service.single_writer;
        let playbook = self
            .get(&service.playbook)
            .ok()
            .filter(|playbook| single && playbook.manager.is_none())?;
        if let Err(why) = playbook.has(Phase::Fence, On::From) {
            return Some(format!(
                "its playbook {} has no fence step for the old active that holds: {why}",
                playbook.name
            ));
        }
        if service.standbys.len() > 1
            && let Err(why) = playbook.has(Phase::Seal, On::EachNamed)
        {
            return Some(format!(
                "it has more than one standby, and its playbook {} has no step with `phase: seal, on: each_named` that holds, so that who was tried in vain \
                 could write beside who is tried next: {why}",
                playbook.name
            ));
        }
        None
    }

    /// May another be tried after one that was tried in vain? Not where both could write, and nothing seals the first.
    pub fn tries_again(&self, service: &Service) -> bool {
        !service.single_writer
            || self
                .get(&service.playbook)
                .is_ok_and(|playbook| playbook.manager.is_some() || playbook.has(Phase::Seal, On::EachNamed).is_ok())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FENCE: &str = "{name: stop it, phase: fence, on: from, uses: systemd, with: {do: fence, unit: u}}";
    const SEAL: &str = "{name: seal it, phase: seal, on: each_named, uses: systemd, with: {do: fence, unit: u}}";

    fn playbook(head: &str, steps: &[&str]) -> Playbooks {
        let text = format!(
            "{{name: p, summary: Mine., {head}steps: [{}{{name: look, phase: verify, uses: probe}}]}}",
            steps.iter().map(|step| format!("{step}, ")).collect::<String>()
        );
        Playbooks::parse([("p.yml", text.as_str())]).unwrap()
    }

    fn service(standbys: &str, single: bool) -> Service {
        let yaml = format!(
            "{{name: s, active: a, standbys: [{standbys}], playbook: p, single_writer: {single}, probe: {{uses: tcp}}}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    #[test]
    fn with_several_standbys_who_was_tried_in_vain_must_be_sealed() {
        let (one, two) = (service("{entity: b}", true), service("{entity: b}, {entity: c}", true));
        let open = playbook("", &[FENCE]);
        assert_eq!(open.unfenced(&one), None);
        let why = open.unfenced(&two).unwrap();
        assert!(why.contains("each_named") && why.contains("there is none"), "{why}");
        assert!(!open.tries_again(&two));
        let seals = playbook("", &[FENCE, SEAL]);
        assert_eq!(seals.unfenced(&two), None);
        assert!(seals.tries_again(&two));
        let message = SEAL.replace(
            "systemd, with: {do: fence, unit: u}",
            "mqtt, with: {payload: '{token}'}",
        );
        let why = playbook("", &[FENCE, &message]).unfenced(&two).unwrap();
        assert!(why.contains("'seal it' does not hold"), "{why}");
        let freely = service("{entity: b}, {entity: c}", false);
        assert_eq!(open.unfenced(&freely), None);
        assert!(open.tries_again(&freely));
        let managed = playbook("manager: m, ", &[]);
        assert_eq!(managed.unfenced(&two), None);
        assert!(managed.tries_again(&two));
    }

    #[test]
    fn what_nobody_has_seen_to_work_is_no_fence() {
        let one = service("{entity: b}", true);
        let fence = |uses: &str, with: &str, more: &str| {
            let step = format!("{{name: f, phase: fence, on: from, uses: {uses}, with: {{{with}}}{more}}}");
            playbook("", &[&step]).unfenced(&one)
        };
        let look = ", observe: {uses: http, with: {url: 'http://{from.address}/standby'}}";
        for (uses, with, more, holds) in [
            ("mqtt", "payload: '{token}', retain: true", "", false),
            ("mqtt", "payload: '{token}'", look, true),
            ("exec", "argv: ['/bin/true']", "", false),
            ("exec", "argv: ['/stop'], observe: ['/stopped']", "", true),
            ("exec", "argv: ['/stop']", look, true),
            ("ssh", "host: h, argv: ['/stop']", "", false),
            (
                "ssh",
                "host: h, argv: ['/usr/bin/jurymast', exec, --service, s, --, '/stop']",
                "",
                true,
            ),
            ("http", "url: 'http://f/'", "", false),
            (
                "http",
                "url: 'http://f/', observe: {url: 'http://f/', contains: a}",
                "",
                true,
            ),
            ("redis", "do: fence, unreachable: ok", "", false),
            ("dns", "name: n", "", false),
            ("haproxy", "state: maint", "", true),
        ] {
            let why = fence(uses, with, more);
            assert_eq!(why.is_none(), holds, "{uses} {with}: {why:?}");
        }
    }

    #[test]
    fn a_fence_is_for_the_old_active() {
        let other = FENCE.replace("from", "each_named");
        let why = playbook("", &[&other]).unfenced(&service("{entity: b}", true)).unwrap();
        assert!(why.contains("there is none"), "{why}");
    }

    #[test]
    fn of_the_playbooks_in_the_binary_only_messages_and_no_second_writer_are_asked_about() {
        let playbooks = Playbooks::builtin();
        let asked: Vec<&str> = playbooks
            .iter()
            .map(|playbook| playbook.name.as_str())
            .filter(|name| {
                let mut service = service("{entity: b}, {entity: c}", true);
                (*name).clone_into(&mut service.playbook);
                playbooks.unfenced(&service).is_some()
            })
            .collect();
        assert_eq!(asked, ["haproxy-withdraw", "mqtt-role-switch"]);
    }
}
