//! A table of the scenario read key by key: wrong types, values out of range and unknown keys become problems, and
//! reading goes on, so that everything that is wrong is found at once.
//!
//! Takes a tree and gives typed values. Must not know what the keys mean.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::tree::{Entry, Node, Origin, Problem, Table, Value};
use crate::words::suggest;
use crate::words::time::{format_duration, parse_duration};

/// What was found wrong so far, in the order of reading.
#[derive(Debug, Default)]
pub struct Problems(RefCell<Vec<Problem>>);

impl Problems {
    /// Notes that something is wrong at `origin`.
    pub fn add(&self, origin: Option<&Origin>, message: impl Into<String>, hint: impl Into<String>) {
        let hint = Some(hint.into()).filter(|hint: &String| !hint.is_empty());
        self.push(Problem { origin: origin.cloned(), message: message.into(), detail: None, hint });
    }

    /// Notes a problem.
    pub fn push(&self, problem: Problem) {
        self.0.borrow_mut().push(problem);
    }

    /// Everything that was found.
    pub fn into_inner(self) -> Vec<Problem> {
        self.0.into_inner()
    }
}

/// One table being read. Every key that is asked for counts as known; [`Section::finish`] complains about the others.
pub struct Section<'a> {
    /// The dotted path, empty for the root.
    path: String,
    /// None for a table that was not written: everything in it has its default.
    table: Option<&'a Table>,
    origin: Option<&'a Origin>,
    known: Vec<&'static str>,
    problems: &'a Problems,
}

impl<'a> Section<'a> {
    /// The root of a scenario.
    pub fn root(table: &'a Table, problems: &'a Problems) -> Self {
        Self { path: String::new(), table: Some(table), origin: None, known: Vec::new(), problems }
    }

    /// The table that a node holds, such as an element of an array. None, and a problem, where it holds none.
    pub fn of_node(path: &str, node: &'a Node, problems: &'a Problems) -> Option<Self> {
        match &node.value {
            Value::Table(table) => {
                let origin = Some(&node.origin);
                Some(Self { path: path.to_owned(), table: Some(table), origin, known: Vec::new(), problems })
            }
            other => {
                problems.add(Some(&node.origin), format!("{path} must be a table, not {}", other.kind()), "");
                None
            }
        }
    }

    /// Whether the table was written at all.
    pub fn is_written(&self) -> bool {
        self.table.is_some()
    }

    /// The dotted path of a key.
    pub fn path_of(&self, key: &str) -> String {
        if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) }
    }

    /// The value of a key, as it was written.
    pub fn node(&mut self, key: &'static str) -> Option<&'a Node> {
        if !self.known.contains(&key) {
            self.known.push(key);
        }
        self.table?.entries.iter().find(|entry| entry.key == key).map(|entry| &entry.node)
    }

    /// A table within this one; absent ones read as empty.
    pub fn section(&mut self, key: &'static str) -> Section<'a> {
        let path = self.path_of(key);
        let written = self.node(key).and_then(|node| Self::of_node(&path, node, self.problems));
        written.unwrap_or_else(|| self.absent(key))
    }

    /// A table that was not written: everything in it has its default.
    pub fn absent(&self, key: &str) -> Section<'a> {
        Self { path: self.path_of(key), table: None, origin: None, known: Vec::new(), problems: self.problems }
    }

    /// A string; an override need not be quoted.
    pub fn text(&mut self, key: &'static str) -> Option<String> {
        let node = self.node(key)?;
        text_of(node).or_else(|| self.wrong_type(key, node, "a string"))
    }

    /// A duration such as `"30s"`.
    pub fn duration(&mut self, key: &'static str) -> Option<Duration> {
        let node = self.node(key)?;
        self.duration_of(key, node)
    }

    /// The duration of a key whose name is the user's.
    pub fn duration_of(&self, key: &str, node: &Node) -> Option<Duration> {
        let Some(text) = text_of(node) else {
            return self.wrong_type(key, node, "a duration such as \"30s\" or \"100ms\"");
        };
        match parse_duration(&text) {
            Ok(duration) => Some(duration),
            Err(message) => {
                self.problems.add(Some(&node.origin), format!("{}: {message}", self.path_of(key)), "");
                None
            }
        }
    }

    /// A duration of at least `least`.
    pub fn duration_at_least(&mut self, key: &'static str, least: Duration) -> Option<Duration> {
        let duration = self.duration(key)?;
        if duration < least {
            let message = format!("{} must be at least {}", self.path_of(key), format_duration(least));
            self.problem_at(key, message, "");
            return None;
        }
        Some(duration)
    }

    /// An integer between `least` and `most`, both included.
    pub fn integer(&mut self, key: &'static str, least: i64, most: i64) -> Option<i64> {
        let node = self.node(key)?;
        match node.value {
            Value::Integer(number) if (least..=most).contains(&number) => Some(number),
            Value::Integer(number) => {
                let message = format!("{} must lie between {least} and {most}, and is {number}", self.path_of(key));
                self.problems.add(Some(&node.origin), message, "");
                None
            }
            _ => self.wrong_type(key, node, "an integer"),
        }
    }

    /// A number between 0 and 1, both included.
    pub fn fraction(&mut self, key: &'static str) -> Option<f64> {
        let number = number_of(&self.node(key)?.value);
        if !(0.0..=1.0).contains(&number) {
            self.problem_at(key, format!("{} must be a number between 0 and 1", self.path_of(key)), "");
            return None;
        }
        Some(number)
    }

    /// `true` or `false`.
    pub fn boolean(&mut self, key: &'static str) -> Option<bool> {
        let node = self.node(key)?;
        match node.value {
            Value::Boolean(flag) => Some(flag),
            _ => self.wrong_type(key, node, "true or false"),
        }
    }

    /// One of a closed list of names.
    pub fn choice<T>(&mut self, key: &'static str, names: &[&str], from_name: impl Fn(&str) -> Option<T>) -> Option<T> {
        let text = self.text(key)?;
        let chosen = from_name(&text);
        if chosen.is_none() {
            let message = format!("{} cannot be \"{text}\"", self.path_of(key));
            let hint = match suggest::nearest(&text, names.iter().copied()) {
                Some(name) => format!("did you mean \"{name}\"?"),
                None => format!("it is one of {}", names.join(", ")),
            };
            self.problem_at(key, message, hint);
        }
        chosen
    }

    /// The elements of an array; empty where there is none.
    pub fn array(&mut self, key: &'static str) -> &'a [Node] {
        match self.node(key) {
            None => &[],
            Some(Node { value: Value::Array(nodes), .. }) => nodes,
            Some(node) => self.wrong_type(key, node, "an array").unwrap_or(&[]),
        }
    }

    /// An array of strings.
    pub fn texts(&mut self, key: &'static str) -> Vec<String> {
        let path = format!("each of {}", self.path_of(key));
        let problems = self.problems;
        let text = |node| text_of(node).or_else(|| wrong_type(problems, &path, node, "a string"));
        self.array(key).iter().filter_map(text).collect()
    }

    /// A table of names and plain values, such as server settings: `true` reads as `on`, numbers as they are written.
    pub fn plain_values(&mut self, key: &'static str) -> BTreeMap<String, String> {
        let path = self.path_of(key);
        let mut values = BTreeMap::new();
        for entry in self.section(key).entries() {
            let value = match &entry.node.value {
                Value::Text(text) => text.clone(),
                Value::Integer(number) => number.to_string(),
                Value::Float(number) => number.to_string(),
                Value::Boolean(flag) => if *flag { "on" } else { "off" }.to_owned(),
                _ => {
                    let path = format!("{path}.{}", entry.key);
                    wrong_type::<()>(self.problems, &path, &entry.node, "a string, number or boolean");
                    continue;
                }
            };
            values.insert(entry.key.clone(), value);
        }
        values
    }

    /// Every entry, for a table whose keys are names of the user's.
    pub fn entries(&self) -> &'a [Entry] {
        self.table.map_or(&[], |table| &table.entries)
    }

    /// A path, relative to `base` unless it is absolute.
    pub fn file(&mut self, key: &'static str, base: &Path) -> Option<PathBuf> {
        let text = self.text(key)?;
        if text.is_empty() {
            self.problem_at(key, format!("{} is empty", self.path_of(key)), "");
            return None;
        }
        let path = base.join(text);
        // Without its `..` the path is easier to read; what does not exist is shown as it was written.
        Some(path.canonicalize().unwrap_or(path))
    }

    /// Notes a problem at a key's value, or at the table where the key was not written.
    pub fn problem_at(&self, key: &str, message: impl Into<String>, hint: impl Into<String>) {
        let entry = self.entries().iter().find(|entry| entry.key == key);
        self.problems.add(entry.map(|entry| &entry.node.origin).or(self.origin), message, hint);
    }

    /// Notes a problem at a value within this table.
    pub fn problem_of(&self, node: &Node, message: impl Into<String>, hint: impl Into<String>) {
        self.problems.add(Some(&node.origin), message, hint);
    }

    /// Complains about every key that nobody asked for.
    pub fn finish(self) {
        for entry in self.entries() {
            if !self.known.contains(&entry.key.as_str()) {
                let place = if self.path.is_empty() { String::new() } else { format!(" in [{}]", self.path) };
                let hint = suggest::hint(&entry.key, &self.known);
                self.problems.add(Some(&entry.origin), format!("unknown key \"{}\"{place}", entry.key), hint);
            }
        }
    }

    fn wrong_type<T>(&self, key: &str, node: &Node, wanted: &str) -> Option<T> {
        wrong_type(self.problems, &self.path_of(key), node, wanted)
    }
}

/// The number; none is NaN, which lies in no range.
pub fn number_of(value: &Value) -> f64 {
    match value {
        Value::Integer(number) => *number as f64,
        Value::Float(number) => *number,
        _ => f64::NAN,
    }
}

/// The text of a node: a string, or any plain value of an override as it was typed.
pub fn text_of(node: &Node) -> Option<String> {
    match (&node.value, &node.typed) {
        (Value::Text(text), _) => Some(text.clone()),
        (Value::Array(_) | Value::Table(_), _) => None,
        (_, typed) => typed.clone(),
    }
}

fn wrong_type<T>(problems: &Problems, path: &str, node: &Node, wanted: &str) -> Option<T> {
    problems.add(Some(&node.origin), format!("{path} must be {wanted}, not {}", node.value.kind()), "");
    None
}
