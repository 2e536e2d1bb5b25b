//! `custseg simulate`: synthetic transactions of any size.

use std::io::Write;

use serde_json::json;

use crate::cli::{ShapeArg, SimulateArgs};
use crate::error::Error;
use crate::simulate::{Shape, Simulation, write};

pub(super) fn simulate(arguments: &SimulateArgs, out: &mut impl Write) -> Result<(), Error> {
    let SimulateArgs { customers, lines, seed, shape, to } = arguments;
    let shape = match shape {
        ShapeArg::OnlineRetail => Shape::OnlineRetail,
        ShapeArg::Cdnow => Shape::Cdnow,
    };
    write::write(&Simulation { customers: *customers, lines: *lines, seed: *seed, shape }, to)?;
    let line = json!({
        "path": to,
        "lines": lines,
        "customers": customers,
        "from": shape.first().to_string(),
        "until": shape.end().to_string(),
    });
    Ok(writeln!(out, "{line}")?)
}
