//! The file that says what tenants are called: their ids as captured, to names, tiers and regions.
//!
//! Takes CSV with a header of the columns `tenant`, `name`, `tier` and `region`, in any order, of which only `tenant` is
//! required; gives what it says of a tenant. Must not know how a tenant's id was found.

use std::collections::HashMap;
use std::io;
use std::path::Path;

use csv::{ReaderBuilder, StringRecord, Trim};

use crate::words::suggest;

const COLUMNS: [&str; 4] = ["tenant", "name", "tier", "region"];

/// All are in memory while a capture runs.
const TENANTS_MAX: usize = 1_000_000;

/// What the file says of its tenants.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Mapping {
    tenants: HashMap<Box<str>, MappedTenant>,
}

/// What the file says of one tenant. Several ids may have one name: they are one tenant.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MappedTenant {
    /// The id itself where the file gives no name.
    pub name: String,
    pub tier: Option<String>,
    pub region: Option<String>,
}

/// Why a mapping cannot be read. Lines and columns count from 1.
#[derive(Debug, thiserror::Error)]
pub enum MappingError {
    #[error("could not open tenants file \"{file}\": {source}")]
    Open { file: String, source: io::Error },
    #[error("could not read tenants file \"{file}\": {source}")]
    Read { file: String, source: io::Error },
    #[error(
        "{file}:1: tenants file without a column \"tenant\"\nhint: its first line names its columns: tenant,name,tier,region"
    )]
    NoTenantColumn { file: String },
    #[error("{file}:1: column {column} of the tenants file is unknown: \"{name}\"\nhint: {hint}")]
    UnknownColumn { file: String, column: usize, name: String, hint: String },
    #[error("{file}:1: column \"{name}\" stands twice in the tenants file")]
    RepeatedColumn { file: String, name: String },
    #[error("{file}:{line}: {found} fields where the tenants file's header has {expected}")]
    Fields { file: String, line: u64, found: u64, expected: u64 },
    #[error("{file}:{line}: not UTF-8\nhint: save the tenants file as UTF-8")]
    Encoding { file: String, line: u64 },
    #[error("{file}:{line}: no tenant id")]
    NoTenant { file: String, line: u64 },
    #[error("{file}:{line}: tenant \"{tenant}\" stands twice, first on line {first_line}")]
    RepeatedTenant { file: String, line: u64, tenant: String, first_line: u64 },
    #[error(
        "{file}:{line}: \"{name}\" has another tier or region than on line {first_line}\n\
         detail: tenants of one name are one tenant"
    )]
    TwoMinds { file: String, line: u64, name: String, first_line: u64 },
    #[error("{file}:{line}: more than {limit} tenants")]
    TooMany { file: String, line: u64, limit: usize },
}

impl Mapping {
    /// Reads the file.
    ///
    /// # Errors
    /// The file cannot be read or is no mapping; the error says where and what to do.
    pub fn open(path: &Path) -> Result<Self, MappingError> {
        let file = path.display().to_string();
        match std::fs::File::open(path) {
            Ok(source) => Self::read(source, &file),
            Err(source) => Err(MappingError::Open { file, source }),
        }
    }

    /// Reads a mapping from any source; `file` stands for it in errors.
    ///
    /// # Errors
    /// As [`Mapping::open`].
    pub fn read(source: impl io::Read, file: &str) -> Result<Self, MappingError> {
        let mut rows = ReaderBuilder::new().trim(Trim::All).from_reader(source);
        let header = rows.headers().map_err(|error| fault(error, file))?.clone();
        let columns = Columns::of(&header, file)?;
        let mut building = Building { file, mapping: Self::default(), lines: HashMap::new(), names: HashMap::new() };
        for row in rows.records() {
            building.take(&row.map_err(|error| fault(error, file))?, &columns)?;
        }
        Ok(building.mapping)
    }

    /// What the file says of the tenant with this id.
    pub fn get(&self, id: &str) -> Option<&MappedTenant> {
        self.tenants.get(id)
    }
}

/// Where each column stands.
struct Columns {
    tenant: usize,
    name: Option<usize>,
    tier: Option<usize>,
    region: Option<usize>,
}

impl Columns {
    fn of(header: &StringRecord, file: &str) -> Result<Self, MappingError> {
        let file = || file.to_owned();
        // Spreadsheets put a byte order mark before the first name.
        let names: Vec<_> =
            header.iter().map(|name| name.trim_start_matches('\u{feff}').to_ascii_lowercase()).collect();
        for (index, name) in names.iter().enumerate() {
            if !COLUMNS.contains(&name.as_str()) {
                let hint = suggest::hint(name, &COLUMNS);
                return Err(MappingError::UnknownColumn { file: file(), column: index + 1, name: name.clone(), hint });
            }
            if names[..index].contains(name) {
                return Err(MappingError::RepeatedColumn { file: file(), name: name.clone() });
            }
        }
        let at = |wanted: &str| names.iter().position(|name| name == wanted);
        match at("tenant") {
            Some(tenant) => Ok(Self { tenant, name: at("name"), tier: at("tier"), region: at("region") }),
            None => Err(MappingError::NoTenantColumn { file: file() }),
        }
    }
}

/// A mapping being read, with the lines to point at.
struct Building<'a> {
    file: &'a str,
    mapping: Mapping,
    lines: HashMap<Box<str>, u64>,
    /// Of each name, the first id and its line.
    names: HashMap<String, (Box<str>, u64)>,
}

impl Building<'_> {
    fn take(&mut self, row: &StringRecord, columns: &Columns) -> Result<(), MappingError> {
        let file = self.file.to_owned();
        let line = row.position().map_or(0, csv::Position::line);
        let value =
            |at: Option<usize>| at.and_then(|at| row.get(at)).filter(|value| !value.is_empty()).map(str::to_owned);
        let Some(tenant) = value(Some(columns.tenant)) else { return Err(MappingError::NoTenant { file, line }) };
        if let Some(first_line) = self.lines.insert(tenant.as_str().into(), line) {
            return Err(MappingError::RepeatedTenant { file, line, tenant, first_line });
        }
        if self.lines.len() > TENANTS_MAX {
            return Err(MappingError::TooMany { file, line, limit: TENANTS_MAX });
        }
        let name = value(columns.name).unwrap_or_else(|| tenant.clone());
        let mapped = MappedTenant { name, tier: value(columns.tier), region: value(columns.region) };
        let (namesake, first_line) =
            self.names.entry(mapped.name.clone()).or_insert_with(|| (tenant.as_str().into(), line));
        if self.mapping.get(namesake).is_some_and(|first| *first != mapped) {
            return Err(MappingError::TwoMinds { file, line, name: mapped.name, first_line: *first_line });
        }
        self.mapping.tenants.insert(tenant.into(), mapped);
        Ok(())
    }
}

fn fault(error: csv::Error, file: &str) -> MappingError {
    let file = file.to_owned();
    let line = error.position().map_or(1, csv::Position::line);
    match error.into_kind() {
        csv::ErrorKind::UnequalLengths { expected_len, len, .. } => {
            MappingError::Fields { file, line, found: len, expected: expected_len }
        }
        csv::ErrorKind::Utf8 { .. } => MappingError::Encoding { file, line },
        csv::ErrorKind::Io(source) => MappingError::Read { file, source },
        // What else there is belongs to writing and to serde.
        _ => MappingError::Read { file, source: io::ErrorKind::InvalidData.into() },
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn read(text: &str) -> Result<Mapping, MappingError> {
        Mapping::read(text.as_bytes(), "tenants.csv")
    }

    fn error(text: &str) -> String {
        read(text).unwrap_err().to_string()
    }

    #[test]
    fn columns_stand_in_any_order_and_only_the_id_must() {
        let mapping = read("\u{feff}region,Tenant,name,tier\r\neu,17,\"Acme, Inc\",gold\r\n,18,,\r\n").unwrap();
        let acme = MappedTenant { name: "Acme, Inc".into(), tier: Some("gold".into()), region: Some("eu".into()) };
        assert_eq!(mapping.get("17"), Some(&acme));
        assert_eq!(mapping.get("18"), Some(&MappedTenant { name: "18".into(), tier: None, region: None }));
        assert_eq!(mapping.get("19"), None);
        assert_eq!(read("tenant\n17\n").unwrap().get("17").unwrap().name, "17");
    }

    #[test]
    fn ids_of_one_name_agree() {
        assert!(read("tenant,name,tier\n1,acme,gold\n2,acme,gold\n").is_ok());
        let text = error("tenant,name,tier\n1,acme,gold\n2,acme,free\n");
        assert!(text.starts_with("tenants.csv:3: \"acme\" has another tier or region than on line 2"), "{text}");
    }

    #[test]
    fn every_fault_has_its_line() {
        for (text, expected) in [
            ("", "tenants.csv:1: tenants file without a column \"tenant\""),
            ("name\nacme\n", "tenants.csv:1: tenants file without a column \"tenant\""),
            (
                "tenant,regoin\n",
                "tenants.csv:1: column 2 of the tenants file is unknown: \"regoin\"\nhint: did you mean \"region\"?",
            ),
            ("tenant,tenant\n", "tenants.csv:1: column \"tenant\" stands twice"),
            ("tenant,tier\n1,a\n2\n", "tenants.csv:3: 1 fields where the tenants file's header has 2"),
            ("tenant,tier\n1,a\n,b\n", "tenants.csv:3: no tenant id"),
            ("tenant\n1\n2\n1\n", "tenants.csv:4: tenant \"1\" stands twice, first on line 2"),
        ] {
            let found = error(text);
            assert!(found.starts_with(expected), "{text:?}: {found}");
        }
        let latin1 = Mapping::read(&b"tenant\n1\ncaf\xe9\n"[..], "t.csv").unwrap_err().to_string();
        assert!(latin1.starts_with("t.csv:3: not UTF-8"), "{latin1}");
    }

    proptest! {
        #[test]
        fn any_bytes_can_be_read(bytes in proptest::collection::vec(any::<u8>(), 0..64), rows in "(tenant|name|,|\n|\"|1|x){0,20}") {
            let _ = Mapping::read(bytes.as_slice(), "t.csv");
            let _ = read(&rows);
        }
    }
}
