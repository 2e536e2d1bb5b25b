//! Cohesion: how close the customers of a group lie to each other, in a named feature space.
//!
//! Rule segments are boxes, not clouds: a low or negative silhouette says that boxes touch, not that a map is bad.

use std::borrow::Cow;

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use super::cloud::{Cloud, Silhouettes, calinski_harabasz, davies_bouldin};
use crate::columns::*;
use crate::model::features::{Customers, Encoding, FeatureParams, Missing, Scaling, text};
use crate::model::kmeans::Clustering;
use crate::model::points::Points;
use crate::model::space::{NoValue, Space};
use crate::model::{Clustered, Labels, Texts};
use crate::rfm::by_snapshot;

/// The feature space of the segments, in words.
const LOG_SPACE: &str = "recency_days, frequency, monetary; log1p, standardised";

/// Customers in groups.
struct Grouped<'a> {
    grouping: &'a str,
    /// The space that they stand in, in words.
    space: String,
    ids: Vec<&'a str>,
    points: Cow<'a, Points>,
    /// Group of each customer.
    codes: Vec<usize>,
    /// Names of the groups.
    names: Vec<String>,
}

/// One row a (grouping, group) of the newest snapshot, and one for the whole with a null group: its segments, and its clusters. Comparing all
/// customers with all is not worth its cost at every snapshot of a grid.
///
/// Columns: `snapshot` date, `grouping` text: `segment`, or the name of a clustering, `space` text, `segment` text: the group, null for
/// the whole, `customers` u32, `silhouette` f64: the mean over the row's customers, 0 for a customer alone in its group, null where
/// there is one group only; `silhouette_error` f64: its standard error where it is of a sample, null where it is of all; `wcss` f64; and of
/// the whole `davies_bouldin` and `calinski_harabasz` f64, null where there is one group only.
///
/// The second table has one row a (grouping, customer): `grouping` and `customer_id` text, `silhouette` f64; none of a grouping with too many
/// customers to compare all with all.
///
/// # Errors
/// What Polars says.
pub fn cohesion(
    segments: &DataFrame,
    clustered: &[Clustered],
) -> PolarsResult<(DataFrame, DataFrame)> {
    let mut rows = Rows::default();
    if let Some((date, newest)) = by_snapshot(segments)?.last() {
        let ids = text(newest, CUSTOMER_ID)?;
        rows.add(*date, &of_segments(newest, &ids)?);
        clustered.iter().for_each(|one| rows.add(*date, &of_clusters(one, &ids)));
    }
    let groups = df![
        SNAPSHOT => rows.snapshots,
        GROUPING => rows.groupings,
        SPACE => rows.spaces,
        SEGMENT => rows.names,
        CUSTOMERS => rows.customers,
        SILHOUETTE => rows.silhouettes,
        SILHOUETTE_ERROR => rows.errors,
        WCSS => rows.sums,
        DAVIES_BOULDIN => rows.davies_bouldin,
        CALINSKI_HARABASZ => rows.calinski_harabasz,
    ]?;
    let (groupings, (ids, widths)): (Vec<_>, (Vec<_>, Vec<_>)) =
        rows.each.into_iter().map(|(grouping, id, width)| (grouping, (id, width))).unzip();
    Ok((groups, df![GROUPING => groupings, CUSTOMER_ID => ids, SILHOUETTE => widths]?))
}

/// The rows of the tables.
#[derive(Default)]
struct Rows {
    snapshots: Vec<NaiveDate>,
    groupings: Vec<String>,
    spaces: Vec<String>,
    names: Vec<Option<String>>,
    customers: Vec<u32>,
    silhouettes: Vec<Option<f64>>,
    errors: Vec<Option<f64>>,
    sums: Vec<f64>,
    davies_bouldin: Vec<Option<f64>>,
    calinski_harabasz: Vec<Option<f64>>,
    /// Grouping, id and silhouette of single customers.
    each: Vec<(String, String, f64)>,
}

impl Rows {
    fn add(&mut self, date: NaiveDate, grouped: &Grouped<'_>) {
        let Grouped { grouping, space, ids, points, codes, names } = grouped;
        let all = Cloud::all(points, &points.distinct(), codes, names.len());
        let widths = Silhouettes::of(&all);
        let of_points = widths.as_ref().and_then(|widths| widths.of_points(&all, points, codes));
        for (id, width) in ids.iter().zip(of_points.into_iter().flatten()) {
            self.each.push(((*grouping).to_owned(), (*id).to_owned(), width));
        }
        let wcss: Vec<f64> = all.iter().map(Cloud::wcss).collect();
        let whole = [(None, None)].into_iter();
        let each = names.iter().enumerate().map(|(idx, name)| (Some(idx), Some(name.clone())));
        for (idx, name) in whole.chain(each) {
            self.snapshots.push(date);
            self.groupings.push((*grouping).to_owned());
            self.spaces.push(space.clone());
            self.names.push(name);
            let clouds =
                || all.iter().enumerate().filter(|(other, _)| idx.is_none_or(|idx| idx == *other));
            self.customers.push(clouds().map(|(_, cloud)| cloud.len() as u32).sum());
            self.sums.push(clouds().map(|(other, _)| wcss[other]).sum());
            let mean = widths.as_ref().map(|widths| widths.mean(idx));
            self.silhouettes.push(mean.map(|(mean, _)| mean));
            self.errors.push(mean.and_then(|(_, error)| error));
            let of_whole =
                |of: fn(&[Cloud]) -> Option<f64>| if idx.is_none() { of(&all) } else { None };
            self.davies_bouldin.push(of_whole(davies_bouldin));
            self.calinski_harabasz.push(of_whole(calinski_harabasz));
        }
    }
}

/// What came of each number of clusters: `(k, metric, value)`.
pub fn by_number(clustered: &Clustered) -> Vec<(usize, &'static str, Option<f64>)> {
    let points = &clustered.standing.points;
    let distinct = points.distinct();
    let one = |clustering: &Clustering| {
        let clouds = Cloud::all(points, &distinct, &clustering.codes, clustering.k);
        let largest =
            clouds.iter().map(Cloud::len).max().unwrap_or(0) as f64 / points.len().max(1) as f64;
        let k = clustering.k;
        let silhouette = Silhouettes::of(&clouds).map(|widths| widths.mean(None).0);
        [
            (k, WCSS, Some(clustering.wcss)),
            (k, SILHOUETTE, silhouette),
            (k, DAVIES_BOULDIN, davies_bouldin(&clouds)),
            (k, CALINSKI_HARABASZ, calinski_harabasz(&clouds)),
            (k, LARGEST_SHARE, Some(largest)),
        ]
    };
    clustered.tried.par_iter().flat_map_iter(one).collect()
}

/// "recency_days, monetary; log1p, standardised"
pub fn in_words(features: &[FeatureParams]) -> String {
    let each = features.iter().map(|feature| {
        let scale = |scale: &Scaling| match scale {
            Scaling::Standard => "standardised",
            Scaling::Robust => "by quartiles",
            Scaling::Minmax => "by range",
            Scaling::None => "as it is",
        };
        let how = match &feature.encoding {
            Encoding::Number { log1p: true, scale: how } => format!("log1p, {}", scale(how)),
            Encoding::Number { log1p: false, scale: how } => scale(how).to_owned(),
            Encoding::OneHot => "one axis a value".to_owned(),
            Encoding::Ordinal { scale: how, .. } => format!("by place, {}", scale(how)),
        };
        let weight =
            if feature.weight == 1.0 { String::new() } else { format!(" × {}", feature.weight) };
        (feature.column.clone(), how + &weight)
    });
    let mut groups: Vec<(Vec<String>, String)> = Vec::new();
    for (column, how) in each {
        match groups.last_mut().filter(|(_, other)| *other == how) {
            Some((columns, _)) => columns.push(column),
            None => groups.push((vec![column], how)),
        }
    }
    let groups: Vec<String> =
        groups.into_iter().map(|(columns, how)| format!("{}; {how}", columns.join(", "))).collect();
    groups.join(" | ")
}

fn of_clusters<'a>(clustered: &'a Clustered, ids: &'a Texts) -> Grouped<'a> {
    let names = &clustered.places.names;
    let mut order: Vec<usize> = (0..names.len()).collect();
    order.sort_by(|a, b| names[*a].cmp(&names[*b]));
    let rank = |code: &usize| order.iter().position(|other| other == code).unwrap_or_default();
    let placed = ids.iter().zip(&clustered.standing.placed);
    Grouped {
        grouping: &clustered.places.params.name,
        space: in_words(&clustered.places.params.features),
        ids: placed.filter(|(_, placed)| **placed).map(|(id, _)| id).collect(),
        points: Cow::Borrowed(&clustered.standing.points),
        codes: clustered.taken().codes.iter().map(rank).collect(),
        names: order.iter().map(|idx| names[*idx].clone()).collect(),
    }
}

/// The customers of a snapshot in the log space, by their segments, ascending by name.
fn of_segments<'a>(part: &DataFrame, ids: &'a Texts) -> PolarsResult<Grouped<'a>> {
    let feature = |column: &str| FeatureParams {
        column: column.to_owned(),
        encoding: Encoding::Number { log1p: true, scale: Scaling::Standard },
        weight: 1.0,
        missing: Missing::Median,
    };
    let features = [RECENCY_DAYS, FREQUENCY, MONETARY].map(feature);
    let customers = Customers::of(&features, part)?;
    let engine = |error: NoValue| polars_err!(ComputeError: "{}", error.feature);
    let space = Space::fit(&features, &customers).map_err(engine)?;
    let points = Cow::Owned(space.stand(&features, &customers).map_err(engine)?.points);
    let Labels { names, codes } = part.column(SEGMENT)?.str()?.iter().collect();
    let codes = codes.into_iter().flatten().collect();
    Ok(Grouped {
        grouping: SEGMENT,
        space: LOG_SPACE.to_owned(),
        ids: ids.iter().collect(),
        points,
        codes,
        names,
    })
}
