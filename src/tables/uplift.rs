//! Treated customers of campaigns against their control groups.

use super::{Table, date, float64, text, uint32};
use crate::columns::*;

pub(super) const TABLE: Table = Table {
    name: "uplift",
    grain: "One row per campaign and measure: `buy_rate`, the share of the customers who bought, \
            and `money_mean`, the money per customer.",
    columns: &[
        text(CAMPAIGN),
        date(SINCE),
        uint32(HORIZON_DAYS).means("Days from the first day of the campaign."),
        text(MEASURE),
        uint32(TREATED_CUSTOMERS),
        uint32(CONTROL_CUSTOMERS),
        float64(TREATED),
        float64(CONTROL),
        float64(DIFFERENCE),
        float64(LOW).means("Lower end of the 95 % interval of the difference."),
        float64(HIGH).means("Upper end of the 95 % interval of the difference."),
    ],
};
