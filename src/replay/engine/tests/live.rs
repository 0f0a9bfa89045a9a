//! The replay against a real server.
