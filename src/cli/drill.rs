//! `jurymast drill`: would a move work? Dry: everything that a plan needs is looked at, and nothing is changed.
//!
//! For each service and each of its standbys the plan is made as in earnest; the active and the standby are probed; each step's parameters are
//! checked and its effect is looked at, which shows whether the way to whatever it acts on works.

use std::fmt::Write as _;
use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Ended, Outcome, Output, table};
use crate::act::executor::Call;
use crate::act::runner::Effect;
use crate::act::{Executors, Prober};
use crate::config::Loaded;
use crate::model::service::StandbyClass;
use crate::model::{EntityName, PlanId, PlanKind, Service, Step, Token, Topology};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The config.
    #[arg(short, long, default_value = "jurymast.yml")]
    config: PathBuf,
    /// Only these services; all if left out.
    #[arg(long)]
    service: Vec<String>,
    /// Write the report for a build server as well.
    #[arg(long, value_name = "FILE")]
    junit: Option<PathBuf>,
}

/// What came of one look.
#[derive(Debug, Clone, PartialEq, Serialize)]
#[serde(tag = "result", content = "why", rename_all = "snake_case")]
enum Found {
    /// As it should be.
    Good,
    /// A plan would fail here.
    Bad(String),
    /// It cannot be looked at without doing it.
    Unseen(String),
}

#[derive(Debug, Clone, PartialEq, Serialize)]
struct Check {
    service: String,
    name: String,
    seconds: f64,
    #[serde(flatten)]
    found: Found,
}

/// Looks; 1 if anything would fail.
pub fn run(args: &Args, output: Output) -> Outcome {
    let loaded = Loaded::read(&args.config).map_err(|errors| errors.to_string())?;
    let services: Vec<&Service> = loaded
        .config
        .services
        .iter()
        .filter(|service| args.service.is_empty() || args.service.iter().any(|name| name == service.name.as_str()))
        .collect();
    if let Some(unknown) = args
        .service
        .iter()
        .find(|name| !services.iter().any(|service| service.name.as_str() == name.as_str()))
    {
        return Err(format!("no service is called {unknown}"));
    }
    if services.is_empty() {
        return Err(format!("{} has no services to drill", args.config.display()));
    }
    let checks = super::runtime()?.block_on(async {
        let drill = Drill {
            topology: loaded.config.topology(),
            prober: Prober::new(),
            executors: Executors::new(),
            loaded: &loaded,
        };
        let mut checks = Vec::new();
        for service in services {
            drill.service(service, &mut checks).await;
        }
        checks
    });
    if let Some(file) = &args.junit {
        std::fs::write(file, junit(&checks)).map_err(|error| format!("{}: {error}", file.display()))?;
    }
    let bad = checks
        .iter()
        .filter(|check| matches!(check.found, Found::Bad(_)))
        .count();
    if output == Output::Json {
        println!("{:#}", serde_json::json!({"good": bad == 0, "checks": checks}));
    } else {
        let rows: Vec<Vec<String>> = checks.iter().map(row).collect();
        table(&["SERVICE", "LOOKED AT", "FOUND", "TOOK"], &rows);
        println!(
            "\n{} looks, {bad} bad{}",
            checks.len(),
            if bad == 0 {
                ": a move would find what it needs"
            } else {
                ""
            }
        );
    }
    Ok(if bad == 0 { Ended::Good } else { Ended::Bad })
}

fn row(check: &Check) -> Vec<String> {
    let found = match &check.found {
        Found::Good => "good".to_owned(),
        Found::Bad(why) => format!("BAD: {why}"),
        Found::Unseen(why) => format!("not seen: {why}"),
    };
    let took = format!("{:.0} ms", check.seconds * 1e3);
    vec![check.service.clone(), check.name.clone(), found, took]
}

struct Drill<'a> {
    topology: Topology,
    prober: Prober,
    executors: Executors,
    loaded: &'a Loaded,
}

impl Drill<'_> {
    async fn service(&self, service: &Service, checks: &mut Vec<Check>) {
        checks.push(self.probe(service, &service.active, "the active").await);
        for standby in &service.standbys {
            if standby.class != StandbyClass::Cold {
                checks.push(self.probe(service, &standby.entity, "the standby").await);
            }
            self.plan(service, &standby.entity, checks).await;
        }
    }

    async fn probe(&self, service: &Service, instance: &EntityName, role: &str) -> Check {
        let begin = Instant::now();
        let found = match self.topology.entity(instance.as_str()) {
            None => Found::Bad("the topology does not know it".into()),
            Some(entity) => match self.prober.probe(&service.probe, entity).await {
                reach if reach.is_good() => Found::Good,
                reach => Found::Bad(format!("{reach:?}")),
            },
        };
        check(service, format!("{role} {instance} answers its probe"), begin, found)
    }

    async fn plan(&self, service: &Service, to: &EntityName, checks: &mut Vec<Check>) {
        let begin = Instant::now();
        let others = service.standbys.iter().map(|standby| standby.entity.clone());
        let named: Vec<EntityName> = others.filter(|other| other != to).collect();
        // Lower than any that ever acts: even what is looked at by it would refuse it.
        let token = Token::default();
        let (kind, from) = (PlanKind::Failover, &service.active);
        let built = self
            .loaded
            .playbooks
            .build(service, kind, from, to, token, &named, &self.topology);
        let steps = match built {
            Ok(steps) => steps,
            Err(error) => {
                let found = Found::Bad(error.to_string());
                checks.push(check(service, format!("a plan to {to}"), begin, found));
                return;
            }
        };
        for step in steps.iter().filter(|step| step.action.uses != "probe") {
            let begin = Instant::now();
            let found = self.step(service, step, token).await;
            checks.push(check(service, format!("to {to}: {}", step.name), begin, found));
        }
    }

    async fn step(&self, service: &Service, step: &Step, token: Token) -> Found {
        let executor = match self.executors.get(&step.action.uses) {
            Ok(executor) => executor,
            Err(why) => return Found::Bad(why),
        };
        if let Err(why) = executor.check(&step.action.with) {
            return Found::Bad(why);
        }
        let plan = PlanId::new(&service.name, token);
        let key = format!("drill/{plan}/{}", step.index);
        let call = Call {
            with: &step.action.with,
            plan: &plan,
            token,
            key: &key,
            timeout: step.timeout.0.min(LOOK_MOST),
        };
        match executor.observe(&call).await {
            Effect::There | Effect::NotThere => Found::Good,
            Effect::Unknown => Found::Unseen(format!(
                "{} does not tell whether it has happened: there is no way to look, or the way there does not work",
                step.action.uses
            )),
        }
    }
}

/// A look that takes longer tells nothing.
const LOOK_MOST: Duration = Duration::from_secs(10);

fn check(service: &Service, name: String, begin: Instant, found: Found) -> Check {
    Check {
        service: service.name.to_string(),
        name,
        seconds: begin.elapsed().as_secs_f64(),
        found,
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            // No other control may stand in XML.
            c if c.is_control() && c != '\n' && c != '\t' => out.push(' '),
            c => out.push(c),
        }
    }
    out
}

/// As build servers read it.
fn junit(checks: &[Check]) -> String {
    let mut out = String::from("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuites name=\"jurymast drill\">\n");
    let mut services: Vec<&str> = checks.iter().map(|check| check.service.as_str()).collect();
    services.dedup();
    for service in services {
        let own: Vec<&Check> = checks.iter().filter(|check| check.service == service).collect();
        let count = |wanted: fn(&Found) -> bool| own.iter().filter(|check| wanted(&check.found)).count();
        let _ = writeln!(
            out,
            "  <testsuite name=\"{}\" tests=\"{}\" failures=\"{}\" skipped=\"{}\" time=\"{:.3}\">",
            escaped(service),
            own.len(),
            count(|found| matches!(found, Found::Bad(_))),
            count(|found| matches!(found, Found::Unseen(_))),
            own.iter().map(|check| check.seconds).sum::<f64>(),
        );
        for check in own {
            let inside = match &check.found {
                Found::Good => String::new(),
                Found::Bad(why) => format!("<failure message=\"{}\"/>", escaped(why)),
                Found::Unseen(why) => format!("<skipped message=\"{}\"/>", escaped(why)),
            };
            let _ = writeln!(
                out,
                "    <testcase classname=\"{}\" name=\"{}\" time=\"{:.3}\">{inside}</testcase>",
                escaped(service),
                escaped(&check.name),
                check.seconds
            );
        }
        out += "  </testsuite>\n";
    }
    out + "</testsuites>\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_and_escapes() {
        let one = |name: &str, found| Check {
            service: "a<b".into(),
            name: name.into(),
            seconds: 0.5,
            found,
        };
        let checks = [
            one("good", Found::Good),
            one("bad", Found::Bad("\"no\" & \u{1}".into())),
            one("unseen", Found::Unseen("x".into())),
        ];
        let text = junit(&checks);
        assert!(
            text.contains("name=\"a&lt;b\" tests=\"3\" failures=\"1\" skipped=\"1\" time=\"1.500\""),
            "{text}"
        );
        assert!(text.contains("<failure message=\"&quot;no&quot; &amp;  \"/>"), "{text}");
    }
}
