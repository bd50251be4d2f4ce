//! A level that jumped to where it would stand in another unit: a firmware that now sends Fahrenheit, or millivolts.

/// Two units of the same quantity: `new = old * factor + offset`.
struct Change {
    factor: f64,
    offset: f64,
    words: &'static str,
}

const fn times(factor: f64, words: &'static str) -> Change {
    Change {
        factor,
        offset: 0.0,
        words,
    }
}

const CHANGES: [Change; 12] = [
    times(1000.0, "1000 times as large, such as milli-units for units"),
    times(1e-3, "a thousandth, such as kilo-units for units"),
    times(100.0, "100 times as large, such as percent for a share"),
    times(0.01, "a hundredth, such as a share for percent"),
    times(1e6, "a million times as large, such as micro-units for units"),
    times(1e-6, "a millionth, such as mega-units for units"),
    times(14.503_774, "14.5 times as large, such as psi for bar"),
    times(1.0 / 14.503_774, "a 14.5th, such as bar for psi"),
    Change {
        factor: 1.8,
        offset: 32.0,
        words: "degrees Fahrenheit for Celsius",
    },
    Change {
        factor: 1.0 / 1.8,
        offset: -32.0 / 1.8,
        words: "degrees Celsius for Fahrenheit",
    },
    Change {
        factor: 1.0,
        offset: 273.15,
        words: "Kelvin for degrees Celsius",
    },
    Change {
        factor: 1.0,
        offset: -273.15,
        words: "degrees Celsius for Kelvin",
    },
];

/// A value may be off from where it would stand by so many of its deviations, and by this share of it.
const DEVIATIONS: f64 = 3.0;
const SHARE: f64 = 0.005;

/// A place so wide, as a share of the way that was jumped, would be hit by chance.
const WIDEST: f64 = 0.2;

/// The change of unit by which `level` with that mean deviation becomes `value`, if there is one.
pub fn change(level: f64, deviation: f64, value: f64) -> Option<&'static str> {
    CHANGES.iter().find_map(|change| {
        let expected = level * change.factor + change.offset;
        let reach = DEVIATIONS * deviation * change.factor + SHARE * expected.abs();
        let hit = (value - expected).abs() <= reach && reach <= WIDEST * (expected - level).abs();
        hit.then_some(change.words)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_change_is_found_and_a_mere_jump_is_none() {
        let said = |level, value| change(level, 0.1, value).unwrap_or_default();
        assert!(said(21.3, 70.4).contains("Fahrenheit for"));
        assert!(said(70.4, 21.3).contains("Celsius for Fahrenheit"));
        assert!(said(21.3, 294.5).contains("Kelvin"));
        assert!(said(3.3, 3290.0).contains("1000"));
        assert!(said(3290.0, 3.3).contains("thousandth"));
        assert!(said(2.0, 29.0).contains("psi for bar"));
        for value in [30.0, 50.0, 90.0, -21.3, 0.0, 2000.0] {
            assert_eq!(change(21.3, 0.1, value), None, "{value}");
        }
        assert_eq!(change(0.0, 1.0, 3.0), None, "around zero everything is alike");
    }
}
