//! How an etcd is started.

/// A member of a cluster (`NAME=PEER,...`) with its data in that folder.
pub fn arguments<'a>(name: &'a str, data: &'a str, client: &'a str, peer: &'a str, cluster: &'a str) -> [&'a str; 14] {
    [
        "--name",
        name,
        "--data-dir",
        data,
        "--listen-client-urls",
        client,
        "--advertise-client-urls",
        client,
        "--listen-peer-urls",
        peer,
        "--initial-advertise-peer-urls",
        peer,
        "--initial-cluster",
        cluster,
    ]
}
