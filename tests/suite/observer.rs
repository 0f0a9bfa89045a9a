//! An independent observer of a server: what warm clients saw that ask every 10 ms, in pairs of one that reads and one
//! that writes.
//!
//! Takes where the server is and how long a statement or a login may take; gives each pair's outages by the README's
//! definition of downtime, and how far a report is from them. A late answer is waited for. Each client has one connection
//! and a thread of its own and speaks the protocol itself, so that it shares nothing with the program under test. It logs
//! in as `app`, without a password, and needs the table `observed`.
//!
//! After a restart every client waits for a login of its own. On a busy host one login takes a tenth of a second longer
//! than the next, and whose, is left to chance: two observers differ by that, and so do an observer and the program. Hence
//! there are two pairs, whose spread counts as seen, and outages that end in logins are compared three times.

use std::io::{self, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use serde_json::Value;

use crate::bench::number;

/// Between two statements of a client.
const INTERVAL: Duration = Duration::from_millis(10);

/// How long a client waits for an answer that is late already, as the program's do by default.
const ABANDON: Duration = Duration::from_secs(30);

/// Successive good attempts that end an outage.
const GOOD_TO_END: usize = 3;

const USER: &str = "app";
const READ: &str = "SELECT count(*) FROM pg_database";
/// A row of a table that the bench has for this.
const WRITE: &str = "INSERT INTO observed DEFAULT VALUES";

/// How far a report may be from what was observed.
const TOLERANCE_MS: f64 = 50.0;
/// How far the worst of several outages may be: a login that had to wait for a processor, and never a part of an outage.
const WORST_MS: f64 = 1_000.0;

/// Clients of each class.
const PAIRS: u32 = 2;

/// A running observer of one database.
pub struct Observer {
    ending: Arc<AtomicBool>,
    pairs: Vec<[JoinHandle<Vec<Attempt>>; 2]>,
}

/// What was asked or how a login was tried, and what became of it; times since the observer's start.
#[derive(Clone, Copy, Debug)]
struct Attempt {
    due: Duration,
    done: Duration,
    ended: Ended,
}

#[derive(Clone, Copy, Debug, PartialEq)]
enum Ended {
    Good,
    Late,
    Failed,
}

/// A stretch between two successes in which everything failed.
#[derive(Clone, Copy, Debug)]
struct Outage {
    started: Duration,
    ended: Duration,
}

/// What the pairs saw.
#[derive(Debug)]
pub struct Observed {
    /// The outages of each pair, reads and writes together, in order of their starts.
    pairs: Vec<Vec<Outage>>,
}

impl Observer {
    /// Watches a database that may not be there yet: nothing counts before the first success.
    pub fn start(at: SocketAddr, database: &'static str, timeout: Duration) -> Self {
        let (ending, began) = (Arc::new(AtomicBool::new(false)), Instant::now());
        let watch = |sql, pair| {
            let (ending, first_due) = (Arc::clone(&ending), began + INTERVAL * pair / PAIRS);
            std::thread::spawn(move || watch(at, database, timeout, sql, (began, first_due), &ending))
        };
        let pairs = (0..PAIRS).map(|pair| [watch(READ, pair), watch(WRITE, pair)]).collect();
        Self { ending, pairs }
    }

    /// Ends all clients.
    pub fn finish(self) -> Observed {
        self.ending.store(true, Ordering::Relaxed);
        let both = |clients: [JoinHandle<Vec<Attempt>>; 2]| {
            let mut found: Vec<_> = clients.into_iter().flat_map(|client| outages(&client.join().unwrap())).collect();
            found.sort_by_key(|outage| outage.started);
            found
        };
        Observed { pairs: self.pairs.into_iter().map(both).collect() }
    }
}

impl Observed {
    /// Milliseconds for which reads or writes were down in all, as the pair that saw least and the one that saw most say.
    pub fn downtime_ms(&self) -> (f64, f64) {
        let all = self.pairs.iter().map(|outages| lengths_ms(outages).iter().sum::<f64>());
        all.fold((f64::MAX, f64::MIN), |(least, most), ms| (least.min(ms), most.max(ms)))
    }

    /// By how many milliseconds each outage of a tenant in a report is shorter than the shortest or longer than the
    /// longest that a pair saw of it; 0 in between. In order of their starts.
    ///
    /// # Panics
    /// When the report has more outages or fewer.
    fn differences_ms(&self, tenant: &Value) -> Vec<f64> {
        let seen: Vec<_> = self.pairs.iter().map(|outages| lengths_ms(outages)).collect();
        let reported = lengths_ms(&reported(tenant));
        let is_equal = seen.iter().all(|lengths_ms| lengths_ms.len() == reported.len());
        assert!(is_equal, "observed {seen:?} ms, reported {reported:?} ms: {tenant}");
        let difference = |(at, &reported_ms): (usize, &f64)| {
            let least_ms = seen.iter().map(|lengths_ms| lengths_ms[at]).fold(f64::MAX, f64::min);
            let most_ms = seen.iter().map(|lengths_ms| lengths_ms[at]).fold(f64::MIN, f64::max);
            (least_ms - reported_ms).max(reported_ms - most_ms).max(0.0)
        };
        reported.iter().enumerate().map(difference).collect()
    }

    /// A report's outages of a tenant, `outages` of them, are as long as observed: within 50 ms, in the median, and
    /// none far from it.
    ///
    /// # Panics
    /// When they are not.
    pub fn assert_agrees(&self, tenant: &Value, outages: usize) {
        let mut differences_ms = self.differences_ms(tenant);
        assert_eq!(differences_ms.len(), outages, "observed {:?}, reported {tenant}", self.pairs);
        differences_ms.sort_by(f64::total_cmp);
        let agrees = differences_ms[outages / 2] <= TOLERANCE_MS && differences_ms[outages - 1] <= WORST_MS;
        assert!(agrees, "{differences_ms:?} ms apart: observed {:?}, reported {tenant}", self.pairs);
    }
}

/// The windows of both classes of a tenant in a report, in order of their starts.
fn reported(tenant: &Value) -> Vec<Outage> {
    let windows = ["read", "write"].iter().flat_map(|class| tenant[class]["windows"].as_array().unwrap());
    let at = |window: &Value, key: &str| Duration::from_secs_f64(number(window, key) / 1e3);
    let outage = |window: &Value| Outage { started: at(window, "started_ms"), ended: at(window, "ended_ms") };
    let mut outages: Vec<_> = windows.map(outage).collect();
    outages.sort_by_key(|outage| outage.started);
    outages
}

/// How long each stretch lasts that outages in order of their starts cover together.
fn lengths_ms(outages: &[Outage]) -> Vec<f64> {
    let mut covered: Vec<Outage> = Vec::new();
    for outage in outages {
        match covered.last_mut() {
            Some(last) if outage.started <= last.ended => last.ended = last.ended.max(outage.ended),
            _ => covered.push(*outage),
        }
    }
    covered.iter().map(|outage| (outage.ended - outage.started).as_secs_f64() * 1e3).collect()
}

/// One client, until it is told to end.
fn watch(
    at: SocketAddr,
    database: &str,
    timeout: Duration,
    sql: &str,
    (began, first_due): (Instant, Instant),
    ending: &AtomicBool,
) -> Vec<Attempt> {
    let (mut attempts, mut client, mut due) = (Vec::new(), None::<Client>, first_due);
    while !ending.load(Ordering::Relaxed) {
        // A login that went well has served nobody yet, so the statement goes out on it at once.
        let logged_in = client.take().map_or_else(|| Client::log_in(at, database, timeout), Ok);
        let answered = logged_in.and_then(|mut client| Ok((client.ask(sql)? <= timeout, client)));
        let done = Instant::now();
        let ended = match answered {
            Ok((true, _)) => Ended::Good,
            Ok((false, _)) => Ended::Late,
            Err(_) => Ended::Failed,
        };
        client = answered.ok().map(|(_, client)| client);
        attempts.push(Attempt { due: due - began, done: done - began, ended });
        // Ticks that pass while an answer is awaited are left out: they are not the next one's lateness.
        while due <= done {
            due += INTERVAL;
        }
        std::thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    attempts
}

/// The outages in one client's attempts, which never overlap. One that no answer ended is left out: it is the server's
/// own end.
fn outages(attempts: &[Attempt]) -> Vec<Outage> {
    let (mut found, mut at) = (Vec::new(), 0);
    let is_good = |attempt: &Attempt| attempt.ended == Ended::Good;
    let is_over = |run: &[Attempt]| run.iter().all(is_good);
    while let Some(good) = attempts[at..].iter().position(is_good).map(|ahead| at + ahead)
        && let Some(first) = attempts[good..].iter().position(|attempt| !is_good(attempt)).map(|ahead| good + ahead)
        && let Some(next) = attempts[first..].windows(GOOD_TO_END).position(is_over).map(|ahead| first + ahead)
    {
        // A late answer is an answer.
        let answered = if attempts[next - 1].ended == Ended::Late { next - 1 } else { next };
        found.push(Outage {
            started: attempts[first].due.max(attempts[first - 1].done),
            ended: attempts[answered].done,
        });
        at = next;
    }
    found
}

/// A connection that waits for its next statement.
struct Client {
    stream: TcpStream,
}

impl Client {
    fn log_in(at: SocketAddr, database: &str, timeout: Duration) -> io::Result<Self> {
        let deadline = Instant::now() + timeout;
        let mut client = Self { stream: TcpStream::connect_timeout(&at, timeout)? };
        client.stream.set_nodelay(true)?;
        let parameters = format!("user\0{USER}\0database\0{database}\0\0");
        let mut startup = 196_608_u32.to_be_bytes().to_vec();
        startup.extend_from_slice(parameters.as_bytes());
        client.send(&[], &startup)?;
        client.until_ready(deadline)?;
        Ok(client)
    }

    /// One statement by the simple protocol, and how long its answer took.
    fn ask(&mut self, sql: &str) -> io::Result<Duration> {
        let sent = Instant::now();
        self.send(b"Q", format!("{sql}\0").as_bytes())?;
        self.until_ready(sent + ABANDON)?;
        Ok(sent.elapsed())
    }

    fn send(&mut self, kind: &[u8], body: &[u8]) -> io::Result<()> {
        let length = u32::try_from(body.len() + 4).unwrap().to_be_bytes();
        self.stream.write_all(&[kind, &length, body].concat())
    }

    /// Reads on to ReadyForQuery.
    fn until_ready(&mut self, deadline: Instant) -> io::Result<()> {
        loop {
            let mut header = [0; 5];
            self.read(&mut header, deadline)?;
            let length = u32::from_be_bytes([header[1], header[2], header[3], header[4]]) as usize;
            let mut body = vec![0; length.saturating_sub(4)];
            self.read(&mut body, deadline)?;
            match header[0] {
                b'Z' => return Ok(()),
                b'E' => return Err(io::Error::other(String::from_utf8_lossy(&body).into_owned())),
                _ => {}
            }
        }
    }

    fn read(&self, mut into: &mut [u8], deadline: Instant) -> io::Result<()> {
        while !into.is_empty() {
            let left = deadline.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(io::ErrorKind::TimedOut.into());
            }
            self.stream.set_read_timeout(Some(left))?;
            match (&self.stream).read(into) {
                Ok(0) => return Err(io::ErrorKind::UnexpectedEof.into()),
                Ok(count) => into = &mut into[count..],
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }
}
