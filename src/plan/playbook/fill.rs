//! Fills the variables of a playbook in.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Map, Value};

use super::{On, Template};
use crate::model::plan::Action;
use crate::model::service::ProbeSpec;
use crate::model::{EntityName, PlanId, PlanKind, Service, Step, Token, Topology};

impl On {
    /// Those that a step acts on, one after the other.
    pub(super) fn targets<'a>(
        self,
        service: &'a Service,
        from: &'a EntityName,
        to: &'a EntityName,
        named: &'a [EntityName],
    ) -> Vec<&'a EntityName> {
        let others: BTreeSet<&EntityName> = match self {
            Self::To => return vec![to],
            Self::From => return vec![from],
            // The order is the one in which they were named.
            Self::EachNamed => return named.iter().filter(|node| *node != from && *node != to).collect(),
            Self::EachOther => named.iter().chain(service.instances()).collect(),
        };
        others.into_iter().filter(|node| *node != from && *node != to).collect()
    }
}

/// Fills in variables.
pub(super) struct Filler {
    values: BTreeMap<String, String>,
}

impl Filler {
    pub(super) fn new(
        service: &Service,
        kind: PlanKind,
        from: &EntityName,
        to: &EntityName,
        token: Token,
        topology: &Topology,
    ) -> Self {
        let mut filler = Self {
            values: service.vars.clone(),
        };
        let kind = match kind {
            PlanKind::Failover | PlanKind::Reassert => "failover",
            PlanKind::Failback => "failback",
            PlanKind::Drill => "drill",
            PlanKind::DrillBack => "drill_back",
        };
        for (name, value) in [
            ("service", service.name.to_string()),
            ("kind", kind.to_owned()),
            ("token", token.to_string()),
            ("epoch", token.epoch.to_string()),
            ("seq", token.seq.to_string()),
            ("plan", PlanId::new(&service.name, token).to_string()),
        ] {
            filler.values.insert(name.to_owned(), value);
        }
        filler.entity("from", from, topology);
        filler.entity("to", to, topology);
        filler
    }

    pub(super) fn entity(&mut self, role: &str, name: &EntityName, topology: &Topology) {
        let prefix = format!("{role}.");
        self.values.retain(|known, _| !known.starts_with(&prefix));
        self.values.insert(role.to_owned(), name.to_string());
        for (attribute, value) in topology
            .entity(name.as_str())
            .into_iter()
            .flat_map(|entity| &entity.attributes)
        {
            self.values.insert(format!("{role}.{attribute}"), value.clone());
        }
    }

    pub(super) fn set(&mut self, name: &str, value: String) {
        self.values.insert(name.to_owned(), value);
    }

    pub(super) fn known(&self) -> String {
        self.values
            .keys()
            .map(|name| format!("{{{name}}}"))
            .collect::<Vec<_>>()
            .join(" ")
    }

    pub(super) fn step(&self, template: &Template, target: &EntityName, index: usize) -> Result<Step, String> {
        let observe = match &template.observe {
            None => None,
            Some(spec) => Some(ProbeSpec {
                with: self.map(&spec.with)?,
                ..spec.clone()
            }),
        };
        let undo = match &template.undo {
            None => None,
            Some(undo) => Some(Action {
                uses: undo.uses.clone(),
                with: self.map(&undo.with)?,
                observe: None,
            }),
        };
        Ok(Step {
            index,
            name: self.text(&template.name)?,
            phase: template.phase,
            target: target.clone(),
            action: Action {
                uses: template.uses.clone(),
                with: self.map(&template.with)?,
                observe,
            },
            undo,
            timeout: template.timeout,
            retries: template.retries,
        })
    }

    fn map(&self, map: &Map<String, Value>) -> Result<Map<String, Value>, String> {
        map.iter()
            .map(|(key, value)| Ok((key.clone(), self.value(value)?)))
            .collect()
    }

    fn value(&self, value: &Value) -> Result<Value, String> {
        Ok(match value {
            Value::String(text) => Value::String(self.text(text)?),
            Value::Array(list) => Value::Array(list.iter().map(|v| self.value(v)).collect::<Result<_, _>>()?),
            Value::Object(map) => Value::Object(self.map(map)?),
            other => other.clone(),
        })
    }

    fn text<'a>(&'a self, text: &'a str) -> Result<String, String> {
        crate::model::template::fill(text, |name| {
            name.split('|').find_map(|name| {
                let literal = name.strip_prefix('\'').and_then(|rest| rest.strip_suffix('\''));
                literal.or_else(|| self.values.get(name).map(String::as_str))
            })
        })
    }
}
