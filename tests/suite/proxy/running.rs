//! A proxy for one test: started, awaited by what it says, and ended by a signal. Killed when dropped.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Output, Stdio};
use std::sync::mpsc::channel;
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use pgrehearse::workload::Reader;
use pgrehearse::workload::record::{End, Record};
use rustix::process::{Pid, Signal, kill_process};

use crate::bench::{Ran, program, ran};

/// For everything that a test waits for.
const DEADLINE: Duration = Duration::from_secs(60);

pub struct Proxy {
    child: Option<Child>,
    /// The port that it listens on.
    pub port: u16,
    pub output: PathBuf,
    said: Arc<Said>,
    listener: Option<JoinHandle<()>>,
}

/// What a proxy has said on stderr so far.
#[derive(Default)]
struct Said {
    text: Mutex<String>,
    changed: Condvar,
}

impl Proxy {
    /// A proxy on a port of the system's choice, up and listening.
    pub fn start(upstream: &str, output: &Path, arguments: &[&str]) -> Self {
        let mut proxy = Self::spawn("127.0.0.1:0", upstream, output, arguments);
        proxy.port = proxy.await_said("listening on ", |line| {
            line.split("listening on 127.0.0.1:").nth(1)?.split(',').next()?.parse().ok()
        });
        proxy
    }

    /// A proxy that may end by itself.
    pub fn spawn(listen: &str, upstream: &str, output: &Path, arguments: &[&str]) -> Self {
        let mut command = program();
        command
            .args(["capture", "proxy", "--listen", listen, "--upstream", upstream, "-o"])
            .arg(output)
            .args(arguments);
        Self::spawn_command(command, output)
    }

    fn spawn_command(mut command: Command, output: &Path) -> Self {
        let mut child = command.stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
        let said = Arc::<Said>::default();
        let (stderr, heard) = (child.stderr.take().unwrap(), Arc::clone(&said));
        let listener = std::thread::spawn(move || listen(stderr, &heard));
        Self { child: Some(child), port: 0, output: output.to_owned(), said, listener: Some(listener) }
    }

    /// Waits until it says a line with this, and gives what is read out of that line.
    pub fn await_said<T>(&self, wanted: &str, read: impl Fn(&str) -> Option<T>) -> T {
        let found = |said: &str| said.lines().find(|line| line.contains(wanted)).and_then(&read);
        let text = self.said.text.lock().unwrap();
        let is_missing = |text: &mut String| found(text).is_none();
        let (text, _) = self.said.changed.wait_timeout_while(text, DEADLINE, is_missing).unwrap();
        found(&text).unwrap_or_else(|| panic!("waited in vain for {wanted:?}, heard: {text}"))
    }

    /// Everything on stderr so far.
    pub fn said(&self) -> String {
        self.said.text.lock().unwrap().clone()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(self.child.as_ref().unwrap())
    }

    pub fn journal(&self) -> PathBuf {
        PathBuf::from(format!("{}.journal", self.output.display()))
    }

    /// Waits until the journal holds these bytes.
    pub fn await_recorded(&self, bytes: &[u8]) {
        let journal = self.journal();
        await_value(&format!("{:?} in the journal", String::from_utf8_lossy(bytes)), || {
            let recorded = std::fs::read(&journal).unwrap_or_default();
            memchr::memmem::find(&recorded, bytes).map(|_| ())
        });
    }

    pub fn send(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    /// Sends the signal, if any, and waits for the end.
    pub fn end(mut self, signal: Option<Signal>) -> Ran {
        if let Some(signal) = signal {
            self.send(signal);
        }
        let ended = await_end(self.child.take().unwrap());
        self.listener.take().unwrap().join().unwrap();
        let mut ended = ran(ended, self.output.clone());
        ended.stderr = self.said();
        ended
    }

    /// Ends it in good order and gives the report.
    pub fn finish(self) -> String {
        let ended = self.end(Some(Signal::INT));
        assert_eq!(ended.code, 0, "{}\n{}", ended.stdout, ended.stderr);
        ended.stdout
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if let Some(child) = &mut self.child {
            let _ = child.kill();
            let _ = child.wait();
        }
    }
}

fn listen(stderr: ChildStderr, said: &Said) {
    for line in BufReader::new(stderr).lines().map_while(Result::ok) {
        let mut text = said.text.lock().unwrap();
        text.push_str(&line);
        text.push('\n');
        said.changed.notify_all();
    }
}

/// Waits until the process has ended; one that does not is killed, and that is a failure.
pub fn await_end(child: Child) -> Output {
    let pid = Pid::from_child(&child);
    let (tell, told) = channel();
    let waiting = std::thread::spawn(move || tell.send(child.wait_with_output()));
    let ended = told.recv_timeout(DEADLINE).unwrap_or_else(|_| {
        // Nobody has waited for it yet, so the id is still its own.
        let _ = kill_process(pid, Signal::KILL);
        panic!("waited in vain for the end of process {pid:?}")
    });
    waiting.join().unwrap().unwrap();
    ended.unwrap()
}

/// Looks again and again until there is a value: for files and other processes' states, which tell nobody that they changed.
pub fn await_value<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let started = Instant::now();
    loop {
        if let Some(value) = look() {
            return value;
        }
        assert!(started.elapsed() < DEADLINE, "waited in vain for {what}");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// All records of a workload, and its end.
pub fn records(path: &Path) -> (Vec<Record>, End) {
    let (mut records, mut end) = (Vec::new(), None);
    for record in Reader::open(path).unwrap() {
        match record.unwrap().1 {
            Record::End(found) => end = Some(found),
            record => records.push(record),
        }
    }
    (records, end.unwrap())
}
