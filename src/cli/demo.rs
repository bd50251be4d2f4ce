//! `jurymast demo`: the main job with nothing to install, and a pleasure to watch.

use std::io::{IsTerminal, Write};
use std::path::PathBuf;

use tokio::sync::mpsc;

use super::{Ended, Outcome as Ran, Output, colour, table};
use crate::demo::{FAULTS, Fault, Happening, Report, Scene, play, service};
use crate::engine::{PlanEvent, Record};
use crate::model::plan::Outcome;
use crate::model::symptom::Finding;
use crate::model::{Decision, Span, Timestamp};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// Which fault, or all of them one after the other.
    #[arg(long, default_value = "service-crash", value_parser = names())]
    fault: String,
    /// Makes the choice of timing repeatable.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Play each so often, with another seed each time.
    #[arg(long, default_value_t = 1)]
    runs: u32,
    /// Print only what came of it.
    #[arg(long)]
    headless: bool,
    /// Go on for so long after each fault, to look at the page.
    #[arg(long, value_name = "SPAN")]
    stay: Option<Span>,
    /// Record each as a capsule, in a folder of its own in here.
    #[arg(long)]
    record: Option<PathBuf>,
}

/// Processes of the plant.
#[derive(clap::Subcommand)]
pub enum Hidden {
    /// An ingest service of the demo's plant.
    #[command(hide = true, name = "demo-ingest")]
    Ingest(service::Ingest),
    /// The store of the demo's plant.
    #[command(hide = true, name = "demo-store")]
    Store(service::Store),
}

fn names() -> clap::builder::PossibleValuesParser {
    FAULTS
        .iter()
        .map(|fault| fault.name)
        .chain(["all"])
        .collect::<Vec<_>>()
        .into()
}

/// Runs a process of the plant.
pub fn hidden(hidden: &Hidden) -> Ran {
    let runtime = super::runtime()?;
    match hidden {
        Hidden::Ingest(ingest) => runtime.block_on(service::ingest(ingest.clone()))?,
        Hidden::Store(store) => runtime.block_on(service::store(store.clone()))?,
    }
    // Reading stdin keeps a thread of the runtime busy for ever.
    runtime.shutdown_background();
    Ok(Ended::Good)
}

/// Plays the faults; 1 if anything was not judged rightly.
pub fn run(args: &Args, output: Output) -> Ran {
    let faults: Vec<&'static Fault> = FAULTS
        .iter()
        .filter(|fault| args.fault == "all" || args.fault == fault.name)
        .collect();
    let quiet = args.headless || output == Output::Json;
    let runtime = super::runtime()?;
    let mut reports = Vec::new();
    for run in 0..args.runs {
        for fault in &faults {
            let seed = args.seed + u64::from(run);
            let name = if args.runs > 1 {
                format!("{}-{seed}", fault.name)
            } else {
                fault.name.to_owned()
            };
            let record = args.record.as_ref().map(|dir| dir.join(name));
            let report = runtime.block_on(one(fault, seed, record, args.stay.unwrap_or_default(), quiet))?;
            if output == Output::Json {
                println!("{}", serde_json::to_string(&report).map_err(|error| error.to_string())?);
            }
            reports.push(report);
        }
    }
    if output == Output::Text && (reports.len() > 1 || args.headless) {
        summary(&reports);
    }
    Ok(if reports.iter().all(|report| report.correct) {
        Ended::Good
    } else {
        Ended::Bad
    })
}

async fn one(
    fault: &'static Fault,
    seed: u64,
    record: Option<PathBuf>,
    stay: Span,
    quiet: bool,
) -> Result<Report, String> {
    let (watch, mut happenings) = mpsc::unbounded_channel();
    let playing = tokio::spawn(play(Scene {
        fault,
        seed,
        record,
        stay: stay.0,
        watch,
    }));
    let mut teller = Teller::new(fault, quiet);
    while let Some(happening) = happenings.recv().await {
        teller.tell(&happening);
    }
    let report = playing.await.map_err(|error| error.to_string())??;
    teller.end(&report);
    Ok(report)
}

fn summary(reports: &[Report]) {
    let ms = |ms: Option<i64>| ms.map_or_else(|| "-".to_owned(), |ms| format!("{ms} ms"));
    let word =
        |decision: Option<Decision>| decision.map_or_else(|| "-".to_owned(), |d| format!("{d:?}").to_lowercase());
    let rows: Vec<Vec<String>> = reports
        .iter()
        .map(|r| {
            vec![
                r.fault.to_owned(),
                ms(r.detected_ms),
                format!(
                    "{} at {}",
                    r.cause.as_deref().unwrap_or("-"),
                    r.entity.as_deref().unwrap_or("-")
                ),
                format!("{:.2}", r.probability),
                word(r.verdict),
                r.gate.clone().unwrap_or_default(),
                ms(r.acted_ms),
                ms(r.restored_ms),
                r.requests_failed.to_string(),
                if r.correct { "yes" } else { "NO" }.to_owned(),
            ]
        })
        .collect();
    println!();
    table(
        &[
            "FAULT", "DETECTED", "CAUSE", "P", "VERDICT", "GATE", "ACTED", "RESTORED", "FAILED", "CORRECT",
        ],
        &rows,
    );
    let mut restored: Vec<i64> = reports
        .iter()
        .filter(|r| r.acted_ms.is_some())
        .filter_map(|r| r.restored_ms)
        .collect();
    if restored.len() > 1 && reports.iter().all(|r| r.fault == reports[0].fault) {
        restored.sort_unstable();
        println!(
            "\nrestored: median {} ms of {} runs",
            restored[restored.len() / 2],
            restored.len()
        );
    }
}

/// Tells a person what happens, as it happens.
struct Teller {
    fault: &'static Fault,
    quiet: bool,
    colour: bool,
    injected: Option<Timestamp>,
    symptoms: usize,
    strip: usize,
    last_cause: String,
}

impl Teller {
    fn new(fault: &'static Fault, quiet: bool) -> Self {
        let colour = colour();
        Self {
            fault,
            quiet,
            colour,
            injected: None,
            symptoms: 0,
            strip: 0,
            last_cause: String::new(),
        }
    }

    fn paint(&self, code: &str, text: &str) -> String {
        if self.colour {
            format!("\x1b[{code}m{text}\x1b[0m")
        } else {
            text.to_owned()
        }
    }

    fn line(&mut self, at: Option<Timestamp>, text: &str) {
        if std::mem::take(&mut self.strip) > 0 {
            println!();
        }
        let since = match (self.injected, at) {
            (Some(injected), Some(at)) => format!("{:>7.3}s", (at.nanos() - injected.nanos()) as f64 / 1e9),
            _ => " ".repeat(8),
        };
        println!("{}  {text}", self.paint("2", &since));
    }

    fn tell(&mut self, happening: &Happening) {
        if self.quiet {
            return;
        }
        match happening {
            Happening::Ready(port) => {
                println!("{}  {}", self.paint("1", self.fault.name), self.fault.deed);
                println!(
                    "          3 gateways, 60 devices, 3 instances on 3 hosts; the page is at http://127.0.0.1:{port}/"
                );
                println!("          warming up for {} s …", self.fault.warm_up_s);
            }
            Happening::Injected(at) => {
                self.injected = Some(*at);
                let text = self.paint("31;1", &format!("✗ {}", self.fault.deed));
                self.line(Some(*at), &text);
            }
            Happening::Decided(record) if self.injected.is_some() => self.decided(record),
            Happening::Asked(good) if self.injected.is_some() && std::io::stdout().is_terminal() => {
                if self.strip == 0 {
                    print!("          requests ");
                }
                self.strip += 1;
                print!(
                    "{}",
                    if *good {
                        self.paint("32", "▪")
                    } else {
                        self.paint("31", "✗")
                    }
                );
                if self.strip >= 60 {
                    self.strip = 0;
                    println!();
                }
                let _ = std::io::stdout().flush();
            }
            Happening::Stays(span) => {
                let text = format!("all is over; the page goes on for {}", Span(*span));
                self.line(None, &text);
            }
            _ => {}
        }
    }

    fn decided(&mut self, record: &Record) {
        match record {
            Record::Finding {
                at,
                finding: Finding::Raised(symptom),
            } => {
                self.symptoms += 1;
                // Twenty silent devices are one line and a number.
                if self.symptoms <= 4 {
                    let text = format!(
                        "{} {}: {}",
                        self.paint("33", "symptom "),
                        symptom.key,
                        symptom.evidence.text
                    );
                    self.line(Some(*at), &text);
                } else if self.symptoms == 5 {
                    let text = format!("{} … and more", self.paint("33", "symptom "));
                    self.line(Some(*at), &text);
                }
            }
            Record::Incident { at, incident } if incident.is_open() => {
                let Some(top) = incident.top() else { return };
                let cause = format!("{} at {}", top.fault, top.entity);
                if cause == self.last_cause {
                    return;
                }
                self.last_cause = cause;
                let head = format!(
                    "{} {}, {} symptoms",
                    self.paint("36", "incident"),
                    incident.id,
                    incident.symptoms.len()
                );
                self.line(Some(*at), &head);
                for hypothesis in incident.hypotheses.iter().take(3) {
                    // At most 20: probabilities do not exceed one.
                    let filled = (hypothesis.probability * 20.0).round() as usize;
                    let bar = format!("{}{}", "█".repeat(filled), "░".repeat(20_usize.saturating_sub(filled)));
                    let text = format!(
                        "         {bar} {:.2} {} at {}",
                        hypothesis.probability, hypothesis.fault, hypothesis.entity
                    );
                    self.line(None, &text);
                }
                for reason in top.evidence_for.iter().take(2) {
                    let text = format!("         + {reason}");
                    self.line(None, &text);
                }
            }
            Record::Verdict { verdict } => {
                let word = match verdict.decision {
                    Decision::Act => self.paint("32;1", "ACT"),
                    Decision::Hold => self.paint("33;1", "HOLD"),
                    Decision::Ask => self.paint("35;1", "ASK"),
                    Decision::Ignore => self.paint("34;1", "IGNORE"),
                };
                let why = verdict.refusal.as_ref().map_or_else(
                    || "every gate is open".to_owned(),
                    |refusal| format!("{}: {}", refusal.gate, refusal.reason),
                );
                let text = format!("{} {word} {why}", self.paint("36", "verdict "));
                self.line(Some(verdict.at), &text);
            }
            Record::Plan { at, plan } => {
                let text = format!("{} {}", self.paint("32", "plan    "), plan.summary);
                self.line(Some(*at), &text);
                for step in &plan.steps {
                    let text = format!(
                        "         {:<8} {}",
                        format!("{:?}", step.phase).to_lowercase(),
                        step.name
                    );
                    self.line(None, &text);
                }
            }
            Record::PlanEvent { at, plan_event } => match plan_event {
                PlanEvent::StepDone { step, .. } => {
                    let text = format!("{} step {step} done", self.paint("32", "  ✓     "));
                    self.line(Some(*at), &text);
                }
                PlanEvent::StepFailed { step, error, .. } => {
                    let text = format!("{} step {step}: {error}", self.paint("31", "  ✗     "));
                    self.line(Some(*at), &text);
                }
                PlanEvent::Ended { outcome, .. } => {
                    let text = match outcome {
                        Outcome::Done { active } => {
                            self.paint("32;1", &format!("restored: it runs on {active}, verified"))
                        }
                        Outcome::Compensated { reason } => format!("taken back: {reason}"),
                        Outcome::Untouched { reason, .. } => format!("given up before anything was done: {reason}"),
                        Outcome::HandedOver { reason } => format!("needs a person: {reason}"),
                    };
                    self.line(Some(*at), &text);
                }
                _ => {}
            },
            _ => {}
        }
    }

    fn end(&mut self, report: &Report) {
        if self.quiet {
            return;
        }
        let mark = if report.correct {
            self.paint("32;1", "correct")
        } else {
            self.paint("31;1", "WRONG")
        };
        let text = format!("{mark}: {}", report.right);
        self.line(None, &text);
        let restored = match report.restored_ms {
            Some(0) => "no request failed".to_owned(),
            Some(ms) => format!(
                "{} requests failed, the last {:.2} s after the fault",
                report.requests_failed,
                ms as f64 / 1e3
            ),
            None => format!("{} requests failed and it is still down", report.requests_failed),
        };
        self.line(None, &restored);
        println!();
    }
}
