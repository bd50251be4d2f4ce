//! From what is known to lines. Pure: the same view is drawn the same.

use std::collections::BTreeSet;

use serde_json::Value;

use super::line::{Line, Look, short};
use super::view::View;
use super::{incidents, verdict};
use crate::cli::operate::{list, text};

fn clock(value: &Value, pointer: &str) -> String {
    text(value, pointer).chars().skip(11).take(8).collect()
}

fn heading(name: &str, more: &str) -> [Line; 2] {
    [
        Line::default(),
        Line::of(Look::Strong, name).and(Look::Soft, format!("  {more}")),
    ]
}

/// A picture that fills the terminal: its head, as much as there is room for, and the keys.
pub fn frame(view: &View, height: usize) -> Vec<Line> {
    let foot = foot(view);
    let room = height.saturating_sub(foot.len());
    let mut lines = match &view.page {
        Some((page, from)) => page
            .lines()
            .skip(*from)
            .map(|line| Line::of(Look::Plain, line))
            .collect(),
        None => all(view),
    };
    if lines.len() > room {
        let hidden = lines.len() - room + 1;
        lines.truncate(room.saturating_sub(1));
        lines.push(Line::of(Look::Soft, format!("… {hidden} lines more")));
    }
    lines.resize(room, Line::default());
    lines.extend(foot);
    lines
}

fn foot(view: &View) -> Vec<Line> {
    let keys = if view.page.is_some() {
        "↑↓ read  q back"
    } else {
        "q quit  ↑↓ pick  enter why  a approve  d deny  x take a plan back  h hold"
    };
    let word = match (&view.question, &view.lost) {
        (Some((question, _)), _) => Line::of(Look::Picked, question.clone()),
        (None, Some(why)) => Line::of(Look::Bad, why.clone()),
        (None, None) => Line::of(Look::Noted, view.said.clone()),
    };
    vec![word, Line::of(Look::Soft, keys)]
}

/// All there is to see, however long.
pub fn all(view: &View) -> Vec<Line> {
    let Some(status) = &view.status else {
        return vec![Line::of(Look::Soft, "waiting for the agent …")];
    };
    let mut lines = head(view, status);
    services(status, &mut lines);
    judged(view, status, &mut lines);
    plans(status, &mut lines);
    ill(status, &mut lines);
    feeds(view, &mut lines);
    lines
}

fn head(view: &View, status: &Value) -> Vec<Line> {
    let (mode, look) = if view.lost.is_some() {
        ("NO ANSWER", Look::Bad)
    } else if status["held"] == true {
        ("ON HOLD", Look::Bad)
    } else if status["acting"] == true {
        ("acting", Look::Good)
    } else {
        ("only watching", Look::Noted)
    };
    let first = Line::of(Look::Strong, format!("{}  ", text(status, "/agent")))
        .and(look, mode)
        .and(
            Look::Soft,
            format!(
                "  {}",
                text(status, "/now").get(..19).unwrap_or_default().replace('T', " ")
            ),
        );
    let count = |health: &str| {
        list(status, "entities")
            .filter(|entity| entity["health"] == health)
            .count()
    };
    let mut second = Line::of(Look::Plain, "entities: ");
    for (health, look) in [
        ("good", Look::Good),
        ("noted", Look::Noted),
        ("bad", Look::Bad),
        ("unknown", Look::Soft),
    ] {
        let number = count(health);
        let look = if number == 0 { Look::Soft } else { look };
        second = second.and(look, format!("{number} {health}  "));
    }
    let open = incidents(status)
        .iter()
        .filter(|incident| incident["closed"].is_null())
        .count();
    second = second.and(
        Look::Plain,
        format!("series: {}  open incidents: {open}", status["series"]),
    );
    let mut lines = vec![first, second];
    if let (Some(covered), Some(failures)) = (
        status["coverage"]["covered"].as_u64(),
        status["coverage"]["failures"].as_u64(),
    ) {
        let look = if covered < failures { Look::Noted } else { Look::Good };
        lines.push(Line::of(
            look,
            format!("{covered} of {failures} single failures are covered by a plan"),
        ));
    }
    if let Some(why) = status["journal_trouble"].as_str() {
        let text = format!("the journal cannot be written, so nothing is moved: {why}");
        lines.push(Line::of(Look::Bad, text));
    }
    if let Some(why) = status["journal_lost"].as_str() {
        let text = format!("the journal was lost, so nothing is moved until `jurymast hold --off`: {why}");
        lines.push(Line::of(Look::Bad, text));
    }
    if let Some(why) = status["audit_broken"].as_str() {
        lines.push(Line::of(Look::Bad, format!("the audit log is not whole: {why}")));
    }
    if let Some(why) = status["cannot_lead"].as_str() {
        lines.push(Line::of(Look::Bad, format!("cannot lead: {why}")));
    }
    for (part, why) in status["standing_aside"].as_object().into_iter().flatten() {
        let why = why.as_str().unwrap_or_default();
        lines.push(Line::of(Look::Noted, format!("stands aside from {part}: {why}")));
    }
    for silent in list(status, "not_told") {
        let (receiver, why) = (text(silent, "/receiver"), text(silent, "/why"));
        lines.push(Line::of(Look::Bad, format!("{receiver} takes no notification: {why}")));
    }
    lines
}

fn services(status: &Value, lines: &mut Vec<Line>) {
    let all: Vec<&Value> = list(status, "services").collect();
    if all.is_empty() {
        return;
    }
    lines.extend(heading("SERVICES", ""));
    let health = |name: &str| {
        list(status, "entities")
            .find(|entity| entity["name"] == name)
            .map_or("unknown", |entity| text(entity, "/health"))
    };
    for service in all {
        let (name, active, home) = (
            text(service, "/name"),
            text(service, "/state/active"),
            text(service, "/home"),
        );
        let look = match health(active) {
            "good" => Look::Good,
            "bad" => Look::Bad,
            "noted" => Look::Noted,
            _ => Look::Soft,
        };
        let standbys: Vec<&str> = list(service, "standbys").filter_map(Value::as_str).collect();
        let mut line = Line::default()
            .cell(Look::Plain, name, 20)
            .and(Look::Plain, "runs on ")
            .cell(look, active, 20)
            .and(Look::Soft, format!("could run on {}", standbys.join(", ")));
        if active != home {
            line = line.and(Look::Noted, format!("  home is {home}"));
        }
        if let Some(why) = service.pointer("/state/handed_over").and_then(Value::as_str) {
            line = line.and(Look::Bad, format!("  needs a person: {why}"));
        }
        if let Some(step) = service.pointer("/state/undone/step").and_then(Value::as_str) {
            line = line.and(Look::Bad, format!("  does not stand any more: {step}"));
        }
        lines.push(line);
    }
}

fn judged(view: &View, status: &Value, lines: &mut Vec<Line>) {
    let all = incidents(status);
    lines.extend(heading("INCIDENTS", if all.is_empty() { "none is known" } else { "" }));
    for incident in all.iter().take(12) {
        let open = incident["closed"].is_null();
        let picked = incident["id"].as_u64() == view.picked;
        let probability = incident
            .pointer("/hypotheses/0/probability")
            .and_then(Value::as_f64)
            .unwrap_or(0.0);
        // At most ten: probabilities do not exceed one.
        let filled = ((probability * 10.0).round() as usize).min(10);
        let cause = format!(
            "{} at {}",
            text(incident, "/hypotheses/0/fault"),
            text(incident, "/hypotheses/0/entity")
        );
        let (decision, why) = verdict(status, incident).map_or(("-", String::new()), |verdict| {
            let why = match (verdict["refusal"].is_object(), verdict["plan"].as_str()) {
                (true, _) => format!(
                    "{}: {}",
                    text(verdict, "/refusal/gate"),
                    text(verdict, "/refusal/reason")
                ),
                (false, Some(plan)) => format!("plan {plan}"),
                (false, None) => String::new(),
            };
            let why = match crate::cli::explained::time_left(status, verdict) {
                Some(left) => format!("{why} ({left})"),
                None => why,
            };
            (text(verdict, "/decision"), why)
        });
        let look = match decision {
            "act" => Look::Good,
            "ask" => Look::Bad,
            "hold" => Look::Noted,
            _ => Look::Soft,
        };
        let row = if picked { Look::Picked } else { Look::Plain };
        lines.push(
            Line::of(row, if picked { "> " } else { "  " })
                .cell(row, &format!("#{}", incident["id"]), 5)
                .cell(
                    if open { Look::Bad } else { Look::Soft },
                    if open { "open" } else { "closed" },
                    6,
                )
                .cell(Look::Soft, &clock(incident, "/onset"), 8)
                .cell(Look::Plain, &cause, 44)
                .and(Look::Soft, "█".repeat(filled) + &"░".repeat(10 - filled))
                .and(Look::Plain, format!(" {probability:.2}  "))
                .cell(look, decision, 6)
                .and(Look::Soft, why),
        );
    }
    if all.len() > 12 {
        lines.push(Line::of(Look::Soft, format!("  … {} more", all.len() - 12)));
    }
}

fn plans(status: &Value, lines: &mut Vec<Line>) {
    for plan in list(status, "plans") {
        lines.extend(heading("PLAN", text(plan, "/summary")));
        let events = || {
            let of = |record: &&Value| {
                record["record"] == "plan_event" && record.pointer("/plan_event/plan") == plan.get("id")
            };
            list(status, "recent").filter(of).map(|record| &record["plan_event"])
        };
        let steps = |word: &str| -> BTreeSet<u64> {
            events()
                .filter(|event| event["plan_event"] == word)
                .filter_map(|event| event["step"].as_u64())
                .collect()
        };
        let (done, failed) = (steps("step_done"), steps("step_failed"));
        for step in list(plan, "steps") {
            let number = step["index"].as_u64().unwrap_or(0);
            let (mark, look) = if done.contains(&number) {
                ("✓", Look::Good)
            } else if failed.contains(&number) {
                ("✗", Look::Bad)
            } else {
                ("…", Look::Soft)
            };
            lines.push(
                Line::of(look, format!("  {mark} "))
                    .cell(Look::Soft, text(step, "/phase"), 8)
                    .and(Look::Plain, text(step, "/name")),
            );
        }
    }
}

fn ill(status: &Value, lines: &mut Vec<Line>) {
    let bad: Vec<&Value> = list(status, "entities")
        .filter(|entity| entity["health"] == "bad")
        .collect();
    if bad.is_empty() {
        return;
    }
    lines.extend(heading("NOT WELL", &format!("{} entities", bad.len())));
    for entity in bad.iter().take(10) {
        let mut symptoms = list(entity, "symptoms").filter_map(Value::as_str);
        let first = symptoms.next().unwrap_or_default();
        let more = symptoms.count();
        let mut line = Line::of(Look::Plain, "  ")
            .cell(Look::Bad, text(entity, "/name"), 24)
            .cell(Look::Soft, text(entity, "/kind"), 8)
            .and(Look::Plain, short(first, 90));
        if more > 0 {
            line = line.and(Look::Soft, format!(" (and {more} more)"));
        }
        lines.push(line);
    }
    if bad.len() > 10 {
        lines.push(Line::of(Look::Soft, format!("  … {} more", bad.len() - 10)));
    }
}

fn feeds(view: &View, lines: &mut Vec<Line>) {
    let all: Vec<_> = view.feeds.iter().collect();
    if all.is_empty() {
        return;
    }
    lines.extend(heading("SOURCES", "a second"));
    for (name, feed) in all {
        let (mark, look) = match feed.up {
            Some(true) => ("up", Look::Good),
            Some(false) => ("DOWN", Look::Bad),
            None => ("", Look::Soft),
        };
        let mut line = Line::of(Look::Plain, "  ")
            .cell(Look::Plain, name, 24)
            .cell(look, mark, 4)
            .and(
                Look::Plain,
                format!("{:>9.1} messages  {:>10.1} samples", feed.messages, feed.samples),
            );
        if feed.bad > 0.0 {
            line = line.and(Look::Noted, format!("  {} could not be read so far", feed.bad));
        }
        lines.push(line);
    }
}

#[cfg(test)]
mod tests {
    use super::super::feeds::Feeds;
    use super::*;
    use serde_json::json;

    fn view() -> View {
        let status = json!({
            "agent": "jurymast", "acting": true, "held": false, "now": "2026-11-21T03:00:07.123Z", "series": 420,
            "coverage": {"covered": 11, "failures": 12}, "cannot_lead": null,
            "entities": [
                {"name": "ingest-a", "kind": "service", "health": "bad", "symptoms": ["Down: connection refused", "Errors: 503"]},
                {"name": "ingest-b", "kind": "service", "health": "good", "symptoms": []},
            ],
            "services": [{"name": "ingest", "home": "ingest-a", "standbys": ["ingest-b"], "state": {"active": "ingest-a", "handed_over": null}}],
            "incidents": [{"id": 1, "closed": null, "merged_into": null, "onset": "2026-11-21T03:00:05.000Z",
                "hypotheses": [{"fault": "service-crashed", "entity": "ingest-a", "probability": 0.97}]}],
            "verdicts": [{"incident": 1, "service": "ingest", "decision": "act", "refusal": null, "plan": "ingest-1"}],
            "plans": [{"id": "ingest-1", "summary": "move ingest from ingest-a to ingest-b", "steps": [
                {"index": 0, "phase": "fence", "name": "drain ingest-a"}, {"index": 1, "phase": "switch", "name": "route to ingest-b"}]}],
            "recent": [{"record": "plan_event", "plan_event": {"plan_event": "step_done", "plan": "ingest-1", "step": 0}}],
        });
        let mut view = View::default();
        let metrics = "jurymast_messages_total{source=\"broker\"} 5\njurymast_source_up{source=\"broker\"} 1\n";
        view.seen(status, Feeds::read(metrics).since(&Feeds::read(metrics)));
        view
    }

    fn shown(lines: &[Line], width: usize) -> String {
        let lines: Vec<String> = lines.iter().map(|line| line.painted(width, false)).collect();
        lines.join("\n")
    }

    #[test]
    fn the_picture_of_a_move_under_way() {
        insta::assert_snapshot!(shown(&frame(&view(), 30), 140));
    }

    #[test]
    fn it_fits_any_terminal_and_names_cannot_move_the_cursor() {
        let mut view = view();
        if let Some(status) = &mut view.status {
            status["entities"][0]["symptoms"][0] = json!("evil\x1b[2J\r\nname");
        }
        for (width, height) in [(1, 1), (20, 5), (80, 24), (200, 60)] {
            let lines = frame(&view, height);
            assert!(lines.len() <= height.max(2));
            for line in &lines {
                assert!(line.painted(width, false).chars().count() <= width);
            }
        }
        let drawn = shown(&all(&view), 300);
        assert!(!drawn.contains('\x1b') && !drawn.contains('\r'), "{drawn}");
        assert!(
            all(&view)
                .iter()
                .any(|line| line.painted(300, true).contains("\x1b[31;1m"))
        );
    }

    #[test]
    fn an_agent_that_does_not_answer_is_told_so_and_what_was_known_stays() {
        let mut view = view();
        view.lost = Some("no agent answers at http://127.0.0.1:9909".into());
        let drawn = shown(&frame(&view, 40), 120);
        assert!(
            drawn.contains("NO ANSWER") && drawn.contains("ingest-a") && drawn.contains("no agent answers"),
            "{drawn}"
        );
        assert!(shown(&frame(&View::default(), 10), 80).contains("waiting for the agent"));
    }
}
