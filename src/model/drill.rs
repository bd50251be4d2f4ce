//! A drill: a move that is made, or gone through dry, to see whether it would work when it must.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::plan::Outcome;
use super::{EntityName, PlanId, ServiceName, Span, Timestamp};

/// How a move is tried.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum DrillKind {
    /// All that a plan needs is looked at, and nothing is changed.
    #[default]
    Dry,
    /// The service is moved to a standby and back.
    Real,
}

impl DrillKind {
    /// As people and metrics have it.
    pub const fn word(self) -> &'static str {
        match self {
            Self::Dry => "dry",
            Self::Real => "real",
        }
    }
}

/// One drill of one service, under way or over.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Drill {
    /// Of which service.
    pub service: ServiceName,
    /// How.
    pub kind: DrillKind,
    /// By what whoever asked for it knows it again.
    pub asked: String,
    /// Who asked for it.
    pub by: String,
    /// When it began.
    pub begun: Timestamp,
    /// When it was over; `None` while it is under way.
    pub ended: Option<Timestamp>,
    /// Where the service ran.
    pub from: EntityName,
    /// Where it was moved to; `None` for all standbys of a dry one.
    pub to: Option<EntityName>,
    /// How long it stays there.
    #[serde(default)]
    pub stay: Span,
    /// The plans of a real one: away, and back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub legs: Vec<Leg>,
    /// How many things a dry one has looked at.
    #[serde(default)]
    pub looks: usize,
    /// How long before a plan is begun a fault takes to be noticed at worst: one interval and time limit of its probe, and the hold-off.
    #[serde(default)]
    pub notice_s: f64,
    /// The service's RTO.
    pub rto_objective_s: f64,
    /// How far the data of the target was behind when it began; `None` where no data is at stake.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_s: Option<f64>,
    /// The service's RPO.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rpo_objective_s: Option<f64>,
    /// What went wrong; none: it was good.
    #[serde(default)]
    pub problems: Vec<String>,
}

/// One of its plans.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Leg {
    /// Which.
    pub plan: PlanId,
    /// Away from there.
    pub from: EntityName,
    /// To there.
    pub to: EntityName,
    /// When it was made.
    pub begun: Timestamp,
    /// When it was over.
    pub ended: Option<Timestamp>,
    /// How.
    pub outcome: Option<Outcome>,
}

impl Leg {
    /// From the plan's beginning to its end: fence, switch and proof.
    pub fn seconds(&self) -> Option<f64> {
        Some(self.ended?.since(self.begun).as_secs_f64())
    }

    /// It led where it should.
    pub fn is_good(&self) -> bool {
        matches!(&self.outcome, Some(Outcome::Done { active }) if *active == self.to)
    }
}

impl Drill {
    /// Over, and nothing was wrong.
    pub fn is_good(&self) -> bool {
        self.ended.is_some() && self.problems.is_empty()
    }

    /// How long the way there took, if it led there: measured.
    pub fn switch_s(&self) -> Option<f64> {
        self.legs.first().filter(|leg| leg.is_good())?.seconds()
    }

    /// What a fault would have taken from its beginning to the proof: the measured switch, and noticing it at worst.
    pub fn rto_s(&self) -> Option<f64> {
        Some(self.switch_s()? + self.notice_s)
    }

    /// Does this say what came later than what the other says of the same service in the same way?
    pub fn is_later_than(&self, other: &Self) -> bool {
        let progress = |drill: &Self| {
            let ended = drill.legs.iter().filter(|leg| leg.ended.is_some()).count();
            (drill.begun, drill.ended.is_some(), drill.legs.len(), ended)
        };
        progress(self) > progress(other)
    }

    /// How it went, in a line.
    pub fn summary(&self) -> String {
        if self.ended.is_none() {
            return "under way".into();
        }
        if !self.problems.is_empty() {
            return self.problems.join("; ");
        }
        let Some(switch) = self.switch_s() else {
            return format!("{} looks, all good", self.looks);
        };
        let mut text = format!(
            "switched in {switch:.2} s, with noticing a fault {:.2} s of {:.0} s",
            self.rto_s().unwrap_or_default(),
            self.rto_objective_s
        );
        if let Some(back) = self.legs.get(1).and_then(Leg::seconds) {
            text += &format!(", back in {back:.2} s");
        }
        if let (Some(rpo), Some(objective)) = (self.rpo_s, self.rpo_objective_s) {
            text += &format!(", data {rpo:.1} s behind of {objective:.0} s");
        }
        text
    }
}

/// A drill that was asked for and not begun.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct DrillRefused {
    /// Of which service.
    pub service: ServiceName,
    /// By what whoever asked for it knows it again.
    pub asked: String,
    /// Who asked for it.
    pub by: String,
    /// When.
    pub at: Timestamp,
    /// Why, and what to do.
    pub reason: String,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Token;

    fn drill() -> Drill {
        let at = Timestamp::from_secs;
        let leg = |from: &str, to: &str, begun, ended| Leg {
            plan: PlanId::new(&"web".into(), Token { epoch: 1, seq: 1 }),
            from: from.into(),
            to: to.into(),
            begun: at(begun),
            ended: Some(at(ended)),
            outcome: Some(Outcome::Done { active: to.into() }),
        };
        Drill {
            service: "web".into(),
            kind: DrillKind::Real,
            asked: "1".into(),
            by: "p".into(),
            begun: at(10),
            ended: Some(at(30)),
            from: "a".into(),
            to: Some("b".into()),
            stay: Span::secs(5),
            legs: vec![leg("a", "b", 10, 12), leg("b", "a", 17, 18)],
            looks: 0,
            notice_s: 1.8,
            rto_objective_s: 5.0,
            rpo_s: None,
            rpo_objective_s: None,
            problems: Vec::new(),
        }
    }

    #[test]
    fn what_was_measured_is_told_beside_the_objective() {
        let drill = drill();
        assert_eq!((drill.switch_s(), drill.rto_s()), (Some(2.0), Some(3.8)));
        assert_eq!(
            drill.summary(),
            "switched in 2.00 s, with noticing a fault 3.80 s of 5 s, back in 1.00 s"
        );
    }

    #[test]
    fn a_leg_that_ended_elsewhere_measures_nothing() {
        let mut drill = drill();
        drill.legs[0].outcome = Some(Outcome::Done { active: "a".into() });
        assert_eq!(drill.switch_s(), None);
    }

    #[test]
    fn each_thing_that_happens_makes_it_later() {
        let over = drill();
        let mut open = Drill {
            ended: None,
            ..over.clone()
        };
        assert!(over.is_later_than(&open) && !open.is_later_than(&over) && !over.is_later_than(&over));
        let two = open.clone();
        open.legs.pop();
        assert!(two.is_later_than(&open));
    }
}
