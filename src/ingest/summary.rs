//! Orders of customers that are aggregated already: as many as the customer has, all on the day of
//! the last one.

use std::sync::Arc;

use polars::prelude::*;

use super::cell::{LINES_COLUMN, MONEY_COLUMN, ROW_COLUMN, UNITS_COLUMN, value_name};
use super::chunk_source::ChunkSource;
use super::{Computed, ReadError};
use crate::columns::{ORDER_ID, QUANTITY};

/// A larger number of orders is a mistake.
const MOST_ORDERS: i64 = 1_000_000;

/// The column with the ids of the orders.
pub(super) fn order_column() -> String {
    format!("custseg.summary.{ORDER_ID}")
}

/// The column as one that every file has.
pub fn orders() -> (String, Arc<Computed>) {
    (order_column(), Arc::new(Computed::empty_text(order_column())))
}

/// The lines of customers, repeated for each order. All money and units are on the first.
pub(super) struct SummarySource {
    pub(super) name: String,
    pub(super) customers: Arc<dyn ChunkSource>,
}

impl SummarySource {
    fn orders(&self, customers: &DataFrame) -> PolarsResult<DataFrame> {
        let counts = customers.column(&value_name(QUANTITY))?.i64()?;
        let numbers = customers.column(ROW_COLUMN)?.idx()?;
        let (mut rows, mut ids, mut is_first) = (Vec::new(), Vec::new(), Vec::new());
        for (row, (count, number)) in (0..).zip(counts.iter().zip(numbers.iter())) {
            let count = count.unwrap_or(1).max(1);
            let number = number.unwrap_or(0);
            if count > MOST_ORDERS {
                let reason = format!("row {number}: {count} orders of one customer");
                return Err(ReadError::Table { name: self.name.clone(), reason }.into());
            }
            for order in 0..count {
                rows.push(row);
                ids.push(format!("{number}.{order}"));
                is_first.push(order == 0);
            }
        }
        let rows = IdxCa::from_vec(PlSmallStr::EMPTY, rows);
        let mut orders = customers.take(&rows)?;
        orders.with_column(Column::new(order_column().into(), ids))?;
        let is_first = BooleanChunked::from_slice(PlSmallStr::EMPTY, &is_first);
        for name in [LINES_COLUMN, UNITS_COLUMN, MONEY_COLUMN] {
            let values = orders.column(name)?;
            let zeros = Column::new_scalar(name.into(), Scalar::from(0i64), values.len());
            let zeros = zeros.cast(values.dtype())?;
            let values = values.zip_with(&is_first, &zeros)?;
            orders.with_column(values)?;
        }
        Ok(orders)
    }
}

impl ChunkSource for SummarySource {
    fn next(&self) -> PolarsResult<Option<DataFrame>> {
        self.customers.next()?.map(|customers| self.orders(&customers)).transpose()
    }

    fn empty(&self) -> PolarsResult<DataFrame> {
        self.orders(&self.customers.empty()?)
    }

    fn promised_rows(&self) -> u64 {
        self.customers.promised_rows()
    }

    fn first_bad(&self) -> Option<ReadError> {
        self.customers.first_bad()
    }
}
