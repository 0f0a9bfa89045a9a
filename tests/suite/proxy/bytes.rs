//! Whatever is said, and however it is split, arrives as it was said.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};

use rustix::process::Signal;

use super::running::Proxy;

/// Numbers that look random and are the same every time.
struct Noise(u64);

impl Noise {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        self.0 >> 33
    }

    fn bytes(&mut self, count: usize) -> Vec<u8> {
        (0..count).map(|_| self.next() as u8).collect()
    }
}

/// Writes all of it in pieces of many sizes, then ends this direction.
fn say(mut stream: &TcpStream, bytes: &[u8], noise: &mut Noise) {
    let mut rest = bytes;
    while !rest.is_empty() {
        let longest = if noise.next().is_multiple_of(4) { 200_000 } else { 300 };
        let (piece, behind) = rest.split_at((noise.next() as usize % longest + 1).min(rest.len()));
        stream.write_all(piece).unwrap();
        rest = behind;
    }
    stream.shutdown(Shutdown::Write).unwrap();
}

fn hear(mut stream: &TcpStream) -> Vec<u8> {
    let mut heard = Vec::new();
    stream.read_to_end(&mut heard).unwrap();
    heard
}

#[test]
fn both_directions_pass_untouched_and_end_one_by_one() {
    let (question, answer) = (Noise(1).bytes(3_000_000), Noise(2).bytes(5_000_000));
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let upstream = listener.local_addr().unwrap().to_string();
    let wanted = answer.clone();
    let server = std::thread::spawn(move || {
        // The proxy's look at whether the server is there, which says nothing.
        assert!(hear(&listener.accept().unwrap().0).is_empty());
        let (stream, _) = listener.accept().unwrap();
        let both = std::thread::scope(|scope| {
            let hearing = scope.spawn(|| hear(&stream));
            say(&stream, &answer, &mut Noise(3));
            hearing.join().unwrap()
        });
        // A direction that has ended leaves the other as it is.
        let (stream, _) = listener.accept().unwrap();
        let before = hear(&stream);
        say(&stream, &answer, &mut Noise(4));
        [both, before]
    });
    let directory = tempfile::tempdir().unwrap();
    let proxy = Proxy::start(&upstream, &directory.path().join("out.jsonl"), &[]);
    let client = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    std::thread::scope(|scope| {
        let hearing = scope.spawn(|| hear(&client));
        say(&client, &question, &mut Noise(5));
        assert!(hearing.join().unwrap() == wanted, "the server's bytes, both at a time");
    });
    let client = TcpStream::connect(("127.0.0.1", proxy.port)).unwrap();
    say(&client, &question, &mut Noise(6));
    assert!(hear(&client) == wanted, "the server's bytes, after the client ended its direction");
    let [both, before] = server.join().unwrap();
    assert!(both == question, "the client's bytes, both at a time");
    assert!(before == question, "the client's bytes before the answer");
    let ended = proxy.end(Some(Signal::INT));
    assert_eq!(ended.code, 2, "noise is no traffic: {}", ended.stderr);
    assert!(ended.stderr.contains("error: no statement was relayed on 2 connections"), "{}", ended.stderr);
}
