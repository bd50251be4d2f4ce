//! Alerts from outside: Alertmanager's webhook (version 4), and alerts that Prometheus posts as it does to an Alertmanager.
//!
//! In: bodies of requests. Out: events, one an alert. Never: a good alert lost for a bad one in the same body; an alert that fires on because whoever told
//! of it has died.
//!
//! <https://prometheus.io/docs/alerting/latest/configuration/#webhook_config>,
//! <https://github.com/prometheus/alertmanager/blob/main/api/v2/openapi.yaml>

mod body;
mod desk;
mod episodes;

pub use body::{AlertError, AlertSettings, Taken, Told, alerts, webhook};
pub use desk::{Desk, Turned};
pub use episodes::{Episodes, Verdict};
