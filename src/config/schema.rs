//! services.schema.json, made from the tables of fields: editors complete and check services.json with it.

use serde_json::{Map, Value, json};

use super::{Field, Form, GENERAL_FIELDS};
use crate::sources::SOURCES;

/// The JSON schema of services.json.
pub fn schema() -> Value {
    let names: Vec<&str> = SOURCES.iter().map(|kind| kind.name).collect();
    let rules: Vec<Value> = SOURCES
        .iter()
        .map(|kind| {
            // A service without a type is of the first one.
            let type_is = match kind.name == names.first().copied().unwrap_or_default() {
                true => json!({"properties": {"type": {"const": kind.name}}}),
                false => {
                    json!({"properties": {"type": {"const": kind.name}}, "required": ["type"]})
                }
            };
            json!({"if": type_is, "then": service(kind.fields, &names)})
        })
        .collect();
    json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "services.json of saas-exporter",
        "type": "object",
        "properties": {"$schema": {"type": "string"}},
        "patternProperties": {"^_": {"description": "Ignored: a comment."}},
        "additionalProperties": {"type": "object", "properties": {"type": {"enum": names}}, "allOf": rules},
        "minProperties": 1,
    })
}

fn service(own: &[Field], types: &[&str]) -> Value {
    let mut properties = Map::new();
    for field in GENERAL_FIELDS.iter().chain(own) {
        let mut property = form(field.form);
        if let Value::Object(entries) = &mut property {
            entries.insert("description".to_owned(), field.meaning.into());
            if field.name == "type" {
                entries.insert("enum".to_owned(), types.into());
            }
        }
        put(&mut properties, field.name, property);
    }
    let required: Vec<&str> = own
        .iter()
        .filter(|field| field.required)
        .map(|field| field.name)
        .collect();
    json!({"properties": properties, "patternProperties": {"^_": true}, "required": required, "additionalProperties": false})
}

/// Puts the property in its place: that of `a.b` is property `b` of the object `a`.
fn put(properties: &mut Map<String, Value>, name: &str, property: Value) {
    let Some((object, name)) = name.split_once('.') else {
        properties.insert(name.to_owned(), property);
        return;
    };
    let empty = || json!({"type": "object", "properties": {}, "additionalProperties": false});
    let inner = properties.entry(object).or_insert_with(empty);
    if let Some(inner) = inner.get_mut("properties").and_then(Value::as_object_mut) {
        inner.insert(name.to_owned(), property);
    }
}

fn form(form: Form) -> Value {
    match form {
        Form::Text | Form::Path => json!({"type": "string", "minLength": 1}),
        Form::Url => json!({"type": "string", "pattern": "^[Hh][Tt][Tt][Pp][Ss]?://[^/?#@]+"}),
        Form::Duration => {
            json!({"anyOf": [{"type": "string", "pattern": "^[0-9]"}, {"type": "number", "exclusiveMinimum": 0}]})
        }
        Form::Word(words) => json!({"type": "string", "enum": words}),
        Form::Integer(least, most) => json!({"type": "integer", "minimum": least, "maximum": most}),
        Form::Boolean => json!({"type": "boolean"}),
        Form::Secret => json!({"type": "string", "minLength": 1}),
        Form::SecretList => json!({"type": "array", "items": {"type": "string", "minLength": 1}}),
        Form::Labels => {
            json!({"type": "object", "propertyNames": {"pattern": "^(?!__)[A-Za-z_][A-Za-z0-9_]*$"}, "additionalProperties": {"type": "string"}})
        }
        Form::Headers => json!({"type": "object", "additionalProperties": {"anyOf": [
            {"type": "string"},
            {"type": "object", "properties": {"env": {"type": "string"}}, "required": ["env"], "additionalProperties": false},
            {"type": "object", "properties": {"file": {"type": "string"}}, "required": ["file"], "additionalProperties": false},
        ]}}),
    }
}
