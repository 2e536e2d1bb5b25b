//! Charts as inline SVG. The only file that depends on the chart library.
//!
//! Charts use the colours of a light page. `page.css` replaces the colours of text, axes and grid
//! on a dark page. The colours of data are readable on both.

use std::slice;
use std::sync::Once;

use charts_rs::{
    BarChart, ChartBase, Color, HorizontalBarChart, LegendCategory, LineChart, ScatterChart,
    SeriesBand, SeriesCategory, Symbol, Theme, TreemapChart, YAxisConfig, add_theme, get_theme,
};

/// Inline SVG with escaped text, for wide screens and for phones, or why it could not be drawn.
pub(super) type Drawn = Result<[String; 2], charts_rs::Error>;

const THEME: &str = "custseg";
/// Labels and values; matched by `page.css`.
const TEXT: &str = "#26303b";
/// Axes; matched by `page.css`.
const AXIS: &str = "#5b6773";
/// Grid lines; matched by `page.css`.
const GRID: &str = "#d9dee4";
/// Widths of every chart, for wide screens and for phones. The page scales them a little.
const WIDTHS: [f32; 2] = [560.0, 350.0];
const HEIGHT: f32 = 320.0;
/// Height of a horizontal bar with its gap.
const ROW_HEIGHT: f32 = 30.0;
/// Height of the legend and the x axis.
const FRAME_HEIGHT: f32 = 78.0;
/// The library skips labels of its own accord beyond this number.
const MAX_ROTATED_LABELS: usize = 24;

/// Series that a legend has room for.
pub(super) const MAX_SERIES: usize = 12;
/// Each has a contrast of at least 3:1 to a light and a dark page.
const COLORS: [&str; MAX_SERIES] = [
    "#2f73b7", "#c45c1c", "#2c8852", "#b84a86", "#86702a", "#7b5fc2", "#1c8693", "#c64a4f",
    "#6a7f2b", "#757d87", "#a360a8", "#4a7d9c",
];

/// How bars of several series share a category.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Bars {
    SideBySide,
    Stacked,
}

/// One series of a chart.
#[derive(Debug)]
pub(super) struct Data {
    pub(super) name: String,
    pub(super) values: Vec<Option<f64>>,
    /// Position in the palette. `None` for the position of the series in its chart.
    pub(super) color: Option<usize>,
    /// From faint to full colour, 0 to 1.
    pub(super) shade: f64,
    /// Ends of an error bar for each value; empty for none.
    pub(super) bounds: Vec<Option<(f64, f64)>>,
    pub(super) dashed: bool,
}

impl Data {
    pub(super) fn new(name: &str, values: impl IntoIterator<Item = Option<f64>>) -> Self {
        Self {
            name: name.to_owned(),
            values: values.into_iter().collect(),
            color: None,
            shade: 1.0,
            bounds: Vec::new(),
            dashed: false,
        }
    }

    /// A dashed straight line, to compare another series with.
    pub(super) fn reference(name: &str, ends: [f64; 2]) -> Self {
        Self { color: Some(9), dashed: true, ..Self::new(name, ends.map(Some)) }
    }

    /// Adds an error bar to each value.
    pub(super) fn with_bounds(self, bounds: impl IntoIterator<Item = Option<(f64, f64)>>) -> Self {
        Self { bounds: bounds.into_iter().collect(), ..self }
    }

    fn color(&self, index: usize) -> Color {
        // An opacity of a third is the faintest that is visible on a dark page too.
        let opacity = 85.0 + 170.0 * self.shade.clamp(0.0, 1.0);
        Color::from(COLORS[self.color.unwrap_or(index) % COLORS.len()]).with_alpha(opacity as u8)
    }

    fn series(&self, index: usize) -> charts_rs::Series {
        let single =
            |value: Option<f64>| value.filter(|value| value.is_finite()).map(|value| value as f32);
        let band = |end: fn(&(f64, f64)) -> f64| {
            self.bounds.iter().map(|ends| single(ends.as_ref().map(end))).collect()
        };
        charts_rs::Series {
            name: self.name.clone(),
            data: self.values.iter().map(|value| single(*value)).collect(),
            index: Some(index),
            error_bar: (!self.bounds.is_empty()).then(|| SeriesBand {
                lower: band(|ends| ends.0),
                upper: band(|ends| ends.1),
                stroke_width: None,
            }),
            stroke_dash_array: self.dashed.then(|| "5,4".to_owned()),
            ..Default::default()
        }
    }
}

/// Title, number format and range of an axis. Formats contain `{c}`, or `{t}` for thousands
/// separators.
#[derive(Debug, Clone)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) format: &'static str,
    /// Format of the values beside bars.
    pub(super) label: &'static str,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Axis {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), format: "{t}", label: "{t}", min: None, max: None }
    }

    /// Percentages from 0 on.
    pub(super) fn percent(title: impl Into<String>) -> Self {
        Self { format: "{c} %", label: "{c} %", min: Some(0.0), ..Self::new(title) }
    }

    /// Values from 0 to 1.
    pub(super) fn unit(title: impl Into<String>) -> Self {
        Self { format: "{c}", label: "{:.2}", ..Self::new(title) }.range(0.0, 1.0)
    }

    pub(super) fn range(self, min: f64, max: f64) -> Self {
        Self { min: Some(min), max: Some(max), ..self }
    }

    /// Applies title, format and range to the chart's value axis.
    fn apply(&self, configs: &mut [YAxisConfig], largest: f64) {
        let Some(axis) = configs.first_mut() else { return };
        let end = if self.max.is_none() && self.min == Some(0.0) && largest > 0.0 {
            Some(axis_end(largest))
        } else {
            self.max
        };
        axis.formatter = Some(self.format.to_owned());
        axis.min = self.min.map(|min| min as f32);
        axis.max = end.map(|end| end as f32);
        axis.split_number = 5;
        // Otherwise short labels overlap the title.
        axis.width = end.is_some_and(|end| end <= 1.0).then_some(40.0);
        axis.title = (!self.title.is_empty()).then(|| self.title.clone());
    }
}

/// Registers the theme once and returns its name.
fn theme() -> &'static str {
    static REGISTERED: Once = Once::new();
    REGISTERED.call_once(|| {
        let mut theme = Theme::clone(&get_theme(charts_rs::THEME_LIGHT));
        theme.background_color = Color::transparent();
        theme.margin = 6.0.into();
        theme.legend.font.color = TEXT.into();
        theme.sub_title.font.color = AXIS.into();
        theme.legend.category = LegendCategory::RoundRect;
        theme.series.label.font.color = TEXT.into();
        theme.x_axis.font.color = AXIS.into();
        theme.x_axis.stroke_color = GRID.into();
        theme.y_axis.font.color = AXIS.into();
        theme.grid.stroke_color = GRID.into();
        theme.legend.font.size = 13.0;
        theme.legend.margin = Some(charts_rs::Box { bottom: 8.0, ..Default::default() });
        theme.series.label.font.size = 13.0;
        theme.x_axis.font.size = 13.0;
        theme.y_axis.font.size = 13.0;
        theme.series.symbol = Some(Symbol::None);
        add_theme(THEME, theme);
    });
    THEME
}

/// Draws a chart in every width.
fn drawn(draw: impl Fn(f32) -> Result<String, charts_rs::Error>) -> Drawn {
    let [wide, narrow] = WIDTHS.map(draw);
    Ok([wide?, narrow?])
}

fn configure(base: &mut ChartBase, [width, height]: [f32; 2], data: &[Data]) {
    base.width = width;
    base.height = height;
    base.compact = true;
    base.tooltip.show = true;
    base.series.colors = data.iter().enumerate().map(|(index, data)| data.color(index)).collect();
    base.series.label.formatter = "{t}".to_owned();
    base.legend.show = Some(data.len() > 1);
}

/// Rotates long category labels just as far as needed. The library drops labels if the sum of
/// their heights exceeds the length of the axis.
fn rotate_labels(base: &mut ChartBase) {
    if base.x_axis.data.len() > MAX_ROTATED_LABELS {
        return;
    }
    let axis = base.width - 180.0;
    let widths: Vec<f32> =
        base.x_axis.data.iter().map(|name| 6.6 * name.chars().count() as f32).collect();
    let longest = widths.iter().copied().fold(0.0, f32::max);
    let slot = axis / widths.len().max(1) as f32;
    if longest > slot - 6.0 {
        let sine = (axis / widths.iter().sum::<f32>().max(axis)).min(0.75);
        let extra_height = longest * sine * 0.8;
        base.x_axis.name_rotate = sine.asin();
        base.x_axis.font.size = 12.0;
        base.x_axis.height += extra_height;
        base.height += extra_height;
        base.margin.right += 30.0;
    }
}

/// Leaves out labels so that the others do not touch.
fn thin_labels(base: &mut ChartBase) {
    let labels = &mut base.x_axis.data;
    let longest = labels.iter().map(|label| label.chars().count()).max().unwrap_or(0);
    let slot = (base.width - 80.0) / labels.len().max(1) as f32;
    let step = ((7.5 * longest as f32 + 8.0) / slot).ceil().max(1.0) as usize;
    let left_out = labels.iter_mut().enumerate().filter(|(index, _)| index % step != 0);
    left_out.for_each(|(_, label)| label.clear());
}

/// End of an axis with five round steps. The library prints one decimal, so steps are multiples of
/// 0.1.
fn axis_end(largest: f64) -> f64 {
    let power = 10f64.powf((largest / 5.0).log10().floor()).max(0.1);
    let steps: &[f64] = if power < 1.0 {
        &[1.0, 2.0, 4.0, 5.0, 10.0]
    } else {
        &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
    };
    steps.iter().map(|step| 5.0 * step * power).find(|end| *end >= largest).unwrap_or(largest)
}

/// Largest value, end of an error bar, or height of a stack.
fn largest(data: &[Data], bars: Bars) -> f64 {
    let values = data.iter().flat_map(|data| data.values.iter().flatten().copied());
    let ends = data.iter().flat_map(|data| data.bounds.iter().flatten().map(|(_, high)| *high));
    let categories = data.iter().map(|data| data.values.len()).max().unwrap_or(0);
    let stacks = (0..categories).map(|category| {
        data.iter().filter_map(|data| data.values.get(category).copied().flatten()).sum()
    });
    let heights: Vec<f64> = match bars {
        Bars::Stacked => stacks.collect(),
        Bars::SideBySide => values.chain(ends).collect(),
    };
    heights.into_iter().filter(|height| height.is_finite()).fold(0.0, f64::max)
}

/// Horizontal bars, the first category at the top.
pub(super) fn horizontal_bars(categories: &[&str], data: &[Data], axis: &Axis) -> Drawn {
    drawn(|width| {
        let series = data.iter().enumerate().map(|(index, data)| {
            let mut series = charts_rs::Series { label_show: true, ..data.series(index) };
            series.data.reverse();
            series
        });
        // Names take two fifths of the width; the table has them in full.
        let max_chars = (width / 15.5) as usize;
        let labels = categories.iter().rev().map(|name| shorten(name, max_chars)).collect();
        let mut chart = HorizontalBarChart::new_with_theme(series.collect(), labels, theme());
        let bars_height = categories.len() as f32 * ROW_HEIGHT.max(20.0 * data.len() as f32);
        configure(&mut chart.base, [width, FRAME_HEIGHT + bars_height], data);
        chart.series.label.formatter = axis.label.to_owned();
        chart.margin.right += 44.0;
        let untitled = Axis { title: String::new(), ..axis.clone() };
        untitled.apply(&mut chart.y_axis_configs, largest(data, Bars::SideBySide));
        chart.x_axis.formatter = Some(axis.format.to_owned());
        chart.x_axis.title = axis.title.clone();
        chart.svg()
    })
}

pub(super) fn bars(
    categories: &[impl AsRef<str>],
    data: &[Data],
    x_title: &str,
    axis: &Axis,
    bars: Bars,
) -> Drawn {
    drawn(|width| {
        let series = data.iter().enumerate().map(|(index, data)| charts_rs::Series {
            stack: (bars == Bars::Stacked).then(|| "all".to_owned()),
            ..data.series(index)
        });
        let labels = categories.iter().map(|name| name.as_ref().to_owned()).collect();
        let mut chart = BarChart::new_with_theme(series.collect(), labels, theme());
        configure(&mut chart.base, [width, HEIGHT], data);
        chart.series.label.formatter = axis.label.to_owned();
        chart.x_axis.title = x_title.to_owned();
        if bars == Bars::SideBySide || categories.len() <= 12 {
            rotate_labels(&mut chart.base);
        } else {
            thin_labels(&mut chart.base);
        }
        axis.apply(&mut chart.y_axis_configs, largest(data, bars));
        chart.svg()
    })
}

/// A line over labelled candidates, such as numbers of clusters.
pub(super) fn sweep(labels: &[String], data: &Data, x_title: &str, axis: &Axis) -> Drawn {
    drawn(|width| {
        let series =
            charts_rs::Series { symbol: Some(Symbol::Circle(4.0, None)), ..data.series(0) };
        let mut chart = LineChart::new_with_theme(vec![series], labels.to_vec(), theme());
        configure(&mut chart.base, [width, HEIGHT], slice::from_ref(data));
        chart.x_axis.title = x_title.to_owned();
        axis.apply(&mut chart.y_axis_configs, largest(slice::from_ref(data), Bars::SideBySide));
        chart.svg()
    })
}

/// Lines over numeric x values, one list of these for each series.
pub(super) fn lines(x: &[Vec<f64>], data: &[Data], x_axis: &Axis, axis: &Axis) -> Drawn {
    drawn(|width| {
        let series = data.iter().enumerate().zip(x).map(|((index, data), x)| charts_rs::Series {
            x_values: Some(x.clone()),
            category: Some(SeriesCategory::Line),
            symbol: (!data.dashed && x.len() <= 30).then_some(Symbol::Circle(4.0, None)),
            ..data.series(index)
        });
        let mut chart = LineChart::new_with_theme(series.collect(), Vec::new(), theme());
        configure(&mut chart.base, [width, HEIGHT], data);
        chart.x_axis.title = x_axis.title.clone();
        chart.x_axis.formatter = Some(x_axis.format.replace("{t}", "{c}"));
        chart.x_axis.min = x_axis.min;
        chart.x_axis.max = x_axis.max;
        axis.apply(&mut chart.y_axis_configs, largest(data, Bars::SideBySide));
        chart.svg()
    })
}

fn shorten(name: &str, max_chars: usize) -> String {
    if name.chars().count() <= max_chars {
        return name.to_owned();
    }
    name.chars().take(max_chars.saturating_sub(1)).chain(['…']).collect()
}

/// Rectangles in proportion to their values, which are positive.
pub(super) fn treemap(items: &[(&str, f64)]) -> Drawn {
    drawn(|width| {
        let series = items.iter().enumerate().map(|(index, (name, value))| charts_rs::Series {
            index: Some(index),
            ..Data::new(name, [Some(*value)]).series(index)
        });
        let mut chart = TreemapChart::new_with_theme(series.collect(), theme());
        configure(&mut chart.base, [width, HEIGHT], &[]);
        chart.legend.show = Some(false);
        // Values are smaller by a seventh.
        chart.series.label.font.size = 14.0;
        // Light, so that texts on them are dark.
        chart.series.colors =
            (0..items.len()).map(|index| tint(COLORS[index % MAX_SERIES])).collect();
        chart.svg()
    })
}

/// A colour mixed with white.
fn tint(color: &str) -> Color {
    let Color { r, g, b, .. } = Color::from(color);
    let [r, g, b] = [r, g, b].map(|part| 255 - (255 - part) / 3);
    Color { r, g, b, a: 255 }
}

/// Circles of the size of a third number beside two axes: the name of each, x, y and size.
pub(super) fn bubbles(items: &[(&str, [f64; 3])], x_axis: &Axis, axis: &Axis) -> Drawn {
    drawn(|width| {
        let data: Vec<Data> =
            items.iter().map(|(name, point)| Data::new(name, point.map(Some))).collect();
        let series = data.iter().enumerate().map(|(index, data)| data.series(index));
        let mut chart = ScatterChart::new_with_theme(series.collect(), theme());
        // Room for the legend.
        let height = HEIGHT + 60.0;
        configure(&mut chart.base, [width, height], &data);
        chart.series.symbol = Some(Symbol::Circle(4.0, None));
        chart.bubble = true;
        chart.bubble_max_size = width / 20.0;
        chart.x_axis.title = x_axis.title.clone();
        let largest = |axis: usize| items.iter().map(|item| item.1[axis]).fold(0.0, f64::max);
        let untitled = Axis { title: String::new(), ..x_axis.clone() };
        untitled.apply(slice::from_mut(&mut chart.x_axis_config), 1.1 * largest(0));
        axis.apply(&mut chart.y_axis_configs, 1.1 * largest(1));
        chart.svg()
    })
}
