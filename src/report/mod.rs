//! Floor 6, judging wing: what people and machines read: terminal, JSON, HTML, Markdown, JUnit.

mod build;
mod figures;
#[cfg(test)]
mod fixture;
mod headline;
pub mod model;
mod table;
pub mod text;

pub use build::build;
