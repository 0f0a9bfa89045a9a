//! What scenarios are read as, and how what is wrong with them is shown.

#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::time::Duration;

use super::load::resolve;
use super::plan::{AnalyzeMode, Cluster, StepKind, StopMode, TransferMode, Wait};
use super::resolved::{LoadSource, Scenario, Sequences, Speed, Staging, Strategy};

const MINIMAL: &str = "[workload]\nfile = \"w.jsonl\"\n";

pub(super) fn scenario(text: &str) -> Scenario {
    with_sets(text, &[])
}

fn with_sets(text: &str, sets: &[&str]) -> Scenario {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    resolve(Path::new("/s/scenarios/a.toml"), "a.toml", text, &sets)
        .unwrap_or_else(|error| panic!("{}", error.render()))
}

/// Everything that is wrong, as people are shown it.
pub(super) fn refused(text: &str, sets: &[&str]) -> String {
    let sets: Vec<String> = sets.iter().map(ToString::to_string).collect();
    resolve(Path::new("/s/scenarios/a.toml"), "a.toml", text, &sets).unwrap_err().render()
}

fn names(scenario: &Scenario) -> Vec<&str> {
    scenario.upgrade.plan.steps.iter().map(|step| step.name.as_str()).collect()
}

#[test]
fn everything_but_the_workload_has_a_default() {
    let scenario = scenario(MINIMAL);
    assert_eq!(scenario.name, "a");
    assert_eq!(scenario.workload.file, Path::new("/s/scenarios/w.jsonl"));
    assert_eq!((scenario.workload.speed, scenario.workload.copies), (Speed::Factor(1.0), 1));
    assert_eq!(names(&scenario), ["check", "stop", "pg_upgrade", "start", "switch", "analyze"]);
    assert_eq!(scenario.clients.deadline, Duration::from_secs(5));
    assert_eq!(scenario.probes.deadline, scenario.clients.deadline);
    let Staging::Local(local) = &scenario.staging else { panic!("not local") };
    assert_eq!((local.server.version.0, scenario.upgrade.to.as_ref().unwrap().version.0), (16, 18));
    assert!(!local.checksums, "off by default until 18");
}

#[test]
fn a_strategy_stops_the_old_server_and_starts_the_new() {
    let scenario = scenario(&format!("{MINIMAL}[upgrade]\nmode = \"link\"\njobs = 4\n"));
    let kinds: Vec<&StepKind> = scenario.upgrade.plan.steps.iter().map(|step| &step.kind).collect();
    assert_eq!(*kinds[1], StepKind::Stop { cluster: Cluster::Old, mode: StopMode::Fast });
    assert!(
        matches!(kinds[2], StepKind::PgUpgrade(options) if options.mode == TransferMode::Link && options.jobs == 4)
    );
    assert_eq!(*kinds[3], StepKind::Start { cluster: Cluster::New });
    assert_eq!(*kinds[5], StepKind::Analyze { mode: AnalyzeMode::InStages, jobs: 4 });
}

#[test]
fn steps_are_inserted_where_they_are_wanted_in_the_order_of_the_file() {
    let text = format!(
        "{MINIMAL}
[upgrade]
analyze = \"none\"
deadlines = {{ pg_upgrade = \"2h\" }}
[[upgrade.insert]]
before = \"stop\"
sql = \"PREPARE TRANSACTION 'x'\"
database = \"app\"
[[upgrade.insert]]
after = \"start\"
command = \"first\"
[[upgrade.insert]]
after = \"start\"
command = [\"second\", \"arg\"]
deadline = \"3s\"
"
    );
    let scenario = scenario(&text);
    assert_eq!(names(&scenario), ["check", "sql", "stop", "pg_upgrade", "start", "command", "command-2", "switch"]);
    let steps = &scenario.upgrade.plan.steps;
    assert!(matches!(&steps[5].kind, StepKind::Command { program, .. } if *program == ["sh", "-c", "first"]));
    assert!(matches!(&steps[6].kind, StepKind::Command { program, .. } if *program == ["second", "arg"]));
    assert_eq!((steps[3].deadline, steps[6].deadline), (Duration::from_secs(7200), Duration::from_secs(3)));
}

#[test]
fn steps_can_be_written_out_bare_short_and_whole() {
    let text = format!(
        "{MINIMAL}
[upgrade]
steps = [
  \"check\",
  {{ wait = \"1s\", name = \"settle\" }},
  {{ wait = {{ until = \"SELECT true\", database = \"app\", poll = \"50ms\" }} }},
  {{ stop = \"immediate\" }},
  {{ start = \"old\" }},
  {{ stop = {{ mode = \"smart\" }} }},
  {{ pg_upgrade = {{ mode = \"swap\", options = [\"--no-statistics\"] }} }},
  \"start\",
  {{ switch = \"new\" }},
  {{ analyze = \"full\" }},
]
"
    );
    let scenario = scenario(&text);
    assert_eq!(
        names(&scenario),
        ["check", "settle", "wait", "stop", "start", "stop-2", "pg_upgrade", "start-2", "switch", "analyze"]
    );
    let steps = &scenario.upgrade.plan.steps;
    assert_eq!(scenario.upgrade.strategy, Strategy::Steps);
    assert_eq!((&steps[1].kind, steps[1].deadline.as_secs()), (&StepKind::Wait(Wait::For(Duration::from_secs(1))), 11));
    assert!(matches!(&steps[2].kind, StepKind::Wait(Wait::Until { query, .. }) if query.database == "app"));
    assert_eq!(steps[3].kind, StepKind::Stop { cluster: Cluster::Old, mode: StopMode::Immediate });
    assert_eq!(steps[7].kind, StepKind::Start { cluster: Cluster::New });
    assert!(matches!(&steps[6].kind, StepKind::PgUpgrade(options) if options.options == ["--no-statistics"]));
}

#[test]
fn local_staging_keeps_settings_and_loads_in_order() {
    let text = format!(
        "{MINIMAL}
[staging]
version = 18
settings = {{ shared_buffers = \"64MB\", fsync = false, max_connections = 200 }}
[[staging.load]]
sql = \"schema.sql\"
[[staging.load]]
dump = \"/abs/app.dump\"
database = \"app\"
sequences = {{ \"shop.orders_id_seq\" = 1000 }}
[[staging.load]]
command = [\"./fill\"]
sequences = \"from-tables\"
"
    );
    let Staging::Local(local) = scenario(&text).staging else { panic!("not local") };
    assert!(local.checksums, "on by default since 18");
    assert_eq!(local.settings["fsync"], "off");
    assert_eq!(local.settings["max_connections"], "200");
    let sources: Vec<&LoadSource> = local.load.iter().map(|load| &load.source).collect();
    assert_eq!(*sources[0], LoadSource::Sql("/s/scenarios/schema.sql".into()));
    assert_eq!(*sources[1], LoadSource::Dump("/abs/app.dump".into()));
    assert_eq!(local.load[1].database, "app");
    let sequences: Vec<&Sequences> = local.load.iter().map(|load| &load.sequences).collect();
    let given = Sequences::To([("shop.orders_id_seq".to_owned(), 1000)].into());
    assert_eq!(sequences, [&Sequences::AsLoaded, &given, &Sequences::FromTables]);
}

#[test]
fn external_staging_maps_users_and_never_shows_a_password() {
    let text = format!(
        "{MINIMAL}
[staging]
provider = \"external\"
dsn = \"postgresql://admin:s3cret@db/app\"
databases = {{ app = \"app_staging\" }}
[staging.users]
web = \"web_staging\"
jobs = {{ user = \"jobs\", password_env = \"JOBS_PASSWORD\" }}
[upgrade]
steps = [{{ command = \"./upgrade.sh\" }}]
"
    );
    let scenario = scenario(&text);
    let Staging::External(external) = &scenario.staging else { panic!("not external") };
    assert_eq!(external.databases["app"], "app_staging");
    assert_eq!(external.users["web"].user, "web_staging");
    assert_eq!(external.users["jobs"].password_env.as_deref(), Some("JOBS_PASSWORD"));
    assert!(external.dsn.expose().contains("s3cret"));
    assert!(!format!("{scenario:?}").contains("s3cret"));
}

#[test]
fn overrides_win_and_need_no_quotes() {
    let sets = ["upgrade.mode=link", "phases.after=5s", "workload.copies=3", "upgrade.to=17", "name=nightly"];
    let scenario = with_sets(MINIMAL, &sets);
    assert_eq!(scenario.upgrade.pg_upgrade.mode, TransferMode::Link);
    assert_eq!(scenario.phases.after, Duration::from_secs(5));
    assert_eq!((scenario.workload.copies, scenario.name.as_str()), (3, "nightly"));
    assert_eq!(scenario.upgrade.to.unwrap().version.0, 17);
}

#[test]
fn everything_that_is_wrong_is_shown_at_once_with_its_place() {
    let text = "objectives = [\"downtme max < 30s\"]

[workload]
file = \"w.jsonl\"
sped = 2.0

[upgrade]
mode = \"lnik\"
steps = [\"chekc\", { stop = \"fast\", start = \"new\" }]

[clients]
dedline = \"5s\"
abandon = 30

[phases]
after = \"soon\"
";
    insta::assert_snapshot!(refused(text, &["probes.interval=fast"]));
}

#[test]
fn text_that_is_no_toml_is_pointed_at() {
    insta::assert_snapshot!(refused("name = \"a\n[workload\nfile = 'x'\n", &[]));
}

#[test]
fn what_cannot_go_together_is_refused() {
    for (text, message) in [
        ("[staging]\nprovider = \"docker\"\n", "provider \"docker\" is not supported"),
        ("version = 2\n", "the scenario is of version 2, and this program reads up to 1"),
        ("[staging]\nversion = \"16.14\"\n", "is not a PostgreSQL major version"),
        ("[upgrade]\nsteps = [{ switch = \"new\" }]\n", "no pg_upgrade step comes before it"),
        ("[upgrade]\nstrategy = \"none\"\nsteps = [\"check\"]\n", "a strategy or steps, not both"),
        ("[upgrade]\nsteps = [\"sql\"]\n", "a sql step needs a value"),
        ("[[upgrade.insert]]\nafter = \"strat\"\nwait = \"1s\"\n", "there is no step \"strat\" to insert at"),
        ("[[upgrade.insert]]\nwait = \"1s\"\n", "either before or after"),
        (
            "[upgrade]\nsteps = [{ wait = \"1s\", name = \"a\" }, { wait = \"1s\", name = \"a\" }]\n",
            "two steps are named",
        ),
        ("[upgrade.deadlines]\nstoop = \"1s\"\n", "there is no step \"stoop\""),
        (
            "[staging]\nprovider = \"external\"\ndsn = \"host=x\"\n[upgrade]\nsteps = [\"check\"]\n",
            "needs local staging",
        ),
        ("[workload]\nspeed = \"max\"\npacing = \"think-time\"\n", "cannot be \"think-time\" with speed = \"max\""),
        ("[workload]\npacing = \"thinktime\"\n", "did you mean \"think-time\"?"),
        ("[clients]\nabandon = \"1s\"\n", "clients.abandon is shorter than clients.deadline"),
        ("[[staging.load]]\nsql = \"a\"\ndump = \"b\"\n", "exactly one of sql, dump"),
        ("[[staging.load]]\nsql = \"a\"\nsequences = \"from-table\"\n", "must be \"from-tables\" or a table of values"),
        ("[[staging.load]]\nsql = \"a\"\nsequences = { a.b = 1 }\n", "a name with a dot is quoted"),
        ("[[staging.load]]\nsql = \"a\"\nsequences = { a = \"1\" }\n", "is an integer: the last value given out"),
    ] {
        let shown =
            refused(&format!("{text}{}", if text.starts_with("version") { MINIMAL } else { "" }), &["workload.file=w"]);
        assert!(shown.contains(message), "{text}\n{shown}");
    }
}

#[test]
fn a_missing_workload_is_one_message() {
    let shown = refused("name = \"x\"\n", &[]);
    assert_eq!(shown, "error: workload.file is missing\n  at a.toml\nhint: add file = \"...\" under [workload]\n");
}

#[test]
fn the_resolved_plan_fits_a_screen_and_holds_no_password() {
    let text = format!(
        "{MINIMAL}
[staging]
settings = {{ fsync = false }}
[[staging.load]]
sql = \"../sql/schema.sql\"
sequences = {{ orders_id_seq = 1000 }}
[upgrade]
mode = \"link\"
[[upgrade.insert]]
before = \"stop\"
command = \"psql postgresql://app:s3cret@db/x -f drain.sql\"
env = {{ PGPASSWORD = \"s3cret\" }}
"
    );
    let scenario = scenario(&format!("objectives = [\"downtime<30s\"]\n{text}"));
    let shown = super::render_text(&scenario);
    insta::assert_snapshot!(shown);
    let json = super::to_json(&scenario);
    assert!(!shown.contains("s3cret") && !json.to_string().contains("s3cret"));
    assert_eq!(json["upgrade"]["steps"][1]["arguments"]["env"][0], "PGPASSWORD");
    assert_eq!(json["clients"]["deadline_ms"], 5000.0);
}
