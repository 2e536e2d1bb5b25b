//! `custseg simulate`: synthetic transactions of any size.

use std::io::Write;

use serde_json::json;

use crate::cli::SimulateArgs;
use crate::error::Error;
use crate::simulate::{Simulation, write};

pub(super) fn simulate(arguments: &SimulateArgs, out: &mut impl Write) -> Result<(), Error> {
    let SimulateArgs { customers, lines, seed, shape, to } = arguments;
    let (customers, lines, seed, shape) = (*customers, *lines, *seed, *shape);
    write::write(&Simulation { customers, lines, seed, shape }, to)?;
    let line = json!({
        "path": to,
        "lines": lines,
        "customers": customers,
        "from": shape.first().to_string(),
        "until": shape.end().to_string(),
    });
    Ok(writeln!(out, "{line}")?)
}
