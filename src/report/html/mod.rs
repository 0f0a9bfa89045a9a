//! `report.html`: one page that works offline, without scripts, on screen and on paper.

mod axis;
mod canvas;
mod page;
mod tables;
mod tenant_bars;
mod traffic;

pub use page::render;
