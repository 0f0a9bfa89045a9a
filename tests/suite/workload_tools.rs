//! The workload tools as they are typed, on the capture of the sample application: what each makes of it is sound, and is
//! what counting by hand gives.

use std::collections::{BTreeMap, BTreeSet};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::OnceLock;

use pgrehearse::workload::Reader;
use pgrehearse::workload::record::Record;
use serde_json::Value;

use crate::bench::program;

/// The whole capture.
fn capture() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("workloads/saas.jsonl.zst")
}

/// Its first twenty seconds: enough for everything but damage to one of several compressed frames.
fn sample() -> PathBuf {
    static CUT: OnceLock<tempfile::TempDir> = OnceLock::new();
    let made = CUT.get_or_init(|| {
        let dir = tempfile::tempdir().unwrap();
        let mut slice = program();
        slice.args(["workload", "slice", "--to", "20s"]).arg(capture()).arg("-o").arg(dir.path().join("sample.jsonl"));
        assert!(slice.output().unwrap().status.success());
        dir
    });
    made.path().join("sample.jsonl")
}

/// A directory in which the program is called.
struct Place {
    dir: tempfile::TempDir,
}

impl Place {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// What `workload` with these arguments prints; it must succeed and say nothing else.
    fn workload(&self, arguments: &[&str]) -> String {
        let output = program().arg("workload").args(arguments).current_dir(self.dir.path()).output().unwrap();
        let stderr = String::from_utf8(output.stderr).unwrap();
        assert_eq!((output.status.code(), stderr.as_str()), (Some(0), ""), "{arguments:?}");
        String::from_utf8(output.stdout).unwrap()
    }

    /// What `workload info --json` says of a file, which must be whole.
    fn info(&self, name: &str) -> Value {
        serde_json::from_str(&self.workload(&["info", name, "--json"])).unwrap()
    }

    /// Names of the files that are there.
    fn files(&self) -> Vec<String> {
        let entries = std::fs::read_dir(self.dir.path()).unwrap();
        let mut names: Vec<_> = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        names
    }
}

/// A request as the tools must keep it: when, of whom, what.
type Seen = (i64, String, String, Vec<String>);

/// What a workload holds, read without the tools.
#[derive(Default)]
struct Content {
    requests: Vec<Seen>,
    /// The moment, from the workload's own start, and the session of each request.
    placed: Vec<(u64, u32)>,
    sessions: BTreeSet<u32>,
    sources: usize,
}

fn content(path: &Path) -> Content {
    let mut reader = Reader::open(path).unwrap();
    let started: jiff::Timestamp = reader.header().started_at.parse().unwrap();
    let mut content = Content { sources: reader.header().sources.len(), ..Content::default() };
    let mut databases: BTreeMap<u32, String> = BTreeMap::new();
    while let Some((_, record)) = reader.next_record().unwrap() {
        match record {
            Record::Open(open) => {
                content.sessions.insert(open.session);
                databases.insert(open.session, open.database);
            }
            Record::Request(request) => {
                let texts = request.sent.executed().map(|sql| reader.statement(sql).unwrap().text.text().into_owned());
                let tenant = request.tenant.map(|id| reader.tenant(id).unwrap().name.clone()).unwrap_or_default();
                let at_us = started.as_microsecond() + i64::try_from(request.t_us).unwrap();
                content.requests.push((at_us, databases[&request.session].clone(), tenant, texts.collect()));
                content.placed.push((request.t_us, request.session));
            }
            _ => {}
        }
    }
    content.requests.sort();
    content
}

fn share_of(requests: &[Seen], wanted: impl Fn(&Seen) -> bool) -> Vec<Seen> {
    requests.iter().filter(|request| wanted(request)).cloned().collect()
}

#[test]
fn disjoint_windows_share_no_request_and_lose_none_and_merge_to_the_whole() {
    let place = Place::new();
    let whole = content(&sample());
    let sample = sample();
    let sample = sample.to_str().unwrap();
    place.workload(&["slice", sample, "-o", "a.jsonl.zst", "--to", "9s"]);
    place.workload(&["slice", sample, "-o", "b.jsonl.zst", "--from", "9s", "--to", "13500ms"]);
    place.workload(&["slice", sample, "-o", "c.jsonl.zst", "--from", "13500ms"]);
    let parts = ["a.jsonl.zst", "b.jsonl.zst", "c.jsonl.zst"].map(|name| content(&place.path(name)));
    let mut all: Vec<Seen> = parts.iter().flat_map(|part| part.requests.clone()).collect();
    all.sort();
    assert_eq!(all, whole.requests);
    assert!(parts.iter().all(|part| part.requests.len() > 100), "each window holds a part of the traffic");

    place.workload(&["merge", "a.jsonl.zst", "b.jsonl.zst", "c.jsonl.zst", "-o", "all.jsonl.zst"]);
    let merged = content(&place.path("all.jsonl.zst"));
    assert_eq!(merged.requests, whole.requests);
    // A session that goes on in the next slice is another one: it must open anew there.
    assert_eq!(merged.sessions.len(), parts.iter().map(|part| part.sessions.len()).sum::<usize>());
    assert_eq!(merged.sources, 3 * whole.sources);
    assert_eq!(place.info("all.jsonl.zst")["requests"], whole.requests.len());
    assert_eq!(place.files(), ["a.jsonl.zst", "all.jsonl.zst", "b.jsonl.zst", "c.jsonl.zst"], "nothing else is left");
}

#[test]
fn a_slice_holds_all_of_its_tenant_or_database_and_nothing_of_others() {
    let place = Place::new();
    let whole = content(&sample());
    let sample = sample();
    let sample = sample.to_str().unwrap();
    let info: Value = serde_json::from_str(&place.workload(&["info", sample, "--json"])).unwrap();
    let tenant = info["tenants"][0]["name"].as_str().unwrap();
    let database = info["databases"][0]["name"].as_str().unwrap();

    place.workload(&["slice", sample, "-o", "tenant.jsonl.zst", "--tenant", tenant]);
    let own = content(&place.path("tenant.jsonl.zst")).requests;
    let is_own = |seen: &Seen| seen.2 == tenant;
    assert_eq!(share_of(&own, is_own), share_of(&whole.requests, is_own));
    for (_, _, other, texts) in share_of(&own, |seen| !is_own(seen)) {
        let effects = texts.iter().all(|text| pgrehearse::sql::session_effect(text).is_some());
        assert!(effects, "{other} has no business in the slice of {tenant}: {texts:?}");
    }

    place.workload(&["slice", sample, "-o", "database.jsonl.zst", "--database", database]);
    let is_of_database = |seen: &Seen| seen.1 == database;
    assert_eq!(content(&place.path("database.jsonl.zst")).requests, share_of(&whole.requests, is_of_database));
    place.info("tenant.jsonl.zst");
    assert_eq!(place.info("database.jsonl.zst")["databases"][0]["name"], database);
}

#[test]
fn a_sample_is_whole_sessions_and_the_same_each_time() {
    let place = Place::new();
    let whole = content(&sample());
    let sample = sample();
    let sample = sample.to_str().unwrap();
    for name in ["once.jsonl", "again.jsonl"] {
        place.workload(&["slice", sample, "-o", name, "--sample", "0.3"]);
    }
    let read = |name: &str| std::fs::read(place.path(name)).unwrap();
    assert!(read("once.jsonl") == read("again.jsonl"), "the same bytes");
    let chosen = content(&place.path("once.jsonl"));
    assert!(!chosen.sessions.is_empty() && chosen.sessions.len() < whole.sessions.len());
    let expected: Vec<_> = whole.placed.iter().filter(|(_, session)| chosen.sessions.contains(session)).collect();
    assert_eq!(chosen.placed.iter().collect::<Vec<_>>(), expected, "each session with all that it sent");

    place.workload(&["slice", sample, "-o", "more.jsonl", "--sample", "0.6"]);
    assert!(content(&place.path("more.jsonl")).sessions.is_superset(&chosen.sessions));
    let one = chosen.sessions.iter().next().unwrap().to_string();
    place.workload(&["slice", sample, "-o", "one.jsonl", "--session", &one]);
    assert_eq!(content(&place.path("one.jsonl")).sessions.len(), 1);
}

#[test]
fn the_peak_is_the_window_that_counting_every_window_finds() {
    let place = Place::new();
    let whole = content(&sample());
    let sample = sample();
    let sample = sample.to_str().unwrap();
    for seconds in [1, 3, 5] {
        let inside = |first: u64| {
            let window = first * 1_000_000..(first + seconds) * 1_000_000;
            whole.placed.iter().filter(|(t_us, _)| window.contains(t_us)).count()
        };
        let last = whole.placed.iter().map(|(t_us, _)| t_us / 1_000_000).max().unwrap();
        let most = (0..=last).map(inside).max().unwrap();
        let length = format!("{seconds}s");
        let said = place.workload(&["peak", sample, "--length", &length, "-o", "peak.jsonl.zst"]);
        let from: u64 = said.split(['s', ' ']).nth(1).unwrap().parse().unwrap_or_else(|_| panic!("{said}"));
        assert_eq!(inside(from), most, "{said}");
        assert!(said.contains(&format!("\n{most} executions, ")), "{said}");
        // What was begun in the window is in the file, and nothing that was begun outside of it.
        let cut = content(&place.path("peak.jsonl.zst"));
        let span_us = place.info("peak.jsonl.zst")["span_us"].as_u64().unwrap();
        let begun = cut.placed.iter().filter(|(t_us, _)| *t_us < seconds * 1_000_000).count();
        assert!(begun <= most && begun * 10 > most * 9, "{begun} of {most}: {said}");
        assert!(span_us < (seconds + 5) * 1_000_000, "{span_us}");
    }
    let info: Value = serde_json::from_str(&place.workload(&["info", sample, "--json"])).unwrap();
    let most = info["peak_per_second"].as_u64().unwrap();
    assert!(place.workload(&["peak", sample, "--length", "1s"]).contains(&format!("\n{most} executions, ")));
}

#[test]
fn workloads_that_are_merged_keep_their_sessions_and_times_apart() {
    let place = Place::new();
    let sample = sample();
    let sample = sample.to_str().unwrap();
    place.workload(&["slice", sample, "-o", "early.jsonl", "--from", "4s", "--to", "6s"]);
    place.workload(&["slice", sample, "-o", "late.jsonl", "--from", "10s", "--to", "12s"]);
    let (early, late) = (content(&place.path("early.jsonl")), content(&place.path("late.jsonl")));

    place.workload(&["merge", "late.jsonl", "early.jsonl", "-o", "time.jsonl"]);
    let by_time = content(&place.path("time.jsonl"));
    assert_eq!(by_time.requests, [early.requests.clone(), late.requests.clone()].concat());
    assert_eq!(by_time.sessions.len(), early.sessions.len() + late.sessions.len());

    place.workload(&["merge", "late.jsonl", "early.jsonl", "-o", "start.jsonl", "--align", "start"]);
    let mut together = [early.placed.clone(), late.placed.clone()].concat().iter().map(|at| at.0).collect::<Vec<_>>();
    together.sort_unstable();
    let by_start: Vec<_> = content(&place.path("start.jsonl")).placed.iter().map(|at| at.0).collect();
    assert_eq!(by_start, together, "both begin at once");
}

#[test]
fn what_stands_of_a_damaged_workload_is_kept() {
    let place = Place::new();
    let whole = content(&capture());
    let bytes = std::fs::read(capture()).unwrap();
    let all: BTreeSet<_> = whole.requests.iter().collect();
    let kept = |name: &str| {
        let kept = content(&place.path(name)).requests;
        assert!(kept.iter().all(|request| all.contains(request)), "nothing is made up");
        kept.len()
    };

    std::fs::write(place.path("cut.jsonl.zst"), &bytes[..bytes.len() * 9 / 10]).unwrap();
    let said = place.workload(&["repair", "cut.jsonl.zst", "-o", "cut.repaired.jsonl.zst"]);
    assert!(said.contains("its end was lost"), "{said}");
    assert!(kept("cut.repaired.jsonl.zst") > 0);

    let mut damaged = bytes.clone();
    let middle = damaged.len() / 2;
    damaged[middle..middle + 64].fill(0x55);
    std::fs::write(place.path("damaged.jsonl.zst"), damaged).unwrap();
    let said = place.workload(&["repair", "damaged.jsonl.zst", "-o", "damaged.repaired.jsonl.zst"]);
    assert!(said.contains("lost 1 compressed parts with all their lines, the first at byte"), "{said}");
    assert!(kept("damaged.repaired.jsonl.zst") > 0);

    std::fs::copy(sample(), place.path("plain.jsonl")).unwrap();
    let plain = std::fs::read_to_string(sample()).unwrap();
    let mut lines: Vec<&str> = plain.lines().collect();
    let request = lines.iter().rposition(|line| line.starts_with("{\"kind\":\"request\"")).unwrap();
    lines[request] = "{\"kind\":\"request\",\"t_us\":12";
    std::fs::write(place.path("line.jsonl"), lines.join("\n") + "\n").unwrap();
    let said = place.workload(&["repair", "line.jsonl", "-o", "line.repaired.jsonl"]);
    assert!(said.contains(&format!("lost 1 lines, the first is line {}: ", request + 1)), "{said}");
    assert_eq!(kept("line.repaired.jsonl"), content(&sample()).requests.len() - 1);

    let said = place.workload(&["repair", "plain.jsonl", "-o", "nothing.jsonl"]);
    assert!(said.ends_with("nothing was wrong with the workload\n"), "{said}");
    for name in ["cut.repaired.jsonl.zst", "damaged.repaired.jsonl.zst", "line.repaired.jsonl", "nothing.jsonl"] {
        place.info(name);
    }
}

#[test]
fn info_tells_the_same_in_all_its_parts() {
    let place = Place::new();
    let whole = content(&sample());
    let sample = sample();
    let sample = sample.to_str().unwrap();
    let info: Value = serde_json::from_str(&place.workload(&["info", sample, "--json"])).unwrap();
    let number = |value: &Value| value.as_u64().unwrap();
    let sum = |list: &Value, key: &str| list.as_array().unwrap().iter().map(|part| number(&part[key])).sum::<u64>();
    let executions = number(&info["executions"]);
    assert_eq!(number(&info["requests"]), whole.requests.len() as u64);
    for list in ["minutes", "top_statements", "databases", "users"] {
        assert_eq!(sum(&info[list], "executions"), executions, "{list}");
    }
    assert_eq!(sum(&info["tenants"], "executions") + number(&info["executions_without_tenant"]), executions);
    assert_eq!(sum(&info["top_statements"], "total_us"), number(&info["known_sums"]["total_us"]));
    assert_eq!(info["classes"].as_object().unwrap().values().map(number).sum::<u64>(), executions);

    let few: Value = serde_json::from_str(&place.workload(&["info", sample, "--json", "--top", "3"])).unwrap();
    assert_eq!(few["top_statements"].as_array().unwrap()[..], info["top_statements"].as_array().unwrap()[..3]);
    let text = place.workload(&["info", sample, "--top", "3", "--minutes", "--tenants"]);
    let shown = info["top_statements"].as_array().unwrap()[..3].iter().map(|it| it["fingerprint"].as_str().unwrap());
    shown.for_each(|fingerprint| assert!(text.contains(fingerprint), "{fingerprint} is not in\n{text}"));
    for tenant in info["tenants"].as_array().unwrap() {
        assert!(text.contains(&format!("\n  {} ", tenant["name"].as_str().unwrap())), "{tenant}\n{text}");
    }
}

#[test]
fn cat_lists_what_is_asked_for() {
    let place = Place::new();
    let whole = content(&sample());
    let sample = sample();
    let sample = sample.to_str().unwrap();
    let lines = |arguments: &[&str]| -> Vec<Value> {
        let said = place.workload(&[&["cat", sample, "--json"], arguments].concat());
        said.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
    };
    let is_request = |line: &&Value| line["kind"] == "request";

    let all = lines(&[]);
    let requests: Vec<&Value> = all.iter().filter(is_request).collect();
    assert_eq!(requests.len(), whole.requests.len());
    let (first, moment) = (requests[0], requests[0]["time"].as_str().unwrap());
    for key in ["database", "user", "session", "sequence", "tenant", "statements"] {
        assert!(!first[key].is_null(), "{key} of {first}");
    }
    assert!(all.iter().all(|line| line["statements"][0]["parameters"].is_null()), "values were not asked for");
    let with_values = lines(&["--values"]);
    assert!(with_values.iter().any(|line| line["statements"][0]["parameters"].is_array()));

    // A moment that was shown can be given back.
    assert_eq!(lines(&["--from", moment, "--limit", "1", "--tenant", first["tenant"].as_str().unwrap()])[0], *first);
    let fingerprint = first["statements"][0]["fingerprint"].as_str().unwrap();
    let same = lines(&["--fingerprint", fingerprint]);
    let expected = requests.iter().filter(|line| line["statements"][0]["fingerprint"] == fingerprint).count();
    assert_eq!(same.len(), expected);
    let session = first["session"].to_string();
    let of_session = all.iter().filter(|line| line["session"] == first["session"]).count();
    assert_eq!(lines(&["--session", &session]).len(), of_session);

    let text = place.workload(&["cat", sample, "--limit", "5"]);
    assert_eq!(text.lines().count(), 5, "{text}");
}

#[test]
fn info_and_cat_read_standard_input() {
    let place = Place::new();
    let path = sample();
    let of_file = |tool: &str| place.workload(&[tool, path.to_str().unwrap()]);
    let of_stdin = |tool: &str| {
        let mut command = program();
        command.args(["workload", tool, "-"]).stdin(std::fs::File::open(&path).unwrap());
        String::from_utf8(command.output().unwrap().stdout).unwrap()
    };
    assert_eq!(of_stdin("info"), of_file("info"));
    assert_eq!(of_stdin("cat"), of_file("cat"));
}

#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let full = std::fs::File::create("/dev/full").unwrap();
    let output = program().args(["workload", "cat"]).arg(sample()).stdout(full).output().unwrap();
    let stderr = String::from_utf8(output.stderr).unwrap();
    assert_eq!(
        (output.status.code(), stderr.as_str()),
        (Some(2), "error: could not write to standard output: No space left on device\n")
    );
}

#[test]
fn a_reader_that_goes_away_is_no_error() {
    let mut command = program();
    command.args(["workload", "cat"]).arg(sample()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().unwrap();
    let mut few = [0; 100];
    child.stdout.take().unwrap().read_exact(&mut few).unwrap();
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), String::from_utf8_lossy(&output.stderr).as_ref()), (Some(0), ""));
}

#[test]
fn the_help_of_each_tool_says_what_it_does() {
    let place = Place::new();
    let helps: Vec<String> =
        ["info", "cat", "slice", "peak", "merge", "repair"].map(|tool| place.workload(&[tool, "--help"])).into();
    insta::assert_snapshot!(helps.join("\n========\n\n"));
}
