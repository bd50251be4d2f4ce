//! What Jurymast counts about itself, for `/metrics`. Shared by all shell rooms.

use std::sync::atomic::AtomicU64;

use prometheus_client::encoding::EncodeLabelSet;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::registry::Registry;

/// By source: the name of an MQTT connection, a scrape job.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct BySource {
    /// The source's name in the config.
    pub source: String,
}

/// By source and by what went wrong.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReason {
    /// The source's name in the config.
    pub source: String,
    /// A word out of a small set: `too_long`, `json`, `unknown_alias`.
    pub reason: &'static str,
}

/// By the kind of finding (`silent`, `high`, …) or of plan (`failover`, `failback`, `drill`, `drill_back`; `reassert` moves nothing).
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByKind {
    /// The kind, as in the patterns and in the decision log.
    pub kind: String,
}

/// By what was decided and by the gate that refused, empty where none did.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByDecision {
    /// `act`, `hold`, `ask` or `ignore`.
    pub decision: String,
    /// The first gate that said no.
    pub gate: String,
}

/// By how a plan ended.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByOutcome {
    /// `done`, `compensated`, `untouched` or `handed_over`.
    pub outcome: &'static str,
}

/// By who is told: the receiver's URL, without secrets.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByReceiver {
    /// The URL.
    pub receiver: String,
}

/// By who did not take what it was told, and why.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct NotTakenBy {
    /// The URL.
    pub receiver: String,
    /// `no_answer`, `ill` (5xx, 429: said again later) or `refused`.
    pub reason: &'static str,
}

/// By service.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByService {
    /// The service's name in the config.
    pub service: String,
}

/// By service and how a drill was made.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByDrill {
    /// The service's name in the config.
    pub service: String,
    /// `dry` or `real`.
    pub kind: &'static str,
}

/// By how far the learned detectors have come with it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
pub struct ByState {
    /// Of series: `learning`, `watched` (for jumps), `closely`, `beyond` the closely watched, `compared` with peers. Of entities: `learning`,
    /// `judged`, `beyond`.
    pub state: &'static str,
}

/// All counters. Cloning shares them.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    /// Samples taken in.
    pub samples: Family<BySource, Counter>,
    /// Messages or scrapes taken in.
    pub messages: Family<BySource, Counter>,
    /// Input that could not be read, dropped alone.
    pub bad_input: Family<ByReason, Counter>,
    /// 1 while the source is connected or its last scrape was good.
    pub source_up: Family<BySource, Gauge>,
    /// 1 while the receiver of notifications took the last one. To be alerted upon, by somebody else: nobody hears of what Jurymast finds.
    pub receiver_up: Family<ByReceiver, Gauge>,
    /// Notifications that were not taken, each try: `no_answer`, `ill` (5xx, 429), `refused`.
    pub notifications_not_taken: Family<NotTakenBy, Counter>,
    /// How often a bound was reached (a full queue, a full window): the name of the bound.
    pub bound_reached: Family<BySource, Counter>,
    /// Findings that were raised.
    pub findings: Family<ByKind, Counter>,
    /// Verdicts that were reached; one that stands unchanged is not counted again.
    pub verdicts: Family<ByDecision, Counter>,
    /// Plans that were started, by why.
    pub plans_started: Family<ByKind, Counter>,
    /// Plans that ended.
    pub plans_ended: Family<ByOutcome, Counter>,
    /// Steps of plans that failed for good: those that led to a plan's end, and those behind the proof, such as announcements.
    pub steps_failed: Counter,
    /// Series that are held.
    pub series: Gauge,
    /// What the learned detectors look at, and what they have no place for: `learning`, `watched`, `closely`, `beyond`, `compared`.
    pub learned_series: Family<ByState, Gauge>,
    /// Entities whose signals are judged together, and those for which there is no place: `learning`, `judged`, `beyond`.
    pub learned_entities: Family<ByState, Gauge>,
    /// Incidents that are open.
    pub incidents_open: Gauge,
    /// Plans that run.
    pub plans_running: Gauge,
    /// 1 while all acting is on hold.
    pub held: Gauge,
    /// 1 if this agent may act at all, 0 if it only watches.
    pub acting: Gauge,
    /// 0 while the journal cannot be written, as on a full disk: nothing is acted upon then. To be alerted upon.
    pub journal_writable: Gauge,
    /// 1 while the journal had to be made anew from the audit log and no person has looked yet: nothing is acted upon. To be alerted upon.
    pub journal_lost: Gauge,
    /// Bytes that stood behind the journal's last whole record at the start: a crash leaves a part of one.
    pub journal_torn: Gauge,
    /// 0 while the audit log's chain of hashes is broken: somebody has changed it, or the disk has. To be alerted upon.
    pub audit_whole: Gauge,
    /// 0 while the config that was last read again is refused, so that the one before it runs. To be alerted upon: the next start would be refused, too.
    pub config_last_reload_successful: Gauge,
    /// The epoch of the lease that is held; 0 without one.
    pub epoch: Gauge,
    /// 1 while the service runs elsewhere than where the config puts it.
    pub service_away: Family<ByService, Gauge>,
    /// 1 while the service is out of Jurymast's hands and needs a person.
    pub service_needs_person: Family<ByService, Gauge>,
    /// 1 while something is left undone by the service's latest move, which ended well: an announcement that failed, a service that was stopped to make room and not started again.
    /// To be alerted upon.
    pub service_left_undone: Family<ByService, Gauge>,
    /// When the service's latest drill was over, in seconds since 1970.
    pub drill_time: Family<ByDrill, Gauge<f64, AtomicU64>>,
    /// 1 if the service's latest drill was good.
    pub drill_good: Family<ByDrill, Gauge>,
    /// How long the switch of the service's latest real drill took, from its plan to the proof.
    pub drill_switch: Family<ByService, Gauge<f64, AtomicU64>>,
    /// 1 while the service's last drill failed or is too old. To be alerted upon.
    pub drill_warning: Family<ByService, Gauge>,
    /// Parts of the services that this agent leads, where several agents share them.
    pub leads: Gauge,
    /// Parts of the services that this agent leaves to others, because another one reaches there what it does not. To be alerted upon.
    pub standing_aside: Gauge,
    /// Single failures that would hit a service and that a plan made ahead covers. Counted once all plans are made.
    pub failures_covered: Gauge,
    /// Single failures that would hit a service and that no plan covers: `/api/contingencies` says why. To be alerted upon.
    pub failures_uncovered: Gauge,
    /// When the engine last did anything, in seconds since 1970. To be alerted upon: it moves every 50 ms.
    pub engine_time: Gauge<f64, AtomicU64>,
}

impl Metrics {
    /// Registers all of them under the prefix `jurymast`.
    pub fn register(&self, registry: &mut Registry) {
        let registry = registry.sub_registry_with_prefix("jurymast");
        registry.register("samples", "Samples taken in", self.samples.clone());
        registry.register("messages", "Messages or scrapes taken in", self.messages.clone());
        registry.register("bad_input", "Input that could not be read", self.bad_input.clone());
        registry.register("source_up", "1 while the source is connected", self.source_up.clone());
        registry.register(
            "receiver_up",
            "1 while the receiver of notifications took the last one",
            self.receiver_up.clone(),
        );
        registry.register(
            "notifications_not_taken",
            "Notifications that were not taken, each try",
            self.notifications_not_taken.clone(),
        );
        registry.register(
            "bound_reached",
            "How often a bound was reached",
            self.bound_reached.clone(),
        );
        registry.register("findings", "Findings that were raised", self.findings.clone());
        registry.register("verdicts", "Verdicts that were reached", self.verdicts.clone());
        registry.register(
            "plans_started",
            "Plans that were started, by why: a reassert moves nothing",
            self.plans_started.clone(),
        );
        registry.register("plans_ended", "Plans that ended", self.plans_ended.clone());
        registry.register(
            "steps_failed",
            "Steps of plans that failed for good",
            self.steps_failed.clone(),
        );
        registry.register("series", "Series that are held", self.series.clone());
        registry.register(
            "learned_series",
            "What the learned detectors look at",
            self.learned_series.clone(),
        );
        registry.register(
            "learned_entities",
            "Entities whose signals are judged together",
            self.learned_entities.clone(),
        );
        registry.register("incidents_open", "Incidents that are open", self.incidents_open.clone());
        registry.register("plans_running", "Plans that run", self.plans_running.clone());
        registry.register("held", "1 while all acting is on hold", self.held.clone());
        registry.register("acting", "1 if this agent may act", self.acting.clone());
        registry.register(
            "journal_writable",
            "0 while the journal cannot be written",
            self.journal_writable.clone(),
        );
        registry.register(
            "journal_lost",
            "1 while the journal was lost and no person has looked yet",
            self.journal_lost.clone(),
        );
        registry.register(
            "journal_torn_bytes",
            "Bytes behind the journal's last whole record at the start",
            self.journal_torn.clone(),
        );
        registry.register(
            "audit_whole",
            "0 while the audit log's chain is broken",
            self.audit_whole.clone(),
        );
        registry.register(
            "config_last_reload_successful",
            "0 while the config that was last read again is refused",
            self.config_last_reload_successful.clone(),
        );
        registry.register("epoch", "The epoch of the lease that is held", self.epoch.clone());
        registry.register(
            "service_away",
            "1 while the service is not at home",
            self.service_away.clone(),
        );
        registry.register(
            "service_needs_person",
            "1 while the service needs a person",
            self.service_needs_person.clone(),
        );
        registry.register(
            "service_left_undone",
            "1 while the service's latest move has left something undone",
            self.service_left_undone.clone(),
        );
        registry.register(
            "drill_time_seconds",
            "When the latest drill was over",
            self.drill_time.clone(),
        );
        registry.register("drill_good", "1 if the latest drill was good", self.drill_good.clone());
        registry.register(
            "drill_switch_seconds",
            "How long the latest real drill took to switch",
            self.drill_switch.clone(),
        );
        registry.register(
            "drill_warning",
            "1 while the last drill failed or is too old",
            self.drill_warning.clone(),
        );
        registry.register(
            "leads",
            "Parts of the services that this agent leads",
            self.leads.clone(),
        );
        registry.register(
            "standing_aside",
            "Parts of the services that are left to others who see more of them",
            self.standing_aside.clone(),
        );
        registry.register(
            "failures_covered",
            "Single failures that a plan covers",
            self.failures_covered.clone(),
        );
        registry.register(
            "failures_uncovered",
            "Single failures that no plan covers",
            self.failures_uncovered.clone(),
        );
        registry.register(
            "engine_time_seconds",
            "When the engine last did anything",
            self.engine_time.clone(),
        );
    }
}
