//! Values of plans: put at their places, and shown.

use super::{SweepError, wrong};
use toml::{Table, Value};

/// `a.b = c` and `"a.b" = c` are the same.
pub(super) fn flatten(prefix: &str, table: Table, into: &mut Table) {
    for (key, value) in table {
        let place = if prefix.is_empty() { key } else { format!("{prefix}.{key}") };
        match value {
            Value::Table(inner) => flatten(&place, inner, into),
            value => drop(into.insert(place, value)),
        }
    }
}

/// Puts a value at its place in a plan; places in lists are numbers.
pub(super) fn put(table: &mut Table, place: &str, value: Value) -> Result<(), SweepError> {
    let (first, rest) = place.split_once('.').map_or((place, None), |(a, b)| (a, Some(b)));
    let Some(rest) = rest else {
        table.insert(first.to_owned(), value);
        return Ok(());
    };
    let slot = table.entry(first).or_insert_with(|| Value::Table(Table::new()));
    match slot {
        Value::Table(inner) => put(inner, rest, value),
        Value::Array(items) => {
            let (number, field) = rest.split_once('.').unwrap_or((rest, ""));
            let item = number.parse().ok().and_then(|number: usize| items.get_mut(number));
            match item {
                Some(Value::Table(inner)) if !field.is_empty() => put(inner, field, value),
                _ => Err(wrong(place, format!("{first} has no such item: say {first}.0.FIELD"))),
            }
        }
        _ => Err(wrong(place, format!("{first} is a value, it has no fields"))),
    }
}

/// A value as a number.
pub(super) fn number_of(value: &Value) -> Option<f64> {
    match value {
        Value::Integer(number) => Some(*number as f64),
        Value::Float(number) => Some(*number),
        _ => None,
    }
}

/// A value, to be read.
pub(super) fn label(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        Value::Table(table) => {
            let pairs = table.iter().map(|(key, value)| format!("{key} {}", label(value)));
            pairs.collect::<Vec<_>>().join(" ")
        }
        Value::Integer(number) => number.to_string(),
        Value::Float(number) => number.to_string(),
        Value::Boolean(truth) => truth.to_string(),
        Value::Datetime(time) => time.to_string(),
        Value::Array(items) => items.iter().map(label).collect::<Vec<_>>().join(" "),
    }
}
