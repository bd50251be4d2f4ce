//! The series of a device while they become known, in as little room as may be: every device of the fleet has such a list.

use super::multivariate::CHANNELS_MAX;

/// The series of a device.
pub enum Members {
    /// From and to: mostly they became known together and stand side by side.
    Side(u32, u32),
    Apart(Box<[u32]>),
}

impl Members {
    /// One.
    pub fn of(series: u32) -> Self {
        Self::Side(series, series)
    }

    /// All of them; of very many, as many as show that they are too many.
    pub fn list(&self) -> Vec<u32> {
        match self {
            Self::Side(from, to) => (*from..=*to).take(CHANNELS_MAX + 1).collect(),
            Self::Apart(list) => list.to_vec(),
        }
    }

    /// Adds a series to those that are known.
    pub fn gather(&mut self, series: u32) {
        match self {
            Self::Side(from, to) if (*from..=*to).contains(&series) => return,
            Self::Side(_, to) if to.checked_add(1) == Some(series) => {
                *to = series;
                return;
            }
            Self::Side(..) => {}
            Self::Apart(list) if list.contains(&series) => return,
            Self::Apart(_) => {}
        }
        let mut list = self.list();
        if list.len() <= CHANNELS_MAX {
            list.push(series);
            *self = Self::Apart(list.into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_is_listed_once_wherever_it_stands() {
        let mut members = Members::of(7);
        for series in [8, 7, 9, 8] {
            members.gather(series);
        }
        assert_eq!(members.list(), [7, 8, 9]);
        for series in [3, 9, 3, 10] {
            members.gather(series);
        }
        assert_eq!(members.list(), [7, 8, 9, 3, 10]);
        let mut many = Members::of(0);
        (0..1000).for_each(|series| many.gather(series));
        assert_eq!(many.list().len(), CHANNELS_MAX + 1);
    }
}
