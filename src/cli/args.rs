//! What can be typed: the commands, their arguments and their help texts.
//!
//! Takes the command line and gives plain values. Must not know what the commands do.

use std::path::PathBuf;

use super::merge::Merge;
use super::proxy::CaptureProxy;
use super::tenants::TenantArgs;
use super::workload::{AnonymizeArgs, CatArgs, InfoArgs, MergeArgs, PeakArgs, RepairArgs, SliceArgs};
use crate::words::shard::ShardChoice;
use clap::{Args, Parser, Subcommand, ValueEnum};
use jiff::Timestamp;

const EXIT_CODES: &str = "\
Exit codes, the first that holds:
  2    usage, scenario or input error
  130  interrupted; a partial report is still written
  5    an acknowledged write was lost
  4    an upgrade step failed
  1    an objective was missed
  3    inconclusive: the measurement does not allow a verdict
  0    passed";

/// Rehearse a PostgreSQL major-version upgrade under replayed production traffic, and measure every tenant's downtime.
#[derive(Debug, Parser)]
#[command(name = "pgrehearse", version, after_help = EXIT_CODES, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Turn server logs, network captures or live traffic into a workload
    #[command(subcommand)]
    Capture(Capture),
    /// Look at workloads, and make others of them
    #[command(subcommand)]
    Workload(Workload),
    /// Validate a scenario and print the resolved plan; starts nothing
    Check(Check),
    /// Rehearse: replay the workload while the upgrade runs, measure, and judge
    Run(Run),
    Merge(Merge),
    /// Make the report of a run directory again, in any format
    Report(Report),
    /// Judge a run directory again, with other objectives
    Gate(Gate),
    /// Find or install PostgreSQL servers
    #[command(subcommand)]
    Postgres(Postgres),
}

#[derive(Debug, Subcommand)]
pub enum Capture {
    /// Capture from server logs of PostgreSQL 10 to 18: csvlog, jsonlog, stderr, syslog, and what clouds make of them
    Log(CaptureLog),
    /// Capture from network captures: pcap and pcapng, any port, as tcpdump writes them
    Pcap(CapturePcap),
    Proxy(CaptureProxy),
}

#[derive(Debug, Args)]
pub struct CapturePcap {
    /// Network captures in any order, also compressed by gzip, bzip2 or zstd; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Only connections of this port; may be given several times [default: PostgreSQL's protocol on any port]
    #[arg(long = "port", value_name = "PORT")]
    pub ports: Vec<u16>,
    #[command(flatten)]
    pub tenants: TenantArgs,
}

#[derive(Debug, Args)]
pub struct CaptureLog {
    /// Log files in any order, also compressed by gzip, bzip2 or zstd; - reads standard input
    #[arg(required = true, value_name = "FILE")]
    pub files: Vec<PathBuf>,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    /// Format of the files
    #[arg(long, value_enum, default_value_t = LogFormat::Auto)]
    pub format: LogFormat,
    /// The server's log_line_prefix, for stderr and syslog; found out from the first lines unless given
    #[arg(long, value_name = "PREFIX", allow_hyphen_values = true)]
    pub prefix: Option<String>,
    #[command(flatten)]
    pub tenants: TenantArgs,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// Told by the first bytes of each file
    Auto,
    Csv,
    /// jsonlog, and the JSON of Cloud SQL, CloudNativePG and Azure
    Json,
    Stderr,
    /// syslog, and Heroku's logplex
    Syslog,
}

#[derive(Debug, Subcommand)]
pub enum Workload {
    Info(InfoArgs),
    Cat(CatArgs),
    Slice(SliceArgs),
    Peak(PeakArgs),
    Merge(MergeArgs),
    Repair(RepairArgs),
    Anonymize(AnonymizeArgs),
    /// Find out anew whose each statement is
    Retag(Retag),
}

#[derive(Debug, Args)]
pub struct Retag {
    /// The workload
    #[arg(value_name = "FILE")]
    pub file: PathBuf,
    /// The workload to write; a name that ends in .zst is compressed
    #[arg(short, long, value_name = "OUT")]
    pub output: PathBuf,
    #[command(flatten)]
    pub tenants: TenantArgs,
}

#[derive(Debug, Args)]
pub struct Check {
    /// The scenario (TOML)
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// Override a key, such as upgrade.mode=copy; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Count on no installing of PostgreSQL: what is not there is an error
    #[arg(long)]
    pub no_install: bool,
    /// Print JSON
    #[arg(long)]
    pub json: bool,
}

#[derive(Debug, Args)]
pub struct Run {
    /// The scenario (TOML)
    #[arg(value_name = "SCENARIO")]
    pub scenario: PathBuf,
    /// The run directory to create [default: runs/NAME-TIME]
    #[arg(long, value_name = "DIR")]
    pub out: Option<PathBuf>,
    /// Override a key, such as upgrade.mode=copy; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    pub sets: Vec<String>,
    /// Leave temporary clusters behind, stopped, and say where
    #[arg(long)]
    pub keep: bool,
    /// Never install PostgreSQL: use what is there, or fail
    #[arg(long)]
    pub no_install: bool,
    /// Replay only this part of the sessions: shard INDEX of COUNT, counted from 0, or what a Kubernetes Indexed Job or
    /// Slurm says. Shard 0 runs the upgrade and the probes; merge makes one run directory of all
    #[arg(long, value_name = "INDEX/COUNT|auto", help_heading = SEVERAL)]
    pub shard: Option<ShardChoice>,
    /// When the workload's first moment is, by the database's clock: RFC 3339, such as 2026-01-05T10:00:00Z
    #[arg(long, value_name = "TIME", help_heading = SEVERAL)]
    pub start_at: Option<Timestamp>,
    /// A file on shared storage, by which shard 0 tells the others of phases and of the switch to the new server
    #[arg(long, value_name = "FILE", help_heading = SEVERAL)]
    pub phase_file: Option<PathBuf>,
}

/// The heading of what only concerns rehearsals by several processes.
const SEVERAL: &str = "More than one machine";

#[derive(Debug, Args)]
pub struct Report {
    /// The run directory
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    #[arg(long, value_enum, default_value_t = ReportFormat::Text)]
    pub format: ReportFormat,
    /// Write to a file instead of standard output
    #[arg(short, long, value_name = "FILE")]
    pub output: Option<PathBuf>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    Text,
    Json,
    Html,
    Markdown,
    Junit,
}

#[derive(Debug, Args)]
pub struct Gate {
    /// The run directory
    #[arg(value_name = "DIR")]
    pub dir: PathBuf,
    /// Judge by these instead of the scenario's; may be given several times
    #[arg(long = "objective", value_name = "TEXT")]
    pub objectives: Vec<String>,
}

#[derive(Debug, Subcommand)]
pub enum Postgres {
    /// Every PostgreSQL found: version, where, from what
    List {
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
    /// Install the pinned build of a major version (16 or 18) into the cache
    Install {
        /// The major version
        #[arg(value_name = "VERSION")]
        version: String,
    },
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;

    use super::Cli;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
