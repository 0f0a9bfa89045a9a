//! The forms of a report, and the files that a run directory holds of it.
//!
//! Takes a report and gives text or files. Each file is written beside and renamed, so that nobody reads half of one.
//! Must not know how any form is made.

use std::path::{Path, PathBuf};
use std::{fs, io};

use super::model::Report;
use super::text::Colour;
use super::{html, json, junit, markdown, text};
use crate::facts::layout;

/// A form of the report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    Html,
    Json,
    Markdown,
    Junit,
    Text(Colour),
}

/// Why a report cannot be made or written.
#[derive(Debug, thiserror::Error)]
pub enum ReportError {
    #[error("cannot write \"{}\"", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("cannot make the report as JSON")]
    Json(#[from] serde_json::Error),
    #[error("cannot make the report as HTML")]
    Html(#[from] askama::Error),
    #[error("cannot make the report as JUnit XML")]
    Junit(#[from] quick_junit::SerializeError),
}

/// The report in one form.
///
/// # Errors
/// A serializer's error; none is known to happen.
pub fn render(report: &Report, format: Format) -> Result<String, ReportError> {
    Ok(match format {
        Format::Json => json::render(report)?,
        Format::Junit => junit::render(report)?,
        Format::Markdown => markdown::render(report),
        Format::Text(colour) => text::render(report, colour),
        Format::Html => html::render(report)?,
    })
}

/// Writes `report.json`, `report.html`, `summary.md` and `junit.xml` into a run directory, over older ones.
///
/// # Errors
/// [`ReportError::Write`] with the file that could not be written; files before it stand.
pub fn write_all(directory: &Path, report: &Report) -> Result<(), ReportError> {
    let files = [
        (layout::REPORT_JSON, Format::Json),
        (layout::REPORT_HTML, Format::Html),
        (layout::SUMMARY, Format::Markdown),
        (layout::JUNIT, Format::Junit),
    ];
    for (name, format) in files {
        let path = directory.join(name);
        let beside = directory.join(format!("{name}.tmp"));
        fs::write(&beside, render(report, format)?)
            .and_then(|()| fs::rename(&beside, &path))
            .map_err(|source| ReportError::Write { path, source })?;
    }
    Ok(())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::super::fixture;
    use super::*;

    #[test]
    fn a_run_directory_gets_its_four_files_and_nothing_else() {
        let place = tempfile::tempdir().unwrap();
        write_all(place.path(), &fixture::passed()).unwrap();
        write_all(place.path(), &fixture::interrupted()).unwrap();
        let mut names: Vec<String> =
            fs::read_dir(place.path()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        assert_eq!(names, ["junit.xml", "report.html", "report.json", "summary.md"]);
    }

    #[test]
    fn a_directory_that_is_not_there_is_named() {
        let error = write_all(Path::new("/nowhere/at/all"), &fixture::passed()).unwrap_err();
        assert_eq!(error.to_string(), "cannot write \"/nowhere/at/all/report.json\"");
    }
}
