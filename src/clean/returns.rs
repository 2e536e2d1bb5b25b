//! Pairs returns with the purchases that they undo.
//!
//! A return looks among the earlier purchases of the same customer and product that still have units left: at the newest of
//! which exactly as many units are left as come back, at one of the same price before others; else it takes from the newest
//! backwards, over several where one does not suffice. What is deliberately absent: the reading of lines, which `orders` does.

use polars::prelude::*;

use crate::columns::{
    CUSTOMER_ID, DAY, LINE, MONEY, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, RETURNED,
    UNDONE_ORDER_ID, UNITS,
};

/// Columns that [`Pairs::of`] needs of the lines.
pub const CANDIDATE: [&str; 9] =
    [CUSTOMER_ID, PRODUCT_ID, ORDER_ID, ORDERED_AT, DAY, QUANTITY, MONEY, LINE, RETURNED];

/// What the returns undo.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// One row a piece of a return: `customer_id`, `order_id` (of the return), `product_id` text, `ordered_at` datetime\[μs\], `day`
    /// date, `units` i64 (positive), `undone_order_id` text (null where no purchase is left for the piece).
    pub table: DataFrame,
    /// Lines of returns for which nothing was found.
    unmatched: Vec<u64>,
}

/// A purchase with units left.
struct Open<'a> {
    order: Option<&'a str>,
    bought: i64,
    left: i64,
    money: i64,
}

/// Part of a return: the row of the return, its units, and the order that they undo.
type Piece<'a> = (usize, i64, Option<&'a str>);

impl Pairs {
    /// Pairs the lines of customers and products with returns; other lines may be left out.
    ///
    /// # Errors
    /// A column that is missing.
    pub fn of(candidates: &DataFrame) -> PolarsResult<Self> {
        let text = [CUSTOMER_ID, PRODUCT_ID, ORDER_ID].map(|name| col(name).cast(DataType::String));
        // Lines that still tie undo the same whichever comes first.
        let order =
            [CUSTOMER_ID, PRODUCT_ID, ORDERED_AT, RETURNED, ORDER_ID, QUANTITY, MONEY, LINE];
        let sorted = candidates
            .clone()
            .lazy()
            .with_columns(text)
            .sort(order, Default::default())
            .collect()?;
        let (customers, products) =
            (sorted.column(CUSTOMER_ID)?.str()?, sorted.column(PRODUCT_ID)?.str()?);
        let (orders, returned) =
            (sorted.column(ORDER_ID)?.str()?, sorted.column(RETURNED)?.bool()?);
        let (units, money) = (sorted.column(QUANTITY)?.i64()?, sorted.column(MONEY)?.i64()?);
        let lines = sorted.column(LINE)?.u64()?;
        let (mut open, mut pieces, mut unmatched): (Vec<Open<'_>>, Vec<Piece<'_>>, Vec<u64>) =
            Default::default();
        let mut of = (None, None);
        for row in 0..sorted.height() {
            let whose = (customers.get(row), products.get(row));
            if whose != of {
                (open, of) = (Vec::new(), whose);
            }
            let (n, worth) = (units.get(row).unwrap_or(0), money.get(row).unwrap_or(0));
            if returned.get(row) == Some(true) {
                let found = undo(&mut open, -n, worth);
                if found.is_empty() {
                    unmatched.extend(lines.get(row));
                }
                let left = -n - found.iter().map(|(units, _)| units).sum::<i64>();
                pieces.extend(found.into_iter().map(|(units, order)| (row, units, order)));
                if left > 0 {
                    pieces.push((row, left, None));
                }
            } else if n > 0 {
                open.push(Open { order: orders.get(row), bought: n, left: n, money: worth });
            }
        }
        let rows =
            IdxCa::from_vec(LINE.into(), pieces.iter().map(|piece| piece.0 as IdxSize).collect());
        let mut table =
            sorted.select([CUSTOMER_ID, ORDER_ID, PRODUCT_ID, ORDERED_AT, DAY])?.take(&rows)?;
        table.with_column(Column::new(
            UNITS.into(),
            pieces.iter().map(|piece| piece.1).collect::<Vec<_>>(),
        ))?;
        table.with_column(Column::new(
            UNDONE_ORDER_ID.into(),
            pieces.iter().map(|piece| piece.2).collect::<Vec<_>>(),
        ))?;
        unmatched.sort_unstable();
        Ok(Self { table, unmatched })
    }

    /// Whether a line is a return for which nothing was found.
    pub(super) fn is_unmatched(&self, line: Expr) -> Expr {
        let unmatched = Series::new(LINE.into(), &self.unmatched);
        line.is_in(lit(unmatched).implode(false), false)
    }

    /// Day on which the last unit of an order came back, for the orders of which none is left: `bought` has one row
    /// an order: `customer_id`, `order_id`, `units`.
    ///
    /// # Errors
    /// A column that is missing.
    pub fn undone(&self, bought: LazyFrame) -> PolarsResult<LazyFrame> {
        let days = self.table.clone().lazy().filter(col(UNDONE_ORDER_ID).is_not_null());
        let by_day = days
            .group_by([col(CUSTOMER_ID), col(UNDONE_ORDER_ID).alias(ORDER_ID), col(DAY)])
            .agg([col(UNITS).sum().alias(RETURNED)])
            .sort([DAY], Default::default())
            .with_column(col(RETURNED).cum_sum(false).over([col(CUSTOMER_ID), col(ORDER_ID)])?);
        let keys = [col(CUSTOMER_ID), col(ORDER_ID)];
        let whole = by_day.join(bought, keys.clone(), keys.clone(), JoinArgs::new(JoinType::Inner));
        Ok(whole.filter(col(RETURNED).gt_eq(col(UNITS))).group_by(keys).agg([col(DAY).min()]))
    }
}

/// Takes `units` from the open purchases; returns how many from which order.
fn undo<'a>(open: &mut [Open<'a>], mut units: i64, money: i64) -> Vec<(i64, Option<&'a str>)> {
    let whole = |purchase: &Open<'_>| purchase.left == units && units > 0;
    let at_price = |purchase: &Open<'_>| {
        i128::from(purchase.money) * i128::from(units)
            == -i128::from(money) * i128::from(purchase.bought)
    };
    let exact = open.iter().rposition(|purchase| whole(purchase) && at_price(purchase));
    let exact = exact.or_else(|| open.iter().rposition(whole));
    if let Some(purchase) = exact.map(|idx| &mut open[idx]) {
        purchase.left = 0;
        return vec![(units, purchase.order)];
    }
    let mut taken = Vec::new();
    for purchase in open.iter_mut().rev().filter(|purchase| purchase.left > 0) {
        let part = units.min(purchase.left);
        if part <= 0 {
            break;
        }
        purchase.left -= part;
        units -= part;
        taken.push((part, purchase.order));
    }
    taken
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(left: i64, money: i64, order: &str) -> Open<'_> {
        Open { order: Some(order), bought: left, left, money }
    }

    #[test]
    fn a_return_undoes_what_fits_it_best() {
        type Case = (&'static str, i64, i64, &'static [(i64, &'static str)]);
        let cases: [Case; 6] = [
            ("the newest of as many units", 4, -40, &[(4, "d")]),
            ("of as many units, at the same price", 4, -80, &[(4, "b")]),
            ("else the newest", 1, -10, &[(1, "d")]),
            ("over several where one does not suffice", 7, -70, &[(4, "d"), (3, "c")]),
            ("as far as there is something", 99, -990, &[(4, "d"), (9, "c"), (4, "b"), (2, "a")]),
            ("nothing comes back", 0, 0, &[]),
        ];
        for (name, units, money, expected) in cases {
            let mut purchases =
                [open(2, 20, "a"), open(4, 80, "b"), open(9, 90, "c"), open(4, 40, "d")];
            let expected: Vec<_> =
                expected.iter().map(|(units, order)| (*units, Some(*order))).collect();
            assert_eq!(undo(&mut purchases, units, money), expected, "{name}");
        }
    }
}
