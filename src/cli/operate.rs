//! Commands that look at, or speak to, a running agent.

use serde_json::{Value, json};

use super::{Ended, Outcome, Output, client, table};
use crate::model::{Span, Timestamp};

/// Arguments of `approve` and `deny`.
#[derive(clap::Args)]
pub struct Approve {
    /// Which incident.
    id: u64,
    /// For which service; all that it touches, if left out.
    #[arg(long)]
    service: Option<String>,
    #[command(flatten)]
    agent: client::Args,
}

/// Arguments of `deny`.
#[derive(clap::Args)]
pub struct Deny {
    /// Which incident.
    id: u64,
    /// Of which service; all that ask, if left out.
    #[arg(long)]
    service: Option<String>,
    #[command(flatten)]
    agent: client::Args,
}

/// Arguments of `abort`.
#[derive(clap::Args)]
pub struct Abort {
    /// Which plan.
    plan: String,
    #[command(flatten)]
    agent: client::Args,
}

/// Arguments of `failback`.
#[derive(clap::Args)]
pub struct Failback {
    /// Which service.
    service: String,
    /// Where to, if not home.
    #[arg(long)]
    to: Option<String>,
    #[command(flatten)]
    agent: client::Args,
}

/// Arguments of `maintenance`.
#[derive(clap::Args)]
pub struct Maintenance {
    /// Which service; all if left out.
    service: Option<String>,
    /// For how long.
    #[arg(long = "for", required_unless_present = "off")]
    span: Option<Span>,
    /// End it.
    #[arg(long, conflicts_with = "span")]
    off: bool,
    #[command(flatten)]
    agent: client::Args,
}

/// Arguments of `hold`.
#[derive(clap::Args)]
pub struct Hold {
    /// Release it.
    #[arg(long)]
    off: bool,
    #[command(flatten)]
    agent: client::Args,
}

pub fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or("-")
}

pub fn list<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = &'a Value> {
    value[name].as_array().into_iter().flatten()
}

fn said(answer: &Value, output: Output, words: &str) -> Ended {
    if output == Output::Json {
        println!("{answer:#}");
    } else {
        println!("{words}");
    }
    Ended::Good
}

/// A time as people read it.
fn second(time: &str) -> String {
    time.chars().take(19).collect::<String>() + "Z"
}

/// What the learned detectors look at, and what they do not.
fn learned(learned: &Value) -> String {
    let count = |name: &str| learned[name].as_u64().unwrap_or(0);
    let mut text = format!(
        "learned: {} series watched, {} of them closely, {} still being learned; {} entities judged jointly, {} being learned; {} series compared with peers",
        count("watched"),
        count("closely"),
        count("learning"),
        count("entities"),
        count("entities_learning"),
        count("peers"),
    );
    if count("beyond") > 0 {
        text += &format!("; {} series beyond detect.anomaly.max_series", count("beyond"));
    }
    if count("entities_beyond") > 0 {
        text += &format!(
            "; {} entities beyond detect.joint.max_signals",
            count("entities_beyond")
        );
    }
    text
}

/// `jurymast status`.
pub fn status(agent: &client::Args, output: Output) -> Outcome {
    let status = agent.get("/api/status")?;
    if output == Output::Json {
        println!("{status:#}");
        return Ok(Ended::Good);
    }
    let open = list(&status, "incidents")
        .filter(|i| i["closed"].is_null() && i["merged_into"].is_null())
        .count();
    println!(
        "{}: {} entities, {} series, {open} open incidents, {} plans under way{}",
        text(&status, "/agent"),
        list(&status, "entities").count(),
        status["series"],
        list(&status, "plans").count(),
        if status["held"] == json!(true) { ", ON HOLD" } else { "" },
    );
    if let Some(why) = status["journal_trouble"].as_str() {
        println!(
            "NOT READY: the journal cannot be written, so nothing is acted upon, and what is said to it does not survive a restart: {why}"
        );
    }
    if let Some(why) = status["journal_lost"].as_str() {
        println!(
            "THE JOURNAL WAS LOST, and made anew from the audit log: {why}. Nothing is acted upon: look where each service runs, then say 'jurymast hold --off'"
        );
    }
    if let Some(why) = status["audit_broken"].as_str() {
        println!("THE AUDIT LOG IS NOT WHOLE: {why}");
    }
    if let Some(why) = status["cannot_lead"].as_str() {
        println!("CANNOT LEAD: this agent acts upon nothing: {why}");
    }
    for (part, why) in status["standing_aside"].as_object().into_iter().flatten() {
        println!(
            "STANDS ASIDE: this agent does not lead {part}: {}",
            why.as_str().unwrap_or_default()
        );
    }
    for silent in list(&status, "not_told") {
        println!(
            "NOT TOLD: {} has taken no notification since {}: {}",
            text(silent, "/receiver"),
            second(text(silent, "/since")),
            text(silent, "/why")
        );
    }
    if status["acting"] == json!(false) {
        println!("It only watches, and acts upon nothing.");
    }
    if let Some(ahead) = status["clock_ahead_s"].as_u64().filter(|ahead| *ahead > 0) {
        println!(
            "Its time is ahead of this machine's by {}: that one's clock was set back. It goes slower until both agree; to have it at once, start it anew.",
            Span::secs(ahead)
        );
    }
    println!("{}", learned(&status["learned"]));
    services(&status);
    for line in for_people(&status) {
        println!("\n{line}");
    }
    let bad: Vec<Vec<String>> = list(&status, "entities")
        .filter(|entity| entity["health"] == "bad")
        .map(|entity| {
            let first = list(entity, "symptoms")
                .next()
                .and_then(Value::as_str)
                .unwrap_or_default();
            vec![
                text(entity, "/name").to_owned(),
                text(entity, "/kind").to_owned(),
                first.to_owned(),
            ]
        })
        .collect();
    if !bad.is_empty() {
        println!();
        table(&["NOT WELL", "KIND", "WHY"], &bad);
    }
    let drills = &status["drills"];
    let told = [&drills["warnings"], &drills["waiting"]].into_iter();
    for (_, why) in told.filter_map(Value::as_object).flatten() {
        println!("\ndrills: {}", why.as_str().unwrap_or_default());
    }
    Ok(Ended::Good)
}

/// The services; who leads each only where several agents share them.
fn services(status: &Value) {
    let shared = list(status, "services").any(|service| service["leader"].is_string());
    let rows: Vec<Vec<String>> = list(status, "services")
        .map(|service| {
            let standbys: Vec<&str> = list(service, "standbys").filter_map(Value::as_str).collect();
            let mut row = vec![
                text(service, "/name").to_owned(),
                text(service, "/state/active").to_owned(),
                text(service, "/home").to_owned(),
                standbys.join(", "),
                text(service, "/state/running").to_owned(),
            ];
            if shared {
                row.push(service["leader"].as_str().unwrap_or("nobody").to_owned());
            }
            row
        })
        .collect();
    if !rows.is_empty() {
        println!();
        let heads = ["SERVICE", "ACTIVE", "HOME", "STANDBYS", "PLAN", "LEADER"];
        table(&heads[..if shared { 6 } else { 5 }], &rows);
    }
}

/// What waits for somebody, or what somebody has forbidden, a line each.
fn for_people(status: &Value) -> Vec<String> {
    let now = text(status, "/now").parse::<Timestamp>().ok();
    let of_services = list(status, "services").flat_map(|service| {
        let name = text(service, "/name");
        let person = service.pointer("/state/handed_over").and_then(Value::as_str);
        let undone = service.pointer("/state/undone/step").and_then(Value::as_str);
        let until = |what: &str| {
            let until = text(service, what).parse::<Timestamp>().ok();
            let open = until.filter(|until| now.is_some_and(|now| now < *until))?;
            Some(second(&open.to_string()))
        };
        let maintained =
            until("/state/maintenance_until").map(|until| format!("{name} is in maintenance until {until}: not moved"));
        let silenced =
            until("/state/silenced_until").map(|until| format!("{name} is silenced until {until}: not moved"));
        let astray = service["astray"] == Value::Bool(true);
        let half_way = if astray {
            ""
        } else {
            ", a move of it has stopped half way"
        };
        let person = person.map(|why| format!("{name} NEEDS A PERSON{half_way}: {why}"));
        let why = service.pointer("/state/undone_why").and_then(Value::as_str);
        let why = why.map_or_else(String::new, |why| format!(": {why}"));
        let undone = undone.map(|step| format!("{name} HAS CHANGED: '{step}' does not stand any more{why}"));
        let left = service.pointer("/state/left_undone").and_then(Value::as_str);
        let left = left.map(|what| format!("{name} was moved well, and this was NOT DONE: {what}"));
        let forbidden = maintained.into_iter().chain(silenced);
        person.into_iter().chain(undone).chain(left).chain(forbidden)
    });
    let asks = list(status, "verdicts").filter_map(|verdict| {
        let (incident, why) = (&verdict["incident"], text(verdict, "/refusal/reason"));
        let left = super::explained::time_left(status, verdict);
        match text(verdict, "/decision") {
            "ask" => {
                let left = left.map_or_else(String::new, |left| format!(", {left}"));
                Some(format!("incident {incident} WAITS FOR A YES{left}: {why}"))
            }
            // The time limit has said no.
            _ => left.map(|left| {
                let service = text(verdict, "/service");
                format!("incident {incident} WAITED FOR A YES, {left}: {service} is not moved until 'jurymast approve {incident}'")
            }),
        }
    });
    // A standby that is dead leaves the instance, its host and its zone uncovered for one and the same reason.
    let mut reasons: Vec<(&str, Vec<&str>)> = Vec::new();
    for failure in list(status, "uncovered") {
        let (what, why) = (text(failure, "/failure"), text(failure, "/why"));
        match reasons.iter_mut().find(|(known, _)| *known == why) {
            Some((_, failures)) => failures.push(what),
            None => reasons.push((why, vec![what])),
        }
    }
    let uncovered = reasons
        .into_iter()
        .map(|(why, failures)| format!("no plan covers a failure of {}: {why}", failures.join(", or of ")));
    of_services.chain(asks).chain(uncovered).collect()
}

/// `jurymast incidents`.
pub fn incidents(agent: &client::Args, output: Output) -> Outcome {
    let status = agent.get("/api/status")?;
    if output == Output::Json {
        println!("{:#}", status["incidents"]);
        return Ok(Ended::Good);
    }
    let rows: Vec<Vec<String>> = list(&status, "incidents")
        .filter(|incident| incident["merged_into"].is_null())
        .map(|incident| {
            let verdict = list(&status, "verdicts").find(|verdict| verdict["incident"] == incident["id"]);
            let gate = verdict.map_or("", |verdict| text(verdict, "/refusal/gate"));
            vec![
                incident["id"].to_string(),
                if incident["closed"].is_null() { "open" } else { "closed" }.to_owned(),
                text(incident, "/onset").chars().skip(11).take(12).collect(),
                text(incident, "/hypotheses/0/fault").to_owned(),
                text(incident, "/hypotheses/0/entity").to_owned(),
                format!(
                    "{:.2}",
                    incident
                        .pointer("/hypotheses/0/probability")
                        .and_then(Value::as_f64)
                        .unwrap_or(0.0)
                ),
                verdict.map_or("-", |verdict| text(verdict, "/decision")).to_owned(),
                match verdict.and_then(|verdict| super::explained::time_left(&status, verdict)) {
                    Some(left) => format!("{gate}, {left}"),
                    None => gate.to_owned(),
                },
            ]
        })
        .collect();
    if rows.is_empty() {
        println!("no incident is known");
    } else {
        table(
            &["ID", "STATE", "ONSET", "CAUSE", "ENTITY", "P", "VERDICT", "GATE"],
            &rows,
        );
    }
    Ok(Ended::Good)
}

/// `jurymast approve`.
pub fn approve(args: &Approve, output: Output) -> Outcome {
    let body = json!({"service": args.service});
    let answer = args.agent.post(&format!("/api/incidents/{}/approve", args.id), &body)?;
    Ok(said(
        &answer,
        output,
        &format!("incident {} is approved; 'jurymast status' shows the plan", args.id),
    ))
}

/// `jurymast deny`.
pub fn deny(args: &Deny, output: Output) -> Outcome {
    let body = json!({"service": args.service});
    let answer = args.agent.post(&format!("/api/incidents/{}/deny", args.id), &body)?;
    let words = format!(
        "incident {} moves nothing; 'jurymast approve {}' says yes after all",
        args.id, args.id
    );
    Ok(said(&answer, output, &words))
}

/// `jurymast abort`.
pub fn abort(args: &Abort, output: Output) -> Outcome {
    let answer = args
        .agent
        .post(&format!("/api/plans/{}/abort", args.plan), &json!({}))?;
    Ok(said(&answer, output, &format!("plan {} is told to stop", args.plan)))
}

/// `jurymast failback`.
pub fn failback(args: &Failback, output: Output) -> Outcome {
    let body = json!({"to": args.to});
    let answer = args
        .agent
        .post(&format!("/api/services/{}/failback", args.service), &body)?;
    let words = match answer["plan"].as_str() {
        Some(plan) => format!("{plan} is under way: 'jurymast status' shows how it goes"),
        None => format!(
            "that {} is sent back was asked for, and is not decided yet: 'jurymast status' shows the plan, or `refused` in 'jurymast status -o json' why not",
            args.service
        ),
    };
    Ok(said(&answer, output, &words))
}

/// `jurymast maintenance`.
pub fn maintenance(args: &Maintenance, output: Output) -> Outcome {
    let body = json!({"service": args.service, "for": args.span});
    let answer = args.agent.post("/api/maintenance", &body)?;
    let whose = args.service.as_deref().unwrap_or("every service");
    let words = match args.span {
        Some(span) => format!("{whose} is not moved for {span}"),
        None => format!("maintenance of {whose} is over"),
    };
    Ok(said(&answer, output, &words))
}

/// `jurymast hold`.
pub fn hold(args: &Hold, output: Output) -> Outcome {
    let answer = args.agent.post("/api/hold", &json!({"on": !args.off}))?;
    Ok(said(
        &answer,
        output,
        if args.off {
            "acting is released"
        } else {
            "nothing acts until 'jurymast hold --off'"
        },
    ))
}
