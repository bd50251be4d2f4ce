//! Steps of plans and whole playbooks against the real thing, or a recorded contract of it.

#[path = "../harness/mod.rs"]
mod harness;

mod executors_api;
mod executors_backup;
mod executors_data;
mod executors_lag;
mod executors_tools;
mod managers;
mod playbooks;
mod playbooks_data;
mod secured;
