//! The right to act: one lease for all services, or one for each part of them that several agents share.

use crate::decide::Move;
use crate::model::{EntityName, Lease, ServiceName, Share, Timestamp, Token};

use super::{Effects, Engine, Record};

impl Engine {
    pub(super) fn renew(&mut self, lease: Lease) {
        let seq = lease.seq.max(self.number(lease.epoch, |_| true));
        self.lease = Lease { seq, ..lease };
    }

    /// Another agent's plans are none of ours: with its lease a part loses what is under way.
    pub(super) fn share(&mut self, share: Share, effects: &mut Effects) {
        let known = self.shares.get(&share.part).map_or(0, |known| known.lease.epoch);
        if known != share.lease.epoch && known != 0 {
            self.leave(&share, effects);
        }
        self.changed |= known != share.lease.epoch;
        let number = self.number(share.lease.epoch, |service| share.services.contains(service));
        let seq = share.lease.seq.max(number);
        let lease = Lease { seq, ..share.lease };
        self.shares.insert(share.part.clone(), Share { lease, ..share });
    }

    /// The number of the last plan for such services within an epoch: numbers go on. It outlives the lease: whoever loses a lease for a moment and has it again in the same
    /// epoch goes on counting, also over plans that nobody else has heard of.
    fn number(&self, epoch: u64, of: impl Fn(&ServiceName) -> bool) -> u64 {
        let given = self
            .given
            .iter()
            .filter(|(service, token)| token.epoch == epoch && of(service));
        given.map(|(_, token)| token.seq).max().unwrap_or_default()
    }

    fn leave(&mut self, share: &Share, effects: &mut Effects) {
        let left: Vec<_> = self
            .plans
            .values()
            .filter(|plan| share.services.contains(&plan.service))
            .map(|plan| plan.id.clone())
            .collect();
        for id in left {
            let Some(plan) = self.plans.remove(&id) else { continue };
            self.failed.remove(&id);
            Self::tell_left(&plan, effects);
            effects.log.push(Record::Left { at: self.now, plan: id });
        }
        for service in &share.services {
            if let Some(state) = self.states.get_mut(service) {
                state.running = None;
            }
        }
    }

    /// The lease by which that service may be moved.
    pub(super) fn lease_of(&self, service: &ServiceName) -> Lease {
        if self.shares.is_empty() {
            return self.lease;
        }
        let mut shares = self.shares.values();
        shares
            .find(|share| share.services.contains(service))
            .map_or_else(Lease::default, |share| share.lease)
    }

    /// A token was given to a plan.
    pub(super) fn used(&mut self, service: &ServiceName, token: Token) {
        self.given.insert(service.clone(), token);
        let mut shares = self.shares.values_mut();
        match shares.find(|share| share.services.contains(service)) {
            Some(share) => share.lease.seq = token.seq,
            None => self.lease.seq = token.seq,
        }
    }

    /// Failovers that an earlier run, or another agent, has begun count against the budgets.
    pub(super) fn begun_before(&mut self, service: &ServiceName, begun: Vec<(Timestamp, EntityName)>) {
        self.ledger.forget(service);
        for (at, from) in begun {
            let zone = self.topology.zone(from.as_str());
            let service = service.clone();
            self.ledger.record(Move { service, zone, at });
        }
    }

    /// The leases of parts, where several agents share the services.
    pub fn shares(&self) -> impl Iterator<Item = &Share> {
        self.shares.values()
    }
}
