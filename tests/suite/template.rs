//! `template.yaml`: what a deployed stack must not lose, and what nothing else would notice before AWS does.

use std::collections::{BTreeMap, BTreeSet};

use bursar_tests::permissions::{TEMPLATE, texts};
use serde_json::{Value, json};

/// The resources of a type, by name.
fn of_type(kind: &str) -> BTreeMap<&'static str, &'static Value> {
    let resources = TEMPLATE["Resources"].as_object().unwrap().iter();
    resources.filter(|(_, each)| each["Type"] == kind).map(|(name, each)| (name.as_str(), each)).collect()
}

/// The events of a type, with their functions.
fn events(kind: &str) -> Vec<(&'static str, &'static Value)> {
    let functions = of_type("AWS::Serverless::Function").into_iter();
    let events = functions.filter_map(|(name, each)| Some((name, each["Properties"]["Events"].as_object()?)));
    let events = events.flat_map(|(name, events)| events.values().map(move |event| (name, event)));
    events.filter(|(_, event)| event["Type"] == kind).map(|(name, event)| (name, &event["Properties"])).collect()
}

#[test]
fn table_and_secret_outlive_the_stack_and_no_change_begins_empty_ones() {
    let policy: Value = serde_json::from_str(include_str!("../../infra/stack-policy.json")).unwrap();
    let denied = policy["Statement"].as_array().unwrap().iter().find(|each| each["Effect"] == "Deny").unwrap();
    assert_eq!(denied["Action"], json!(["Update:Replace", "Update:Delete"]));
    assert_eq!(denied["Resource"], json!(["LogicalResourceId/Table", "LogicalResourceId/ManagementKey"]));
    for (name, kind) in [("Table", "AWS::DynamoDB::Table"), ("ManagementKey", "AWS::SecretsManager::Secret")] {
        let found = of_type(kind);
        assert_eq!(found.keys().collect::<Vec<_>>(), [&name], "under this name and type alone");
        let resource = found[name];
        assert_eq!(
            (&resource["DeletionPolicy"], &resource["UpdateReplacePolicy"]),
            (&json!("Retain"), &json!("Retain"))
        );
        assert!(resource.get("Condition").is_none(), "{name} is always there");
    }
    let secret = &of_type("AWS::SecretsManager::Secret")["ManagementKey"]["Properties"];
    assert_eq!(secret.as_object().unwrap().keys().collect::<Vec<_>>(), ["Description"], "no name, and no value");
    let table = &of_type("AWS::DynamoDB::Table")["Table"]["Properties"];
    assert_eq!(table.get("TableName"), None);
    let keys = [("pk", "HASH"), ("sk", "RANGE")].map(|(name, kind)| json!({"AttributeName": name, "KeyType": kind}));
    assert_eq!(table["KeySchema"], json!(keys));
    for name in ["pk", "sk"] {
        let types = table["AttributeDefinitions"].as_array().unwrap();
        assert!(types.contains(&json!({"AttributeName": name, "AttributeType": "S"})), "{name}");
    }
    assert_eq!(table["DeletionProtectionEnabled"], true);
    let recovery = json!({"PointInTimeRecoveryEnabled": true, "RecoveryPeriodInDays": 35});
    assert_eq!(table["PointInTimeRecoverySpecification"], recovery);
}

#[test]
fn the_stream_has_two_readers_with_filters_and_dead_letters() {
    let readers = events("DynamoDB");
    let mut functions: Vec<_> = readers.iter().map(|(function, _)| *function).collect();
    functions.sort_unstable();
    assert_eq!(functions, ["Mail", "ThresholdAlerts"]);
    let letters = json!({"OnFailure": {"Type": "SQS", "Destination": {"Fn::GetAtt": ["DeadLetters", "Arn"]}}});
    for (function, reader) in readers {
        let own = json!({"Fn::GetAtt": ["Table", "StreamArn"]});
        assert_eq!(reader["Stream"], json!({"Fn::If": ["TableGiven", {"Ref": "TableStreamArn"}, own]}), "{function}");
        let filters = reader["FilterCriteria"]["Filters"].as_array().unwrap();
        assert!(!filters.is_empty(), "{function}");
        for filter in filters {
            let pattern: Value = serde_json::from_str(filter["Pattern"].as_str().unwrap()).unwrap();
            assert!(pattern["dynamodb"]["NewImage"]["kind"]["S"].is_array(), "{function}: {pattern}");
        }
        assert_eq!(reader["FunctionResponseTypes"], json!(["ReportBatchItemFailures"]), "{function}");
        assert_eq!(reader["BisectBatchOnFunctionError"], true, "{function}");
        let bounds = (reader["MaximumRetryAttempts"].as_u64(), reader["MaximumRecordAgeInSeconds"].as_u64());
        assert!(matches!(bounds, (Some(1..=100), Some(60..=86_400))), "{function}: {bounds:?}");
        assert_eq!(reader["DestinationConfig"], letters, "{function}");
    }
    for (function, _) in events("Schedule").into_iter().chain(events("SNS")) {
        let properties = &of_type("AWS::Serverless::Function")[function]["Properties"];
        assert_eq!(properties["EventInvokeConfig"]["DestinationConfig"], letters, "{function}");
    }
}

#[test]
fn roles_name_their_actions_and_those_that_face_strangers_their_partitions() {
    let roles = of_type("AWS::IAM::Role");
    assert_eq!(roles.len(), 5);
    for (role, resource) in roles {
        let [policy] = &resource["Properties"]["Policies"].as_array().unwrap()[..] else {
            panic!("{role}: one policy")
        };
        let statements = policy["PolicyDocument"]["Statement"].as_array().unwrap();
        assert!(resource["Properties"].get("ManagedPolicyArns").is_none(), "{role}");
        for statement in statements.iter().filter(|each| each["Effect"] == "Allow") {
            let sid = &statement["Sid"];
            assert!(texts(&statement["Action"]).count() > 0, "{role} {sid} names what it allows");
            assert!(texts(&statement["Action"]).all(|action| !action.contains(['*', '?'])), "{role} {sid}");
            let quota = ["ses:GetAccountSendingEnabled", "ses:GetSendQuota"];
            let everywhere = texts(&statement["Action"]).all(|action| quota.contains(&action));
            assert!(statement["Resource"] != "*" || everywhere, "{role} {sid}");
            let beside = ["/index/due", "/stream/*"];
            let arn = statement["Resource"]["Fn::Sub"][0].as_str().unwrap_or_default();
            let of_the_table = texts(&statement["Action"]).any(|action| action.starts_with("dynamodb:"))
                && !beside.iter().any(|beside| arn.ends_with(beside));
            if of_the_table && ["ClaimRole", "MailRole"].contains(&role) {
                // A pattern may stand for a kind of partition, not for all.
                let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
                assert!(texts(keys).count() > 0, "{role} {sid}");
                assert!(texts(keys).all(|key| !key.trim_end_matches("#*").contains('*')), "{role} {sid}: {keys}");
                assert!(role == "ClaimRole" || texts(keys).all(|key| key != "S#*"), "{role} {sid}: sessions");
            }
        }
        let no_session = json!({"Sid": "NoSession", "Effect": "Deny", "Action": "dynamodb:*", "Resource": "*",
            "Condition": {"ForAnyValue:StringLike": {"dynamodb:LeadingKeys": ["S#*"]}}});
        let confined_or_knows = ["ClaimRole", "MailRole", "ConsoleRole"].contains(&role);
        assert!(confined_or_knows != statements.contains(&no_session), "{role}: whether sessions are denied");
    }
}

#[test]
fn each_door_has_a_rate_of_its_own_below_that_of_all_else() {
    let stage = &of_type("AWS::ApiGatewayV2::Stage")["Stage"];
    let routes = of_type("AWS::ApiGatewayV2::Route");
    let after: BTreeSet<_> = texts(&stage["DependsOn"]).collect();
    let (all_else, doors) = (&stage["Properties"]["DefaultRouteSettings"], &stage["Properties"]["RouteSettings"]);
    assert_eq!(doors.as_object().unwrap().len(), 3);
    for door in ["POST /link", "POST /code", "ANY /c/{proxy+}"] {
        let [rate, burst] = ["ThrottlingRateLimit", "ThrottlingBurstLimit"].map(|each| doors[door][each].as_u64());
        assert!(rate.unwrap() < all_else["ThrottlingRateLimit"].as_u64().unwrap(), "{door}");
        assert!(burst.unwrap() >= 1_000, "{door} takes a lecture hall");
        let route = routes.iter().find(|(_, route)| route["Properties"]["RouteKey"] == door).unwrap().0;
        assert!(after.contains(route), "{door} is limited once it is there");
    }
}

#[test]
fn schedules_are_spelled_as_aws_takes_them_and_time_outs_are_those_that_functions_count_with() {
    let mut schedules: Vec<_> = events("Schedule")
        .into_iter()
        .map(|(function, event)| {
            let expression = event["Schedule"].as_str().or_else(|| event["Schedule"]["Fn::Sub"].as_str()).unwrap();
            (function, expression, event["Input"].as_str().unwrap())
        })
        .collect();
    schedules.sort_unstable();
    assert_eq!(
        schedules,
        [
            ("Console", "rate(1 minute)", r#"{"task":"work"}"#),
            ("Mail", "rate(1 minute)", r#"{"task":"drain"}"#),
            ("ThresholdAlerts", "rate(1 hour)", r#"{"task":"watch"}"#),
            ("UsageSync", "cron(20 ${SyncHour} * * ? *)", "{}"),
            ("UsageSync", "rate(15 minutes)", r#"{"task":"resume"}"#),
        ]
    );
    let functions = of_type("AWS::Serverless::Function");
    let time_outs: Vec<_> =
        functions.iter().map(|(name, each)| (*name, each["Properties"]["Timeout"].as_u64())).collect();
    let wanted = [("Claim", 29), ("Console", 29), ("Mail", 80), ("ThresholdAlerts", 120), ("UsageSync", 900)];
    assert_eq!(time_outs, wanted.map(|(name, seconds)| (name, Some(seconds))));
}
