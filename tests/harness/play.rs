//! A playbook that comes with the binary, played as a whole plan: by the agent's own conductor and its journal, against real servers. Only the gates are open.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use jurymast::act::{Conductor, Prober};
use jurymast::clock::wall_clock;
use jurymast::config::Config;
use jurymast::engine::{Input, Permit, PlanEvent};
use jurymast::model::plan::Outcome;
use jurymast::model::{Alternative, EntityName, Plan, PlanId, PlanKind, Service, Token, Topology};
use jurymast::plan::Playbooks;

use super::{Server, find, free_port, wait};

/// A service with its instances, and the folder of the agent that moves it.
pub struct Play {
    service: Service,
    topology: Topology,
    dir: PathBuf,
    seq: u64,
    /// Nodes that plans have named since the last one that was carried out.
    pub named: Vec<EntityName>,
}

/// What came of a plan.
#[derive(Debug)]
pub struct Played {
    pub outcome: Outcome,
    /// The steps that had their effect, by name.
    pub done: Vec<String>,
    /// Those that had none, and why.
    pub failed: Vec<String>,
}

impl Played {
    /// It has been carried out, and every step of it.
    pub fn all_done(&self, on: &str) {
        assert_eq!(self.outcome, Outcome::Done { active: on.into() }, "{self:#?}");
        assert_eq!(self.failed, Vec::<String>::new());
    }
}

impl Play {
    /// `service` and `entities` as a config would have them.
    pub fn new(dir: &Path, service: &str, entities: &[String]) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        let entities: String = entities.iter().map(|entity| format!("    - {entity}\n")).collect();
        let text = format!("topology:\n  entities:\n{entities}services:\n  - {service}\n");
        let config = Config::parse(&text).unwrap_or_else(|error| panic!("{error:?}\n{text}"));
        Self {
            service: config.services[0].clone(),
            topology: config.topology(),
            dir: dir.join("agent"),
            seq: 0,
            named: Vec::new(),
        }
    }

    /// Carries out the plan that leads there.
    pub async fn play(&mut self, kind: PlanKind, from: &str, to: &str) -> Played {
        self.seq += 1;
        let token = Token {
            epoch: 1,
            seq: self.seq,
        };
        let steps = |from: &str, to: &str| {
            let (from, to) = (from.into(), to.into());
            let book = Playbooks::builtin();
            let named: Vec<EntityName> = self
                .named
                .iter()
                .filter(|node| **node != from && **node != to)
                .cloned()
                .collect();
            book.build(&self.service, kind, &from, &to, token, &named, &self.topology)
                .unwrap_or_else(|error| panic!("{error}"))
        };
        let now = wall_clock();
        let plan = Plan {
            id: PlanId::new(&self.service.name, token),
            token,
            kind,
            incident: None,
            service: self.service.name.clone(),
            from: from.into(),
            to: to.into(),
            alternatives: Vec::<Alternative>::new(),
            steps: steps(from, to),
            made: now,
            deadline: now + Duration::from_secs(120),
            expected_rto_s: 0.0,
            summary: String::new(),
        };
        let names: Vec<String> = plan.steps.iter().map(|step| step.name.clone()).collect();
        let (inbox, mut heard) = tokio::sync::mpsc::channel(64);
        let (conductor, _) =
            Conductor::start(&self.dir, Arc::new(Prober::new()), Box::new(|_| Ok(())), None, inbox).unwrap();
        conductor.know(std::slice::from_ref(&self.service), &self.topology);
        conductor.run(plan);
        let (mut done, mut failed) = (Vec::new(), Vec::new());
        let outcome = loop {
            let Some(Input::Plan(event)) = heard.recv().await else {
                panic!("the conductor tells of plans only");
            };
            match event {
                PlanEvent::Asks { plan, step, .. } => conductor.permit(Permit {
                    plan,
                    step,
                    refusal: None,
                }),
                PlanEvent::StepDone { step, .. } => done.push(names[step].clone()),
                PlanEvent::StepFailed { step, error, .. } => failed.push(format!("{}: {error}", names[step])),
                PlanEvent::Ended { outcome, .. } => break outcome,
                PlanEvent::Restored { .. } | PlanEvent::LookedBack { .. } => {}
            }
        };
        conductor.drain(Duration::from_secs(20)).await;
        Played { outcome, done, failed }
    }
}

/// A `HAProxy` in TCP mode with the servers `a`, which gets the traffic, and `b`, which does not.
pub struct Front {
    pub port: u16,
    pub socket: String,
    _server: Server,
}

impl Front {
    pub fn start(dir: &Path, a: u16, b: u16) -> Self {
        let (port, socket) = (free_port(), dir.join("haproxy.sock").display().to_string());
        let text = format!(
            "global\n stats socket {socket} level admin\ndefaults\n mode tcp\n timeout connect 2s\n timeout client 30s\n timeout server 30s\nfrontend f\n \
             bind 127.0.0.1:{port}\n default_backend be\nbackend be\n server a 127.0.0.1:{a}\n server b 127.0.0.1:{b} disabled\n"
        );
        std::fs::write(dir.join("haproxy.cfg"), text).unwrap();
        let server = Server::start(dir, &find("haproxy").unwrap(), &["-db", "-f", "haproxy.cfg"]);
        wait("HAProxy listens", || TcpStream::connect(("127.0.0.1", port)).is_ok());
        Self {
            port,
            socket,
            _server: server,
        }
    }
}
