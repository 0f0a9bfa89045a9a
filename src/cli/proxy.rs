//! `capture proxy`: live traffic into a workload.
//!
//! Takes what was typed; says on stderr where it listens and what goes wrong, shows how far it is where that is a
//! terminal, and on stdout what was captured. Must not know how anything is relayed.

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use indicatif::{HumanBytes, ProgressBar, ProgressDrawTarget, ProgressStyle};

use super::tenants::TenantArgs;
use super::{Ended, show};
use crate::capture::proxy::{
    self, Encryption, JournalOptions, News, Progress, ProxyOptions, journal_path, parse_address, run,
};
use crate::net::{Address, Identity, SslMode, Target, Tls, TlsSettings};
use crate::words::exit::ExitCode;

/// Capture live traffic: relay it between clients and a server, untouched, and record it until ctrl-C or SIGTERM
#[derive(Debug, Args)]
#[command(after_help = AFTER_HELP)]
pub struct CaptureProxy {
    /// Where clients connect: HOST:PORT, [IPv6]:PORT, a PORT of the loopback, or /DIRECTORY/.s.PGSQL.PORT
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    listen: Address,
    /// The server, written in the same way
    #[arg(long, value_name = "ADDRESS", value_parser = parse_address)]
    upstream: Address,
    /// The workload to write; a name that ends in .zst is compressed. OUT.journal stands beside it meanwhile
    #[arg(short, long, value_name = "OUT")]
    output: PathBuf,
    /// Connections at a time; further ones are told that there are too many
    #[arg(long, value_name = "N", default_value_t = 5_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    max_connections: u32,
    /// Show clients this certificate (PEM, its issuers behind it): TLS ends at the proxy, so that what is said can be read.
    /// With the server's own certificate, clients notice no difference
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_cert: Option<PathBuf>,
    /// The certificate's key (PEM)
    #[arg(long, value_name = "FILE", requires = "tls_cert")]
    tls_key: Option<PathBuf>,
    /// TLS to the server, as libpq names it: disable, prefer, require, verify-ca or verify-full [default: prefer with
    /// --tls-cert]. Without --tls-cert, clients are told that there is no TLS; without both, what they agree on with the
    /// server passes through
    #[arg(long, value_name = "MODE")]
    sslmode: Option<SslMode>,
    /// Root certificates for --sslmode (PEM) [default: the system's]
    #[arg(long, value_name = "FILE")]
    sslrootcert: Option<PathBuf>,
    #[command(flatten)]
    tenants: TenantArgs,
}

const AFTER_HELP: &str = "\
What is relayed goes into OUT.journal within a second, passwords blanked; the workload is made of it at the end. If the proxy
is killed, \"workload repair OUT.journal -o OUT\" makes it. If the disk is full, traffic goes on, and what could not be recorded
is counted. A second ctrl-C leaves at once and keeps the journal.

SCRAM passwords pass through. Channel binding ties them to the certificate: with the server's own certificate at the proxy it
works; with another one, clients with TLS need channel_binding=disable. For clients without TLS to a server with TLS, the proxy
takes SCRAM-SHA-256-PLUS off the server's offer, the one place where it changes what is said. Client certificates do not pass.";

/// Carries out `capture proxy`.
pub(super) fn carry_out(typed: CaptureProxy) -> Ended {
    let (tenant_rules, tenants) = typed.tenants.read()?;
    let identity = typed.tls_cert.zip(typed.tls_key).map(|(certificate, key)| Identity::read(&certificate, &key));
    let (encryption, sslmode) = match (identity.transpose()?, typed.sslmode) {
        (None, None) => (Encryption::PassedOn, SslMode::Disable),
        (identity, sslmode) => (Encryption::Answered(identity), sslmode.unwrap_or_default()),
    };
    let tls = Tls::new(&TlsSettings { sslrootcert: typed.sslrootcert, ..TlsSettings::of_mode(sslmode) })?;
    let options = ProxyOptions {
        listen: typed.listen,
        upstream: Target { address: typed.upstream, tls },
        encryption,
        connections_max: typed.max_connections as usize,
        journal: JournalOptions { journal: journal_path(&typed.output), output: typed.output, tenant_rules, tenants },
    };
    let bar = bar();
    let ended = run(&options, &mut |news| tell(&bar, news));
    bar.finish_and_clear();
    match ended? {
        proxy::Ended::Captured(decoded) => {
            show::result(&decoded.report.to_string());
            if decoded.is_encrypted {
                show::progress("hint: with --tls-cert and --tls-key the proxy can read what is encrypted");
            }
            Ok(ExitCode::Passed)
        }
        proxy::Ended::Left { journal } => {
            let journal = journal.display();
            show::progress(&format!(
                "left at once; what was recorded stands in {journal}\n\
                 hint: pgrehearse workload repair {journal} -o OUT makes a workload of it"
            ));
            Ok(ExitCode::Interrupted)
        }
    }
}

fn tell(bar: &ProgressBar, news: News) {
    match news {
        News::Progress(progress) => bar.set_message(progress_text(&progress)),
        news => bar.suspend(|| show::progress(&text(&news))),
    }
}

fn text(news: &News) -> String {
    match news {
        News::Progress(progress) => progress_text(progress),
        News::Listening { address, upstream } => format!("listening on {address}, upstream {upstream}; ctrl-C ends"),
        News::UpstreamSilent { upstream, reason } => {
            format!("note: {upstream} does not answer yet: {reason}\nhint: clients are told so until it does")
        }
        News::FewerConnections { wanted, allowed } => format!(
            "note: {allowed} connections at a time instead of {wanted}: no more files may be open\n\
             hint: raise the limit of open files (ulimit -n)"
        ),
        News::RecordingFailed { journal, error } => format!(
            "warning: could not write {}: {error}\n\
             detail: traffic goes on; what cannot be recorded is counted\n\
             hint: make room; it is tried again every second",
            journal.display()
        ),
        News::RecordingMended => "the journal can be written again".to_owned(),
        News::Draining { signal, open } => {
            format!("{signal}: no new connections; {open} open ones end when they are at rest, or in 5 s")
        }
        News::Decoding => "writing the workload".to_owned(),
    }
}

fn progress_text(progress: &Progress) -> String {
    let Progress { open, opened, relayed_bytes, lost_bytes } = progress;
    let mut text = format!("{open} connections, {opened} in all, {} relayed", HumanBytes(*relayed_bytes));
    if *lost_bytes > 0 {
        text.push_str(&format!(", {} not recorded", HumanBytes(*lost_bytes)));
    }
    text
}

/// A line on stderr; indicatif hides it where that is no terminal.
fn bar() -> ProgressBar {
    let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(5));
    if let Ok(style) = ProgressStyle::with_template("{spinner} {elapsed} {msg}") {
        bar.set_style(style);
    }
    bar.enable_steady_tick(Duration::from_millis(200));
    bar
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_happens_is_said_with_what_to_do_about_it() {
        let upstream = "10.0.0.1:5432".to_owned();
        let progress = Progress { open: 3, opened: 70, relayed_bytes: 5 << 20, lost_bytes: 2048 };
        let said = [
            News::UpstreamSilent { upstream: upstream.clone(), reason: "could not connect: Connection refused".into() },
            News::FewerConnections { wanted: 5_000, allowed: 480 },
            News::Listening { address: "127.0.0.1:6432".into(), upstream },
            News::Progress(progress),
            News::RecordingFailed {
                journal: "out.jsonl.journal".into(),
                error: std::io::Error::other("No space left on device"),
            },
            News::RecordingMended,
            News::Draining { signal: "SIGTERM", open: 2 },
            News::Decoding,
        ];
        insta::assert_snapshot!(said.map(|news| text(&news)).join("\n"), @r"
        note: 10.0.0.1:5432 does not answer yet: could not connect: Connection refused
        hint: clients are told so until it does
        note: 480 connections at a time instead of 5000: no more files may be open
        hint: raise the limit of open files (ulimit -n)
        listening on 127.0.0.1:6432, upstream 10.0.0.1:5432; ctrl-C ends
        3 connections, 70 in all, 5.00 MiB relayed, 2.00 KiB not recorded
        warning: could not write out.jsonl.journal: No space left on device
        detail: traffic goes on; what cannot be recorded is counted
        hint: make room; it is tried again every second
        the journal can be written again
        SIGTERM: no new connections; 2 open ones end when they are at rest, or in 5 s
        writing the workload
        ");
    }
}
