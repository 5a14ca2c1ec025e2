//! Stream filters, in the pattern language that EventBridge and Lambda's event sources share. An operator that is not known here
//! is refused when the template is read, so that no record is dropped or passed by a guess.

use serde_json::{Map, Value};

/// What a record must look like for a reader to be given it.
#[derive(Debug, Clone, PartialEq)]
pub struct Filter(Fields);

/// Fields that must all match.
#[derive(Debug, Clone, PartialEq)]
struct Fields(Vec<(String, Wanted)>);

#[derive(Debug, Clone, PartialEq)]
enum Wanted {
    Inside(Fields),
    OneOf(Vec<Test>),
}

#[derive(Debug, Clone, PartialEq)]
enum Test {
    Is(Value),
    Exists(bool),
    Prefix(String),
    NotOneOf(Vec<Value>),
    NotPrefix(String),
}

impl Filter {
    /// Reads a pattern, which is JSON in a text.
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
            Value::Array(tests) if !tests.is_empty() => {
                let tests = tests.iter().map(Test::read).collect::<Result<_, _>>()?;
                Ok((name.clone(), Wanted::OneOf(tests)))
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
                Wanted::OneOf(tests) => tests.iter().any(|test| test.passes(found)),
            }
        })
    }
}

impl Test {
    fn read(test: &Value) -> Result<Test, String> {
        let Value::Object(operator) = test else {
            return literal(test).map(Test::Is);
        };
        let mut operators = operator.iter();
        let (Some((name, operand)), None) = (operators.next(), operators.next()) else {
            return Err("an operator stands alone in its object".to_owned());
        };
        match (name.as_str(), operand) {
            ("exists", Value::Bool(exists)) => Ok(Test::Exists(*exists)),
            ("prefix", Value::String(prefix)) => Ok(Test::Prefix(prefix.clone())),
            ("anything-but", Value::Array(values)) => {
                values.iter().map(literal).collect::<Result<_, _>>().map(Test::NotOneOf)
            }
            ("anything-but", Value::Object(inside)) => match inside.get("prefix") {
                Some(Value::String(prefix)) if inside.len() == 1 => Ok(Test::NotPrefix(prefix.clone())),
                _ => Err("anything-but knows values and a prefix only".to_owned()),
            },
            ("anything-but", value) => Ok(Test::NotOneOf(vec![literal(value)?])),
            _ => Err(format!("the operator {name} with {operand} is not understood in a filter")),
        }
    }

    /// Whether a field passes. `exists` speaks of the field, the others of its value, or of any value of a list.
    fn passes(&self, found: Option<&Value>) -> bool {
        let any = |test: &dyn Fn(&Value) -> bool| match found {
            Some(Value::Array(values)) => values.iter().any(test),
            Some(Value::Object(_)) | None => false,
            Some(value) => test(value),
        };
        let begins = |value: &Value, prefix: &str| value.as_str().is_some_and(|text| text.starts_with(prefix));
        match self {
            Test::Is(wanted) => any(&|value| value == wanted),
            Test::Exists(exists) => found.is_some_and(|value| !value.is_object()) == *exists,
            Test::Prefix(prefix) => any(&|value| begins(value, prefix)),
            Test::NotOneOf(values) => any(&|value| !values.contains(value)),
            Test::NotPrefix(prefix) => any(&|value| !begins(value, prefix)),
        }
    }
}

fn literal(value: &Value) -> Result<Value, String> {
    match value {
        Value::Object(_) | Value::Array(_) => Err(format!("{value} is no value to compare with")),
        // A stream carries numbers as texts, so a pattern that compares one would never match.
        Value::Number(_) => Err(format!("{value}: numbers are texts in a stream record")),
        _ => Ok(value.clone()),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn matches(pattern: &Value, record: &Value) -> bool {
        Filter::parse(&pattern.to_string()).unwrap().matches(record)
    }

    fn record(image: &Value) -> Value {
        json!({"eventName": "INSERT", "dynamodb": {"NewImage": image}})
    }

    #[test]
    fn every_field_must_match_and_any_of_its_values_does() {
        let pattern =
            json!({"eventName": ["INSERT"], "dynamodb": {"NewImage": {"kind": {"S": ["reading", "totals"]}}}});
        assert!(matches(&pattern, &record(&json!({"kind": {"S": "reading"}, "x": {"N": "1"}}))));
        assert!(matches(&pattern, &record(&json!({"kind": {"S": "totals"}}))));
        assert!(!matches(&pattern, &record(&json!({"kind": {"S": "grant"}}))));
        assert!(!matches(&pattern, &record(&json!({}))));
        assert!(!matches(&pattern, &json!({"eventName": "REMOVE", "dynamodb": {"OldImage": {}}})));
        assert!(!matches(
            &pattern,
            &json!({"eventName": "MODIFY", "dynamodb": {"NewImage": {"kind": {"S": "reading"}}}})
        ));
    }

    #[test]
    fn exists_prefix_and_anything_but_are_understood() {
        let of = |test: Value| json!({"dynamodb": {"NewImage": {"state": {"S": [test]}}}});
        let some = record(&json!({"state": {"S": "waiting"}}));
        let none = record(&json!({}));
        for (test, with, without) in [
            (json!({"exists": true}), true, false),
            (json!({"exists": false}), false, true),
            (json!({"prefix": "wait"}), true, false),
            (json!({"prefix": "sent"}), false, false),
            (json!({"anything-but": "sent"}), true, false),
            (json!({"anything-but": ["sent", "waiting"]}), false, false),
            (json!({"anything-but": {"prefix": "wait"}}), false, false),
            (json!({"anything-but": {"prefix": "sent"}}), true, false),
        ] {
            assert_eq!(matches(&of(test.clone()), &some), with, "{test} with");
            assert_eq!(matches(&of(test.clone()), &none), without, "{test} without");
        }
    }

    #[test]
    fn a_list_in_the_record_matches_by_any_of_its_values() {
        let pattern = json!({"groups": {"SS": ["a"]}});
        assert!(matches(&pattern, &json!({"groups": {"SS": ["b", "a"]}})));
        assert!(!matches(&pattern, &json!({"groups": {"SS": ["b"]}})));
        assert!(matches(&json!({"null": [null]}), &json!({"null": null})));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for pattern in [
            r#"{"a": [{"suffix": "x"}]}"#,
            r#"{"a": [{"numeric": [">", 3]}]}"#,
            r#"{"a": [{"exists": "yes"}]}"#,
            r#"{"a": [{"prefix": "x", "exists": true}]}"#,
            r#"{"a": [{"anything-but": {"suffix": "x"}}]}"#,
            r#"{"a": [3]}"#,
            r#"{"a": [["nested"]]}"#,
            r#"{"a": []}"#,
            r#"{"a": "text"}"#,
            r#"{"$or": [{"a": ["x"]}]}"#,
            r#"["a"]"#,
            "no json",
        ] {
            assert!(Filter::parse(pattern).is_err(), "{pattern}");
        }
    }
}
