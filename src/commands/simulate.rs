//! `custseg simulate`: made-up transactions of any size.

use std::io::Write;

use serde_json::json;

use crate::cli::{ShapeArg, Simulated};
use custseg::error::Error;
use custseg::simulate::{Shape, Simulation, write};

pub(super) fn simulate(asked: &Simulated, out: &mut impl Write) -> Result<(), Error> {
    let Simulated { customers, lines, seed, shape, to } = asked;
    let shape = match shape {
        ShapeArg::OnlineRetail => Shape::OnlineRetail,
        ShapeArg::Cdnow => Shape::Cdnow,
    };
    write::write(&Simulation { customers: *customers, lines: *lines, seed: *seed, shape }, to)?;
    let (first, end) = (shape.first().to_string(), shape.end().to_string());
    writeln!(
        out,
        "{}",
        json!({ "path": to, "lines": lines, "customers": customers, "from": first, "until": end })
    )?;
    Ok(())
}
