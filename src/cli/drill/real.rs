//! A real drill: asked for at the running agent, waited for, and reported.

use std::time::{Duration, Instant};

use serde::Deserialize;
use serde_json::{Value, json};

use super::front::{Client, Seen};
use super::{bad, show, write_junit};
use crate::agent::drill::{Found, Look};
use crate::cli::{Ended, Outcome, Output};
use crate::model::drill::Leg;
use crate::model::{Drill, DrillRefused};

/// Between two questions whether it is over.
const ASKS: Duration = Duration::from_millis(250);

/// Beside its stay, a drill is over after this long or it is not waited for any more; the agent goes on with it.
const PATIENCE: Duration = Duration::from_secs(900);

/// What the agent knows.
#[derive(Deserialize)]
struct Known {
    latest: Vec<Drill>,
    refused: Vec<DrillRefused>,
    history: Vec<Drill>,
}

/// An agent that is started anew goes on with the drill: it is waited for as long as this.
const SILENCE: Duration = Duration::from_secs(60);

enum Came {
    Over(Box<Drill>),
    Refused(DrillRefused),
}

pub fn run(args: &super::Drill, output: Output) -> Outcome {
    let (mut drills, mut looks) = (Vec::new(), Vec::new());
    let mut clients: Option<Seen> = None;
    if args.front.is_some() && args.service.len() > 1 {
        return Err("--front is what stands before one service: give one --service with it".into());
    }
    for service in &args.service {
        let client = args.front.as_deref().map(Client::begin).transpose()?;
        let body = json!({"to": args.to, "stay": args.stay, "yes": args.yes});
        let answer = args
            .agent
            .of(&args.config)
            .post(&format!("/api/services/{service}/drill"), &body)?;
        let asked = answer["asked"]
            .as_str()
            .ok_or("the agent does not name the drill")?
            .to_owned();
        let came = wait(args, &asked)?;
        let seen = client.map(Client::end).transpose()?;
        match came {
            Came::Over(drill) => {
                looks.extend(looks_of(&drill));
                looks.extend(seen.as_ref().map(|seen| look_from_front(&drill, seen)));
                clients = seen;
                drills.push(json!(drill));
            }
            Came::Refused(refused) => {
                looks.push(look(service, "it may begin".into(), 0.0, Some(refused.reason.clone())));
                drills.push(json!(refused));
                // What holds one back holds back the others.
                break;
            }
        }
    }
    write_junit(args.junit.as_deref(), &looks)?;
    let bad = bad(&looks);
    if output == Output::Json {
        println!(
            "{:#}",
            json!({"good": bad == 0, "drills": Value::from(drills), "checks": looks, "front": clients})
        );
    } else {
        show(&looks);
        println!();
        for drill in drills
            .iter()
            .filter_map(|drill| serde_json::from_value::<Drill>(drill.clone()).ok())
        {
            println!("{}: {}", drill.service, drill.summary());
        }
        if let Some(seen) = clients {
            println!("{}", seen.summary());
        }
    }
    Ok(if bad == 0 { Ended::Good } else { Ended::Bad })
}

fn wait(args: &super::Drill, asked: &str) -> Result<Came, String> {
    let begin = Instant::now();
    let (mut stage, mut silent) = ((0, 0), None::<Instant>);
    loop {
        let told = match args.agent.of(&args.config).get("/api/drills") {
            Ok(told) => told,
            Err(error) => {
                let since = *silent.get_or_insert_with(|| {
                    eprintln!("{error}; the drill is left to the agent that starts next, which is waited for");
                    Instant::now()
                });
                if since.elapsed() > SILENCE {
                    return Err(format!(
                        "{error}. The drill is not over: the next agent goes on with it, and 'jurymast drill --history' will show how it ended"
                    ));
                }
                std::thread::sleep(ASKS);
                continue;
            }
        };
        silent = None;
        let known: Known =
            serde_json::from_value(told).map_err(|error| format!("the agent's drills cannot be read: {error}"))?;
        if let Some(refused) = known.refused.into_iter().find(|refused| refused.asked == asked) {
            return Ok(Came::Refused(refused));
        }
        let mut all = known.latest.into_iter().chain(known.history);
        if let Some(drill) = all.find(|drill| drill.asked == asked) {
            if drill.ended.is_some() {
                return Ok(Came::Over(Box::new(drill)));
            }
            let now = (
                drill.legs.len(),
                drill.legs.iter().filter(|leg| leg.ended.is_some()).count(),
            );
            if let Some(leg) = drill.legs.last().filter(|_| now != stage) {
                let on = if leg.ended.is_some() { "runs on" } else { "moves to" };
                eprintln!("{} {on} {}", drill.service, leg.to);
                stage = now;
            }
        }
        if begin.elapsed() > PATIENCE + args.stay.0 {
            return Err("the drill is not over yet; 'jurymast drill --history' will show how it ended".into());
        }
        std::thread::sleep(ASKS);
    }
}

fn look(service: &str, name: String, seconds: f64, problem: Option<String>) -> Look {
    Look {
        service: service.to_owned(),
        name,
        seconds,
        found: problem.map_or(Found::Good, Found::Bad),
    }
}

/// What was asked of the drill, one by one.
fn looks_of(drill: &Drill) -> Vec<Look> {
    let service = drill.service.as_str();
    let mut looks = Vec::new();
    let told = drill.problems.join("; ");
    let ways = ["it moves to", "it comes back to"];
    let reached = |leg: &Leg| (!leg.is_good()).then(|| told.clone());
    for (leg, way) in drill.legs.iter().zip(ways) {
        let seconds = leg.seconds().unwrap_or_default();
        looks.push(look(
            service,
            format!("{way} {} and serves", leg.to),
            seconds,
            reached(leg),
        ));
    }
    if drill.legs.len() == 1 && drill.legs[0].is_good() {
        looks.push(look(
            service,
            format!("it comes back to {}", drill.from),
            0.0,
            Some(told),
        ));
    }
    if let Some(rto) = drill.rto_s() {
        let missed = rto > drill.rto_objective_s;
        let name = format!(
            "RTO {rto:.2} s with noticing a fault, objective {:.2} s",
            drill.rto_objective_s
        );
        looks.push(look(service, name, rto, missed.then(|| "missed".to_owned())));
    }
    if let (Some(rpo), Some(objective)) = (drill.rpo_s, drill.rpo_objective_s) {
        let name = format!("RPO: data {rpo:.2} s behind, objective {objective:.2} s");
        looks.push(look(service, name, rpo, (rpo > objective).then(|| "missed".to_owned())));
    }
    looks
}

/// What clients saw, and would have seen of a fault: the time to notice it at worst comes before the switch.
fn look_from_front(drill: &Drill, seen: &Seen) -> Look {
    let rto = seen.gone_s + drill.notice_s;
    let name = format!(
        "clients saw it gone for {:.2} s, RTO {rto:.2} s with noticing a fault, objective {:.2} s",
        seen.gone_s, drill.rto_objective_s
    );
    let missed = rto > drill.rto_objective_s;
    look(
        drill.service.as_str(),
        name,
        seen.gone_s,
        missed.then(|| "missed".to_owned()),
    )
}
