//! The dates to look back from.

use chrono::{Days, Months, NaiveDate};

use super::RfmError;

/// Which dates to look back from; each is exclusive.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnapshotDates {
    /// The day after the last accepted line.
    Last,
    /// These dates, ascending, each once.
    Given(Vec<NaiveDate>),
    /// Dates at even steps.
    Grid(Grid),
}

/// Dates at even steps, from the first on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Grid {
    /// The first date.
    pub from: NaiveDate,
    /// From one date to the next.
    pub every: Step,
    /// No date lies after this one; where none is named, the grid ends with the day after the last accepted line, which is added
    /// where it is off the grid.
    pub until: Option<NaiveDate>,
}

/// A step in time; at least one unit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// So many days.
    Days(u32),
    /// So many months: the same day of the month, or the month's last day where it has no such day.
    Months(u32),
}

impl Step {
    /// The date that lies so many steps after another; `None` beyond the calendar.
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
    /// The dates themselves, ascending, where the first and the last accepted line are of these days.
    ///
    /// # Errors
    /// A date that no accepted line lies before, or a grid that begins after its end.
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

    #[test]
    fn a_grid_ends_with_the_day_after_the_last_line() {
        let grid = |every, from: &str, until: Option<&str>| {
            let until = until.map(date);
            SnapshotDates::Grid(Grid { from: date(from), every, until })
                .within(date("2024-01-15"), date("2024-04-20"))
                .map(|dates| dates.iter().map(ToString::to_string).collect::<Vec<_>>())
        };
        let months = ["2024-01-31", "2024-02-29", "2024-03-31", "2024-04-21"];
        assert_eq!(grid(Step::Months(1), "2024-01-31", None).unwrap(), months);
        assert_eq!(grid(Step::Months(1), "2024-01-31", Some("2024-04-01")).unwrap(), months[..3]);
        assert_eq!(
            grid(Step::Days(7), "2024-04-07", None).unwrap(),
            ["2024-04-07", "2024-04-14", "2024-04-21"]
        );
        assert!(matches!(grid(Step::Days(7), "2024-04-22", None), Err(RfmError::EmptyGrid { .. })));
        assert!(matches!(grid(Step::Days(7), "2024-01-15", None), Err(RfmError::TooEarly { .. })));
    }
}
