//! One executor called as a plan would call it.

#![allow(dead_code, reason = "each test file uses its own part of the harness")]

use std::path::Path;
use std::time::Duration;

use jurymast::act::Executors;
use jurymast::act::executor::Call;
use jurymast::act::runner::{Applied, Effect};
use jurymast::model::{PlanId, Token};
use serde_json::Value;

/// All executors, with a folder of their own, and one plan.
pub struct Deeds {
    executors: Executors,
    plan: PlanId,
    /// How long a step may take.
    pub timeout: Duration,
}

impl Deeds {
    pub fn new(dir: &Path) -> Self {
        let _ = rustls::crypto::ring::default_provider().install_default();
        Self {
            executors: Executors::in_dir(&dir.join("data")),
            plan: PlanId("svc-3-1".into()),
            timeout: Duration::from_secs(20),
        }
    }

    fn call<'a>(&'a self, with: &'a Value, token: (u64, u64), key: &'a str) -> Call<'a> {
        let (epoch, seq) = token;
        Call {
            with: with.as_object().unwrap(),
            plan: &self.plan,
            token: Token { epoch, seq },
            key,
            timeout: self.timeout,
        }
    }

    pub async fn apply(&self, name: &str, with: &Value, token: (u64, u64)) -> Applied {
        self.keyed(name, with, token, &key(name, with, token)).await
    }

    pub async fn keyed(&self, name: &str, with: &Value, token: (u64, u64), key: &str) -> Applied {
        let executor = self.executors.get(name).unwrap();
        executor.check(with.as_object().unwrap()).unwrap();
        executor.apply(&self.call(with, token, key)).await
    }

    pub async fn look(&self, name: &str, with: &Value, token: (u64, u64)) -> Effect {
        let key = key(name, with, token);
        self.executors
            .get(name)
            .unwrap()
            .observe(&self.call(with, token, &key))
            .await
    }

    /// What would stop it in the middle of a move, seen before.
    pub async fn foresee(&self, name: &str, with: &Value) -> Result<(), String> {
        let call = self.call(with, (0, 0), "");
        self.executors.get(name).unwrap().foresee(&call).await
    }

    /// As it is asked long after, by nobody in particular.
    pub async fn stands(&self, name: &str, with: &Value) -> Effect {
        let call = self.call(with, (0, 0), "");
        self.executors.get(name).unwrap().stands(&call).await
    }

    /// Not there, done, there; and done again it is the same.
    pub async fn done(&self, name: &str, with: &Value, token: (u64, u64)) {
        assert_eq!(
            self.look(name, with, token).await,
            Effect::NotThere,
            "{name} {with}: before"
        );
        for time in ["once", "again"] {
            assert_eq!(
                self.apply(name, with, token).await,
                Applied::Done,
                "{name} {with}: {time}"
            );
            assert_eq!(
                self.look(name, with, token).await,
                Effect::There,
                "{name} {with}: after"
            );
        }
    }

    /// Refused, for a reason that holds that word.
    pub async fn refused(&self, name: &str, with: &Value, token: (u64, u64), word: &str) {
        let applied = self.apply(name, with, token).await;
        assert!(
            matches!(&applied, Applied::NoEffect(why) if why.contains(word)),
            "{name} {with}: {applied:?}"
        );
    }
}

/// The same for each try of the same step.
fn key(name: &str, with: &Value, token: (u64, u64)) -> String {
    format!(
        "svc/{name}/{}/{}.{}",
        with["do"].as_str().unwrap_or_default(),
        token.0,
        token.1
    )
}
