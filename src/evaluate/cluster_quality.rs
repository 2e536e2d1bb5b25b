//! Quality of segments and clusters: how close the customers of a group are in a feature space.
//!
//! Rule segments are boxes, not clusters: a low or negative silhouette means that boxes touch, not
//! that a map is bad.

use std::borrow::Cow;

use chrono::NaiveDate;
use polars::prelude::*;

use super::SnapshotPart;
use super::cluster_geometry::{
    ClusterGeometry, SilhouetteMode, Silhouettes, calinski_harabasz, davies_bouldin,
};
use crate::columns::*;
use crate::model::features::{Customers, Encoding, FeatureParams, Missing, Scaling, text};
use crate::model::point_matrix::PointMatrix;
use crate::model::space::Space;
use crate::model::{Clustered, Labels, StringArena};
use crate::tables::table_rows;

/// Customers assigned to groups, in a feature space.
struct Grouping<'a> {
    name: &'a str,
    space: String,
    ids: Vec<&'a str>,
    points: Cow<'a, PointMatrix>,
    codes: Vec<usize>,
    group_names: Vec<String>,
}

table_rows! {
    struct GroupQuality<'a> {
        SNAPSHOT => snapshot: NaiveDate,
        GROUPING => grouping: &'a str,
        SPACE => space: &'a str,
        /// The group. `None` for the whole grouping.
        SEGMENT => segment: Option<&'a str>,
        CUSTOMERS => customers: u32,
        /// Mean over the customers. `None` for a single group.
        SILHOUETTE => silhouette: Option<f64>,
        /// Standard error of the mean. `None` unless it is from a sample.
        SILHOUETTE_ERROR => silhouette_error: Option<f64>,
        WCSS => wcss: f64,
        /// `None` for single groups, as is the next column.
        DAVIES_BOULDIN => davies_bouldin: Option<f64>,
        CALINSKI_HARABASZ => calinski_harabasz: Option<f64>,
    }

    struct CustomerSilhouette<'a> {
        GROUPING => grouping: &'a str,
        CUSTOMER_ID => customer_id: &'a str,
        SILHOUETTE => silhouette: f64,
    }
}

/// The tables `cluster_quality` and `silhouettes` of the segments and clusters of the newest
/// snapshot. Silhouettes are too expensive for every snapshot of a grid.
///
/// `cluster_quality` has one row per (grouping, group), and one with a null group per grouping.
/// `silhouettes` has one row per (grouping, customer), unless the silhouettes are from a sample.
pub(super) fn cluster_quality(
    (snapshot, newest): &SnapshotPart,
    clusterings: &[Clustered],
    mode: SilhouetteMode,
) -> PolarsResult<(DataFrame, DataFrame)> {
    let ids = text(newest, CUSTOMER_ID)?;
    let mut groupings = vec![segment_grouping(newest, &ids)?];
    groupings.extend(clusterings.iter().map(|clustered| cluster_grouping(clustered, &ids)));
    let mut groups = Vec::new();
    let mut customers = Vec::new();
    for grouping in &groupings {
        let Grouping { name, space, ids, points, codes, group_names } = grouping;
        let geometries = ClusterGeometry::all(points, &points.distinct(), codes, group_names.len());
        let silhouettes = Silhouettes::of(&geometries, mode);
        let wcss: Vec<f64> = geometries.iter().map(ClusterGeometry::wcss).collect();
        let quality = |group: Option<usize>| {
            let mean = silhouettes.as_ref().map(|silhouettes| silhouettes.mean(group));
            let of_whole = |index: fn(&[ClusterGeometry]) -> Option<f64>| {
                if group.is_none() { index(&geometries) } else { None }
            };
            let range = group.map_or(0..geometries.len(), |group| group..group + 1);
            GroupQuality {
                snapshot: *snapshot,
                grouping: name,
                space,
                segment: group.map(|group| group_names[group].as_str()),
                customers: geometries[range.clone()].iter().map(|group| group.len() as u32).sum(),
                silhouette: mean.map(|(mean, _)| mean),
                silhouette_error: mean.and_then(|(_, error)| error),
                wcss: wcss[range].iter().sum(),
                davies_bouldin: of_whole(davies_bouldin),
                calinski_harabasz: of_whole(calinski_harabasz),
            }
        };
        groups.extend([None].into_iter().chain((0..group_names.len()).map(Some)).map(quality));
        let of_customers = silhouettes
            .as_ref()
            .and_then(|silhouettes| silhouettes.of_points(&geometries, points, codes));
        let of_customers = ids.iter().zip(of_customers.into_iter().flatten());
        customers.extend(of_customers.map(|(customer_id, silhouette)| CustomerSilhouette {
            grouping: name,
            customer_id,
            silhouette,
        }));
    }
    Ok((GroupQuality::frame(groups)?, CustomerSilhouette::frame(customers)?))
}

/// Describes a feature space, such as `recency_days, monetary; log1p, standardised`.
fn describe_space(features: &[FeatureParams]) -> String {
    let groups = features.chunk_by(|a, b| describe_encoding(a) == describe_encoding(b));
    let describe_group = |group: &[FeatureParams]| {
        let columns: Vec<&str> = group.iter().map(|feature| feature.column.as_str()).collect();
        format!("{}; {}", columns.join(", "), describe_encoding(&group[0]))
    };
    groups.map(describe_group).collect::<Vec<_>>().join(" | ")
}

/// The texts are values of the published column `space`.
fn describe_encoding(feature: &FeatureParams) -> String {
    let scaled = |scale: &Scaling| match scale {
        Scaling::Standard => "standardised",
        Scaling::Robust => "by quartiles",
        Scaling::Minmax => "by range",
        Scaling::Percentile => "as percentile",
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
    let Labels { names, codes } = clustered.labels();
    Grouping {
        name: &clustered.model.params.name,
        space: describe_space(&clustered.model.params.features),
        ids: clustered.projection.with_point(ids.iter()).collect(),
        points: Cow::Borrowed(&clustered.projection.points),
        codes: codes.into_iter().flatten().collect(),
        group_names: names,
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
    let customers = Customers::of_snapshot(&features, part)?;
    let projection = Space::fit(SEGMENT, &features, &customers)
        .and_then(|space| space.project(&customers))
        .map_err(|error| polars_err!(ComputeError: "{error}"))?;
    let Labels { names, codes } = part.column(SEGMENT)?.str()?.iter().collect();
    Ok(Grouping {
        name: SEGMENT,
        space: describe_space(&features),
        ids: ids.iter().collect(),
        points: Cow::Owned(projection.points),
        codes: codes.into_iter().flatten().collect(),
        group_names: names,
    })
}
