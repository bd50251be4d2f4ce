//! Agents that move services: one alone and several, with crashes in between, exactly once.

#[path = "../harness/mod.rs"]
mod harness;

mod drill;
mod etcd;
mod failover_haproxy;
mod failover_postgres;
mod fence;
mod forbidden;
mod journal_compaction;
mod journal_crash;
mod journal_right;
mod kubernetes;
mod links;
mod renamed;
mod said;
