//! Reasons for which a row of the source cannot be parsed, and their codes.

use crate::columns::{AMOUNT, QUANTITY, UNIT_PRICE};

/// Two declared formats read a timestamp differently. The run fails: no format can be preferred.
pub const AMBIGUOUS_TIMESTAMP: &str =
    "ordered_at ambiguous: two declared formats read it differently";
/// The run fails: a sum over currencies means nothing.
pub const FOREIGN_CURRENCY: &str = "currency is not the pipeline's, and no rates are given";
/// The money of a line exceeds [`MONEY_LIMIT`].
pub const AMOUNT_OUT_OF_RANGE: &str = "quantity × unit_price out of range";
/// The currency has no rate on the line's day.
pub(super) const NO_RATE: &str = "no rate for the currency on that day";
/// The converted money exceeds [`MONEY_LIMIT`].
pub(super) const MONEY_OUT_OF_RANGE: &str = "money out of range in the pipeline's currency";
/// A quantity has too many decimals, or is too large.
pub const QUANTITY_LIMIT: &str = "quantity out of range or too fine";
pub const WORKBOOK_ERROR: &str = "is an error of the workbook";
pub const UNDECODABLE: &str = "not in the declared encoding";
/// Reasons for which a CSV record is bad. `BadRecord::fault` is an index into this list.
pub const RECORD_FAULTS: [&str; 3] = ["too few fields", "too many fields", UNDECODABLE];

/// Largest money of a line in minor units: the sum of a thousand such lines still fits 64 bits.
pub const MONEY_LIMIT: f64 = 9e15;

/// A reason for which a row cannot be parsed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fault {
    pub reason: String,
    /// The pipeline's name of the faulty cell. `None` if the cell is empty or the whole row is at
    /// fault.
    pub cell: Option<&'static str>,
    /// Whether the row can be parsed, but the filter of its source leaves it out.
    pub is_filter: bool,
}

impl Fault {
    /// Whether the money of such a row can still be read.
    pub fn leaves_money(&self) -> bool {
        let reason = self.reason.as_str();
        let of_money = [QUANTITY, UNIT_PRICE, AMOUNT].iter().any(|name| reason.starts_with(name));
        let others = [FOREIGN_CURRENCY, NO_RATE, MONEY_OUT_OF_RANGE];
        !of_money && !RECORD_FAULTS.contains(&reason) && !others.contains(&reason)
    }
}

/// All faults of a run without duplicates. The code of a fault is its index.
#[derive(Debug, Default)]
pub(super) struct FaultList(pub(super) Vec<Fault>);

impl FaultList {
    /// Adds a fault unless the list has it. Returns its code.
    fn add(&mut self, fault: Fault) -> u8 {
        let known = self.0.iter().position(|known| *known == fault);
        let code = known.unwrap_or_else(|| {
            self.0.push(fault);
            self.0.len() - 1
        });
        code as u8
    }

    pub(super) fn in_row(&mut self, reason: &str) -> u8 {
        self.add(Fault { reason: reason.to_owned(), cell: None, is_filter: false })
    }

    pub(super) fn in_cell(&mut self, cell: &'static str, reason: &str) -> u8 {
        self.add(Fault { reason: reason.to_owned(), cell: Some(cell), is_filter: false })
    }

    /// The reason of the rows that a source leaves out.
    pub(super) fn filter(&mut self, reason: String) -> u8 {
        self.add(Fault { reason, cell: None, is_filter: true })
    }

    pub(super) fn missing(&mut self, cell: &str) -> u8 {
        self.in_row(&format!("{cell} missing"))
    }

    #[expect(clippy::expect_used, reason = "the list is built from the same sources as the plan")]
    pub(super) fn code(&self, reason: &str) -> u8 {
        let index = self.0.iter().position(|fault| fault.reason == reason);
        index.expect("every reason of the plan is in the list of faults") as u8
    }
}
