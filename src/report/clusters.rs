//! Cluster quality: clusterings, and the segments for comparison.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::chart::{self, Axis, Bars, Data, Drawn};
use super::figure::{Figure, Kind, Section, Table, TableOf};
use super::grid::{Grid, Sweep, distinct};
use super::{Source, format};
use crate::columns::*;
use crate::tables::TableId;

/// Bars of a silhouette plot over all groups; each group has at least one.
const MAX_BARS: f64 = 160.0;
const PLOT: &str = "silhouette plot";
/// Metrics of a sweep over the number of clusters, with titles and decimals.
const SWEEP_METRICS: [(&str, &str, usize); 5] = [
    (WCSS, "sum of squares", 2),
    (SILHOUETTE, "silhouette", 4),
    (DAVIES_BOULDIN, "Davies-Bouldin", 4),
    (CALINSKI_HARABASZ, "Caliński-Harabasz", 1),
    (LARGEST_SHARE, "largest cluster", 4),
];

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(quality) = source.grid(TableId::ClusterQuality)? else { return Ok(None) };
    let sweep = source.grid(TableId::KSweep)?;
    let clusters = source.grid(TableId::Clusters)?;
    let mut figures = Vec::new();
    let groupings = distinct(quality.rows(), GROUPING);
    for model in groupings.iter().filter(|grouping| **grouping != SEGMENT) {
        if let Some(sweep) = &sweep {
            figures.extend(sweep_figures(&Sweep::new(model, sweep)));
        }
        figures.extend(silhouettes(model, &quality, source)?);
        figures.extend(clusters.as_ref().map(|clusters| centroids(model, clusters, source)));
    }
    // Segments come last: they are only for comparison.
    if groupings.contains(&SEGMENT) {
        figures.extend(silhouettes(SEGMENT, &quality, source)?);
    }
    figures.push(quality_table(&quality, source));
    let lead = "How similar customers are to their own group, and how different from the next \
                one. Segments are defined by business rules, not by distance. Their silhouettes \
                are therefore low, which does not mean that the segments are bad.";
    Ok(Some(Section { id: "clusters", title: "Clusters", lead: lead.to_owned(), figures }))
}

/// Sum of squares and silhouette by number of clusters. Empty if only one number was tried.
fn sweep_figures(sweep: &Sweep<'_>) -> Vec<Figure> {
    if sweep.ks.len() < 2 {
        return Vec::new();
    }
    let table = TableOf::new(sweep.ks.clone()).number_of("clusters", K, Kind::Count, |k| *k);
    let table = SWEEP_METRICS.into_iter().fold(table, |table, (metric, title, decimals)| {
        table.number_of(title, metric, Kind::Decimals(decimals), |k| sweep.value(*k, metric))
    });
    let table = Table::from(table.text_of("chosen", CHOSEN, |k| sweep.yes_if_chosen(*k)));
    let mut elbow = "More clusters always have a smaller sum of squares. After the bend of the \
                     line (the “elbow”), more clusters improve it only a little."
        .to_owned();
    if let Some(k) = sweep.chosen {
        elbow += &format!(" The clustering uses {k} clusters (*).");
    }
    let mut silhouette =
        "Mean silhouette by number of clusters. Higher means better separated clusters.".to_owned();
    let measured = sweep.ks.iter().filter_map(|k| Some((*k, sweep.value(*k, SILHOUETTE)?)));
    if let Some((k, best)) = measured.max_by(|a, b| a.1.total_cmp(&b.1)) {
        silhouette += &format!(" It is highest with {k} clusters: {best:.3}.");
    }
    let mut figures = Vec::new();
    for (index, (id, caption)) in
        [("elbow", elbow), ("silhouette", silhouette)].into_iter().enumerate()
    {
        let (metric, title, _) = SWEEP_METRICS[index];
        let points = sweep.ks.iter().filter_map(|k| Some((*k, sweep.value(*k, metric)?)));
        let (ks, values): (Vec<f64>, Vec<f64>) = points.unzip();
        let labels: Vec<String> = ks.iter().map(|k| sweep.label(*k)).collect();
        let has_negative = values.iter().any(|value| *value < 0.0);
        let axis = Axis { min: (!has_negative).then_some(0.0), ..Axis::new(title) };
        let data = Data { color: Some(index), ..Data::new(metric, values.into_iter().map(Some)) };
        let figure = Figure::new(id, title, caption, table.clone()).of_model(sweep.model);
        figures.push(figure.with_chart(chart::sweep(&labels, &data, "clusters", &axis)));
    }
    figures
}

/// Means of the clusters in the units of the features.
fn centroids(model: &str, clusters: &Grid, source: &Source<'_>) -> Figure {
    let rows = clusters.rows_with(MODEL, model);
    let mut names = distinct(rows.iter().copied(), CLUSTER);
    names.sort_by_cached_key(|name| source.sort_key(name));
    let value = |name: &str, column: &str| {
        clusters.find(&[(MODEL, model), (CLUSTER, name)])?.number(column)
    };
    let table = TableOf::new(names)
        .text_of("cluster", CLUSTER, |name| *name)
        .number_of("customers", CUSTOMERS, Kind::Count, |name| value(name, CUSTOMERS))
        .number_of("share", SHARE, Kind::Share, |name| value(name, SHARE));
    let table = distinct(rows, COLUMN).into_iter().fold(table, |table, feature| {
        table.number_of(feature, feature, Kind::Decimals(2), |name| {
            clusters.find(&[(MODEL, model), (CLUSTER, name), (COLUMN, feature)])?.number(MEAN)
        })
    });
    let caption = "Means over the customers of each cluster: its features, recency, frequency and \
                   monetary value, without scaling.";
    Figure::new("centroids", "cluster means", caption, table).of_model(model)
}

/// The name of a group and the silhouettes of its customers, highest first.
type Group = (String, Vec<f64>);

/// Silhouettes of the customers by group.
fn silhouettes(
    grouping: &str,
    quality: &Grid,
    source: &Source<'_>,
) -> PolarsResult<Option<Figure>> {
    let groups = silhouettes_by_group(grouping, source)?;
    if groups.is_empty() {
        return Ok(None);
    }
    let total: usize = groups.iter().map(|(_, values)| values.len()).sum();
    let measured = |name: &str, column: &str| {
        let key = [(SNAPSHOT, source.snapshot), (GROUPING, grouping), (SEGMENT, name)];
        quality.find(&key)?.number(column)
    };
    let below_zero = |values: &[f64]| values.iter().filter(|value| **value < 0.0).count() as f64;
    let table = TableOf::new(&groups)
        .text_of("group", GROUPING, |(name, _)| name)
        .number_of("customers", CUSTOMERS, Kind::Count, |(name, _)| measured(name, CUSTOMERS))
        .number_of("mean silhouette", SILHOUETTE, Kind::Decimals(4), |(name, _)| {
            measured(name, SILHOUETTE)
        })
        .number_of("customers shown", PLOT, Kind::Count, |(_, values)| values.len() as f64)
        .number_of("nearer to another group", PLOT, Kind::Share, |(_, values)| {
            below_zero(values) / values.len() as f64
        });
    let caption = format!(
        "{} customers by group, highest silhouette first. Each bar represents about the same \
         number of customers, and each group has at least one bar. Customers below zero are nearer \
         to another group: {}.",
        format::count(total as f64),
        format::share(
            groups.iter().map(|(_, values)| below_zero(values)).sum::<f64>() / total as f64
        )
    );
    let mut figure = Figure::new("silhouettes", "silhouettes", caption, table).of_model(grouping);
    if grouping == SEGMENT {
        figure.title = "Segments: silhouettes".to_owned();
    }
    let has_room = groups.len() <= chart::MAX_SERIES;
    Ok(Some(figure.with_chart(has_room.then(|| silhouette_chart(&groups, total)))))
}

fn silhouette_chart(groups: &[Group], total: usize) -> Drawn {
    let mut data: Vec<Data> = Vec::new();
    let mut drawn = 0;
    for (name, values) in groups {
        let n = values.len();
        let bars = ((MAX_BARS * n as f64 / total as f64).round() as usize).clamp(1, n);
        let heights = (0..bars).map(|bar| Some(values[(2 * bar + 1) * n / (2 * bars)]));
        let heights = std::iter::repeat_n(None, drawn).chain(heights);
        data.push(Data::new(name, heights));
        drawn += bars;
    }
    let no_labels = vec![String::new(); drawn];
    let axis = Axis { format: "{c}", label: "{:.2}", ..Axis::new("silhouette") };
    chart::bars(&no_labels, &data, "customers, by group", &axis, Bars::Stacked)
}

/// The groups of the newest snapshot's customers. Empty without silhouettes or groups.
fn silhouettes_by_group(grouping: &str, source: &Source<'_>) -> PolarsResult<Vec<Group>> {
    let column = if grouping == SEGMENT { SEGMENT.to_owned() } else { label(grouping) };
    let table = source.tables.get(&TableId::Silhouettes);
    let (Some(table), Ok(labels)) = (table, source.newest.select([CUSTOMER_ID, &column])) else {
        return Ok(Vec::new());
    };
    let sample = table.clone().lazy().filter(col(GROUPING).eq(lit(grouping)));
    let on = [col(CUSTOMER_ID)];
    let sample = sample.join(labels.lazy(), on.clone(), on, JoinArgs::new(JoinType::Inner));
    let sample = Grid::new(&sample.collect()?)?;
    let mut groups: BTreeMap<String, Vec<f64>> = BTreeMap::new();
    for row in sample.rows() {
        if let (Some(name), Some(value)) = (row.text(&column), row.number(SILHOUETTE)) {
            groups.entry(name.to_owned()).or_default().push(value);
        }
    }
    let mut groups: Vec<Group> = groups.into_iter().collect();
    groups.sort_by_cached_key(|(name, _)| source.sort_key(name));
    groups.iter_mut().for_each(|(_, values)| values.sort_by(|a, b| b.total_cmp(a)));
    Ok(groups)
}

fn quality_table(quality: &Grid, source: &Source<'_>) -> Figure {
    let mut rows = quality.rows_with(SNAPSHOT, source.snapshot);
    rows.retain(|row| row.text(SEGMENT).is_none());
    let table = TableOf::new(rows)
        .text("grouping", GROUPING)
        .text("space", SPACE)
        .number("customers", CUSTOMERS, Kind::Count)
        .number("silhouette", SILHOUETTE, Kind::Decimals(4))
        .number("standard error", SILHOUETTE_ERROR, Kind::Decimals(4))
        .number("sum of squares", WCSS, Kind::Decimals(2))
        .number("Davies-Bouldin", DAVIES_BOULDIN, Kind::Decimals(4))
        .number("Caliński-Harabasz", CALINSKI_HARABASZ, Kind::Decimals(1));
    let caption = "Measures of each grouping as a whole, in the feature space named beside it. Do \
                   not compare numbers of different spaces.";
    Figure::new(TableId::ClusterQuality.name(), "Cluster quality", caption, table)
}
