//! `jurymast top`: the page in a terminal.
//!
//! One thread looks at the agent, one reads keys, one hears signals; what they find out comes through one channel, and each message draws the picture anew.

mod draw;
mod feeds;
mod keys;
mod line;
mod screen;
mod view;

use std::io::IsTerminal;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;

use serde_json::{Value, json};

use super::operate::{list, text};
use super::{Ended, Outcome, Output, client, colour, explained};
use feeds::Feeds;
use keys::Key;
use screen::{Screen, size};
use view::{Asked, View};

/// How often the agent is looked at.
const EVERY: Duration = Duration::from_secs(1);

/// Arguments.
#[derive(clap::Args)]
pub struct Top {
    /// Print the picture once and end, as when the output is no terminal.
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    agent: client::Args,
}

/// What makes the picture another one.
enum News {
    Key(Key),
    /// The agent has answered, or not.
    Status(Box<Result<(Value, Feeds), String>>),
    /// An order or a question has been answered.
    Said(Result<String, String>),
    Explained(Result<String, String>),
    Resized,
    End,
}

/// Shows the agent until it is enough.
pub fn run(args: &Top, output: Output) -> Outcome {
    if args.once || output == Output::Json || !std::io::stdout().is_terminal() || !std::io::stdin().is_terminal() {
        return once(&args.agent, output);
    }
    let (news, heard) = channel();
    let mut screen =
        Screen::open().map_err(|error| format!("this terminal cannot be drawn on: {error}; --once prints"))?;
    look(args.agent.clone(), news.clone());
    keys::read(news.clone());
    signals(news.clone())?;
    follow(&args.agent, &mut screen, &news, &heard);
    Ok(Ended::Good)
}

fn once(agent: &client::Args, output: Output) -> Outcome {
    let before = Feeds::read(&agent.text("/metrics")?);
    std::thread::sleep(EVERY);
    let feeds = Feeds::read(&agent.text("/metrics")?).since(&before);
    let status = agent.get("/api/status")?;
    if output == Output::Json {
        println!("{:#}", json!({"status": status, "feeds": feeds}));
        return Ok(Ended::Good);
    }
    let view = View {
        status: Some(status),
        feeds,
        ..View::default()
    };
    for line in draw::all(&view) {
        println!("{}", line.painted(usize::MAX, colour()));
    }
    Ok(Ended::Good)
}

fn follow(agent: &client::Args, screen: &mut Screen, news: &Sender<News>, heard: &Receiver<News>) {
    let mut view = View::default();
    loop {
        let (width, height) = size();
        screen.show(&draw::frame(&view, height), width);
        let Ok(next) = heard.recv() else { return };
        match next {
            News::End => return,
            News::Resized => {}
            News::Status(found) => match *found {
                Ok((status, feeds)) => view.seen(status, feeds),
                Err(why) => view.lost = Some(why),
            },
            News::Said(said) => view.say(said.unwrap_or_else(|why| why)),
            News::Explained(Ok(page)) => view.page = Some((page, 0)),
            News::Explained(Err(why)) => view.say(why),
            News::Key(key) => match view.press(key) {
                Asked::Nothing => {}
                Asked::End => return,
                Asked::Explain(id) => {
                    let agent = agent.clone();
                    aside(news, move || {
                        let answer = agent.get(&format!("/api/incidents/{id}"));
                        News::Explained(answer.and_then(|answer| explained::page(&answer)))
                    });
                }
                Asked::Order { path, body, done } => {
                    let agent = agent.clone();
                    aside(news, move || News::Said(agent.post(&path, &body).map(|_| done)));
                }
            },
        }
    }
}

/// Waits for an answer where waiting holds up no key.
fn aside(news: &Sender<News>, ask: impl FnOnce() -> News + Send + 'static) {
    let news = news.clone();
    std::thread::spawn(move || news.send(ask()));
}

/// Looks at the agent again and again.
fn look(agent: client::Args, news: Sender<News>) {
    std::thread::spawn(move || {
        let mut before = None;
        loop {
            let found = agent.get("/api/status").and_then(|status| {
                let now = Feeds::read(&agent.text("/metrics")?);
                let feeds = before.as_ref().map(|before| now.since(before)).unwrap_or_default();
                before = Some(now);
                Ok((status, feeds))
            });
            if news.send(News::Status(Box::new(found))).is_err() {
                return;
            }
            std::thread::sleep(EVERY);
        }
    });
}

/// A window of another size, and the end from outside.
fn signals(news: Sender<News>) -> Result<(), String> {
    use tokio::signal::unix::{SignalKind, signal};
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|error| error.to_string())?;
    std::thread::spawn(move || {
        runtime.block_on(async {
            let kinds = [
                SignalKind::window_change(),
                SignalKind::terminate(),
                SignalKind::hangup(),
            ];
            let [Ok(mut window), Ok(mut end), Ok(mut hangup)] = kinds.map(signal) else {
                return;
            };
            loop {
                let sent = tokio::select! {
                    _ = window.recv() => news.send(News::Resized),
                    _ = end.recv() => news.send(News::End),
                    _ = hangup.recv() => news.send(News::End),
                };
                if sent.is_err() {
                    return;
                }
            }
        });
    });
    Ok(())
}

/// The incidents in the order in which they are shown: open ones first, the newest on top.
fn incidents(status: &Value) -> Vec<&Value> {
    let mut all: Vec<&Value> = list(status, "incidents")
        .filter(|incident| incident["merged_into"].is_null())
        .collect();
    all.sort_by_key(|incident| {
        (
            !incident["closed"].is_null(),
            std::cmp::Reverse(incident["id"].as_u64()),
        )
    });
    all
}

/// The verdict on an incident, one that asks before others.
fn verdict<'a>(status: &'a Value, incident: &Value) -> Option<&'a Value> {
    let of = || list(status, "verdicts").filter(|verdict| verdict["incident"] == incident["id"]);
    of().find(|verdict| text(verdict, "/decision") == "ask")
        .or_else(|| of().next())
}
