//! How the parts of the bundle are connected, in constants. `template.yaml` says the same to AWS,
//! and a test of the suite compares the two.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::{Value, json};

use crate::base::function::FunctionName::{self, Claim, Console, Mail, ThresholdAlerts, UsageSync};

/// The attribute with an item's time to live.
pub const TTL: &str = "ttl";

/// The body of `CreateTable`.
pub fn create_table(name: &str) -> Value {
    json!({
        "TableName": name,
        "BillingMode": "PAY_PER_REQUEST",
        "AttributeDefinitions": [
            {"AttributeName": "pk", "AttributeType": "S"},
            {"AttributeName": "sk", "AttributeType": "S"},
            {"AttributeName": "queue", "AttributeType": "S"},
            {"AttributeName": "due", "AttributeType": "S"},
        ],
        "KeySchema": [{"AttributeName": "pk", "KeyType": "HASH"}, {"AttributeName": "sk", "KeyType": "RANGE"}],
        "GlobalSecondaryIndexes": [{
            "IndexName": "due",
            "KeySchema": [{"AttributeName": "queue", "KeyType": "HASH"}, {"AttributeName": "due", "KeyType": "RANGE"}],
            "Projection": {"ProjectionType": "KEYS_ONLY"},
        }],
        "StreamSpecification": {"StreamEnabled": true, "StreamViewType": "NEW_AND_OLD_IMAGES"},
    })
}

/// The time after which Lambda ends an invocation. That of a page ends by itself before API Gateway
/// gives up.
pub fn time_out(function: FunctionName) -> Duration {
    Duration::from_secs(match function {
        Claim => 29,
        Mail => 80,
        ThresholdAlerts => 120,
        Console => 600,
        UsageSync => 900,
    })
}

/// The route keys of the HTTP API. `$default` is last, since it takes what no other route does.
pub const ROUTES: [(&str, FunctionName); 8] = [
    ("POST /link", Claim),
    ("POST /code", Claim),
    ("POST /sign-on", Claim),
    ("GET /sign-on/callback", Claim),
    ("ANY /c/{proxy+}", Claim),
    ("ANY /console", Console),
    ("ANY /console/{proxy+}", Console),
    ("$default", Claim),
];

/// The function that gets the events of SES.
pub const HEARS_MAIL_EVENTS: FunctionName = Mail;

/// A function that reads the table's stream.
pub struct StreamReader {
    pub function: FunctionName,
    /// A record passes if one of them fits.
    pub filters: &'static [Filter],
    pub batch_size: usize,
    /// How often a failed batch is tried again before it is a dead letter.
    pub retries: u32,
}

pub struct Filter {
    /// Whether only new items fit.
    pub inserts: bool,
    /// Attributes of the new image, each with the texts of which it must be one.
    pub image: &'static [(&'static str, &'static [&'static str])],
}

impl Filter {
    pub fn fits(&self, record: &Value) -> bool {
        let image = &record["dynamodb"]["NewImage"];
        let has = |(name, texts): &(&str, &[&str])| {
            image[*name]["S"]
                .as_str()
                .is_some_and(|text| texts.contains(&text))
        };
        (!self.inserts || record["eventName"] == "INSERT") && self.image.iter().all(has)
    }
}

pub static READERS: [StreamReader; 2] = [
    StreamReader {
        function: ThresholdAlerts,
        filters: &[Filter {
            inserts: false,
            image: &[("kind", &["budget", "totals"])],
        }],
        batch_size: 100,
        retries: 20,
    },
    StreamReader {
        function: Mail,
        filters: &[
            Filter {
                inserts: true,
                image: &[
                    ("kind", &["outbox"]),
                    ("class", &["urgent"]),
                    ("state", &["waiting"]),
                ],
            },
            Filter {
                inserts: true,
                image: &[("kind", &["login-request"])],
            },
        ],
        batch_size: 100,
        retries: 60,
    },
];

/// An event that a function gets again and again.
#[derive(Clone, Copy)]
pub struct Schedule {
    pub function: FunctionName,
    /// What its input asks for; without one it gets what a schedule sends by itself.
    pub task: Option<&'static str>,
    pub every: SignedDuration,
    /// How often a failed run is tried again before it is a dead letter.
    pub retries: u32,
}

/// The schedules. The sync's time of day in AWS is here a day since its last run, or what
/// `--sync-every` says.
pub const SCHEDULES: [Schedule; 5] = [
    Schedule {
        function: Console,
        task: Some("work"),
        every: SignedDuration::from_mins(1),
        retries: 2,
    },
    Schedule {
        function: Mail,
        task: Some("drain"),
        every: SignedDuration::from_mins(1),
        retries: 2,
    },
    Schedule {
        function: ThresholdAlerts,
        task: Some("watch"),
        every: SignedDuration::from_hours(1),
        retries: 2,
    },
    Schedule {
        function: UsageSync,
        task: None,
        every: SignedDuration::from_hours(24),
        retries: 0,
    },
    Schedule {
        function: UsageSync,
        task: Some("resume"),
        every: SignedDuration::from_mins(15),
        retries: 0,
    },
];

impl Schedule {
    pub fn input(&self) -> Value {
        let make_event = || json!({"source": "aws.events", "detail-type": "Scheduled Event"});
        self.task
            .map_or_else(make_event, |task| json!({ "task": task }))
    }
}
