//! A scenario file as a tree of values that know where they were written, with the command line's overrides put in.
//!
//! Takes TOML text and `key.path=value` texts. Must not know which keys a scenario has.

use std::ops::Range;

use toml::de::{DeTable, DeValue};

/// Where a key or a value was written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Origin {
    /// Bytes of the file.
    File(Range<usize>),
    /// The override with this index.
    Override(usize),
}

/// A value and where it was written.
#[derive(Clone, Debug)]
pub struct Node {
    pub value: Value,
    pub origin: Origin,
    /// The value of an override as typed: what is a number in TOML may be meant as a text.
    pub typed: Option<String>,
}

/// What TOML knows, less dates.
#[derive(Clone, Debug)]
pub enum Value {
    Text(String),
    Integer(i64),
    Float(f64),
    Boolean(bool),
    Array(Vec<Node>),
    Table(Table),
    /// A date or time, or a number that does not fit.
    Other,
}

impl Value {
    /// The kind with its article, as messages say it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Text(_) => "a string",
            Self::Integer(_) => "an integer",
            Self::Float(_) => "a float",
            Self::Boolean(_) => "a boolean",
            Self::Array(_) => "an array",
            Self::Table(_) => "a table",
            Self::Other => "a date or a number out of range",
        }
    }
}

/// Keys with their values, in the order in which they were written.
#[derive(Clone, Debug, Default)]
pub struct Table {
    pub entries: Vec<Entry>,
}

/// A key and its value.
#[derive(Clone, Debug)]
pub struct Entry {
    pub key: String,
    pub origin: Origin,
    pub node: Node,
}

/// Something wrong, before its place is looked up.
#[derive(Clone, Debug)]
pub struct Problem {
    pub origin: Option<Origin>,
    pub message: String,
    pub detail: Option<String>,
    pub hint: Option<String>,
}

/// Reads a TOML text.
///
/// # Errors
/// Every place where it is no TOML.
pub fn parse(text: &str) -> Result<Table, Vec<Problem>> {
    let (document, errors) = DeTable::parse_recoverable(text);
    if errors.is_empty() {
        return Ok(table(document.get_ref(), &Origin::File));
    }
    let problems = errors.iter().map(|error| Problem {
        origin: error.span().map(Origin::File),
        message: error.message().to_owned(),
        detail: None,
        hint: None,
    });
    Err(problems.collect())
}

/// Puts one override, `key.path=value`, into the tree. The value is read as TOML, and taken as a text where it is none.
///
/// # Errors
/// The override has no `=`, its key is none, or it leads through something that is no table.
pub fn set(root: &mut Table, index: usize, text: &str) -> Result<(), Problem> {
    let problem = |message: String, hint: &str| Problem {
        origin: Some(Origin::Override(index)),
        message,
        detail: None,
        hint: Some(hint.to_owned()),
    };
    let Some((key, typed)) = text.split_once('=') else {
        return Err(problem("an override has no value".into(), "write --set key.path=value"));
    };
    let Some(path) = key_path(key) else {
        return Err(problem(format!("\"{key}\" is no key"), "write --set key.path=value"));
    };
    let origin = |_| Origin::Override(index);
    let value = match DeValue::parse(typed.trim()) {
        Ok(read) => value(read.get_ref(), &origin),
        Err(_) => Value::Text(typed.to_owned()),
    };
    let node = Node { value, origin: Origin::Override(index), typed: Some(typed.to_owned()) };
    put(root, &path, node).map_err(|at| problem(format!("\"{at}\" is no table"), "set it as a whole"))
}

/// The parts of a dotted key; parts may be quoted as in TOML.
fn key_path(key: &str) -> Option<Vec<String>> {
    let document = format!("{} = 0", key.trim());
    let read = DeTable::parse(&document).ok()?;
    let mut path = Vec::new();
    let mut level = read.get_ref();
    loop {
        let (part, node) = level.iter().next()?;
        path.push(part.get_ref().to_string());
        match node.get_ref() {
            DeValue::Table(inner) => level = inner,
            _ => return Some(path),
        }
    }
}

/// Puts a node at a path and makes the tables on the way; gives the part that is no table where that fails.
fn put(table: &mut Table, path: &[String], node: Node) -> Result<(), String> {
    let Some((first, rest)) = path.split_first() else { return Ok(()) };
    let at = match table.entries.iter().position(|entry| entry.key == *first) {
        Some(at) => at,
        None => {
            let origin = node.origin.clone();
            let empty = Node { value: Value::Table(Table::default()), origin: origin.clone(), typed: None };
            table.entries.push(Entry { key: first.clone(), origin, node: empty });
            table.entries.len() - 1
        }
    };
    let entry = &mut table.entries[at];
    if rest.is_empty() {
        entry.origin = node.origin.clone();
        entry.node = node;
        return Ok(());
    }
    match &mut entry.node.value {
        Value::Table(inner) => put(inner, rest, node),
        _ => Err(first.clone()),
    }
}

fn table(read: &DeTable<'_>, origin: &dyn Fn(Range<usize>) -> Origin) -> Table {
    let mut entries: Vec<(usize, Entry)> = Vec::with_capacity(read.len());
    for (key, node) in read {
        let entry = Entry {
            key: key.get_ref().to_string(),
            origin: origin(key.span()),
            node: Node { value: value(node.get_ref(), origin), origin: origin(node.span()), typed: None },
        };
        entries.push((key.span().start, entry));
    }
    entries.sort_by_key(|(start, _)| *start);
    Table { entries: entries.into_iter().map(|(_, entry)| entry).collect() }
}

fn value(read: &DeValue<'_>, origin: &dyn Fn(Range<usize>) -> Origin) -> Value {
    match read {
        DeValue::String(text) => Value::Text(text.to_string()),
        DeValue::Integer(number) => {
            i64::from_str_radix(number.as_str(), number.radix()).map_or(Value::Other, Value::Integer)
        }
        DeValue::Float(number) => number.as_str().parse().map_or(Value::Other, Value::Float),
        DeValue::Boolean(flag) => Value::Boolean(*flag),
        DeValue::Datetime(_) => Value::Other,
        DeValue::Array(nodes) => {
            let node = |node: &toml::Spanned<DeValue<'_>>| Node {
                value: value(node.get_ref(), origin),
                origin: origin(node.span()),
                typed: None,
            };
            Value::Array(nodes.iter().map(node).collect())
        }
        DeValue::Table(inner) => Value::Table(table(inner, origin)),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn find<'a>(table: &'a Table, path: &[&str]) -> &'a Node {
        let entry = table.entries.iter().find(|entry| entry.key == path[0]).unwrap();
        match &entry.node.value {
            Value::Table(inner) if path.len() > 1 => find(inner, &path[1..]),
            _ => &entry.node,
        }
    }

    #[test]
    fn keys_keep_their_order_and_values_their_places() {
        let text = "z = 1\na = 'x'\n[m]\nb = [1, 2]\n";
        let root = parse(text).unwrap();
        assert_eq!(root.entries.iter().map(|entry| entry.key.as_str()).collect::<Vec<_>>(), ["z", "a", "m"]);
        let Origin::File(span) = find(&root, &["a"]).origin.clone() else { panic!("not from the file") };
        assert_eq!(&text[span], "'x'");
    }

    #[test]
    fn an_override_is_toml_where_it_can_be_and_a_text_where_not() {
        let mut root = parse("[upgrade]\nmode = 'copy'\n").unwrap();
        for (index, text) in ["upgrade.mode=link", "upgrade.jobs=4", "phases.after=5s", "staging.settings.\"a.b\"='x'"]
            .iter()
            .enumerate()
        {
            set(&mut root, index, text).unwrap();
        }
        assert!(matches!(&find(&root, &["upgrade", "mode"]).value, Value::Text(text) if text == "link"));
        assert!(matches!(find(&root, &["upgrade", "jobs"]).value, Value::Integer(4)));
        assert!(matches!(&find(&root, &["phases", "after"]).value, Value::Text(text) if text == "5s"));
        assert!(matches!(&find(&root, &["staging", "settings", "a.b"]).value, Value::Text(text) if text == "x"));
    }

    #[test]
    fn an_override_that_leads_nowhere_is_refused() {
        let mut root = parse("name = 'x'\n").unwrap();
        assert_eq!(set(&mut root, 0, "name.sub=1").unwrap_err().message, "\"name\" is no table");
        assert_eq!(set(&mut root, 0, "name").unwrap_err().message, "an override has no value");
        assert!(set(&mut root, 0, "a..b=1").is_err());
    }
}
