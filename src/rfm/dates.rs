//! The snapshot dates. A snapshot counts lines before its date only.

use chrono::{Days, Months, NaiveDate};

use super::RfmError;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotDates {
    /// The day after the last accepted line.
    Last,
    /// These dates, ascending and distinct.
    Given(Vec<NaiveDate>),
    Grid(Grid),
}

/// Dates at a fixed interval.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    pub from: NaiveDate,
    pub every: Interval,
    /// The last possible date. If `None`, the grid ends with the day after the last accepted line,
    /// which is added if it is not on the grid.
    pub until: Option<NaiveDate>,
}

/// The interval between two dates; at least one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Interval {
    Days(u32),
    /// Keeps the day of the month, or takes the month's last day if the month is shorter.
    Months(u32),
}

impl Interval {
    /// The date `times` intervals after another; `None` beyond the calendar.
    fn after(self, from: NaiveDate, times: u32) -> Option<NaiveDate> {
        match self {
            Self::Days(days) => {
                from.checked_add_days(Days::new(u64::from(days) * u64::from(times)))
            }
            Self::Months(months) => {
                from.checked_add_months(Months::new(months.checked_mul(times)?))
            }
        }
    }
}

impl SnapshotDates {
    /// The newest date, or a later one, if it does not depend on the source.
    pub(crate) fn newest(&self) -> Option<NaiveDate> {
        match self {
            Self::Last => None,
            Self::Given(dates) => dates.last().copied(),
            Self::Grid(grid) => grid.until,
        }
    }

    /// The dates, ascending. `first` and `last` are the days of the first and last accepted line.
    ///
    /// # Errors
    /// A date is not after `first`, or a grid starts after its end.
    pub fn within(&self, first: NaiveDate, last: NaiveDate) -> Result<Vec<NaiveDate>, RfmError> {
        let end = last.succ_opt().unwrap_or(last);
        let dates = match self {
            Self::Last => vec![end],
            Self::Given(dates) => dates.clone(),
            Self::Grid(grid) => {
                let until = grid.until.unwrap_or(end);
                let steps = (0..).map_while(|times| grid.every.after(grid.from, times));
                let mut dates: Vec<NaiveDate> = steps.take_while(|date| *date <= until).collect();
                if dates.is_empty() {
                    return Err(RfmError::EmptyGrid { from: grid.from, until });
                }
                if grid.until.is_none() && dates.last() != Some(&end) {
                    dates.push(end);
                }
                dates
            }
        };
        match dates.iter().find(|date| **date <= first) {
            Some(&date) => Err(RfmError::TooEarly { date, first }),
            None => Ok(dates),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn date(text: &str) -> NaiveDate {
        text.parse().unwrap()
    }

    fn grid(every: Interval, from: &str, until: Option<&str>) -> Result<Vec<String>, RfmError> {
        let grid = Grid { from: date(from), every, until: until.map(date) };
        let dates = SnapshotDates::Grid(grid).within(date("2024-01-15"), date("2024-04-20"))?;
        Ok(dates.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn grid_ends_with_the_day_after_the_last_line() {
        let month = Interval::Months(1);
        let week = Interval::Days(7);
        let months = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-21"];
        assert_eq!(grid(month, "2024-01-31", None).unwrap(), months);
        assert_eq!(grid(month, "2024-01-31", Some("2024-04-01")).unwrap(), months[..3]);
        let weeks = ["2024-04-07", "2024-04-14", "2024-04-21"];
        assert_eq!(grid(week, "2024-04-07", None).unwrap(), weeks);
        assert!(matches!(grid(week, "2024-04-22", None), Err(RfmError::EmptyGrid { .. })));
        assert!(matches!(grid(week, "2024-01-15", None), Err(RfmError::TooEarly { .. })));
    }
}
