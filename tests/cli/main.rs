//! What a person does at a shell: each command, its answers and its mistakes, the config, and the reference that is made from them.

#[path = "../harness/mod.rs"]
mod harness;

mod audit;
mod check_online;
mod cli;
mod config;
mod confirm;
mod explain;
mod import;
mod manual;
mod plan;
mod plan_names;
mod train;
