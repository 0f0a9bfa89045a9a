//! Why a step failed.

use std::io;
use std::path::PathBuf;

use crate::server::cluster::ClusterError;
use crate::server::connect::ConnectError;
use crate::server::launch::LaunchError;
use crate::server::workspace::WorkspaceError;

/// The reason of a failed step. Its text stands in the timeline, so it holds no SQL, parameter or password.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    #[error("there is no endpoint \"{name}\"")]
    NoEndpoint { name: String },
    #[error("there is no {side} server in this scenario")]
    NoServer { side: &'static str },
    #[error("the {side} server is not one that pgrehearse started")]
    NotLocal { side: &'static str },
    #[error(transparent)]
    Cluster(#[from] ClusterError),
    #[error(transparent)]
    Launch(#[from] LaunchError),
    #[error(transparent)]
    Workspace(#[from] WorkspaceError),
    /// `reason` is pg_upgrade's own text; `lists` are files that it wrote, in the run directory.
    #[error("pg_upgrade failed at \"{phase}\"{}{}", detail(reason), files(lists))]
    PgUpgrade { phase: String, reason: String, lists: Vec<PathBuf> },
    #[error("transfer mode \"{mode}\" is not possible: {why}")]
    Transfer { mode: &'static str, why: String },
    #[error(
        "the target {target} was released before the source {source_version}\ndetail: what the older one cannot read \
         is not seen by pg_upgrade --check, and restoring fails\nhint: use the latest minor of the target"
    )]
    TargetOlder { target: String, source_version: String },
    #[error("\"{program}\" failed ({status}){}", detail(tail))]
    Program { program: String, status: String, tail: String },
    #[error("statement {number} failed: {source}")]
    Statement { number: usize, source: ConnectError },
    #[error("could not connect to database \"{database}\": {source}")]
    Connect { database: String, source: ConnectError },
    #[error("could not write \"{}\"", path.display())]
    Log { path: PathBuf, source: io::Error },
}

fn detail(text: &str) -> String {
    if text.is_empty() { String::new() } else { format!("\ndetail: {text}") }
}

fn files(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| format!("\ndetail: see \"{}\"", path.display())).collect()
}
