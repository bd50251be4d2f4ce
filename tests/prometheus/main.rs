//! Everything of the Prometheus kind, beside the real one: scrapes, queries, rules, alerts and pushes; and traces.

#[path = "../harness/mod.rs"]
mod harness;

mod alertmanager;
mod prometheus;
mod promql;
mod promql_api;
mod promql_rules;
mod push;
mod rule_pack;
mod rules_live;
mod scrape;
mod scrape_config;
mod scrape_jobs;
mod scrape_oracle;
mod scrape_query;
mod traces;
