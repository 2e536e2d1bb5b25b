//! `score` in SQL: cut points as order statistics, and scores by them.
//!
//! An engine's `percentile` keeps every distinct value in one task, and lays a quantile a bit beside ours. So values are counted by
//! buckets that keep their order and hold about a hundredth of the range each; the few buckets in which an order statistic lies are
//! counted value by value, each by itself; and quantiles lie between two order statistics by the formula of
//! [`crate::rfm::quantile::type_7`], in whole numbers as far as it is in them.

use super::Statement;
use super::rfm::{MEASURED, SNAPSHOTS};
use super::text::{double, quoted};
use crate::columns::*;
use crate::pipeline::Pipeline;
use crate::score::{CutPoints, Cutting, Dimension, DimensionParams, Method};

const STAGE: &str = "score";
/// The table of cut points, one row a (snapshot, dimension, place).
pub(super) const CUT_POINTS: &str = "custseg_cut_points";
/// Where it stands.
pub(super) const CUT_POINTS_PATH: &str = "work/cut_points";
/// Column of a cut point.
#[cfg(feature = "spark")]
pub(super) const POINT: &str = "point";
/// The view of the scored customers.
pub(super) const SCORED: &str = "custseg_scored";

pub(super) fn statements(p: &Pipeline) -> Vec<Statement> {
    vec![
        Statement::view(STAGE, "custseg_buckets", buckets(p)),
        Statement::view(STAGE, "custseg_wanted", wanted(p)),
        Statement::view(STAGE, "custseg_located", located()),
        Statement::table(STAGE, "custseg_cut_points", CUT_POINTS_PATH, cut_points(p)),
        Statement::view(STAGE, SCORED, scored(p)),
    ]
}

/// The cut points that are known beforehand; `None` where quantiles of the snapshot's own customers are meant.
fn given(p: &Pipeline, dimension: Dimension) -> Option<CutPoints> {
    let params = &p.score.dimensions[dimension as usize];
    match (&p.score.cutting, &params.method) {
        (Cutting::Given(yardstick), _) => Some(yardstick.points[dimension as usize].clone()),
        (_, Method::Fixed(points)) => Some(CutPoints::new(points.clone(), false)),
        _ => None,
    }
}

/// The cut points of a dimension as they were found, ascending.
#[cfg(feature = "spark")]
pub(super) fn points(p: &Pipeline, dimension: Dimension, points: Vec<f64>) -> CutPoints {
    CutPoints::new(points, upper(p, dimension))
}

/// Whether a value equal to a cut point takes the upper bin.
fn upper(p: &Pipeline, dimension: Dimension) -> bool {
    let by_method = p.score.dimensions[dimension as usize].method == Method::RRfm;
    given(p, dimension).map_or(by_method, |points| points.upper())
}

fn quantiles(p: &Pipeline) -> impl Iterator<Item = (Dimension, &DimensionParams)> {
    let all = Dimension::ALL.into_iter().zip(&p.score.dimensions);
    all.filter(|(dimension, _)| given(p, *dimension).is_none())
}

/// The values of the dimensions whose quantiles are asked for, with a bucket each: how many digits its whole part has, and the first
/// three of them, so that a greater value is never in a lower bucket.
fn values(p: &Pipeline) -> String {
    let of = |(dimension, params): (Dimension, &DimensionParams)| {
        let positive = if params.zero_apart {
            format!(" WHERE {} > 0", dimension.value())
        } else {
            String::new()
        };
        format!(
            "SELECT {SNAPSHOT}, {} AS {DIMENSION}, CAST({} AS DOUBLE) AS {VALUE} FROM {MEASURED}{positive}",
            quoted(dimension.value()),
            dimension.value()
        )
    };
    let all: Vec<String> = quantiles(p).map(of).collect();
    let all = match all.is_empty() {
        true => format!(
            "SELECT {SNAPSHOT}, '' AS {DIMENSION}, 0.0D AS {VALUE} FROM {SNAPSHOTS} WHERE false"
        ),
        false => all.join(" UNION ALL "),
    };
    let digits = "CAST(abs(CAST(floor(value) AS BIGINT)) AS STRING)";
    let size =
        format!("(length({digits}) * 1000 + CAST(substr(rpad({digits}, 3, '0'), 1, 3) AS INT))");
    format!(
        "SELECT {SNAPSHOT}, {DIMENSION}, {VALUE}, CAST(CASE WHEN {VALUE} < 0 THEN -{size} ELSE {size} END AS INT) AS bucket FROM ({all})"
    )
}

/// How many values a bucket holds, and how many the buckets up to it.
fn buckets(p: &Pipeline) -> String {
    let by = format!("PARTITION BY {SNAPSHOT}, {DIMENSION}");
    format!(
        "SELECT {SNAPSHOT}, {DIMENSION}, bucket, n,\n\
         \x20 CAST(sum(n) OVER ({by} ORDER BY bucket ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS upto,\n\
         \x20 CAST(sum(n) OVER ({by}) AS BIGINT) AS total\n\
         FROM (SELECT {SNAPSHOT}, {DIMENSION}, bucket, CAST(count(*) AS BIGINT) AS n FROM ({}) GROUP BY {SNAPSHOT}, {DIMENSION}, bucket)",
        values(p)
    )
}

/// The two order statistics that each quantile lies between: place i of `bins` lies at (N − 1)·i/bins, counted from 0. Where that is a
/// whole number, the upper one counts nothing.
fn wanted(p: &Pipeline) -> String {
    let of = |(dimension, params): (Dimension, &DimensionParams)| {
        // Values of zero and less take the first place to themselves.
        let apart = u8::from(params.zero_apart);
        let bins = params.bins - apart;
        let both = |i: u8| [0, 1].map(|side| (i, side));
        (1..bins).flat_map(both).map(move |(i, side)| {
            format!("({}, {}, {i}, {bins}, {side})", quoted(dimension.value()), i + apart)
        })
    };
    let mut places: Vec<String> = quantiles(p).flat_map(of).collect();
    if places.is_empty() {
        places.push("('', 0, 0, 1, 0)".to_owned());
    }
    format!(
        "SELECT t.{SNAPSHOT}, t.{DIMENSION}, w.place, w.bins, w.side,\n\
         \x20 CAST((t.total - 1) * w.i % w.bins AS BIGINT) AS rest,\n\
         \x20 least(CAST((t.total - 1) * w.i div w.bins AS BIGINT) + w.side, t.total - 1) AS rank\n\
         FROM (SELECT DISTINCT {SNAPSHOT}, {DIMENSION}, total FROM custseg_buckets) AS t\n\
         JOIN (VALUES {}) AS w({DIMENSION}, place, i, bins, side) ON w.{DIMENSION} = t.{DIMENSION}",
        places.join(", ")
    )
}

/// The bucket in which each of them lies, and its rank there.
fn located() -> String {
    format!(
        "SELECT w.{SNAPSHOT}, w.{DIMENSION}, w.place, w.bins, w.side, w.rest, b.bucket, w.rank - (b.upto - b.n) AS rank\n\
         FROM custseg_wanted AS w\n\
         JOIN custseg_buckets AS b ON b.{SNAPSHOT} = w.{SNAPSHOT} AND b.{DIMENSION} = w.{DIMENSION}\n\
         \x20 AND w.rank >= b.upto - b.n AND w.rank < b.upto"
    )
}

/// One row a (snapshot, dimension, place): the cut points.
fn cut_points(p: &Pipeline) -> String {
    let keys = format!("{SNAPSHOT}, {DIMENSION}");
    let by = format!("PARTITION BY {keys}, bucket");
    let plus: Vec<String> = quantiles(p)
        .filter(|(_, params)| params.method == Method::RRfm)
        .map(|(dimension, _)| quoted(dimension.value()))
        .collect();
    let lies = "lower + (upper - lower) * (CAST(rest AS DOUBLE) / CAST(bins AS DOUBLE))".to_owned();
    let lies = match plus.is_empty() {
        true => lies,
        // The R package adds one.
        false => format!(
            "{lies} + CASE WHEN {DIMENSION} IN ({}) THEN 1.0D ELSE 0.0D END",
            plus.join(", ")
        ),
    };
    let mut known: Vec<String> = Vec::new();
    for dimension in Dimension::ALL {
        let points = match given(p, dimension) {
            Some(points) => points.points().to_vec(),
            None if p.score.dimensions[dimension as usize].zero_apart => vec![0.0],
            None => Vec::new(),
        };
        let points = points.iter().enumerate();
        known.extend(points.map(|(i, point)| {
            format!("({}, {}, {})", quoted(dimension.value()), i + 1, double(*point))
        }));
    }
    let known = match known.is_empty() {
        true => String::new(),
        false => format!(
            "\nUNION ALL\nSELECT s.{SNAPSHOT}, k.{DIMENSION}, CAST(k.place AS INT) AS place, CAST(k.point AS DOUBLE) AS point\n\
             FROM {SNAPSHOTS} AS s CROSS JOIN (VALUES {}) AS k({DIMENSION}, place, point)",
            known.join(", ")
        ),
    };
    format!(
        "WITH counted AS (\n\
         \x20 SELECT {keys}, bucket, {VALUE}, n, CAST(sum(n) OVER ({by} ORDER BY {VALUE} ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS BIGINT) AS upto\n\
         \x20 FROM (\n\
         \x20   SELECT v.{SNAPSHOT}, v.{DIMENSION}, v.bucket, v.{VALUE}, CAST(count(*) AS BIGINT) AS n\n\
         \x20   FROM ({}) AS v\n\
         \x20   JOIN (SELECT DISTINCT {keys}, bucket FROM custseg_located) AS l\n\
         \x20     ON l.{SNAPSHOT} = v.{SNAPSHOT} AND l.{DIMENSION} = v.{DIMENSION} AND l.bucket = v.bucket\n\
         \x20   GROUP BY v.{SNAPSHOT}, v.{DIMENSION}, v.bucket, v.{VALUE}\n\
         \x20 )\n\
         ),\n\
         found AS (\n\
         \x20 SELECT l.{SNAPSHOT}, l.{DIMENSION}, l.place, l.bins, l.rest,\n\
         \x20   max(CASE WHEN l.side = 0 THEN c.{VALUE} END) AS lower, max(CASE WHEN l.side = 1 THEN c.{VALUE} END) AS upper\n\
         \x20 FROM custseg_located AS l\n\
         \x20 JOIN counted AS c ON c.{SNAPSHOT} = l.{SNAPSHOT} AND c.{DIMENSION} = l.{DIMENSION} AND c.bucket = l.bucket\n\
         \x20   AND l.rank >= c.upto - c.n AND l.rank < c.upto\n\
         \x20 GROUP BY l.{SNAPSHOT}, l.{DIMENSION}, l.place, l.bins, l.rest\n\
         )\n\
         SELECT {keys}, CAST(place AS INT) AS place, CAST({lies} AS DOUBLE) AS point FROM found{known}",
        values(p)
    )
}

/// The customers with their scores, as [`crate::score::Scored`] has them.
fn scored(p: &Pipeline) -> String {
    let mut cuts = Vec::new();
    let mut scores = Vec::new();
    for dimension in Dimension::ALL {
        let params = &p.score.dimensions[dimension as usize];
        let known = given(p, dimension);
        let points = known.map_or(usize::from(params.bins) - 1, |points| points.points().len());
        let beyond = if upper(p, dimension) { ">=" } else { ">" };
        let column = |place: usize| format!("{}_{place}", dimension.score());
        let value = format!("CAST(m.{} AS DOUBLE)", dimension.value());
        let passed: Vec<String> = (1..=points)
            .map(|place| {
                format!("CASE WHEN {value} {beyond} c.{} THEN 1 ELSE 0 END", column(place))
            })
            .collect();
        let bin = if passed.is_empty() { "0".to_owned() } else { passed.join(" + ") };
        let score = match dimension.reversed() {
            true => format!("{} - ({bin})", points + 1),
            false => format!("1 + {bin}"),
        };
        scores.push(format!("CAST({score} AS TINYINT) AS {}", dimension.score()));
        cuts.extend((1..=points).map(|place| {
            let of = quoted(dimension.value());
            format!(
                "max(CASE WHEN {DIMENSION} = {of} AND place = {place} THEN point END) AS {}",
                column(place)
            )
        }));
    }
    cuts.insert(0, SNAPSHOT.to_owned());
    let separator = if p.score.dimensions.iter().any(|params| params.bins > 9) { "-" } else { "" };
    let code =
        Dimension::ALL.map(|dimension| format!("CAST({} AS STRING)", dimension.score())).join(", ");
    let weighed = p.score.weights.map_or_else(String::new, |weights| {
        let one = |(dimension, weight): (Dimension, f64)| {
            format!("CAST({} AS DOUBLE) * {}", dimension.score(), double(weight))
        };
        let sum: Vec<String> = Dimension::ALL.into_iter().zip(weights).map(one).collect();
        format!(", {} AS {RFM_SCORE}", sum.join(" + "))
    });
    format!(
        "SELECT *, concat_ws({}, {code}) AS {RFM_CODE}{weighed}\n\
         FROM (\n\
         \x20 SELECT m.*,\n\x20   {}\n\
         \x20 FROM {MEASURED} AS m\n\
         \x20 LEFT JOIN (SELECT {} FROM {CUT_POINTS} GROUP BY {SNAPSHOT}) AS c ON c.{SNAPSHOT} = m.{SNAPSHOT}\n\
         )",
        quoted(separator),
        scores.join(",\n    "),
        cuts.join(", ")
    )
}
