//! A proxy between clients and a server that records what it relays.
//!
//! The way of the data: `worker` (accepts, connects; `greeting` where TLS ends at the proxy) -> `relay` (bytes through, untouched) -> `tap` (a bounded copy; a
//! relay never waits for it) -> `recorder` (blanks `passwords`, writes the `journal`) -> `decode` (journal to workload, at
//! the stop or in `workload repair`). `run` holds it together.

mod decode;
mod endpoint;
mod greeting;
mod journal;
mod passwords;
mod progress;
mod recorder;
mod relay;
mod run;
mod tap;
mod worker;

pub use decode::{Decoded, JournalOptions, decode, is_journal};
pub use endpoint::parse_address;
pub use greeting::Encryption;
pub use progress::{News, Progress};
pub use run::{Ended, ProxyOptions, journal_path, run};
