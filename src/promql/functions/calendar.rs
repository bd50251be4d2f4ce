//! Parts of a date, UTC.

use crate::model::time::civil_from_days;

/// Which part.
#[derive(Debug, Clone, Copy)]
pub(in crate::promql) enum Calendar {
    Minute,
    Hour,
    DayOfWeek,
    DayOfMonth,
    DayOfYear,
    DaysInMonth,
    Month,
    Year,
}

pub(super) fn find(name: &str) -> Option<Calendar> {
    Some(match name {
        "minute" => Calendar::Minute,
        "hour" => Calendar::Hour,
        "day_of_week" => Calendar::DayOfWeek,
        "day_of_month" => Calendar::DayOfMonth,
        "day_of_year" => Calendar::DayOfYear,
        "days_in_month" => Calendar::DaysInMonth,
        "month" => Calendar::Month,
        "year" => Calendar::Year,
        _ => return None,
    })
}

/// Seconds that still make a date that can be reckoned with: some 300,000 years.
const FAR: f64 = 1e13;

impl Calendar {
    /// That part of a time in seconds since the Unix epoch.
    pub(super) fn of(self, seconds: f64) -> f64 {
        if !seconds.is_finite() || seconds.abs() > FAR {
            return f64::NAN;
        }
        let seconds = seconds as i64;
        let days = seconds.div_euclid(86_400);
        let (year, month, day) = civil_from_days(days);
        let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
        let length = |month: i64| match month {
            2 => 28 + i64::from(leap),
            4 | 6 | 9 | 11 => 30,
            _ => 31,
        };
        let part = match self {
            Self::Minute => seconds.rem_euclid(86_400) / 60 % 60,
            Self::Hour => seconds.rem_euclid(86_400) / 3600,
            // The epoch was a Thursday.
            Self::DayOfWeek => (days + 4).rem_euclid(7),
            Self::DayOfMonth => day,
            Self::DayOfYear => (1..month).map(length).sum::<i64>() + day,
            Self::DaysInMonth => length(month),
            Self::Month => month,
            Self::Year => year,
        };
        part as f64
    }
}
