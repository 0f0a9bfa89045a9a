//! What must be known of a statement to map the values that are sent with it.
//!
//! Takes a statement's text and declared types; gives which parameters stay, what types they have, and how the data of its
//! COPYs is written. Must not know the values.

use std::collections::HashMap;
use std::rc::Rc;

use super::copy_options::{CopyOptions, copy_options};
use super::kept::Kept;
use super::spots::{Role, spots};
use super::text_bytes::readable;
use crate::workload::record::SqlRef;
use crate::workload::{Reader, Statement};

/// What is known of a statement's values.
#[derive(Clone, Debug, Default)]
pub(super) struct Plan {
    /// By the parameter's number, from 1.
    kept: Vec<(usize, Kept)>,
    casts: Vec<(usize, u32)>,
    types: Vec<u32>,
    pub(super) copies: Vec<CopyOptions>,
}

impl Plan {
    fn of(statement: Statement<'_>) -> Self {
        let bytes = statement.text.bytes();
        let text = readable(&bytes).0;
        let mut plan = Self { types: statement.parameter_types.to_vec(), ..Self::default() };
        for spot in spots(&text, false) {
            let Role::Parameter(number) = spot.role else { continue };
            plan.kept.extend(spot.kept.map(|kept| (number, kept)));
            plan.casts.extend(spot.cast.as_deref().and_then(oid_of).map(|oid| (number, oid)));
        }
        if text.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("copy")) || text.contains(';') {
            plan.copies = copy_options(&text);
        }
        plan
    }

    /// Why the parameter at an index (from 0) stays.
    pub(super) fn kept(&self, index: usize) -> Option<Kept> {
        self.kept.iter().find(|(number, _)| *number == index + 1).map(|(_, kept)| *kept)
    }

    /// The type of the parameter at an index (from 0): as declared, or as the statement casts it.
    pub(super) fn type_oid(&self, index: usize) -> Option<u32> {
        let declared = self.types.get(index).copied().filter(|oid| *oid != 0);
        declared.or_else(|| self.casts.iter().find(|(number, _)| *number == index + 1).map(|(_, oid)| *oid))
    }
}

/// The oid of a built-in type by a name that SQL has for it.
fn oid_of(name: &str) -> Option<u32> {
    Some(match name {
        "bool" | "boolean" => 16,
        "bytea" => 17,
        "int8" | "bigint" => 20,
        "int2" | "smallint" => 21,
        "int4" | "int" | "integer" => 23,
        "text" => 25,
        "json" => 114,
        "float4" | "real" => 700,
        "float8" | "double" => 701,
        "bpchar" | "char" | "character" => 1042,
        "varchar" => 1043,
        "date" => 1082,
        "timestamp" => 1114,
        "timestamptz" => 1184,
        "interval" => 1186,
        "numeric" | "decimal" => 1700,
        "uuid" => 2950,
        "jsonb" => 3802,
        _ => return None,
    })
}

/// The plans of a workload's statements, each made once.
#[derive(Debug, Default)]
pub(super) struct Plans(HashMap<u32, Rc<Plan>>);

impl Plans {
    /// The id has another text from here on.
    pub(super) fn redefine(&mut self, id: u32) {
        self.0.remove(&id);
    }

    /// The plan of a statement; an empty one where the reference leads nowhere, which the reader refuses.
    pub(super) fn get(&mut self, reference: &SqlRef, reader: &Reader) -> Rc<Plan> {
        let id = match reference {
            SqlRef::Id(id) => Some(*id),
            SqlRef::Inline(_) => None,
        };
        if let Some(known) = id.and_then(|id| self.0.get(&id)) {
            return Rc::clone(known);
        }
        let plan = Rc::new(reader.statement(reference).map(Plan::of).unwrap_or_default());
        if let Some(id) = id {
            self.0.insert(id, Rc::clone(&plan));
        }
        plan
    }
}

/// The plans of the statements that a session has prepared, by name; the unnamed one, too.
#[derive(Debug, Default)]
pub(super) struct Prepared(HashMap<String, Rc<Plan>>);

impl Prepared {
    pub(super) fn prepare(&mut self, name: &str, plan: Rc<Plan>) {
        self.0.insert(name.to_owned(), plan);
    }

    pub(super) fn close(&mut self, name: &str) {
        self.0.remove(name);
    }

    /// An empty plan where the statement was prepared before the capture began.
    pub(super) fn get(&self, name: &str) -> Rc<Plan> {
        self.0.get(name).map(Rc::clone).unwrap_or_default()
    }
}
