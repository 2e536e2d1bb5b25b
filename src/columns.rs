//! The data dictionary: every column that the pipeline creates is spelled, and told of, here and nowhere else.
//!
//! Columns of the lines (internal) come first, then those of the published tables, in the order in which
//! they appear there.

/// Makes a constant a column, and a list of what they mean from what is said of each.
macro_rules! dictionary {
    ($($(#[doc = $doc:literal])+ pub const $name:ident: &str = $column:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $column;)+
        const NAMED: &[(&str, &str)] = &[$(($column, concat!($($doc),+))),+];
    };
}

/// The same of columns whose names hold those of models, dimensions or categories.
macro_rules! patterns {
    ($($(#[doc = $doc:literal])+ pub fn $name:ident($($of:ident: $type:ty),+) -> $pattern:literal;)+) => {
        $($(#[doc = $doc])+ pub fn $name($($of: $type),+) -> String { format!($pattern) })+
        const PATTERNS: &[(&str, &str)] = &[$(($pattern, concat!($($doc),+))),+];
    };
}

dictionary! {
    /// Source file; within the flow its index among the files of the run, u32.
    pub const SOURCE_FILE: &str = "source_file";
    /// Record of the source file, from 1 after the header.
    pub const SOURCE_ROW: &str = "source_row";
    /// Who bought: text in every output, integers as plain digits.
    pub const CUSTOMER_ID: &str = "customer_id";
    /// The order that a line belongs to; null where the source has none.
    pub const ORDER_ID: &str = "order_id";
    /// What was bought; null where the source has none.
    pub const PRODUCT_ID: &str = "product_id";
    /// What kind of thing was bought; null where no source maps it.
    pub const CATEGORY: &str = "category";
    /// Local time of the line in the pipeline's time zone; datetime in microseconds, without a zone.
    pub const ORDERED_AT: &str = "ordered_at";
    /// Local calendar day of the line.
    pub const DAY: &str = "day";
    /// Units of the line; i64, negative on returns.
    pub const QUANTITY: &str = "quantity";
    /// Price of one unit, in minor units of money; i64.
    pub const UNIT_PRICE: &str = "unit_price";
    /// Value of the line as the source gives it, where it has no quantity and price.
    pub const AMOUNT: &str = "amount";
    /// ISO code of a line's currency; null where no source maps it.
    pub const CURRENCY: &str = "currency";
    /// What one unit of a line's currency is worth in the pipeline's, in 10^-10; i64.
    pub const RATE: &str = "rate";
    /// Money, in units of the currency; within the flow in minor ones, i64 on lines, i128 on sums.
    pub const MONEY: &str = "money";
    /// Why a line was rejected; within the flow a code into the run's list of reasons, u8, null where it was accepted.
    pub const REASON: &str = "reason";
    /// Number of lines in a group; u32.
    pub const LINES: &str = "lines";
    /// Whether a group of lines is a return: a cancellation that the pipeline keeps; bool.
    pub const RETURNED: &str = "returned";
    /// Day on which the last unit of an order was returned; null for orders that stand.
    pub const UNDONE_ON: &str = "undone_on";
    /// Whether a group of lines is a purchase that was not undone before the snapshot; bool.
    pub const STANDS: &str = "stands";
    /// Order that a return undoes; null where no purchase is left to be undone.
    pub const UNDONE_ORDER_ID: &str = "undone_order_id";
    /// A line's place among all lines of the run; u64.
    pub const LINE: &str = "line";
    /// Units in a group of lines; i128.
    pub const UNITS: &str = "units";

    /// The date before which everything counts, exclusive.
    pub const SNAPSHOT: &str = "snapshot";
    /// Local time of the customer's last accepted line before the snapshot.
    pub const LAST_ORDER_AT: &str = "last_order_at";
    /// Whole calendar days from the last purchase's local date to the snapshot, at least 1.
    pub const RECENCY_DAYS: &str = "recency_days";
    /// Distinct orders (or days, lines, units, as `rfm.frequency` says).
    pub const FREQUENCY: &str = "frequency";
    /// Money spent: the exact sum, rounded once.
    pub const MONETARY: &str = "monetary";
    /// Money of returns, positive; only where `cancellations` keeps them apart.
    pub const RETURNED_MONEY: &str = "returned_money";
    /// Whole calendar days from the customer's first line to the snapshot.
    pub const TENURE_DAYS: &str = "tenure_days";
    /// Mean days between days with a purchase; null where there is one such day.
    pub const MEAN_GAP_DAYS: &str = "mean_gap_days";
    /// Sample standard deviation of the days between days with a purchase; null where there are fewer than three.
    pub const GAP_DAYS_STD: &str = "gap_days_std";
    /// Place of a category among those of its snapshot by money, from 1.
    pub const PLACE: &str = "place";
    /// Distinct products bought.
    pub const N_PRODUCTS: &str = "n_products";
    /// Recency score, 1 to the number of bins, which the most recent customers have.
    pub const R_SCORE: &str = "r_score";
    /// Frequency score, 1 to the number of bins, which the most frequent customers have.
    pub const F_SCORE: &str = "f_score";
    /// Monetary score, 1 to the number of bins, which the customers who spent most have.
    pub const M_SCORE: &str = "m_score";
    /// The three scores as text: "545", or "10-4-7" where there are more than nine bins.
    pub const RFM_CODE: &str = "rfm_code";
    /// The weighted mean of the three scores; only where `score.weights` asks for it.
    pub const RFM_SCORE: &str = "rfm_score";
    /// Name of a segment.
    pub const SEGMENT: &str = "segment";
    /// Name of the customer's segment at the snapshot before; null where the customer was not in it.
    pub const PREVIOUS_SEGMENT: &str = "previous_segment";
    /// First of the unbroken row of snapshots at which the customer has been in its segment.
    pub const SEGMENT_SINCE: &str = "segment_since";
    /// Number of the snapshots in that row, at least 1.
    pub const SNAPSHOTS_IN_SEGMENT: &str = "snapshots_in_segment";

    /// The map's rule that named the segment, counted from 1; null where `otherwise` did.
    pub const RULE: &str = "rule";
    /// Step of `clean` (or `ingest`, `raw`) that a ledger row tells of.
    pub const STEP: &str = "step";
    /// Text of the cell or record that could not be parsed; null where a row was rejected for what it says.
    pub const TEXT: &str = "text";
    /// Rows that the step removed for this reason.
    pub const ROWS: &str = "rows";
    /// Number of customers.
    pub const CUSTOMERS: &str = "customers";
    /// Number of orders.
    pub const ORDERS: &str = "orders";
    /// Rows left after the step.
    pub const ROWS_LEFT: &str = "rows_left";
    /// Customers left after the step.
    pub const CUSTOMERS_LEFT: &str = "customers_left";
    /// Orders left after the step.
    pub const ORDERS_LEFT: &str = "orders_left";
    /// Money left after the step.
    pub const MONEY_LEFT: &str = "money_left";

    /// Quantile at which outliers begin, 0 to 1.
    pub const QUANTILE: &str = "quantile";
    /// Monetary value at the quantile.
    pub const LIMIT: &str = "limit";
    /// Money that customers beyond a limit spent over it.
    pub const MONEY_BEYOND: &str = "money_beyond";

    /// `recency_days`, `frequency` or `monetary`.
    pub const DIMENSION: &str = "dimension";
    /// Score of a bin, 1 to the number of bins asked.
    pub const SCORE: &str = "score";
    /// Lower end of a bin; null for the open end.
    pub const LOWER: &str = "lower";
    /// Upper end of a bin; null for the open end.
    pub const UPPER: &str = "upper";
    /// Number of bins that the pipeline asked for.
    pub const ASKED_BINS: &str = "asked_bins";
    /// Number of bins that hold a customer.
    pub const ACHIEVED_BINS: &str = "achieved_bins";

    /// Snapshot that customers moved from.
    pub const FROM: &str = "from";
    /// Snapshot that customers moved to.
    pub const TO: &str = "to";
    /// Segment at the earlier snapshot; null for customers who were not in it.
    pub const FROM_SEGMENT: &str = "from_segment";
    /// Segment at the later snapshot; null for customers who are not in it.
    pub const TO_SEGMENT: &str = "to_segment";
    /// Customers who moved because they behaved otherwise.
    pub const CUSTOMERS_BY_BEHAVIOUR: &str = "customers_by_behaviour";
    /// Customers who moved because the cut points did.
    pub const CUSTOMERS_BY_CUT_POINTS: &str = "customers_by_cut_points";
    /// Money of the customers who moved because they behaved otherwise.
    pub const MONEY_BY_BEHAVIOUR: &str = "money_by_behaviour";
    /// Money of the customers who moved because the cut points did.
    pub const MONEY_BY_CUT_POINTS: &str = "money_by_cut_points";
    /// Snapshot whose customers other cut points were cut from.
    pub const BASE: &str = "base";
    /// Population stability index of a score, over the bins of the base: below 0.1 little has changed, above 0.25 much.
    pub const PSI: &str = "psi";
    /// Share of customers who would get another score, or another segment, 0 to 1.
    pub const MOVED: &str = "moved";

    /// Days after a snapshot that are looked at.
    pub const HORIZON_DAYS: &str = "horizon_days";
    /// Customers who bought within the horizon.
    pub const BUYERS: &str = "buyers";
    /// Share of customers who bought within the horizon, 0 to 1.
    pub const BUY_RATE: &str = "buy_rate";
    /// Money by customer within the horizon.
    pub const MONEY_MEAN: &str = "money_mean";
    /// Share of the snapshot's customers, 0 to 1.
    pub const SHARE: &str = "share";
    /// Share of the snapshot's money, 0 to 1.
    pub const MONEY_SHARE: &str = "money_share";
    /// Money by order, of a segment or a customer.
    pub const AVERAGE_ORDER_VALUE: &str = "average_order_value";
    /// What to do about a segment.
    pub const ACTION: &str = "action";

    /// Another definition of a dimension.
    pub const ALTERNATIVE: &str = "alternative";
    /// Share of customers who would get another score, 0 to 1.
    pub const SCORE_MOVED: &str = "score_moved";
    /// Share of customers who would get another segment, 0 to 1.
    pub const SEGMENT_MOVED: &str = "segment_moved";
    /// Share of money spent by customers who would get another segment, 0 to 1.
    pub const MONEY_MOVED: &str = "money_moved";

    /// Name of a model, or of its baseline ("assign:majority").
    pub const MODEL: &str = "model";
    /// `recovery`, `holdout` or `out_of_time`.
    pub const PROTOCOL: &str = "protocol";
    /// Name of a metric.
    pub const METRIC: &str = "metric";
    /// Class that a metric is about; null for the whole.
    pub const LABEL: &str = "label";
    /// Value of a metric.
    pub const VALUE: &str = "value";
    /// Customers that a metric was taken over.
    pub const N: &str = "n";
    /// True label of a cell of the confusion matrix.
    pub const ACTUAL: &str = "actual";
    /// Predicted label of a cell of the confusion matrix.
    pub const PREDICTED: &str = "predicted";
    /// What grouped the customers: `segment`, or the name of a clustering.
    pub const GROUPING: &str = "grouping";
    /// Feature space that a distance was taken in, in words.
    pub const SPACE: &str = "space";
    /// Mean silhouette, -1 to 1; null for groups of one and where there is a single group.
    pub const SILHOUETTE: &str = "silhouette";
    /// Standard error of the mean silhouette of a sample; null where it is of all.
    pub const SILHOUETTE_ERROR: &str = "silhouette_error";
    /// Davies-Bouldin index; lower is better.
    pub const DAVIES_BOULDIN: &str = "davies_bouldin";
    /// Caliński-Harabasz index; higher is better.
    pub const CALINSKI_HARABASZ: &str = "calinski_harabasz";
    /// Share of customers in the largest cluster, 0 to 1.
    pub const LARGEST_SHARE: &str = "largest_share";
    /// Lower end of a 95 % interval.
    pub const LOW: &str = "low";
    /// Upper end of a 95 % interval.
    pub const HIGH: &str = "high";
    /// Mean confidence of a bin's answers.
    pub const CONFIDENCE: &str = "confidence";
    /// Share of right answers.
    pub const ACCURACY: &str = "accuracy";
    /// Name of a cluster.
    pub const CLUSTER: &str = "cluster";
    /// Name of a column of the segments.
    pub const COLUMN: &str = "column";
    /// Mean of a column.
    pub const MEAN: &str = "mean";
    /// Number of neighbours or clusters.
    pub const K: &str = "k";
    /// Standard error of a value over folds.
    pub const STANDARD_ERROR: &str = "standard_error";
    /// Whether a number was chosen.
    pub const CHOSEN: &str = "chosen";
    /// Within-cluster sum of squared distances to the centroid.
    pub const WCSS: &str = "wcss";
}

patterns! {
    /// Share of the customer's purchases in the category at a place, 0 to 1.
    pub fn category_share(place: usize) -> "category_{place}_share";
    /// What was done in the last days as a share of what was done in more of them: "monetary_30d_of_180d".
    pub fn ratio_name(of: &str, recent: &str, over: &str) -> "{of}_{recent}_of_{over}";
    /// What a dimension's value would have to change by for the next better score: negative for
    /// recency, null where there is none.
    pub fn to_next(dimension: &str) -> "{dimension}_to_next";
    /// Segment that the next better score of a dimension would have; null where there is none, or where values decide.
    pub fn next_segment(dimension: &str) -> "{dimension}_next_segment";
    /// What a model says of the customer: the label that it tells, or the cluster; null where it abstains.
    pub fn label(model: &str) -> "{model}_label";
    /// How sure a model is of its label: the winner's share of the votes, calibrated where asked, 0 to 1; null of a clustering.
    pub fn confidence(model: &str) -> "{model}_confidence";
    /// The winner's share of the votes less the runner-up's; of a clustering, how much farther the next centroid is, by its distance; 0 to 1.
    pub fn margin(model: &str) -> "{model}_margin";
    /// Distance to the k-th neighbour, of a clustering to the centroid, in the model's feature space.
    pub fn novelty(model: &str) -> "{model}_novelty";
    /// Mean over the customers of a segment.
    pub fn mean_of(of: &str) -> "{of}_mean";
    /// Median over the customers of a segment; of an even number, the mean of the middle two.
    pub fn median_of(of: &str) -> "{of}_median";
    /// Lower end of a 95 % interval.
    pub fn low(of: &str) -> "{of}_low";
    /// Upper end of a 95 % interval.
    pub fn high(of: &str) -> "{of}_high";
}

/// What one row of a published table is.
const GRAINS: &[(&str, &str)] = &[
    (
        "segments",
        "A customer at a snapshot, sorted by customer; one file a snapshot, whose date stands in the folder's name.",
    ),
    (
        "ledger",
        "A reason of a step of cleaning, in order: what it removed, and what was left. The first row is what was read.",
    ),
    ("rejects", "A row of the source that was rejected, and why."),
    ("segment_profile", "A segment at a snapshot, in the order of the map."),
    ("score_bins", "A score of a dimension at a snapshot, and the values that have it."),
    ("metrics", "A figure of a model or baseline, over all labels or of one."),
    ("confusion", "A cell of a model's confusion matrix."),
    ("reliability", "A tenth of a model's confidence."),
    (
        "cohesion",
        "A group of a grouping, in a space; the row without a segment is the whole grouping.",
    ),
    (
        "silhouettes",
        "A customer of the newest snapshot in a grouping; above 50,000, those of a sample of about 10,000.",
    ),
    ("clusters", "A feature of a cluster."),
    ("k_sweep", "A figure of a number of clusters or neighbours that was tried."),
    (
        "migration",
        "A way from one segment to another between two snapshots that follow each other.",
    ),
    ("drift", "A dimension, or the segment, of a snapshot under the cut points of another."),
    (
        "validity",
        "A segment at a snapshot, and what it did in the time after; the row without a segment is everybody.",
    ),
    ("sensitivity", "Another definition of frequency or of monetary value, at a snapshot."),
    ("returns", "A piece of a return, with the order that it undoes."),
    ("outliers", "The customers of a snapshot beyond a quantile of monetary value."),
    ("top_categories", "A category that sold most before a snapshot."),
];

/// What one row of a published table is, by the table's name.
pub fn grain(table: &str) -> Option<&'static str> {
    GRAINS.iter().find(|(name, _)| *name == table).map(|(_, grain)| *grain)
}

/// Columns that mean something else in one table.
const ELSEWHERE: &[(&str, &str, &str)] = &[
    ("ledger", ROWS, "Rows that the step removed for this reason."),
    ("ledger", CUSTOMERS, "Customers that vanish with the removed rows."),
    ("ledger", ORDERS, "Orders that vanish with the removed rows."),
    ("ledger", MONEY, "Money of the removed rows; negative where they were returns."),
    ("silhouettes", SILHOUETTE, "Silhouette of the customer, -1 to 1."),
    ("reliability", LOWER, "Lower end of the confidence."),
    ("reliability", UPPER, "Upper end of the confidence."),
    ("validity", MONEY, "Money that the segment spent within the horizon."),
    (
        "validity",
        MONEY_SHARE,
        "Share of all that the snapshot's customers spent within the horizon, 0 to 1.",
    ),
    ("clusters", SHARE, "Share of the customers that are in the cluster, 0 to 1."),
];

/// What a column of a published table means.
pub fn meaning_in(table: &str, column: &str) -> Option<&'static str> {
    let own = ELSEWHERE
        .iter()
        .find(|(of, name, _)| (*of, *name) == (table, column))
        .map(|(.., meaning)| *meaning);
    own.or_else(|| meaning(column))
}

/// What a column means, wherever it stands: by its name, else by the pattern that it follows, else nothing.
pub fn meaning(column: &str) -> Option<&'static str> {
    let follows = |pattern: &str| {
        let mut parts = pattern.split(['{', '}']).step_by(2);
        let first = parts.next().unwrap_or_default();
        let rest = column.strip_prefix(first)?;
        parts.try_fold(rest, |rest, part| match part {
            "" => Some(""),
            _ => rest.find(part).filter(|at| *at > 0).map(|at| &rest[at + part.len()..]),
        })
    };
    let named = NAMED.iter().find(|(name, _)| *name == column);
    named
        .or_else(|| PATTERNS.iter().find(|(pattern, _)| follows(pattern) == Some("")))
        .map(|(_, meaning)| meaning.trim())
}
