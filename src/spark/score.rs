//! `score` in SQL: cut points as order statistics, and the scores they give.
//!
//! The `percentile` of an engine keeps all distinct values in one task and differs from ours in the
//! last bits. Here values are counted by buckets that keep their order, each about a hundredth of
//! the range wide. Only the buckets with an order statistic are then counted value by value.
//! Quantiles are interpolated as in [`crate::rfm::quantile::type_7`], in integers where possible.

use super::Statement;
use super::rfm::{MEASURED, SNAPSHOTS};
use super::text::{double, joined, quoted};
use crate::columns::*;
use crate::pipeline::Pipeline;
use crate::score::{CutPointSource, CutPoints, Dimension, DimensionParams, Method};

const STAGE: &str = "score";
/// The table of cut points, one row per (snapshot, dimension, rank). The rank is in column `place`.
pub(super) const CUT_POINTS: &str = "custseg_cut_points";
pub(super) const CUT_POINTS_PATH: &str = "work/cut_points";
/// Column with the value of a cut point.
#[cfg(feature = "spark")]
pub(super) const POINT: &str = "point";
pub(super) const SCORED: &str = "custseg_scored";

const RUNNING: &str = "ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW";

pub(super) fn statements(p: &Pipeline) -> Vec<Statement> {
    vec![
        Statement::view(STAGE, "custseg_buckets", &buckets(p)),
        Statement::view(STAGE, "custseg_wanted", &order_statistics(p)),
        Statement::view(STAGE, "custseg_located", &located()),
        Statement::table(STAGE, CUT_POINTS, CUT_POINTS_PATH, cut_points(p)),
        Statement::view(STAGE, SCORED, &scored(p)),
    ]
}

fn params(p: &Pipeline, dimension: Dimension) -> &DimensionParams {
    &p.score.dimensions[dimension as usize]
}

/// Fixed or frozen cut points. `None` for quantiles of the snapshot's own customers.
fn known_cut_points(p: &Pipeline, dimension: Dimension) -> Option<CutPoints> {
    match (&p.score.cut_points, &params(p, dimension).method) {
        (CutPointSource::Given(frozen), _) => Some(frozen.points[dimension as usize].clone()),
        (_, Method::Fixed(points)) => Some(CutPoints { points: points.clone(), upper: false }),
        _ => None,
    }
}

/// Whether a value equal to a cut point belongs to the upper bin.
pub(super) fn is_upper(p: &Pipeline, dimension: Dimension) -> bool {
    match known_cut_points(p, dimension) {
        Some(points) => points.upper,
        None => params(p, dimension).method == Method::RRfm,
    }
}

/// The dimensions whose cut points are quantiles.
fn quantile_dimensions(p: &Pipeline) -> impl Iterator<Item = (Dimension, &DimensionParams)> {
    let dimensions = Dimension::ALL.into_iter().zip(&p.score.dimensions);
    dimensions.filter(|(dimension, _)| known_cut_points(p, *dimension).is_none())
}

/// The values of the quantile dimensions with their bucket: the number of digits of the integer
/// part and the first three of them, so that a greater value is never in a lower bucket.
fn values(p: &Pipeline) -> String {
    let selects = quantile_dimensions(p).map(|(dimension, params)| {
        let column = dimension.value();
        let positive =
            if params.separate_zeros { format!(" WHERE {column} > 0") } else { String::new() };
        format!(
            "SELECT {SNAPSHOT}, {} AS {DIMENSION}, CAST({column} AS DOUBLE) AS {VALUE} \
             FROM {MEASURED}{positive}",
            quoted(column)
        )
    });
    let mut values = joined(selects, " UNION ALL ");
    if values.is_empty() {
        values = format!(
            "SELECT {SNAPSHOT}, '' AS {DIMENSION}, 0.0D AS {VALUE} FROM {SNAPSHOTS} WHERE false"
        );
    }
    let digits = format!("CAST(abs(CAST(floor({VALUE}) AS BIGINT)) AS STRING)");
    let size =
        format!("(length({digits}) * 1000 + CAST(substr(rpad({digits}, 3, '0'), 1, 3) AS INT))");
    format!(
        "SELECT {SNAPSHOT}, {DIMENSION}, {VALUE},\n\
         \x20 CAST(CASE WHEN {VALUE} < 0 THEN -{size} ELSE {size} END AS INT) AS bucket\n\
         FROM ({values})"
    )
}

/// The number of values in each bucket and in all buckets up to it.
fn buckets(p: &Pipeline) -> String {
    let by = format!("PARTITION BY {SNAPSHOT}, {DIMENSION}");
    format!(
        "SELECT {SNAPSHOT}, {DIMENSION}, bucket, n,\n\
         \x20 CAST(sum(n) OVER ({by} ORDER BY bucket {RUNNING}) AS BIGINT) AS upto,\n\
         \x20 CAST(sum(n) OVER ({by}) AS BIGINT) AS total\n\
         FROM (SELECT {SNAPSHOT}, {DIMENSION}, bucket, CAST(count(*) AS BIGINT) AS n \
         FROM ({}) GROUP BY {SNAPSHOT}, {DIMENSION}, bucket)",
        values(p)
    )
}

/// The two order statistics around each quantile: cut point i of `bins` is at rank
/// (N − 1)·i/bins, counted from 0. If that is an integer, the upper one has no weight.
fn order_statistics(p: &Pipeline) -> String {
    let rows = quantile_dimensions(p).flat_map(|(dimension, params)| {
        // Values of zero and less have the first bin to themselves.
        let zero_bins = u8::from(params.separate_zeros);
        let bins = params.bins - zero_bins;
        let name = quoted(dimension.value());
        (1..bins)
            .flat_map(|i| [(i, 0), (i, 1)])
            .map(move |(i, side)| format!("({name}, {}, {i}, {bins}, {side})", i + zero_bins))
    });
    let mut rows = joined(rows, ", ");
    if rows.is_empty() {
        rows.push_str("('', 0, 0, 1, 0)");
    }
    format!(
        "SELECT t.{SNAPSHOT}, t.{DIMENSION}, w.place, w.bins, w.side,\n\
         \x20 CAST((t.total - 1) * w.i % w.bins AS BIGINT) AS rest,\n\
         \x20 least(CAST((t.total - 1) * w.i div w.bins AS BIGINT) + w.side, t.total - 1) AS rank\n\
         FROM (SELECT DISTINCT {SNAPSHOT}, {DIMENSION}, total FROM custseg_buckets) AS t\n\
         JOIN (VALUES {rows}) AS w({DIMENSION}, place, i, bins, side) \
         ON w.{DIMENSION} = t.{DIMENSION}"
    )
}

/// The bucket of each order statistic and its rank within the bucket.
fn located() -> String {
    format!(
        "SELECT w.{SNAPSHOT}, w.{DIMENSION}, w.place, w.bins, w.side, w.rest, b.bucket,\n\
         \x20 w.rank - (b.upto - b.n) AS rank\n\
         FROM custseg_wanted AS w\n\
         JOIN custseg_buckets AS b ON b.{SNAPSHOT} = w.{SNAPSHOT} \
         AND b.{DIMENSION} = w.{DIMENSION}\n\
         \x20 AND w.rank >= b.upto - b.n AND w.rank < b.upto"
    )
}

fn cut_points(p: &Pipeline) -> String {
    let keys = format!("{SNAPSHOT}, {DIMENSION}");
    let by = format!("PARTITION BY {keys}, bucket");
    // The R package `rfm` adds one to its cut points.
    let r_rfm = quantile_dimensions(p).filter(|(_, params)| params.method == Method::RRfm);
    let r_rfm = joined(r_rfm.map(|(dimension, _)| quoted(dimension.value())), ", ");
    let plus_one = if r_rfm.is_empty() {
        r_rfm
    } else {
        format!(" + CASE WHEN {DIMENSION} IN ({r_rfm}) THEN 1.0D ELSE 0.0D END")
    };
    format!(
        "WITH counted AS (\n\
         \x20 SELECT {keys}, bucket, {VALUE}, n,\n\
         \x20   CAST(sum(n) OVER ({by} ORDER BY {VALUE} {RUNNING}) AS BIGINT) AS upto\n\
         \x20 FROM (\n\
         \x20   SELECT v.{SNAPSHOT}, v.{DIMENSION}, v.bucket, v.{VALUE}, \
         CAST(count(*) AS BIGINT) AS n\n\
         \x20   FROM ({}) AS v\n\
         \x20   JOIN (SELECT DISTINCT {keys}, bucket FROM custseg_located) AS l\n\
         \x20     ON l.{SNAPSHOT} = v.{SNAPSHOT} AND l.{DIMENSION} = v.{DIMENSION} \
         AND l.bucket = v.bucket\n\
         \x20   GROUP BY v.{SNAPSHOT}, v.{DIMENSION}, v.bucket, v.{VALUE}\n\
         \x20 )\n\
         ),\n\
         found AS (\n\
         \x20 SELECT l.{SNAPSHOT}, l.{DIMENSION}, l.place, l.bins, l.rest,\n\
         \x20   max(CASE WHEN l.side = 0 THEN c.{VALUE} END) AS lower,\n\
         \x20   max(CASE WHEN l.side = 1 THEN c.{VALUE} END) AS upper\n\
         \x20 FROM custseg_located AS l\n\
         \x20 JOIN counted AS c ON c.{SNAPSHOT} = l.{SNAPSHOT} AND c.{DIMENSION} = l.{DIMENSION} \
         AND c.bucket = l.bucket\n\
         \x20   AND l.rank >= c.upto - c.n AND l.rank < c.upto\n\
         \x20 GROUP BY l.{SNAPSHOT}, l.{DIMENSION}, l.place, l.bins, l.rest\n\
         )\n\
         SELECT {keys}, CAST(place AS INT) AS place,\n\
         \x20 CAST(lower + (upper - lower) * \
         (CAST(rest AS DOUBLE) / CAST(bins AS DOUBLE)){plus_one} AS DOUBLE) AS point\n\
         FROM found{}",
        values(p),
        known_rows(p)
    )
}

/// The fixed and frozen cut points and the zeros of separate bins, as a further part of the union.
fn known_rows(p: &Pipeline) -> String {
    let rows = Dimension::ALL.into_iter().flat_map(|dimension| {
        let points = match known_cut_points(p, dimension) {
            Some(points) => points.points,
            None if params(p, dimension).separate_zeros => vec![0.0],
            None => Vec::new(),
        };
        let name = quoted(dimension.value());
        let ranked = points.into_iter().enumerate();
        ranked.map(move |(index, point)| format!("({name}, {}, {})", index + 1, double(point)))
    });
    let rows = joined(rows, ", ");
    if rows.is_empty() {
        return rows;
    }
    format!(
        "\nUNION ALL\nSELECT s.{SNAPSHOT}, k.{DIMENSION}, CAST(k.place AS INT) AS place,\n\
         \x20 CAST(k.point AS DOUBLE) AS point\n\
         FROM {SNAPSHOTS} AS s CROSS JOIN (VALUES {rows}) AS k({DIMENSION}, place, point)"
    )
}

/// The view of [`crate::score::Scored`].
fn scored(p: &Pipeline) -> String {
    let mut cut_columns = vec![SNAPSHOT.to_owned()];
    let mut scores = Vec::new();
    for dimension in Dimension::ALL {
        let count = known_cut_points(p, dimension)
            .map_or(usize::from(params(p, dimension).bins) - 1, |points| points.points.len());
        let (name, score) = (quoted(dimension.value()), dimension.score());
        let beyond = if is_upper(p, dimension) { ">=" } else { ">" };
        cut_columns.extend((1..=count).map(|rank| {
            format!(
                "max(CASE WHEN {DIMENSION} = {name} AND place = {rank} THEN point END) \
                 AS {score}_{rank}"
            )
        }));
        let passed = (1..=count).map(|rank| {
            let value = format!("CAST(m.{} AS DOUBLE)", dimension.value());
            format!("CASE WHEN {value} {beyond} c.{score}_{rank} THEN 1 ELSE 0 END")
        });
        let bin = if count == 0 { "0".to_owned() } else { joined(passed, " + ") };
        let value = if dimension.reversed() {
            format!("{} - ({bin})", count + 1)
        } else {
            format!("1 + {bin}")
        };
        scores.push(format!("CAST({value} AS TINYINT) AS {score}"));
    }
    let separator = if p.score.dimensions.iter().any(|params| params.bins > 9) { "-" } else { "" };
    let code = Dimension::ALL.map(|dimension| format!("CAST({} AS STRING)", dimension.score()));
    format!(
        "SELECT *, concat_ws({}, {}) AS {RFM_CODE}{}\n\
         FROM (\n\
         \x20 SELECT m.*,\n\x20   {}\n\
         \x20 FROM {MEASURED} AS m\n\
         \x20 LEFT JOIN (SELECT {} FROM {CUT_POINTS} GROUP BY {SNAPSHOT}) AS c \
         ON c.{SNAPSHOT} = m.{SNAPSHOT}\n\
         )",
        quoted(separator),
        code.join(", "),
        weighted_score(p),
        scores.join(",\n    "),
        cut_columns.join(", ")
    )
}

/// The weighted score as a further column, if weights are configured.
fn weighted_score(p: &Pipeline) -> String {
    let Some(weights) = p.score.weights else { return String::new() };
    let terms = Dimension::ALL.into_iter().zip(weights).map(|(dimension, weight)| {
        format!("CAST({} AS DOUBLE) * {}", dimension.score(), double(weight))
    });
    format!(", {} AS {RFM_SCORE}", joined(terms, " + "))
}
