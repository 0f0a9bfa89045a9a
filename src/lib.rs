//! pgrehearse rehearses a PostgreSQL major-version upgrade under replayed production traffic.
//!
//! The modules stand on floors: each uses lower floors only, never a neighbour on its own floor, and the judging wing
//! (analysis, verdict, report) never uses the running wing. `tests/suite/tidy` enforces it.

// 0: words
pub mod words;
// 1: formats
pub mod facts;
pub mod objective;
pub mod pgwire;
pub mod samples;
pub mod sql;
pub mod timeline;
// 2: tools
pub mod net;
pub mod record;
pub mod tenant;
pub mod workload;
// 3: inputs
pub mod capture;
pub mod merge;
pub mod reshape;
pub mod scenario;
// 4 to 6, running wing
pub mod probe;
pub mod rehearsal;
pub mod replay;
pub mod server;
pub mod upgrade;
// 4 to 6, judging wing
pub mod analysis;
pub mod report;
pub mod verdict;
// 8
pub mod cli;
