//! The tenants that were found, and how many executions each has.
//!
//! Takes tenants' ids as captured; numbers the tenants in the order in which they appear, as a workload does, and gives
//! the table that a person is shown. Must not know where executions come from.

use std::collections::HashMap;
use std::fmt;

use super::mapping::{MappedTenant, Mapping};
use super::rule::Rules;

/// Tenants that are shown by name.
const SHOWN_MAX: usize = 8;

/// The tenants found so far.
#[derive(Debug)]
pub struct Census<'a> {
    mapping: Option<&'a Mapping>,
    /// By name.
    ids: HashMap<Box<str>, u32>,
    tenants: Vec<Counted>,
    executions_without: u64,
}

#[derive(Debug)]
struct Counted {
    tenant: MappedTenant,
    is_in_file: bool,
    executions: u64,
}

/// What was found, for a person.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TenantTable {
    /// The rules that named the tenants.
    pub rules: String,
    /// With their executions, the busiest first.
    pub tenants: Vec<(String, u64)>,
    /// Executions that no rule gives a tenant.
    pub executions_without: u64,
    /// Executions of tenants that the tenants file does not name; none where there is no such file.
    pub executions_not_in_file: Option<u64>,
}

impl<'a> Census<'a> {
    /// Nobody yet; `mapping` says what the tenants are called.
    pub fn new(mapping: Option<&'a Mapping>) -> Self {
        Self { mapping, ids: HashMap::new(), tenants: Vec::new(), executions_without: 0 }
    }

    /// The number of the tenant with this id as captured, and whether it appears for the first time.
    pub fn enter(&mut self, captured: &str) -> (u32, bool) {
        let mapped = self.mapping.and_then(|mapping| mapping.get(captured));
        let name = mapped.map_or(captured, |mapped| mapped.name.as_str());
        if let Some(id) = self.ids.get(name) {
            return (*id, false);
        }
        let id = u32::try_from(self.tenants.len()).unwrap_or(u32::MAX);
        self.ids.insert(name.into(), id);
        let unknown = || MappedTenant { name: captured.to_owned(), tier: None, region: None };
        let tenant = mapped.cloned().unwrap_or_else(unknown);
        self.tenants.push(Counted { tenant, is_in_file: mapped.is_some(), executions: 0 });
        (id, true)
    }

    /// The tenant with this number.
    pub fn tenant(&self, id: u32) -> Option<&MappedTenant> {
        self.tenants.get(id as usize).map(|counted| &counted.tenant)
    }

    /// Counts executions of a tenant, or of none.
    pub fn count(&mut self, id: Option<u32>, executions: u64) {
        match id.and_then(|id| self.tenants.get_mut(id as usize)) {
            Some(counted) => counted.executions += executions,
            None => self.executions_without += executions,
        }
    }

    /// What was found, by these rules. Tenants without executions are left out.
    pub fn table(&self, rules: &Rules) -> TenantTable {
        let counted = || self.tenants.iter().filter(|counted| counted.executions > 0);
        let not_in_file = || counted().filter(|counted| !counted.is_in_file).map(|counted| counted.executions).sum();
        let mut tenants: Vec<_> = counted().map(|counted| (counted.tenant.name.clone(), counted.executions)).collect();
        tenants
            .sort_by(|(left_name, left), (right_name, right)| right.cmp(left).then_with(|| left_name.cmp(right_name)));
        TenantTable {
            rules: rules.to_string(),
            tenants,
            executions_without: self.executions_without,
            executions_not_in_file: self.mapping.map(|_| not_in_file()),
        }
    }
}

impl fmt::Display for TenantTable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let named: u64 = self.tenants.iter().map(|(_, executions)| executions).sum();
        let all = (named + self.executions_without).max(1);
        let share = |executions: u64| 100.0 * executions as f64 / all as f64;
        writeln!(f, "tenants     {} (by {})", self.tenants.len(), self.rules)?;
        let mut row =
            |name: &str, executions: u64| writeln!(f, "  {name:<32} {executions:>12}  {:>5.1} %", share(executions));
        for (name, executions) in self.tenants.iter().take(SHOWN_MAX) {
            row(&shortened(name), *executions)?;
        }
        if let Some(rest) = self.tenants.get(SHOWN_MAX..).filter(|rest| !rest.is_empty()) {
            row(&format!("{} more", rest.len()), rest.iter().map(|(_, executions)| executions).sum())?;
        }
        if let Some(executions) = self.executions_not_in_file {
            row("not in the tenants file", executions)?;
        }
        if self.executions_without > 0 || self.executions_not_in_file.is_some() {
            row("without a tenant", self.executions_without)?;
        }
        Ok(())
    }
}

/// A name that fits its column.
fn shortened(name: &str) -> String {
    let printable = |c: char| if c.is_control() { '?' } else { c };
    match name.char_indices().nth(32) {
        None => name.chars().map(printable).collect(),
        Some(_) => name.chars().take(31).map(printable).chain(['…']).collect(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn tenants_are_numbered_as_they_appear_and_ids_of_one_name_are_one() {
        let mapping = Mapping::read("tenant,name,tier\n1,acme,gold\n2,acme,gold\n".as_bytes(), "t.csv").unwrap();
        let mut census = Census::new(Some(&mapping));
        assert_eq!(census.enter("bolt"), (0, true));
        assert_eq!((census.enter("1"), census.enter("2"), census.enter("bolt")), ((1, true), (1, false), (0, false)));
        assert_eq!(census.tenant(1).unwrap().tier.as_deref(), Some("gold"));
        census.count(Some(1), 6);
        census.count(Some(0), 3);
        census.count(None, 1);
        let table = census.table(&Rules::default());
        assert_eq!(table.tenants, [("acme".to_owned(), 6), ("bolt".to_owned(), 3)]);
        assert_eq!((table.executions_without, table.executions_not_in_file), (1, Some(3)));
    }

    #[test]
    fn the_table_shows_the_shares_that_are_nobodys() {
        let mut table = TenantTable {
            rules: "schema".to_owned(),
            tenants: (0..10).map(|n| (format!("t{n}"), 1)).collect(),
            executions_without: 0,
            executions_not_in_file: None,
        };
        assert!(!table.to_string().contains("without"), "{table}");
        (table.executions_without, table.executions_not_in_file) = (10, Some(5));
        let expected = "\
tenants     10 (by schema)
  t0                                          1    5.0 %
  t1                                          1    5.0 %
  t2                                          1    5.0 %
  t3                                          1    5.0 %
  t4                                          1    5.0 %
  t5                                          1    5.0 %
  t6                                          1    5.0 %
  t7                                          1    5.0 %
  2 more                                      2   10.0 %
  not in the tenants file                     5   25.0 %
  without a tenant                           10   50.0 %
";
        assert_eq!(table.to_string(), expected);
    }
}
