//! Playbooks: remedies as step templates, read from YAML. Variables in braces are filled in from the plan, the service and the
//! entities: `{from}`, `{to}`, `{service}`, `{epoch}`, `{seq}`, `{token}`, `{plan}`, `{to.ATTRIBUTE}`, `{from.ATTRIBUTE}`, `{NAME}` of the
//! service's `vars`; in a step for each named node also `{node}` and `{node.ATTRIBUTE}`. `{a|b}` takes the first that there is, and `{a|'text'}` that text
//! where there is no `a`.

mod fence;
mod fill;
mod room;

use std::collections::BTreeMap;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

use crate::model::hint::meant;
use crate::model::plan::Phase;
use crate::model::service::ProbeSpec;
use crate::model::{EntityName, PlanKind, Service, Span, Step, Token, Topology};
use fill::Filler;
pub use room::{Yielding, put_in};

/// A remedy as a list of step templates.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Playbook {
    /// Its name; services refer to it.
    pub name: String,
    /// One sentence for a person.
    pub summary: String,
    /// The manager that owns the service and is asked to switch: it fences by its own means.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub manager: Option<String>,
    /// In order; phases must not go backwards.
    pub steps: Vec<Template>,
}

/// One step before its variables are filled in.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Template {
    /// For a person; may hold variables.
    pub name: String,
    /// What it is for.
    pub phase: Phase,
    /// Whom it acts on.
    #[serde(default)]
    pub on: On,
    /// Which executor.
    pub uses: String,
    /// Its parameters; may hold variables.
    #[serde(default)]
    pub with: Map<String, Value>,
    /// How to see whether the effect has happened, where the executor cannot tell.
    #[serde(default)]
    pub observe: Option<ProbeSpec>,
    /// How it is taken back.
    #[serde(default)]
    pub undo: Option<Undo>,
    /// How long one try may take.
    #[serde(default = "default_timeout")]
    pub timeout: Span,
    /// How often it is tried again after a failure that left no effect.
    #[serde(default)]
    pub retries: u8,
}

impl Template {
    /// Other executors carry the token by themselves; of a message only whoever wrote it knows where it belongs.
    fn carries_token(&self) -> bool {
        let carries = |uses: &str, with: &Map<String, Value>| {
            let payload = with.get("payload").and_then(Value::as_str).unwrap_or_default();
            let has = |name: &str| payload.contains(&format!("{{{name}}}"));
            uses != "mqtt" || has("token") || (has("epoch") && has("seq"))
        };
        carries(&self.uses, &self.with) && self.undo.as_ref().is_none_or(|undo| carries(&undo.uses, &undo.with))
    }
}

/// How a step is taken back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Undo {
    /// Which executor.
    pub uses: String,
    /// Its parameters; may hold variables.
    #[serde(default)]
    pub with: Map<String, Value>,
}

/// Whom a step acts on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum On {
    /// The new active.
    #[default]
    To,
    /// The old active.
    From,
    /// Each node that an earlier plan named, one step each, without `from` and `to`.
    EachNamed,
    /// Each other instance as well, without `from` and `to`: for a front, which sends to whom its own config says once it was started anew.
    EachOther,
}

const fn default_timeout() -> Span {
    Span::secs(2)
}

/// A playbook that cannot be used.
#[derive(Debug, thiserror::Error, PartialEq)]
pub enum PlaybookError {
    /// Not YAML, or not a playbook. The message holds line and column.
    #[error("{file}: {error}")]
    Syntax {
        /// Which file.
        file: String,
        /// What is wrong, and where.
        error: String,
    },
    /// It contradicts itself.
    #[error("playbook '{playbook}': {problem}")]
    Content {
        /// Which playbook.
        playbook: String,
        /// What is wrong, and how to mend it.
        problem: String,
    },
    /// No playbook of that name.
    #[error("no playbook is called '{name}'; there are {known}")]
    Unknown {
        /// The name.
        name: String,
        /// All names.
        known: String,
    },
    /// A variable that nothing fills in.
    #[error("playbook '{playbook}', step '{step}': nothing fills in {{{variable}}}; there are {known}")]
    Variable {
        /// Which playbook.
        playbook: String,
        /// Which step.
        step: String,
        /// Which variable.
        variable: String,
        /// What there is.
        known: String,
    },
}

/// The files that come with the binary.
const BUILTIN: &[(&str, &str)] = &[
    (
        "haproxy-switch.yml",
        include_str!("../../rules/playbooks/haproxy-switch.yml"),
    ),
    (
        "http-front-switch.yml",
        include_str!("../../rules/playbooks/http-front-switch.yml"),
    ),
    (
        "mqtt-role-switch.yml",
        include_str!("../../rules/playbooks/mqtt-role-switch.yml"),
    ),
    (
        "exec-scripts.yml",
        include_str!("../../rules/playbooks/exec-scripts.yml"),
    ),
    (
        "postgres-promote.yml",
        include_str!("../../rules/playbooks/postgres-promote.yml"),
    ),
    (
        "postgres-haproxy.yml",
        include_str!("../../rules/playbooks/postgres-haproxy.yml"),
    ),
    (
        "redis-haproxy.yml",
        include_str!("../../rules/playbooks/redis-haproxy.yml"),
    ),
    (
        "redis-sentinel.yml",
        include_str!("../../rules/playbooks/redis-sentinel.yml"),
    ),
    (
        "mariadb-haproxy.yml",
        include_str!("../../rules/playbooks/mariadb-haproxy.yml"),
    ),
    (
        "patroni-switchover.yml",
        include_str!("../../rules/playbooks/patroni-switchover.yml"),
    ),
    (
        "pacemaker-move.yml",
        include_str!("../../rules/playbooks/pacemaker-move.yml"),
    ),
    (
        "keepalived-switch.yml",
        include_str!("../../rules/playbooks/keepalived-switch.yml"),
    ),
    (
        "restic-restore.yml",
        include_str!("../../rules/playbooks/restic-restore.yml"),
    ),
    (
        "borg-restore.yml",
        include_str!("../../rules/playbooks/borg-restore.yml"),
    ),
    (
        "haproxy-withdraw.yml",
        include_str!("../../rules/playbooks/haproxy-withdraw.yml"),
    ),
    (
        "kubernetes-switch.yml",
        include_str!("../../rules/playbooks/kubernetes-switch.yml"),
    ),
    (
        "systemd-haproxy.yml",
        include_str!("../../rules/playbooks/systemd-haproxy.yml"),
    ),
    (
        "broker-redirect.yml",
        include_str!("../../rules/playbooks/broker-redirect.yml"),
    ),
];

/// All playbooks, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Playbooks {
    by_name: BTreeMap<String, Playbook>,
}

impl Playbooks {
    /// The playbooks that come with the binary.
    pub fn builtin() -> Self {
        // They are part of the program, and a test reads them.
        Self::parse(BUILTIN.iter().copied()).unwrap_or_default()
    }

    /// The files that come with the binary, by name.
    pub const fn builtin_files() -> &'static [(&'static str, &'static str)] {
        BUILTIN
    }

    /// Reads files of one playbook each. A later one of the same name replaces an earlier one.
    pub fn parse<'a>(files: impl IntoIterator<Item = (&'a str, &'a str)>) -> Result<Self, PlaybookError> {
        let mut playbooks = Self::default();
        for (file, text) in files {
            let playbook: Playbook = serde_saphyr::from_str(text).map_err(|error| PlaybookError::Syntax {
                file: file.to_owned(),
                error: meant(&error.to_string()),
            })?;
            let wrong = |problem: &str| {
                Err(PlaybookError::Content {
                    playbook: playbook.name.clone(),
                    problem: problem.to_owned(),
                })
            };
            if playbook.steps.is_empty() {
                return wrong("it has no steps");
            }
            if playbook.steps.windows(2).any(|pair| pair[0].phase > pair[1].phase) {
                return wrong(
                    "its phases go backwards: fence, seal, restore, promote, start, switch, verify, announce",
                );
            }
            let not_its_own = |step: &&Template| matches!(step.phase, Phase::Yield | Phase::GiveBack);
            if playbook.steps.iter().any(|step| not_its_own(&step)) {
                return wrong(
                    "`yield` and `give_back` are no phases of a playbook: who makes room says how in its own `yields`",
                );
            }
            if !playbook.steps.iter().any(|step| step.phase == Phase::Verify) {
                return wrong("it has no verify step: a move that nobody looked at is not done");
            }
            if let Some(step) = playbook.steps.iter().find(|step| !step.carries_token()) {
                return wrong(&format!(
                    "the payload of '{}' carries no token: write {{token}}, or {{epoch}} and {{seq}}, into it, so that what \
                     comes late can be known by it",
                    step.name
                ));
            }
            playbooks.by_name.insert(playbook.name.clone(), playbook);
        }
        Ok(playbooks)
    }

    /// Adds those of another set; they replace those of the same name.
    pub fn extend(&mut self, other: Self) {
        self.by_name.extend(other.by_name);
    }

    /// All playbooks, by name.
    pub fn iter(&self) -> impl Iterator<Item = &Playbook> {
        self.by_name.values()
    }

    /// The playbook of that name.
    pub fn get(&self, name: &str) -> Result<&Playbook, PlaybookError> {
        self.by_name.get(name).ok_or_else(|| PlaybookError::Unknown {
            name: name.to_owned(),
            known: self.by_name.keys().cloned().collect::<Vec<_>>().join(", "),
        })
    }

    /// The steps that move `service` from `from` to `to`.
    pub fn build(
        &self,
        service: &Service,
        kind: PlanKind,
        from: &EntityName,
        to: &EntityName,
        token: Token,
        named: &[EntityName],
        topology: &Topology,
    ) -> Result<Vec<Step>, PlaybookError> {
        let playbook = self.get(&service.playbook)?;
        let mut filler = Filler::new(service, kind, from, to, token, topology);
        let mut steps = Vec::new();
        for template in &playbook.steps {
            let targets = template.on.targets(service, from, to, named);
            for target in targets {
                if !matches!(template.on, On::To | On::From) {
                    filler.entity("node", target, topology);
                }
                let step = filler
                    .step(template, target, steps.len())
                    .map_err(|variable| PlaybookError::Variable {
                        playbook: playbook.name.clone(),
                        step: template.name.clone(),
                        variable,
                        known: filler.known(),
                    })?;
                steps.push(step);
            }
        }
        Ok(steps)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn service(vars: &str) -> Service {
        let yaml = format!(
            "{{name: ingest, active: a, standbys: [{{entity: b}}], playbook: haproxy-switch, vars: {vars}, \
             probe: {{uses: http, with: {{url: 'http://{{address}}/'}}}}}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    #[test]
    fn the_playbooks_in_the_binary_read() {
        let playbooks = Playbooks::parse(BUILTIN.iter().copied()).unwrap();
        assert_eq!(playbooks.iter().count(), BUILTIN.len());
    }

    #[test]
    fn earlier_targets_and_other_instances_are_kept_out_but_not_the_chosen_one() {
        let token = Token { epoch: 3, seq: 1 };
        let named = ["b".into(), "c".into()];
        let mut topology = Topology::new();
        for name in ["a", "b", "c"] {
            let attributes = [("address".to_owned(), "127.0.0.1:1".to_owned())].into();
            let entity = crate::model::Entity {
                name: name.into(),
                kind: crate::model::EntityKind::default(),
                period: None,
                group: None,
                attributes,
            };
            topology.apply(&crate::model::TopologyChange::Entity { entity });
        }
        let steps = Playbooks::builtin()
            .build(
                &service("{socket: /s, backend: be}"),
                PlanKind::Failover,
                &"a".into(),
                &"b".into(),
                token,
                &named,
                &topology,
            )
            .unwrap();
        let sealed: Vec<_> = steps
            .iter()
            .filter(|s| s.phase == Phase::Seal)
            .map(|s| s.target.as_str())
            .collect();
        assert_eq!(sealed, ["c"]);
        // Back from where it was led: a front that was started anew would send to its home.
        let (from, to) = (&"c".into(), &"b".into());
        let service = service("{socket: /s, backend: be}");
        let steps = Playbooks::builtin().build(&service, PlanKind::Failover, from, to, token, &[], &topology);
        let sealed = |step: &Step| step.phase == Phase::Seal && step.target.as_str() == "a";
        assert!(steps.unwrap().iter().any(sealed));
    }

    #[test]
    fn a_message_without_a_token_is_refused() {
        let (_, text) = BUILTIN.iter().find(|(file, _)| file.starts_with("mqtt")).unwrap();
        let bare = text.replacen("\"seq\":{seq}", "\"seq\":0", 1);
        assert_ne!(*text, bare);
        let error = Playbooks::parse([("mine.yml", bare.as_str())]).unwrap_err().to_string();
        assert!(
            error.contains("tell {from} to stand by") && error.contains("{token}"),
            "{error}"
        );
    }

    #[test]
    fn every_playbook_in_the_binary_seals_and_one_announces() {
        let playbooks = Playbooks::builtin();
        let with = |phase| {
            let has = move |playbook: &&Playbook| playbook.steps.iter().any(|step| step.phase == phase);
            playbooks.iter().filter(has).count()
        };
        let managed = playbooks.iter().filter(|playbook| playbook.manager.is_some()).count();
        // Where all serve at once there is no second one to keep out.
        let all_active = playbooks
            .iter()
            .filter(|playbook| playbook.name == "haproxy-withdraw")
            .count();
        assert_eq!(with(Phase::Seal), BUILTIN.len() - managed - all_active);
        assert!(with(Phase::Announce) >= 1);
    }

    #[test]
    fn an_unknown_variable_is_named_with_those_that_exist() {
        let token = Token { epoch: 3, seq: 1 };
        let error = Playbooks::builtin()
            .build(
                &service("{}"),
                PlanKind::Failover,
                &"a".into(),
                &"b".into(),
                token,
                &[],
                &Topology::new(),
            )
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("nothing fills in {backend}") && error.contains("{to}"),
            "{error}"
        );
    }
}
