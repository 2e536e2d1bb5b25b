//! The lines of one slice: orders are drawn until it is full, sorted by time, and numbered.

use polars::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, StandardUniform};

use super::shape::{LogNormalParams, PRODUCTS};
use super::{Shape, Simulation, Slice};
use crate::columns::CUSTOMER_ID;

/// Draws of a customer. The last one buys even if it is not active.
const DRAWS: usize = 16;
/// Opening hours in minutes of the day.
const OPEN: [u64; 2] = [8 * 60, 18 * 60];
const FIRST_ORDER: u64 = 536_365;
const MICROSECONDS_IN_DAY: i64 = 86_400_000_000;
/// Countries of one in eleven customers. The others are in the United Kingdom.
const ABROAD: [&str; 8] =
    ["Germany", "France", "EIRE", "Spain", "Netherlands", "Belgium", "Switzerland", "Portugal"];
#[rustfmt::skip]
const WORDS: [&str; 32] = [
    "RED", "WHITE", "PINK", "BLUE", "VINTAGE", "RETROSPOT", "SET OF 6", "SMALL", "LARGE", "HANGING",
    "CERAMIC", "METAL", "WOODEN", "GLASS", "PAPER", "HEART", "STAR", "BIRD", "ROSE", "CAKE", "TEA",
    "LUNCH", "JUMBO", "MINI", "HOLDER", "BAG", "BOX", "TIN, ROUND", "LANTERN", "CASES", "BUNTING",
    "DECORATION",
];

/// A row of the source.
pub(super) struct Row {
    order: String,
    customer: Option<u64>,
    /// Microseconds since 1970.
    timestamp: i64,
    line: Line,
}

struct Order {
    minute: u64,
    customer: Option<u64>,
    lines: Vec<Line>,
    /// Number of lines that are cancelled, after `delay` minutes.
    cancelled: usize,
    delay: u64,
}

#[derive(Clone, Copy)]
struct Line {
    product: u64,
    quantity: i64,
    /// In hundredths.
    price: i64,
}

pub(super) fn simulate(simulation: &Simulation, slice: &Slice) -> Vec<Row> {
    let mut rng = simulation.rng(slice.index);
    let (mut orders, mut left) = (Vec::new(), slice.lines as usize);
    while left > 0 {
        let order = order(simulation, slice, &mut rng, left);
        left -= order.lines.len() + order.cancelled;
        orders.push(order);
    }
    orders.sort_by_key(|order| order.minute);
    let midnight = i64::from(slice.day.to_epoch_days()) * MICROSECONDS_IN_DAY;
    let mut rows = Vec::new();
    // Every slice has numbers for two orders a line.
    let first = FIRST_ORDER + slice.index * 2 * super::SLICE;
    for (number, order) in (first..).step_by(2).zip(&orders) {
        let customer = order.customer;
        let mut push = |order: String, minute: u64, line: Line| {
            let timestamp = midnight + (minute * 60_000_000) as i64;
            rows.push(Row { order, customer, timestamp, line });
        };
        order.lines.iter().for_each(|line| push(number.to_string(), order.minute, *line));
        for line in &order.lines[..order.cancelled] {
            let cancelled = Line { quantity: -line.quantity, ..*line };
            push(format!("C{}", number + 1), order.minute + order.delay, cancelled);
        }
    }
    rows
}

/// Draws an order with at most `room` lines, including cancelled ones.
fn order(simulation: &Simulation, slice: &Slice, rng: &mut ChaCha8Rng, room: usize) -> Order {
    let process = simulation.shape.process();
    let mut uniform = || -> f64 { StandardUniform.sample(rng) };
    let is_anonymous = uniform() < process.anonymous_share;
    let customer = (!is_anonymous).then(|| buyer(simulation, slice, &mut uniform));
    let (part, parts) = slice.part;
    let hours = (OPEN[1] - OPEN[0]) as f64 / parts as f64;
    let minute = OPEN[0] + ((part as f64 + uniform()) * hours) as u64;
    let is_cancelled = customer.is_some() && uniform() < process.cancelled_share;
    let (delay, cancelled) = if is_cancelled {
        (2 + (uniform() * 60.0) as u64, 1 + (uniform() * 3.0) as usize)
    } else {
        (0, 0)
    };
    let more = if is_anonymous { process.anonymous_lines } else { 1.0 };
    let count = log_normal(process.lines, rng) * more;
    let count = (count.ceil() as usize).clamp(1, 1_000.min(room));
    let lines = (0..count).map(|_| line(simulation.shape, rng)).collect();
    Order { minute, customer, lines, cancelled: cancelled.min(count).min(room - count), delay }
}

/// Draws a customer id by the purchase rates, preferring active customers.
fn buyer(simulation: &Simulation, slice: &Slice, uniform: &mut impl FnMut() -> f64) -> u64 {
    let first = simulation.shape.first();
    let day = slice.day.signed_duration_since(first).num_days() as f64;
    let mut draw = || {
        let share = uniform().powf(simulation.shape.process().tail);
        let index = (simulation.customers as f64 * share) as u64;
        simulation.customer(index.min(simulation.customers.saturating_sub(1)))
    };
    let mut customer = draw();
    for _ in 1..DRAWS {
        if (customer.active_from..customer.active_until).contains(&day) {
            break;
        }
        customer = draw();
    }
    customer.id
}

fn line(shape: Shape, rng: &mut ChaCha8Rng) -> Line {
    let process = shape.process();
    let [popularity, free]: [f64; 2] = StandardUniform.sample(rng);
    let product = ((popularity * popularity * PRODUCTS as f64) as u64).min(PRODUCTS - 1);
    let quantity = log_normal(process.quantity, rng).ceil().clamp(1.0, 10_000.0) as i64;
    // A product has one price: the quantile at a hash of its number. The logistic quantile, scaled,
    // is close to the normal one.
    let (mean, deviation) = process.price;
    let rank = ((product * 2_654_435_761 % 4_294_967_296) as f64 + 0.5) / 4_294_967_296.0;
    let price = (mean + deviation * (rank / (1.0 - rank)).ln() * 0.55).exp() * 100.0;
    let price = if free < process.free_share { 0 } else { price.round().max(1.0) as i64 };
    Line { product, quantity, price }
}

fn log_normal((mean, deviation): LogNormalParams, rng: &mut ChaCha8Rng) -> f64 {
    LogNormal::new(mean, deviation).map_or(0.0, |distribution| distribution.sample(rng))
}

fn stock_code(product: u64) -> String {
    match product % 9 {
        0 => format!("{}{}", 20_000 + product, char::from(b'A' + (product % 7) as u8)),
        _ => (20_000 + product).to_string(),
    }
}

fn description(product: u64) -> Option<String> {
    let word = |shift: u32| WORDS[(product >> shift) as usize % WORDS.len()];
    (!product.is_multiple_of(370))
        .then(|| format!("{} {} {} {}", word(0), word(5), word(7), word(3)))
}

fn country(customer: Option<u64>) -> &'static str {
    match customer {
        Some(id) if id % 11 == 0 => ABROAD[(id / 11) as usize % ABROAD.len()],
        _ => "United Kingdom",
    }
}

/// The rows in the source's format.
pub(super) fn frame(rows: &[Row], shape: Shape) -> PolarsResult<DataFrame> {
    let timestamps = column(rows, |row| row.timestamp);
    let timestamps = Int64Chunked::from_vec("InvoiceDate".into(), timestamps)
        .into_datetime(TimeUnit::Microseconds, None)
        .into_column();
    let quantities = column(rows, |row| row.line.quantity);
    let price = |row: &Row| row.line.price as f64 / 100.0;
    let columns = match shape {
        Shape::OnlineRetail => vec![
            Column::new("InvoiceNo".into(), column(rows, |row| row.order.clone())),
            Column::new("StockCode".into(), column(rows, |row| stock_code(row.line.product))),
            Column::new("Description".into(), column(rows, |row| description(row.line.product))),
            Column::new("Quantity".into(), quantities),
            timestamps,
            Column::new("UnitPrice".into(), column(rows, price)),
            Column::new("CustomerID".into(), column(rows, |row| row.customer.map(|id| id as i64))),
            Column::new("Country".into(), column(rows, |row| country(row.customer))),
        ],
        Shape::Cdnow => {
            let id = |row: &Row| format!("{:05}", row.customer.unwrap_or(0));
            let money = |row: &Row| (price(row) * row.line.quantity as f64 * 100.0).round() / 100.0;
            vec![
                Column::new(CUSTOMER_ID.into(), column(rows, id)),
                timestamps.cast(&DataType::Date)?.with_name("date".into()),
                Column::new("number_of_cds".into(), quantities),
                Column::new("dollar_value".into(), column(rows, money)),
            ]
        }
    };
    DataFrame::new(rows.len(), columns)
}

fn column<T>(rows: &[Row], value: impl Fn(&Row) -> T) -> Vec<T> {
    rows.iter().map(value).collect()
}
