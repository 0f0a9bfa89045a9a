//! What a capture of packets gave: its report, and what stands in its workload.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use pgrehearse::capture::pcap::{PcapOptions, capture};
use pgrehearse::capture::{CaptureError, CaptureReport};
use pgrehearse::tenant::Rules;
use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{CopyData, Open, Outcome, Record, Request};

/// What was captured.
pub struct Captured {
    pub report: CaptureReport,
    pub sessions: Vec<Open>,
    /// Each request's texts with its results.
    pub executed: Vec<(String, Vec<Outcome>)>,
    pub requests: Vec<Request>,
    pub copies: Vec<CopyData>,
    /// The workload as it is stored.
    pub stored: String,
}

impl Captured {
    /// Captures files with tenants by these rules, with commas between them.
    pub fn of(inputs: &[PathBuf], rules: &str) -> Result<Self, CaptureError> {
        let directory = tempfile::tempdir().unwrap();
        let output = directory.path().join("out.jsonl");
        let options = PcapOptions {
            inputs: inputs.to_vec(),
            output: output.clone(),
            ports: Vec::new(),
            tenant_rules: Rules::parse(rules.split(',')).unwrap(),
            tenants: None,
        };
        let report = capture(&options, |_| {})?;
        let mut captured = Self {
            report,
            sessions: Vec::new(),
            executed: Vec::new(),
            requests: Vec::new(),
            copies: Vec::new(),
            stored: std::fs::read_to_string(&output).unwrap(),
        };
        let mut reader = Reader::open(&output).unwrap();
        while let Some((_, record)) = reader.next_record().unwrap() {
            match record {
                Record::Open(open) => captured.sessions.push(open),
                Record::Copy(copy) => captured.copies.push(copy),
                Record::Request(request) => {
                    let text = |sql| reader.statement(sql).unwrap().text.text().into_owned();
                    let texts: Vec<_> = request.sent.executed().map(text).collect();
                    captured.executed.push((texts.join("; "), request.results.clone()));
                    captured.requests.push(request);
                }
                _ => {}
            }
        }
        Ok(captured)
    }

    /// Captures one file.
    pub fn of_file(file: &Path) -> Result<Self, CaptureError> {
        Self::of(&[file.to_owned()], "database")
    }

    /// Captures the bytes of a file.
    pub fn of_bytes(bytes: &[u8]) -> Result<Self, CaptureError> {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), bytes).unwrap();
        Self::of_file(file.path())
    }

    /// The texts of its requests.
    pub fn texts(&self) -> Vec<&str> {
        self.executed.iter().map(|(text, _)| text.as_str()).collect()
    }

    /// What was skipped: how often, and the number of the first packet.
    pub fn skipped(&self) -> BTreeMap<&str, (u64, u64)> {
        let skipped = self.report.skipped.iter();
        skipped.map(|(reason, skipped)| (reason.as_str(), (skipped.count, skipped.first.1))).collect()
    }
}
