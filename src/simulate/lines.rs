//! The lines of one slice: orders are drawn until it is full, put in the order of time, and numbered.

use polars::prelude::*;
use rand_chacha::ChaCha8Rng;
use rand_distr::{Distribution, LogNormal, StandardUniform};

use super::{Shape, Simulation, Slice};
use crate::columns::CUSTOMER_ID;

/// Draws before somebody who is not there buys all the same.
const DRAWS: usize = 16;
/// The shop opens and closes at these minutes of a day.
const OPEN: [u64; 2] = [8 * 60, 18 * 60];
/// Number of the first order.
const FIRST_ORDER: u64 = 536_365;
/// Where orders come from besides the shop's own country, of one in eleven customers.
const ABROAD: [&str; 8] =
    ["Germany", "France", "EIRE", "Spain", "Netherlands", "Belgium", "Switzerland", "Portugal"];
/// What things are called.
const WORDS: [&str; 32] = [
    "RED",
    "WHITE",
    "PINK",
    "BLUE",
    "VINTAGE",
    "RETROSPOT",
    "SET OF 6",
    "SMALL",
    "LARGE",
    "HANGING",
    "CERAMIC",
    "METAL",
    "WOODEN",
    "GLASS",
    "PAPER",
    "HEART",
    "STAR",
    "BIRD",
    "ROSE",
    "CAKE",
    "TEA",
    "LUNCH",
    "JUMBO",
    "MINI",
    "HOLDER",
    "BAG",
    "BOX",
    "TIN, ROUND",
    "LANTERN",
    "CASES",
    "BUNTING",
    "DECORATION",
];

/// Columns of lines.
#[derive(Debug, Default)]
pub(super) struct Lines {
    order: Vec<String>,
    product: Vec<u64>,
    quantity: Vec<i64>,
    /// Microseconds.
    at: Vec<i64>,
    /// In hundredths.
    price: Vec<i64>,
    customer: Vec<Option<u64>>,
}

struct Order {
    minute: u64,
    customer: Option<u64>,
    /// Product, quantity and price.
    lines: Vec<(u64, i64, i64)>,
    /// How many minutes later how many of the lines come back.
    cancelled: Option<(u64, usize)>,
}

pub(super) fn made(simulation: &Simulation, slice: &Slice) -> Lines {
    let mut chance = simulation.chance(slice.number);
    let (mut orders, mut left) = (Vec::new(), slice.lines as usize);
    while left > 0 {
        let order = order(simulation, slice, &mut chance, left);
        left -= order.lines.len() + order.cancelled.map_or(0, |(_, lines)| lines);
        orders.push(order);
    }
    orders.sort_by_key(|order| order.minute);
    let day = i64::from(slice.day.to_epoch_days()) * MICROSECONDS_IN_DAY;
    let mut lines = Lines::default();
    // Every slice has numbers for two orders a line.
    let first = FIRST_ORDER + slice.number * 2 * super::SLICE;
    for (number, order) in (first..).step_by(2).zip(&orders) {
        let mut push =
            |order_id: String, minute: u64, (product, quantity, price): (u64, i64, i64)| {
                lines.order.push(order_id);
                lines.product.push(product);
                lines.quantity.push(quantity);
                lines.at.push(day + (minute * 60_000_000) as i64);
                lines.price.push(price);
                lines.customer.push(order.customer);
            };
        order.lines.iter().for_each(|line| push(number.to_string(), order.minute, *line));
        if let Some((later, count)) = order.cancelled {
            for (product, quantity, price) in order.lines.iter().take(count) {
                push(
                    format!("C{}", number + 1),
                    order.minute + later,
                    (*product, -quantity, *price),
                );
            }
        }
    }
    lines
}

const MICROSECONDS_IN_DAY: i64 = 86_400_000_000;

fn order(simulation: &Simulation, slice: &Slice, chance: &mut ChaCha8Rng, room: usize) -> Order {
    let shape = simulation.shape;
    let mut uniform = || -> f64 { StandardUniform.sample(chance) };
    let (nobody, more) = shape.nobody();
    let customer = (uniform() >= nobody).then(|| buyer(simulation, slice, &mut uniform));
    let (part, parts) = slice.part;
    let hours = (OPEN[1] - OPEN[0]) as f64 / parts as f64;
    let minute = OPEN[0] + ((part as f64 + uniform()) * hours) as u64;
    let returns = (customer.is_some() && uniform() < shape.cancelled())
        .then(|| (2 + (uniform() * 60.0) as u64, uniform()));
    let count = about(shape.lines(), chance) * if customer.is_none() { more } else { 1.0 };
    let count = (count.ceil() as usize).clamp(1, 1_000.min(room));
    let lines: Vec<_> = (0..count).map(|_| line(simulation, chance)).collect();
    let back = returns.map(|(later, share)| (later, 1 + (share * 3.0) as usize));
    let cancelled = back
        .map(|(later, lines)| (later, lines.min(count).min(room - count)))
        .filter(|(_, lines)| *lines > 0);
    Order { minute, customer, lines, cancelled }
}

/// Who buys: by its rate, and among those who are there.
fn buyer(simulation: &Simulation, slice: &Slice, uniform: &mut impl FnMut() -> f64) -> u64 {
    let day = simulation.since(slice.day);
    let mut drawn = || {
        let place = uniform().powf(simulation.shape.tail());
        simulation.customer(
            ((simulation.customers as f64 * place) as u64)
                .min(simulation.customers.saturating_sub(1)),
        )
    };
    let mut last = drawn();
    for _ in 1..DRAWS {
        if (last.born..last.dies).contains(&day) {
            break;
        }
        last = drawn();
    }
    last.id
}

fn line(simulation: &Simulation, chance: &mut ChaCha8Rng) -> (u64, i64, i64) {
    let shape = simulation.shape;
    let [popular, free]: [f64; 2] =
        [StandardUniform.sample(chance), StandardUniform.sample(chance)];
    let product = ((popular * popular * shape.products() as f64) as u64).min(shape.products() - 1);
    let quantity = about(shape.quantity(), chance).ceil().clamp(1.0, 10_000.0) as i64;
    // A product's price is its own: a quantile of the distribution by its number.
    let (mean, deviation) = shape.price();
    let place = ((product * 2_654_435_761 % 4_294_967_296) as f64 + 0.5) / 4_294_967_296.0;
    let price = (mean + deviation * logit(place) * 0.55).exp() * 100.0;
    (product, quantity, if free < shape.free() { 0 } else { price.round().max(1.0) as i64 })
}

/// The logistic quantile, which is close to the normal one when scaled.
fn logit(place: f64) -> f64 {
    (place / (1.0 - place)).ln()
}

fn about((mean, deviation): (f64, f64), chance: &mut ChaCha8Rng) -> f64 {
    LogNormal::new(mean, deviation).map_or(0.0, |drawn| drawn.sample(chance))
}

impl Lines {
    /// The lines as the shop writes them.
    pub(super) fn frame(self, shape: Shape) -> PolarsResult<DataFrame> {
        let Self { order, product, quantity, at, price, customer } = self;
        let rows = order.len();
        let at = Int64Chunked::from_vec("InvoiceDate".into(), at)
            .into_datetime(TimeUnit::Microseconds, None);
        let major: Vec<f64> = price.iter().map(|price| *price as f64 / 100.0).collect();
        let columns = match shape {
            Shape::OnlineRetail => {
                let code = |product: &u64| match product % 9 {
                    0 => format!("{}{}", 20_000 + product, char::from(b'A' + (product % 7) as u8)),
                    _ => (20_000 + product).to_string(),
                };
                let words = |product: &u64| {
                    let word = |shift: u32| WORDS[(product >> shift) as usize % WORDS.len()];
                    (!product.is_multiple_of(370))
                        .then(|| format!("{} {} {} {}", word(0), word(5), word(7), word(3)))
                };
                let country = |customer: &Option<u64>| match customer.filter(|id| id % 11 == 0) {
                    Some(id) => ABROAD[(id / 11) as usize % ABROAD.len()],
                    None => "United Kingdom",
                };
                let ids: Int64Chunked = customer.iter().map(|id| id.map(|id| id as i64)).collect();
                vec![
                    Column::new("InvoiceNo".into(), order),
                    Column::new("StockCode".into(), product.iter().map(code).collect::<Vec<_>>()),
                    Column::new(
                        "Description".into(),
                        product.iter().map(words).collect::<Vec<_>>(),
                    ),
                    Column::new("Quantity".into(), quantity),
                    at.into_column(),
                    Column::new("UnitPrice".into(), major),
                    ids.with_name("CustomerID".into()).into_column(),
                    Column::new("Country".into(), customer.iter().map(country).collect::<Vec<_>>()),
                ]
            }
            Shape::Cdnow => {
                let ids =
                    customer.iter().map(|id| format!("{:05}", id.unwrap_or(0))).collect::<Vec<_>>();
                let money = major
                    .iter()
                    .zip(&quantity)
                    .map(|(price, units)| (price * *units as f64 * 100.0).round() / 100.0);
                vec![
                    Column::new(CUSTOMER_ID.into(), ids),
                    at.into_column().cast(&DataType::Date)?.with_name("date".into()),
                    Column::new("number_of_cds".into(), quantity.clone()),
                    Column::new("dollar_value".into(), money.collect::<Vec<_>>()),
                ]
            }
        };
        DataFrame::new(rows, columns)
    }
}
