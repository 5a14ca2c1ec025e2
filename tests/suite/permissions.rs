//! Least privilege: each function's role in the template allows exactly what the whole suite saw the function do, and
//! what Lambda does in its name.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use bursar_core::domain::grant::HoldKind;
use bursar_core::domain::values::address::EmailAddress;
use bursar_core::domain::values::token::AskToken;
use bursar_core::store::keys;
use bursar_local::gate::{Call, Service, Shape};
use bursar_local::invoke::FunctionName;
use bursar_tests::documented;
use bursar_tests::invariants::RawTable;
use bursar_tests::office::{Office, session_cookie, soon};
use bursar_tests::permissions::{self, Permission, Place};
use bursar_tests::stack::{self, Left};
use bursar_tests::visitor::Visitor;
use serde_json::{Value, json};

/// The functions whose roles name the partitions of the table.
const CONFINED: [FunctionName; 2] = [FunctionName::Claim, FunctionName::Mail];

#[tokio::test]
async fn what_a_function_does_is_recorded_as_its_policy_names_it() {
    let stack = stack::in_process().await.unwrap();
    // Work for every function: a key to read, an order to disable.
    let office = Office::open(&stack).await;
    for (address, held) in [("ada@example.edu", false), ("bob@example.edu", true)] {
        let grant = office.invite(address).await;
        office.claim(&grant).await;
        if held {
            office
                .table
                .act(office.at(&grant), |view, now| view.hold(HoldKind::Paused, &office.faculty, None, now))
                .await
                .unwrap();
        }
    }
    // A link mail, besides the roster mails.
    let (ada, asked_by) = (EmailAddress::parse("ada@example.edu").unwrap(), AskToken::generate().hash());
    office.table.ask(ada.matched(), &asked_by, stack.clock.now(), soon()).await.unwrap();
    for page in ["/", "/console"] {
        reqwest::get(format!("{}{page}", stack.ready.web)).await.unwrap();
    }
    for (function, event) in [
        (FunctionName::Console, json!({"task": "work"})),
        (FunctionName::UsageSync, json!({})),
        (FunctionName::UsageSync, json!({"task": "rotate"})),
        (FunctionName::Mail, json!({"task": "drain"})),
        (FunctionName::ThresholdAlerts, json!({"task": "watch"})),
        (FunctionName::ThresholdAlerts, json!({"task": "digest"})),
    ] {
        stack.invoke.invoke(function, event).await.unwrap();
    }
    stack.settle.settle(bursar_local::settle::LIMIT).await.unwrap();
    assert!(!stack.ses.unread().is_empty());
    let used = permissions::used(&stack);
    for (function, action) in [
        (FunctionName::Console, "dynamodb:PutItem"),
        (FunctionName::Mail, "dynamodb:Query"),
        (FunctionName::Mail, "dynamodb:UpdateItem"),
        (FunctionName::Mail, "ses:SendRawEmail"),
        (FunctionName::Mail, "ses:GetSendQuota"),
        (FunctionName::Mail, "ses:GetAccountSendingEnabled"),
    ] {
        assert!(used.iter().any(|used| used.function == function && used.action == action), "{function} {action}");
    }
    // Calls that the office made by hand count as the sync's. These are the functions' own calls that must have
    // happened; every caller of the provider needs to read the management key.
    let calls = stack.gate.calls();
    for (function, call) in
        [(FunctionName::UsageSync, "provider:GET /keys"), (FunctionName::Console, "provider:PATCH /keys/{hash}")]
    {
        assert!(
            calls.iter().any(|made| made.call.function == function && made.call.name.to_string() == call),
            "{call}"
        );
    }
    for made in calls.iter().filter(|made| made.call.name.service == Service::Provider) {
        let reads = format!("{} secretsmanager:GetSecretValue", made.call.function);
        assert!(permissions::documented().iter().any(|known| known.to_string() == reads), "{reads}");
    }
    stack.finish().await;
}

#[test]
fn a_call_of_the_table_that_nobody_knows_is_no_permission_that_a_document_lists() {
    let scan = Call {
        number: 1,
        function: FunctionName::Console,
        instance: 1,
        name: "dynamodb:Scan".parse().unwrap(),
        nth: 1,
        nth_of_function: 1,
        nth_of_instance: 1,
        shape: Shape::default(),
    };
    let needed = permissions::needed(scan);
    assert_eq!(needed.iter().map(ToString::to_string).collect::<Vec<_>>(), ["console dynamodb:Scan ?"]);
    assert!(!permissions::documented().contains(&needed[0]));
}

#[tokio::test]
async fn whichever_function_is_the_first_in_a_table_makes_the_item_of_the_deployment() {
    let stack = stack::in_process().await.unwrap();
    let office = Office::open(&stack).await;
    let grant = office.invite("ada@example.edu").await;
    let (ada, cookie) = (Visitor::new(&stack.ready.web), session_cookie(&stack, "ada@example.edu").await);
    let (name, value) = cookie.split_once('=').unwrap();
    ada.set_cookie(name, value);
    let (raw, meta) = (RawTable::at(&stack.ready.dynamodb, &stack.ready.table), keys::meta());
    for first in [FunctionName::Mail, FunctionName::ThresholdAlerts, FunctionName::UsageSync, FunctionName::Claim] {
        let delete = raw.client().delete_item().table_name(raw.name());
        let text = |text: &str| AttributeValue::S(text.to_owned());
        delete.key("pk", text(&meta.pk)).key("sk", text(&meta.sk)).send().await.unwrap();
        match first {
            FunctionName::Mail => drop(stack.invoke.invoke(first, json!({"task": "drain"})).await.unwrap()),
            FunctionName::ThresholdAlerts => drop(stack.invoke.invoke(first, json!({"task": "watch"})).await.unwrap()),
            FunctionName::UsageSync => drop(stack.invoke.invoke(first, json!({})).await.unwrap()),
            FunctionName::Claim | FunctionName::Console => {
                let reveal = ada.get("/my").await.form(&format!("/my/{}/reveal", office.at(&grant).programme));
                ada.send_form(&reveal).await.expect(200);
            }
        }
        assert!(office.table.known_meta().await.unwrap().is_some(), "{first}");
    }
    stack.finish_leaving(&[Left::PerhapsMails]).await;
}

#[test]
fn each_role_allows_what_its_function_does_and_lambda_in_its_name_and_nothing_else() {
    let differences = differences(&template());
    assert!(differences.is_empty(), "{differences:#?}");
    let used: BTreeSet<String> = permissions::documented().into_iter().map(|permission| permission.action).collect();
    assert_eq!(permissions::explained(), used, "each action has its reason");
}

#[test]
fn an_action_or_a_partition_more_or_less_is_noticed() {
    let whole = template();
    let (mut actions, mut partitions) = (0, 0);
    for (role, _) in roles(&whole) {
        let policy = format!("/Resources/{role}/Properties/Policies/0/PolicyDocument/Statement");
        let count = whole.pointer(&policy).unwrap().as_array().unwrap().len();
        for statement in (0..count).map(|number| format!("{policy}/{number}")) {
            if whole.pointer(&format!("{statement}/Effect")).unwrap() != "Allow" {
                continue;
            }
            let without_and_with = |list: &str, more: &str| {
                let known = texts(whole.pointer(list).unwrap());
                let without = known.iter().map(|gone| known.iter().filter(|each| *each != gone).cloned().collect());
                let with = known.iter().cloned().chain([more.to_owned()]).collect();
                for changed in without.chain([with]).collect::<Vec<Vec<String>>>() {
                    let mut template = whole.clone();
                    *template.pointer_mut(list).unwrap() = json!(changed);
                    assert!(!differences(&template).is_empty(), "{list} may be {changed:?}");
                }
                known.len() + 1
            };
            actions += without_and_with(&format!("{statement}/Action"), "dynamodb:BatchGetItem");
            let keys = format!("{statement}/Condition/ForAllValues:StringLike/dynamodb:LeadingKeys");
            if whole.pointer(&keys).is_some() {
                partitions += without_and_with(&keys, "S2#*");
            }
        }
    }
    assert!(actions > 55 && partitions > 35, "{actions} {partitions}");
}

/// What the roles of the template allow otherwise than they should.
fn differences(template: &Value) -> Vec<String> {
    let documented = permissions::documented();
    let mut found = Vec::new();
    for (role, function) in roles(template) {
        let confined = CONFINED.contains(&function);
        let used = documented.iter().filter(|permission| permission.function == function).cloned();
        let of_lambda = permissions::of_the_platform().into_iter().filter(|(whose, _)| *whose == function);
        let of_lambda = of_lambda.map(|(function, action)| Permission { function, action, place: Place::Elsewhere });
        let lines = |permissions: Vec<Permission>| -> BTreeSet<String> {
            permissions.iter().flat_map(|permission| lines(permission, confined)).collect()
        };
        let (wanted, allowed) = (lines(used.chain(of_lambda).collect()), lines(allowed(template, &role, function)));
        found.extend(wanted.difference(&allowed).map(|line| format!("{role} does not allow {line}")));
        found.extend(allowed.difference(&wanted).map(|line| format!("{role} allows {line}, which nothing needs")));
    }
    found
}

/// A permission as a role can say it: where it names partitions, one list of them is for reads and one for writes.
fn lines(permission: &Permission, confined: bool) -> Vec<String> {
    let Permission { action, place, .. } = permission;
    match place {
        Place::Partition(partition) if confined => {
            let does =
                if ["dynamodb:GetItem", "dynamodb:Query"].contains(&action.as_str()) { "reads" } else { "writes" };
            vec![format!("{action} the table"), format!("{does} {partition}")]
        }
        Place::Partition(_) => vec![format!("{action} the table")],
        Place::Queue(_) => vec![format!("{action} the index")],
        Place::Elsewhere => vec![action.clone()],
    }
}

/// What a role allows.
fn allowed(template: &Value, role: &str, function: FunctionName) -> Vec<Permission> {
    let mut allowed = Vec::new();
    let statements = &template["Resources"][role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"];
    for statement in statements.as_array().unwrap().iter().filter(|statement| statement["Effect"] == "Allow") {
        let keys = &statement["Condition"]["ForAllValues:StringLike"]["dynamodb:LeadingKeys"];
        let keys = if keys.is_null() { vec!["*".to_owned()] } else { texts(keys) };
        let keys = keys.into_iter().map(|key| key.strip_suffix("#*").map_or(key.clone(), |kind| format!("{kind}#")));
        let resource = &statement["Resource"];
        let places: Vec<Place> = if resource["Fn::GetAtt"] == json!(["Table", "Arn"]) {
            keys.map(Place::Partition).collect()
        } else if resource["Fn::Sub"] == "${Table.Arn}/index/due" {
            vec![Place::Queue("*".to_owned())]
        } else {
            vec![Place::Elsewhere]
        };
        for action in texts(&statement["Action"]) {
            let permission = |place: &Place| Permission { function, action: action.clone(), place: place.clone() };
            allowed.extend(places.iter().map(permission));
        }
    }
    allowed
}

/// Each function with its role.
fn roles(template: &Value) -> Vec<(String, FunctionName)> {
    let functions = template["Resources"].as_object().unwrap().values();
    let functions = functions.filter(|resource| resource["Type"] == "AWS::Serverless::Function");
    let role = |function: &Value| {
        let properties = &function["Properties"];
        let folder = properties["CodeUri"].as_str().unwrap().trim_end_matches('/');
        let role = properties["Role"]["Fn::GetAtt"][0].as_str().unwrap();
        (role.to_owned(), folder.rsplit('/').next().unwrap().parse().unwrap())
    };
    functions.map(role).collect()
}

fn template() -> Value {
    serde_saphyr::from_str(&documented::text("template.yaml")).unwrap()
}

fn texts(value: &Value) -> Vec<String> {
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    value.as_array().map_or_else(|| vec![text(value)], |list| list.iter().map(text).collect())
}
