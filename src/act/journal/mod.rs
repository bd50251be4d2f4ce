//! The journal: what is intended and what was done, on disk before it counts.
//!
//! In: [`Entry`](super::runner::Entry)s. Out: durable, checked records. A record is a length, its complement and a CRC-32 (little endian, 4 bytes each) and one JSON object.
//! The file is rewritten while it runs once most of it no longer tells anything, so it stays small.
//! What stands behind the last whole record is put aside and reported: mostly a record that a crash has cut off. Damage with whole records behind it is
//! refused with its place. A journal that lacks what the audit log holds is made anew from that, and a person is waited for.

mod audit;
mod chain;
mod compare;
mod decode;
mod file;
mod health;
mod lock;
mod lost;
mod pages;
mod said;
mod state;
mod word;

pub use audit::AuditError;
pub use chain::{Chain, Verified, verify};
pub use compare::look;
pub use decode::{DecodeError, Decoded, decode, encode};
pub use file::{Journal, JournalError, Opened};
pub use health::{Health, LATE};
pub use lock::Lock;
pub use pages::{Page, Place, Written, page};
pub use said::Denial;
pub use state::{Record, ServiceRecord, State};
