//! The shops that can be simulated, with parameters chosen to resemble the real data sets.

use chrono::{Days, NaiveDate};

#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "snake_case")]
pub enum Shape {
    /// UCI Online Retail: order lines of a gift shop, 2010-12-01 to 2011-12-09
    OnlineRetail,
    /// CDNOW: customers who joined in the first twelve weeks of 1997, until 1998-06-30
    Cdnow,
}

pub(super) const PRODUCTS: u64 = 4_070;

/// Mean and standard deviation of the logarithm.
pub(super) type LogNormalParams = (f64, f64);

pub(super) struct Process {
    first: NaiveDate,
    pub(super) days: u64,
    /// Weights of the months, January first.
    pub(super) season: [f64; 12],
    /// Weights of the weekdays, Monday first.
    pub(super) weekday: [f64; 7],
    /// Share of the customers that are active before the first day.
    pub(super) earlier_share: f64,
    /// Days within which the other customers arrive.
    pub(super) arrival_days: f64,
    /// Mean days that a customer stays active.
    pub(super) lifetime: f64,
    /// Exponent g of the purchase rates: an order is of customer ⌊N · uᵍ⌋.
    pub(super) tail: f64,
    pub(super) first_id: u64,
    pub(super) lines: LogNormalParams,
    pub(super) quantity: LogNormalParams,
    pub(super) price: LogNormalParams,
    /// Share of the orders without a customer id.
    pub(super) anonymous_share: f64,
    /// How many times as many lines the orders without a customer id have.
    pub(super) anonymous_lines: f64,
    /// Share of the orders that are partly cancelled.
    pub(super) cancelled_share: f64,
    /// Share of the lines with price zero.
    pub(super) free_share: f64,
}

/// Busiest before Christmas; closed on Saturdays.
const ONLINE_RETAIL: Process = Process {
    first: NaiveDate::from_ymd_opt(2010, 12, 1).expect("a valid date"),
    days: 374,
    season: [0.8, 0.7, 0.9, 0.8, 1.0, 0.9, 0.9, 0.9, 1.3, 1.5, 2.0, 1.3],
    weekday: [1.0, 1.1, 1.1, 1.1, 0.9, 0.0, 0.7],
    earlier_share: 0.4,
    arrival_days: 374.0,
    lifetime: 300.0,
    tail: 2.0,
    first_id: 12_346,
    lines: (2.3, 1.15),
    quantity: (1.2, 1.2),
    price: (0.75, 0.95),
    anonymous_share: 0.143,
    anonymous_lines: 1.8,
    cancelled_share: 0.17,
    free_share: 0.0046,
};

const CDNOW: Process = Process {
    first: NaiveDate::from_ymd_opt(1997, 1, 1).expect("a valid date"),
    days: 546,
    season: [1.1, 1.3, 1.4, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 1.0, 1.2],
    weekday: [1.1, 1.1, 1.1, 1.0, 1.0, 0.8, 0.9],
    earlier_share: 0.0,
    arrival_days: 84.0,
    lifetime: 180.0,
    tail: 1.5,
    first_id: 1,
    lines: (-9.0, 0.1),
    quantity: (0.4, 0.8),
    price: (2.6, 0.25),
    anonymous_share: 0.0,
    anonymous_lines: 1.0,
    cancelled_share: 0.0,
    free_share: 0.0012,
};

impl Shape {
    pub(super) fn process(self) -> &'static Process {
        match self {
            Self::OnlineRetail => &ONLINE_RETAIL,
            Self::Cdnow => &CDNOW,
        }
    }

    pub fn first(self) -> NaiveDate {
        self.process().first
    }

    /// The day after the last one.
    pub fn end(self) -> NaiveDate {
        self.first() + Days::new(self.process().days)
    }
}
