//! Notification: what people should hear, out to Alertmanager and to webhooks.
//!
//! In: [`Notification`](crate::engine::Notification)s. Out: alerts, sent again while they fire. Never: a notification that holds up the engine; what cannot be delivered is
//! counted and tried again.

mod book;
mod sender;
mod silences;

pub use book::{Alert, Book};
pub use sender::{Notifier, Settings, Webhook};
