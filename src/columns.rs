//! Names and meanings of all columns that the pipeline creates. No other file spells them.
//!
//! Internal columns of lines come first, then those of the published tables (see
//! [`crate::tables`]).

/// Declares column names as constants, and a list of their meanings from the doc comments.
macro_rules! dictionary {
    ($($(#[doc = $doc:literal])+ pub const $name:ident: &str = $column:literal;)+) => {
        $($(#[doc = $doc])+ pub const $name: &str = $column;)+
        const NAMED: &[(&str, &str)] = &[$(($column, concat!($($doc),+))),+];
    };
}

/// The same for names that contain those of models, dimensions or categories.
macro_rules! patterns {
    ($($(#[doc = $doc:literal])+
    pub fn $name:ident($($part:ident: $type:ty),+) -> $constant:ident = $pattern:literal;)+) => {
        $($(#[doc = $doc])+ pub fn $name($($part: $type),+) -> String { format!($pattern) })+
        $(pub(crate) const $constant: &str = $pattern;)+
        const PATTERNS: &[(&str, &str)] = &[$(($pattern, concat!($($doc),+))),+];
    };
}

dictionary! {
    /// Source file. Internally its index among the files of the run, u32.
    pub const SOURCE_FILE: &str = "source_file";
    /// Record of the source file, from 1 after the header.
    pub const SOURCE_ROW: &str = "source_row";
    /// Customer identifier as text. Integers are plain digits.
    pub const CUSTOMER_ID: &str = "customer_id";
    /// Order identifier. Null if the source has none.
    pub const ORDER_ID: &str = "order_id";
    /// Product identifier. Null if the source has none.
    pub const PRODUCT_ID: &str = "product_id";
    /// Product category. Null if no source maps it.
    pub const CATEGORY: &str = "category";
    /// Local time of the line in the pipeline's time zone, microseconds, without a zone.
    pub const ORDERED_AT: &str = "ordered_at";
    /// Local calendar day of the line.
    pub const DAY: &str = "day";
    /// Units of the line, i64. Negative for returns.
    pub const QUANTITY: &str = "quantity";
    /// Price of one unit in minor units of money, i64.
    pub const UNIT_PRICE: &str = "unit_price";
    /// Value of the line, if the source has it instead of quantity and price.
    pub const AMOUNT: &str = "amount";
    /// ISO code of the line's currency. Null if no source maps it.
    pub const CURRENCY: &str = "currency";
    /// Value of one unit of the line's currency in the pipeline's currency, in 10^-10, i64.
    pub const RATE: &str = "rate";
    /// Money in units of the currency. Internally in minor units, i64 on lines and i128 on sums.
    pub const MONEY: &str = "money";
    /// Why the row was rejected. Internally a code into the run's list of reasons, u8, null if
    /// accepted.
    pub const REASON: &str = "reason";
    /// Number of lines in the group, u32.
    pub const LINES: &str = "lines";
    /// Whether the group of lines is a return that the pipeline keeps.
    pub const RETURNED: &str = "returned";
    /// Day on which the last unit of the order was returned. Null if the order is effective.
    pub const RETURNED_ON: &str = "returned_on";
    /// Whether the group of lines is a purchase that was not returned before the snapshot.
    pub const IS_EFFECTIVE: &str = "is_effective";
    /// Order that the return is matched to. Null if no purchase is left to match.
    pub const MATCHED_ORDER_ID: &str = "matched_order_id";
    /// Number of the line among all lines of the run, u64.
    pub const LINE: &str = "line";
    /// Number of units. Internally i128.
    pub const UNITS: &str = "units";

    /// Snapshot date. Only lines before this date count.
    pub const SNAPSHOT: &str = "snapshot";
    /// Local time of the customer's last accepted line before the snapshot.
    pub const LAST_ORDER_AT: &str = "last_order_at";
    /// Whole calendar days from the last purchase to the snapshot, at least 1.
    pub const RECENCY_DAYS: &str = "recency_days";
    /// Distinct orders, or days, lines or units, according to `rfm.frequency`.
    pub const FREQUENCY: &str = "frequency";
    /// Money spent, an exact sum that is rounded once.
    pub const MONETARY: &str = "monetary";
    /// Money of returns, positive. Only with `cancellations: separate`.
    pub const RETURNED_MONEY: &str = "returned_money";
    /// Whole calendar days from the customer's first line to the snapshot.
    pub const TENURE_DAYS: &str = "tenure_days";
    /// Mean days between purchase days. Null if there is one purchase day.
    pub const MEAN_GAP_DAYS: &str = "mean_gap_days";
    /// Sample standard deviation of the days between purchase days. Null below three purchase days.
    pub const GAP_DAYS_STD: &str = "gap_days_std";
    /// Rank of the category by money at the snapshot, from 1.
    pub const PLACE: &str = "place";
    /// Number of distinct products bought.
    pub const N_PRODUCTS: &str = "n_products";
    /// Recency score, 1 to the number of bins. The most recent customers have the highest.
    pub const R_SCORE: &str = "r_score";
    /// Frequency score, 1 to the number of bins. The most frequent customers have the highest.
    pub const F_SCORE: &str = "f_score";
    /// Monetary score, 1 to the number of bins. The customers who spent most have the highest.
    pub const M_SCORE: &str = "m_score";
    /// The three scores as text: `545`, or `10-4-7` with more than nine bins.
    pub const RFM_CODE: &str = "rfm_code";
    /// Weighted mean of the three scores. Only with `score.weights`.
    pub const RFM_SCORE: &str = "rfm_score";
    /// Name of the segment.
    pub const SEGMENT: &str = "segment";
    /// Segment at the snapshot before. Null if the customer was not in it.
    pub const PREVIOUS_SEGMENT: &str = "previous_segment";
    /// First snapshot of the unbroken series in which the customer has this segment.
    pub const SEGMENT_SINCE: &str = "segment_since";
    /// Number of snapshots in that series, at least 1.
    pub const SNAPSHOTS_IN_SEGMENT: &str = "snapshots_in_segment";

    /// Rule of the map that named the segment, from 1. Null if `otherwise` did.
    pub const RULE: &str = "rule";
    /// Step of `clean`, or `ingest` or `raw`.
    pub const STEP: &str = "step";
    /// Text of the cell or record that could not be parsed. Null if the row was rejected for its
    /// value.
    pub const TEXT: &str = "text";
    /// Rows that the step rejected for this reason.
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

    /// Quantile above which a customer is an outlier, 0 to 1.
    pub const QUANTILE: &str = "quantile";
    /// Monetary value at the quantile.
    pub const LIMIT: &str = "limit";
    /// Money that customers above the limit spent in excess of it.
    pub const EXCESS_MONEY: &str = "excess_money";

    /// `recency_days`, `frequency` or `monetary`.
    pub const DIMENSION: &str = "dimension";
    /// Score of the bin, 1 to the requested number of bins.
    pub const SCORE: &str = "score";
    /// Lower end of the bin. Null if open.
    pub const LOWER: &str = "lower";
    /// Upper end of the bin. Null if open.
    pub const UPPER: &str = "upper";
    /// Number of bins that the pipeline requests.
    pub const REQUESTED_BINS: &str = "requested_bins";
    /// Number of bins that contain a customer.
    pub const EFFECTIVE_BINS: &str = "effective_bins";

    /// Earlier snapshot.
    pub const FROM: &str = "from";
    /// Later snapshot.
    pub const TO: &str = "to";
    /// Segment at the earlier snapshot. Null if the customer was not in it.
    pub const FROM_SEGMENT: &str = "from_segment";
    /// Segment at the later snapshot. Null if the customer is not in it.
    pub const TO_SEGMENT: &str = "to_segment";
    /// Customers who moved because their own behaviour changed.
    pub const CUSTOMERS_BY_BEHAVIOUR: &str = "customers_by_behaviour";
    /// Customers who moved because the cut points changed.
    pub const CUSTOMERS_BY_CUT_POINTS: &str = "customers_by_cut_points";
    /// Money of the customers who moved because their own behaviour changed.
    pub const MONEY_BY_BEHAVIOUR: &str = "money_by_behaviour";
    /// Money of the customers who moved because the cut points changed.
    pub const MONEY_BY_CUT_POINTS: &str = "money_by_cut_points";
    /// Snapshot whose cut points the scores are compared with.
    pub const BASELINE_SNAPSHOT: &str = "baseline_snapshot";
    /// Population stability index over the baseline's bins. Below 0.1 is stable, above 0.25 is a
    /// major shift.
    pub const PSI: &str = "psi";
    /// Share of customers whose score or segment would differ, 0 to 1.
    pub const MOVED: &str = "moved";

    /// Days after the snapshot that are evaluated.
    pub const HORIZON_DAYS: &str = "horizon_days";
    /// Customers who bought within the horizon.
    pub const BUYERS: &str = "buyers";
    /// Share of customers who bought within the horizon, 0 to 1.
    pub const BUY_RATE: &str = "buy_rate";
    /// Mean money per customer within the horizon.
    pub const MONEY_MEAN: &str = "money_mean";
    /// Share of the snapshot's customers, 0 to 1.
    pub const SHARE: &str = "share";
    /// Share of the snapshot's money, 0 to 1.
    pub const MONEY_SHARE: &str = "money_share";
    /// Mean money per order.
    pub const AVERAGE_ORDER_VALUE: &str = "average_order_value";
    /// Recommended action from the segment map.
    pub const ACTION: &str = "action";

    /// Alternative definition of the dimension.
    pub const ALTERNATIVE: &str = "alternative";
    /// Share of customers whose score would differ, 0 to 1.
    pub const SCORE_MOVED: &str = "score_moved";
    /// Share of customers whose segment would differ, 0 to 1.
    pub const SEGMENT_MOVED: &str = "segment_moved";
    /// Share of money spent by customers whose segment would differ, 0 to 1.
    pub const MONEY_MOVED: &str = "money_moved";

    /// Name of the model, or of its baseline (`assign:majority`).
    pub const MODEL: &str = "model";
    /// Evaluation protocol: `recovery`, `holdout` or `out_of_time`.
    pub const PROTOCOL: &str = "protocol";
    /// Name of the metric.
    pub const METRIC: &str = "metric";
    /// Class that the metric is about. Null if it is over all classes.
    pub const LABEL: &str = "label";
    /// Value of the metric.
    pub const VALUE: &str = "value";
    /// Number of customers that the metric is computed over.
    pub const N: &str = "n";
    /// True label.
    pub const ACTUAL: &str = "actual";
    /// Predicted label.
    pub const PREDICTED: &str = "predicted";
    /// What groups the customers: `segment`, or the name of a clustering.
    pub const GROUPING: &str = "grouping";
    /// Feature space of the distances, as text.
    pub const SPACE: &str = "space";
    /// Mean silhouette, -1 to 1. Null for groups of one customer and for a single group.
    pub const SILHOUETTE: &str = "silhouette";
    /// Standard error of the mean silhouette of a sample. Null if all customers are used.
    pub const SILHOUETTE_ERROR: &str = "silhouette_error";
    /// Davies-Bouldin index. Lower is better.
    pub const DAVIES_BOULDIN: &str = "davies_bouldin";
    /// Caliński-Harabasz index. Higher is better.
    pub const CALINSKI_HARABASZ: &str = "calinski_harabasz";
    /// Share of customers in the largest cluster, 0 to 1.
    pub const LARGEST_SHARE: &str = "largest_share";
    /// Lower end of the 95 % interval.
    pub const LOW: &str = "low";
    /// Upper end of the 95 % interval.
    pub const HIGH: &str = "high";
    /// Mean confidence of the predictions in the bin.
    pub const CONFIDENCE: &str = "confidence";
    /// Share of correct predictions, 0 to 1.
    pub const ACCURACY: &str = "accuracy";
    /// Tenth of the customers, from 1: those with the highest prediction.
    pub const DECILE: &str = "decile";
    /// Mean outcome of the tenth, relative to that of all customers.
    pub const LIFT: &str = "lift";
    /// Share of the outcomes of all customers in this tenth and those above it, 0 to 1.
    pub const GAIN: &str = "gain";
    /// Name of the cluster.
    pub const CLUSTER: &str = "cluster";
    /// Name of a column of `segments`.
    pub const COLUMN: &str = "column";
    /// Mean of the column.
    pub const MEAN: &str = "mean";
    /// Number of customers in a resample.
    pub const SAMPLE: &str = "sample";
    /// Adjusted Rand index of the published and the resampled segments: 1 if all are equal, 0 by
    /// chance. Mean over the resamples.
    pub const ADJUSTED_RAND: &str = "adjusted_rand";
    /// Name of the campaign.
    pub const CAMPAIGN: &str = "campaign";
    /// First day of the campaign.
    pub const SINCE: &str = "since";
    /// What is compared.
    pub const MEASURE: &str = "measure";
    /// Customers on the list.
    pub const TREATED_CUSTOMERS: &str = "treated_customers";
    /// Customers who were held back.
    pub const CONTROL_CUSTOMERS: &str = "control_customers";
    /// The measure of the customers on the list.
    pub const TREATED: &str = "treated";
    /// The measure of the customers who were held back.
    pub const CONTROL: &str = "control";
    /// `treated` less `control`: the effect of the campaign.
    pub const DIFFERENCE: &str = "difference";
    /// First day of the week, month or quarter of the customers' first purchase.
    pub const COHORT: &str = "cohort";
    /// Weeks, months or quarters since then: 0 is that of the first purchase.
    pub const PERIOD: &str = "period";
    /// Share of the cohort that bought in the period, 0 to 1.
    pub const RETENTION: &str = "retention";
    /// Money per customer of the cohort until the end of the period, less returns.
    pub const CUMULATIVE_MONEY_MEAN: &str = "cumulative_money_mean";
    /// Whether the period ended before the newest snapshot, and within the source.
    pub const COMPLETE: &str = "complete";
    /// Week since the first purchase of the source, from 1.
    pub const WEEK: &str = "week";
    /// Expected value.
    pub const EXPECTED: &str = "expected";
    /// Whether the week is after the time that the model was fitted to.
    pub const IS_FORECAST: &str = "is_forecast";
    /// Number of neighbours or clusters.
    pub const K: &str = "k";
    /// Standard error of the value over folds.
    pub const STANDARD_ERROR: &str = "standard_error";
    /// Whether this number was selected.
    pub const CHOSEN: &str = "chosen";
    /// Within-cluster sum of squared distances to the centroid.
    pub const WCSS: &str = "wcss";
}

patterns! {
    /// Share of the customer's purchases in the category of this rank, 0 to 1.
    pub fn category_share(rank: usize) -> CATEGORY_SHARE = "category_{rank}_share";
    /// The recent days' value as a share of the longer period's: `monetary_30d_of_180d`.
    pub fn ratio_name(measure: &str, recent: &str, over: &str) -> RATIO = "{measure}_{recent}_of_{over}";
    /// Change of the value that leads to the next better score. Negative for recency, null if there
    /// is none.
    pub fn to_next(dimension: &str) -> TO_NEXT = "{dimension}_to_next";
    /// Segment with the next better score of the dimension. Null if there is none, or if the map
    /// has rules on values.
    pub fn next_segment(dimension: &str) -> NEXT_SEGMENT = "{dimension}_next_segment";
    /// Label or cluster that the model predicts. Null if the model abstains.
    pub fn label(model: &str) -> MODEL_LABEL = "{model}_label";
    /// Confidence of the label: the winner's share of the votes, calibrated if requested, 0 to 1.
    /// Null for clusterings.
    pub fn confidence(model: &str) -> MODEL_CONFIDENCE = "{model}_confidence";
    /// Probability of the second of two labels: of `yes` for purchases. Calibrated if requested, 0
    /// to 1.
    pub fn probability(model: &str) -> MODEL_PROBABILITY = "{model}_probability";
    /// Winner's share of the votes minus the runner-up's. For clusterings the relative extra
    /// distance of the next centroid, 0 to 1.
    pub fn margin(model: &str) -> MODEL_MARGIN = "{model}_margin";
    /// Distance to the k-th neighbour, or to the centroid for clusterings, in the model's feature
    /// space.
    pub fn novelty(model: &str) -> MODEL_NOVELTY = "{model}_novelty";
    /// Probability that the customer is still active, 0 to 1.
    pub fn alive(model: &str) -> MODEL_ALIVE = "{model}_alive";
    /// Expected number of days with a purchase within the horizon of the model.
    pub fn purchases(model: &str) -> MODEL_PURCHASES = "{model}_purchases";
    /// Expected money of a day with a purchase.
    pub fn purchase_value(model: &str) -> MODEL_PURCHASE_VALUE = "{model}_purchase_value";
    /// Expected money within the horizon of the model.
    pub fn spend(model: &str) -> MODEL_SPEND = "{model}_spend";
    /// Customer lifetime value: the expected money within the horizon of the model, discounted at
    /// the end of each month.
    pub fn clv(model: &str) -> MODEL_CLV = "{model}_clv";
    /// Sum over the customers of the segment.
    pub fn sum_of(measure: &str) -> SUM_OF = "{measure}_sum";
    /// Mean over the customers of the segment.
    pub fn mean_of(measure: &str) -> MEAN_OF = "{measure}_mean";
    /// Median over the customers of the segment. For an even number the mean of the middle two.
    pub fn median_of(measure: &str) -> MEDIAN_OF = "{measure}_median";
    /// Lower end of the 95 % interval.
    pub fn low(measure: &str) -> LOW_OF = "{measure}_low";
    /// Upper end of the 95 % interval.
    pub fn high(measure: &str) -> HIGH_OF = "{measure}_high";
}

/// The columns of `segments` that every KNN model and every clustering adds, in order.
pub(crate) fn model_columns(model: &str) -> [String; 4] {
    [label(model), confidence(model), margin(model), novelty(model)]
}

/// The columns of `segments` that a BTYD model adds, in order.
pub(crate) fn btyd_columns(model: &str) -> [String; 5] {
    [alive(model), purchases(model), purchase_value(model), spend(model), clv(model)]
}

/// Meaning of a column by its name, else by the pattern that its name follows.
pub(crate) fn meaning(column: &str) -> Option<&'static str> {
    let named = NAMED.iter().find(|(name, _)| *name == column);
    named
        .or_else(|| PATTERNS.iter().find(|(pattern, _)| matches_pattern(pattern, column)))
        .map(|(_, meaning)| meaning.trim())
}

/// Whether a column's name follows a pattern such as `{model}_label`.
pub(crate) fn matches_pattern(pattern: &str, column: &str) -> bool {
    let mut literals = pattern.split(['{', '}']).step_by(2);
    let first = literals.next().unwrap_or("");
    let Some(rest) = column.strip_prefix(first) else { return false };
    let rest = literals.try_fold(rest, |rest, literal| {
        if literal.is_empty() {
            return Some("");
        }
        rest.find(literal).filter(|start| *start > 0).map(|start| &rest[start + literal.len()..])
    });
    rest == Some("")
}
