//! What is looked at, and what each key does.

use serde_json::{Value, json};

use super::feeds::Feeds;
use super::keys::Key;
use super::{incidents, verdict};
use crate::cli::operate::{list, text};

/// Lines that a page key moves.
const PAGE: usize = 15;

/// Everything that a picture is drawn from.
#[derive(Default)]
pub struct View {
    /// The agent's latest answer.
    pub status: Option<Value>,
    /// What comes in.
    pub feeds: Feeds,
    /// Why it does not answer now.
    pub lost: Option<String>,
    /// The incident that is picked, by its number.
    pub picked: Option<u64>,
    /// An explanation that is read, and how far.
    pub page: Option<(String, usize)>,
    /// The last word on what was asked for.
    pub said: String,
    /// A question that waits for a yes.
    pub question: Option<(String, Asked)>,
}

/// What a key asks of the agent.
#[derive(Debug, Clone, PartialEq)]
pub enum Asked {
    Nothing,
    End,
    /// Why an incident was judged so.
    Explain(u64),
    /// Something to be done.
    Order {
        path: String,
        body: Value,
        /// What is said once it is accepted.
        done: String,
    },
}

impl View {
    /// Takes in an answer.
    pub fn seen(&mut self, status: Value, feeds: Feeds) {
        let known: Vec<u64> = incidents(&status)
            .iter()
            .filter_map(|incident| incident["id"].as_u64())
            .collect();
        if !self.picked.is_some_and(|id| known.contains(&id)) {
            self.picked = known.first().copied();
        }
        (self.status, self.feeds, self.lost) = (Some(status), feeds, None);
    }

    /// Something to be read at the bottom.
    pub fn say(&mut self, text: String) {
        self.said = text;
    }

    /// A key was pressed.
    pub fn press(&mut self, key: Key) -> Asked {
        if let Some((_, asked)) = self.question.take() {
            let yes = matches!(key, Key::Letter('y' | 'Y'));
            self.said = if yes {
                "asking the agent …"
            } else {
                "nothing was done"
            }
            .into();
            return if yes { asked } else { Asked::Nothing };
        }
        if let Some((text, at)) = &mut self.page {
            let last = text.lines().count().saturating_sub(1);
            match key {
                Key::Down | Key::Letter('j') => *at = (*at + 1).min(last),
                Key::Up | Key::Letter('k') => *at = at.saturating_sub(1),
                Key::PageDown => *at = (*at + PAGE).min(last),
                Key::PageUp => *at = at.saturating_sub(PAGE),
                Key::Back | Key::Enter | Key::Letter('q') => self.page = None,
                Key::Letter(_) => {}
            }
            return Asked::Nothing;
        }
        self.said.clear();
        match key {
            Key::Letter('q') => return Asked::End,
            Key::Down | Key::Letter('j') => self.step(1),
            Key::Up | Key::Letter('k') => self.step(-1),
            Key::Enter => {
                if let Some(id) = self.picked {
                    return Asked::Explain(id);
                }
                self.say("no incident is known".into());
            }
            Key::Letter('a') => self.order("approve", "approved: the plan is next"),
            Key::Letter('d') => self.order("deny", "denied: it is not moved for this"),
            Key::Letter('x') => self.abort(),
            Key::Letter('h') => self.hold(),
            Key::Letter(_) | Key::PageUp | Key::PageDown | Key::Back => {}
        }
        Asked::Nothing
    }

    fn step(&mut self, by: isize) {
        let Some(status) = &self.status else { return };
        let known: Vec<u64> = incidents(status)
            .iter()
            .filter_map(|incident| incident["id"].as_u64())
            .collect();
        let place = known.iter().position(|id| Some(*id) == self.picked).unwrap_or(0);
        let next = place.saturating_add_signed(by).min(known.len().saturating_sub(1));
        self.picked = known.get(next).copied();
    }

    /// A word on the incident that is picked, once more asked for: what is done cannot be taken back by another key.
    fn order(&mut self, word: &str, done: &str) {
        let Some(status) = &self.status else { return };
        let picked = incidents(status)
            .into_iter()
            .find(|incident| incident["id"].as_u64() == self.picked);
        let asks = picked.and_then(|incident| Some((incident, verdict(status, incident)?)));
        let Some((incident, verdict)) = asks.filter(|(_, verdict)| text(verdict, "/decision") == "ask") else {
            self.said = "the incident that is picked does not ask for anything".into();
            return;
        };
        let service = verdict["service"].as_str();
        let question = format!(
            "{word} incident {}{}? y / any other key",
            incident["id"],
            service.map_or_else(String::new, |service| format!(": a move of {service}"))
        );
        let body = service.map_or_else(|| json!({}), |service| json!({"service": service}));
        let path = format!("/api/incidents/{}/{word}", incident["id"]);
        let done = done.to_owned();
        self.question = Some((question, Asked::Order { path, body, done }));
    }

    fn abort(&mut self) {
        let plan = self.status.as_ref().and_then(|status| list(status, "plans").next());
        let Some(id) = plan.and_then(|plan| plan["id"].as_str()) else {
            self.said = "no plan is under way".into();
            return;
        };
        let asked = Asked::Order {
            path: format!("/api/plans/{id}/abort"),
            body: json!({}),
            done: format!("plan {id} is told to stop"),
        };
        self.question = Some((format!("take back plan {id}? y / any other key"), asked));
    }

    fn hold(&mut self) {
        let held = self.status.as_ref().is_some_and(|status| status["held"] == true);
        let (question, done) = if held {
            ("let it act again? y / any other key", "acting is released")
        } else {
            (
                "stop all acting? y / any other key",
                "nothing acts until it is released",
            )
        };
        let asked = Asked::Order {
            path: "/api/hold".into(),
            body: json!({"on": !held}),
            done: done.into(),
        };
        self.question = Some((question.into(), asked));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn status() -> Value {
        json!({
            "held": false,
            "incidents": [{"id": 1, "closed": "2026-01-01T00:00:00Z", "merged_into": null}, {"id": 2, "closed": null, "merged_into": null}, {"id": 3, "closed": null, "merged_into": 2}],
            "verdicts": [{"incident": 2, "decision": "hold", "service": "other"}, {"incident": 2, "decision": "ask", "service": "ingest"}],
            "plans": [],
        })
    }

    #[test]
    fn an_open_incident_is_picked_and_an_order_is_asked_for_twice() {
        let mut view = View::default();
        view.seen(status(), Feeds::default());
        assert_eq!(view.picked, Some(2));
        assert_eq!(view.press(Key::Enter), Asked::Explain(2));
        assert_eq!(view.press(Key::Letter('a')), Asked::Nothing);
        assert!(view.question.as_ref().unwrap().0.contains("a move of ingest"));
        assert_eq!(view.press(Key::Enter), Asked::Nothing, "only y is yes");
        assert_eq!(view.press(Key::Letter('y')), Asked::Nothing, "the question is gone");
        view.press(Key::Letter('d'));
        let Asked::Order { path, body, .. } = view.press(Key::Letter('y')) else {
            panic!()
        };
        assert_eq!(
            (path.as_str(), body),
            ("/api/incidents/2/deny", json!({"service": "ingest"}))
        );
        view.press(Key::Down);
        assert_eq!(view.picked, Some(1));
        view.press(Key::Letter('a'));
        assert!(
            view.question.is_none() && view.said.contains("does not ask"),
            "{}",
            view.said
        );
        view.press(Key::Down);
        assert_eq!(view.picked, Some(1), "there is no further one");
        view.press(Key::Letter('x'));
        assert!(view.said.contains("no plan"));
        assert_eq!(view.press(Key::Letter('q')), Asked::End);
    }

    #[test]
    fn an_explanation_is_read_and_left() {
        let mut view = View {
            page: Some(("one\ntwo\nthree".into(), 0)),
            ..View::default()
        };
        view.press(Key::PageDown);
        assert_eq!(view.page.as_ref().unwrap().1, 2);
        assert_eq!(view.press(Key::Letter('q')), Asked::Nothing);
        assert!(view.page.is_none());
    }
}
