//! `jurymast explain`: why an incident was judged as it was, with a look at the signals that show it.

use serde::Deserialize;
use serde_json::Value;

use super::operate::{list, text};
use super::{Ended, Outcome, Output, client, explained};
use crate::detect::{Opinion, Opinions};

/// Arguments of `explain`.
#[derive(clap::Args)]
pub struct Explain {
    /// Which incident.
    id: u64,
    /// Of a recorded incident instead of a running agent: as it stood when it was decided about.
    #[arg(long, value_name = "DIR")]
    capsule: Option<std::path::PathBuf>,
    #[command(flatten)]
    agent: client::Args,
}

/// Columns of a sparkline.
const COLUMNS: usize = 64;

const BLOCKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// Prints what the agent knows of the incident, or what a capsule holds of it.
pub fn run(args: &Explain, output: Output) -> Outcome {
    let answer = match &args.capsule {
        Some(dir) => explained::of_capsule(dir, args.id)?,
        None => args.agent.get(&format!("/api/incidents/{}", args.id))?,
    };
    if output == Output::Json {
        println!("{answer:#}");
    } else {
        print!("{}", explained::page(&answer)?);
    }
    Ok(Ended::Good)
}

/// A signal in three lines: its values, what they are measured against, and below the first value of the trouble a mark.
pub fn sparkline(chart: &Value) -> Option<String> {
    let points: Vec<(f64, &str)> = list(chart, "points")
        .filter_map(|point| Some((point["value"].as_f64()?, point["at"].as_str()?)))
        .collect();
    let shown = &points[points.len().saturating_sub(COLUMNS)..];
    let least = shown.iter().map(|(value, _)| *value).fold(f64::INFINITY, f64::min);
    let most = shown.iter().map(|(value, _)| *value).fold(f64::NEG_INFINITY, f64::max);
    if !(least.is_finite() && most.is_finite()) {
        return None;
    }
    let line: String = shown
        .iter()
        .map(|(value, _)| {
            let part = if most > least {
                (value - least) / (most - least)
            } else {
                0.5
            };
            BLOCKS[((part * 7.0).round() as usize).min(7)]
        })
        .collect();
    // Times are written alike, so that they are ordered as they read.
    let onset = text(chart, "/onset");
    let before = shown.iter().take_while(|(_, at)| *at < onset).count();
    let per_second = if chart["rate"] == true { ", a second" } else { "" };
    let mut facts = vec![format!("from {least:.4} to {most:.4}{per_second}")];
    if let (Some(low), Some(high)) = (chart["band"][0].as_f64(), chart["band"][1].as_f64()) {
        facts.push(format!("usual is {low:.4} to {high:.4}"));
    }
    let score = list(chart, "points").filter_map(|point| point["surprise"].as_f64());
    let score = score.fold(0.0, f64::max);
    if let Some(bar) = chart["bar"].as_f64().filter(|_| score > 0.0) {
        facts.push(format!("surprise up to {score:.1}, told from {bar:.1} on"));
    }
    facts.extend(others(&chart["others"]));
    let mut told = format!(
        "  {} {}: {}\n    {line}\n",
        text(chart, "/entity"),
        text(chart, "/signal"),
        facts.join("; ")
    );
    if before < shown.len() {
        told += &format!("    {}^ {}\n", " ".repeat(before), onset.get(11..23).unwrap_or(onset));
    }
    Some(told)
}

/// What other detectors say of a signal, where it is anything.
fn others(said: &Value) -> Vec<String> {
    let said = Opinions::deserialize(said).map_or_else(|_| Vec::new(), |opinions| opinions.said());
    let strange = said.into_iter().filter(Opinion::speaks);
    strange
        .map(|opinion| format!("{}: {}", opinion.whose, opinion.words))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_others_say_is_told_where_it_is_anything() {
        assert_eq!(others(&json!({"season": 7.2, "drift": 0.4, "change": 0.98})).len(), 2);
        assert!(others(&Value::Null).is_empty());
    }

    #[test]
    fn a_signal_is_drawn_with_its_band_and_its_onset() {
        let points: Vec<Value> = (0..10)
            .map(|n| json!({"at": format!("2026-11-21T15:00:0{n}.000Z"), "value": if n < 6 { 20.0 } else { 60.0 }, "surprise": if n < 6 { 0.0 } else { 21.5 }}))
            .collect();
        let chart = json!({"entity": "pump", "signal": "flow", "onset": "2026-11-21T15:00:06.000Z", "points": points, "band": [18.0, 22.0], "bar": 15.25, "rate": false});
        let drawn = sparkline(&chart).unwrap();
        assert!(drawn.contains("▁▁▁▁▁▁████"), "{drawn}");
        assert!(drawn.contains("          ^ 15:00:06.000"), "{drawn}");
        assert!(
            drawn.contains("usual is 18.0000 to 22.0000") && drawn.contains("surprise up to 21.5, told from 15.2"),
            "{drawn}"
        );
        assert_eq!(sparkline(&json!({"points": []})), None);
    }
}
