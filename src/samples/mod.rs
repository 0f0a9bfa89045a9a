//! Floor 1: samples and their Parquet files.

pub mod sample;
