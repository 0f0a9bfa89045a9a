//! Floor 8: the command line: what was typed, carried out, shown, and turned into an exit code.
//!
//! One file for each command; `show` is the only place that prints. Nothing below this floor prints or exits.

mod args;
mod capture;
mod check;
mod judge;
mod merge;
mod pcap;
mod postgres;
mod progress;
mod proxy;
mod run;
mod show;
mod tenants;
mod workload;

use std::error::Error;
use std::ffi::OsString;

use clap::Parser;

use crate::scenario::ScenarioError;
use crate::words::exit::ExitCode;
use args::{Cli, Command};

/// What a command ends with: an exit code, or an error that is shown and exits 2.
type Ended = Result<ExitCode, Box<dyn Error>>;

/// Runs the program with these arguments (the program's name first) and gives the process's exit code.
pub fn main(arguments: impl IntoIterator<Item = OsString>) -> i32 {
    let cli = match Cli::try_parse_from(arguments) {
        Ok(cli) => cli,
        Err(error) => {
            // clap prints help to stdout and errors to stderr; both codes are its own (0 and 2), as is ours for usage.
            let _ = error.print();
            return error.exit_code();
        }
    };
    match carry_out(cli.command) {
        Ok(code) => code.code(),
        Err(error) => {
            match error.downcast_ref::<ScenarioError>() {
                Some(error) => show::diagnostics(&error.render()),
                None => show::error(error.as_ref()),
            }
            ExitCode::Usage.code()
        }
    }
}

fn carry_out(command: Command) -> Ended {
    match command {
        Command::Workload(command) => workload::carry_out(command),
        Command::Check(typed) => check::carry_out(&typed),
        Command::Run(typed) => run::carry_out(&typed),
        Command::Merge(typed) => merge::carry_out(&typed),
        Command::Report(typed) => judge::carry_out_report(&typed),
        Command::Gate(typed) => judge::carry_out_gate(&typed),
        Command::Postgres(command) => postgres::carry_out(command),
        Command::Capture(args::Capture::Log(typed)) => capture::carry_out(typed),
        Command::Capture(args::Capture::Pcap(typed)) => pcap::carry_out(typed),
        Command::Capture(args::Capture::Proxy(typed)) => proxy::carry_out(typed),
    }
}

/// A runtime of one thread: what a command needs to wait for programs and sockets. The replay brings its own.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_current_thread().enable_all().build()
}
