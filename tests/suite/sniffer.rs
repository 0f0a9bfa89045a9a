//! tcpdump beside a test: the packets of one port of the loopback interface, into a file.
//!
//! Gives none, and says so loudly, where packets cannot be captured; with `PGREHEARSE_REQUIRE_CLIENTS=1` that is a failure.

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::UdpSocket;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread::JoinHandle;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};

use crate::clients::without;

/// The last packet of a capture: it holds this, and is no TCP.
const LAST: &[u8] = b"pgrehearse: the last packet";

/// For tcpdump to begin, and to deliver what it captured.
const DEADLINE: Duration = Duration::from_secs(20);

/// A capture that is running.
pub struct Sniffer {
    tcpdump: Child,
    /// Copies packets from tcpdump's output to the file, and says when the last one has come.
    copier: JoinHandle<()>,
    last_came: Receiver<()>,
    stderr: BufReader<std::process::ChildStderr>,
    port: u16,
}

impl Sniffer {
    /// Captures until [`Sniffer::finish`].
    pub fn start(file: &Path, port: u16) -> Option<Self> {
        // Whole packets, each handed over as it comes, in a buffer that holds more than any test says.
        let mut command = Command::new("tcpdump");
        command.args(["-i", "lo", "-n", "-s", "0", "-B", "65536", "-U", "-w", "-", "port", &port.to_string()]);
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn();
        let mut tcpdump = spawned.map_err(|error| without("tcpdump", &error.to_string())).ok()?;
        let mut stderr = BufReader::new(tcpdump.stderr.take().unwrap());
        let mut said = String::new();
        while !said.contains("listening on") {
            if stderr.read_line(&mut said).unwrap() == 0 {
                tcpdump.wait().unwrap();
                without("packets of the loopback interface", said.trim());
                return None;
            }
        }
        let (say, last_came) = channel();
        let (packets, file) = (tcpdump.stdout.take().unwrap(), file.to_owned());
        let copier = std::thread::spawn(move || copy(packets, &file, || say.send(()).unwrap()));
        Some(Self { tcpdump, copier, last_came, stderr, port })
    }

    /// Ends the capture once every packet up to now is in the file; none may have been dropped.
    pub fn finish(mut self) {
        let socket = UdpSocket::bind("127.0.0.1:0").unwrap();
        socket.send_to(LAST, ("127.0.0.1", self.port)).unwrap();
        self.last_came.recv_timeout(DEADLINE).expect("tcpdump delivers what it captured in time");
        kill_process(Pid::from_child(&self.tcpdump), Signal::INT).unwrap();
        let mut said = String::new();
        self.stderr.read_to_string(&mut said).unwrap();
        self.copier.join().unwrap();
        assert!(self.tcpdump.wait().unwrap().success(), "{said}");
        assert!(said.lines().any(|line| line == "0 packets dropped by kernel"), "{said}");
    }
}

fn copy(mut packets: impl Read, file: &PathBuf, mut last_came: impl FnMut()) {
    let mut file = File::create(file).unwrap();
    let mut buffer = vec![0; 1 << 16];
    // The end of what was read before, for a mark that lies across two reads.
    let mut window = Vec::new();
    let mut came = false;
    loop {
        let read = packets.read(&mut buffer).unwrap();
        if read == 0 {
            return;
        }
        file.write_all(&buffer[..read]).unwrap();
        window.extend_from_slice(&buffer[..read]);
        if !came && memchr::memmem::find(&window, LAST).is_some() {
            came = true;
            last_came();
        }
        window.drain(..window.len().saturating_sub(LAST.len()));
    }
}
