//! The gates, one file each; [`super::GATES`] holds their order.

pub mod approval;
pub mod budget;
pub mod cause;
pub mod confirmed;
pub mod cool_down;
pub mod cost;
pub mod denied;
pub mod dependencies;
pub mod drilled;
pub mod evidence;
pub mod fence;
pub mod held;
pub mod hold_off;
pub mod in_flight;
pub mod lease;
pub mod maintenance;
pub mod own_senses;
pub mod probability;
pub mod ready;
pub mod settled;
pub mod silenced;
pub mod target;
