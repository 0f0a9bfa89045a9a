//! `workload retag`: whose each statement of a workload is, found out anew.
//!
//! Takes a workload and rules, and writes the same workload with other tenants. Reads it twice: a statement may take the
//! tenant of one that follows it, perhaps much later, and the order of the file must stay. What the first reading finds is
//! kept in a temporary file, four bytes a request. Must not know what was typed.

mod finding;

use std::path::{Path, PathBuf};

use super::error::ReshapeError;
use super::rewrite::{Edit, refuse_same_file, rewrite};
use crate::tenant::{Census, MappedTenant, Mapping, Rules, TenantTable};
use crate::workload::record::{Header, Record, Tenant};
use crate::workload::{Input, Reader, WriteError};
use finding::{Tenants, find};

/// What to do.
#[derive(Clone)]
pub struct RetagOptions<'a> {
    pub input: Input<'a>,
    /// The workload to write; a temporary file lies beside it.
    pub output: PathBuf,
    pub rules: Rules,
    /// What tenants are called, where a file says so.
    pub tenants: Option<Mapping>,
}

/// Writes the workload with its tenants by these rules, and gives their table.
///
/// # Errors
/// The workload is damaged, the output is the workload itself or cannot be written, or a temporary file cannot be used.
pub fn retag(options: &RetagOptions<'_>) -> Result<TenantTable, ReshapeError> {
    refuse_same_file(&options.output, &[options.input.path()])?;
    let reader = Reader::open(options.input)?;
    let directory = options.output.parent().filter(|parent| !parent.as_os_str().is_empty());
    let file = tempfile::tempfile_in(directory.unwrap_or(Path::new(".")))
        .map_err(|source| WriteError::Create { file: options.output.clone(), source })?;
    let tenants = find(reader, &options.rules, file)?.tenants();
    let mut retagging = Retagging { tenants, census: Census::new(options.tenants.as_ref()) };
    rewrite(options.input, &options.output, Header::clone, &mut retagging)?;
    Ok(retagging.census.table(&options.rules))
}

/// The second reading: everything as it was, but for the tenants. Their numbers are the census's.
struct Retagging<'a> {
    tenants: Tenants,
    census: Census<'a>,
}

impl Edit for Retagging<'_> {
    fn event(&mut self, mut event: Record, _: &Reader) -> Result<Option<Record>, ReshapeError> {
        if let Record::Request(request) = &mut event {
            let captured = self.tenants.next().map_err(|source| ReshapeError::Temporary { source })?;
            request.tenant = captured.map(|captured| self.census.enter(captured).0);
            self.census.count(request.tenant, request.executed().len() as u64);
        }
        Ok(Some(event))
    }

    fn numbered_tenant(&mut self, id: u32, _: &Reader) -> Result<Option<Tenant>, ReshapeError> {
        let tenant = self.census.tenant(id).cloned();
        Ok(tenant.map(|MappedTenant { name, tier, region }| Tenant { id, name, tier, region }))
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests;
