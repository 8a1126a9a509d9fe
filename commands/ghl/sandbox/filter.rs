//! The filters of the provider's searches.

use std::borrow::Cow;

use chrono::DateTime;
use serde_json::Value;

/// A field of a record as filters see it.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Datum<'a> {
    Text(Cow<'a, str>),
    Number(f64),
    Bool(bool),
    /// Milliseconds.
    Time(i64),
    List(Vec<Cow<'a, str>>),
    Nothing,
}

impl<'a> Datum<'a> {
    pub(super) fn text(text: &'a str) -> Self {
        Datum::Text(Cow::Borrowed(text))
    }

    /// What a JSON value is to a filter.
    pub(super) fn of(value: &'a Value) -> Self {
        match value {
            Value::String(text) => Datum::text(text),
            Value::Number(number) => number.as_f64().map_or(Datum::Nothing, Datum::Number),
            Value::Bool(flag) => Datum::Bool(*flag),
            Value::Array(items) => Datum::List(
                items
                    .iter()
                    .filter_map(Value::as_str)
                    .map(Cow::Borrowed)
                    .collect(),
            ),
            _ => Datum::Nothing,
        }
    }

    fn equals(&self, value: &Value) -> bool {
        match self {
            Datum::Text(text) => value.as_str().is_some_and(|other| same(text, other)),
            Datum::List(items) => value
                .as_str()
                .is_some_and(|other| items.iter().any(|item| same(item, other))),
            Datum::Number(number) => value.as_f64() == Some(*number),
            Datum::Bool(flag) => match value {
                Value::String(text) => text == if *flag { "true" } else { "false" },
                other => other.as_bool() == Some(*flag),
            },
            Datum::Time(ms) => moment(value) == Some(*ms),
            Datum::Nothing => false,
        }
    }

    fn contains(&self, value: &Value) -> bool {
        let Some(part) = value.as_str().map(str::to_lowercase) else {
            return false;
        };
        match self {
            Datum::Text(text) => text.to_lowercase().contains(&part),
            Datum::List(items) => items.iter().any(|item| item.to_lowercase().contains(&part)),
            _ => false,
        }
    }

    fn exists(&self) -> bool {
        match self {
            Datum::Nothing => false,
            Datum::List(items) => !items.is_empty(),
            _ => true,
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.to_lowercase() == b.to_lowercase()
}

/// An ISO time or milliseconds, as number or text.
pub(super) fn moment(value: &Value) -> Option<i64> {
    match value {
        Value::Number(number) => number.as_i64(),
        Value::String(text) => DateTime::parse_from_rfc3339(text)
            .map(|time| time.timestamp_millis())
            .ok()
            .or_else(|| {
                let day = chrono::NaiveDate::parse_from_str(text, "%Y-%m-%d").ok()?;
                Some(day.and_hms_opt(0, 0, 0)?.and_utc().timestamp_millis())
            })
            .or_else(|| text.parse().ok()),
        _ => None,
    }
}

/// A tree of tests.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Filter {
    All(Vec<Filter>),
    Any(Vec<Filter>),
    Test(String, Test),
}

/// What is asked of a field.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Test {
    Equals {
        values: Vec<Value>,
        not: bool,
    },
    Contains {
        values: Vec<Value>,
        not: bool,
    },
    Exists {
        not: bool,
    },
    /// From and to, both inclusive.
    Range(Option<i64>, Option<i64>),
}

impl Default for Filter {
    fn default() -> Self {
        Filter::All(Vec::new())
    }
}

impl Filter {
    /// Reads the `filters` of a request; `knows` tells which fields there are.
    ///
    /// The error is the provider's sentence for it.
    pub(super) fn parse(filters: &Value, knows: fn(&str) -> bool) -> Result<Filter, String> {
        let Value::Array(items) = filters else {
            return Err("filters must be an array".to_owned());
        };
        let parsed: Result<_, _> = items
            .iter()
            .map(|item| Self::parse_one(item, knows))
            .collect();
        Ok(Filter::All(parsed?))
    }

    fn parse_one(item: &Value, knows: fn(&str) -> bool) -> Result<Filter, String> {
        let Value::Object(map) = item else {
            return Err("each value in nested property filters must be an object".to_owned());
        };
        if let Some(group) = map.get("group") {
            let nested = map.get("filters").unwrap_or(&Value::Null);
            let Filter::All(inner) = Self::parse(nested, knows)? else {
                return Err("filters must be an array".to_owned());
            };
            return match group.as_str() {
                Some("AND") => Ok(Filter::All(inner)),
                Some("OR") => Ok(Filter::Any(inner)),
                _ => Err("group must be one of the following values: AND, OR".to_owned()),
            };
        }
        if let Some(odd) = map
            .keys()
            .find(|key| !["field", "operator", "value"].contains(&key.as_str()))
        {
            return Err(format!("filters.property {odd} should not exist"));
        }
        let field = map
            .get("field")
            .and_then(Value::as_str)
            .ok_or("filters.field must be a string")?;
        if !knows(field) {
            return Err(format!("Invalid field: {field}"));
        }
        let operator = map
            .get("operator")
            .and_then(Value::as_str)
            .ok_or("filters.operator must be a string")?;
        if field == "email" && operator.ends_with("contains") {
            return Err(format!(
                "Operator {operator} is not supported for field email"
            ));
        }
        let value = map.get("value");
        let values = || match value {
            None | Some(Value::Null) => Err(format!("Value is required for operator {operator}")),
            Some(Value::Array(items)) => Ok(items.clone()),
            Some(one) => Ok(vec![one.clone()]),
        };
        let test = match operator {
            "eq" | "not_eq" => Test::Equals {
                values: values()?,
                not: operator == "not_eq",
            },
            "contains" | "not_contains" => Test::Contains {
                values: values()?,
                not: operator == "not_contains",
            },
            "exists" | "not_exists" if value.is_none_or(Value::is_null) => Test::Exists {
                not: operator == "not_exists",
            },
            "exists" | "not_exists" => {
                return Err(format!("Value is not allowed for operator {operator}"));
            }
            "range" => Self::parse_range(value)?,
            _ => return Err(format!("Invalid operator: {operator}")),
        };
        Ok(Filter::Test(field.to_owned(), test))
    }

    fn parse_range(value: Option<&Value>) -> Result<Test, String> {
        let Some(Value::Object(bounds)) =
            value.filter(|value| value.as_object().is_some_and(|map| !map.is_empty()))
        else {
            return Err(
                "Value must be an object with gt, gte, lt or lte for operator range".to_owned(),
            );
        };
        let (mut low, mut high) = (None, None);
        for (name, bound) in bounds {
            let bound = moment(bound).ok_or_else(|| format!("Invalid value for {name}"))?;
            match name.as_str() {
                "gt" => low = Some(bound + 1),
                "gte" => low = Some(bound),
                "lt" => high = Some(bound - 1),
                "lte" => high = Some(bound),
                _ => return Err(format!("filters.value.property {name} should not exist")),
            }
        }
        Ok(Test::Range(low, high))
    }

    /// Whether a record with these fields fits.
    pub(super) fn matches<'a>(&self, field: &impl Fn(&str) -> Datum<'a>) -> bool {
        match self {
            Filter::All(filters) => filters.iter().all(|filter| filter.matches(field)),
            Filter::Any(filters) => filters.iter().any(|filter| filter.matches(field)),
            Filter::Test(name, test) => {
                let datum = field(name);
                match test {
                    Test::Equals { values, not } => {
                        values.iter().any(|value| datum.equals(value)) != *not
                    }
                    Test::Contains { values, not } => {
                        values.iter().any(|value| datum.contains(value)) != *not
                    }
                    Test::Exists { not } => datum.exists() != *not,
                    Test::Range(low, high) => {
                        let number = match datum {
                            Datum::Time(ms) => ms,
                            Datum::Number(number) => number as i64,
                            _ => return false,
                        };
                        low.is_none_or(|low| number >= low)
                            && high.is_none_or(|high| number <= high)
                    }
                }
            }
        }
    }

    /// Whether it asks for nothing but these fields.
    pub(super) fn only_on(&self, fields: &[&str]) -> bool {
        match self {
            Filter::All(filters) | Filter::Any(filters) => {
                filters.iter().all(|filter| filter.only_on(fields))
            }
            Filter::Test(field, _) => fields.contains(&field.as_str()),
        }
    }

    /// The range every match has in a field.
    pub(super) fn range_of(&self, field: &str) -> Option<(Option<i64>, Option<i64>)> {
        match self {
            Filter::Test(name, Test::Range(low, high)) if name == field => Some((*low, *high)),
            Filter::All(filters) => filters.iter().find_map(|filter| filter.range_of(field)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn matches(filters: Value) -> bool {
        Filter::parse(&filters, |_| true)
            .unwrap()
            .matches(&|field| match field {
                "name" => Datum::text("María García"),
                "tags" => Datum::List(vec!["VIP".into(), "net-30".into()]),
                "added" => Datum::Time(1_000),
                "dnd" => Datum::Bool(false),
                _ => Datum::Nothing,
            })
    }

    #[test]
    fn operators_do_what_they_say() {
        let test = |field: &str, operator: &str, value: Value| {
            matches(json!([{"field": field, "operator": operator, "value": value}]))
        };
        assert!(test("name", "eq", json!("maría garcía")));
        assert!(!test("name", "eq", json!("maría")));
        assert!(test("name", "contains", json!("GARC")));
        assert!(test("tags", "eq", json!(["cold", "vip"])));
        assert!(test("tags", "not_contains", json!("cold")));
        assert!(test("dnd", "eq", json!(false)));
        assert!(test("missing", "not_eq", json!("x")));
        assert!(test("added", "range", json!({"gte": 1000, "lt": 1001})));
        assert!(!test("added", "range", json!({"gt": 1000})));
        assert!(test(
            "added",
            "range",
            json!({"gte": "1970-01-01T00:00:01Z"})
        ));
        assert!(matches(json!([{"field": "tags", "operator": "exists"}])));
        assert!(matches(
            json!([{"field": "missing", "operator": "not_exists"}])
        ));
    }

    #[test]
    fn groups_nest_and_the_top_is_and() {
        let yes = json!({"field": "name", "operator": "exists"});
        let no = json!({"field": "missing", "operator": "exists"});
        assert!(!matches(json!([yes, no])));
        assert!(matches(json!([{"group": "OR", "filters": [no, yes]}])));
        assert!(!matches(
            json!([{"group": "OR", "filters": [no, {"group": "AND", "filters": [yes, no]}]}])
        ));
    }

    #[test]
    fn refuses_what_the_provider_refuses() {
        let parse = |item: Value| Filter::parse(&json!([item]), |field| field != "shoe");
        assert!(parse(json!({"field": "shoe", "operator": "exists"})).is_err());
        assert!(parse(json!({"field": "email", "operator": "contains", "value": "a"})).is_err());
        assert!(parse(json!({"field": "a", "operator": "like", "value": "a"})).is_err());
        assert!(parse(json!({"field": "a", "operator": "exists", "value": 1})).is_err());
        assert!(parse(json!({"field": "a", "operator": "range", "value": {"from": 1}})).is_err());
        assert!(parse(json!({"field": "a", "operator": "eq", "value": 1, "or": 2})).is_err());
    }
}
