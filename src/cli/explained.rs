//! An explained incident as text: that of a running agent, or one from a capsule.

use std::path::Path;

use serde::Deserialize;
use serde_json::{Value, json};

use super::explain::sparkline;
use super::operate::list;
use super::replay;
use crate::capsule::Capsule;
use crate::diagnose::Explanation;
use crate::engine::Record;
use crate::model::{Decision, IncidentId, Span, Timestamp, Verdict};

/// `GET /api/incidents/ID` as a person reads it.
pub fn page(answer: &Value) -> Result<String, String> {
    let wrong = |error: serde_json::Error| format!("the answer cannot be read (another version?): {error}");
    let explanation = Option::<Explanation>::deserialize(&answer["explanation"]).map_err(wrong)?;
    let verdicts = Vec::<Verdict>::deserialize(&answer["verdicts"]).map_err(wrong)?;
    let mut text = explanation.map_or_else(String::new, |explanation| explanation.to_string());
    let signals: Vec<String> = list(answer, "charts").filter_map(sparkline).collect();
    if !signals.is_empty() {
        text += &format!("\nsignals:\n{}", signals.join("\n"));
    }
    text += "\nverdicts:\n";
    for verdict in &verdicts {
        text += &judged(verdict);
    }
    if verdicts.is_empty() {
        text += "  none stands\n";
    }
    Ok(text)
}

/// How long a person has to answer what a verdict of `/api/status` asks.
pub fn time_left(status: &Value, verdict: &Value) -> Option<String> {
    let at = |value: &Value| value.as_str()?.parse::<Timestamp>().ok();
    let (by, now) = (at(&verdict["answer_by"])?, at(&status["now"])?);
    let left = Span::secs(by.since(now).as_secs());
    Some(if by > now {
        format!("{left} left to answer")
    } else {
        "nobody has answered".into()
    })
}

fn judged(verdict: &Verdict) -> String {
    let decision = match verdict.decision {
        Decision::Act => "act",
        Decision::Hold => "hold",
        Decision::Ask => "ask",
        Decision::Ignore => "ignore",
    };
    let whom = verdict
        .service
        .as_ref()
        .map_or_else(String::new, |service| format!(" on {service}"));
    let why = match (&verdict.refusal, &verdict.plan) {
        (Some(refusal), _) => format!("{}: {}", refusal.gate, refusal.reason),
        (None, Some(plan)) => format!("plan {plan}"),
        (None, None) => String::new(),
    };
    let mut text = format!("  {decision}{whom}  {why}\n");
    if let Some(by) = verdict.answer_by.filter(|_| verdict.decision == Decision::Ask) {
        text += &format!("       to be answered until {by}\n");
    }
    if let Some(cheapest) = verdict.costs.first() {
        let costs: Vec<String> = verdict
            .costs
            .iter()
            .map(|option| format!("to {} {:.1}", option.remedy.phrase(), option.cost))
            .collect();
        text += &format!(
            "       best: to {}; expected costs: {}\n",
            cheapest.remedy.phrase(),
            costs.join(", ")
        );
    }
    text
}

/// The same of a recorded incident: as it stood at the verdict that acted, else at the last one while anything stood.
pub fn of_capsule(dir: &Path, id: u64) -> Result<Value, String> {
    let id = IncidentId(id);
    let capsule = Capsule::open(dir).map_err(|error| error.to_string())?;
    let moment = moment(&capsule.log().map_err(|error| error.to_string())?, id)
        .ok_or_else(|| format!("{}: no incident {id} is in it", dir.display()))?;
    let mut found = None;
    replay::rerun_watched(&capsule, &mut |engine| {
        if found.is_some() || engine.now() < moment {
            return;
        }
        let verdicts: Vec<&Verdict> = engine.verdicts_on(id).collect();
        found = Some(json!({
            "incident": engine.find_incident(id),
            "explanation": engine.explain(id),
            "verdicts": verdicts,
        }));
    })?;
    found.ok_or_else(|| format!("{}: incident {id} is not reached", dir.display()))
}

/// When it was decided about.
fn moment(log: &[Record], id: IncidentId) -> Option<Timestamp> {
    let mut stands = false;
    let (mut acted, mut judged, mut seen) = (None, None, None);
    for record in log {
        match record {
            Record::Incident { at, incident } if incident.id == id => {
                stands = !incident.symptoms.is_empty();
                if stands {
                    seen = Some(*at);
                }
            }
            Record::Verdict { verdict } if verdict.incident == id && stands => {
                judged = Some(verdict.at);
                if verdict.decision == Decision::Act {
                    acted = acted.or(Some(verdict.at));
                }
            }
            _ => {}
        }
    }
    acted.or(judged.max(seen))
}
