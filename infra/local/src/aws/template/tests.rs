//! The real template as it is read, and the parts for which a template is refused.

use super::*;

/// The bundled template with a change.
fn changed(from: &str, to: &str) -> Result<Template> {
    let yaml = include_str!("../../../../../template.yaml");
    assert!(yaml.contains(from), "{from}");
    Template::read(&yaml.replacen(from, to, 1))
}

fn refusal(from: &str, to: &str) -> String {
    format!("{:#}", changed(from, to).unwrap_err())
}

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

#[test]
fn what_is_not_understood_is_an_error_that_names_the_place() {
    for (from, to, wanted) in [
        ("BillingMode: PAY_PER_REQUEST", "BillingMode: PROVISIONED", "Table"),
        (
            "      TimeToLiveSpecification:",
            "      LocalSecondaryIndexes: []\n      TimeToLiveSpecification:",
            "LocalSecondaryIndexes",
        ),
        ("StreamViewType: NEW_AND_OLD_IMAGES", "StreamViewType: KEYS_ONLY", "KEYS_ONLY"),
        ("rate(1 minute)", "rate(1 minutes)", "singular"),
        ("cron(20 ${SyncHour} * * ? *)", "cron(20 ${SyncHour} L * ? *)", "Events.Nightly"),
        ("cron(20 ${SyncHour} * * ? *)", "cron(20 ${Origins} * * ? *)", "Origins is no parameter"),
        ("BatchSize: 100", "BatchSize: 100\n            ParallelizationFactor: 2", "ParallelizationFactor"),
        ("MaximumRetryAttempts: 20", "MaximumRetryAttempts: -1", "Events.Spending"),
        ("MaximumRetryAttempts: 20\n", "\n", "MaximumRetryAttempts"),
        (r#""kind":{"S":["pot","reading","totals"]}"#, r#""kind":{"S":[{"suffix":"s"}]}"#, "suffix"),
        ("AWS::SQS::Queue", "AWS::Scheduler::Schedule", "AWS::Scheduler::Schedule"),
        ("StartingPosition: TRIM_HORIZON", "StartingPosition: LATEST", "LATEST"),
        ("target/lambda/mail/", "target/lambda/post/", "post"),
        ("PayloadFormatVersion: '2.0'", "PayloadFormatVersion: '1.0'", "PayloadFormatVersion"),
        ("Type: SNS\n", "Type: HttpApi\n", "HttpApi"),
        ("integrations/${ConsoleIntegration}", "integrations/${Consoles}", "is no integration"),
        ("IntegrationType: AWS_PROXY", "IntegrationType: HTTP_PROXY", "HTTP_PROXY"),
        (
            "Fn::GetAtt: [Console, Arn]\n      PayloadFormatVersion",
            "Fn::GetAtt: [Table, Arn]\n      PayloadFormatVersion",
            "no function's Arn",
        ),
        ("      Timeout: 29", "      Timeout: 29\n      SnapStart: {}", "SnapStart"),
        ("Type: AWS::DynamoDB::Table", "Type: AWS::DynamoDB::Table\n    Condition: DomainGiven", "no conditions"),
        ("Resources:\n", "Mappings: {}\nResources:\n", "Mappings"),
        ("Topic:\n              Ref: MailOutcomes", "Topic:\n              Ref: Others", "Others"),
    ] {
        let message = refusal(from, to);
        assert!(message.contains(wanted) && message.contains("template.yaml"), "{to}: {message}");
    }
}
