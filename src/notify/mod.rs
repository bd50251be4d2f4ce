//! Notification: what people should hear, out to Alertmanager and to webhooks; and their silences in.
//!
//! In: [`Notification`](crate::engine::Notification)s. Out: alerts, sent again while they fire, and which services are silenced. Never: a notification that holds up the engine; a
//! receiver that holds up another; what cannot be delivered is counted and tried again.

mod book;
mod courier;
mod receivers;
mod sender;
mod silence;
mod silences;

pub use book::{Alert, Book};
pub use receivers::{NotTaken, Receiver};
pub use sender::{LinkSettings, Notifier, Settings, Webhook};
pub use silences::{Known, Silenced};
