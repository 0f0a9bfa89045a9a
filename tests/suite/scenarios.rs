//! The scenarios that come with the program can be loaded, and nothing can be said against them but what a machine lacks.

#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};

use pgrehearse::scenario::{Level, ServerVersions, check, load};

fn shipped() -> Vec<PathBuf> {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
    let Ok(entries) = std::fs::read_dir(dir) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}

#[test]
fn every_scenario_that_is_shipped_is_sound() {
    for path in shipped() {
        let scenario = load(&path, &[]).unwrap_or_else(|error| panic!("{}", error.render()));
        let errors: Vec<String> = check(&scenario, None, ServerVersions::default())
            .iter()
            .filter(|finding| finding.level == Level::Error)
            .map(ToString::to_string)
            .collect();
        assert!(errors.is_empty(), "{}: {errors:?}", path.display());
    }
}
