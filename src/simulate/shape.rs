//! The shops that can be made up: their calendar and the numbers of their process, chosen by the real ones.

use chrono::NaiveDate;

/// Which shop.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shape {
    /// UCI Online Retail: a year of order lines of a gift-ware shop.
    OnlineRetail,
    /// CDNOW: a year and a half of purchases by those who came in its first twelve weeks.
    Cdnow,
}

/// Numbers of log-normal things: of the logarithm its mean and standard deviation.
pub(super) type LogNormal = (f64, f64);

impl Shape {
    /// The first day.
    pub fn first(self) -> NaiveDate {
        let (year, month) = match self {
            Self::OnlineRetail => (2010, 12),
            Self::Cdnow => (1997, 1),
        };
        NaiveDate::from_ymd_opt(year, month, 1).unwrap_or_default()
    }

    /// How many days there are.
    pub fn days(self) -> u64 {
        match self {
            Self::OnlineRetail => 374,
            Self::Cdnow => 546,
        }
    }

    /// How the months of a year compare, January first: gifts are bought for Christmas.
    pub(super) fn season(self, month: usize) -> f64 {
        match self {
            Self::OnlineRetail => {
                [0.8, 0.7, 0.9, 0.8, 1.0, 0.9, 0.9, 0.9, 1.3, 1.5, 2.0, 1.3][month]
            }
            Self::Cdnow => [1.1, 1.3, 1.4, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 0.8, 1.0, 1.2][month],
        }
    }

    /// How the days of a week compare, Monday first: the gift-ware shop is closed on Saturdays.
    pub(super) fn weekday(self, day: usize) -> f64 {
        match self {
            Self::OnlineRetail => [1.0, 1.1, 1.1, 1.1, 0.9, 0.0, 0.7][day],
            Self::Cdnow => [1.1, 1.1, 1.1, 1.0, 1.0, 0.8, 0.9][day],
        }
    }

    /// Share of the customers that there were before the first day, and the days within which the others come.
    pub(super) fn arrivals(self) -> (f64, f64) {
        match self {
            Self::OnlineRetail => (0.4, 374.0),
            Self::Cdnow => (0.0, 84.0),
        }
    }

    /// Days that a customer stays, on average.
    pub(super) fn lifetime(self) -> f64 {
        match self {
            Self::OnlineRetail => 300.0,
            Self::Cdnow => 180.0,
        }
    }

    /// How heavy the tail of the rates is: an order is of customer ⌊N · uᵍ⌋.
    pub(super) fn tail(self) -> f64 {
        match self {
            Self::OnlineRetail => 2.0,
            Self::Cdnow => 1.5,
        }
    }

    /// The lowest id of a customer.
    pub(super) fn first_id(self) -> u64 {
        match self {
            Self::OnlineRetail => 12_346,
            Self::Cdnow => 1,
        }
    }

    /// Lines of an order.
    pub(super) fn lines(self) -> LogNormal {
        match self {
            Self::OnlineRetail => (2.3, 1.15),
            Self::Cdnow => (-9.0, 0.1),
        }
    }

    /// Units of a line.
    pub(super) fn quantity(self) -> LogNormal {
        match self {
            Self::OnlineRetail => (1.2, 1.2),
            Self::Cdnow => (0.4, 0.8),
        }
    }

    /// Price of a product.
    pub(super) fn price(self) -> LogNormal {
        match self {
            Self::OnlineRetail => (0.75, 0.95),
            Self::Cdnow => (2.6, 0.25),
        }
    }

    /// Number of products.
    pub(super) fn products(self) -> u64 {
        4_070
    }

    /// Share of the orders that are of nobody, and how many times as many lines they have.
    pub(super) fn nobody(self) -> (f64, f64) {
        match self {
            Self::OnlineRetail => (0.143, 1.8),
            Self::Cdnow => (0.0, 1.0),
        }
    }

    /// Share of the orders that are partly cancelled.
    pub(super) fn cancelled(self) -> f64 {
        match self {
            Self::OnlineRetail => 0.17,
            Self::Cdnow => 0.0,
        }
    }

    /// Share of the lines that cost nothing.
    pub(super) fn free(self) -> f64 {
        match self {
            Self::OnlineRetail => 0.0046,
            Self::Cdnow => 0.0012,
        }
    }
}
