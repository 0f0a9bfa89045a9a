//! What a file is that is no server log.
//!
//! Takes its first bytes, decompressed, and gives what it looks like and what to do. Must not know how files are opened.

/// What a capture of logs reads.
const READS: &str = "capture log reads csvlog, jsonlog, stderr and syslog logs of PostgreSQL 10 to 18, also compressed by \
                     gzip, bzip2 or zstd";

/// What the bytes look like, and what to do.
pub fn of(head: &[u8]) -> (&'static str, &'static str) {
    let contains = |needle: &[u8]| memchr::memmem::find(head, needle).is_some();
    let any = |needles: &[&[u8]]| needles.iter().any(|needle| contains(needle));
    match head {
        [0xd4, 0xc3, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0xc3, 0xd4, ..]
        | [0x4d, 0x3c, 0xb2, 0xa1, ..]
        | [0xa1, 0xb2, 0x3c, 0x4d, ..]
        | [0x0a, 0x0d, 0x0d, 0x0a, ..] => ("a network capture (pcap)", "give it to capture pcap"),
        [0xfd, b'7', b'z', b'X', b'Z', ..] => {
            ("xz-compressed data", "decompress it first: xz -dc FILE | pgrehearse capture log - ...")
        }
        [b'P', b'K', 3, 4, ..] => ("a zip archive", "unpack it first, and give the log files in it"),
        _ if head.get(257..262) == Some(b"ustar") => ("a tar archive", "unpack it first, and give the log files in it"),
        [0x7f, b'E', b'L', b'F', ..] => ("a program", READS),
        [b'P', b'G', b'D', b'M', b'P', ..] => ("a dump by pg_dump", READS),
        _ if contains(b"\"kind\":\"header\"") => {
            ("a workload", "it is captured already: give it to a scenario, or to pgrehearse workload info")
        }
        _ if any(&[b"pgbouncer", b" LOG C-0x", b" LOG S-0x", b" LOG stats: "]) => {
            ("a log of pgbouncer", "pgbouncer logs no statements: give the log of the PostgreSQL server behind it")
        }
        _ if any(&[b"mysqld", b"MySQL", b"[InnoDB]", b"InnoDB:", b"# Query_time:"]) => ("a log of MySQL", READS),
        _ if memchr::memchr(0, head).is_some() => ("binary data", READS),
        _ if any(&[b"PostgreSQL database dump", b"CREATE TABLE ", b"INSERT INTO "]) => ("SQL text", READS),
        [b'{' | b'[', ..] => ("JSON that no PostgreSQL server wrote", READS),
        _ if any(&[b" HTTP/1.", b" HTTP/2"]) => ("a log of a web server", READS),
        _ => ("other text", READS),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn other_files_are_told_by_their_first_bytes() {
        for (head, kind) in [
            (b"\xd4\xc3\xb2\xa1\x02\0".as_slice(), "a network capture (pcap)"),
            (b"{\"kind\":\"header\",\"version\":1}", "a workload"),
            (
                b"2018-09-12 16:08:54.775 3392 LOG listening on 1\n2018 3392 LOG C-0x56: a/b@1:2 login",
                "a log of pgbouncer",
            ),
            (b"2026-11-22T15:09:15.1Z 0 [System] [MY-010116] [Server] mysqld (mysqld 8.0)", "a log of MySQL"),
            (b"\0\x01\x02", "binary data"),
            (b"{\"a\":1}", "JSON that no PostgreSQL server wrote"),
            (b"id,name\n1,x\n", "other text"),
        ] {
            assert_eq!(super::of(head).0, kind);
        }
    }
}
