//! Layouts of well-known exports.

use super::yaml::quoted;
use super::{Draft, Sample};
use crate::columns::{AMOUNT, CUSTOMER_ID, ORDER_ID, ORDERED_AT, PRODUCT_ID, QUANTITY, UNIT_PRICE};

/// What is known of an export by its column names.
#[derive(Default)]
pub(super) struct Layout(Option<&'static Known>);

struct Known {
    name: &'static str,
    /// Columns that only this export has together.
    header: &'static [&'static str],
    /// The pipeline's columns: names or SQL.
    columns: &'static [(&'static str, &'static str)],
    /// The order's column, and those that only the first row of an order has.
    fill: Option<(&'static str, &'static [&'static str])>,
    filter: Option<&'static str>,
    clean: &'static [&'static str],
    is_utc: bool,
}

const KNOWN: [Known; 7] = [
    Known {
        name: "a Shopify orders export",
        header: &[
            "Name",
            "Email",
            "Financial Status",
            "Created at",
            "Total",
            "Refunded Amount",
            "Lineitem name",
        ],
        columns: &[
            (CUSTOMER_ID, "lower(trim(Email))"),
            (ORDER_ID, "Name"),
            (ORDERED_AT, "Created at"),
            (AMOUNT, "coalesce(Total, 0) - coalesce(\"Refunded Amount\", 0)"),
        ],
        fill: Some(("Name", &["Email", "Financial Status", "Created at", "Currency"])),
        filter: Some("\"Financial Status\" <> 'voided'"),
        clean: &[],
        is_utc: false,
    },
    Known {
        name: "a WooCommerce order export",
        header: &[
            "Order Number",
            "Order Status",
            "Order Date",
            "Email (Billing)",
            "Order Total Amount",
            "Order Refund Amount",
        ],
        columns: &[
            (CUSTOMER_ID, "lower(trim(\"Email (Billing)\"))"),
            (ORDER_ID, "Order Number"),
            (ORDERED_AT, "Order Date"),
            (AMOUNT, "\"Order Total Amount\" - coalesce(\"Order Refund Amount\", 0)"),
        ],
        fill: None,
        filter: Some("\"Order Status\" IN ('Completed', 'Processing')"),
        clean: &[],
        is_utc: false,
    },
    Known {
        name: "Stripe's unified payments",
        header: &[
            "id",
            "Created date (UTC)",
            "Amount",
            "Amount Refunded",
            "Status",
            "Customer ID",
            "Customer Email",
        ],
        columns: &[
            (CUSTOMER_ID, "coalesce(\"Customer ID\", lower(\"Customer Email\"))"),
            (ORDER_ID, "id"),
            (ORDERED_AT, "Created date (UTC)"),
            (AMOUNT, "Amount - coalesce(\"Amount Refunded\", 0)"),
        ],
        fill: None,
        filter: Some("Status <> 'Failed'"),
        clean: &[],
        is_utc: true,
    },
    Known {
        name: "a Square transactions export",
        header: &["Date", "Time", "Net Sales", "Transaction ID", "Customer ID"],
        columns: &[
            (CUSTOMER_ID, "Customer ID"),
            (ORDER_ID, "Transaction ID"),
            (ORDERED_AT, "Date || ' ' || Time"),
            (AMOUNT, "Net Sales"),
        ],
        fill: None,
        filter: None,
        clean: &[
            "cancellations: { when: amount < 0, policy: net }   # guess: refunds are subtracted",
        ],
        is_utc: false,
    },
    Known {
        name: "UCI Online Retail",
        header: &["InvoiceNo", "StockCode", "Quantity", "InvoiceDate", "UnitPrice", "CustomerID"],
        columns: &[
            (CUSTOMER_ID, "CustomerID"),
            (ORDER_ID, "InvoiceNo"),
            (ORDERED_AT, "InvoiceDate"),
            (PRODUCT_ID, "StockCode"),
            (QUANTITY, "Quantity"),
            (UNIT_PRICE, "UnitPrice"),
        ],
        fill: None,
        filter: None,
        clean: &[
            "cancellations: { order_id_prefix: C, policy: net }",
            "keep_positive: [quantity, unit_price]",
        ],
        is_utc: false,
    },
    Known {
        name: "UCI Online Retail II",
        header: &["Invoice", "StockCode", "Quantity", "InvoiceDate", "Price", "Customer ID"],
        columns: &[
            (CUSTOMER_ID, "Customer ID"),
            (ORDER_ID, "Invoice"),
            (ORDERED_AT, "InvoiceDate"),
            (PRODUCT_ID, "StockCode"),
            (QUANTITY, "Quantity"),
            (UNIT_PRICE, "Price"),
        ],
        fill: None,
        filter: None,
        clean: &[
            "cancellations: { order_id_prefix: C, policy: net }",
            "keep_positive: [quantity, unit_price]",
        ],
        is_utc: false,
    },
    Known {
        name: "the CDNOW data set",
        header: &["customer_id", "date", "number_of_cds", "dollar_value"],
        columns: &[
            (CUSTOMER_ID, "customer_id"),
            (ORDERED_AT, "date"),
            (QUANTITY, "number_of_cds"),
            (AMOUNT, "dollar_value"),
        ],
        fill: None,
        filter: None,
        clean: &[],
        is_utc: false,
    },
];

impl Layout {
    /// The layout with all of its columns among these.
    pub(super) fn of(names: &[&str]) -> Option<Self> {
        let has_all = |known: &&Known| known.header.iter().all(|name| names.contains(name));
        KNOWN.iter().find(has_all).map(|known| Self(Some(known)))
    }

    pub(super) fn name(&self) -> Option<&'static str> {
        Some(self.0?.name)
    }

    pub(super) fn is_complete(&self) -> bool {
        self.0.is_some()
    }

    pub(super) fn column(&self, ours: &str) -> Option<&'static str> {
        self.0?.columns.iter().find(|(name, _)| *name == ours).map(|(_, column)| *column)
    }

    /// The first column of the export that is part of one of the pipeline's.
    pub(super) fn source(&self, ours: &str) -> Option<&'static str> {
        let mapped = self.column(ours)?;
        let header = self.0?.header;
        header.iter().filter(|name| mapped.contains(*name)).max_by_key(|name| name.len()).copied()
    }

    /// The columns of the export in its amount.
    pub(super) fn numbers(&self, names: &[&str]) -> Vec<String> {
        let Some(amount) = self.column(AMOUNT) else { return Vec::new() };
        let parts = names.iter().filter(|name| amount.contains(*name) && name.len() > 3);
        parts.map(|name| (*name).to_owned()).collect()
    }

    /// The option `fill` for a file with these columns.
    pub(super) fn fill(&self, names: &[&str]) -> Option<String> {
        let (by, columns) = self.0?.fill?;
        let columns = columns.iter().copied().filter(|column| names.contains(column));
        Some(format!("{{ by: {by}, columns: [{}] }}", columns.collect::<Vec<_>>().join(", ")))
    }

    pub(super) fn filter(&self) -> Option<&'static str> {
        self.0?.filter
    }

    pub(super) fn clean(&self) -> &'static [&'static str] {
        self.0.map_or(&[], |known| known.clean)
    }

    pub(super) fn is_utc(&self) -> bool {
        self.0.is_some_and(|known| known.is_utc)
    }
}

/// The pipeline of exports that are several tables: Olist's orders, items and customers.
pub(super) fn of_tables(paths: &[String], samples: &[Sample], name: &str) -> Option<Draft> {
    let table = |columns: &[&str]| {
        let has_all = |sample: &Sample| columns.iter().all(|c| sample.names().contains(c));
        samples.iter().position(has_all).map(|position| quoted(&paths[position]))
    };
    let orders = table(&["order_id", "customer_id", "order_status", "order_purchase_timestamp"])?;
    let items = table(&["order_id", "order_item_id", "price", "freight_value"])?;
    let customers = table(&["customer_id", "customer_unique_id"])?;
    let yaml = format!(
        "# Written by `custseg init`. The columns are those of the Olist data set.
name: {name}
ingest:
  sources:
    orders: {{ paths: [{orders}] }}
    items: {{ paths: [{items}] }}
    customers: {{ paths: [{customers}] }}
  transactions:
    query: >
      SELECT customer_unique_id, order_id, order_purchase_timestamp, product_id, price, freight_value
      FROM items JOIN orders USING (order_id) JOIN customers USING (customer_id)
      WHERE order_status NOT IN ('canceled', 'unavailable')
    columns:
      customer_id: customer_unique_id
      order_id: order_id
      ordered_at: order_purchase_timestamp
      product_id: product_id
      amount: price + freight_value
segment: default
publish: {{ to: {name}-results }}
"
    );
    Some(Draft { yaml, questions: Vec::new() })
}
