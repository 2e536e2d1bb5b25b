//! Quality of segments and clusters: how close the customers of a group are in a feature space.
//!
//! Rule segments are boxes, not clusters: a low or negative silhouette means that boxes touch, not
//! that a map is bad.

use std::borrow::Cow;

use chrono::NaiveDate;
use polars::prelude::*;
use rayon::prelude::*;

use super::cluster_geometry::{ClusterGeometry, Silhouettes, calinski_harabasz, davies_bouldin};
use super::column;
use crate::columns::*;
use crate::model::features::{Customers, Encoding, FeatureParams, Missing, Scaling, text};
use crate::model::kmeans::Clustering;
use crate::model::point_matrix::PointMatrix;
use crate::model::space::Space;
use crate::model::{Clustered, Labels, StringArena};
use crate::rfm::by_snapshot;

/// Description of the feature space of the segments.
const LOG_SPACE: &str = "recency_days, frequency, monetary; log1p, standardised";

/// Customers assigned to groups, in a feature space.
struct Grouping<'a> {
    name: &'a str,
    space: String,
    ids: Vec<&'a str>,
    points: Cow<'a, PointMatrix>,
    /// Group of each customer.
    codes: Vec<usize>,
    group_names: Vec<String>,
}

/// A row of the table `cluster_quality`.
struct GroupQuality {
    grouping: String,
    space: String,
    /// `None` for the whole grouping.
    group: Option<String>,
    customers: u32,
    silhouette: Option<f64>,
    silhouette_error: Option<f64>,
    wcss: f64,
    davies_bouldin: Option<f64>,
    calinski_harabasz: Option<f64>,
}

/// A row of the table `silhouettes`.
struct CustomerSilhouette {
    grouping: String,
    customer_id: String,
    silhouette: f64,
}

/// The tables `cluster_quality` and `silhouettes` of the segments and clusters of the newest
/// snapshot. Silhouettes are too expensive for every snapshot of a grid.
///
/// `cluster_quality` has one row per (grouping, group), and one with a null group per grouping.
/// Columns: `snapshot` date, `grouping` text (`segment` or the name of a clustering), `space` text,
/// `segment` text (the group), `customers` u32, `silhouette` f64 (mean over the customers, null for
/// a single group), `silhouette_error` f64 (standard error, null unless from a sample), `wcss` f64,
/// and for whole groupings `davies_bouldin` and `calinski_harabasz` f64.
///
/// `silhouettes` has one row per (grouping, customer), unless the silhouettes are from a sample.
/// Columns: `grouping` and `customer_id` text, `silhouette` f64.
pub(super) fn cluster_quality(
    segments: &DataFrame,
    clusterings: &[Clustered],
) -> PolarsResult<(DataFrame, DataFrame)> {
    let mut groups: Vec<(NaiveDate, GroupQuality)> = Vec::new();
    let mut customers = Vec::new();
    if let Some((date, newest)) = by_snapshot(segments)?.last() {
        let ids = text(newest, CUSTOMER_ID)?;
        let mut groupings = vec![segment_grouping(newest, &ids)?];
        groupings.extend(clusterings.iter().map(|clustered| cluster_grouping(clustered, &ids)));
        for grouping in groupings {
            let (group_rows, customer_rows) = grouping.quality();
            groups.extend(group_rows.into_iter().map(|row| (*date, row)));
            customers.extend(customer_rows);
        }
    }
    let groups = df![
        SNAPSHOT => column(&groups, |(date, _)| *date),
        GROUPING => column(&groups, |(_, row)| row.grouping.as_str()),
        SPACE => column(&groups, |(_, row)| row.space.as_str()),
        SEGMENT => column(&groups, |(_, row)| row.group.as_deref()),
        CUSTOMERS => column(&groups, |(_, row)| row.customers),
        SILHOUETTE => column(&groups, |(_, row)| row.silhouette),
        SILHOUETTE_ERROR => column(&groups, |(_, row)| row.silhouette_error),
        WCSS => column(&groups, |(_, row)| row.wcss),
        DAVIES_BOULDIN => column(&groups, |(_, row)| row.davies_bouldin),
        CALINSKI_HARABASZ => column(&groups, |(_, row)| row.calinski_harabasz),
    ]?;
    let customers = df![
        GROUPING => column(&customers, |row| row.grouping.as_str()),
        CUSTOMER_ID => column(&customers, |row| row.customer_id.as_str()),
        SILHOUETTE => column(&customers, |row| row.silhouette),
    ]?;
    Ok((groups, customers))
}

impl Grouping<'_> {
    fn quality(&self) -> (Vec<GroupQuality>, Vec<CustomerSilhouette>) {
        let Self { name, space, ids, points, codes, group_names } = self;
        let geometries = ClusterGeometry::all(points, &points.distinct(), codes, group_names.len());
        let silhouettes = Silhouettes::of(&geometries);
        let wcss: Vec<f64> = geometries.iter().map(ClusterGeometry::wcss).collect();
        let quality = |group: Option<usize>| {
            let mean = silhouettes.as_ref().map(|silhouettes| silhouettes.mean(group));
            let of_whole = |index: fn(&[ClusterGeometry]) -> Option<f64>| {
                if group.is_none() { index(&geometries) } else { None }
            };
            let range = group.map_or(0..geometries.len(), |group| group..group + 1);
            GroupQuality {
                grouping: (*name).to_owned(),
                space: space.clone(),
                group: group.map(|group| group_names[group].clone()),
                customers: geometries[range.clone()].iter().map(|group| group.len() as u32).sum(),
                silhouette: mean.map(|(mean, _)| mean),
                silhouette_error: mean.and_then(|(_, error)| error),
                wcss: wcss[range].iter().sum(),
                davies_bouldin: of_whole(davies_bouldin),
                calinski_harabasz: of_whole(calinski_harabasz),
            }
        };
        let groups =
            [None].into_iter().chain((0..group_names.len()).map(Some)).map(quality).collect();
        let of_customers = silhouettes
            .as_ref()
            .and_then(|silhouettes| silhouettes.of_points(&geometries, points, codes));
        let customers = ids
            .iter()
            .zip(of_customers.into_iter().flatten())
            .map(|(id, silhouette)| CustomerSilhouette {
                grouping: (*name).to_owned(),
                customer_id: (*id).to_owned(),
                silhouette,
            })
            .collect();
        (groups, customers)
    }
}

/// `(k, metric, value)` for every number of clusters that was tried.
pub(super) fn sweep_metrics(clustered: &Clustered) -> Vec<(usize, &'static str, Option<f64>)> {
    let points = &clustered.projection.points;
    let distinct = points.distinct();
    let metrics = |clustering: &Clustering| {
        let k = clustering.k;
        let geometries = ClusterGeometry::all(points, &distinct, &clustering.codes, k);
        let largest = geometries.iter().map(ClusterGeometry::len).max().unwrap_or(0);
        let silhouette = Silhouettes::of(&geometries).map(|silhouettes| silhouettes.mean(None).0);
        [
            (k, WCSS, Some(clustering.wcss)),
            (k, SILHOUETTE, silhouette),
            (k, DAVIES_BOULDIN, davies_bouldin(&geometries)),
            (k, CALINSKI_HARABASZ, calinski_harabasz(&geometries)),
            (k, LARGEST_SHARE, Some(largest as f64 / points.len().max(1) as f64)),
        ]
    };
    clustered.candidates.par_iter().flat_map_iter(metrics).collect()
}

/// Describes a feature space, such as `recency_days, monetary; log1p, standardised`.
pub fn describe_space(features: &[FeatureParams]) -> String {
    let mut groups: Vec<(Vec<&str>, String)> = Vec::new();
    for feature in features {
        let encoding = describe_encoding(feature);
        match groups.last_mut() {
            Some((columns, other)) if *other == encoding => columns.push(&feature.column),
            _ => groups.push((vec![&feature.column], encoding)),
        }
    }
    let groups: Vec<String> = groups
        .into_iter()
        .map(|(columns, encoding)| format!("{}; {encoding}", columns.join(", ")))
        .collect();
    groups.join(" | ")
}

/// The texts are values of the published column `space`.
fn describe_encoding(feature: &FeatureParams) -> String {
    let scaled = |scale: &Scaling| match scale {
        Scaling::Standard => "standardised",
        Scaling::Robust => "by quartiles",
        Scaling::Minmax => "by range",
        Scaling::None => "as it is",
    };
    let encoding = match &feature.encoding {
        Encoding::Number { log1p: true, scale } => format!("log1p, {}", scaled(scale)),
        Encoding::Number { log1p: false, scale } => scaled(scale).to_owned(),
        Encoding::OneHot => "one axis a value".to_owned(),
        Encoding::Ordinal { scale, .. } => format!("by place, {}", scaled(scale)),
    };
    if feature.weight == 1.0 { encoding } else { format!("{encoding} × {}", feature.weight) }
}

/// The clusters of the newest snapshot, sorted by name.
fn cluster_grouping<'a>(clustered: &'a Clustered, ids: &'a StringArena) -> Grouping<'a> {
    let Clustered { model, projection, .. } = clustered;
    let mut order: Vec<usize> = (0..model.names.len()).collect();
    order.sort_by(|a, b| model.names[*a].cmp(&model.names[*b]));
    let mut rank = vec![0; order.len()];
    for (position, code) in order.iter().enumerate() {
        rank[*code] = position;
    }
    Grouping {
        name: &model.params.name,
        space: describe_space(&model.params.features),
        ids: projection.with_point(ids.iter()).collect(),
        points: Cow::Borrowed(&projection.points),
        codes: clustered.chosen_clustering().codes.iter().map(|code| rank[*code]).collect(),
        group_names: order.iter().map(|code| model.names[*code].clone()).collect(),
    }
}

/// The segments of a snapshot in the log space, sorted by name.
fn segment_grouping<'a>(part: &DataFrame, ids: &'a StringArena) -> PolarsResult<Grouping<'a>> {
    let features = [RECENCY_DAYS, FREQUENCY, MONETARY].map(|name| FeatureParams {
        column: name.to_owned(),
        encoding: Encoding::Number { log1p: true, scale: Scaling::Standard },
        weight: 1.0,
        missing: Missing::Median,
    });
    let customers = Customers::from_frame(&features, part)?;
    let projection = Space::fit(SEGMENT, &features, &customers)
        .and_then(|space| space.project(&customers))
        .map_err(|error| polars_err!(ComputeError: "{error}"))?;
    let Labels { names, codes } = part.column(SEGMENT)?.str()?.iter().collect();
    Ok(Grouping {
        name: SEGMENT,
        space: LOG_SPACE.to_owned(),
        ids: ids.iter().collect(),
        points: Cow::Owned(projection.points),
        codes: codes.into_iter().flatten().collect(),
        group_names: names,
    })
}
