//! Lists for people: what is of one sort is told a few times, and the rest of it is counted in one line.

use std::collections::BTreeMap;

/// Of one sort so many are told one by one, the last of which may be a line for the rest.
const ALIKE: usize = 4;

/// Names that stand for many.
const NAMED: usize = 3;

/// One line for each, in their order; where many are of one sort, the first of them and a line for the rest of that sort.
pub fn fold<T: Copy, S: Ord>(
    all: &[T],
    sort: impl Fn(T) -> S,
    one: impl Fn(T) -> String,
    rest: impl Fn(&S, &[T]) -> String,
) -> Vec<String> {
    let mut sorts: BTreeMap<S, (Vec<T>, usize)> = BTreeMap::new();
    for each in all {
        sorts.entry(sort(*each)).or_default().0.push(*each);
    }
    let mut told = Vec::new();
    for each in all {
        let sort = sort(*each);
        let Some((alike, place)) = sorts.get_mut(&sort) else {
            continue;
        };
        *place += 1;
        if *place < ALIKE || alike.len() <= ALIKE {
            told.push(one(*each));
        } else if *place == ALIKE {
            told.push(rest(&sort, alike.get(ALIKE - 1..).unwrap_or_default()));
        }
    }
    told
}

/// The first few names of many.
pub fn such_as<'a>(names: impl Iterator<Item = &'a str>) -> String {
    format!("{} …", names.take(NAMED).collect::<Vec<_>>().join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_are_told_one_by_one_and_of_many_the_rest_is_counted() {
        let told = |all: &[(&'static str, u32)]| {
            let one = |(name, number): (&str, u32)| format!("{name} {number}");
            let rest = |_: &&str, rest: &[(&str, u32)]| format!("{} more", rest.len());
            fold(all, |(name, _)| name, one, rest).join(", ")
        };
        let of = |name: &'static str, many: u32| (0..many).map(move |number| (name, number)).collect::<Vec<_>>();
        assert_eq!(told(&of("a", 4)), "a 0, a 1, a 2, a 3");
        assert_eq!(told(&of("a", 60)), "a 0, a 1, a 2, 57 more");
        let both = [of("a", 5), of("b", 1)].concat();
        assert_eq!(told(&both), "a 0, a 1, a 2, 2 more, b 0");
        assert_eq!(told(&[]), "");
        assert_eq!(such_as(["x", "y", "z", "w"].into_iter()), "x, y, z …");
    }
}
