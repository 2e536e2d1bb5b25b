//! `export`: customers of a published run → a list for a mailing or an advertising platform.
//!
//! Chooses the customers, joins their contacts, and gives the columns that a platform reads.
//! `commands::export` and `session` write the lists.

use std::collections::HashSet;

use clap::ValueEnum;
use polars::prelude::*;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use tracing::warn;

use crate::columns::*;

mod contacts;
mod layout;
mod lists;

use contacts::Contacts;
pub(crate) use layout::Layout;
pub(crate) use lists::{
    ListParams, ReadList, neutralised, neutralised_text, original_text, read_table,
};

/// Which customers of the segments are chosen.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, ValueEnum, Serialize, Deserialize, JsonSchema,
)]
#[serde(rename_all = "snake_case")]
pub enum Selection {
    #[default]
    #[value(help = "All customers of the segments")]
    All,
    #[value(help = "Those who were in none of the segments before")]
    Entered,
    #[value(help = "Those who were in one of the segments before, and are in none of them")]
    Left,
    #[value(help = "Those who were in another segment before")]
    Moved,
}

#[derive(Debug, Clone)]
pub(crate) struct ExportParams {
    pub(crate) selection: Selection,
    /// Names of segments. Empty for all.
    pub(crate) segments: Vec<String>,
    pub(crate) layout: Layout,
    /// Whether contacts are hashed.
    pub(crate) hash: bool,
    /// Share of the customers that are held back as a control group, 0 to 1.
    pub(crate) control: f64,
    /// Further columns of the segments or of the contacts.
    pub(crate) columns: Vec<String>,
}

/// Column of the group of a customer: [`TREATED`], who is on the list, or [`CONTROL`], who is held
/// back.
pub(crate) const GROUP: &str = "group";

/// What becomes a list.
struct ExportInputs {
    customers: DataFrame,
    /// The same customers at an earlier time.
    earlier: Option<DataFrame>,
    contacts: Option<Contacts>,
    /// Ids and addresses of customers who must not be on a list.
    suppressed: HashSet<String>,
}

/// Numbers of customers. The chosen are the suppressed, those without contact, the control group,
/// and the exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    pub chosen: usize,
    pub suppressed: usize,
    pub without_contact: usize,
    pub control: usize,
    pub exported: usize,
    /// Phone numbers that are not international, and left out.
    pub phones_left_out: usize,
}

pub(crate) struct Export {
    pub(crate) list: DataFrame,
    /// `customer_id` and `group` (`treated` or `control`) of the exported and of the control group,
    /// for `evaluate.uplift`.
    pub(crate) groups: DataFrame,
    pub(crate) counts: Counts,
    warnings: Vec<String>,
    /// The largest file that the platform reads.
    max_bytes: Option<u64>,
}

impl Export {
    /// Warns of a file that the platform does not read.
    pub(crate) fn check_size(&self, bytes: u64) {
        if let Some(max_bytes) = self.max_bytes.filter(|max_bytes| bytes > *max_bytes) {
            warn!(
                bytes,
                max_bytes, "the platform does not read files of this size: split the list"
            );
        }
    }
}

/// Whether a customer is in the control group of this share: by a hash of its id, so that it is the
/// same in every export, and a larger share contains a smaller one.
pub(crate) fn is_control(customer_id: &str, share: f64) -> bool {
    let hash = blake3::hash(customer_id.as_bytes());
    let [a, b, c, d, ..] = *hash.as_bytes();
    f64::from(u32::from_le_bytes([a, b, c, d])) < share * 2f64.powi(32)
}

/// Names of the columns.
pub(crate) fn names_of(frame: &DataFrame) -> Vec<&str> {
    frame.get_column_names().into_iter().map(|name| name.as_str()).collect()
}

/// Makes a list. The error is a sentence about an option.
fn export(params: &ExportParams, inputs: &ExportInputs) -> Result<Export, String> {
    let engine = |error: PolarsError| error.to_string();
    let chosen = choose(params, inputs)?;
    let mut counts = Counts { chosen: chosen.height(), ..Counts::default() };
    let rows = match &inputs.contacts {
        Some(contacts) => contacts.join(&chosen).map_err(engine)?,
        None => chosen,
    };
    let ids = rows.column(CUSTOMER_ID).and_then(|ids| ids.str().cloned()).map_err(engine)?;
    let reach = |rows: &DataFrame, row: usize| {
        inputs.contacts.as_ref().map(|contacts| contacts.reach(rows, row)).unwrap_or_default()
    };
    // An address or a phone of a suppressed customer may be that of another customer, too.
    let reached = inputs.contacts.as_ref().map(|all| all.reached(&inputs.suppressed));
    let reached = reached.unwrap_or_default();
    let is_suppressed = |row: usize, id: &str| {
        inputs.suppressed.contains(&id.to_lowercase())
            || reach(&rows, row).iter().any(|value| {
                reached.contains(value)
                    || inputs.suppressed.contains(value)
                    || inputs.suppressed.contains(&contacts::hashed(value))
            })
    };
    let is_kept = |(row, id): (usize, Option<&str>)| !is_suppressed(row, id.unwrap_or_default());
    let kept: BooleanChunked = ids.iter().enumerate().map(is_kept).collect();
    let rows = rows.filter(&kept).map_err(engine)?;
    counts.suppressed = counts.chosen - rows.height();
    let mut warnings = Vec::new();
    if !inputs.suppressed.is_empty() && counts.suppressed == 0 {
        warnings.push("no chosen customer is in the file of --suppress".to_owned());
    }
    if inputs.contacts.as_ref().is_some_and(|contacts| !contacts.has_any(&ids)) {
        warnings.push("no chosen customer is in the file of --contacts".to_owned());
    }
    let layout::Arranged { columns, has_contact } =
        layout::arrange(params, inputs.contacts.as_ref(), &rows, &mut warnings)?;
    // Customers without contact are in neither group, so that the groups can be compared.
    let reachable = rows.filter(&has_contact).map_err(engine)?;
    counts.without_contact = rows.height() - reachable.height();
    let ids = reachable.column(CUSTOMER_ID).and_then(|ids| ids.str().cloned()).map_err(engine)?;
    let in_control = |id: Option<&str>| is_control(id.unwrap_or_default(), params.control);
    let own: Vec<bool> = ids.iter().map(in_control).collect();
    // Customers who share an address or a phone with the control group are in it.
    let held_back = own.iter().enumerate().filter(|(_, control)| **control);
    let held_back: HashSet<String> =
        held_back.flat_map(|(row, _)| reach(&reachable, row)).collect();
    let shares = |row: usize| reach(&reachable, row).iter().any(|value| held_back.contains(value));
    let control = own.iter().enumerate().map(|(row, control)| *control || shares(row));
    let control: BooleanChunked = control.collect();
    let names: StringChunked = control
        .iter()
        .map(|control| Some(if control == Some(true) { CONTROL } else { TREATED }))
        .collect();
    let groups = vec![ids.into_column(), names.with_name(GROUP.into()).into_column()];
    let groups = DataFrame::new(reachable.height(), groups).map_err(engine)?;
    let treated = !&control;
    let list = columns.filter(&has_contact).and_then(|list| list.filter(&treated));
    let list = list.map_err(engine)?;
    counts.exported = list.height();
    counts.control = reachable.height() - counts.exported;
    counts.phones_left_out = layout::phones_left_out(params, inputs.contacts.as_ref(), &rows);
    Ok(Export { list, groups, counts, warnings, max_bytes: params.layout.max_bytes() })
}

/// The chosen customers in the order of their ids, with `previous_segment` if there is an earlier
/// time. Of those who are no longer in the run, the columns are of the earlier time.
fn choose(params: &ExportParams, inputs: &ExportInputs) -> Result<DataFrame, String> {
    let engine = |error: PolarsError| error.to_string();
    let named = |column: &str| {
        let names = params.segments.iter().map(|name| col(column).eq(lit(name.as_str())));
        let is_named = names.reduce(Expr::or).unwrap_or_else(|| col(column).is_not_null());
        is_named.fill_null(lit(false))
    };
    let with_segments = |frame: &DataFrame, other: &DataFrame, name: &str| {
        let other = other.clone().lazy().select([col(CUSTOMER_ID), col(SEGMENT).alias(name)]);
        let frame = frame.drop_many([name]).lazy();
        frame.join(other, [col(CUSTOMER_ID)], [col(CUSTOMER_ID)], JoinArgs::new(JoinType::Left))
    };
    let customers = &inputs.customers;
    let Some(earlier) = &inputs.earlier else {
        if params.selection != Selection::All {
            return Err("the run has one snapshot: name an earlier run or date with --since".into());
        }
        return customers.clone().lazy().filter(named(SEGMENT)).collect().map_err(engine);
    };
    let chosen = match params.selection {
        Selection::Left => {
            let moved = with_segments(customers, earlier, PREVIOUS_SEGMENT)
                .filter(named(PREVIOUS_SEGMENT).and(named(SEGMENT).not()))
                .collect()
                .map_err(engine)?;
            // Of those who are no longer in the run, the earlier values are known.
            let on = [col(CUSTOMER_ID)];
            let gone = JoinArgs::new(JoinType::Anti);
            let gone = earlier.clone().lazy().filter(named(SEGMENT)).join(
                customers.clone().lazy(),
                on.clone(),
                on,
                gone,
            );
            let column = |(name, dtype): (&PlSmallStr, &DataType)| {
                let value = match name.as_str() {
                    PREVIOUS_SEGMENT => col(SEGMENT),
                    name if name != SEGMENT && earlier.get_column_index(name).is_some() => {
                        col(name)
                    }
                    _ => lit(NULL),
                };
                value.cast(dtype.clone()).alias(name.clone())
            };
            let columns: Vec<Expr> = moved.schema().iter().map(column).collect();
            let gone = gone.select(columns).collect().map_err(engine)?;
            moved.vstack(&gone).map_err(engine)?.lazy()
        }
        selection => {
            let frame = with_segments(customers, earlier, PREVIOUS_SEGMENT).filter(named(SEGMENT));
            let previous = || col(PREVIOUS_SEGMENT);
            match selection {
                Selection::Entered => frame.filter(named(PREVIOUS_SEGMENT).not()),
                Selection::Moved => {
                    frame.filter(previous().neq(col(SEGMENT)).and(previous().is_not_null()))
                }
                _ => frame,
            }
        }
    };
    chosen.sort([CUSTOMER_ID], SortMultipleOptions::default()).collect().map_err(engine)
}
