//! `capture pcap` as it is typed: what it reads, what it refuses, and what it says then.

use std::io::Write;
use std::path::Path;
use std::process::Stdio;

use crate::bench::{Ran, program, ran};
use crate::pcap_file::{Dialogue, Endian, Link, pcap};

/// One session that asks one question.
fn one_question() -> Vec<u8> {
    let mut dialogue = Dialogue::open(5432, 1_700_000_000_000_000);
    dialogue.client(b"\0\0\0\x12\0\x03\0\0user\0app\0\0");
    dialogue.server(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
    dialogue.client(b"Q\0\0\0\x0dSELECT 1\0").server(b"C\0\0\0\x0dSELECT 1\0Z\0\0\0\x05I");
    dialogue.close();
    pcap(Link::Ethernet, Endian::Little, false, &dialogue.ipv4())
}

fn capture(directory: &Path, arguments: &[&str]) -> Ran {
    let output = program().current_dir(directory).args(["capture", "pcap"]).args(arguments).output().unwrap();
    ran(output, directory.to_owned())
}

/// What is said of an input that is refused, in an exit with 2 and without an output.
fn refusal(directory: &Path, arguments: &[&str]) -> String {
    let refused = capture(directory, arguments);
    assert_eq!((refused.code, refused.stdout.as_str()), (2, ""), "{arguments:?}");
    assert!(!directory.join("out.jsonl").exists(), "{arguments:?}");
    refused.stderr
}

#[test]
fn standard_input_is_read_also_compressed() {
    let directory = tempfile::tempdir().unwrap();
    for input in [one_question(), zstd::encode_all(&one_question()[..], 3).unwrap()] {
        let mut command = program();
        command.current_dir(directory.path()).args(["capture", "pcap", "-", "-o", "out.jsonl"]);
        let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
        child.stdin.take().unwrap().write_all(&input).unwrap();
        let captured = ran(child.wait_with_output().unwrap(), directory.path().to_owned());
        assert_eq!(captured.code, 0);
        assert!(captured.stdout.contains("executions  1 in"), "{}", captured.stdout);
        assert!(std::fs::read_to_string(directory.path().join("out.jsonl")).unwrap().contains("\"file\":\"stdin\""));
    }
}

#[test]
fn files_that_are_no_network_capture_are_told_by_what_they_look_like() {
    let directory = tempfile::tempdir().unwrap();
    let hint = "hint: give pcap or pcapng files, as tcpdump -w writes them, also compressed by gzip, bzip2 or zstd\n";
    for (content, kind) in [
        (&b""[..], "an empty file"),
        (b"2024-01-01 00:00:00.000 UTC [7] LOG:  statement: SELECT 1\n", "a server log, which is for capture log"),
        (b"snoop\0\0\0\0\0\0\x02", "a capture of snoop, which editcap turns into pcap"),
        (b"PK\x03\x04", "a zip archive"),
        (b"{\"kind\":\"header\",\"version\":1}\n", "a workload, which is captured already"),
        (b"\0\x01\x02\x03\x04", "binary data"),
        (b"hello\n", "text"),
    ] {
        std::fs::write(directory.path().join("in"), content).unwrap();
        let said = refusal(directory.path(), &["in", "-o", "out.jsonl"]);
        assert_eq!(said, format!("error: \"in\" is no network capture: it looks like {kind}\n{hint}"));
    }
}

#[test]
fn what_can_never_be_written_is_said_before_anything_is_read() {
    let directory = tempfile::tempdir().unwrap();
    std::fs::write(directory.path().join("in.pcap"), one_question()).unwrap();
    std::fs::copy(directory.path().join("in.pcap"), directory.path().join("same.pcap")).unwrap();
    for (arguments, said) in [
        (&["in.pcap", "-o", "in.pcap"][..], "error: the output would overwrite its own input \"in.pcap\"\n"),
        (&["in.pcap", "-o", "nowhere/out.jsonl"], "error: could not create \"nowhere/out.jsonl\": No such file"),
        (&["in.pcap", "-o", "."], "error: could not create \".\": "),
        (&["in.pcap", "in.pcap", "-o", "out.jsonl"], "error: \"in.pcap\" and \"in.pcap\" begin with the same content"),
        (&["in.pcap", "same.pcap", "-o", "out.jsonl"], "begin with the same content\nhint: give each file once"),
        (&["gone.pcap", "-o", "out.jsonl"], "error: could not open \"gone.pcap\": No such file"),
    ] {
        let text = refusal(directory.path(), arguments);
        assert!(text.contains(said), "{arguments:?}: {text}");
    }
    assert_eq!(std::fs::read(directory.path().join("in.pcap")).unwrap(), one_question());
}

#[test]
fn packets_without_a_statement_say_what_to_do() {
    let directory = tempfile::tempdir().unwrap();
    let mut encrypted = Dialogue::open(5432, 1_700_000_000_000_000);
    encrypted.client(b"\0\0\0\x08\x04\xd2\x16\x2f").server(b"S").client(&[0x16; 50]);
    let mut idle = Dialogue::open(5432, 1_700_000_000_000_000);
    idle.client(b"\0\0\0\x12\0\x03\0\0user\0app\0\0").server(b"R\0\0\0\x08\0\0\0\0Z\0\0\0\x05I");
    let mut other = Dialogue::open(80, 1_700_000_000_000_000);
    other.client(b"GET / HTTP/1.1\r\n\r\n");
    for (dialogue, hint) in [
        (encrypted, "hint: capture where the traffic is not encrypted, or use capture proxy"),
        (idle, "hint: there are connections of PostgreSQL, but no whole request"),
        (other, "hint: capture where the clients' packets pass"),
    ] {
        let file = pcap(Link::Ethernet, Endian::Little, false, &dialogue.ipv4());
        std::fs::write(directory.path().join("in.pcap"), file).unwrap();
        let said = refusal(directory.path(), &["in.pcap", "-o", "out.jsonl"]);
        assert!(said.starts_with("error: no PostgreSQL statement found in ") && said.contains(hint), "{said}");
    }
}
