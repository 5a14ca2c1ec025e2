//! The parts of the template as they are written. Every possible field is named here; an unknown one is an
//! error, since the bundle would run without what it asks for. The meaning of fields is left to the parent.

#![expect(dead_code, reason = "fields that only AWS acts on are named to be known, not to be read")]

use std::collections::BTreeMap;

use serde::Deserialize;
use serde::de::IgnoredAny;
use serde_json::Value;

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Document {
    #[serde(rename = "AWSTemplateFormatVersion")]
    version: Option<IgnoredAny>,
    transform: Option<IgnoredAny>,
    description: Option<IgnoredAny>,
    /// The groups in which the console of AWS asks for parameters.
    metadata: Option<IgnoredAny>,
    #[serde(default)]
    pub(super) parameters: BTreeMap<String, Parameter>,
    /// Conditions between parameters, which the bundle sets itself.
    rules: Option<IgnoredAny>,
    conditions: Option<IgnoredAny>,
    outputs: Option<IgnoredAny>,
    pub(super) globals: Option<Globals>,
    pub(super) resources: BTreeMap<String, Resource>,
}

/// A parameter, which has its default on one machine. What else it says is for AWS.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(super) struct Parameter {
    pub(super) default: Option<Value>,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Globals {
    pub(super) function: GlobalsOfFunctions,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct GlobalsOfFunctions {
    pub(super) timeout: Option<u32>,
    runtime: Option<IgnoredAny>,
    handler: Option<IgnoredAny>,
    architectures: Option<IgnoredAny>,
    memory_size: Option<IgnoredAny>,
    /// The variable names that `Config` reads; the bundle sets their values itself.
    environment: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Resource {
    pub(super) r#type: String,
    #[serde(default)]
    pub(super) properties: Value,
    deletion_policy: Option<IgnoredAny>,
    update_replace_policy: Option<IgnoredAny>,
    depends_on: Option<IgnoredAny>,
    pub(super) condition: Option<IgnoredAny>,
    metadata: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Table {
    billing_mode: BillingMode,
    pub(super) attribute_definitions: Vec<Attribute>,
    pub(super) key_schema: Vec<Key>,
    #[serde(default)]
    pub(super) global_secondary_indexes: Vec<Index>,
    stream_specification: Stream,
    pub(super) time_to_live_specification: TimeToLive,
    /// Backups, which the engine does not have.
    point_in_time_recovery_specification: Option<IgnoredAny>,
    /// The key that encrypts the table at rest.
    #[serde(rename = "SSESpecification")]
    sse_specification: Option<IgnoredAny>,
    /// Protection against deletion, which nothing of ours attempts.
    deletion_protection_enabled: Option<IgnoredAny>,
}

#[derive(Deserialize)]
enum BillingMode {
    #[serde(rename = "PAY_PER_REQUEST")]
    PayPerRequest,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Attribute {
    pub(super) attribute_name: String,
    pub(super) attribute_type: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Key {
    pub(super) attribute_name: String,
    pub(super) key_type: KeyType,
}

#[derive(Deserialize, PartialEq)]
#[serde(rename_all = "UPPERCASE")]
pub(super) enum KeyType {
    Hash,
    Range,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Index {
    pub(super) index_name: String,
    pub(super) key_schema: Vec<Key>,
    pub(super) projection: Projection,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Projection {
    pub(super) projection_type: String,
    #[serde(default)]
    pub(super) non_key_attributes: Vec<String>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
struct Stream {
    stream_view_type: StreamView,
}

/// The stream's view. Filters and `settle` need both images.
#[derive(Deserialize)]
enum StreamView {
    #[serde(rename = "NEW_AND_OLD_IMAGES")]
    Both,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct TimeToLive {
    pub(super) attribute_name: String,
    pub(super) enabled: bool,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Function {
    /// The folder of the function's binary, whose last part is the function's name.
    pub(super) code_uri: String,
    pub(super) timeout: Option<u32>,
    #[serde(default)]
    pub(super) events: BTreeMap<String, Value>,
    pub(super) event_invoke_config: Option<EventInvoke>,
    description: Option<IgnoredAny>,
    role: Option<IgnoredAny>,
    memory_size: Option<IgnoredAny>,
    logging_config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct EventInvoke {
    pub(super) maximum_retry_attempts: Option<u32>,
    destination_config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(tag = "Type", content = "Properties", deny_unknown_fields)]
pub(super) enum Event {
    Schedule(Schedule),
    #[serde(rename = "DynamoDB")]
    Stream(StreamSource),
    #[serde(rename = "SNS")]
    Topic(Topic),
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Integration {
    pub(super) integration_uri: AttributeOf,
    pub(super) payload_format_version: String,
    integration_type: IntegrationType,
    api_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
enum IntegrationType {
    /// A function gets the request as an event, and its answer is the response.
    #[serde(rename = "AWS_PROXY")]
    Proxy,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Route {
    pub(super) route_key: String,
    pub(super) target: Substitution,
    api_id: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Schedule {
    pub(super) schedule: Text,
    pub(super) input: String,
    name: Option<IgnoredAny>,
    description: Option<IgnoredAny>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct StreamSource {
    pub(super) stream: StreamOf,
    starting_position: StartingPosition,
    pub(super) batch_size: Option<usize>,
    pub(super) filter_criteria: Option<FilterCriteria>,
    #[serde(default)]
    pub(super) function_response_types: Vec<ResponseType>,
    #[serde(default)]
    pub(super) bisect_batch_on_function_error: bool,
    /// The retries of a batch. Without them AWS retries for a day, and everything behind a bad record
    /// waits.
    pub(super) maximum_retry_attempts: u32,
    /// The age at which a record is given up, which none reaches here.
    maximum_record_age_in_seconds: Option<IgnoredAny>,
    /// The delay of a batch that is not full; the pump does not wait for more.
    maximum_batching_window_in_seconds: Option<IgnoredAny>,
    destination_config: Option<IgnoredAny>,
}

#[derive(Deserialize)]
enum StartingPosition {
    #[serde(rename = "TRIM_HORIZON")]
    TrimHorizon,
}

#[derive(Deserialize, PartialEq)]
pub(super) enum ResponseType {
    ReportBatchItemFailures,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct FilterCriteria {
    pub(super) filters: Vec<Pattern>,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Pattern {
    pub(super) pattern: String,
}

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase", deny_unknown_fields)]
pub(super) struct Topic {
    pub(super) topic: Reference,
}

/// A reference to another part: `Ref: Name`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Reference {
    #[serde(rename = "Ref")]
    pub(super) name: String,
}

/// A text that names other parts: `Fn::Sub: integrations/${Name}`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Substitution {
    #[serde(rename = "Fn::Sub")]
    pub(super) text: String,
}

/// A text, with parameters in it or without.
#[derive(Deserialize)]
#[serde(untagged)]
pub(super) enum Text {
    Plain(String),
    Substituted(Substitution),
}

/// The stream that is read where a condition holds, and the table's own otherwise: `Fn::If: [Given, Ref: …, Fn::GetAtt: …]`.
/// On one machine no parameter that a condition asks for is given.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct StreamOf {
    #[serde(rename = "Fn::If")]
    pub(super) either: (String, Reference, AttributeOf),
}

/// An attribute of another part: `Fn::GetAtt: [Name, Attribute]`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct AttributeOf {
    #[serde(rename = "Fn::GetAtt")]
    pub(super) of: (String, String),
}
