//! Floor 1: the PostgreSQL wire protocol as bytes.
