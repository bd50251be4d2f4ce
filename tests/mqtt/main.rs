//! Telemetry by MQTT, from a real Mosquitto.

#[path = "../harness/mod.rs"]
mod harness;

mod discover;
mod learned;
mod mqtt;
mod mqtt_access;
mod mqtt_link;
mod mqtt_payloads;
mod mqtt_sparkplug;
