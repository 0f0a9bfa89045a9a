//! Any bytes are a workload or are refused, and one that is read has a summary.

use std::io::Cursor;

use pgrehearse::workload::{Reader, summarize};

pub fn fuzz(bytes: &[u8]) {
    let open = || Reader::new(Cursor::new(bytes.to_vec()), "bytes");
    let Ok(mut reader) = open() else { return };
    let is_whole = loop {
        match reader.next_record() {
            Ok(Some(_)) => {}
            Ok(None) => break true,
            Err(error) => break error.to_string().is_empty(),
        }
    };
    assert_eq!(open().and_then(summarize).is_ok(), is_whole);
}
