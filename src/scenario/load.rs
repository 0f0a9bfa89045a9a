//! Reads a scenario file into a resolved scenario.
//!
//! Takes a path and the command line's overrides; reads that one file and nothing else. Gives the scenario, or everything
//! that is wrong with it. Must not know whether the files that it names exist: that is for the check.

use std::path::{Path, PathBuf};

use super::diagnostic::{Diagnostic, Place, ScenarioError};
use super::read;
use super::resolved::Scenario;
use super::section::Problems;
use super::tree::{self, Origin, Problem, Table};

/// Reads the scenario at `path` with the overrides `sets` (`key.path=value`), and fills in every default.
///
/// # Errors
/// Everything that is wrong with the file, with line and column, and with the overrides.
pub fn load(path: &Path, sets: &[String]) -> Result<Scenario, ScenarioError> {
    let file = path.display().to_string();
    let whole = |message: String| ScenarioError {
        diagnostics: vec![Diagnostic { message, place: Place::File(file.clone()), detail: None, hint: None }],
    };
    let bytes = std::fs::read(path).map_err(|error| whole(format!("could not read the scenario: {error}")))?;
    let text = String::from_utf8(bytes).map_err(|_| whole("the scenario is not UTF-8 text".to_owned()))?;
    let absolute = std::path::absolute(path).map_err(|error| whole(format!("could not find the scenario: {error}")))?;
    resolve(&absolute, &file, &text, sets)
}

/// Reads a scenario's text as if it stood in the file `absolute`; messages call it `shown`.
pub(super) fn resolve(absolute: &Path, shown: &str, text: &str, sets: &[String]) -> Result<Scenario, ScenarioError> {
    let problems = Problems::default();
    let scenario = tree_of(text, sets).and_then(|root| {
        let scenario = read::scenario(&root, absolute, text, &problems);
        let problems = problems.into_inner();
        if problems.is_empty() { Ok(scenario) } else { Err(problems) }
    });
    scenario.map_err(|mut problems| {
        problems.sort_by_key(|problem| match &problem.origin {
            None => (0, 0),
            Some(Origin::File(span)) => (1, span.start),
            Some(Origin::Override(index)) => (2, *index),
        });
        ScenarioError { diagnostics: problems.into_iter().map(|problem| placed(problem, shown, text, sets)).collect() }
    })
}

fn tree_of(text: &str, sets: &[String]) -> Result<Table, Vec<Problem>> {
    let mut root = tree::parse(text)?;
    let wrong: Vec<Problem> =
        sets.iter().enumerate().filter_map(|(index, set)| tree::set(&mut root, index, set).err()).collect();
    if wrong.is_empty() { Ok(root) } else { Err(wrong) }
}

fn placed(problem: Problem, shown: &str, text: &str, sets: &[String]) -> Diagnostic {
    let place = match problem.origin {
        None => Place::File(shown.to_owned()),
        Some(Origin::File(span)) => Place::in_text(shown, text, span),
        Some(Origin::Override(index)) => Place::Override(sets.get(index).cloned().unwrap_or_default()),
    };
    Diagnostic { message: problem.message, place, detail: problem.detail, hint: problem.hint }
}

/// The directory that relative paths of a scenario are relative to.
pub(super) fn base_of(file: &Path) -> PathBuf {
    file.parent().map(Path::to_path_buf).unwrap_or_default()
}
