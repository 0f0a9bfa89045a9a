//! Any bytes are a file that is captured into a workload, or is refused: the whole way, decompression included.

use std::cell::OnceCell;
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;

use pgrehearse::capture::log::{CaptureOptions, LogFormat};
use pgrehearse::capture::proxy::{JournalOptions, decode, is_journal};
use pgrehearse::capture::{log, pcap};
use pgrehearse::tenant::Rules;
use pgrehearse::workload::Reader;

thread_local! {
    static DIRECTORY: OnceCell<tempfile::TempDir> = const { OnceCell::new() };
}

/// Writes the input, and gives its path and that of the workload.
fn files(bytes: &[u8]) -> (PathBuf, PathBuf) {
    DIRECTORY.with(|directory| {
        let directory = directory.get_or_init(|| tempfile::tempdir().expect("a temporary directory")).path();
        let input = directory.join("input");
        std::fs::write(&input, bytes).expect("a temporary file");
        (input, directory.join("out.jsonl"))
    })
}

/// What a capture wrote is whole.
fn read(workload: PathBuf) {
    let mut reader = Reader::open(&workload).expect("a workload");
    while reader.next_record().expect("a workload that is whole").is_some() {}
}

pub fn fuzz_log(bytes: &[u8]) {
    let (input, output) = files(bytes);
    let options = CaptureOptions {
        inputs: vec![input],
        output: output.clone(),
        format: LogFormat::Auto,
        prefix: None,
        tenant_rules: Rules::default(),
        tenants: None,
    };
    match log::capture(&options, |_| {}) {
        Ok(report) => drop((report.to_string(), read(output))),
        Err(error) => drop(error.to_string()),
    }
}

pub fn fuzz_pcap(bytes: &[u8]) {
    let (input, output) = files(bytes);
    let options = pcap::PcapOptions {
        inputs: vec![input],
        output: output.clone(),
        ports: Vec::new(),
        tenant_rules: Rules::default(),
        tenants: None,
    };
    match pcap::capture(&options, |_| {}) {
        Ok(report) => drop((report.to_string(), read(output))),
        Err(error) => drop(error.to_string()),
    }
}

/// The input is the entries of a batch that is whole, since a CRC would let no other through; a second batch is torn.
pub fn fuzz_journal(bytes: &[u8]) {
    let length = u32::try_from(bytes.len()).expect("inputs are short").to_le_bytes();
    let crc = crc32fast::hash(bytes).to_le_bytes();
    let head = b"pgrh-journal\x01\0\0\0\x01\0\0\0x";
    let (journal, output) = files(&[&head[..], &length, &crc, &length, bytes, &length, b"torn"].concat());
    assert!(is_journal(&journal).expect("a journal"));
    let options = JournalOptions { journal, output: output.clone(), tenant_rules: Rules::default(), tenants: None };
    match decode(&options, 0, &AtomicBool::new(false)) {
        Ok(decoded) => drop((decoded.report.to_string(), read(output))),
        Err(error) => drop(error.to_string()),
    }
}
