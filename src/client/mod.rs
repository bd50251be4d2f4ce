//! Clients of what Jurymast talks to in more than one room: programs by their argument list, `PostgreSQL` by `psql`, Redis by its own protocol,
//! MQTT brokers, repositories of backups by `restic` and `borg`.
//!
//! A leaf of the shell: executors and probes act and look with them, sources read replication and backups with them. Never: a judgement of what an
//! answer means for a service.

pub mod backup;
pub mod mqtt;
pub mod program;
pub mod psql;
pub mod resp;
