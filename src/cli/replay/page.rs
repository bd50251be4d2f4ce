//! A replay as one page of HTML: timeline, evidence, verdicts, the signals. It needs no script and nothing from elsewhere.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

use super::chart::{Bar, Mark, Range, line, timeline};
use super::judge::Report;
use super::rerun::Rerun;
use crate::api::escape;
use crate::capsule::Capsule;
use crate::detect::{Opinions, Vitals};
use crate::diagnose::explain;
use crate::engine::{Input, PlanEvent, Record};
use crate::model::plan::Outcome;
use crate::model::symptom::Finding;
use crate::model::{Catalog, EntityName, Severity, SignalName, SymptomKey, Timestamp};

/// Findings that are drawn; the worst and earliest of more.
const BARS_MAX: usize = 40;

/// Signals that are drawn.
const CHARTS_MAX: usize = 12;

/// Incidents that are explained, and verdicts that are listed, one by one.
const LISTED_MAX: usize = 100;

const STYLE: &str = "
:root{color-scheme:light dark;--ink:#1c1e21;--paper:#fff;--faint:#5f656e;--rule:#d9dce1;--bad:#c62828;--warn:#ef8a00;--note:#4a7fb5;--good:#2e7d32}
@media(prefers-color-scheme:dark){:root{--ink:#e4e6ea;--paper:#16181c;--faint:#9ba1ab;--rule:#34383f;--bad:#ef5350;--warn:#ffa726;--note:#64a0d8;--good:#66bb6a}}
body{font:15px/1.5 system-ui,sans-serif;color:var(--ink);background:var(--paper);max-width:1100px;margin:2em auto;padding:0 1em;overflow-wrap:anywhere}
h2{border-top:1px solid var(--rule);padding-top:1em}table{border-collapse:collapse;width:100%;font-size:14px}
td,th{overflow-wrap:break-word;text-align:left;vertical-align:top;padding:3px 8px;border-bottom:1px solid var(--rule)}
.good{color:var(--good)}.bad{color:var(--bad)}.faint{color:var(--faint)}pre{white-space:pre-wrap;font-size:13px}@media(max-width:45rem){table{display:block;overflow-x:auto}}
svg{width:100%;height:auto;display:block;margin:.4em 0}svg text{font-size:11px;fill:var(--ink)}svg .label{text-anchor:end}svg .tick{fill:var(--faint)}
svg .grid{stroke:var(--rule)}svg polyline{fill:none;stroke:var(--note);stroke-width:1.5}svg .info{fill:var(--note)}svg .warning{fill:var(--warn)}svg .critical{fill:var(--bad)}
svg .truth{stroke:var(--bad);stroke-dasharray:4 3;stroke-width:1.5}svg .plan{stroke:var(--note);stroke-width:1.5}svg .done{stroke:var(--good);stroke-width:1.5}";

/// All sections as one page.
pub fn page(sections: &[String]) -> String {
    format!(
        "<!doctype html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" content=\"width=device-width\">\
         <meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">\
         <title>Jurymast replay</title><style>{STYLE}</style></head><body>\n<h1>Replay</h1>\n\
         <p class=\"faint\">By Jurymast {}. Times are seconds since the first input of a capsule. Dashed red: the fault began; blue: a plan began; green: it ended.</p>\n{}</body></html>\n",
        env!("CARGO_PKG_VERSION"),
        sections.concat()
    )
}

/// One capsule.
pub fn section(capsule: &Capsule, rerun: &Rerun, report: &Report) -> Result<String, String> {
    let times: Vec<Timestamp> = rerun.log.iter().map(at).collect();
    let range = Range {
        begins: capsule
            .manifest
            .begins
            .or(times.iter().min().copied())
            .unwrap_or_default(),
        ends: capsule
            .manifest
            .ends
            .or(times.iter().max().copied())
            .unwrap_or_default(),
    };
    let marks = marks(capsule, &rerun.log);
    let mut out = String::new();
    head(capsule, report, &mut out);
    truth(report, range, capsule, &mut out);
    let (bars, more) = bars(&rerun.log, range);
    if !bars.is_empty() {
        out += "<h3>Timeline</h3>\n";
        out += &timeline(range, &bars, &marks);
        if more > 0 {
            let _ = writeln!(out, "<p class=\"faint\">and {more} more</p>");
        }
    }
    verdicts(&rerun.log, range, &mut out);
    plans(&rerun.log, range, &mut out);
    evidence(rerun, &mut out);
    signals(capsule, rerun, range, &marks, &mut out)?;
    list("Decided otherwise (- then, + now)", &report.changes, &mut out);
    Ok(out)
}

fn at(record: &Record) -> Timestamp {
    match record {
        Record::Verdict { verdict } => verdict.at,
        Record::DrillRefused { refused } => refused.at,
        Record::Finding { at, .. }
        | Record::Incident { at, .. }
        | Record::Plan { at, .. }
        | Record::Permit { at, .. }
        | Record::PlanEvent { at, .. }
        | Record::Confirmed { at, .. }
        | Record::Drill { at, .. }
        | Record::Left { at, .. }
        | Record::Operator { at, .. } => *at,
    }
}

fn head(capsule: &Capsule, report: &Report, out: &mut String) {
    let word = |good: bool, yes: &str, no: &str| {
        let (class, text) = if good { ("good", yes) } else { ("bad", no) };
        format!("<span class=\"{class}\">{text}</span>")
    };
    let _ = writeln!(
        out,
        "<h2>{}: {}</h2>\n<p>{}, {}; {} decisions; recorded from {}{}.</p>",
        escape(&report.capsule),
        escape(&report.name),
        word(report.correct, "judged rightly", "not judged rightly"),
        word(
            report.identical,
            "the decision log is the same byte for byte",
            "the decision log is not the same"
        ),
        report.decisions,
        escape(&capsule.manifest.recorded_from),
        capsule
            .manifest
            .begins
            .map_or_else(String::new, |begins| format!(" from {begins}")),
    );
    for note in report.notes.iter().chain(&report.misnamed).chain(&report.difference) {
        let _ = writeln!(out, "<pre class=\"bad\">{}</pre>", escape(note));
    }
}

fn truth(report: &Report, range: Range, capsule: &Capsule, out: &mut String) {
    if report.faults.is_empty() {
        *out += "<p>Nothing is known to have been wrong.</p>\n";
        return;
    }
    *out += "<h3>What really happened</h3>\n<table><tr><th>fault</th><th>began</th><th>detected</th><th>cause found</th><th>right verdict</th></tr>\n";
    let after = |ms: Option<i64>| ms.map_or_else(|| "never".to_owned(), |ms| format!("after {ms} ms"));
    for (found, truth) in report.faults.iter().zip(&capsule.manifest.truth) {
        let _ = writeln!(
            out,
            "<tr><td>{} at {}</td><td>{:.3}s</td><td>{}</td><td>{}</td><td>{}</td></tr>",
            escape(&found.fault),
            escape(&found.entity),
            range.seconds(truth.onset),
            after(found.detected_ms),
            if found.cause_right {
                format!("yes, p = {:.2}", found.probability)
            } else {
                "no".to_owned()
            },
            after(found.decided_ms),
        );
    }
    *out += "</table>\n";
}

fn marks(capsule: &Capsule, log: &[Record]) -> Vec<Mark> {
    let mut marks: Vec<Mark> = capsule
        .manifest
        .truth
        .iter()
        .map(|truth| Mark {
            at: truth.onset,
            class: "truth",
            text: format!("{} at {} began", truth.fault, truth.entity),
        })
        .collect();
    marks.extend(log.iter().filter_map(|record| match record {
        Record::Plan { at, plan } => Some(Mark {
            at: *at,
            class: "plan",
            text: plan.summary.clone(),
        }),
        Record::PlanEvent {
            at,
            plan_event: PlanEvent::Ended { plan, outcome, .. },
        } => Some(Mark {
            at: *at,
            class: "done",
            text: format!("{plan}: {}", ended(outcome)),
        }),
        _ => None,
    }));
    marks
}

fn ended(outcome: &Outcome) -> String {
    match outcome {
        Outcome::Done { active } => format!("done: it runs on {active}, verified"),
        Outcome::Compensated { reason } => format!("taken back: {reason}"),
        Outcome::Untouched { reason, .. } => format!("given up before anything was done: {reason}"),
        Outcome::HandedOver { reason } => format!("needs a person: {reason}"),
    }
}

/// A bar for each symptom, and how many there are beyond those.
fn bars(log: &[Record], range: Range) -> (Vec<Bar>, usize) {
    let mut by_key: BTreeMap<SymptomKey, Bar> = BTreeMap::new();
    let mut open: BTreeMap<SymptomKey, Timestamp> = BTreeMap::new();
    for record in log {
        let Record::Finding { at, finding } = record else {
            continue;
        };
        let bar = by_key.entry(finding.key().clone()).or_insert_with(|| Bar {
            label: finding.key().to_string(),
            severity: Severity::Info,
            spans: Vec::new(),
        });
        match finding {
            Finding::Raised(symptom) => {
                bar.severity = bar.severity.max(symptom.severity);
                open.entry(symptom.key.clone()).or_insert(symptom.onset);
            }
            Finding::Cleared { key, .. } => {
                bar.spans.extend(open.remove(key).map(|from| (from, *at)));
            }
        }
    }
    for (key, from) in open {
        if let Some(bar) = by_key.get_mut(&key) {
            bar.spans.push((from, range.ends));
        }
    }
    let mut bars: Vec<Bar> = by_key.into_values().collect();
    let begin = |bar: &Bar| bar.spans.iter().map(|(from, _)| *from).min();
    bars.sort_by(|a, b| (b.severity, begin(a)).cmp(&(a.severity, begin(b))));
    let more = bars.len().saturating_sub(BARS_MAX);
    bars.truncate(BARS_MAX);
    bars.sort_by_key(begin);
    (bars, more)
}

fn verdicts(log: &[Record], range: Range, out: &mut String) {
    let mut rows = String::new();
    for record in log {
        let Record::Verdict { verdict } = record else { continue };
        let (gate, reason) = verdict
            .refusal
            .as_ref()
            .map_or(("", ""), |refusal| (refusal.gate.as_str(), refusal.reason.as_str()));
        let cause = match (&verdict.fault, &verdict.entity) {
            (Some(fault), Some(entity)) => format!("{fault} at {entity} (p = {:.2})", verdict.probability),
            _ => String::new(),
        };
        let _ = writeln!(
            rows,
            "<tr><td>{:.3}s</td><td>{}</td><td>{}</td><td>{}</td><td>{:?}</td><td>{}</td></tr>",
            range.seconds(verdict.at),
            verdict.incident,
            verdict
                .service
                .as_ref()
                .map_or_else(String::new, |s| escape(s.as_str())),
            escape(&cause),
            verdict.decision,
            escape(&if gate.is_empty() {
                String::new()
            } else {
                format!("{gate}: {reason}")
            }),
        );
    }
    if !rows.is_empty() {
        *out += "<h3>Verdicts</h3>\n<table><tr><th>at</th><th>incident</th><th>service</th><th>cause</th><th>decision</th><th>gate</th></tr>\n";
        *out += &rows;
        *out += "</table>\n";
    }
}

fn plans(log: &[Record], range: Range, out: &mut String) {
    let lines: Vec<String> = log
        .iter()
        .filter_map(|record| {
            let text = match record {
                Record::Plan { plan, .. } => format!(
                    "{}: {}\n{}",
                    plan.id,
                    plan.summary,
                    plan.steps
                        .iter()
                        .map(|step| format!("             {}. {:?}: {}\n", step.index, step.phase, step.name))
                        .collect::<String>()
                        .trim_end()
                ),
                Record::Permit { permit, .. } => match &permit.refusal {
                    None => format!("{}: step {} may start", permit.plan, permit.step),
                    Some(no) => format!(
                        "{}: step {} may not start: {}: {}",
                        permit.plan, permit.step, no.gate, no.reason
                    ),
                },
                Record::PlanEvent { plan_event, .. } => match plan_event {
                    PlanEvent::StepDone { plan, step, .. } => format!("{plan}: step {step} is done"),
                    PlanEvent::StepFailed { plan, step, error, .. } => format!("{plan}: step {step} failed: {error}"),
                    PlanEvent::Ended { plan, outcome, .. } => format!("{plan}: {}", ended(outcome)),
                    PlanEvent::Asks { .. } | PlanEvent::Restored { .. } | PlanEvent::LookedBack { .. } => return None,
                },
                _ => return None,
            };
            Some(format!("{:>9.3}s  {text}", range.seconds(at(record))))
        })
        .collect();
    list("Plans", &lines, out);
}

fn list(title: &str, lines: &[String], out: &mut String) {
    if !lines.is_empty() {
        let _ = writeln!(out, "<h3>{title}</h3>\n<pre>{}</pre>", escape(&lines.join("\n")));
    }
}

/// Every incident as it stood last, explained.
fn evidence(rerun: &Rerun, out: &mut String) {
    let mut last = BTreeMap::new();
    for record in &rerun.log {
        if let Record::Incident { incident, .. } = record
            && !incident.hypotheses.is_empty()
            && incident.merged_into.is_none()
        {
            last.insert(incident.id, incident);
        }
    }
    if !last.is_empty() {
        *out += "<h3>Evidence</h3>\n";
    }
    for incident in last.values().take(LISTED_MAX) {
        let explained = explain(incident, rerun.engine.topology());
        let _ = writeln!(
            out,
            "<details><summary>{}</summary><pre>{}</pre></details>",
            escape(&explained.headline),
            escape(&explained.to_string())
        );
    }
}

/// The signals that findings speak of.
fn signals(capsule: &Capsule, rerun: &Rerun, range: Range, marks: &[Mark], out: &mut String) -> Result<(), String> {
    let mut wanted: Vec<(EntityName, SignalName)> = Vec::new();
    for record in &rerun.log {
        if let Record::Finding { finding, .. } = record {
            let key = finding.key();
            let pair = (key.entity.clone(), key.signal.clone());
            if !key.signal.as_str().is_empty() && !wanted.contains(&pair) && wanted.len() < CHARTS_MAX {
                wanted.push(pair);
            }
        }
    }
    if wanted.is_empty() {
        return Ok(());
    }
    let catalog = Catalog::new();
    let series: BTreeMap<_, usize> = wanted
        .iter()
        .enumerate()
        .map(|(place, (entity, signal))| (catalog.series(entity.as_str(), signal.as_str()), place))
        .collect();
    let mut points: Vec<BTreeSet<(Timestamp, u64)>> = vec![BTreeSet::new(); wanted.len()];
    capsule
        .inputs(&catalog, |input| {
            if let Input::Batch(batch) = input {
                for sample in batch.samples {
                    if let Some(place) = series.get(&sample.series) {
                        points[*place].insert((sample.at, sample.value.to_bits()));
                    }
                }
            }
        })
        .map_err(|error| error.to_string())?;
    *out += "<h3>Signals</h3>\n";
    for ((entity, signal), points) in wanted.iter().zip(points) {
        let points: Vec<_> = points
            .into_iter()
            .map(|(at, bits)| (at, f64::from_bits(bits)))
            .collect();
        *out += &line(range, &format!("{entity} {signal}"), &points, marks);
        let chart = rerun.engine.detection().chart(entity, signal);
        *out += &opinions(chart.and_then(|chart| chart.others));
    }
    Ok(())
}

/// What detectors that tell nothing by themselves made of a signal while the trouble stood, each at its strongest.
fn opinions(said: Option<Opinions>) -> String {
    let said = said.map_or_else(Vec::new, |opinions| opinions.said());
    if said.is_empty() {
        return String::new();
    }
    let speak = said.iter().filter(|opinion| opinion.speaks()).count();
    let each: Vec<String> = said
        .iter()
        .map(|opinion| {
            let whose = if opinion.speaks() {
                format!("<strong>{}</strong>", opinion.whose)
            } else {
                opinion.whose.to_owned()
            };
            format!("{whose}: {}", escape(&opinion.words))
        })
        .collect();
    format!(
        "<p class=\"faint\">Second opinions: {speak} of {} find it strange as well. {}.</p>\n",
        said.len(),
        each.join("; ")
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn second_opinions_say_who_finds_it_strange() {
        let said = Opinions {
            season: 7.3,
            drift: 0.4,
            forest: None,
            change: Some(0.98),
        };
        let told = opinions(Some(said));
        assert!(told.contains("2 of 3 find it strange"), "{told}");
        assert!(
            told.contains("<strong>changed for good</strong>: 98 % probable"),
            "{told}"
        );
        assert!(told.contains("; creeping (Page-Hinkley): 0.40 of"), "{told}");
        assert!(opinions(None).is_empty());
    }
}
