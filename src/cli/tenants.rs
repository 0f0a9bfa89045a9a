//! The options that say whose statements are: the same for every capture and for `workload retag`.
//!
//! Takes what was typed and gives rules and the tenants file's mapping. Must not know what they are used for.

use std::error::Error;
use std::path::PathBuf;

use clap::Args;

use crate::tenant::{Mapping, Rules};

#[derive(Debug, Args)]
pub struct TenantArgs {
    /// What names a statement's tenant: database, user, application_name, schema, tag:KEY (a tag in a comment), sql:REGEX
    /// (its first group, in the text) or param:TABLE.COLUMN (the value compared with or written into the column). Given
    /// several times, the first that has a value wins
    #[arg(long = "tenant-by", value_name = "RULE", default_value = "database")]
    pub tenant_by: Vec<String>,
    /// What the tenants are called: CSV with the columns tenant (as the rules find it), name, tier and region
    #[arg(long = "tenants", value_name = "FILE")]
    pub tenants: Option<PathBuf>,
}

impl TenantArgs {
    /// The rules in order, and the mapping where a file was given.
    pub(super) fn read(&self) -> Result<(Rules, Option<Mapping>), Box<dyn Error>> {
        let rules = Rules::parse(self.tenant_by.iter().map(String::as_str))?;
        Ok((rules, self.tenants.as_deref().map(Mapping::open).transpose()?))
    }
}
