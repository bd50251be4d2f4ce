//! `jurymast discover`: listens on a broker for a while, and writes a config to start with.

use std::path::{Path, PathBuf};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;

use super::{Ended, Outcome, Output, table};
use crate::config::Loaded;
use crate::ingest::mqtt::survey::{Broker, Survey, config, filters, listen};
use crate::model::Span;

/// Arguments.
#[derive(clap::Args)]
pub struct Args {
    /// The broker: `mqtt://host:port`, or `mqtts://host:port` for TLS.
    broker: String,
    /// How long to listen. Periods longer than a quarter of it are not seen.
    #[arg(long = "for", default_value = "60s", value_name = "SPAN")]
    span: Span,
    /// A topic filter to listen to; may be given several times.
    #[arg(long, default_values = ["#", "$SYS/#"])]
    filter: Vec<String>,
    /// What to call the broker.
    #[arg(long, default_value = "broker")]
    name: String,
    /// User name.
    #[arg(long)]
    username: Option<String>,
    /// A file that holds the password.
    #[arg(long, requires = "username")]
    password_file: Option<PathBuf>,
    /// A file of the authorities that are trusted, for `mqtts`.
    #[arg(long)]
    ca_file: Option<PathBuf>,
    /// Where the config is written; `-` prints it.
    #[arg(short, long, default_value = "jurymast.yml")]
    write: PathBuf,
    /// Write over a file that is there.
    #[arg(long)]
    force: bool,
}

/// Listens and writes; 1 if nothing was heard.
pub fn run(args: &Args, output: Output) -> Outcome {
    let to_stdout = args.write == Path::new("-");
    if !to_stdout && args.write.exists() && !args.force {
        return Err(format!(
            "{} is there already; name another with --write, or give --force",
            args.write.display()
        ));
    }
    let broker = Broker {
        url: args.broker.clone(),
        username: args.username.clone(),
        password_file: args.password_file.clone(),
        ca_file: args.ca_file.clone(),
        filters: args.filter.clone(),
    };
    let mut survey = Survey::new(&args.name.as_str().into());
    let bar = bar(args.span.0);
    let listened = super::runtime()?.block_on(listen(&broker, args.span.0, &mut survey, |messages| {
        bar.set_message(format!("{messages} messages"));
    }));
    bar.finish_and_clear();
    listened.map_err(|error| error.to_string())?;
    let text = config(&survey, &broker, &args.span.to_string());
    let dir = args
        .write
        .parent()
        .filter(|dir| !dir.as_os_str().is_empty())
        .unwrap_or(Path::new("."));
    // What is written must be good as it stands; a password's file may still be missing elsewhere.
    let name = args.write.display().to_string();
    Loaded::of(&text, &name, dir, |_| None)
        .map_err(|errors| format!("the config that was made is not good, which is a fault of ours:\n{errors}"))?;
    if to_stdout {
        print!("{text}");
    } else {
        std::fs::write(&args.write, &text).map_err(|error| format!("{name}: {error}"))?;
    }
    tell(&survey, &args.write, to_stdout, output);
    Ok(if survey.messages == 0 { Ended::Bad } else { Ended::Good })
}

fn bar(span: Duration) -> ProgressBar {
    let bar = ProgressBar::new(span.as_secs().max(1));
    let style =
        ProgressStyle::with_template("listening {elapsed} {msg}").unwrap_or_else(|_| ProgressStyle::default_spinner());
    bar.set_style(style);
    bar
}

fn tell(survey: &Survey, path: &Path, to_stdout: bool, output: Output) {
    let filters = filters(&survey.topics);
    let found = survey.found(&filters);
    if output == Output::Json {
        let said = json!({
            "messages": survey.messages, "unlisted": survey.unlisted, "topics": survey.topics, "filters": filters, "entities": found,
            "written": (!to_stdout).then_some(path),
        });
        if !to_stdout {
            println!("{said:#}");
        }
        return;
    }
    if to_stdout {
        return;
    }
    let rows: Vec<Vec<String>> = filters
        .iter()
        .map(|one| {
            vec![
                one.decode.clone(),
                one.filter.clone(),
                one.topics.to_string(),
                one.example.clone(),
            ]
        })
        .collect();
    if !rows.is_empty() {
        table(&["DECODE", "FILTER", "TOPICS", "SUCH AS"], &rows);
    }
    let bad: Vec<_> = survey.topics.iter().filter(|(_, topic)| topic.bad > 0).collect();
    for (name, topic) in bad.iter().take(10) {
        println!("not read: {name}: {}", topic.error.as_deref().unwrap_or_default());
    }
    println!(
        "\n{} messages on {} topics, {} entities, {} of them with a period; written to {}",
        survey.messages,
        survey.topics.len(),
        found.len(),
        found.iter().filter(|one| one.period_s.is_some()).count(),
        path.display()
    );
    println!("next: jurymast check config {0} && jurymast run -c {0}", path.display());
}
