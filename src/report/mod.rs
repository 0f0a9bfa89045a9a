//! Floor 6, judging wing: what people and machines read: terminal, JSON, HTML, Markdown, JUnit.

mod build;
mod figures;
mod files;
#[cfg(test)]
mod fixture;
mod headline;
mod html;
mod json;
mod junit;
mod markdown;
pub mod model;
mod table;
mod text;

pub use build::build;
pub use files::{Format, ReportError, render, write_all};
pub use text::Colour;
