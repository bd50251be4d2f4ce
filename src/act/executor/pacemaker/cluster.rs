//! What a Pacemaker cluster says of itself and of one resource: the XML of `crm_mon`, as far as a move has to know it.

use std::collections::BTreeSet;

/// Parts of the XML that hold the instances of a resource: it may be named by a group or a clone around it.
const AROUND: [&str; 5] = ["resource", "group", "clone", "bundle", "replica"];

/// Roles of a promotable clone, by their names before Pacemaker 2.1 as well.
const PROMOTED: [&str; 2] = ["Promoted", "Master"];
const UNPROMOTED: [&str; 2] = ["Unpromoted", "Slave"];

/// Why a resource is not moved, and what to do next.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Obstacle {
    /// It may pass by itself: an election, a fencing under way.
    Passing(String),
    /// It stands until somebody does something.
    Standing(String),
}

impl Obstacle {
    pub fn why(self) -> String {
        match self {
            Self::Passing(why) | Self::Standing(why) => why,
        }
    }
}

/// What is so of the cluster, of the resource or of a node.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mark {
    /// The cluster has a controller.
    Controlled,
    Quorum,
    Maintenance,
    Online,
    Standby,
    Pending,
    Unclean,
    Unmanaged,
    Blocked,
    /// The resource is told to be stopped.
    Stopped,
    /// The resource is a clone of which one is promoted, which is what moves.
    Promotable,
}

/// Those of a list that are so.
fn marks<const N: usize>(all: [(Mark, bool); N]) -> impl Iterator<Item = Mark> {
    all.into_iter().filter(|(_, so)| *so).map(|(mark, _)| mark)
}

/// A node of the cluster.
#[derive(Debug, Default, PartialEq, Eq)]
struct Node {
    name: String,
    marks: Vec<Mark>,
}

impl Node {
    fn is(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }
}

/// The cluster at one moment.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Cluster {
    marks: Vec<Mark>,
    nodes: Vec<Node>,
    /// Parts of the resource that there are.
    parts: usize,
    /// Parts of it that run, each with each node that it runs on.
    runs: Vec<String>,
    promoted: Vec<String>,
    /// Nodes that somebody has banned it from by hand.
    banned: Vec<String>,
}

/// The elements of an XML text: the name (of an end with its slash) and what stands behind it. A `<` is never part of a value.
fn elements(xml: &str) -> impl Iterator<Item = (&str, &str)> {
    xml.split('<').skip(1).filter_map(|piece| {
        let tag = piece.split_once('>')?.0;
        let end = tag.char_indices().skip(1).find(|(_, c)| c.is_whitespace() || *c == '/');
        Some(tag.split_at(end.map_or(tag.len(), |(at, _)| at)))
    })
}

/// The value of an attribute. Quotes inside of values are escaped, so that what is found is no part of one.
fn attribute<'a>(tag: &'a str, name: &str) -> Option<&'a str> {
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}

fn is(tag: &str, name: &str) -> bool {
    attribute(tag, name) == Some("true")
}

impl Cluster {
    /// Reads what `crm_mon --output-as=xml` says. `Err` where it is not connected: it ends well all the same.
    pub fn read(xml: &str, resource: &str) -> Result<Self, String> {
        let mut cluster = Self::default();
        let (mut section, mut inside, mut role, mut answered) = ("", "", "", false);
        for (name, tag) in elements(xml) {
            match name {
                "current_dc" => {
                    answered = true;
                    let all = [
                        (Mark::Controlled, is(tag, "present")),
                        (Mark::Quorum, is(tag, "with_quorum")),
                    ];
                    cluster.marks.extend(marks(all));
                }
                "cluster_options" => cluster
                    .marks
                    .extend(marks([(Mark::Maintenance, is(tag, "maintenance-mode"))])),
                "nodes" | "resources" | "node_history" => section = name,
                "/nodes" | "/resources" => section = "",
                "node" if section == "nodes" => cluster.nodes.push(Node {
                    name: attribute(tag, "name").unwrap_or_default().to_owned(),
                    marks: marks([
                        (Mark::Online, is(tag, "online")),
                        (Mark::Standby, is(tag, "standby") || is(tag, "standby_onfail")),
                        (Mark::Maintenance, is(tag, "maintenance")),
                        (Mark::Pending, is(tag, "pending")),
                        (Mark::Unclean, is(tag, "unclean")),
                    ])
                    .collect(),
                }),
                "node" if section == "resources" && !inside.is_empty() => {
                    let place = attribute(tag, "name").unwrap_or_default().to_owned();
                    if PROMOTED.contains(&role) {
                        cluster.promoted.push(place.clone());
                    }
                    cluster.runs.push(place);
                }
                "ban" if attribute(tag, "resource") == Some(resource) => cluster
                    .banned
                    .push(attribute(tag, "node").unwrap_or_default().to_owned()),
                _ if section == "resources" && AROUND.contains(&name) => {
                    let begins = inside.is_empty() && attribute(tag, "id") == Some(resource);
                    if begins || !inside.is_empty() {
                        role = attribute(tag, "role").unwrap_or_default();
                        let promotable =
                            is(tag, "multi_state") || PROMOTED.contains(&role) || UNPROMOTED.contains(&role);
                        cluster.marks.extend(marks([(Mark::Promotable, promotable)]));
                        if name == "resource" {
                            cluster.part(tag);
                        }
                    }
                    if begins && !tag.ends_with('/') {
                        inside = name;
                    }
                }
                _ if !inside.is_empty() && name.strip_prefix('/') == Some(inside) => inside = "",
                _ => {}
            }
        }
        if answered {
            if cluster.is_promotable() {
                cluster.parts = cluster.parts.min(1);
                cluster.runs = std::mem::take(&mut cluster.promoted);
            }
            Ok(cluster)
        } else {
            let said = xml
                .split_once("<error>")
                .and_then(|(_, rest)| rest.split_once("</error>"));
            Err(said.map_or("it says nothing of a cluster", |(why, _)| why).to_owned())
        }
    }

    fn part(&mut self, tag: &str) {
        self.parts += 1;
        self.marks.extend(marks([
            (Mark::Unmanaged, !is(tag, "managed")),
            (Mark::Blocked, is(tag, "blocked")),
            (Mark::Stopped, attribute(tag, "target_role") == Some("Stopped")),
        ]));
    }

    /// Whether all of it runs there and nowhere else.
    pub fn runs_on(&self, node: &str) -> bool {
        self.parts > 0 && self.runs.len() == self.parts && self.runs.iter().all(|place| place == node)
    }

    /// Whether only its promoted instance moves.
    pub fn is_promotable(&self) -> bool {
        self.is(Mark::Promotable)
    }

    fn is(&self, mark: Mark) -> bool {
        self.marks.contains(&mark)
    }

    /// Nothing of it runs at the moment, as in the middle of a move.
    pub fn runs_nowhere(&self) -> bool {
        self.runs.is_empty()
    }

    /// Where it runs, for a person.
    pub fn places(&self) -> String {
        let places: BTreeSet<&str> = self.runs.iter().map(String::as_str).collect();
        if places.is_empty() {
            return "nowhere".into();
        }
        places.into_iter().collect::<Vec<_>>().join(", ")
    }

    /// Why a wish to move it there would be written down and not followed.
    pub fn obstacle(&self, resource: &str, to: &str) -> Option<Obstacle> {
        use Obstacle::{Passing, Standing};
        let Some(node) = self.nodes.iter().find(|node| node.name == to) else {
            let known: Vec<&str> = self.nodes.iter().map(|node| node.name.as_str()).collect();
            return Some(Standing(format!(
                "the cluster has no node '{to}', only {}: name it by `cluster_node`",
                known.join(", ")
            )));
        };
        if self.parts == 0 {
            return Some(Standing(format!(
                "the cluster has no resource '{resource}': `crm_resource --list` tells them"
            )));
        }
        if !self.is(Mark::Controlled) {
            return Some(Passing("the cluster has elected no controller (DC)".into()));
        }
        if !self.is(Mark::Quorum) {
            return Some(Passing(
                "this part of the cluster has no quorum, and decides nothing: bring enough nodes back".into(),
            ));
        }
        if self.is(Mark::Maintenance) {
            return Some(Standing(
                "the cluster is in maintenance: end it by `crm_attribute --name maintenance-mode --update false`"
                    .into(),
            ));
        }
        if !node.is(Mark::Online) && !node.is(Mark::Pending) {
            return Some(Standing(format!(
                "{to} is offline in the cluster: start corosync and pacemaker there"
            )));
        }
        if node.is(Mark::Standby) {
            return Some(Standing(format!(
                "{to} is in standby: end it by `crm_attribute --node {to} --name standby --delete`"
            )));
        }
        if node.is(Mark::Maintenance) {
            return Some(Standing(format!(
                "{to} is in maintenance: end it by `crm_attribute --node {to} --name maintenance --delete`"
            )));
        }
        if self.is(Mark::Unmanaged) {
            return Some(Standing(format!(
                "{resource} is unmanaged: give it back by `crm_resource --resource {resource} --meta --delete-parameter is-managed`"
            )));
        }
        if self.is(Mark::Blocked) {
            return Some(Standing(format!(
                "{resource} is blocked by a failure: look at `crm_mon -1`, then `crm_resource --cleanup --resource {resource}`"
            )));
        }
        if self.is(Mark::Stopped) {
            return Some(Standing(format!(
                "{resource} is to be stopped: start it by `crm_resource --resource {resource} --meta --delete-parameter target-role`"
            )));
        }
        if self.banned.iter().any(|node| node == to) {
            return Some(Standing(format!(
                "somebody has banned {resource} from {to}: if that is over, `crm_resource --resource {resource} --clear --node {to}`"
            )));
        }
        let places: BTreeSet<&String> = self.runs.iter().collect();
        if places.len() > 1 {
            return Some(Standing(format!(
                "{resource} runs at several nodes ({}): of a clone only the promoted instance can be moved",
                self.places()
            )));
        }
        if node.is(Mark::Pending) {
            return Some(Passing(format!("{to} is about to join the cluster")));
        }
        let unclean = self.nodes.iter().find(|node| node.is(Mark::Unclean))?;
        Some(Passing(format!(
            "{} is unclean, and has to be fenced first: if nobody can, make sure that it is down and say so by `stonith_admin --confirm {}`",
            unclean.name, unclean.name
        )))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As Pacemaker 2.1.5 writes it.
    fn said(resources: &str) -> String {
        format!(
            "<pacemaker-result api-version=\"2.25\"><pacemakerd state=\"running\"/>\n  <summary>\n<current_dc present=\"true\" name=\"a\" id=\"1\" with_quorum=\"true\"/>\
             <cluster_options stonith-enabled=\"false\" no-quorum-policy=\"stop\" maintenance-mode=\"false\"/></summary>\n<nodes>\n\
             <node name=\"a\" id=\"1\" online=\"true\" standby=\"false\" standby_onfail=\"false\" maintenance=\"false\" pending=\"false\" unclean=\"false\"/>\n\
             <node name=\"b\" id=\"2\" online=\"true\" standby=\"false\" standby_onfail=\"false\" maintenance=\"false\" pending=\"false\" unclean=\"false\"/>\n\
             </nodes><resources>{resources}</resources><node_history><node name=\"b\"><resource_history id=\"vip\"/></node></node_history>\
             <status code=\"0\" message=\"OK\"/></pacemaker-result>"
        )
    }

    fn one(id: &str, more: &str, on: &str) -> String {
        let head = format!("<resource id=\"{id}\" resource_agent=\"ocf:heartbeat:IPaddr2\" role=\"Started\" {more}");
        if on.is_empty() {
            format!("{head}/>")
        } else {
            format!("{head}><node name=\"{on}\" id=\"1\" cached=\"true\"/></resource>")
        }
    }

    const WELL: &str = "managed=\"true\" blocked=\"false\"";

    #[test]
    fn where_it_runs_is_read() {
        let read = |resources: &str, id: &str| Cluster::read(&said(resources), id).unwrap();
        let both = one("vip", WELL, "a") + &one("web", WELL, "b");
        assert!(read(&both, "vip").runs_on("a") && read(&both, "web").runs_on("b"));
        assert!(!read(&both, "vip").runs_on("b"));
        let rests = read(&one("vip", WELL, ""), "vip");
        assert!(rests.runs_nowhere() && !rests.runs_on("a"));
        // A group is there when all of it is.
        let group = |web: &str| {
            format!(
                "<group id=\"g\">{}{}</group>",
                one("vip", WELL, "b"),
                one("web", WELL, web)
            )
        };
        assert!(read(&group("b"), "g").runs_on("b"));
        assert!(!read(&group(""), "g").runs_on("b") && !read(&group("a"), "g").runs_on("b"));
        assert!(read(&(group("a") + &one("x", WELL, "a")), "vip").runs_on("b"));
    }

    #[test]
    fn what_would_keep_it_is_told_with_what_to_do() {
        let why = |text: &str, resource: &str, to: &str| {
            let cluster = Cluster::read(text, resource).unwrap();
            cluster.obstacle(resource, to).map(Obstacle::why).unwrap_or_default()
        };
        let good = said(&one("vip", WELL, "a"));
        assert_eq!(why(&good, "vip", "b"), "");
        let spoilt = |from: &str, to: &str| {
            let text = good.replacen(from, to, 1);
            assert_ne!(text, good);
            why(&text, "vip", "b")
        };
        let of_b = |from: &str, to: &str| {
            let (a, b) = good.split_once("name=\"b\"").unwrap();
            why(&format!("{a}name=\"b\"{}", b.replacen(from, to, 1)), "vip", "b")
        };
        assert!(why(&good, "vip", "c").contains("no node 'c', only a, b"));
        assert!(why(&good, "web", "b").contains("no resource 'web'"));
        assert!(spoilt("present=\"true\"", "present=\"false\"").contains("DC"));
        assert!(spoilt("with_quorum=\"true\"", "with_quorum=\"false\"").contains("quorum"));
        assert!(spoilt("maintenance-mode=\"false\"", "maintenance-mode=\"true\"").contains("maintenance-mode"));
        assert!(of_b("online=\"true\"", "online=\"false\"").contains("offline"));
        assert!(of_b("standby=\"false\"", "standby=\"true\"").contains("--name standby"));
        assert!(of_b("maintenance=\"false\"", "maintenance=\"true\"").contains("--name maintenance"));
        assert!(of_b("pending=\"false\"", "pending=\"true\"").contains("join"));
        assert!(spoilt("unclean=\"false\"", "unclean=\"true\"").contains("--confirm a"));
        assert!(spoilt(" managed=\"true\"", " managed=\"false\"").contains("is-managed"));
        assert!(spoilt("blocked=\"false\"", "blocked=\"true\"").contains("--cleanup"));
        assert!(spoilt(" managed", " target_role=\"Stopped\" managed").contains("target-role"));
        let ban = "<bans><ban id=\"cli-ban-vip-on-b\" resource=\"vip\" node=\"b\" weight=\"-1000000\"/></bans><status ";
        assert!(spoilt("<status ", ban).contains("banned vip from b"));
        assert_eq!(spoilt("<status ", &ban.replace("\"b\"", "\"a\"")), "");
        // Of a promotable clone the promoted one.
        let roles =
            one("s", WELL, "a").replace("Started", "Promoted") + &one("s", WELL, "b").replace("Started", "Unpromoted");
        let text = said(&format!("<clone id=\"c\" multi_state=\"true\">{roles}</clone>"));
        for name in ["c", "s"] {
            let cluster = Cluster::read(&text, name).unwrap();
            assert!(cluster.is_promotable() && cluster.runs_on("a") && !cluster.runs_on("b"));
            assert_eq!(cluster.obstacle(name, "b"), None);
        }
        let none = Cluster::read(&text.replace("\"Promoted", "\"Unpromoted"), "c").unwrap();
        assert!(none.runs_nowhere() && !none.runs_on("a"));
        let clone = format!("<clone id=\"c\">{}{}</clone>", one("s", WELL, "a"), one("s", WELL, "b"));
        assert!(why(&said(&clone), "c", "b").contains("several nodes (a, b)"));
    }

    #[test]
    fn no_connection_is_no_cluster_although_crm_mon_ends_well() {
        let text = "<pacemaker-result><pacemakerd state=\"running\"/><status code=\"0\" message=\"OK\"><errors><error>Could not connect to the CIB: Transport \
                    endpoint is not connected</error></errors></status></pacemaker-result>";
        assert!(Cluster::read(text, "vip").unwrap_err().contains("not connected"));
        assert!(Cluster::read("", "vip").is_err());
    }
}
