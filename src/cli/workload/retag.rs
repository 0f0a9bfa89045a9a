//! `workload retag`.
//!
//! Takes what was typed; prints the tenants that were found. Must not know how they are found.

use super::super::args::Retag;
use super::super::progress::Reading;
use super::super::{Ended, show};
use crate::reshape::retag::{RetagOptions, retag};
use crate::words::exit::ExitCode;

/// Carries out `workload retag`.
pub(super) fn carry_out(typed: Retag) -> Ended {
    let (rules, tenants) = typed.tenants.read()?;
    let reading = Reading::of(&[&typed.file], 2);
    let table = retag(&RetagOptions { input: reading.input(&typed.file), output: typed.output, rules, tenants })?;
    drop(reading);
    show::result(&table.to_string());
    Ok(ExitCode::Passed)
}
