//! Steps that stop who is less important, to make room, and start it again: made of its own `yields`.

use super::fill::Filler;
use super::{On, PlaybookError, Template, Undo};
use crate::model::plan::Phase;
use crate::model::service::Yields;
use crate::model::{EntityName, PlanId, PlanKind, Service, ServiceName, Step, Token, Topology};

/// A service that makes room for another, and by which plan.
pub struct Yielding<'a> {
    /// Who makes room.
    pub service: &'a Service,
    /// Its active instance.
    pub at: &'a EntityName,
    /// For whom.
    pub to: &'a ServiceName,
    /// The token of the plan that stops it, or starts it again.
    pub token: Token,
    /// Why that plan exists.
    pub kind: PlanKind,
    /// The graph.
    pub topology: &'a Topology,
}

impl Yielding<'_> {
    /// The step that stops it, with its way back. `None` if it is not to be stopped.
    pub fn stop(&self) -> Option<Result<Step, PlaybookError>> {
        let yields = self.service.yields.as_ref()?;
        let mut stop = template(Phase::Yield, "stop {node} ({service}) to make room for {for}", yields);
        stop.undo = Some(Undo {
            uses: yields.start.uses.clone(),
            with: yields.start.with.clone(),
        });
        Some(self.filled(&stop))
    }

    /// The step that starts it again.
    pub fn start(&self) -> Option<Result<Step, PlaybookError>> {
        let yields = self.service.yields.as_ref()?;
        let mut start = template(Phase::GiveBack, "start {node} ({service}) again", yields);
        start.uses.clone_from(&yields.start.uses);
        start.with.clone_from(&yields.start.with);
        start.observe.clone_from(&yields.start.observe);
        Some(self.filled(&start))
    }

    /// Why nobody could tell whether it has stopped; `None` if its stop holds as a fence does.
    pub fn doubt(&self) -> Option<&'static str> {
        template(Phase::Yield, "", self.service.yields.as_ref()?).holds().err()
    }

    fn filled(&self, template: &Template) -> Result<Step, PlaybookError> {
        let mut filler = Filler::new(self.service, self.kind, self.at, self.at, self.token, self.topology);
        filler.entity("node", self.at, self.topology);
        filler.set("for", self.to.to_string());
        filler.set("plan", PlanId::new(self.to, self.token).to_string());
        filler
            .step(template, self.at, 0)
            .map_err(|variable| PlaybookError::Variable {
                playbook: format!("yields of {}", self.service.name),
                step: template.name.clone(),
                variable,
                known: filler.known(),
            })
    }
}

fn template(phase: Phase, name: &str, yields: &Yields) -> Template {
    Template {
        name: name.to_owned(),
        phase,
        on: On::To,
        uses: yields.stop.uses.clone(),
        with: yields.stop.with.clone(),
        observe: yields.stop.observe.clone(),
        undo: None,
        timeout: yields.timeout,
        retries: 0,
    }
}

/// Puts such steps where their phases belong among the steps of a plan.
pub fn put_in(steps: &mut Vec<Step>, more: Vec<Step>) {
    steps.extend(more);
    steps.sort_by_key(|step| step.phase);
    for (index, step) in steps.iter_mut().enumerate() {
        step.index = index;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn batch(stop: &str) -> Service {
        let yaml = format!(
            "{{name: batch, active: batch-1, standbys: [{{entity: batch-2}}], playbook: p, probe: {{uses: tcp}}, vars: {{unit: b}}, \
             yields: {{stop: {stop}, start: {{uses: systemd, with: {{do: release, unit: '{{unit}}'}}}}}}}}"
        );
        serde_saphyr::from_str(&yaml).unwrap()
    }

    /// Its stop, its start, and what is doubtful.
    fn steps(service: &Service) -> (Step, Step, Option<&'static str>) {
        let (at, to) = ("batch-1".into(), "ingest".into());
        let yielding = Yielding {
            service,
            at: &at,
            to: &to,
            token: Token { epoch: 3, seq: 4 },
            kind: PlanKind::Failover,
            topology: &Topology::new(),
        };
        (
            yielding.stop().unwrap().unwrap(),
            yielding.start().unwrap().unwrap(),
            yielding.doubt(),
        )
    }

    #[test]
    fn the_stop_names_whom_it_is_for_and_has_the_start_as_its_way_back() {
        let service = batch("{uses: systemd, with: {do: fence, unit: '{unit}'}}");
        let (stop, start, doubt) = steps(&service);
        assert_eq!(stop.name, "stop batch-1 (batch) to make room for ingest");
        assert_eq!((stop.phase, stop.target.as_str()), (Phase::Yield, "batch-1"));
        assert_eq!(stop.action.with["unit"], "b");
        assert_eq!(stop.undo.unwrap().with["do"], "release");
        assert_eq!(
            (start.phase, start.action.with["do"].as_str()),
            (Phase::GiveBack, Some("release"))
        );
        assert_eq!(doubt, None);
    }

    #[test]
    fn a_stop_that_nobody_can_see_does_not_hold() {
        let blind = batch("{uses: exec, with: {argv: ['/stop', '{plan}', '{token}']}}");
        let (stop, _, doubt) = steps(&blind);
        assert!(doubt.unwrap().contains("exit code is no proof"));
        assert_eq!(
            stop.action.with["argv"],
            serde_json::json!(["/stop", "ingest-3-4", "3.4"])
        );
    }
}
