//! The Rust files of this repository, and which of them are tests.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

/// A source file.
pub struct Source {
    /// Relative to the repository, with `/`.
    pub path: String,
    pub text: String,
}

impl Source {
    /// The text without its unit tests: everything before an inline `#[cfg(test)] mod`, nothing of a file of tests.
    pub fn shipped(&self) -> &str {
        if self.is_test() {
            return "";
        }
        let inline = self.text.find("\n#[cfg(test)]\nmod tests {");
        &self.text[..inline.map_or(self.text.len(), |at| at + 1)]
    }

    /// Whether the file is only compiled for tests.
    pub fn is_test(&self) -> bool {
        let name = self.path.rsplit('/').next().unwrap_or_default();
        let is_named_so = TEST_FILES.contains(&name) || name.ends_with("_tests.rs");
        self.path.starts_with("tests/") || self.path.contains("/tests/") || is_named_so
    }
}

/// Files that their parents declare under `#[cfg(test)]`.
const TEST_FILES: [&str; 2] = ["tests.rs", "fixture.rs"];

/// Every Rust file under `src` and `tests`.
pub fn all() -> Vec<Source> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut sources = Vec::new();
    for dir in ["src", "tests"] {
        collect(root, &root.join(dir), &mut sources);
    }
    assert!(sources.len() > 50, "the sources were not found");
    sources.sort_by(|a, b| a.path.cmp(&b.path));
    sources
}

fn collect(root: &Path, dir: &Path, sources: &mut Vec<Source>) {
    for entry in std::fs::read_dir(dir).unwrap() {
        let path: PathBuf = entry.unwrap().path();
        if path.is_dir() {
            collect(root, &path, sources);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            let text = std::fs::read_to_string(&path).unwrap();
            let path = path.strip_prefix(root).unwrap().to_string_lossy().replace('\\', "/");
            sources.push(Source { path, text });
        }
    }
}

/// Fails with the whole list where something broke the rule.
pub fn assert_none(broken: &[String], rule: &str) {
    assert!(broken.is_empty(), "{rule}:\n  {}", broken.join("\n  "));
}

#[test]
fn every_file_of_tests_is_declared_for_tests_only() {
    let sources = all();
    let mut broken = Vec::new();
    for source in sources.iter().filter(|source| source.path.starts_with("src/") && source.is_test()) {
        let (dir, name) = source.path.rsplit_once('/').unwrap();
        let declaration = format!("mod {};", name.trim_end_matches(".rs"));
        let parents = [format!("{dir}/mod.rs"), format!("{dir}.rs")];
        let declared = sources
            .iter()
            .filter(|parent| parents.contains(&parent.path))
            .any(|parent| is_declared_for_tests(&parent.text, &declaration));
        // A file below a directory of tests belongs to its parent there.
        if !declared && !dir.contains("/tests") {
            broken.push(source.path.clone());
        }
    }
    assert_none(&broken, "these files look like tests and are compiled into the program");
}

/// Whether `mod NAME;` stands there, in any visibility, with `#[cfg(test)]` among the attributes above it.
fn is_declared_for_tests(parent: &str, declaration: &str) -> bool {
    let lines: Vec<&str> = parent.lines().collect();
    let Some(at) = lines.iter().position(|line| line.ends_with(declaration)) else { return false };
    lines[..at].iter().rev().take_while(|line| line.starts_with("#[")).any(|line| *line == "#[cfg(test)]")
}
