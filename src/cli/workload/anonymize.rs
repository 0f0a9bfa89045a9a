//! `workload anonymize`.
//!
//! Takes what was typed; prints what was changed, what was kept, and what the check says. Must not know how values are
//! mapped.

use std::path::{Path, PathBuf};

use clap::{Args, ValueEnum};

use super::super::{Ended, show};
use crate::reshape::anonymize::{AnonymizeOptions, Key, Mapping, Unknown, anonymize};
use crate::words::exit::ExitCode;

/// Give a workload other values, so that it can be shared: equal values stay equal, types, lengths and NULL stay.
///
/// Literals, parameters, COPY data, what RETURNING gave and what an application's own SET sets are mapped under a key: the same
/// key maps a value the same way every time. What would break a statement stays and is counted by class. A check then compares
/// both workloads place by place; where a value is still there, nothing is written and the exit code is 1.
#[derive(Debug, Args)]
pub struct AnonymizeArgs {
    /// The workload
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// The key: a file with 64 hexadecimal digits [default: PGREHEARSE_ANONYMIZE_KEY in the environment]
    #[arg(long, value_name = "KEY", conflicts_with = "new_key")]
    key_file: Option<PathBuf>,
    /// Make a new key and put it into this file, which only its owner may read
    #[arg(long, value_name = "KEY")]
    new_key: Option<PathBuf>,
    /// Map the names of databases, users, applications and tenants, too; those of tables and columns always stay
    #[arg(long)]
    names: bool,
    /// Keep this value wherever it stands, in any case: a label of an enum, a status; may be given several times
    #[arg(long = "allow", value_name = "VALUE")]
    allow: Vec<String>,
    /// Keep the values of this file, one a line
    #[arg(long, value_name = "LIST")]
    allow_file: Option<PathBuf>,
    /// Keep dates as they are; they move by whole weeks otherwise
    #[arg(long)]
    keep_dates: bool,
    /// What becomes of values that cannot be read: binary ones whose type the capture does not know
    #[arg(long, value_enum, default_value_t = UnknownValues::Refuse)]
    unknown: UnknownValues,
    /// Write SQL that maps the values of a database in the same way, so that staging data can follow. It holds the key: only
    /// its owner may read it
    #[arg(long, value_name = "SCRIPT")]
    sql: Option<PathBuf>,
    /// Print JSON
    #[arg(long)]
    json: bool,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
enum UnknownValues {
    /// The workload is refused, with the place of the first
    Refuse,
    /// They become NULL, and are counted
    Null,
}

/// Carries out `workload anonymize`.
pub(super) fn carry_out(typed: AnonymizeArgs) -> Ended {
    let mut allowed = typed.allow;
    if let Some(file) = &typed.allow_file {
        allowed.extend(read_list(file)?);
    }
    if let Some(script) = &typed.sql {
        refuse_overwriting(
            script,
            &[Some(&typed.file), Some(&typed.output), typed.key_file.as_ref(), typed.new_key.as_ref()],
        )?;
    }
    let key = match &typed.new_key {
        Some(file) => Key::create(file)?,
        None => Key::find(typed.key_file.as_deref())?,
    };
    let mapping = Mapping::new(key, allowed.iter().cloned());
    let options = AnonymizeOptions {
        input: typed.file,
        output: typed.output,
        mapping: if typed.keep_dates { mapping.keep_dates() } else { mapping },
        allowed,
        names: typed.names,
        keeps_dates: typed.keep_dates,
        unknown: match typed.unknown {
            UnknownValues::Refuse => Unknown::Refuse,
            UnknownValues::Null => Unknown::Null,
        },
    };
    let report = match anonymize(&options) {
        Ok(report) => report,
        Err(error) => {
            // A key that nothing was mapped with is of no use, and would be in the way of the next try.
            let _ = typed.new_key.map(std::fs::remove_file);
            return Err(error.into());
        }
    };
    if let Some(script) = &typed.sql {
        options.mapping.write_script(script)?;
    }
    show::result(&match typed.json {
        true => serde_json::to_string_pretty(&report.to_json())? + "\n",
        false => report.to_text(),
    });
    Ok(if report.passed() { ExitCode::Passed } else { ExitCode::ObjectiveMissed })
}

/// The script replaces what stands under its name: that must be none of the other files.
fn refuse_overwriting(script: &Path, others: &[Option<&PathBuf>]) -> Result<(), String> {
    let whole = |path: &Path| std::path::absolute(path).map(|path| path.canonicalize().unwrap_or(path)).ok();
    match others.iter().flatten().any(|other| whole(other) == whole(script)) {
        true => Err(format!("the script \"{}\" would overwrite another file of this command", script.display())),
        false => Ok(()),
    }
}

/// The lines of a file, without those that are empty.
fn read_list(file: &Path) -> Result<Vec<String>, String> {
    let text = std::fs::read_to_string(file)
        .map_err(|error| format!("could not read the list of allowed values \"{}\": {error}", file.display()))?;
    Ok(text.lines().map(str::trim_end).filter(|line| !line.is_empty()).map(str::to_owned).collect())
}
