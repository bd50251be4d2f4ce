//! Where services run now: a drill begins there, wherever the config puts them.

use std::collections::BTreeMap;

use serde_json::Value;

use crate::act::journal;
use crate::cli::client;
use crate::config::Loaded;
use crate::model::{EntityName, Service, ServiceName};

/// The running agent of that config says it; else the journal that it has left; else nothing was ever moved.
pub fn active(loaded: &Loaded, agent: &client::Args) -> Result<BTreeMap<ServiceName, EntityName>, String> {
    let told = match agent.get("/api/status") {
        Ok(status) if status["agent"] == loaded.config.agent.name.as_str() => said(&status),
        _ => kept(loaded)?,
    };
    let services = loaded.config.services.iter();
    let known = services.filter_map(|service| Some((service.name.clone(), of(service, told.get(&service.name)?)?)));
    Ok(known.collect())
}

/// Not what is no instance of it any more.
fn of(service: &Service, active: &EntityName) -> Option<EntityName> {
    service.instances().find(|instance| *instance == active).cloned()
}

fn said(status: &Value) -> BTreeMap<ServiceName, EntityName> {
    let services = status["services"].as_array().into_iter().flatten();
    services
        .filter_map(|view| {
            let (name, active) = (view["name"].as_str()?, view["state"]["active"].as_str()?);
            Some((name.into(), active.into()))
        })
        .collect()
}

fn kept(loaded: &Loaded) -> Result<BTreeMap<ServiceName, EntityName>, String> {
    let state = journal::look(&loaded.config.agent.data_dir).map_err(|error| error.to_string())?;
    let moved = state.services.into_iter();
    Ok(moved
        .filter_map(|(name, record)| Some((name, record.active?)))
        .collect())
}

/// A line for each service that is not where the config puts it.
pub fn notes(services: &[&Service], active: &BTreeMap<ServiceName, EntityName>) -> Vec<String> {
    let moved = services.iter().filter_map(|service| {
        let at = active.get(&service.name).filter(|at| **at != service.active)?;
        Some(format!(
            "note: {} runs on {at} now, not on {}",
            service.name, service.active
        ))
    });
    moved.collect()
}
