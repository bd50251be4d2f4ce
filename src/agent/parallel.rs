//! Detector shards on threads. The engine itself has none; it only says that shards do not depend on one another.

use crate::detect::{Parallel, Shard};

/// Each shard on a thread of its own, for the time of one tick.
pub struct Threads;

impl Parallel for Threads {
    fn for_each(&self, shards: &mut [Shard], work: &(dyn Fn(&mut Shard) + Sync)) {
        match shards {
            [] => {}
            [only] => work(only),
            [first, rest @ ..] => std::thread::scope(|scope| {
                for shard in rest {
                    scope.spawn(move || work(shard));
                }
                work(first);
            }),
        }
    }
}
