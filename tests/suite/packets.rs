//! Captures of packets made for the purpose: how they were captured changes nothing, and what cannot be read is said.

use std::io::Write;
use std::net::SocketAddr;

use bytes::BytesMut;
use pgrehearse::capture::CaptureError;
use pgrehearse::pgwire::backend::TransactionStatus;
use pgrehearse::pgwire::{frontend, serve};
use proptest::prelude::*;

use crate::pcap_file::{Dialogue, Endian, Link, Packet, pcap, pcapng};
use crate::pcap_workload::Captured;

const BEGAN_US: i64 = 1_700_000_000_123_456;

fn message(write: impl FnOnce(&mut BytesMut)) -> Vec<u8> {
    let mut out = BytesMut::new();
    write(&mut out);
    out.to_vec()
}

fn query(sql: &str) -> Vec<u8> {
    message(|out| frontend::query(out, sql.as_bytes()).unwrap())
}

fn startup(parameters: &[(&str, &str)]) -> Vec<u8> {
    message(|out| frontend::startup(out, 3 << 16, parameters.iter().copied()).unwrap())
}

fn welcome() -> Vec<u8> {
    message(|out| {
        serve::authentication_ok(out);
        serve::parameter_status(out, "server_version", "16.14");
        serve::backend_key_data(out, 7, &[1, 2, 3, 4]);
        serve::ready_for_query(out, TransactionStatus::Idle);
    })
}

/// One row of this value.
fn answer(value: &[u8]) -> Vec<u8> {
    message(|out| {
        serve::row_description(out, &["a"]);
        serve::data_row(out, &[Some(value)]);
        serve::command_complete(out, "SELECT 1");
        serve::ready_for_query(out, TransactionStatus::Idle);
    })
}

/// A login with a password, and the start of a session.
fn login(port: u16) -> Dialogue {
    let mut dialogue = Dialogue::open(port, BEGAN_US);
    dialogue.client(&startup(&[("user", "app"), ("database", "shop"), ("options", "-c search_path=acme")]));
    dialogue.server(&message(|out| serve::authentication(out, 3, b"")));
    dialogue.client(&message(|out| frontend::password(out, b"geheim-42").unwrap()));
    dialogue.server(&welcome());
    dialogue
}

/// A session with four requests.
fn session(port: u16) -> Dialogue {
    let mut dialogue = login(port);
    for text in ["SELECT 1", "SELECT 'two'", "SELECT 3 -- three", "SELECT 4"] {
        dialogue.client(&query(text)).server(&answer(text.as_bytes()));
    }
    dialogue.client(&message(frontend::terminate));
    dialogue.close();
    dialogue
}

fn plain(dialogue: &Dialogue) -> Captured {
    captured(&dialogue.ipv4())
}

fn captured(packets: &[Packet]) -> Captured {
    Captured::of_bytes(&pcap(Link::Ethernet, Endian::Little, false, packets)).unwrap()
}

/// The workload without what names its source.
fn lines(captured: &Captured) -> Vec<&str> {
    captured.stored.lines().skip(1).collect()
}

#[test]
fn the_kind_of_file_and_of_link_changes_nothing() {
    let session = session(5432);
    let expected = plain(&session);
    assert_eq!(expected.texts(), ["SELECT 1", "SELECT 'two'", "SELECT 3 -- three", "SELECT 4"]);
    assert_eq!(expected.skipped().len(), 0, "{}", expected.report);
    for packets in [session.ipv4(), session.ipv6()] {
        for link in Link::ALL {
            for endian in [Endian::Little, Endian::Big] {
                for has_nanoseconds in [false, true] {
                    let captured = Captured::of_bytes(&pcap(link, endian, has_nanoseconds, &packets)).unwrap();
                    assert_eq!(lines(&captured), lines(&expected), "{link:?} {endian:?}");
                }
                let captured = Captured::of_bytes(&pcapng(&[link], endian, &packets)).unwrap();
                assert_eq!(lines(&captured), lines(&expected), "pcapng, {link:?} {endian:?}");
            }
        }
        let captured = Captured::of_bytes(&pcapng(&Link::ALL, Endian::Little, &packets)).unwrap();
        assert_eq!(lines(&captured), lines(&expected), "pcapng of many interfaces");
    }
}

#[test]
fn times_are_those_of_the_packets() {
    let captured = plain(&session(5432));
    assert!(captured.stored.starts_with(r#"{"kind":"header""#));
    let header = captured.stored.lines().next().unwrap();
    assert!(header.contains("2023-11-14T22:13:20.126456Z"), "{header}");
    // A millisecond from each question to its answer, two from question to question.
    let times: Vec<_> = captured.requests.iter().map(|request| request.t_us).collect();
    assert_eq!(times, [4_000, 6_000, 8_000, 10_000]);
    assert!(captured.executed.iter().all(|(_, results)| results[0].total_us == Some(1_000)));
}

#[test]
fn segments_of_any_size_change_nothing_on_any_port() {
    let session = session(5432);
    let expected = plain(&session).texts().join("\n");
    for port in [5432, 80, 65_000] {
        for size in [1, 2, 3, 7, 8, 100] {
            let mut session = self::session(port).in_segments(size);
            // Each byte has its packet, and packets of one moment stand in the order of their capture.
            session.client_port = 50_000;
            let captured = captured(&session.ipv4());
            assert_eq!(captured.texts().join("\n"), expected, "{port} {size}");
            assert_eq!(captured.skipped().len(), 0, "{port} {size}");
        }
    }
}

#[test]
fn fragments_are_put_together_and_a_missing_one_is_said() {
    let session = session(5432);
    let expected = plain(&session);
    for size in [24, 32, 1_000] {
        for mut packets in [session.ipv4_fragments(size), session.ipv6_fragments(size)] {
            let captured = self::captured(&packets);
            assert_eq!(captured.texts(), expected.texts(), "{size}");
            assert_eq!(captured.skipped().len(), 0, "{size}");
            packets.reverse();
            packets.sort_by_key(|packet| packet.time_us);
            let captured = self::captured(&packets);
            assert_eq!(captured.texts(), expected.texts(), "{size}, the last fragment first");
        }
    }
    let mut packets = session.ipv4_fragments(24);
    let lost = packets.iter().rposition(|packet| packet.bytes.ends_with(b"4\0")).unwrap();
    packets.remove(lost);
    let captured = self::captured(&packets);
    assert_eq!(captured.texts(), expected.texts()[..3]);
    let skipped = captured.skipped();
    assert_eq!(skipped["fragment of an IP packet of which others are missing"], (1, lost as u64));
    assert_eq!(skipped["bytes that the capture lost"].0, 14);
}

#[test]
fn a_packet_that_is_lost_is_said_with_its_place_and_costs_one_request() {
    let session = session(5432);
    let expected = plain(&session);
    let questions = session.segments.iter().enumerate().filter(|(_, said)| said.payload.starts_with(b"Q"));
    for (n, (at, said)) in questions.enumerate() {
        let mut lossy = session.clone();
        lossy.segments.remove(at);
        let captured = plain(&lossy);
        let mut texts = expected.texts();
        texts.remove(n);
        assert_eq!(captured.texts(), texts);
        // The packet that acknowledges it tells.
        let lost = captured.skipped()["bytes that the capture lost"];
        assert_eq!(lost, (said.payload.len() as u64, at as u64 + 1));
    }
    for at in session.segments.iter().enumerate().filter(|(_, said)| said.payload.starts_with(b"T")).map(|(at, _)| at) {
        let mut lossy = session.clone();
        let lost = lossy.segments.remove(at);
        let captured = plain(&lossy);
        assert_eq!(captured.texts(), expected.texts(), "the question was captured");
        assert_eq!(captured.skipped()["bytes that the capture lost"], (lost.payload.len() as u64, at as u64 + 1));
        let unanswered = captured.executed.iter().filter(|(_, results)| results.is_empty()).count();
        assert_eq!(unanswered, 1, "its answer was not, and no other answer was taken for it");
    }
}

#[test]
fn packets_that_were_cut_short_are_said() {
    let session = session(5432);
    let mut packets = session.ipv4();
    let at = session.segments.iter().position(|said| said.payload.ends_with(b"'two'\0")).unwrap();
    packets[at].cut_bytes = 5;
    let captured = captured(&packets);
    assert_eq!(captured.texts(), ["SELECT 1", "SELECT 3 -- three", "SELECT 4"]);
    assert_eq!(captured.skipped()["packet that is cut short (snapshot length)"], (1, at as u64 + 1));
    assert_eq!(captured.skipped()["bytes that the capture lost"].0, 5);
}

#[test]
fn a_capture_may_begin_anywhere_in_a_connection() {
    let session = session(5432);
    let expected = plain(&session);
    let first_question = session.segments.iter().position(|said| said.payload.starts_with(b"Q")).unwrap();
    for begins in first_question..session.segments.len() - 6 {
        let mut part = session.clone();
        part.segments.drain(..begins);
        for port in [5432, 15_432] {
            part.port = port;
            let captured = plain(&part);
            let left = 4 - (begins - first_question).div_ceil(2);
            assert_eq!(captured.texts(), expected.texts()[4 - left..], "from {begins} on port {port}");
            assert_eq!(captured.report.began_before_capture, 1);
        }
    }
}

#[test]
fn a_password_is_nowhere_in_the_workload() {
    let captured = plain(&session(5432));
    assert!(!captured.stored.contains("geheim"), "{}", captured.stored);
    // base64 of it, wherever in three bytes it begins
    for part in ["Z2VoZWlt", "dlaGVpb", "nZWhlaW"] {
        assert!(!captured.stored.contains(part), "{part}");
    }
}

#[test]
fn the_search_path_of_the_startup_makes_tenants() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), pcap(Link::Raw, Endian::Little, false, &session(5432).ipv4())).unwrap();
    let captured = Captured::of(&[file.path().to_owned()], "schema").unwrap();
    assert_eq!(captured.report.tenants.tenants, [("acme".to_owned(), 4)]);
}

#[test]
fn what_cannot_be_read_is_said() {
    let said = |opening: &[&[u8]], answer: &[u8]| {
        let mut dialogue = Dialogue::open(5432, BEGAN_US);
        for opening in opening {
            dialogue.client(opening);
        }
        dialogue.server(answer).client(&[0x17; 300]).server(&[0x17; 100]);
        dialogue.reset();
        let mut other = session(5432);
        other.client_port = 41_000;
        captured(&[dialogue.ipv4(), other.ipv4()].concat())
    };
    let ssl = message(frontend::ssl_request);
    let gss = [0, 0, 0, 8, 0x04, 0xd2, 0x16, 0x30];
    let hello = [&[0x16, 3, 1, 0, 20, 1, 0, 0, 16, 3, 3][..], b"\x0apostgresql..."].concat();
    let replication = startup(&[("user", "standby"), ("replication", "true")]);
    let protocol_2 = [&[0, 0, 1, 0x28, 0, 2, 0, 0][..], &[b'x'; 288]].concat();
    for (opening, answer, reason, count) in [
        (&[&ssl[..]][..], &b"S"[..], "bytes that are encrypted", 400),
        (&[&gss], b"G", "bytes that are encrypted", 400),
        (&[&hello[..9], &hello[9..]], b"\x16", "bytes that are encrypted", 426),
        (&[&replication], &welcome(), "bytes of replication", 400),
        (&[&protocol_2], b"R", "connection of a protocol before 3.0", 1),
    ] {
        let captured = said(opening, answer);
        assert_eq!(
            captured.skipped().get(reason).map(|(count, _)| *count),
            Some(count),
            "{reason}\n{}",
            captured.report
        );
        assert_eq!((captured.texts().len(), captured.sessions.len()), (4, 1), "{reason}");
    }
    let report = said(&[&ssl], b"S").report.to_string();
    let share = report.lines().find(|line| line.contains("encrypted bytes")).unwrap();
    assert!(share.ends_with("% of all that was said"), "{share}");
}

#[test]
fn encryption_is_told_where_a_capture_begins_within_it() {
    let mut encrypted = Dialogue::open(5432, BEGAN_US);
    let record = [&[0x17, 3, 3, 0, 95][..], &[9; 95]].concat();
    encrypted.client(&record).server(&record);
    encrypted.segments.drain(..3);
    encrypted.client_port = 41_000;
    let captured = captured(&[encrypted.ipv4(), session(5432).ipv4()].concat());
    assert_eq!(captured.skipped()["bytes that are encrypted"].0, 200);
    assert_eq!(captured.sessions.len(), 1);
}

#[test]
fn a_damaged_login_and_answer_leave_the_session_and_its_request() {
    let mut session = login(5432);
    let mut damaged = answer(b"1");
    damaged[0] = 0xff;
    session.client(&query("SELECT 1")).server(&damaged);
    let welcome = session.segments.iter_mut().find(|said| said.payload == welcome()).unwrap();
    welcome.payload[0] = 0xff;
    let captured = plain(&session);
    assert_eq!((captured.texts(), captured.sessions.len()), (vec!["SELECT 1"], 1));
    assert_eq!(captured.skipped()["place where one side is not PostgreSQL's protocol"].0, 1);
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn damaged_files_are_read_as_far_as_they_go(
        is_pcapng: bool,
        in_fragments: bool,
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..12),
        cut in any::<prop::sample::Index>(),
    ) {
        let session = session(5432);
        let packets = if in_fragments { session.ipv6_fragments(64) } else { session.ipv4() };
        let mut file = match is_pcapng {
            true => pcapng(&[Link::Ethernet], Endian::Little, &packets),
            false => pcap(Link::Ethernet, Endian::Little, false, &packets),
        };
        for (at, byte) in damage {
            let at = at.index(file.len());
            file[at] = byte;
        }
        file.truncate(file.len() - cut.index(file.len() / 4));
        match Captured::of_bytes(&file) {
            Ok(captured) => prop_assert_eq!(captured.report.executions() > 0, true),
            Err(CaptureError::NotNetworkCapture { .. } | CaptureError::NoConversation { .. }) => {}
            Err(other) => prop_assert!(false, "{other}"),
        }
    }
}

#[test]
fn what_is_no_postgresql_is_left_alone() {
    let mut http = Dialogue::open(8080, BEGAN_US);
    http.client(b"GET / HTTP/1.1\r\n\r\n").server(b"HTTP/1.1 200 OK\r\n\r\n");
    let mut mysql = Dialogue::open(3306, BEGAN_US);
    mysql.server(b"\x4a\0\0\0\x0a8.0.36\0").client(b"Q\0\0\0\x0dSELECT 1\0");
    http.client_port = 42_000;
    let only_others = pcap(Link::Ethernet, Endian::Little, false, &[http.ipv4(), mysql.ipv4()].concat());
    let Err(error) = Captured::of_bytes(&only_others) else { panic!("there is no statement") };
    let text = error.to_string();
    assert!(text.starts_with("no PostgreSQL statement found in 10 packets\ndetail: 0 sessions\nhint: "), "{text}");
}

#[test]
fn a_file_that_ends_too_early_gives_what_it_has() {
    let file = pcap(Link::Ethernet, Endian::Little, false, &session(5432).ipv4());
    let whole = Captured::of_bytes(&file).unwrap();
    for cut in [1, 5, 15, 17, 60] {
        let captured = Captured::of_bytes(&file[..file.len() - cut]).unwrap();
        assert_eq!(captured.texts(), whole.texts(), "{cut}");
        let last = captured.report.lines;
        let cut_short = ("rest of a file that is cut short or damaged", (1, last + 1));
        assert!(captured.skipped().contains_key(cut_short.0), "{cut}: {}", captured.report);
    }
    let with_newline = [&file[..], b"\n"].concat();
    let expected = [("bytes at the end of a file that are too few for a packet", (1, whole.report.lines + 1))];
    assert_eq!(Captured::of_bytes(&with_newline).unwrap().skipped().into_iter().collect::<Vec<_>>(), expected);
}

#[test]
fn files_are_read_in_the_order_of_their_time_and_decompressed() {
    let packets = session(5432).ipv4();
    let expected = captured(&packets);
    let directory = tempfile::tempdir().unwrap();
    let parts: Vec<_> = packets.chunks(packets.len() / 3).map(<[Packet]>::to_vec).collect();
    let stored = |part: usize| pcap(Link::Ethernet, Endian::Little, false, &parts[part]);
    let path = |name: &str| directory.path().join(name);
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
    gzip.write_all(&stored(0)).unwrap();
    std::fs::write(path("z.pcap.gz"), gzip.finish().unwrap()).unwrap();
    std::fs::write(path("y.pcap.zst"), zstd::encode_all(&stored(1)[..], 3).unwrap()).unwrap();
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::default());
    bzip2.write_all(&stored(2)).unwrap();
    std::fs::write(path("a.pcap.bz2"), bzip2.finish().unwrap()).unwrap();
    std::fs::write(path("b.pcap"), (3..parts.len()).flat_map(&stored).collect::<Vec<_>>()).unwrap();
    let mut inputs = ["a.pcap.bz2", "z.pcap.gz", "y.pcap.zst"].map(path).to_vec();
    if parts.len() > 3 {
        inputs.insert(0, path("b.pcap"));
    }
    let captured = Captured::of(&inputs, "database").unwrap();
    assert_eq!(captured.texts(), expected.texts());
    assert_eq!(captured.skipped().len(), 0);
    let names: Vec<_> = captured.report.sources.iter().map(|source| source.file.as_str()).collect();
    assert_eq!(names[..3], ["z.pcap.gz", "y.pcap.zst", "a.pcap.bz2"]);
    std::fs::copy(path("a.pcap.bz2"), path("c.pcap.bz2")).unwrap();
    inputs.push(path("c.pcap.bz2"));
    let Err(twice) = Captured::of(&inputs, "database") else { panic!("the same file was taken twice") };
    assert!(twice.to_string().contains("begin with the same content\nhint: give each file once"), "{twice}");
}

#[test]
fn addresses_of_both_versions_may_speak_at_once() {
    let (mut one, mut other) = (session(5432), session(5432));
    (one.client_port, other.client_port) = (40_001, 40_001);
    other.segments.iter_mut().for_each(|said| said.time_us += 500);
    let mut packets = [one.ipv4(), other.ipv6()].concat();
    packets.sort_by_key(|packet| packet.time_us);
    let captured = captured(&packets);
    assert_eq!((captured.texts().len(), captured.sessions.len()), (8, 2));
    let address: SocketAddr = "10.0.0.1:40001".parse().unwrap();
    assert!(!captured.stored.contains(&address.ip().to_string()), "addresses of clients are nobody's business");
}
