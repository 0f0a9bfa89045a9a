//! Why a capture failed.
//!
//! Gives the error type only. Must not print a statement or a parameter value.

use std::io;
use std::path::PathBuf;

use crate::workload::WriteError;

/// Why a capture failed. Nothing stands under the output's name then.
#[derive(Debug, thiserror::Error)]
pub enum CaptureError {
    #[error("no file given")]
    NoInput,
    #[error("could not open \"{file}\": {source}")]
    Open { file: String, source: io::Error },
    #[error("could not read \"{file}\": {source}")]
    Read { file: String, source: io::Error },
    /// `kind` says what the file looks like, `hint` what to do about it.
    #[error("\"{file}\" is no server log: it looks like {kind}\nhint: {hint}")]
    WrongKind { file: String, kind: String, hint: &'static str },
    #[error(
        "\"{file}\" is compressed data that holds nothing\n\
         hint: it is empty or damaged: try gzip -t, bzip2 -t or zstd -t on it"
    )]
    EmptyCompressed { file: String },
    #[error(
        "could not find out the log_line_prefix of \"{file}\"\n\
         hint: give it as SHOW log_line_prefix shows it: --prefix '%m [%p] '"
    )]
    PrefixUnknown { file: String },
    #[error(
        "the prefix \"{prefix}\" fits no line of \"{file}\"\n\
         hint: leave --prefix out to have it found out, or give it as SHOW log_line_prefix shows it"
    )]
    PrefixDoesNotFit { file: String, prefix: String },
    /// Without it all sessions would be taken for one.
    #[error(
        "the lines of \"{file}\" tell no sessions: log_line_prefix \"{prefix}\" has neither %p nor %c\n\
         hint: set log_line_prefix = '%m [%p] %q%u@%d ' and log anew"
    )]
    PrefixWithoutSession { file: String, prefix: String },
    #[error(
        "the lines of \"{file}\" tell no time: log_line_prefix \"{prefix}\" has neither %m nor %t nor %n\n\
         hint: set log_line_prefix = '%m [%p] %q%u@%d ' and log anew"
    )]
    PrefixWithoutTime { file: String, prefix: String },
    #[error(
        "\"{file}\" and \"{other}\" begin with the same content\n\
         hint: give each file once, compressed or not"
    )]
    SameContent { file: String, other: String },
    /// A server that logs in several formats writes every entry into each.
    #[error(
        "\"{file}\" and \"{other}\" hold the same entries in two formats\n\
         hint: give the files of one format; csvlog and jsonlog tell more than stderr"
    )]
    SameEntries { file: String, other: String },
    /// `seen` says what the log holds instead, `hint` what to switch on.
    #[error("no statement found in {lines} lines of log\ndetail: {seen}\nhint: {hint}")]
    NoStatements { lines: u64, seen: String, hint: String },
    /// `kind` says what the file looks like.
    #[error(
        "\"{file}\" is no network capture: it looks like {kind}\n\
         hint: give pcap or pcapng files, as tcpdump -w writes them, also compressed by gzip, bzip2 or zstd"
    )]
    NotNetworkCapture { file: String, kind: &'static str },
    /// `seen` says what the packets hold instead, `hint` what to do about it.
    #[error("no PostgreSQL statement found in {packets} packets\ndetail: {seen}\nhint: {hint}")]
    NoConversation { packets: u64, seen: String, hint: &'static str },
    #[error("could not start the proxy: {source}")]
    ProxyStart { source: io::Error },
    #[error(
        "could not listen on {address}: {source}\n\
         hint: give --listen an address of this machine that nothing else listens on"
    )]
    Listen { address: String, source: io::Error },
    #[error("the proxy would be its own upstream at {address}\nhint: give --upstream the server's address")]
    ProxyOfItself { address: String },
    #[error(
        "the journal \"{0}\" is there already\n\
         detail: a proxy that writes the same workload is running, or was killed\n\
         hint: if it was killed, make a workload of what it recorded: pgrehearse workload repair {0} -o OUT, then remove it",
        journal.display()
    )]
    JournalExists { journal: PathBuf },
    #[error(
        "could not create the journal \"{}\": {source}\nhint: it stands beside the output, so -o must be in a directory that can be written",
        journal.display()
    )]
    JournalCreate { journal: PathBuf, source: io::Error },
    #[error("\"{file}\" is no journal of a proxy")]
    NotJournal { file: String },
    #[error("the output would overwrite its own input \"{file}\"\nhint: give the output another name")]
    OutputIsInput { file: String },
    /// `seen` says what was relayed instead, `hint` what to do about it.
    #[error("no statement was relayed on {connections} connections\ndetail: {seen}\nhint: {hint}")]
    NothingRelayed { connections: u64, seen: String, hint: &'static str },
    /// Somebody wanted the making of the workload to end.
    #[error("interrupted")]
    Stopped,
    /// All that was relayed is still in the journal.
    #[error(
        "could not make a workload of what was relayed\n\
         hint: the journal is left: pgrehearse workload repair {} -o OUT makes the workload",
        journal.display()
    )]
    JournalLeft { journal: PathBuf, source: Box<CaptureError> },
    #[error("more than {limit} files")]
    TooManyFiles { limit: usize },
    #[error("could not write a temporary file beside the output: {source}")]
    Temporary { source: io::Error },
    #[error(transparent)]
    Write(#[from] WriteError),
}
