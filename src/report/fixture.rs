//! Made-up reports for the tests of every form. Gives one report per course that a rehearsal can take.

use super::model::*;

/// Every fixture by its name.
pub fn all() -> [(&'static str, Report); 6] {
    [
        ("passed", passed()),
        ("one_tenant_lock", one_tenant_lock()),
        ("no_downtime_observed", no_downtime_observed()),
        ("interrupted", interrupted()),
        ("missed_objective", missed_objective()),
        ("failed_step", failed_step()),
    ]
}

/// An upgrade of 26 tenants that met its objectives; every tenant was down for about eight seconds.
pub fn passed() -> Report {
    let tenants: Vec<Tenant> = (0..26).map(tenant_down_in_the_upgrade).collect();
    let groups = (1..=4).map(group_down_in_the_upgrade).collect();
    Report {
        format: FORMAT.into(),
        version: VERSION,
        run: Run {
            started_at: "2026-11-22T15:31:30Z".into(),
            tool_version: "0.1.0".into(),
            workload_sha256: "7f83b1657ff1fc53b92dc18148a1d65dfc2d4b1fa3d677284addd200126d9069".into(),
            complete: true,
            interrupted: false,
            signal: None,
            duration_ms: 98_204.125,
        },
        verdict: Verdict { outcome: Outcome::Passed, reasons: vec![], exit_code: 0 },
        scenario: Scenario { name: "16-to-18-link".into() },
        server: Servers { before: version("16.14"), after: version("18.4") },
        host: Host { cpus: 2, memory_bytes: 8 << 30, os: "Linux 6.1 x86_64".into(), load_average: Some(1.25) },
        rules: Rules { deadline_ms: 5_000.0, probe_interval_ms: Some(100.0), closed_loop: false },
        steps: upgrade_steps(),
        phases: [
            ("warmup", 0.0, 5e3),
            ("before", 5e3, 20e3),
            ("upgrade", 20e3, 38_204.125),
            ("after", 38_204.125, 98_204.125),
        ]
        .map(|(name, started_ms, ended_ms)| Phase { name: name.into(), started_ms, ended_ms: Some(ended_ms) })
        .into(),
        downtime: Downtime {
            tenants: 26,
            affected: 26,
            unknown: 0,
            resolution_ms: Some(100.0),
            max_ms: Some(8_260.5),
            p50_ms: Some(8_152.5),
            p90_ms: Some(8_244.3),
            p99_ms: Some(8_260.5),
            longest_ms: Some(8_260.5),
            at_least_max_ms: Some(8_180.25),
            at_most_max_ms: Some(8_391.0),
        },
        tenants,
        groups,
        requests: Requests { offered: 29_461, ok: 26_912, failed: 2_549, ..Requests::default() },
        latency: phases_of([1_000, 4_200, 1_300]),
        service_time: phases_of([900, 1_400, 1_100]),
        statements: vec![statement_slower_after()],
        errors: vec![
            error("57P03", "the database system is shutting down", 412, "upgrade"),
            error("23505", "duplicate key value violates unique constraint \"users_email_key\"", 9, "before"),
        ],
        divergence: DivergenceByStatement { compared: 18_004, differing: 0, ids: None, statements: vec![] },
        writes: Writes {
            acknowledged: Some(3_412),
            lost: Some(0),
            recovered: Some(2),
            unexpected: Some(0),
            duplicates: Some(0),
            indeterminate: Some(3),
            replay_acknowledged: 9_876,
        },
        trust: Trust {
            schedule_lag_p99_us: Some(1_230),
            schedule_lag: phases_of([100, 130, 110]),
            offered: 29_461,
            released_share: Some(1.0),
            late_share: Some(0.002),
            cpu_share_max: Some(0.43),
            heartbeat_late_us_max: Some(2_700),
            capture_lost_share: 0.0,
            unmapped_share: 0.0,
            order: None,
            writes_left_out: None,
            settings_lost: 0,
            reasons: vec![],
        },
        objectives: vec![
            objective("downtime max < 30s", 8_260.5, 30_000.0, "ms", ObjectiveOutcome::Met),
            objective("lost_writes == 0", 0.0, 0.0, "count", ObjectiveOutcome::Met),
            objective("errors.new{phase=after} == 0", 0.0, 0.0, "count", ObjectiveOutcome::Met),
        ],
        series: series(98),
    }
}

/// A lock on one tenant's tables for five seconds; nobody else noticed.
pub fn one_tenant_lock() -> Report {
    let mut report = passed();
    for tenant in &mut report.tenants {
        (tenant.read, tenant.write) = (not_down(), not_down());
        (tenant.brownout_ms, tenant.recovery_ms) = (Some(0.0), Some(0.0));
        spans_of(tenant, 0.0, 0.0, 0.0);
    }
    let tenant = &mut report.tenants[0];
    (tenant.read, tenant.write) =
        (down_from(24_010.0, 5_012.5, Source::Own), down_from(24_010.0, 5_204.25, Source::Own));
    spans_of(tenant, 5_204.25, 5_124.0, 5_334.75);
    report.downtime = Downtime {
        affected: 1,
        max_ms: Some(5_204.25),
        p50_ms: Some(0.0),
        p90_ms: Some(0.0),
        p99_ms: Some(5_204.25),
        longest_ms: Some(5_204.25),
        at_least_max_ms: Some(5_124.0),
        at_most_max_ms: Some(5_334.75),
        ..report.downtime
    };
    report.scenario.name = "lock-one-tenant".into();
    report.server.after = version("16.14");
    report.steps = vec![step("lock tenant-00's tables", 22e3, 5_000.0, vec![])];
    report
}

/// A plan during which no probe and no tenant saw an outage.
pub fn no_downtime_observed() -> Report {
    let mut report = one_tenant_lock();
    let tenant = &mut report.tenants[0];
    (tenant.read, tenant.write) = (not_down(), not_down());
    spans_of(tenant, 0.0, 0.0, 0.0);
    report.downtime = Downtime {
        affected: 0,
        max_ms: Some(0.0),
        p99_ms: Some(0.0),
        longest_ms: Some(0.0),
        at_least_max_ms: Some(0.0),
        at_most_max_ms: Some(0.0),
        ..report.downtime
    };
    report.scenario.name = "reindex-concurrently".into();
    report.steps = vec![step("reindex", 22e3, 3_400.0, vec![])];
    report
}

/// Ctrl-C in the upgrade, with every window open and the ledger never read back.
pub fn interrupted() -> Report {
    let mut report = passed();
    report.run =
        Run { complete: false, interrupted: true, signal: Some("SIGINT".into()), duration_ms: 27_500.0, ..report.run };
    report.verdict = Verdict {
        outcome: Outcome::Inconclusive,
        reasons: vec![reason("interrupted", "the run was interrupted (SIGINT) in phase upgrade", None, None)],
        exit_code: 130,
    };
    report.phases.truncate(3);
    report.phases[2].ended_ms = None;
    report.steps.truncate(3);
    let pg_upgrade = &mut report.steps[2];
    (pg_upgrade.ended_ms, pg_upgrade.outcome) = (None, None);
    for tenant in &mut report.tenants {
        tenant.at_most_ms = None;
        for class in [&mut tenant.read, &mut tenant.write] {
            class.at_most_ms = None;
            for window in &mut class.windows {
                *window = Window { ended_ms: None, at_most_ms: None, open: true, ..window.clone() };
            }
        }
    }
    report.downtime.at_most_max_ms = None;
    report.writes = Writes { lost: None, recovered: None, unexpected: None, duplicates: None, ..report.writes };
    report.latency.after = Latency::default();
    report.service_time.after = Latency::default();
    report.series.points.truncate(27);
    for objective in &mut report.objectives {
        objective.outcome = ObjectiveOutcome::Inconclusive;
        (objective.value, objective.low, objective.high) = (None, None, None);
        objective.note = Some("phase after was not seen".into());
    }
    report.trust.reasons = vec![reason("phase_missing", "phase after was not seen", None, None)];
    report
}

/// An upgrade whose downtime and whose latency afterwards break their limits.
pub fn missed_objective() -> Report {
    let mut report = passed();
    let text = "downtime max was 8.26 s (at least 8.18 s), over its limit of 5 s by 3.18 s or more";
    report.verdict = Verdict {
        outcome: Outcome::Failed,
        reasons: vec![reason("objective_missed", text, Some(8_260.5), Some(5_000.0))],
        exit_code: 1,
    };
    report.objectives[0] = Objective {
        tenants: report.tenants.iter().take(3).map(|tenant| tenant.tenant.clone()).collect(),
        ..objective("downtime max < 5s", 8_260.5, 5_000.0, "ms", ObjectiveOutcome::Missed)
    };
    report.errors.push(error("42883", "function lo_creat(integer) does not exist", 12, "after"));
    report.divergence = differing_in_two_statements();
    report
}

/// One statement that fails now, and one whose rows come in another order.
fn differing_in_two_statements() -> DivergenceByStatement {
    let place = |request, line| FirstDifference { request, file: Some("postgresql-Mon.csv".into()), line: Some(line) };
    let statement = |fingerprint: &str, sql: &str, compared, differing| StatementDivergence {
        fingerprint: fingerprint.into(),
        sql: Some(sql.into()),
        compared,
        differing,
        sqlstate: 0,
        rows: 0,
        digest: 0,
        first: Some(place(71, 4_711)),
    };
    let failing = statement("6d0f2a8f4a1e97c3", "SELECT lo_creat($1)", 12, 12);
    let reordered = statement("91f3c2d4e5a60b78", "SELECT name FROM contacts WHERE list = $1", 840, 3);
    DivergenceByStatement {
        compared: 18_004,
        differing: 15,
        ids: Some(IdsMapped { mapped: 4_210, unfilled: 2, unsure: 7 }),
        statements: vec![
            StatementDivergence { sqlstate: 12, ..failing },
            StatementDivergence { rows: 1, digest: 2, first: Some(place(902, 60_250)), ..reordered },
        ],
    }
}

/// pg_upgrade refused a prepared transaction; the old server came back.
pub fn failed_step() -> Report {
    let mut report = passed();
    let text = "step pg_upgrade failed: The source cluster contains prepared transactions";
    report.verdict =
        Verdict { outcome: Outcome::Failed, reasons: vec![reason("step_failed", text, None, None)], exit_code: 4 };
    report.steps.truncate(3);
    let pg_upgrade = &mut report.steps[2];
    pg_upgrade.outcome = Some("failed".into());
    pg_upgrade.detail = Some(
        "Checking for prepared transactions                            fatal\n\nThe source cluster contains prepared \
         transactions\nFailure, exiting"
            .into(),
    );
    pg_upgrade.steps.truncate(2);
    pg_upgrade.steps[1].outcome = Some("failed".into());
    report.steps.push(step("bring back the old server", 31e3, 900.0, vec![]));
    report.server.after = Server { version: None };
    report
}

fn version(text: &str) -> Server {
    Server { version: Some(text.into()) }
}

fn reason(code: &str, text: &str, value: Option<f64>, limit: Option<f64>) -> Reason {
    Reason { code: code.into(), text: text.into(), value, limit }
}

fn objective(text: &str, value: f64, limit: f64, unit: &str, outcome: ObjectiveOutcome) -> Objective {
    Objective {
        text: text.into(),
        value: Some(value),
        low: Some(value),
        high: Some(value),
        limit: Some(limit),
        unit: unit.into(),
        outcome,
        tenants: vec![],
        note: None,
    }
}

fn error(sqlstate: &str, message: &str, count: u64, phase: &str) -> ErrorGroup {
    ErrorGroup {
        sqlstate: Some(sqlstate.into()),
        message: Some(message.into()),
        fingerprint: Some("00c0ffee00c0ffee".into()),
        count,
        phase: phase.into(),
        expected: sqlstate == "23505",
        new: sqlstate == "42883",
    }
}

fn step(name: &str, started_ms: f64, duration_ms: f64, steps: Vec<Step>) -> Step {
    Step {
        name: name.into(),
        started_ms,
        ended_ms: Some(started_ms + duration_ms),
        outcome: Some("ok".into()),
        detail: None,
        steps,
    }
}

fn upgrade_steps() -> Vec<Step> {
    let parts = [
        ("Performing Consistency Checks", 1_204.5),
        ("Creating dump of database schemas", 1_310.0),
        ("Analyzing all rows in the new cluster", 411.25),
        ("Restoring database schemas in the new cluster", 2_020.0),
        ("Adding \".old\" suffix to old \"global/pg_control\"", 1.5),
        ("Linking user relation files", 240.0),
        ("Sync data directory to disk", 780.0),
    ];
    let mut at_ms = 23_700.0;
    let parts = parts.map(|(name, duration_ms)| {
        let part = step(name, at_ms, duration_ms, vec![]);
        at_ms += duration_ms;
        part
    });
    vec![
        step("check", 20e3, 2_400.0, vec![]),
        step("stop", 22_400.0, 1_300.0, vec![]),
        step("pg_upgrade", 23_700.0, at_ms - 23_700.0, parts.into()),
        step("start", at_ms, 450.0, vec![]),
        step("switch", at_ms + 450.0, 2.25, vec![]),
        step("analyze", at_ms + 452.25, 38_204.125 - at_ms - 452.25, vec![]),
    ]
}

fn tenant_down_in_the_upgrade(index: u32) -> Tenant {
    let less_ms = f64::from(index) * 9.0;
    let quiet = index % 5 == 4;
    let downtime_ms = 8_260.5 - less_ms;
    let started_ms = 22_410.0 + less_ms;
    let source = if quiet { Source::Group } else { Source::Own };
    let offered = if quiet { 12 } else { 4_000 / (u64::from(index) + 1) };
    Tenant {
        tenant: format!("tenant-{index:02}"),
        tier: Some(if index < 4 { "gold" } else { "standard" }.into()),
        region: None,
        databases: vec![format!("app{}", index % 4 + 1)],
        downtime_ms: Some(downtime_ms),
        at_least_ms: Some(downtime_ms - 80.25),
        at_most_ms: Some(downtime_ms + 130.5),
        longest_ms: Some(downtime_ms),
        held_ms: Some(0.0),
        brownout_ms: Some(if index < 3 { 2_400.0 } else { 0.0 }),
        recovery_ms: Some(if index < 3 { 4_100.0 } else { 0.0 }),
        unobserved_ms: Some(0.0),
        read: down_from(started_ms, downtime_ms - 40.0, source),
        write: down_from(started_ms, downtime_ms, source),
        requests: Requests { offered, ok: offered - offered / 10, failed: offered / 10, ..Requests::default() },
        latency: phases_of([1_000, 4_200, 1_300]),
        service_time: phases_of([900, 1_400, 1_100]),
        new_errors: 0,
        divergence: Divergence::default(),
    }
}

fn group_down_in_the_upgrade(index: u32) -> Group {
    let down = || down_from(22_400.0, 8_240.0 - f64::from(index), Source::Group);
    Group { endpoint: "primary".into(), database: format!("app{index}"), read: down(), write: down() }
}

/// Sets the union of both classes: one window of this length with these bounds.
fn spans_of(tenant: &mut Tenant, downtime_ms: f64, at_least_ms: f64, at_most_ms: f64) {
    (tenant.downtime_ms, tenant.longest_ms) = (Some(downtime_ms), Some(downtime_ms));
    (tenant.at_least_ms, tenant.at_most_ms) = (Some(at_least_ms), Some(at_most_ms));
}

fn not_down() -> ClassDowntime {
    ClassDowntime { downtime_ms: Some(0.0), at_least_ms: Some(0.0), at_most_ms: Some(0.0), windows: vec![] }
}

/// One window with its bounds, as the class's only one.
fn down_from(started_ms: f64, downtime_ms: f64, source: Source) -> ClassDowntime {
    let (at_least_ms, at_most_ms) = (downtime_ms - 80.25, Some(downtime_ms + 130.5));
    let ended_ms = Some(started_ms + downtime_ms);
    let window = Window { started_ms, ended_ms, at_least_ms, at_most_ms, open: false, source };
    ClassDowntime { downtime_ms: Some(downtime_ms), at_least_ms: Some(at_least_ms), at_most_ms, windows: vec![window] }
}

fn phases_of(p50_us: [u64; 3]) -> LatencyByPhase {
    let [before, upgrade, after] = p50_us.map(|p50| Latency {
        count: 9_000,
        p50_us: Some(p50),
        p75_us: Some(p50 * 2),
        p90_us: Some(p50 * 3),
        p95_us: Some(p50 * 4),
        p99_us: Some(p50 * 12),
        p999_us: Some(p50 * 60),
        max_us: Some(p50 * 400),
    });
    LatencyByPhase { before, upgrade, after }
}

fn statement_slower_after() -> Statement {
    let by_phase = phases_of([1_000, 1_000, 5_200]);
    Statement {
        fingerprint: "00c0ffee00c0ffee".into(),
        sql: Some("SELECT o.id, o.total FROM orders o WHERE o.tenant_id = $1 AND o.total < $2".into()),
        class: Some("read".into()),
        before: by_phase.before,
        upgrade: by_phase.upgrade,
        after: by_phase.after,
        p99_ratio: Some(5.2),
        new_errors: 0,
    }
}

/// A second a point: steady, then down from 22 s to 30 s, then slow for a while.
fn series(seconds: u32) -> Series {
    let point = |second: u32| {
        let wave = u64::from(second * 7 % 11);
        let (ok, failed, slower) = match second {
            22 => (90, 210 + wave, 40),
            23..=29 => (0, 300 + wave * 3, 0),
            30..=36 => (300 + wave, 2, u64::from(40 - second)),
            _ => (300 + wave * 2, 0, 1),
        };
        Point {
            at_ms: f64::from(second) * 1e3,
            ok,
            failed,
            p50_us: (ok > 0).then_some(900 * slower + wave * 20),
            p99_us: (ok > 0).then_some(9_000 * slower + wave * 900),
        }
    };
    Series { interval_ms: 1e3, points: (0..seconds).map(point).collect() }
}
