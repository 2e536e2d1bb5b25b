//! `export`: customers of a published run → a list for a mailing or an advertising platform.
//!
//! Chooses the customers, joins their contacts, and gives the columns that a platform reads. Reads
//! and writes no files.

use std::collections::HashSet;

use polars::prelude::*;

use crate::columns::*;

mod contacts;
mod layout;

pub(crate) use contacts::{Contacts, suppressed};
pub(crate) use layout::Layout;

/// Which customers of the segments are chosen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Selection {
    /// All in the segments.
    All,
    /// Those who were in none of the segments before.
    Entered,
    /// Those who were in one of the segments before, and are in none of them.
    Left,
    /// Those in another segment than before.
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

/// What becomes a list.
pub(crate) struct ExportInputs {
    pub(crate) customers: DataFrame,
    /// The same customers at an earlier time.
    pub(crate) earlier: Option<DataFrame>,
    pub(crate) contacts: Option<Contacts>,
    /// Ids and addresses of customers who must not be on a list.
    pub(crate) suppressed: HashSet<String>,
}

/// Numbers of customers. The chosen are the suppressed, the control group, those without contact,
/// and the exported.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, serde::Serialize)]
pub(crate) struct Counts {
    pub(crate) chosen: usize,
    pub(crate) suppressed: usize,
    pub(crate) control: usize,
    pub(crate) without_contact: usize,
    pub(crate) exported: usize,
    /// Of the exported: their phone number is not international and was left out.
    pub(crate) phones_left_out: usize,
}

pub(crate) struct Export {
    pub(crate) list: DataFrame,
    /// Ids of the control group.
    pub(crate) control: Vec<String>,
    pub(crate) counts: Counts,
    pub(crate) warnings: Vec<String>,
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
pub(crate) fn export(params: &ExportParams, inputs: &ExportInputs) -> Result<Export, String> {
    let engine = |error: PolarsError| error.to_string();
    let chosen = choose(params, inputs)?;
    let mut counts = Counts { chosen: chosen.height(), ..Counts::default() };
    let rows = match &inputs.contacts {
        Some(contacts) => contacts.join(&chosen).map_err(engine)?,
        None => chosen,
    };
    let ids = rows.column(CUSTOMER_ID).and_then(|ids| ids.str().cloned()).map_err(engine)?;
    let emails = inputs.contacts.as_ref().and_then(|contacts| contacts.emails(&rows));
    // An address of a suppressed customer may be that of another customer, too.
    let addresses = inputs.contacts.as_ref().map(|all| all.emails_of(&inputs.suppressed));
    let addresses = addresses.unwrap_or_default();
    let is_suppressed = |row: usize, id: &str| {
        let email = emails.as_ref().and_then(|emails| emails.get(row)).map(contacts::normalise);
        inputs.suppressed.contains(&id.to_lowercase())
            || email.is_some_and(|email| {
                addresses.contains(&email)
                    || inputs.suppressed.contains(&email)
                    || inputs.suppressed.contains(&contacts::hashed(&email))
            })
    };
    let mut keep = Vec::with_capacity(ids.len());
    let mut control = Vec::new();
    for (row, id) in ids.iter().enumerate() {
        let id = id.unwrap_or_default();
        let kept = if is_suppressed(row, id) {
            counts.suppressed += 1;
            false
        } else if is_control(id, params.control) {
            control.push(id.to_owned());
            false
        } else {
            true
        };
        keep.push(kept);
    }
    counts.control = control.len();
    let kept: BooleanChunked = keep.into_iter().collect();
    let rows = rows.filter(&kept).map_err(engine)?;
    let mut warnings = Vec::new();
    if !inputs.suppressed.is_empty() && counts.suppressed == 0 {
        warnings.push("no chosen customer is in the file of --suppress".to_owned());
    }
    if inputs.contacts.as_ref().is_some_and(|contacts| !contacts.has_any(&ids)) {
        warnings.push("no chosen customer is in the file of --contacts".to_owned());
    }
    let list =
        layout::arrange(params, inputs.contacts.as_ref(), &rows, &mut counts, &mut warnings)?;
    counts.exported = list.height();
    Ok(Export { list, control, counts, warnings })
}

/// The chosen customers in the order of their ids, with `previous_segment` if there is an earlier
/// time. Of those who left, the columns are of the earlier time.
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
            const NEW: &str = "new_segment";
            let left = with_segments(earlier, customers, NEW);
            let left = left.filter(named(SEGMENT).and(named(NEW).not())).collect();
            let mut left = left.map_err(engine)?.drop_many([PREVIOUS_SEGMENT]);
            let renamed = left.rename(SEGMENT, PREVIOUS_SEGMENT.into()).map(|_| ());
            renamed.and_then(|()| left.rename(NEW, SEGMENT.into()).map(|_| ())).map_err(engine)?;
            left.lazy()
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
