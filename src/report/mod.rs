//! Floor 6, judging wing: what people and machines read: terminal, JSON, HTML, Markdown, JUnit.

pub mod model;
