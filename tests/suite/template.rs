//! `template.yaml`: what a deployed stack must not lose, and what nothing else would notice before
//! AWS does.

use std::collections::{BTreeMap, BTreeSet};

use bursar_local::invoke::FunctionName;
use bursar_local::wiring;
use bursar_tests::permissions::{TEMPLATE, texts};
use serde_json::{Value, json};

/// The properties of a resource.
fn of(name: &str) -> &'static Value {
    &TEMPLATE["Resources"][name]["Properties"]
}

/// The resources of a type, by name.
fn of_type(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    let resources = TEMPLATE["Resources"].as_object().unwrap().iter();
    resources
        .filter(|(_, each)| each["Type"] == kind)
        .map(|(name, each)| (name.as_str(), each))
        .collect()
}

/// The events of a type, with their functions.
fn events(kind: &str) -> Vec<(&'static str, &'static Value)> {
    let functions = of_type("AWS::Serverless::Function").into_iter();
    let events = functions
        .filter_map(|(name, each)| Some((name, each["Properties"]["Events"].as_object()?)));
    let events = events.flat_map(|(name, events)| events.values().map(move |event| (name, event)));
    events
        .filter(|(_, event)| event["Type"] == kind)
        .map(|(name, event)| (name, &event["Properties"]))
        .collect()
}

/// Later the digests of a morning in Europe would not know the last day.
#[test]
fn the_night_is_read_by_the_morning() {
    let hour = &TEMPLATE["Parameters"]["SyncHour"];
    assert_eq!(
        [&hour["MinValue"], &hour["Default"], &hour["MaxValue"]],
        [0, 0, 4]
    );
}

#[test]
fn table_and_secret_outlive_the_stack() {
    let policy: Value =
        serde_json::from_str(include_str!("../../infra/stack-policy.json")).unwrap();
    let denied = policy["Statement"]
        .as_array()
        .unwrap()
        .iter()
        .find(|each| each["Effect"] == "Deny")
        .unwrap();
    assert_eq!(denied["Action"], json!(["Update:Replace", "Update:Delete"]));
    assert_eq!(
        denied["Resource"],
        json!(["LogicalResourceId/Table", "LogicalResourceId/ManagementKey"])
    );
    for (name, kind) in [
        ("Table", "AWS::DynamoDB::Table"),
        ("ManagementKey", "AWS::SecretsManager::Secret"),
    ] {
        let mut found = of_type(kind);
        // The sign-on provider makes another.
        found.remove("SignOnSecret");
        assert_eq!(
            found.keys().collect::<Vec<_>>(),
            [&name],
            "under this name and type alone"
        );
        let policies = ["DeletionPolicy", "UpdateReplacePolicy", "Condition"]
            .map(|policy| found[name][policy].as_str());
        // A restored table is imported in the place of the stack's own.
        let condition = (name == "Table").then_some("TableHeld");
        assert_eq!(
            policies,
            [Some("Retain"), Some("Retain"), condition],
            "{name}"
        );
    }
    let secret = of("ManagementKey").as_object().unwrap();
    assert_eq!(
        secret.keys().collect::<Vec<_>>(),
        ["Description", "KmsKeyId"],
        "no name, and no value"
    );
    let table = of("Table");
    assert_eq!(table.get("TableName"), None);
    assert_eq!(table["DeletionProtectionEnabled"], true);
    let recovery = json!({"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 35});
    assert_eq!(table["PointInTimeRecoverySpecification"], recovery);
}

#[test]
fn each_reader_has_filters_and_dead_letters() {
    let letters = json!({"OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}});
    for (function, reader) in events("DynamoDB") {
        let own = json!({"Fn::GetAtt": ["Table", "StreamArn"]});
        assert_eq!(
            reader["Stream"],
            json!({"Fn::If": ["TableGiven", {"Ref": "TableStreamArn"}, own]}),
            "{function}"
        );
        let filters = reader["FilterCriteria"]["Filters"].as_array().unwrap();
        assert!(!filters.is_empty(), "{function}");
        for filter in filters {
            let pattern: Value = serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap();
            assert!(
                pattern["dynamodb"]["NewImage"]["kind"]["S"].is_array(),
                "{function}: {pattern}"
            );
        }
        assert_eq!(
            reader["FunctionResponseTypes"],
            json!(["ReportBatchItemFailures"]),
            "{function}"
        );
        assert_eq!(reader["BisectBatchOnFunctionError"], true, "{function}");
        let bounds = (
            reader["MaximumRetryAttempts"].as_u64(),
            reader["MaximumRecordAgeInSeconds"].as_u64(),
        );
        assert!(
            matches!(bounds, (Some(1..=100), Some(60..=86_400))),
            "{function}: {bounds:?}"
        );
        assert_eq!(reader["DestinationConfig"], letters, "{function}");
    }
    for (function, _) in events("Schedule").into_iter().chain(events("SNS")) {
        assert_eq!(
            of(function)["EventInvokeConfig"]["DestinationConfig"],
            letters,
            "{function}"
        );
    }
}

#[test]
fn roles_name_their_actions_and_partitions() {
    let roles = of_type("AWS::IAM::Role");
    assert_eq!(roles.len(), 5);
    for (role, resource) in roles {
        let [policy] = &resource["Properties"]["Policies"].as_array().unwrap()[..] else {
            panic!("{role}: one policy")
        };
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        assert!(
            resource["Properties"].get("ManagedPolicyArns").is_none(),
            "{role}"
        );
        assert_eq!(
            resource["Properties"]["PermissionsBoundary"]["Fn::If"][1]["Ref"],
            "PermissionsBoundary",
            "{role}"
        );
        for statement in statements.iter().filter(|each| each["Effect"] == "Allow") {
            let sid = &statement["Sid"];
            assert!(
                texts(&statement["Action"]).count() > 0,
                "{role} {sid} names what it allows"
            );
            assert!(
                texts(&statement["Action"]).all(|action| !action.contains(['*', '?'])),
                "{role} {sid}"
            );
            let quota = [
                "ses:GetAccountSendingEnabled",
                "ses:GetSendQuota",
                "ses:GetSendStatistics",
            ];
            let everywhere = texts(&statement["Action"]).all(|action| quota.contains(&action));
            assert!(statement["Resource"] != "*" || everywhere, "{role} {sid}");
            let beside = ["/index/due", "/stream/*"];
            let arn = statement["Resource"]["Fn::Sub"][0]
                .as_str()
                .unwrap_or_default();
            let of_the_table = texts(&statement["Action"])
                .any(|action| action.starts_with("dynamodb:"))
                && !beside.iter().any(|beside| arn.ends_with(beside));
            if of_the_table && ["ClaimRole", "MailRole"].contains(&role) {
                // A pattern may stand for a kind of partition, not for all.
                let keys =
                    &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
                assert!(texts(keys).count() > 0, "{role} {sid}");
                assert!(
                    texts(keys).all(|key| !key.trim_end_matches("#*").contains('*')),
                    "{role} {sid}: {keys}"
                );
                assert!(
                    role == "ClaimRole" || texts(keys).all(|key| key != "S#*"),
                    "{role} {sid}: sessions"
                );
            }
        }
        let no_session = json!({"Sid": "NoSession", "Effect": "Deny", "Action": "dynamodb:*", "Resource": "*",
            "Condition": {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": ["L#*", "S#*"]}}});
        let confined_or_knows = ["ClaimRole", "MailRole", "ConsoleRole"].contains(&role);
        assert!(
            confined_or_knows != statements.contains(&no_session),
            "{role}: whether sessions are denied"
        );
    }
}

#[test]
fn alarms_reach_the_operator_when_they_begin_and_when_they_end() {
    let alarms = of_type("AWS::CloudWatch::Alarm");
    assert_eq!(alarms.len(), 14);
    for (name, alarm) in alarms {
        let hears = ["AlarmActions", "OKActions"].map(|each| &alarm["Properties"][each]);
        assert_eq!(hears, [&json!([{"Ref": "OperatorTopic"}]); 2], "{name}");
    }
}

#[test]
fn each_door_has_a_rate_of_its_own() {
    let routes = of_type("AWS::ApiGatewayV2::Route");
    let after: BTreeSet<_> = texts(&TEMPLATE["Resources"]["Stage"]["DependsOn"]).collect();
    let (all_else, doors) = (
        &of("Stage")["DefaultRouteSettings"],
        &of("Stage")["RouteSettings"],
    );
    let named = [
        "POST /link",
        "POST /code",
        "POST /sign-on",
        "GET /sign-on/callback",
        "ANY /c/{proxy+}",
    ];
    assert_eq!(doors.as_object().unwrap().len(), named.len());
    for door in named {
        let [rate, burst] =
            ["ThrottlingRateLimit", "ThrottlingBurstLimit"].map(|each| doors[door][each].as_u64());
        assert!(
            rate.unwrap() < all_else["ThrottlingRateLimit"].as_u64().unwrap(),
            "{door}"
        );
        assert!(burst.unwrap() >= 1_000, "{door} takes a lecture hall");
        let route = routes
            .iter()
            .find(|(_, route)| route["Properties"]["RouteKey"] == door)
            .unwrap()
            .0;
        assert!(after.contains(route), "{door} is limited once it is there");
    }
}

#[test]
fn the_lab_is_wired_as_the_template() {
    let table = of("Table");
    let made = wiring::create_table("bursar");
    for part in [
        "AttributeDefinitions",
        "BillingMode",
        "GlobalSecondaryIndexes",
        "KeySchema",
    ] {
        assert_eq!(table[part], made[part], "{part}");
    }
    let images = |table: &Value| table["StreamSpecification"]["StreamViewType"].clone();
    assert_eq!(images(table), images(&made));
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({"AttributeName": wiring::TTL, "Enabled": true})
    );

    let time_outs = of_type("AWS::Serverless::Function").into_keys();
    let time_outs = time_outs.map(|name| (function(name), of(name)["Timeout"].as_u64().unwrap()));
    assert_eq!(
        time_outs.collect::<BTreeMap<_, _>>(),
        BTreeMap::from(FunctionName::ALL.map(|each| (each, wiring::time_out(each).as_secs())))
    );

    let routes = of_type("AWS::ApiGatewayV2::Route")
        .into_values()
        .map(|route| {
            let target = route["Properties"]["Target"]["Fn::Sub"].as_str().unwrap();
            let name = target
                .strip_prefix("integrations/${")
                .and_then(|name| name.strip_suffix('}'))
                .unwrap();
            assert_eq!(of(name)["PayloadFormatVersion"], "2.0", "{name}");
            let runs = of(name)["IntegrationUri"]["Fn::GetAtt"][0]
                .as_str()
                .unwrap();
            (
                route["Properties"]["RouteKey"].as_str().unwrap(),
                function(runs),
            )
        });
    assert_eq!(
        routes.collect::<BTreeMap<_, _>>(),
        BTreeMap::from(wiring::ROUTES)
    );

    let readers = events("DynamoDB").into_iter().map(|(name, reader)| {
        let patterns = reader["FilterCriteria"]["Filters"]
            .as_array()
            .unwrap()
            .iter();
        let patterns = patterns
            .map(|filter| serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap());
        let bounds =
            ["BatchSize", "MaximumRetryAttempts"].map(|bound| reader[bound].as_u64().unwrap());
        (function(name), (patterns.collect::<Vec<Value>>(), bounds))
    });
    let wired = wiring::READERS.iter().map(|reader| {
        let patterns = reader.filters.iter().map(pattern);
        (
            reader.function,
            (
                patterns.collect::<Vec<Value>>(),
                [reader.batch_size as u64, reader.retries.into()],
            ),
        )
    });
    assert_eq!(
        readers.collect::<BTreeMap<_, _>>(),
        wired.collect::<BTreeMap<_, _>>()
    );

    let schedules = events("Schedule").into_iter().map(|(name, event)| {
        let spelled = event["Schedule"]
            .as_str()
            .or_else(|| event["Schedule"]["Fn::Sub"].as_str())
            .unwrap();
        let retries = of(name)["EventInvokeConfig"]["MaximumRetryAttempts"]
            .as_u64()
            .unwrap();
        (
            function(name),
            event["Input"].as_str().map(str::to_owned),
            spelled,
            retries,
        )
    });
    let wired = wiring::SCHEDULES.iter().map(|schedule| {
        let spelled = match schedule.every.as_mins() {
            1 => "rate(1 minute)",
            15 => "rate(15 minutes)",
            60 => "rate(1 hour)",
            1440 => "cron(20 ${SyncHour} * * ? *)",
            minutes => panic!("say how every {minutes} minutes is spelled"),
        };
        let input = schedule.task.map(|_| schedule.input().to_string());
        (schedule.function, input, spelled, schedule.retries.into())
    });
    assert_eq!(
        schedules.collect::<BTreeSet<_>>(),
        wired.collect::<BTreeSet<_>>()
    );

    let [(hears, topic)] = events("SNS")[..] else {
        panic!("one function hears of mail")
    };
    assert_eq!(
        (function(hears), &topic["Topic"]["Ref"]),
        (wiring::HEARS_MAIL_EVENTS, &json!("MailOutcomes"))
    );
}

/// The function whose code this one has.
fn function(name: &str) -> FunctionName {
    let code = of(name)["CodeUri"].as_str().unwrap();
    code.trim_end_matches('/')
        .rsplit('/')
        .next()
        .unwrap()
        .parse()
        .unwrap()
}

/// A filter as the template spells it.
fn pattern(filter: &wiring::Filter) -> Value {
    let image = filter
        .image
        .iter()
        .map(|(name, texts)| ((*name).to_owned(), json!({ "S": texts })));
    let mut pattern = json!({"dynamodb": {"NewImage": Value::Object(image.collect())}});
    if filter.inserts {
        pattern["eventName"] = json!(["INSERT"]);
    }
    pattern
}
