//! Which job an instance belongs to, where several scrape it.
//!
//! To Prometheus a target is its job and its instance. Here an entity goes by its instance alone, which is what people call it; so the same instance under two
//! jobs would be one entity whose `up` says now this and now that. The job that stands first in the config has the instance's own name; in each other one it is
//! `JOB/INSTANCE`. A target that is given a name (the label `entity`) keeps it: two jobs that give the same one mean the same thing.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex, PoisonError};

use super::targets::Resolved;

/// By instance: the jobs that scrape it, by their place in the config.
type Jobs = BTreeMap<String, BTreeSet<usize>>;

/// What all jobs claim.
#[derive(Debug, Clone, Default)]
pub struct Claims {
    jobs: Arc<Mutex<Jobs>>,
}

impl Claims {
    /// The share of the job at that place in the config.
    pub fn of(&self, place: usize) -> Claim {
        Claim {
            jobs: Arc::clone(&self.jobs),
            place,
            instances: BTreeSet::new(),
        }
    }
}

/// What one job claims.
#[derive(Debug)]
pub struct Claim {
    jobs: Arc<Mutex<Jobs>>,
    place: usize,
    instances: BTreeSet<String>,
}

impl Claim {
    /// Claims the instances of these targets and lets go of all others.
    pub fn take<'a>(&mut self, targets: impl Iterator<Item = &'a Resolved>) {
        let unnamed = targets.filter(|target| is_unnamed(target));
        let now: BTreeSet<String> = unnamed.map(|target| target.instance.clone()).collect();
        let mut jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        for gone in self.instances.difference(&now) {
            if let Some(of) = jobs.get_mut(gone) {
                of.remove(&self.place);
                if of.is_empty() {
                    jobs.remove(gone);
                }
            }
        }
        for instance in now.difference(&self.instances) {
            jobs.entry(instance.clone()).or_default().insert(self.place);
        }
        drop(jobs);
        self.instances = now;
    }

    /// Claims what these targets are, and gives them their names.
    pub fn settle(&mut self, job: &str, targets: BTreeSet<Resolved>) -> BTreeSet<Resolved> {
        self.take(targets.iter());
        let jobs = self.jobs.lock().unwrap_or_else(PoisonError::into_inner);
        let first = |instance: &str| jobs.get(instance).and_then(BTreeSet::first).copied();
        let name = |mut target: Resolved| {
            if is_unnamed(&target) && first(&target.instance).is_some_and(|first| first < self.place) {
                target.entity = second_name(target.label("job").unwrap_or(job), &target.instance);
            }
            target
        };
        targets.into_iter().map(name).collect()
    }
}

fn is_unnamed(target: &Resolved) -> bool {
    target.entity == target.instance
}

/// What an instance is called in a job that is not the first to scrape it.
pub fn second_name(job: &str, instance: &str) -> String {
    format!("{job}/{instance}")
}

#[cfg(test)]
mod tests {
    use super::super::targets::resolve;
    use super::*;

    fn targets(list: &[&str]) -> BTreeSet<Resolved> {
        let target = |text: &&str| match text.split_once('=') {
            Some((name, address)) => resolve(address, Some(name), "/metrics"),
            None => resolve(text, None, "/metrics"),
        };
        list.iter().map(target).collect()
    }

    fn names(settled: &BTreeSet<Resolved>) -> Vec<&str> {
        settled.iter().map(|target| target.entity.as_str()).collect()
    }

    #[test]
    fn the_first_job_of_the_config_has_the_instances_name_whoever_asks_first() {
        let claims = Claims::default();
        let (mut node, mut probe) = (claims.of(0), claims.of(1));
        let probed = || targets(&["h:1", "h:2"]);
        assert_eq!(names(&probe.settle("probe", probed())), ["h:1", "h:2"]);
        assert_eq!(names(&node.settle("node", targets(&["h:1"]))), ["h:1"]);
        assert_eq!(names(&probe.settle("probe", probed())), ["probe/h:1", "h:2"]);
        // It went away.
        assert!(node.settle("node", BTreeSet::new()).is_empty());
        assert_eq!(names(&probe.settle("probe", probed())), ["h:1", "h:2"]);
        // Two places of one target in one job are one thing.
        assert_eq!(
            names(&node.settle("node", targets(&["http://h:9/a", "http://h:9/b"]))),
            ["h:9", "h:9"]
        );
    }

    #[test]
    fn a_name_that_was_given_is_kept() {
        let claims = Claims::default();
        let (mut one, mut other) = (claims.of(0), claims.of(1));
        one.take(targets(&["h:1", "gw=h:2"]).iter());
        let settled = other.settle("other", targets(&["gw=h:1", "h:2"]));
        assert_eq!(names(&settled), ["gw", "h:2"]);
    }

    #[test]
    fn a_label_job_counts_before_the_name_of_the_job() {
        let claims = Claims::default();
        claims.of(0).take(targets(&["h:1"]).iter());
        let mut target = resolve("h:1", None, "/metrics");
        target.labels = vec![("job".into(), "set".into())];
        assert_eq!(names(&claims.of(3).settle("config", [target].into())), ["set/h:1"]);
    }
}
