//! `jurymast doctor`: finds out why things might not work here.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::{Ended, Outcome, Output, table};
use crate::act::Prober;
use crate::act::journal::Journal;
use crate::clock::wall_clock;
use crate::config::Loaded;
use crate::ingest::prometheus::Target;
use crate::ingest::prometheus::native::Discovery;
use crate::model::service::ProbeSpec;
use crate::model::{Entity, EntityKind, Reach, Span};

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The config.
    #[arg(short, long, default_value = "jurymast.yml")]
    config: PathBuf,
}

#[derive(Serialize)]
struct Checked {
    check: String,
    result: &'static str,
    detail: String,
}

/// A disk on which one record takes longer makes every move slow.
const SLOW_DISK: Duration = Duration::from_millis(20);

/// Examines; 1 if anything fails.
pub fn run(args: &Args, output: Output) -> Outcome {
    let mut all = Vec::new();
    let mut note = |check: &str, result: Result<String, (bool, String)>| {
        let (result, detail) = match result {
            Ok(detail) => ("ok", detail),
            Err((false, detail)) => ("warn", detail),
            Err((true, detail)) => ("FAIL", detail),
        };
        all.push(Checked {
            check: check.to_owned(),
            result,
            detail,
        });
    };
    match Loaded::read(&args.config) {
        Err(errors) => note("config", Err((true, errors.to_string()))),
        Ok(loaded) => {
            note("config", Ok(args.config.display().to_string()));
            for warning in &loaded.warnings {
                note("config", Err((false, warning.clone())));
            }
            if loaded.token.is_none() {
                note(
                    "token",
                    Err((
                        false,
                        "no api.token_file: nobody can approve, abort or hold over HTTP".into(),
                    )),
                );
            }
            if loaded.config.services.is_empty() {
                note(
                    "services",
                    Err((false, "none: Jurymast will watch and never move anything".into())),
                );
            }
            note("journal", journal(&loaded));
            let reached = super::runtime()?.block_on(reach(&loaded));
            for (check, result) in reached {
                note(&check, result);
            }
        }
    }
    let bad = all.iter().any(|checked| checked.result == "FAIL");
    if output == Output::Json {
        println!(
            "{}",
            serde_json::to_string_pretty(&all).map_err(|error| error.to_string())?
        );
    } else {
        let rows: Vec<Vec<String>> = all
            .into_iter()
            .map(|c| vec![c.result.to_owned(), c.check, c.detail])
            .collect();
        table(&["", "CHECK", "DETAIL"], &rows);
    }
    Ok(if bad { Ended::Bad } else { Ended::Good })
}

fn journal(loaded: &Loaded) -> Result<String, (bool, String)> {
    let dir = &loaded.config.agent.data_dir;
    let opened = Journal::open(dir, wall_clock()).map_err(|error| (true, error.to_string()))?;
    // Measured beside the journal, not in it.
    let path = dir.join("doctor.tmp");
    let begin = Instant::now();
    let written = std::fs::File::create(&path).and_then(|mut file| {
        std::io::Write::write_all(&mut file, &[0; 256])?;
        file.sync_data()
    });
    let took = Span(Duration::from_micros(
        u64::try_from(begin.elapsed().as_micros()).unwrap_or(0),
    ));
    let _ = std::fs::remove_file(&path);
    written.map_err(|error| (true, format!("{}: {error}", dir.display())))?;
    let open = opened.state.open.len();
    if took.0 > SLOW_DISK {
        return Err((false, format!("one record takes {took}: a plan writes two per step")));
    }
    Ok(format!(
        "{}: epoch {}, {open} unfinished plans, {took} per record",
        dir.display(),
        opened.state.epoch
    ))
}

/// What everything outside says when it is tried: what it is, and what came of it; `true` if it is wrong.
pub(super) async fn reach(loaded: &Loaded) -> Vec<(String, Result<String, (bool, String)>)> {
    let prober = Prober::new();
    let config = &loaded.config;
    let mut all = Vec::new();
    let entity = |name: &str, address: &str| Entity {
        name: name.into(),
        kind: EntityKind::Service,
        period: None,
        group: None,
        attributes: [("address".to_owned(), address.to_owned())].into(),
    };
    let tcp = ProbeSpec {
        uses: "tcp".into(),
        with: serde_json::Map::new(),
        timeout: Span::secs(2),
        interval: Span::secs(1),
    };
    let verdict = |reach: Reach| match reach {
        Reach::Good { took } => Ok(format!("answers in {took}")),
        Reach::Odd { detail } => Err((true, detail)),
        other => Err((true, format!("{other:?}: is it running, and is the address right?"))),
    };
    if let Some((what, said)) = config.coordinate.reach().await {
        all.push((what, said.map_err(|why| (true, why))));
    }
    for source in &config.sources.mqtt {
        if let Ok((host, port, _)) = source.address() {
            let reach = prober
                .probe(&tcp, &entity(&source.name, &format!("{host}:{port}")))
                .await;
            all.push((format!("broker {}", source.name), verdict(reach)));
        }
    }
    for (job, url) in scraped(loaded).await {
        let spec = ProbeSpec {
            uses: "http".into(),
            with: [("url".to_owned(), url.clone().into())].into_iter().collect(),
            ..tcp.clone()
        };
        all.push((
            format!("target {url} of {job}"),
            verdict(prober.probe(&spec, &entity(&job, "")).await),
        ));
    }
    for source in &config.sources.query {
        let spec = ProbeSpec {
            uses: "http".into(),
            with: [(
                "url".to_owned(),
                format!("{}/-/healthy", source.url.trim_end_matches('/')).into(),
            )]
            .into_iter()
            .collect(),
            ..tcp.clone()
        };
        all.push((
            format!("prometheus {}", source.name),
            verdict(prober.probe(&spec, &entity(&source.name, "")).await),
        ));
    }
    let topology = config.topology();
    for service in &config.services {
        for instance in service.instances() {
            if let Some(entity) = topology.entity(instance.as_str()) {
                let result = verdict(prober.probe(&service.probe, entity).await);
                all.push((format!("{} of {}", instance, service.name), result));
            }
        }
        if let Some(socket) = service.vars.get("socket") {
            let found = std::path::Path::new(socket).exists() || !socket.contains('/');
            let result = if found {
                Ok(socket.clone())
            } else {
                Err((true, format!("{socket} is not there: 'stats socket' in haproxy.cfg")))
            };
            all.push((format!("proxy of {}", service.name), result));
        }
    }
    all
}

/// Targets that are tried; of a fleet, the first.
const TARGETS_MAX: usize = 50;

/// Whom the scrapes would ask: job and URL. What needs credentials of its own is tried without and says so by its answer.
async fn scraped(loaded: &Loaded) -> Vec<(String, String)> {
    let sources = &loaded.config.sources;
    let mut all = Vec::new();
    for source in &sources.scrape {
        for target in &source.targets {
            let (Target::Address(address) | Target::Named { address, .. }) = target;
            let url = if address.contains("://") {
                address.clone()
            } else {
                format!("http://{address}{}", source.path)
            };
            all.push((source.job.clone(), url));
        }
    }
    for source in &sources.scrape_configs {
        let (targets, _) = Discovery::new(source).targets().await;
        all.extend(targets.into_iter().map(|target| (source.job_name.clone(), target.url)));
    }
    all.truncate(TARGETS_MAX);
    all
}
