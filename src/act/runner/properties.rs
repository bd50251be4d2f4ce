//! Random plans in a random world: answers are lost, steps fail, gates close, operators stop, and the agent dies between any two moments. No
//! effect happens twice, no two instances are active at once, nothing happens without its intent on disk, and every plan ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use proptest::prelude::*;

use super::*;
use crate::act::journal::{Record, State};
use crate::model::plan::{Action, Outcome, Phase};
use crate::model::{Alternative, PlanKind, Span, Timestamp, Token};

/// More commands than any plan here needs; one that needs them never ends.
const ENOUGH: usize = 2000;

/// What can go wrong, each in hundredths.
#[derive(Debug, Clone, Copy)]
struct Odds {
    fails: u32,
    unheard: u32,
    unobservable: u32,
    refused: u32,
    stopped: u32,
    dies: u32,
}

/// Numbers that look random: the same for the same seed.
struct Chance(u64);

impl Chance {
    /// `SplitMix64`, by Sebastiano Vigna.
    fn below(&mut self, bound: u32) -> u32 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut word = self.0;
        word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        word = (word ^ (word >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        ((word ^ (word >> 31)) >> 33) as u32 % bound
    }

    fn coin(&mut self) -> bool {
        self.below(2) == 0
    }
}

/// A step, or the taking back of one.
type Deed = (usize, usize, bool);

struct World {
    rng: Chance,
    odds: Odds,
    plan: Plan,
    records: Vec<Record>,
    there: BTreeSet<Deed>,
    blind: BTreeMap<Deed, bool>,
    active: BTreeSet<EntityName>,
    deaths: u32,
}

/// The agent is gone.
struct Died;

fn action() -> Action {
    Action {
        uses: "fake".into(),
        with: serde_json::Map::new(),
        observe: None,
    }
}

fn steps(rng: &mut Chance, to: &str, tried: &[&str]) -> Vec<Step> {
    let mut wanted = vec![(Phase::Fence, "a")];
    wanted.extend(tried.iter().map(|node| (Phase::Seal, *node)));
    if tried.is_empty() && rng.coin() {
        wanted.push((Phase::Yield, "less"));
    }
    for phase in [Phase::Restore, Phase::Promote, Phase::Start] {
        if rng.coin() {
            wanted.push((phase, to));
        }
    }
    wanted.extend([(Phase::Switch, to), (Phase::Verify, to)]);
    for (phase, whom) in [(Phase::GiveBack, "other"), (Phase::Announce, to)] {
        if rng.coin() {
            wanted.push((phase, whom));
        }
    }
    wanted
        .into_iter()
        .enumerate()
        .map(|(index, (phase, target))| Step {
            index,
            name: format!("{phase:?}"),
            phase,
            target: target.into(),
            action: action(),
            undo: (matches!(phase, Phase::Fence | Phase::Yield) || rng.coin()).then(action),
            timeout: Span::secs(1),
            retries: rng.below(3) as u8,
        })
        .collect()
}

impl World {
    fn new(seed: u64, odds: Odds) -> Self {
        let mut rng = Chance(seed);
        let at = Timestamp::from_secs(1);
        let own = steps(&mut rng, "b", &[]);
        let alternatives = vec![Alternative {
            to: "c".into(),
            steps: steps(&mut rng, "c", &["b"]),
        }];
        let plan = Plan {
            id: PlanId("svc-1-1".into()),
            token: Token { epoch: 1, seq: 1 },
            kind: PlanKind::Failover,
            incident: None,
            service: "svc".into(),
            from: "a".into(),
            to: "b".into(),
            alternatives,
            steps: own,
            made: at,
            deadline: at,
            expected_rto_s: 0.0,
            summary: String::new(),
        };
        Self {
            rng,
            odds,
            plan,
            records: Vec::new(),
            there: BTreeSet::new(),
            blind: BTreeMap::new(),
            active: ["a".into()].into(),
            deaths: 0,
        }
    }

    fn happens(&mut self, odds: u32) -> bool {
        self.rng.below(100) < odds
    }

    fn dies(&mut self) -> Result<(), Died> {
        if self.deaths < 8 && self.happens(self.odds.dies) {
            self.deaths += 1;
            return Err(Died);
        }
        Ok(())
    }

    /// Lives until the plan ends or the agent dies.
    fn live(&mut self) -> Result<(), Died> {
        let state = State::read(&self.records);
        let mut runner = match state.open.get(&self.plan.id) {
            Some((plan, entries)) => Runner::restore(plan.clone(), entries).expect("an open plan"),
            None if self.records.is_empty() => Runner::new(self.plan.clone()),
            None => return Ok(()),
        };
        let mut commands: VecDeque<Command> = runner.handle(Event::Start).into();
        for _ in 0..ENOUGH {
            let Some(command) = commands.pop_front() else {
                return Ok(());
            };
            self.dies()?;
            let event = match command {
                Command::Journal(entry) => {
                    let at = Timestamp::EPOCH;
                    self.records.push(Record::Plan { at, entry });
                    Event::Journaled
                }
                Command::Ask { step, .. } if runner.asks_for(step) => {
                    Event::Permit(self.happens(self.odds.refused).then(|| "no".to_owned()))
                }
                Command::Apply { .. } if self.happens(self.odds.refused) => Event::Permit(Some("asleep".into())),
                Command::Apply { candidate, step } => Event::Applied(self.act((candidate, step, false))),
                Command::Undo { step } => Event::Applied(self.act((0, step, true))),
                Command::Observe { candidate, step } => Event::Observed(self.look((candidate, step, false))),
                Command::ObserveUndo { step } => Event::Observed(self.look((0, step, true))),
                Command::Ask { .. } | Command::Tell(_) => continue,
            };
            self.dies()?;
            commands.extend(runner.handle(event));
            if self.happens(self.odds.stopped) {
                commands.extend(runner.handle(Event::Abort("stop".into())));
            }
        }
        panic!("a plan that never ends: {}", self.trail());
    }

    /// What was written, without the plan.
    fn trail(&self) -> String {
        let entries = self.records.iter().filter_map(|record| match record {
            Record::Plan {
                entry: Entry::Plan { .. },
                ..
            } => None,
            Record::Plan { entry, .. } => Some(format!("{entry:?}")),
            _ => None,
        });
        entries.collect::<Vec<_>>().join("\n")
    }

    fn look(&mut self, deed: Deed) -> Effect {
        let odds = self.odds.unobservable;
        let blind = self.rng.below(100) < odds;
        if *self.blind.entry(deed).or_insert(blind) {
            Effect::Unknown
        } else if self.there.contains(&deed) {
            Effect::There
        } else {
            Effect::NotThere
        }
    }

    fn act(&mut self, deed: Deed) -> Applied {
        let (candidate, step, undo) = deed;
        let plan = self.plan.id.clone();
        let intent = if undo {
            Entry::UndoIntent { plan, step }
        } else {
            Entry::Intent { plan, candidate, step }
        };
        let last = self.records.last();
        assert!(
            matches!(last, Some(Record::Plan { entry, .. }) if *entry == intent),
            "{deed:?} without its intent on disk, but {last:?}"
        );
        let works = !self.happens(self.odds.fails);
        if works {
            assert!(self.there.insert(deed), "{deed:?} happened twice: {}", self.trail());
            self.moved(deed);
        }
        match (self.happens(self.odds.unheard), works) {
            (true, _) => Applied::Unknown("no answer".into()),
            (false, true) => Applied::Done,
            (false, false) => Applied::NoEffect("it fails".into()),
        }
    }

    /// What the effect does to who is active.
    fn moved(&mut self, (candidate, index, undo): Deed) {
        let (_, steps) = self.plan.candidate(candidate).expect("a candidate");
        let step = &steps[index];
        let point = steps
            .iter()
            .position(|step| matches!(step.phase, Phase::Promote))
            .or_else(|| {
                steps
                    .iter()
                    .position(|step| matches!(step.phase, Phase::Start | Phase::Switch))
            });
        let target = step.target.clone();
        match step.phase {
            Phase::Fence | Phase::Seal if undo => _ = self.active.insert(target),
            Phase::Fence | Phase::Seal => _ = self.active.remove(&target),
            _ if point == Some(index) && !undo => _ = self.active.insert(target),
            _ => {}
        }
        assert!(
            self.active.len() <= 1,
            "two are active: {:?}: {}",
            self.active,
            self.trail()
        );
    }

    fn end(&mut self) -> Outcome {
        while self.live().is_err() {}
        match self.records.last() {
            Some(Record::Plan {
                entry: Entry::End { outcome, .. },
                ..
            }) => outcome.clone(),
            other => panic!("the last record is {other:?}"),
        }
    }
}

fn check(mut world: World) {
    let only = |name: &str| BTreeSet::from([EntityName::from(name)]);
    match world.end() {
        Outcome::Done { active } => assert_eq!(world.active, only(active.as_str())),
        Outcome::Compensated { .. } => {
            assert_eq!(world.active, only("a"));
            for (candidate, step, undo) in world.there.iter().filter(|deed| !deed.2) {
                assert!(
                    world.plan.steps[*step].undo.is_none() || world.there.contains(&(*candidate, *step, !undo)),
                    "step {step} still stands"
                );
            }
        }
        Outcome::Untouched { .. } => {
            assert_eq!(world.active, only("a"));
            assert!(world.there.is_empty(), "{:?} was done", world.there);
        }
        Outcome::HandedOver { .. } => {}
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(1500))]

    #[test]
    fn no_effect_twice_and_no_second_active_whatever_happens(
        seed in any::<u64>(),
        fails in 0..40u32,
        unheard in 0..40u32,
        unobservable in 0..40u32,
        refused in 0..15u32,
        stopped in 0..5u32,
        dies in 0..25u32,
    ) {
        check(World::new(seed, Odds { fails, unheard, unobservable, refused, stopped, dies }));
    }

    #[test]
    fn deaths_and_lost_answers_alone_change_no_outcome(seed in any::<u64>(), dies in 0..60u32, unheard in 0..60u32) {
        let odds = Odds { fails: 0, unheard, unobservable: 0, refused: 0, stopped: 0, dies };
        let mut world = World::new(seed, odds);
        prop_assert_eq!(world.end(), Outcome::Done { active: "b".into() });
        prop_assert_eq!(&world.active, &BTreeSet::from([EntityName::from("b")]));
        let effects: Vec<Deed> = (0..world.plan.steps.len()).map(|step| (0, step, false)).collect();
        prop_assert_eq!(world.there.iter().copied().collect::<Vec<_>>(), effects);
    }
}
