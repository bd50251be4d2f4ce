//! The front: sends traffic to the active instance. Switched over HTTP; refuses a token lower than the highest that it has seen.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::{get, put};
use axum::{Json, Router};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::net::TcpStream;
use tokio_util::sync::CancellationToken;

/// A running front.
pub struct Front {
    /// Where clients are served.
    pub port: u16,
    /// Where it is switched.
    pub admin: u16,
    stop: CancellationToken,
}

struct Switch {
    backends: BTreeMap<String, u16>,
    active: String,
    fenced: BTreeSet<String>,
    token: (u64, u64),
    /// Cut with each change, and with it every connection that stands.
    era: CancellationToken,
}

type Shared = Arc<Mutex<Switch>>;

/// Numbers come as text: playbooks are filled in as text.
#[derive(Deserialize)]
struct Order {
    server: String,
    epoch: String,
    seq: String,
}

impl Front {
    /// Starts one that sends traffic to `active`.
    pub fn start(backends: BTreeMap<String, u16>, active: &str) -> std::io::Result<Self> {
        let stop = CancellationToken::new();
        let switch = Switch {
            backends,
            active: active.to_owned(),
            fenced: BTreeSet::new(),
            token: (0, 0),
            era: stop.child_token(),
        };
        let shared: Shared = Arc::new(Mutex::new(switch));
        let clients = super::link::listen(0, 1024)?;
        let admin = super::link::listen(0, 64)?;
        let front = Self {
            port: clients.local_addr()?.port(),
            admin: admin.local_addr()?.port(),
            stop: stop.clone(),
        };
        let router = Router::new()
            .route("/active", get(shown).put(activate))
            .route("/fenced", put(fence).delete(release))
            .with_state(Arc::clone(&shared));
        let stopped = stop.clone();
        tokio::spawn(async move {
            let _ = axum::serve(admin, router)
                .with_graceful_shutdown(stopped.cancelled_owned())
                .await;
        });
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    () = stop.cancelled() => return,
                    accepted = clients.accept() => {
                        if let Ok((client, _)) = accepted {
                            tokio::spawn(pass(client, Arc::clone(&shared)));
                        }
                    }
                }
            }
        });
        Ok(front)
    }
}

impl Drop for Front {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

fn lock(shared: &Shared) -> std::sync::MutexGuard<'_, Switch> {
    shared.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn pass(mut client: TcpStream, shared: Shared) {
    let (backend, era) = {
        let switch = lock(&shared);
        if switch.fenced.contains(&switch.active) {
            return;
        }
        (switch.backends.get(&switch.active).copied(), switch.era.clone())
    };
    let Some(backend) = backend else { return };
    let carry = async {
        if let Ok(mut server) = TcpStream::connect(("127.0.0.1", backend)).await {
            let _ = tokio::io::copy_bidirectional(&mut client, &mut server).await;
        }
    };
    tokio::select! { () = era.cancelled() => {} () = carry => {} }
}

async fn shown(State(shared): State<Shared>) -> Json<Value> {
    let switch = lock(&shared);
    Json(json!({"active": switch.active, "fenced": switch.fenced, "epoch": switch.token.0, "seq": switch.token.1}))
}

/// Takes an order, if its token is not lower than one that was taken before.
fn order(shared: &Shared, order: &Order, change: impl FnOnce(&mut Switch)) -> Result<(), (StatusCode, String)> {
    let number = |text: &str| {
        text.parse::<u64>()
            .map_err(|_| (StatusCode::BAD_REQUEST, format!("'{text}' is no number")))
    };
    let token = (number(&order.epoch)?, number(&order.seq)?);
    let mut switch = lock(shared);
    if token < switch.token {
        return Err((
            StatusCode::CONFLICT,
            format!("token {token:?} is lower than {:?}", switch.token),
        ));
    }
    if !switch.backends.contains_key(&order.server) {
        return Err((StatusCode::NOT_FOUND, format!("no server is called {}", order.server)));
    }
    switch.token = token;
    change(&mut switch);
    switch.era.cancel();
    switch.era = CancellationToken::new();
    Ok(())
}

async fn activate(State(shared): State<Shared>, Json(body): Json<Order>) -> Result<(), (StatusCode, String)> {
    order(&shared, &body, |switch| {
        switch.active.clone_from(&body.server);
        switch.fenced.remove(&body.server);
    })
}

async fn fence(State(shared): State<Shared>, Json(body): Json<Order>) -> Result<(), (StatusCode, String)> {
    order(&shared, &body, |switch| {
        switch.fenced.insert(body.server.clone());
    })
}

async fn release(State(shared): State<Shared>, Json(body): Json<Order>) -> Result<(), (StatusCode, String)> {
    order(&shared, &body, |switch| {
        switch.fenced.remove(&body.server);
    })
}
