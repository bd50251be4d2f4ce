//! What is to be taken from which place of a text of a certain outline.

use super::tree::Tree;
use crate::ingest::mqtt::payload::Mapping;
use crate::ingest::mqtt::payload::json::{DEPTH_MAX, TIMES, joined};
use crate::ingest::mqtt::payload::time;

/// Values of one shape. Larger payloads are read by name.
const SLOTS_MAX: usize = 512;

/// A mapping all of whose paths lead to one place.
pub struct Target {
    values: Option<Vec<Step>>,
    time: Option<Vec<Step>>,
    signals: Vec<(String, Vec<Step>)>,
}

#[derive(Debug, Clone, PartialEq)]
enum Step {
    Member(String),
    Item(usize),
}

/// A text of which nothing but the values may differ.
#[derive(Debug, PartialEq)]
pub struct Shape {
    /// The text as a whole.
    pub root: Node,
    /// By slot.
    pub names: Vec<Name>,
}

/// What a slot's signal is called.
#[derive(Debug, Clone, PartialEq)]
pub enum Name {
    /// By the payload.
    Member(String),
    /// By the topic: the payload is one bare value.
    Topic,
}

/// What must stand at a place.
#[derive(Debug, PartialEq)]
pub enum Node {
    /// A number, a text, a switch or null.
    Leaf(Leaf),
    /// These members in this order, and no others.
    Object(Vec<(Box<str>, Node)>),
    /// At least these items.
    List(Vec<Node>),
    /// A list of anything.
    AnyList,
    /// A list or an object of anything.
    AnyNested,
    /// Anything.
    Any,
}

/// What is taken from a leaf.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Leaf {
    /// What it has to do with time.
    pub clock: Clock,
    /// The slots that it fills.
    pub slots: Vec<usize>,
}

/// What a leaf has to do with time.
#[derive(Debug, Default, PartialEq, Clone, Copy)]
pub enum Clock {
    /// Nothing.
    #[default]
    None,
    /// It is the time.
    Time,
    /// It would be the time if it read as one, and does not.
    Never,
}

fn steps(path: &str) -> Option<Vec<Step>> {
    let mut rest = path.trim().strip_prefix('$')?;
    let mut steps = Vec::new();
    let plain = |text: &str| {
        let first = |c: char| c.is_ascii_alphabetic() || c == '_';
        text.starts_with(first) && text.chars().all(|c| first(c) || c.is_ascii_digit())
    };
    while !rest.is_empty() {
        if let Some(tail) = rest.strip_prefix('.') {
            let end = tail.find(['.', '[']).unwrap_or(tail.len());
            let name = &tail[..end];
            if !plain(name) {
                return None;
            }
            steps.push(Step::Member(name.to_owned()));
            rest = &tail[end..];
        } else {
            let (inside, tail) = rest.strip_prefix('[')?.split_once(']')?;
            let quoted = ['\'', '"']
                .iter()
                .find_map(|q| inside.strip_prefix(*q)?.strip_suffix(*q));
            steps.push(match quoted {
                Some(name) if plain(name) => Step::Member(name.to_owned()),
                _ => Step::Item(inside.parse().ok()?),
            });
            rest = tail;
        }
    }
    Some(steps)
}

impl Target {
    /// `None` if a path may lead to several places, or to places that depend on values.
    pub fn of(mapping: &Mapping) -> Option<Self> {
        let some = |path: &Option<String>| match path {
            Some(path) => steps(path).map(Some),
            None => Some(None),
        };
        let signal = |(name, path): (&String, &String)| Some((name.clone(), steps(path)?));
        Some(Self {
            values: some(&mapping.values)?,
            time: some(&mapping.time)?,
            signals: mapping.signals.iter().map(signal).collect::<Option<_>>()?,
        })
    }
}

/// Something that a path of the mapping looks for, and the way that is still to go.
#[derive(Clone)]
struct Wanted<'a> {
    what: What,
    way: &'a [Step],
}

#[derive(Clone, Copy, PartialEq)]
enum What {
    Signal(usize),
    Values,
    Time,
}

/// Members of the place are signals.
#[derive(Clone)]
struct Walk {
    depth: usize,
    /// Names from where the walk began.
    names: Vec<String>,
}

/// Where a slot stands among all: signals of the mapping come first, then members by their names, level by level.
#[derive(PartialEq, Eq, PartialOrd, Ord, Clone)]
enum Rank {
    Signal(usize),
    Member(Vec<String>),
}

struct Planner<'a> {
    target: &'a Target,
    slots: Vec<(Rank, Name)>,
    /// Top-level members that are the time and no signals.
    skip: bool,
}

/// The shape of a text that has been read by name. `None` if it cannot be read otherwise.
pub fn shape(target: &Target, text: &str) -> Option<Shape> {
    let tree: Tree = serde_json::from_str(text).ok()?;
    let clock = unasked(target, &tree, text);
    let mut planner = Planner {
        target,
        slots: Vec::new(),
        skip: matches!(clock, Some((_, Clock::Time))),
    };
    let signals = target.signals.iter().enumerate();
    let mut wanted: Vec<Wanted<'_>> = signals
        .map(|(n, (_, way))| Wanted {
            what: What::Signal(n),
            way,
        })
        .collect();
    let paths = [(What::Values, &target.values), (What::Time, &target.time)];
    wanted.extend(paths.iter().filter_map(|(what, way)| {
        Some(Wanted {
            what: *what,
            way: way.as_ref()?,
        })
    }));
    let whole = target.values.is_none() && target.signals.is_empty();
    let walk = whole.then(|| Walk {
        depth: 0,
        names: Vec::new(),
    });
    let mut root = planner.root(&tree, &wanted, walk)?;
    if let (Some((name, clock)), Node::Object(members)) = (clock, &mut root) {
        match members.iter_mut().find(|(other, _)| **other == *name)? {
            (_, Node::Leaf(leaf)) if leaf.clock == Clock::None => leaf.clock = clock,
            (_, place @ Node::Any) => {
                *place = Node::Leaf(Leaf {
                    clock,
                    slots: Vec::new(),
                });
            }
            // A list or an object is no time, whatever is in it.
            (_, Node::Object(_) | Node::AnyList | Node::List(_)) if clock == Clock::Never => {}
            _ => return None,
        }
    }
    let mut order: Vec<usize> = (0..planner.slots.len()).collect();
    order.sort_by(|a, b| planner.slots[*a].0.cmp(&planner.slots[*b].0));
    let mut place = vec![0; order.len()];
    for (to, from) in order.iter().enumerate() {
        place[*from] = to;
    }
    renumber(&mut root, &place);
    let names = order.iter().map(|n| planner.slots[*n].1.clone()).collect();
    (!order.is_empty() && order.len() <= SLOTS_MAX).then_some(Shape { root, names })
}

/// Without a path to the time, the first of the usual members that is there: its name, and whether it reads as a time.
fn unasked(target: &Target, tree: &Tree, text: &str) -> Option<(&'static str, Clock)> {
    let Tree::Object(members) = tree else { return None };
    if target.time.is_some() {
        return None;
    }
    let there = |name: &&str| members.iter().any(|(other, _)| **other == **name);
    let name = TIMES.into_iter().find(|name| there(name))?;
    let json: serde_json::Value = serde_json::from_str(text).ok()?;
    let reads = time::of_json(json.get(name)?).is_ok();
    Some((name, if reads { Clock::Time } else { Clock::Never }))
}

fn renumber(node: &mut Node, place: &[usize]) {
    match node {
        Node::Leaf(leaf) => leaf.slots.iter_mut().for_each(|slot| *slot = place[*slot]),
        Node::Object(members) => members.iter_mut().for_each(|(_, member)| renumber(member, place)),
        Node::List(items) => items.iter_mut().for_each(|item| renumber(item, place)),
        Node::AnyList | Node::AnyNested | Node::Any => {}
    }
}

impl Planner<'_> {
    fn root(&mut self, tree: &Tree, wanted: &[Wanted<'_>], walk: Option<Walk>) -> Option<Node> {
        match (tree, walk) {
            (Tree::Leaf, Some(_)) if wanted.is_empty() => {
                self.slots.push((Rank::Signal(0), Name::Topic));
                Some(Node::Leaf(Leaf {
                    clock: Clock::None,
                    slots: vec![0],
                }))
            }
            (Tree::Object(_), Some(walk)) => self.object(tree, wanted, Some(&walk)),
            (_, Some(_)) => None,
            (_, None) => self.node(tree, wanted, None),
        }
    }

    /// `walk` is set if the place is a member of a walked object.
    fn node(&mut self, tree: &Tree, wanted: &[Wanted<'_>], walk: Option<Walk>) -> Option<Node> {
        let (here, further): (Vec<_>, Vec<_>) = wanted.iter().cloned().partition(|wanted| wanted.way.is_empty());
        match tree {
            Tree::Leaf if further.is_empty() => self.leaf(&here, walk),
            Tree::Leaf => None,
            Tree::Array(items) => {
                if !here.is_empty() {
                    return None;
                }
                if further.is_empty() {
                    return Some(if walk.is_some() { Node::AnyList } else { Node::Any });
                }
                let mut nodes = Vec::new();
                let mut led = 0;
                for (n, item) in items.iter().enumerate() {
                    let inside = led_on(&further, &Step::Item(n));
                    led += inside.len();
                    nodes.push(self.node(item, &inside, None)?);
                    if led == further.len() {
                        return Some(Node::List(nodes));
                    }
                }
                // A path leads nowhere in this text and might lead somewhere in the next.
                None
            }
            Tree::Object(_) => {
                let values = here.iter().any(|wanted| wanted.what == What::Values);
                if here.len() > usize::from(values) {
                    return None;
                }
                let walk = match (values, walk) {
                    // Taken twice, by the mapping and from above: by name.
                    (true, Some(_)) => return None,
                    (true, None) => Some(Walk {
                        depth: 1,
                        names: Vec::new(),
                    }),
                    (false, Some(walk)) if walk.depth < DEPTH_MAX => Some(Walk {
                        depth: walk.depth + 1,
                        ..walk
                    }),
                    (false, Some(_)) => return further.is_empty().then_some(Node::AnyNested),
                    (false, None) if further.is_empty() => return Some(Node::Any),
                    (false, None) => None,
                };
                self.object(tree, &further, walk.as_ref())
            }
        }
    }

    fn object(&mut self, tree: &Tree, wanted: &[Wanted<'_>], walk: Option<&Walk>) -> Option<Node> {
        let Tree::Object(members) = tree else { return None };
        let mut nodes = Vec::with_capacity(members.len());
        let mut led = 0;
        for (name, member) in members {
            let inside = led_on(wanted, &Step::Member(name.to_string()));
            led += inside.len();
            let skipped = self.skip && TIMES.contains(&&**name);
            let walk = match walk {
                Some(walk) if walk.depth > 0 || !skipped => Some(Walk {
                    depth: walk.depth,
                    names: walk.names.iter().cloned().chain([name.to_string()]).collect(),
                }),
                _ => None,
            };
            nodes.push((name.clone(), self.node(member, &inside, walk)?));
        }
        (led == wanted.len()).then_some(Node::Object(nodes))
    }

    fn leaf(&mut self, here: &[Wanted<'_>], walk: Option<Walk>) -> Option<Node> {
        let mut leaf = Leaf::default();
        for wanted in here {
            match wanted.what {
                What::Signal(n) => {
                    leaf.slots.push(self.slots.len());
                    let name = Name::Member(self.target.signals[n].0.clone());
                    self.slots.push((Rank::Signal(n), name));
                }
                What::Values => return None,
                What::Time => leaf.clock = Clock::Time,
            }
        }
        if here.is_empty() && walk.is_none() {
            return Some(Node::Any);
        }
        if let Some(walk) = walk {
            leaf.slots.push(self.slots.len());
            let name = walk
                .names
                .iter()
                .fold(String::new(), |prefix, name| joined(&prefix, name));
            self.slots.push((Rank::Member(walk.names), Name::Member(name)));
        }
        Some(Node::Leaf(leaf))
    }
}

fn led_on<'a>(wanted: &[Wanted<'a>], step: &Step) -> Vec<Wanted<'a>> {
    let inside = |wanted: &Wanted<'a>| match wanted.way.split_first() {
        Some((first, way)) if first == step => Some(Wanted { what: wanted.what, way }),
        _ => None,
    };
    wanted.iter().filter_map(inside).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_to_one_place_are_told_from_others() {
        let two = vec![Step::Member("a".into()), Step::Item(2)];
        assert_eq!(steps("$.a[2]"), Some(two.clone()));
        assert_eq!(steps("$['a'][2]"), Some(two));
        assert_eq!(steps("$"), Some(Vec::new()));
        for path in [
            "$..a",
            "$.*",
            "$[*]",
            "$[?@.x > 1]",
            "$[-1]",
            "$[1:2]",
            "$['a b']",
            "$.a.",
            "a",
            "$[1,2]",
            "$.é",
        ] {
            assert_eq!(steps(path), None, "{path}");
        }
    }
}
