//! Stream filters: fields with their allowed values, a subset of the pattern language of EventBridge and
//! event source mappings. Operators are refused when the template is read, so that no record is passed or
//! dropped by mistake.

use serde_json::{Map, Value};

/// The condition under which a reader gets a record.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Fields);

/// Fields that must all match.
#[derive(Debug, Clone, PartialEq)]
struct Fields(Vec<(String, Wanted)>);

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Inside(Fields),
    OneOf(Vec<Value>),
}

impl Filter {
    /// Reads a pattern, which is JSON text.
    pub fn parse(pattern: &str) -> Result<Filter, String> {
        match serde_json::from_str(pattern) {
            Ok(Value::Object(fields)) => Ok(Filter(Fields::read(&fields)?)),
            Ok(_) => Err("the pattern is not an object".to_owned()),
            Err(error) => Err(format!("the pattern is no JSON: {error}")),
        }
    }

    pub fn matches(&self, record: &Value) -> bool {
        self.0.match_all(Some(record))
    }
}

impl Fields {
    fn read(fields: &Map<String, Value>) -> Result<Fields, String> {
        let read = |(name, wanted): (&String, &Value)| match wanted {
            _ if name.starts_with('$') => Err(format!("{name} is not understood in a filter")),
            Value::Object(inside) => Ok((name.clone(), Wanted::Inside(Fields::read(inside)?))),
            Value::Array(values) if !values.is_empty() => {
                let values = values.iter().map(literal).collect::<Result<_, _>>()?;
                Ok((name.clone(), Wanted::OneOf(values)))
            }
            _ => Err(format!("{name} has neither an object nor a list of values")),
        };
        fields.iter().map(read).collect::<Result<_, _>>().map(Fields)
    }

    fn match_all(&self, within: Option<&Value>) -> bool {
        self.0.iter().all(|(name, wanted)| {
            let found = within.and_then(|value| value.get(name));
            match wanted {
                Wanted::Inside(fields) => fields.match_all(found),
                Wanted::OneOf(values) => found.is_some_and(|found| values.contains(found)),
            }
        })
    }
}

fn literal(value: &Value) -> Result<Value, String> {
    match value {
        Value::Object(_) | Value::Array(_) => Err(format!("{value} is not understood in a filter")),
        // A stream carries numbers as texts, so a pattern with a number would never match.
        Value::Number(_) => Err(format!("{value}: numbers are texts in a stream record")),
        _ => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_field_must_match_and_any_of_its_values_does_and_operators_are_refused() {
        let pattern =
            json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["reading", "totals"]}}}});
        let filter = Filter::parse(&pattern.to_string()).unwrap();
        for (event, image, matches) in [
            ("INSERT", json!({"kind": {"S": "reading"}, "x": {"N": "1"}}), true),
            ("INSERT", json!({"kind": {"S": "totals"}}), true),
            ("INSERT", json!({"kind": {"S": "grant"}}), false),
            ("INSERT", json!({}), false),
            ("MODIFY", json!({"kind": {"S": "reading"}}), false),
        ] {
            assert_eq!(
                filter.matches(&json!({"eventName": event, "dynamodb": {"NewImage": image}})),
                matches,
                "{image}"
            );
        }
        for pattern in
            [r#"{"a": [{"prefix": "x"}]}"#, r#"{"a": [3]}"#, r#"{"a": []}"#, r#"{"a": "x"}"#, r#"{"$or": [{}]}"#]
        {
            assert!(Filter::parse(pattern).is_err(), "{pattern}");
        }
    }
}
