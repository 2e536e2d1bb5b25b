//! How customers fall into groups by distance: clusters, and the segments of the rules for comparison.

use polars::prelude::*;

use super::chart::{self, Axis, Data, Ink};
use super::figure::{Cell, Figure, Section, Table, number, text};
use super::grid::{Grid, Row, numbers, texts};
use super::{Source, slug, words};
use crate::columns::*;

/// Bars of a silhouette plot; a group has one at least.
const BARS: f64 = 160.0;
/// What is told of each number of clusters.
const SWEPT: [(&str, &str, usize); 5] = [
    (WCSS, "sum of squares", 2),
    (SILHOUETTE, "silhouette", 4),
    (DAVIES_BOULDIN, "Davies-Bouldin", 4),
    (CALINSKI_HARABASZ, "Caliński-Harabasz", 1),
    (LARGEST_SHARE, "largest cluster", 4),
];

pub(super) fn section(source: &Source<'_>) -> PolarsResult<Option<Section>> {
    let Some(cohesion) = source.grid("cohesion")? else { return Ok(None) };
    let mut figures = Vec::new();
    let (sweep, clusters) = (source.grid("k_sweep")?, source.grid("clusters")?);
    let groupings = cohesion.distinct(GROUPING);
    // Clusters come first; the segments are there to compare them with.
    for grouping in groupings.iter().filter(|grouping| *grouping != SEGMENT) {
        if let Some(sweep) = &sweep {
            figures.extend(swept(grouping, sweep));
        }
        figures.extend(silhouettes(grouping, &label(grouping), &cohesion, source)?);
        if let Some(clusters) = &clusters {
            figures.push(centroids(grouping, clusters, source));
        }
    }
    if groupings.iter().any(|grouping| grouping == SEGMENT) {
        figures.extend(silhouettes(SEGMENT, SEGMENT, &cohesion, source)?);
    }
    figures.push(measures(&cohesion, source));
    let lead = "How near customers are to those of their own group, and how far from the next. Segments are made by rules, for people \
                to act upon, and cut through dense places: their silhouettes are low by nature, and no mark against them."
        .to_owned();
    Ok(Some(Section { id: "clusters", title: "Groups by distance", lead, figures }))
}

/// The elbow and the silhouettes, by the number of clusters.
fn swept(model: &str, sweep: &Grid) -> Vec<Figure> {
    let rows: Vec<Row<'_>> = sweep.rows().filter(|row| row.is(MODEL, model)).collect();
    let mut ks: Vec<f64> = rows.iter().filter_map(|row| row.number(K)).collect();
    ks.dedup();
    if ks.len() < 2 {
        return Vec::new();
    }
    let at = |k: f64, metric: &str| {
        rows.iter().find(|row| row.number(K) == Some(k) && row.is(METRIC, metric))
    };
    let value = |k: f64, metric: &str| at(k, metric).and_then(|row| row.number(VALUE));
    let chosen =
        |k: f64| rows.iter().any(|row| row.number(K) == Some(k) && row.number(CHOSEN) == Some(1.0));
    let table = || {
        let mut columns = vec![number("clusters", K)];
        columns.extend(SWEPT.map(|(metric, title, _)| number(title, metric)));
        columns.push(text("chosen", CHOSEN));
        let cells = ks.iter().map(|k| {
            let mut row = vec![Cell::count(Some(*k))];
            row.extend(SWEPT.map(|(metric, _, places)| Cell::places(value(*k, metric), places)));
            row.push(Cell::text(if chosen(*k) { "yes" } else { "" }));
            row
        });
        Table::new(columns, cells.collect())
    };
    let taken =
        ks.iter().find(|k| chosen(**k)).map_or_else(String::new, |k| format!(" {k} were taken."));
    let line = |id: &str, title: &str, reading: String, metric: &str, ink: Ink| {
        let met: Vec<f64> = ks.iter().copied().filter(|k| value(*k, metric).is_some()).collect();
        let labels: Vec<String> = met
            .iter()
            .map(|k| if chosen(*k) { format!("{k} (taken)") } else { k.to_string() })
            .collect();
        let data = Data::new(metric, met.iter().map(|k| value(*k, metric)), ink);
        let below = data.values.iter().flatten().any(|value| *value < 0.0);
        let axis = if below {
            Axis::new(title.to_lowercase())
        } else {
            Axis::amount(title.to_lowercase())
        };
        Figure::new(
            format!("{id}-{}", slug(model)),
            format!("{model}: {}", title.to_lowercase()),
            reading,
            table(),
        )
        .drawn(chart::tried(&labels, &data, "clusters", &axis))
    };
    vec![
        line(
            "elbow",
            "Sum of squares",
            format!(
                "The elbow: more clusters always lie closer about their middles; where it bends, they gain little.{taken}"
            ),
            WCSS,
            Ink::First,
        ),
        line(
            "silhouette",
            "Silhouette",
            "The mean silhouette by the number of clusters: higher is better parted.".to_owned(),
            SILHOUETTE,
            Ink::Second,
        ),
    ]
}

/// The middles of the clusters, in plain units.
fn centroids(model: &str, clusters: &Grid, source: &Source<'_>) -> Figure {
    let rows: Vec<Row<'_>> = clusters.rows().filter(|row| row.is(MODEL, model)).collect();
    let distinct = |column: &str| {
        let mut found: Vec<&str> = Vec::new();
        for text in rows.iter().filter_map(|row| row.text(column)) {
            if !found.contains(&text) {
                found.push(text);
            }
        }
        found
    };
    let (mut names, columns) =
        (distinct(CLUSTER).into_iter().map(str::to_owned).collect::<Vec<_>>(), distinct(COLUMN));
    source.ordered(&mut names);
    let mut headings =
        vec![text("cluster", CLUSTER), number("customers", CUSTOMERS), number("share", SHARE)];
    headings.extend(columns.iter().map(|column| number(column, column)));
    let cells = names.iter().map(|name| {
        let of: Vec<&Row<'_>> = rows.iter().filter(|row| row.is(CLUSTER, name)).collect();
        let first = |column: &str| of.first().and_then(|row| row.number(column));
        let mut row =
            vec![Cell::text(name), Cell::count(first(CUSTOMERS)), Cell::share(first(SHARE))];
        row.extend(columns.iter().map(|column| {
            Cell::places(
                of.iter().find(|row| row.is(COLUMN, column)).and_then(|row| row.number(MEAN)),
                2,
            )
        }));
        row
    });
    Figure::new(
        format!("centroids-{}", slug(model)),
        format!("{model}: the middles of the clusters"),
        "Means over the customers of each cluster in plain units, of its features and of recency, frequency and monetary value.",
        Table::new(headings, cells.collect()),
    )
}

/// The silhouettes of the customers, group by group, the best first.
fn silhouettes(
    grouping: &str,
    column: &str,
    cohesion: &Grid,
    source: &Source<'_>,
) -> PolarsResult<Option<Figure>> {
    let Some(table) = source.table("silhouettes") else { return Ok(None) };
    if source.newest.column(column).is_err() {
        return Ok(None);
    }
    let labels = source.newest.select([CUSTOMER_ID, column])?;
    let of = table.clone().lazy().filter(col(GROUPING).eq(lit(grouping)));
    let joined = of.join(
        labels.lazy(),
        [col(CUSTOMER_ID)],
        [col(CUSTOMER_ID)],
        JoinArgs::new(JoinType::Inner),
    );
    let order = SortMultipleOptions::default().with_order_descending_multi([false, true, false]);
    let sample = joined.sort([column, SILHOUETTE, CUSTOMER_ID], order).collect()?;
    let mut groups: Vec<(String, Vec<f64>)> = Vec::new();
    for (name, value) in
        texts(sample.column(column)?)?.into_iter().zip(numbers(sample.column(SILHOUETTE)?)?)
    {
        let (Some(name), Some(value)) = (name, value) else { continue };
        match groups.last_mut().filter(|(last, _)| *last == name) {
            Some((_, values)) => values.push(value),
            None => groups.push((name, vec![value])),
        }
    }
    let mut order: Vec<String> = groups.iter().map(|(name, _)| name.clone()).collect();
    source.ordered(&mut order);
    groups.sort_by_key(|(name, _)| order.iter().position(|other| other == name));
    let all: usize = groups.iter().map(|(_, values)| values.len()).sum();
    if all == 0 {
        return Ok(None);
    }
    let mut data: Vec<Data> = Vec::new();
    let mut drawn = 0;
    for (idx, (name, values)) in groups.iter().enumerate() {
        let bars =
            ((BARS * values.len() as f64 / all as f64).round() as usize).clamp(1, values.len());
        let before = (0..drawn).map(|_| None);
        let own = (0..bars).map(|bar| Some(values[(2 * bar + 1) * values.len() / (2 * bars)]));
        data.push(Data::new(name, before.chain(own), Ink::Nth(idx)));
        drawn += bars;
    }
    let measured = |name: &str| {
        cohesion.rows().find(|row| {
            row.is(SNAPSHOT, &source.snapshot)
                && row.is(GROUPING, grouping)
                && row.text(SEGMENT).unwrap_or_default() == name
        })
    };
    let columns = vec![
        text("group", GROUPING),
        number("customers", CUSTOMERS),
        number("mean silhouette", SILHOUETTE),
        number("looked at", "silhouette plot"),
        number("nearer to another group", "silhouette plot"),
    ];
    let cells = groups.iter().map(|(name, values)| {
        let row = measured(name);
        let below = values.iter().filter(|value| **value < 0.0).count();
        vec![
            Cell::text(name),
            Cell::count(row.and_then(|row| row.number(CUSTOMERS))),
            Cell::places(row.and_then(|row| row.number(SILHOUETTE)), 4),
            Cell::count(Some(values.len() as f64)),
            Cell::share(Some(below as f64 / values.len() as f64)),
        ]
    });
    let title = match grouping {
        SEGMENT => "Segments: silhouettes".to_owned(),
        _ => format!("{grouping}: silhouettes"),
    };
    let reading = format!(
        "{} customers, group by group, the best first; each bar stands for about as many of them, and every group has one. Below zero they are nearer to another group.",
        words::count(all as f64)
    );
    let blank = vec![String::new(); drawn];
    let figure = Figure::new(
        format!("silhouettes-{}", slug(grouping)),
        title,
        reading,
        Table::new(columns, cells.collect()),
    );
    if groups.len() > chart::MANY {
        return Ok(Some(figure));
    }
    let axis = Axis { format: "{c}", label: "{:.2}", ..Axis::new("silhouette") };
    Ok(Some(figure.drawn(chart::columns(&blank, &data, "customers, by group", &axis, true))))
}

/// How well each way of grouping holds together.
fn measures(cohesion: &Grid, source: &Source<'_>) -> Figure {
    let columns = vec![
        text("grouping", GROUPING),
        text("space", SPACE),
        number("customers", CUSTOMERS),
        number("silhouette", SILHOUETTE),
        number("its standard error", SILHOUETTE_ERROR),
        number("sum of squares", WCSS),
        number("Davies-Bouldin", DAVIES_BOULDIN),
        number("Caliński-Harabasz", CALINSKI_HARABASZ),
    ];
    let rows = cohesion
        .rows()
        .filter(|row| row.is(SNAPSHOT, &source.snapshot) && row.text(SEGMENT).is_none());
    let cells = rows.map(|row| {
        vec![
            Cell::text(row.text(GROUPING).unwrap_or_default()),
            Cell::text(row.text(SPACE).unwrap_or_default()),
            Cell::count(row.number(CUSTOMERS)),
            Cell::places(row.number(SILHOUETTE), 4),
            Cell::places(row.number(SILHOUETTE_ERROR), 4),
            Cell::places(row.number(WCSS), 2),
            Cell::places(row.number(DAVIES_BOULDIN), 4),
            Cell::places(row.number(CALINSKI_HARABASZ), 1),
        ]
    });
    Figure::new(
        "cohesion",
        "Cohesion",
        "Measures of whole groupings, each in the space that is named beside it: figures of different spaces do not compare.",
        Table::new(columns, cells.collect()),
    )
}
