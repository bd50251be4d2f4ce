//! Cross-validation: how often is called rightly what was not learned from?

/// Parts of the known. Each is judged by what was learned from the others.
const FOLDS: usize = 4;

/// What came of it.
#[derive(Debug, PartialEq)]
pub struct Judged {
    /// Share of all that was called rightly.
    pub accuracy: f64,
    /// The mean of that share over classes.
    pub recall: f64,
    /// Parts that were not judged, because nothing could be learned from the others.
    pub left_out: usize,
}

/// Each of the known comes with its class, which is below `classes`. `right`: whether one of that class is called by it.
pub fn judge<T: Copy, M>(
    known: &[(usize, T)],
    classes: usize,
    learn: impl Fn(&[(usize, T)]) -> Option<M>,
    right: impl Fn(&M, usize, T) -> bool,
) -> Judged {
    let mut counts = vec![(0_usize, 0_usize); classes];
    let mut left_out = 0;
    for fold in 0..FOLDS {
        let of = |apart: bool| {
            let placed = known.iter().enumerate();
            placed.filter(move |(place, _)| (place % FOLDS == fold) == apart)
        };
        let others: Vec<_> = of(false).map(|(_, one)| *one).collect();
        let Some(model) = learn(&others) else {
            left_out += 1;
            continue;
        };
        for (_, (class, one)) in of(true) {
            counts[*class].1 += 1;
            counts[*class].0 += usize::from(right(&model, *class, *one));
        }
    }
    let share = |(right, all): &(usize, usize)| *right as f64 / (*all).max(1) as f64;
    let all = counts.iter().fold((0, 0), |sum, one| (sum.0 + one.0, sum.1 + one.1));
    Judged {
        accuracy: share(&all),
        recall: counts.iter().map(share).sum::<f64>() / counts.len() as f64,
        left_out,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_judged_once_and_never_by_what_was_learned_from_it() {
        let known: Vec<(usize, u32)> = (0..9).map(|n| (usize::from(n > 5), n)).collect();
        let learn = |others: &[(usize, u32)]| Some(others.iter().map(|(_, n)| *n).collect::<Vec<_>>());
        let judged = judge(&known, 2, learn, |learned, class, n| {
            assert!(!learned.contains(&n));
            class == 0
        });
        let expected = Judged {
            accuracy: 6.0 / 9.0,
            recall: 0.5,
            left_out: 0,
        };
        assert_eq!(judged, expected);
        let nothing = judge(&known, 2, |_| None::<()>, |(), _, _| true);
        assert_eq!((nothing.accuracy, nothing.left_out), (0.0, FOLDS));
    }
}
