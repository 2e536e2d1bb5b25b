//! Charts as inline SVG. This is the one file that knows who draws them.
//!
//! Charts are drawn in the colours of a light page. The page's style sheet takes the colours of ink, axes and grid for names, and puts
//! others in their place on a dark one; the colours of data stand out from both.

use std::sync::Once;

use charts_rs::{
    BarChart, ChartBase, Color, HeatmapChart, HorizontalBarChart, LegendCategory, LineChart,
    SeriesBand, SeriesCategory, Symbol, Theme, WaterfallChart, WaterfallData, YAxisConfig,
    add_theme, get_theme,
};

/// Name of the theme, among those of the library.
const THEME: &str = "custseg";
/// Texts that have to be read; `page.css` knows it.
const INK: (u8, u8, u8) = (0x26, 0x30, 0x3b);
/// Axes; `page.css` knows it.
const SOFT: (u8, u8, u8) = (0x5b, 0x67, 0x73);
/// The grid; `page.css` knows it.
const GRID: (u8, u8, u8) = (0xd9, 0xde, 0xe4);
/// Width of every chart; the page scales it.
const WIDTH: f32 = 560.0;
/// Height of a bar's row, of its label and of the axes.
const ROW: f32 = 30.0;
const AXES: f32 = 78.0;

/// Why a chart could not be drawn.
pub(super) type Undrawn = charts_rs::Error;

/// What a thing is drawn in. All but faint shades have a contrast of three to one or more to light and to dark paper.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) enum Ink {
    /// What a chart is about.
    First,
    /// What it is compared with.
    Second,
    /// What is left out, or only a mark.
    Muted,
    /// What went.
    Gone,
    /// One of many.
    Nth(usize),
    /// From faint to full, 0 to 1.
    Shade(f64),
}

/// How many rows of data a legend has room for, and labels the cells of a heatmap.
pub(super) const MANY: usize = 12;
pub(super) const CELLS: usize = 16;
const FIRST: (u8, u8, u8) = (0x2f, 0x73, 0xb7);
const NTH: [(u8, u8, u8); MANY] = [
    (0x2f, 0x73, 0xb7),
    (0xc4, 0x5c, 0x1c),
    (0x2c, 0x88, 0x52),
    (0xb8, 0x4a, 0x86),
    (0x86, 0x70, 0x2a),
    (0x7b, 0x5f, 0xc2),
    (0x1c, 0x86, 0x93),
    (0xc6, 0x4a, 0x4f),
    (0x6a, 0x7f, 0x2b),
    (0x75, 0x7d, 0x87),
    (0xa3, 0x60, 0xa8),
    (0x4a, 0x7d, 0x9c),
];

impl Ink {
    fn color(self) -> Color {
        match self {
            Self::First => FIRST.into(),
            Self::Second => NTH[1].into(),
            Self::Muted => NTH[9].into(),
            Self::Gone => NTH[7].into(),
            Self::Nth(nth) => NTH[nth % NTH.len()].into(),
            // A third of the ink is the faintest that shows on dark paper too.
            Self::Shade(share) => {
                Color::from(FIRST).with_alpha((85.0 + 170.0 * share.clamp(0.0, 1.0)) as u8)
            }
        }
    }
}

/// A row of values in one chart.
#[derive(Debug, Clone)]
pub(super) struct Data {
    pub(super) name: String,
    pub(super) values: Vec<Option<f64>>,
    pub(super) ink: Ink,
    /// Where the ink differs by value.
    pub(super) inks: Vec<Ink>,
    /// Ends of an interval about each value.
    pub(super) bounds: Vec<Option<(f64, f64)>>,
    /// Whether values are written beside what is drawn.
    pub(super) labelled: bool,
    pub(super) dashed: bool,
}

impl Data {
    pub(super) fn new(name: &str, values: impl IntoIterator<Item = Option<f64>>, ink: Ink) -> Self {
        let values = values.into_iter().collect();
        Self {
            name: name.to_owned(),
            values,
            ink,
            inks: Vec::new(),
            bounds: Vec::new(),
            labelled: false,
            dashed: false,
        }
    }

    pub(super) fn labelled(self) -> Self {
        Self { labelled: true, ..self }
    }

    pub(super) fn dashed(self) -> Self {
        Self { dashed: true, ..self }
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
            label_show: self.labelled,
            colors: (!self.inks.is_empty())
                .then(|| self.inks.iter().map(|ink| Some(ink.color())).collect()),
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

/// What an axis says: a title, and `{c}` or `{t}` (with thousands parted) with what stands about a number.
#[derive(Debug, Clone, Default)]
pub(super) struct Axis {
    pub(super) title: String,
    pub(super) format: &'static str,
    /// How values beside bars are written.
    pub(super) label: &'static str,
    pub(super) min: Option<f64>,
    pub(super) max: Option<f64>,
}

impl Axis {
    pub(super) fn new(title: impl Into<String>) -> Self {
        Self { title: title.into(), format: "{t}", label: "{t}", min: None, max: None }
    }

    /// Amounts of what there is none of at the least.
    pub(super) fn amount(title: impl Into<String>) -> Self {
        Self { min: Some(0.0), ..Self::new(title) }
    }

    /// Shares, as per cents.
    pub(super) fn percent(title: impl Into<String>) -> Self {
        Self { format: "{c} %", label: "{c} %", min: Some(0.0), ..Self::new(title) }
    }

    /// Figures from 0 to 1.
    pub(super) fn unit(title: impl Into<String>) -> Self {
        Self { format: "{c}", label: "{:.2}", ..Self::new(title) }.from(0.0, 1.0)
    }

    pub(super) fn from(self, min: f64, max: f64) -> Self {
        Self { min: Some(min), max: Some(max), ..self }
    }

    /// Sets an axis for numbers up to a largest.
    fn onto(&self, axis: &mut YAxisConfig, largest: f64) {
        axis.formatter = Some(self.format.to_owned());
        axis.min = self.min.map(|min| min as f32);
        let end = self.max.or_else(|| {
            self.min.filter(|min| *min == 0.0 && largest > 0.0).map(|_| ceiling(largest))
        });
        axis.max = end.map(|end| end as f32);
        axis.split_number = 5;
        // Labels of a few characters would stand where the title does.
        axis.width = end.filter(|end| *end <= 1.0).map(|_| 40.0);
        axis.title = Some(self.title.clone()).filter(|title| !title.is_empty());
    }
}

/// The theme's name; it is made once.
fn theme() -> &'static str {
    static MADE: Once = Once::new();
    MADE.call_once(|| {
        let mut theme = Theme::clone(&get_theme(charts_rs::THEME_LIGHT));
        let (ink, soft): (Color, Color) = (INK.into(), SOFT.into());
        theme.background_color = Color::transparent();
        theme.margin = 6.0.into();
        theme.legend.font.color = ink;
        theme.sub_title.font.color = soft;
        theme.legend.category = LegendCategory::RoundRect;
        theme.series.label.font.color = ink;
        theme.x_axis.font.color = soft;
        theme.x_axis.stroke_color = GRID.into();
        theme.y_axis.font.color = soft;
        theme.grid.stroke_color = GRID.into();
        for size in [
            &mut theme.legend.font.size,
            &mut theme.series.label.font.size,
            &mut theme.x_axis.font.size,
            &mut theme.y_axis.font.size,
        ] {
            *size = 13.0;
        }
        theme.series.symbol = Some(Symbol::None);
        add_theme(THEME, theme);
    });
    THEME
}

fn dress(base: &mut ChartBase, height: f32, data: &[Data]) {
    base.width = WIDTH;
    base.height = height;
    base.compact = true;
    base.tooltip.show = true;
    base.series.colors = data.iter().map(|data| data.ink.color()).collect();
    base.series.label.formatter = "{t}".to_owned();
    base.legend.show = Some(data.len() > 1);
}

/// Puts long names of categories aslant, as steep as they need: the library leaves some out where their heights together are more than
/// the axis is long.
fn slanted(base: &mut ChartBase) {
    // So many are left to the library, which then writes every so many of them.
    if base.x_axis.data.len() > 24 {
        return;
    }
    let axis = WIDTH - 180.0;
    let widths: Vec<f32> =
        base.x_axis.data.iter().map(|name| 6.6 * name.chars().count() as f32).collect();
    let (longest, slot) =
        (widths.iter().copied().fold(0.0, f32::max), axis / widths.len().max(1) as f32);
    if longest > slot - 6.0 {
        let sine = (axis / widths.iter().sum::<f32>().max(axis)).min(0.75);
        base.x_axis.name_rotate = sine.asin();
        base.x_axis.font.size = 12.0;
        let more = longest * sine * 0.8;
        base.x_axis.height += more;
        base.height += more;
        base.margin.right += 30.0;
    }
}

/// The end of an axis that numbers up to a largest look well on: five even steps, each of which the library can write, with one decimal.
fn ceiling(largest: f64) -> f64 {
    let tenth = 10f64.powf((largest / 5.0).log10().floor()).max(0.1);
    let steps: &[f64] = if tenth < 1.0 {
        &[1.0, 2.0, 4.0, 5.0, 10.0]
    } else {
        &[1.0, 1.5, 2.0, 2.5, 3.0, 4.0, 5.0, 6.0, 8.0, 10.0]
    };
    steps.iter().map(|step| 5.0 * step * tenth).find(|end| *end >= largest).unwrap_or(largest)
}

/// The largest number that is drawn: of values, of the ends of their intervals, or of piles of them.
fn largest(data: &[Data], stacked: bool) -> f64 {
    let ends = data.iter().flat_map(|data| data.bounds.iter().flatten().map(|(_, high)| *high));
    let each = data.iter().flat_map(|data| data.values.iter().copied().flatten());
    let pile = |at: usize| {
        data.iter().filter_map(|data| data.values.get(at).copied().flatten()).sum::<f64>()
    };
    let piles = (0..data.iter().map(|data| data.values.len()).max().unwrap_or_default()).map(pile);
    let all: Vec<f64> = if stacked { piles.collect() } else { each.chain(ends).collect() };
    all.into_iter().filter(|value| value.is_finite()).fold(0.0, f64::max)
}

/// Bars from left to right, one group a category, the first at the top.
pub(super) fn rows(categories: &[String], data: &[Data], axis: &Axis) -> Result<String, Undrawn> {
    let series = data.iter().enumerate().map(|(index, data)| {
        let mut series = data.series(index);
        series.data.reverse();
        series
    });
    let categories: Vec<String> = categories.iter().rev().cloned().collect();
    let mut chart =
        HorizontalBarChart::new_with_theme(series.collect(), categories.clone(), theme());
    let height = AXES + categories.len() as f32 * ROW.max(16.0 * data.len() as f32);
    dress(&mut chart.base, height, data);
    chart.series.label.formatter = axis.label.to_owned();
    chart.margin.right += 44.0;
    if let Some(first) = chart.y_axis_configs.first_mut() {
        axis.onto(first, largest(data, false));
        first.title = None;
    }
    chart.x_axis.formatter = Some(axis.format.to_owned());
    chart.x_axis.title = axis.title.clone();
    chart.svg()
}

/// Bars from the floor up, side by side or one upon the other.
pub(super) fn columns(
    categories: &[String],
    data: &[Data],
    x_title: &str,
    axis: &Axis,
    stacked: bool,
) -> Result<String, Undrawn> {
    let series = data.iter().enumerate().map(|(index, data)| charts_rs::Series {
        stack: stacked.then(|| "all".to_owned()),
        ..data.series(index)
    });
    let mut chart = BarChart::new_with_theme(series.collect(), categories.to_vec(), theme());
    dress(&mut chart.base, 320.0, data);
    chart.series.label.formatter = axis.label.to_owned();
    chart.x_axis.title = x_title.to_owned();
    if !stacked || categories.len() <= 12 {
        slanted(&mut chart.base);
    }
    if let Some(first) = chart.y_axis_configs.first_mut() {
        axis.onto(first, largest(data, stacked));
    }
    chart.svg()
}

/// A line over a few values that were tried, each with its own label.
pub(super) fn tried(
    labels: &[String],
    data: &Data,
    x_title: &str,
    axis: &Axis,
) -> Result<String, Undrawn> {
    let series = charts_rs::Series { symbol: Some(Symbol::Circle(4.0, None)), ..data.series(0) };
    let mut chart = LineChart::new_with_theme(vec![series], labels.to_vec(), theme());
    dress(&mut chart.base, 320.0, std::slice::from_ref(data));
    chart.x_axis.title = x_title.to_owned();
    if let Some(first) = chart.y_axis_configs.first_mut() {
        axis.onto(first, largest(std::slice::from_ref(data), false));
    }
    chart.svg()
}

/// Lines over numbers.
pub(super) fn lines(
    x: &[Vec<f64>],
    data: &[Data],
    x_axis: &Axis,
    axis: &Axis,
) -> Result<String, Undrawn> {
    let series = data.iter().enumerate().zip(x).map(|((index, data), x)| charts_rs::Series {
        x_values: Some(x.clone()),
        category: Some(SeriesCategory::Line),
        symbol: (!data.dashed && x.len() <= 30).then_some(Symbol::Circle(4.0, None)),
        ..data.series(index)
    });
    let mut chart = LineChart::new_with_theme(series.collect(), Vec::new(), theme());
    dress(&mut chart.base, 320.0, data);
    chart.x_axis.title = x_axis.title.clone();
    chart.x_axis.formatter = Some(x_axis.format.replace("{t}", "{c}"));
    chart.x_axis.min = x_axis.min;
    chart.x_axis.max = x_axis.max;
    if let Some(first) = chart.y_axis_configs.first_mut() {
        axis.onto(first, largest(data, false));
    }
    chart.svg()
}

/// From a first number to a last one, through what was taken away or came back between them.
pub(super) fn waterfall(steps: &[(String, f64)], axis: &Axis) -> Result<String, Undrawn> {
    let last = steps.len().saturating_sub(1);
    // The library neither turns nor cuts the names of a waterfall.
    let room = (WIDTH - 60.0) as usize * 2 / (13 * steps.len().max(1));
    let cut = |name: &String| match name.chars().count() > room {
        true => name.chars().take(room.saturating_sub(1)).chain(['…']).collect(),
        false => name.clone(),
    };
    let data = steps.iter().enumerate().map(|(idx, (_, value))| WaterfallData {
        value: *value as f32,
        is_total: idx == 0 || idx == last,
    });
    let mut chart = WaterfallChart::new_with_theme(
        data.collect(),
        steps.iter().map(|(name, _)| cut(name)).collect(),
        theme(),
    );
    dress(&mut chart.base, 320.0, &[]);
    chart.total_color = Ink::First.color();
    chart.decrease_color = Ink::Gone.color();
    chart.increase_color = Ink::Nth(2).color();
    chart.series.label.formatter = axis.label.to_owned();
    chart.sub_title.text = axis.title.clone();
    chart.svg()
}

/// Cells in rows, the first row at the top, each in the shade of its value; `x_title` says what the columns are.
pub(super) fn heatmap(
    x: &[String],
    y: &[String],
    cells: &[f64],
    x_title: &str,
) -> Result<String, Undrawn> {
    let rows = cells.chunks(x.len().max(1)).rev().flatten();
    let data: Vec<(usize, f32)> = rows.map(|value| *value as f32).enumerate().collect();
    let y = y.iter().rev().cloned().collect();
    let mut chart = HeatmapChart::new_with_theme(data.clone(), x.to_vec(), y, theme());
    dress(&mut chart.base, AXES + 34.0 * chart.y_axis_data.len() as f32, &[]);
    let map = &mut chart.heatmap_series;
    map.min = 0.0;
    map.max = data.iter().map(|(_, value)| *value).fold(f32::MIN_POSITIVE, f32::max);
    (map.min_color, map.max_color) = (Color::from(FIRST).with_alpha(16), FIRST.into());
    (map.min_font_color, map.max_font_color) = (INK.into(), Color::white());
    chart.x_axis.title = x_title.to_owned();
    slanted(&mut chart.base);
    chart.svg()
}
