//! The recorder: from the tap to the journal on disk, in a thread of its own.
//!
//! Where the disk fails it says so once, cuts the journal back to what is whole, and tries again every second; relays do
//! not notice. Must not know sockets.

use std::io;
use std::time::Duration;

use tokio::sync::mpsc::Sender;

use super::journal::JournalWriter;
use super::passwords::Passwords;
use super::tap::Tap;

/// What is relayed is in the journal after so long.
const FLUSH_INTERVAL: Duration = Duration::from_secs(1);

/// Between two tries to write what could not be written.
const RETRY_INTERVAL: Duration = Duration::from_secs(1);

/// How often is tried to write what is left when nothing more comes.
const LAST_TRIES: u32 = 3;

/// What the recorder has to say while it works.
#[derive(Debug)]
pub(super) enum RecorderNews {
    /// The journal cannot be written.
    Failed(io::Error),
    /// It can be written again.
    Mended,
}

/// How the recording went.
#[derive(Debug, Default)]
pub(super) struct Recorded {
    /// Times that the journal could not be written.
    pub failures: u64,
    /// What was relayed last and could not be written.
    pub given_up_bytes: u64,
}

/// Writes until the tap is closed and empty.
pub(super) fn record(tap: &Tap, mut journal: JournalWriter, news: &Sender<RecorderNews>) -> Recorded {
    let mut recorded = Recorded::default();
    let mut passwords = Passwords::default();
    let mut emptied = Vec::new();
    while let Some(mut batch) = tap.take(emptied, FLUSH_INTERVAL) {
        passwords.blank(&mut batch);
        if !batch.is_empty() && !write(tap, &mut journal, &batch, news, &mut recorded) {
            recorded.given_up_bytes += batch.len() as u64;
        }
        emptied = batch;
    }
    recorded
}

/// Appends a batch, in the end; says whether it could.
fn write(
    tap: &Tap,
    journal: &mut JournalWriter,
    batch: &[u8],
    news: &Sender<RecorderNews>,
    recorded: &mut Recorded,
) -> bool {
    let (mut has_failed, mut last_tries) = (false, 0);
    loop {
        match journal.append(batch) {
            Ok(()) => {
                if has_failed {
                    // Who does not listen, or not fast enough, is told the next time.
                    let _ = news.try_send(RecorderNews::Mended);
                }
                return true;
            }
            Err(error) if !has_failed => {
                has_failed = true;
                recorded.failures += 1;
                let _ = news.try_send(RecorderNews::Failed(error));
            }
            Err(_) => {}
        }
        if tap.pause(RETRY_INTERVAL) {
            last_tries += 1;
            if last_tries >= LAST_TRIES {
                return false;
            }
        }
    }
}
