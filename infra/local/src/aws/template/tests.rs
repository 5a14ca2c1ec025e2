//! The real template as it is read.

use super::*;

#[test]
fn the_bundled_template_describes_the_table() {
    let table = Template::bundled().unwrap().table;
    assert_eq!((table.keys.hash.as_str(), table.keys.range.as_deref()), ("pk", Some("sk")));
    assert_eq!(table.ttl, "ttl");
    let due = &table.indexes["due"];
    assert_eq!(
        (due.keys.hash.as_str(), due.keys.range.as_deref(), due.projection.as_str()),
        ("queue", Some("due"), "KEYS_ONLY")
    );
    assert_eq!(table.attributes.keys().collect::<Vec<_>>(), ["due", "pk", "queue", "sk"]);
}

#[test]
fn the_stream_has_exactly_the_two_readers_that_report_what_failed() {
    let readers = Template::bundled().unwrap().readers;
    let functions: BTreeSet<_> = readers.iter().map(|reader| reader.function).collect();
    assert_eq!(functions, BTreeSet::from([FunctionName::Mail, FunctionName::ThresholdAlerts]));
    assert_eq!(readers.len(), 2);
    for reader in readers {
        assert!(reader.partial && reader.bisect && reader.retries > 0, "{reader:?}");
        // The mailer has two, for outbox rows and asks; the alerts have one, for spending.
        let filters = if reader.function == FunctionName::Mail { 2 } else { 1 };
        assert_eq!(reader.filters.len(), filters);
    }
}

#[test]
fn the_work_and_the_drain_run_each_minute() {
    let template = Template::bundled().unwrap();
    for (function, input) in
        [(FunctionName::Console, r#"{"task":"work"}"#), (FunctionName::Mail, r#"{"task":"drain"}"#)]
    {
        let input: Value = serde_json::from_str(input).unwrap();
        let schedule = template.schedules.iter().find(|s| s.function == function && s.input == input);
        assert_eq!(schedule.unwrap().expression, Expression::parse("rate(1 minute)").unwrap());
    }
}

#[test]
fn the_console_has_its_own_pages_and_claim_all_others() {
    let routes = Template::bundled().unwrap().routes;
    let routes: BTreeSet<_> = routes.iter().map(|route| (route.key.as_str(), route.function)).collect();
    assert_eq!(
        routes,
        BTreeSet::from([
            ("$default", FunctionName::Claim),
            ("ANY /c/{proxy+}", FunctionName::Claim),
            ("POST /code", FunctionName::Claim),
            ("POST /link", FunctionName::Claim),
            ("ANY /console", FunctionName::Console),
            ("ANY /console/{proxy+}", FunctionName::Console),
        ])
    );
}

#[test]
fn every_function_has_its_time_out_and_its_retries() {
    let functions = Template::bundled().unwrap().functions;
    assert_eq!(functions.len(), 5);
    assert_eq!(functions[&FunctionName::Claim].timeout, Duration::from_secs(29));
    assert_eq!(functions[&FunctionName::UsageSync].timeout, Duration::from_secs(900));
    assert_eq!(functions[&FunctionName::UsageSync].retries, 0);
    assert_eq!(functions[&FunctionName::Console].retries, 2);
}
