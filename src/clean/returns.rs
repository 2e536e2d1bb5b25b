//! Matches returns with the purchases that they undo.
//!
//! The candidates of a return are earlier purchases of the same customer and product with
//! unreturned units. The newest purchase with exactly the returned number of units left matches,
//! preferably one of the same price. Otherwise the return takes units from the newest purchase
//! backwards.

use polars::prelude::*;

use crate::columns::*;

/// Columns of the lines that [`Pairs::of`] requires.
pub const CANDIDATE: [&str; 9] =
    [CUSTOMER_ID, PRODUCT_ID, ORDER_ID, ORDERED_AT, DAY, QUANTITY, MONEY, LINE, RETURNED];

/// Returns with the purchases that they undo.
#[derive(Debug, Clone)]
pub struct Pairs {
    /// One row per part of a return: `customer_id`, `order_id` (of the return), `product_id` text,
    /// `ordered_at` datetime\[μs\], `day` date, `units` i64 (positive), `matched_order_id` text
    /// (null if the part has no purchase).
    pub table: DataFrame,
    /// Line numbers of returns without any purchase, ascending.
    unmatched: Vec<u64>,
}

/// Begins the ids of orders without an id: customer and day follow, separated by it.
pub(crate) const DAY_ORDER: &str = "\0";

/// A purchase with unreturned units.
struct OpenPurchase<'a> {
    order: Option<&'a str>,
    units: i64,
    units_left: i64,
    money: i64,
}

impl Pairs {
    /// Matches returns among the lines of customers and products that have returns. Other lines may
    /// be left out.
    pub fn of(candidates: &DataFrame) -> PolarsResult<Self> {
        let text = [CUSTOMER_ID, PRODUCT_ID, ORDER_ID].map(|name| col(name).cast(DataType::String));
        // Lines that tie even in these columns undo the same purchases in either order.
        let order =
            [CUSTOMER_ID, PRODUCT_ID, ORDERED_AT, RETURNED, ORDER_ID, QUANTITY, MONEY, LINE];
        let candidates = candidates.clone().lazy().with_columns(text);
        let sorted = candidates.sort(order, Default::default()).collect()?;
        let customers = sorted.column(CUSTOMER_ID)?.str()?;
        let products = sorted.column(PRODUCT_ID)?.str()?;
        let orders = sorted.column(ORDER_ID)?.str()?;
        let returned = sorted.column(RETURNED)?.bool()?;
        let quantities = sorted.column(QUANTITY)?.i64()?;
        let amounts = sorted.column(MONEY)?.i64()?;
        let lines = sorted.column(LINE)?.u64()?;

        let mut open = Vec::new();
        let mut unmatched = Vec::new();
        let (mut rows, mut units, mut matched_orders) = (Vec::new(), Vec::new(), Vec::new());
        let mut group = (None, None);
        for row in 0..sorted.height() {
            let row_group = (customers.get(row), products.get(row));
            if row_group != group {
                open.clear();
                group = row_group;
            }
            let quantity = quantities.get(row).unwrap_or(0);
            let money = amounts.get(row).unwrap_or(0);
            if returned.get(row) == Some(true) {
                if quantity > 0 {
                    let id = orders.get(row).unwrap_or_default();
                    polars_bail!(ComputeError:
                        "`policy: match` needs negative quantities of returned units; order `{id}` has \
                         {quantity}");
                }
                let mut parts = undo(&mut open, -quantity, money);
                if parts.is_empty() {
                    unmatched.extend(lines.get(row));
                }
                let units_left = -quantity - parts.iter().map(|(part, _)| part).sum::<i64>();
                if units_left > 0 {
                    parts.push((units_left, None));
                }
                for (part, order) in parts {
                    rows.push(row as IdxSize);
                    units.push(part);
                    matched_orders.push(order);
                }
            } else if quantity > 0 {
                let order = orders.get(row);
                open.push(OpenPurchase { order, units: quantity, units_left: quantity, money });
            }
        }
        let rows = IdxCa::from_vec(LINE.into(), rows);
        let mut table =
            sorted.select([CUSTOMER_ID, ORDER_ID, PRODUCT_ID, ORDERED_AT, DAY])?.take(&rows)?;
        table.with_column(Column::new(UNITS.into(), units))?;
        table.with_column(Column::new(MATCHED_ORDER_ID.into(), matched_orders))?;
        unmatched.sort_unstable();
        Ok(Self { table, unmatched })
    }

    /// The table as it is published: an order without an id is named by its day.
    pub fn published(&self) -> PolarsResult<DataFrame> {
        let by_day = |name: &str| {
            let day = col(name).str().split(lit(DAY_ORDER)).list().last();
            when(col(name).str().starts_with(lit(DAY_ORDER)))
                .then(day)
                .otherwise(col(name))
                .alias(name)
        };
        let named = [ORDER_ID, MATCHED_ORDER_ID].map(by_day);
        self.table.clone().lazy().with_columns(named).collect()?.drop(DAY)
    }

    /// Whether a line number belongs to a return without any purchase.
    pub(super) fn is_unmatched(&self, line: Expr) -> Expr {
        let unmatched = Series::new(LINE.into(), &self.unmatched);
        line.is_in(lit(unmatched).implode(false), false)
    }

    /// For fully returned orders, the `day` on which the last unit was returned, with `customer_id`
    /// and `order_id`. `purchases` has one row per order: `customer_id`, `order_id`, `units`.
    pub fn fully_returned(&self, purchases: LazyFrame) -> PolarsResult<LazyFrame> {
        let matched = self.table.clone().lazy().filter(col(MATCHED_ORDER_ID).is_not_null());
        let by_day = matched
            .group_by([col(CUSTOMER_ID), col(MATCHED_ORDER_ID).alias(ORDER_ID), col(DAY)])
            .agg([col(UNITS).sum().alias(RETURNED)])
            .sort([DAY], Default::default())
            .with_column(col(RETURNED).cum_sum(false).over([col(CUSTOMER_ID), col(ORDER_ID)])?);
        let keys = [col(CUSTOMER_ID), col(ORDER_ID)];
        let joined =
            by_day.join(purchases, keys.clone(), keys.clone(), JoinArgs::new(JoinType::Inner));
        Ok(joined.filter(col(RETURNED).gt_eq(col(UNITS))).group_by(keys).agg([col(DAY).min()]))
    }
}

/// Takes `units` from the open purchases; returns the units and the order of each part.
fn undo<'a>(
    open: &mut [OpenPurchase<'a>],
    mut units: i64,
    money: i64,
) -> Vec<(i64, Option<&'a str>)> {
    let fits = |purchase: &OpenPurchase<'_>| purchase.units_left == units && units > 0;
    let has_price = |purchase: &OpenPurchase<'_>| {
        i128::from(purchase.money) * i128::from(units)
            == -i128::from(money) * i128::from(purchase.units)
    };
    let exact = open.iter().rposition(|purchase| fits(purchase) && has_price(purchase));
    if let Some(idx) = exact.or_else(|| open.iter().rposition(fits)) {
        open[idx].units_left = 0;
        return vec![(units, open[idx].order)];
    }
    let mut parts = Vec::new();
    for purchase in open.iter_mut().rev().filter(|purchase| purchase.units_left > 0) {
        let part = units.min(purchase.units_left);
        if part <= 0 {
            break;
        }
        purchase.units_left -= part;
        units -= part;
        parts.push((part, purchase.order));
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open(units: i64, money: i64, order: &str) -> OpenPurchase<'_> {
        OpenPurchase { order: Some(order), units, units_left: units, money }
    }

    #[test]
    fn return_takes_the_best_matching_purchase() {
        type Case = (&'static str, i64, i64, &'static [(i64, &'static str)]);
        let cases: [Case; 6] = [
            ("newest with the same units", 4, -40, &[(4, "d")]),
            ("same units and price", 4, -80, &[(4, "b")]),
            ("otherwise the newest", 1, -10, &[(1, "d")]),
            ("several if one does not suffice", 7, -70, &[(4, "d"), (3, "c")]),
            ("all if too few were bought", 99, -990, &[(4, "d"), (9, "c"), (4, "b"), (2, "a")]),
            ("none if no unit is returned", 0, 0, &[]),
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
