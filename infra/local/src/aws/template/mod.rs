//! The content of `template.yaml` that one machine needs: the table's schema, stream readers, schedules,
//! routes and time-outs. Anything in it that this reader does not understand is an error.

mod document;
pub mod expression;
pub mod filter;
mod http_api;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::OnceLock;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use serde::de::DeserializeOwned;
use serde_json::Value;

use self::document::{Document, Event, KeyType, Parameter, ResponseType, Text};
use self::expression::Expression;
use self::filter::Filter;
use self::http_api::HttpApi;
use crate::base::function::FunctionName;

/// Resources that exist only in AWS, or whose stand-in needs nothing from the template.
const ONLY_IN_AWS: [&str; 15] = [
    "AWS::ApiGatewayV2::Api",
    "AWS::ApiGatewayV2::ApiMapping",
    "AWS::ApiGatewayV2::DomainName",
    "AWS::ApiGatewayV2::Stage",
    "AWS::CloudWatch::Alarm",
    "AWS::IAM::Role",
    "AWS::Lambda::Permission",
    "AWS::Logs::LogGroup",
    "AWS::Logs::MetricFilter",
    "AWS::SES::ConfigurationSet",
    "AWS::SES::ConfigurationSetEventDestination",
    "AWS::SNS::Topic",
    "AWS::SNS::TopicPolicy",
    "AWS::SQS::Queue",
    "AWS::SecretsManager::Secret",
];

/// The parts of the bundle that are needed to run it.
#[derive(Debug, Clone, PartialEq)]
pub struct Template {
    pub table: TableSchema,
    pub functions: BTreeMap<FunctionName, Settings>,
    pub readers: Vec<StreamReader>,
    pub schedules: Vec<Schedule>,
    pub routes: Vec<Route>,
    /// The functions that receive SES events.
    pub hear_mail_events: Vec<FunctionName>,
}

/// The schema that the engine creates, and that an existing table is compared with.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableSchema {
    /// The key attributes of the table and its indexes, with their types.
    pub attributes: BTreeMap<String, String>,
    pub keys: Keys,
    pub indexes: BTreeMap<String, Index>,
    /// The attribute with an item's time to live. The stream always carries both images.
    pub ttl: String,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Keys {
    pub hash: String,
    pub range: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Index {
    pub keys: Keys,
    /// The projection: `ALL`, `KEYS_ONLY` or `INCLUDE`.
    pub projection: String,
    /// The attributes that `INCLUDE` adds.
    pub included: BTreeSet<String>,
}

/// The settings of one function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Settings {
    pub timeout: Duration,
    /// The retries of an asynchronous event.
    pub retries: u32,
}

/// A function that reads the table's stream.
#[derive(Debug, Clone, PartialEq)]
pub struct StreamReader {
    pub function: FunctionName,
    /// The reader's filters: a record passes if any of them matches, or if there are none.
    pub filters: Vec<Filter>,
    pub batch_size: usize,
    /// The retries of a failed batch before it is a dead letter.
    pub retries: u32,
    /// Whether a batch that failed as a whole is halved and retried.
    pub bisect: bool,
    /// Whether the function's answer names the failed records.
    pub partial: bool,
}

/// An input that a function gets at set times.
#[derive(Debug, Clone, PartialEq)]
pub struct Schedule {
    pub function: FunctionName,
    pub expression: Expression,
    pub input: Value,
}

/// The function that answers a set of requests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Route {
    /// The route key in the event: `ANY /console/{proxy+}`, `$default`.
    pub key: String,
    pub function: FunctionName,
}

impl Template {
    /// The template that this program was built with. It is read once.
    pub fn bundled() -> Result<&'static Template> {
        static READ: OnceLock<Template> = OnceLock::new();
        if let Some(template) = READ.get() {
            return Ok(template);
        }
        let template = Template::read(include_str!("../../../../../template.yaml"))?;
        Ok(READ.get_or_init(|| template))
    }

    pub fn read(yaml: &str) -> Result<Template> {
        let document: Document = serde_saphyr::from_str(yaml)
            .map_err(|error| anyhow!("{error}"))
            .context("template.yaml is not understood")?;
        Template::of(document).context("template.yaml is not understood")
    }

    fn of(document: Document) -> Result<Template> {
        let (mut tables, mut api) = (Vec::new(), HttpApi::default());
        let mut template = Template {
            table: TableSchema::none(),
            functions: BTreeMap::new(),
            readers: Vec::new(),
            schedules: Vec::new(),
            routes: Vec::new(),
            hear_mail_events: Vec::new(),
        };
        let by_default = document.globals.unwrap_or_default().function.timeout;
        for (name, resource) in document.resources {
            let only_in_aws = ONLY_IN_AWS.contains(&resource.r#type.as_str());
            ensure!(
                only_in_aws || resource.condition.is_none(),
                "{name}: the bundle on one machine knows no conditions"
            );
            match resource.r#type.as_str() {
                "AWS::DynamoDB::Table" => {
                    let table = properties(resource.properties).and_then(TableSchema::of);
                    template.table = table.with_context(|| name.clone())?;
                    tables.push(name);
                }
                "AWS::Serverless::Function" => {
                    let function = properties(resource.properties);
                    let added = function.and_then(|function| template.add(function, by_default, &document.parameters));
                    let function = added.with_context(|| name.clone())?;
                    api.functions.insert(name, function);
                }
                "AWS::ApiGatewayV2::Integration" => {
                    let integration = properties(resource.properties).with_context(|| name.clone())?;
                    api.integrations.insert(name, integration);
                }
                "AWS::ApiGatewayV2::Route" => {
                    let route = properties(resource.properties).with_context(|| name.clone())?;
                    api.routes.insert(name, route);
                }
                _ if only_in_aws => {}
                unknown => bail!("{name}: the bundle on one machine knows no {unknown}"),
            }
        }
        template.routes = api.routes()?;
        ensure!(tables.len() == 1, "there is not exactly one table");
        let missing = FunctionName::ALL.iter().find(|name| !template.functions.contains_key(name));
        ensure!(missing.is_none(), "the function {} is missing", missing.map_or("", |name| name.as_str()));
        Ok(template)
    }

    fn add(
        &mut self,
        function: document::Function,
        timeout_by_default: Option<u32>,
        parameters: &BTreeMap<String, Parameter>,
    ) -> Result<FunctionName> {
        let folder = function.code_uri.trim_end_matches('/').rsplit('/').next();
        let name = FunctionName::ALL.into_iter().find(|name| Some(name.as_str()) == folder);
        let name = name.with_context(|| format!("CodeUri {} ends with no function's name", function.code_uri))?;
        // Both defaults are Lambda's.
        let timeout = function.timeout.or(timeout_by_default).unwrap_or(3);
        let retries = function.event_invoke_config.and_then(|config| config.maximum_retry_attempts);
        let settings = Settings { timeout: Duration::from_secs(timeout.into()), retries: retries.unwrap_or(2) };
        ensure!(self.functions.insert(name, settings).is_none(), "it is there twice");
        for (event, written) in function.events {
            self.listen(name, written, parameters).with_context(|| format!("Events.{event}"))?;
        }
        Ok(name)
    }

    fn listen(&mut self, function: FunctionName, event: Value, parameters: &BTreeMap<String, Parameter>) -> Result<()> {
        match properties(event)? {
            Event::Schedule(schedule) => self.schedules.push(Schedule {
                function,
                expression: Expression::parse(&schedule.schedule.by_default(parameters)?)?,
                input: serde_json::from_str(&schedule.input).context("Input is no JSON")?,
            }),
            Event::Stream(source) => self.readers.push(StreamReader::of(function, source)?),
            Event::Topic(topic) => {
                ensure!(topic.topic.name == "MailOutcomes", "the topic {} has no stand-in", topic.topic.name);
                self.hear_mail_events.push(function);
            }
        }
        Ok(())
    }
}

impl Text {
    /// The text with the default of each parameter that it names.
    fn by_default(self, parameters: &BTreeMap<String, Parameter>) -> Result<String> {
        let mut text = match self {
            Text::Plain(text) => return Ok(text),
            Text::Substituted(substitution) => substitution.text,
        };
        while let Some((before, rest)) = text.split_once("${") {
            let (name, after) = rest.split_once('}').context("a ${ without its }")?;
            let default = parameters.get(name).and_then(|parameter| parameter.default.as_ref());
            let default = default.with_context(|| format!("{name} is no parameter with a default"))?;
            let value = default.as_str().map_or_else(|| default.to_string(), str::to_owned);
            text = format!("{before}{value}{after}");
        }
        Ok(text)
    }
}

impl TableSchema {
    fn none() -> TableSchema {
        TableSchema {
            attributes: BTreeMap::new(),
            keys: Keys { hash: String::new(), range: None },
            indexes: BTreeMap::new(),
            ttl: String::new(),
        }
    }

    fn of(table: document::Table) -> Result<TableSchema> {
        ensure!(table.time_to_live_specification.enabled, "its time to live is not enabled");
        let attributes = table.attribute_definitions.into_iter();
        let index = |index: document::Index| {
            let read = Index {
                keys: Keys::of(index.key_schema)?,
                projection: index.projection.projection_type,
                included: index.projection.non_key_attributes.into_iter().collect(),
            };
            Ok((index.index_name, read))
        };
        Ok(TableSchema {
            attributes: attributes.map(|a| (a.attribute_name, a.attribute_type)).collect(),
            keys: Keys::of(table.key_schema)?,
            indexes: table.global_secondary_indexes.into_iter().map(index).collect::<Result<_>>()?,
            ttl: table.time_to_live_specification.attribute_name,
        })
    }
}

impl Keys {
    fn of(keys: Vec<document::Key>) -> Result<Keys> {
        let (hashes, ranges): (Vec<_>, Vec<_>) = keys.into_iter().partition(|key| key.key_type == KeyType::Hash);
        ensure!(hashes.len() == 1 && ranges.len() < 2, "a key is one HASH and at most one RANGE");
        let mut names = hashes.into_iter().chain(ranges).map(|key| key.attribute_name);
        Ok(Keys { hash: names.next().unwrap_or_default(), range: names.next() })
    }
}

impl StreamReader {
    fn of(function: FunctionName, source: document::StreamSource) -> Result<StreamReader> {
        ensure!(source.stream.either.2.of.1 == "StreamArn", "Stream is not the table's StreamArn");
        let batch_size = source.batch_size.unwrap_or(100);
        ensure!(batch_size > 0, "BatchSize is 0");
        let patterns = source.filter_criteria.map(|criteria| criteria.filters).unwrap_or_default();
        let filter = |pattern: document::Pattern| Filter::parse(&pattern.pattern).map_err(|why| anyhow!(why));
        Ok(StreamReader {
            function,
            filters: patterns.into_iter().map(filter).collect::<Result<_>>()?,
            batch_size,
            retries: source.maximum_retry_attempts,
            bisect: source.bisect_batch_on_function_error,
            partial: source.function_response_types.contains(&ResponseType::ReportBatchItemFailures),
        })
    }

    pub fn wants(&self, record: &Value) -> bool {
        self.filters.is_empty() || self.filters.iter().any(|filter| filter.matches(record))
    }
}

fn properties<T: DeserializeOwned>(properties: Value) -> Result<T> {
    Ok(serde_json::from_value(properties)?)
}
