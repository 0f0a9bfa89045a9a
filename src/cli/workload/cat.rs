//! `workload cat`.
//!
//! Takes what was typed; prints the events of a workload as they are read. Must not know how an event is written.

use std::io::{self, Write};
use std::path::PathBuf;

use clap::Args;

use super::super::progress::Reading;
use super::super::{Ended, show};
use super::open_once;
use super::selection::SelectionArgs;
use crate::reshape::moment::started_us;
use crate::words::exit::ExitCode;
use crate::words::ids::Fingerprint;
use crate::workload::listing::{Filter, Form, Listing};
use crate::workload::{ReadError, Reader};

/// Print what a workload holds, event by event: moment, session, tenant, and what was done.
///
/// Statements are shown as they were sent, on one line each, with what came back as a comment behind them. What was bound to
/// their parameters, what RETURNING gave and COPY data are shown only with --values.
#[derive(Debug, Args)]
pub struct CatArgs {
    /// The workload; - reads standard input
    #[arg(value_name = "FILE")]
    file: PathBuf,
    #[command(flatten)]
    selection: SelectionArgs,
    /// Only requests that execute this statement, as `workload info --top` shows it; may be given several times
    #[arg(long = "fingerprint", value_name = "DIGITS")]
    fingerprints: Vec<Fingerprint>,
    /// End after this many events
    #[arg(long, value_name = "NUMBER")]
    limit: Option<u64>,
    /// Show values too: parameters, rows of RETURNING, COPY data
    #[arg(long)]
    values: bool,
    /// Print one JSON object a line, each complete in itself
    #[arg(long)]
    json: bool,
}

/// Carries out `workload cat`.
pub(super) fn carry_out(typed: CatArgs) -> Ended {
    let mut reader = open_once(&typed.file, &Reading::unseen())?;
    let started_us = started_us(reader.header())?;
    let SelectionArgs { from, to, tenants, databases, sessions } = typed.selection;
    let filter = Filter {
        from_us: from.map_or(0, |from| from.offset_us(started_us)),
        to_us: to.map_or(u64::MAX, |to| to.offset_us(started_us)),
        sessions,
        databases,
        tenants,
        fingerprints: typed.fingerprints,
    };
    let form = if typed.json { Form::Json } else { Form::Text };
    let mut listing = Listing::new(form, typed.values, filter, started_us);
    let mut output = show::results();
    let read = list(&mut reader, &mut listing, typed.limit.unwrap_or(u64::MAX), &mut output);
    // What stands before a damaged place is shown before the error.
    let flushed = output.flush();
    match (read, flushed) {
        (Err(CatError::Read(error)), _) => Err(error.into()),
        (Err(CatError::Write(error)), _) | (Ok(()), Err(error)) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(format!("could not write to standard output: {error}").into())
        }
        // A reader that went away (`| head`) is no error.
        _ => Ok(ExitCode::Passed),
    }
}

enum CatError {
    Read(ReadError),
    Write(io::Error),
}

fn list(reader: &mut Reader, listing: &mut Listing, limit: u64, output: &mut dyn Write) -> Result<(), CatError> {
    let mut left = limit;
    while left > 0 {
        let Some((_, record)) = reader.next_record().map_err(CatError::Read)? else { break };
        if listing.is_past(&record) {
            break;
        }
        if let Some(lines) = listing.take(&record, reader) {
            output.write_all(lines.as_bytes()).map_err(CatError::Write)?;
            left -= 1;
        }
    }
    Ok(())
}
