//! Cluster quality: clusterings, and the segments for comparison.

use std::collections::BTreeMap;

use polars::prelude::*;

use super::chart::ChartError;
use super::figure::{Figure, Kind, Section, Table, number, number_of, text, text_of};
use super::grid::{Grid, Sweep, distinct};
use super::series::{Axis, Bars, Data};
use super::{Source, chart, format};
use crate::columns::*;
use crate::tables::TableId;

/// Bars of a silhouette plot over all groups; each group has at least one.
const MAX_BARS: f64 = 160.0;
/// Glossary term.
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
        figures.extend(silhouettes(model, &label(model), &quality, source)?);
        figures.extend(clusters.as_ref().map(|clusters| centroids(model, clusters, source)));
    }
    // Segments come last: they are only for comparison.
    if groupings.contains(&SEGMENT) {
        figures.extend(silhouettes(SEGMENT, SEGMENT, &quality, source)?);
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
    let mut columns = vec![number_of("clusters", K, Kind::Count, |k: &f64| *k)];
    columns.extend(SWEEP_METRICS.map(|(metric, title, decimals)| {
        number_of(title, metric, Kind::Decimals(decimals), move |k: &f64| sweep.value(*k, metric))
    }));
    columns.push(text_of("chosen", CHOSEN, |k: &f64| sweep.yes_if_chosen(Some(*k))));
    let table = Table::new(sweep.ks.iter().copied(), columns);
    let mut elbow = "More clusters always have a smaller sum of squares. After the bend of the \
                     line (the “elbow”), more clusters improve it only a little."
        .to_owned();
    if let Some(k) = sweep.chosen() {
        elbow += &format!(" The clustering uses {k} clusters.");
    }
    let silhouette =
        "Mean silhouette by number of clusters. Higher means better separated clusters.".to_owned();
    let mut figures = Vec::new();
    for (index, (id, caption)) in
        [("elbow", elbow), ("silhouette", silhouette)].into_iter().enumerate()
    {
        let (metric, title, _) = SWEEP_METRICS[index];
        let points = sweep.ks.iter().filter_map(|k| Some((*k, sweep.value(*k, metric)?)));
        let (ks, values): (Vec<f64>, Vec<f64>) = points.unzip();
        let labels: Vec<String> = ks.iter().map(|k| sweep.label(*k)).collect();
        let has_negative = values.iter().any(|value| *value < 0.0);
        let axis = if has_negative { Axis::new(title) } else { Axis::amount(title) };
        let data = Data { color: Some(index), ..Data::new(metric, values.into_iter().map(Some)) };
        let figure = Figure::new(id, title, caption, table.clone()).of_model(sweep.model);
        figures.push(figure.with_chart(chart::sweep(&labels, data, "clusters", &axis)));
    }
    figures
}

/// Means of the clusters in the units of the features.
fn centroids(model: &str, clusters: &Grid, source: &Source<'_>) -> Figure {
    let rows = clusters.rows_with(MODEL, model);
    let mut names = distinct(rows.iter().copied(), CLUSTER);
    names.sort_by_cached_key(|name| source.sort_key(name));
    let first = |column: &'static str| {
        move |name: &&str| clusters.find(&[(MODEL, model), (CLUSTER, name)])?.number(column)
    };
    let mut columns = vec![
        text_of("cluster", CLUSTER, |name: &&str| (*name).to_owned()),
        number_of("customers", CUSTOMERS, Kind::Count, first(CUSTOMERS)),
        number_of("share", SHARE, Kind::Share, first(SHARE)),
    ];
    columns.extend(distinct(rows, COLUMN).into_iter().map(|feature| {
        number_of(feature, feature, Kind::Decimals(2), move |name: &&str| {
            clusters.find(&[(MODEL, model), (CLUSTER, name), (COLUMN, feature)])?.number(MEAN)
        })
    }));
    let caption = "Means over the customers of each cluster: its features, recency, frequency and \
                   monetary value, without scaling.";
    Figure::new("centroids", "cluster means", caption, Table::new(names, columns)).of_model(model)
}

/// The name of a group and the silhouettes of its customers, highest first.
type Group = (String, Vec<f64>);

/// Silhouettes of the customers by group, highest first. `column` contains the groups.
fn silhouettes(
    grouping: &str,
    column: &str,
    quality: &Grid,
    source: &Source<'_>,
) -> PolarsResult<Option<Figure>> {
    let Some(table) = source.tables.get(&TableId::Silhouettes) else { return Ok(None) };
    if source.newest.column(column).is_err() {
        return Ok(None);
    }
    let groups = silhouettes_by_group(grouping, column, table, source)?;
    let total: usize = groups.iter().map(|(_, values)| values.len()).sum();
    if total == 0 {
        return Ok(None);
    }
    let measured = |column: &'static str| {
        move |(name, _): &&Group| {
            let key = [(SNAPSHOT, source.snapshot), (GROUPING, grouping), (SEGMENT, name)];
            quality.find(&key)?.number(column)
        }
    };
    let columns = vec![
        text_of("group", GROUPING, |(name, _): &&Group| name.clone()),
        number_of("customers", CUSTOMERS, Kind::Count, measured(CUSTOMERS)),
        number_of("mean silhouette", SILHOUETTE, Kind::Decimals(4), measured(SILHOUETTE)),
        number_of("customers shown", PLOT, Kind::Count, |(_, values): &&Group| values.len() as f64),
        number_of("nearer to another group", PLOT, Kind::Share, |(_, values): &&Group| {
            let negative = values.iter().filter(|value| **value < 0.0).count();
            negative as f64 / values.len() as f64
        }),
    ];
    let caption = format!(
        "{} customers by group, highest silhouette first. Each bar represents about the same \
         number of customers, and each group has at least one bar. Customers below zero are nearer \
         to another group.",
        format::count(total as f64)
    );
    let table = Table::new(&groups, columns);
    let mut figure = Figure::new("silhouettes", "silhouettes", caption, table).of_model(grouping);
    if grouping == SEGMENT {
        figure.title = "Segments: silhouettes".to_owned();
    }
    let has_room = groups.len() <= chart::MAX_SERIES;
    Ok(Some(figure.with_chart(has_room.then(|| silhouette_chart(&groups, total)))))
}

fn silhouette_chart(groups: &[Group], total: usize) -> Result<String, ChartError> {
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

fn silhouettes_by_group(
    grouping: &str,
    column: &str,
    table: &DataFrame,
    source: &Source<'_>,
) -> PolarsResult<Vec<Group>> {
    let labels = source.newest.select([CUSTOMER_ID, column])?.lazy();
    let sample = table.clone().lazy().filter(col(GROUPING).eq(lit(grouping)));
    let on = [col(CUSTOMER_ID)];
    let sample = sample.join(labels, on.clone(), on, JoinArgs::new(JoinType::Inner)).collect()?;
    let mut groups: BTreeMap<&str, Vec<f64>> = BTreeMap::new();
    let sample = Grid::new(&sample)?;
    for row in sample.rows() {
        if let (Some(name), Some(value)) = (row.text(column), row.number(SILHOUETTE)) {
            groups.entry(name).or_default().push(value);
        }
    }
    let groups = groups.into_iter().map(|(name, mut values)| {
        values.sort_by(|a, b| b.total_cmp(a));
        (name.to_owned(), values)
    });
    let mut groups: Vec<Group> = groups.collect();
    groups.sort_by_cached_key(|(name, _)| source.sort_key(name));
    Ok(groups)
}

fn quality_table(quality: &Grid, source: &Source<'_>) -> Figure {
    let columns = vec![
        text("grouping", GROUPING),
        text("space", SPACE),
        number("customers", CUSTOMERS, Kind::Count),
        number("silhouette", SILHOUETTE, Kind::Decimals(4)),
        number("standard error", SILHOUETTE_ERROR, Kind::Decimals(4)),
        number("sum of squares", WCSS, Kind::Decimals(2)),
        number("Davies-Bouldin", DAVIES_BOULDIN, Kind::Decimals(4)),
        number("Caliński-Harabasz", CALINSKI_HARABASZ, Kind::Decimals(1)),
    ];
    let mut rows = quality.rows_with(SNAPSHOT, source.snapshot);
    rows.retain(|row| row.text(SEGMENT).is_none());
    Figure::new(
        TableId::ClusterQuality.name(),
        "Cluster quality",
        "Measures of each grouping as a whole, in the feature space named beside it. Do not \
         compare numbers of different spaces.",
        Table::new(rows, columns),
    )
}
