//! What objectives are read as, what is refused and where, and that the canonical text reads back.

#![allow(clippy::unwrap_used)]

use std::time::Duration;

use proptest::prelude::*;

use super::*;
use crate::objective::with_defaults;

fn canonical(text: &str) -> String {
    parse(text).unwrap().to_string()
}

/// The part of the text at which an error points, with its message and hint.
fn refused(text: &str) -> (&str, String, String) {
    let error = parse(text).unwrap_err();
    (&text[error.at.clone()], error.message, error.hint.unwrap_or_default())
}

#[test]
fn every_form_of_the_grammar_is_read() {
    for (text, expected) in [
        ("downtime max < 30s", "downtime max < 30s"),
        ("downtime<30s", "downtime max < 30s"),
        ("downtime.write{tier=gold,region=eu-*} p90 <= 1.5 s", "downtime.write{tier=gold, region=eu-*} p90 <= 1.5s"),
        ("latency.p99{phase=after} <= 1.5x before", "latency.p99{phase=after} max <= 1.5x before"),
        (
            "latency.p99.9 { phase = after , tenant=\"a, b\" } mean < 50ms",
            "latency.p999{phase=after, tenant=\"a, b\"} mean < 50ms",
        ),
        ("service.p50 < 2ms", "service.p50 max < 2ms"),
        ("errors.new{phase=after} == 0", "errors.new{phase=after} == 0"),
        ("divergence < 0.5%", "divergence < 0.5%"),
        ("step(pg_upgrade).duration <= 2m", "step(pg_upgrade).duration <= 2m"),
        ("step(\"drain (all)\").duration <= 90s", "step(\"drain (all)\").duration <= 90s"),
        ("held == 0", "held max == 0s"),
        ("recovery >= 1us", "recovery max >= 1us"),
    ] {
        assert_eq!(canonical(text), expected);
        assert_eq!(canonical(expected), expected);
    }
}

#[test]
fn a_misspelt_name_is_pointed_at_with_the_one_that_was_meant() {
    let cases = [
        ("downtme max < 30s", "downtme", "did you mean downtime?"),
        ("latency.p99{phse=after} < 1s", "phse", "did you mean \"phase\"?"),
        ("latency.p99{phase=aftr} < 1s", "aftr", "did you mean \"after\"?"),
        ("downtime maxx < 30s", "maxx", "did you mean \"max\"?"),
        ("downtime = 30s", "=", "write == for equality"),
        ("latency.q99 < 1s", "q99", "times have p50, p75, p90, p95, p99 and p999 (99.9 percent)"),
        ("latency < 1s", "latency", "write latency.p99"),
    ];
    for (text, at, hint) in cases {
        let (pointed, _, hinted) = refused(text);
        assert_eq!((pointed, hinted.as_str()), (at, hint), "{text}");
    }
}

#[test]
fn bounds_that_do_not_fit_their_metric_are_refused() {
    for (text, at) in [
        ("downtime < 30", "30"),
        ("downtime < 30%", "30%"),
        ("downtime < 2x before", "2x before"),
        ("lost_writes == 0s", "0s"),
        ("lost_writes < 1%", "1%"),
        ("errors.new < 0.5", "0.5"),
        ("latency.p99 < ", ""),
        ("latency.p99 < 1.5x before", "1.5x before"),
        ("latency.p99{phase=*} < 1.5x before", "1.5x before"),
    ] {
        assert_eq!(refused(text).0, at, "{text}");
    }
}

#[test]
fn what_a_metric_does_not_have_is_refused() {
    assert_eq!(refused("lost_writes{phase=after} == 0").1, "lost_writes takes no filter");
    assert_eq!(refused("downtime{phase=after} == 0").1, "downtime takes no filter by phase");
    assert_eq!(refused("errors.new max == 0").0, "max");
    assert!(refused("latency.p99{phase=warmup} < 1s").2.contains("left out"));
    assert_eq!(refused("downtime{tenant=a,tenant=b} < 1s").0, "tenant=b");
    assert_eq!(refused("").1, "an objective begins with a metric");
}

#[test]
fn defaults_stand_unless_they_are_replaced() {
    let judged = |texts: &[&str]| -> Vec<String> {
        with_defaults(texts.iter().map(|text| parse(text).unwrap()).collect()).iter().map(ToString::to_string).collect()
    };
    assert_eq!(judged(&[]), ["lost_writes == 0", "errors.new{phase=after} == 0"]);
    assert_eq!(judged(&["lost_writes <= 2", "errors.new < 10"]), ["lost_writes <= 2", "errors.new < 10"]);
    assert_eq!(judged(&["errors.new{phase=before} == 0"]).len(), 3);
}

fn percentile() -> impl Strategy<Value = Percentile> {
    (1u32..100_000).prop_map(|millipercent| Percentile::from_millipercent(millipercent).unwrap())
}

fn kept() -> impl Strategy<Value = Percentile> {
    proptest::sample::select(vec![50_000, 75_000, 90_000, 95_000, 99_000, 99_900])
        .prop_map(|millipercent| Percentile::from_millipercent(millipercent).unwrap())
}

fn metric() -> impl Strategy<Value = Metric> {
    prop_oneof![
        Just(Metric::Downtime(None)),
        Just(Metric::Downtime(Some(StatementSide::Write))),
        Just(Metric::Held),
        Just(Metric::Recovery),
        kept().prop_map(Metric::Latency),
        kept().prop_map(Metric::Service),
        Just(Metric::ErrorsNew),
        Just(Metric::LostWrites),
        "[ -~]{1,12}".prop_filter("a name", |name| name.trim() == name).prop_map(Metric::StepDuration),
    ]
}

fn objective() -> impl Strategy<Value = Objective> {
    let stat = prop_oneof![Just(Stat::Max), Just(Stat::Mean), percentile().prop_map(Stat::Percentile)];
    (metric(), proptest::option::of("[ -~é]{0,8}"), stat, 0usize..5, 0u64..10_000_000, any::<bool>()).prop_map(
        |(metric, tenant, stat, op, number, other)| {
            let takes_tenant = metric.filter_keys().contains(&FilterKey::Tenant);
            let tenant = tenant
                .filter(|_| takes_tenant)
                .map(|name| Filter { key: FilterKey::Tenant, value: Pattern::new(name) });
            let mut filters: Vec<Filter> = tenant.into_iter().collect();
            let compares = matches!(metric, Metric::Latency(_)) && other;
            if compares {
                filters.push(Filter { key: FilterKey::Phase, value: Pattern::new("after") });
            }
            let bound = match metric.dimension() {
                Dimension::Time if compares => Bound::TimesBefore((number + 1) as f64 / 8.0),
                Dimension::Time => Bound::Time(Duration::from_micros(number)),
                Dimension::Count if other && metric != Metric::LostWrites => Bound::Percent(number as f64 / 16.0),
                Dimension::Count => Bound::Count(number),
            };
            let stat = if metric.is_per_tenant() { stat } else { Stat::Max };
            Objective { metric, filters, stat, op: Op::ALL[op], bound }
        },
    )
}

proptest! {
    #[test]
    fn the_canonical_text_reads_back(objective in objective()) {
        let text = objective.to_string();
        prop_assert_eq!(parse(&text), Ok(objective), "{}", text);
    }

    #[test]
    fn any_text_is_read_or_refused_within_itself(text in "\\PC{0,40}") {
        if let Err(error) = parse(&text) {
            prop_assert!(text.get(error.at).is_some());
        }
    }
}
