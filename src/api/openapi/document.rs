//! From the tables to a document of OpenAPI 3.1.
//!
//! Not here: the tables.

use super::operations::{DEVICE_STATES, OPERATIONS, Operation, PARAMETERS};
use super::schemas::SHAPES;
use serde_json::{Map, Value, json};

/// The whole document.
pub(super) fn document() -> Value {
    let mut paths = Map::new();
    for one in OPERATIONS {
        let path = paths.entry(one.path).or_insert_with(|| json!({}));
        path[one.method] = operation(one);
    }
    json!({
        "openapi": "3.1.0",
        "info": {
            "title": "InfraWatch",
            "version": env!("CARGO_PKG_VERSION"),
            "license": {"name": "MIT"},
            "description": "Infrastructure metrics: stored, queried, judged and forecast. Times in are RFC 3339 or a number since \
                1970 (seconds below 1e11, else milliseconds); times out are RFC 3339 in UTC with milliseconds.",
        },
        "servers": [{"url": "/"}],
        "paths": paths,
        "components": {
            "schemas": schemas(),
            "securitySchemes": {
                "bearer": {"type": "http", "scheme": "bearer", "description": "NAME.SECRET"},
                "basic": {"type": "http", "scheme": "basic"},
            },
        },
        // Nothing has to be said where no access is configured.
        "security": [{"bearer": []}, {"basic": []}, {}],
    })
}

fn operation(one: &Operation) -> Value {
    let (status, shape) = one.answer.split_once(' ').unwrap_or((one.answer, ""));
    let mut responses = Map::new();
    let error = if one.tag == "Prometheus" { "PrometheusError" } else { "Error" };
    for (status, says) in ERRORS {
        // Who asks is looked at before any path is, and has one form of refusal.
        let shape = if matches!(*status, "401" | "403" | "429") { "Error" } else { error };
        let content = json!({"application/json": {"schema": reference(shape)}});
        let plain = json!({"text/plain; charset=utf-8": {"schema": {"type": "string"}}});
        let content = if speaks_plainly(one) && !matches!(*status, "401" | "403" | "429") { plain } else { content };
        responses.insert((*status).to_owned(), json!({"description": says, "content": content}));
    }
    if one.path == "/health" {
        responses.insert(
            "503".to_owned(),
            json!({"description": "It can not store or serve.", "content": content_of(shape)}),
        );
    }
    let mut success = json!({"description": "Done."});
    if !shape.is_empty() {
        success["content"] = content_of(shape);
    }
    responses.insert(status.to_owned(), success);
    let mut told = json!({
        "tags": [one.tag],
        "summary": one.says,
        "operationId": name_of(one),
        "responses": responses,
    });
    let parameters: Vec<Value> = in_path(one.path).chain(one.query.split_whitespace().map(parameter)).collect();
    if !parameters.is_empty() {
        told["parameters"] = parameters.into();
    }
    if !one.body.is_empty() {
        told["requestBody"] = body(one);
    }
    told
}

/// What is answered when it is not done.
const ERRORS: &[(&str, &str)] = &[
    ("400", "A parameter or a field makes no sense."),
    ("401", "It is not said, or not proven, who asks."),
    ("403", "Who asks may not do this."),
    ("404", "There is no such thing."),
    ("408", "The body did not arrive in time."),
    ("409", "It is there already."),
    ("413", "The body is too large."),
    ("415", "The body is of another type."),
    ("422", "Understood, and more than can be answered."),
    ("429", "Too many requests."),
    ("500", "The server failed, or refused to do so."),
    ("503", "Try again later."),
];

/// Pages of text have errors of text.
fn speaks_plainly(one: &Operation) -> bool {
    one.path.starts_with("/-/") || one.path == "/ready" || one.body == "protobuf"
}

fn name_of(one: &Operation) -> String {
    // The paths of upkeep begin with a dash, which is no word.
    let path = one.path.replace("/-/", "/own/");
    let words = path.trim_start_matches("/api/v1").split(|c: char| !c.is_ascii_alphanumeric());
    let words: Vec<&str> = words.filter(|word| !word.is_empty()).collect();
    // What stands at the root is called otherwise than the same under the prefix.
    let root = if one.path.starts_with("/api/v1") { "" } else { "root_" };
    format!("{}_{root}{}", one.method, words.join("_"))
}

fn in_path(path: &str) -> impl Iterator<Item = Value> {
    let names = path.split('{').skip(1).filter_map(|rest| rest.split_once('}')).map(|(name, _)| name);
    names.map(|name| {
        json!({"name": name, "in": "path", "required": true, "schema": {"type": "string"}, "example": "cpu_percent",
            "description": "Percent-decoded once."})
    })
}

fn parameter(word: &str) -> Value {
    let required = word.ends_with('!');
    let word = word.trim_end_matches('!');
    let (name, meaning) = word.split_once(':').unwrap_or((word, word));
    let (_, kind, example, says) =
        PARAMETERS.iter().find(|(known, ..)| *known == meaning).expect("a parameter of the table");
    // The table's device is a name; the state of one is a word.
    let kind = if word == "state:device" { DEVICE_STATES } else { kind };
    let example = if word == "state:device" { "up" } else { example };
    let schema = type_of(kind);
    let example = match schema["type"].as_str() {
        Some("array") => json!([example]),
        Some("integer" | "number") => serde_json::from_str(example).unwrap_or(Value::Null),
        _ => json!(example),
    };
    // One that is empty counts as absent.
    let schema = match (required, schema["type"].as_str()) {
        (true, _) | (_, Some("array")) => schema,
        _ => json!({"anyOf": [schema, {"type": "string", "maxLength": 0}]}),
    };
    json!({"name": name, "in": "query", "required": required, "schema": schema, "example": example, "description": says})
}

fn body(one: &Operation) -> Value {
    let schema = match one.body {
        "protobuf" => {
            let content = json!({"application/x-protobuf": {"schema": {"type": "string", "format": "binary"}}});
            return json!({"required": true, "content": content});
        }
        "form" => {
            let content = json!({"application/x-www-form-urlencoded": {"schema": {"type": "object"}}});
            return json!({"required": false, "content": content});
        }
        "Samples" => json!({"anyOf": [reference("Sample"), {"type": "array", "items": reference("Sample")},
            {"type": "object", "properties": {"metrics": {"type": "array", "items": reference("Sample")}},
             "required": ["metrics"], "additionalProperties": false}]}),
        "any" => json!({"type": "object"}),
        shape => reference(shape),
    };
    let is_required = schema.get("anyOf").is_some()
        || SHAPES.lines().any(|line| line.starts_with(&format!("{} <<", one.body)) && line.contains("!:"));
    let mut content = json!({"schema": schema});
    if !one.example.is_empty() {
        content["example"] = serde_json::from_str(one.example).unwrap_or(Value::Null);
    }
    json!({"required": is_required, "content": {"application/json": content}})
}

fn content_of(shape: &str) -> Value {
    match shape {
        "any" => json!({"application/json": {"schema": {}}}),
        text if text.contains('/') => json!({(format!("{text}; charset=utf-8")): {"schema": {"type": "string"}}}),
        shape => json!({"application/json": {"schema": reference(shape)}}),
    }
}

fn reference(shape: &str) -> Value {
    json!({"$ref": format!("#/components/schemas/{shape}")})
}

fn schemas() -> Map<String, Value> {
    let mut all = Map::new();
    for line in SHAPES.lines() {
        let (head, is_body) = match line.split_once(" << ") {
            Some(parts) => (parts, true),
            None => (line.split_once(" = ").expect("a shape has a name and fields"), false),
        };
        let (name, fields) = head;
        all.insert(name.to_owned(), object(fields, is_body));
    }
    all
}

fn object(fields: &str, is_body: bool) -> Value {
    let (mut properties, mut required) = (Map::new(), Vec::new());
    for field in fields.split(", ") {
        let (name, kind) = field.split_once(": ").expect("a field has a name and a type");
        let must = if is_body { name.ends_with('!') } else { !name.ends_with('*') };
        let name = name.trim_end_matches(['!', '*']);
        if must {
            required.push(name);
        }
        let mut schema = type_of(kind);
        if is_body && !must && schema.get("$ref").is_none() {
            // A field of a body that is null counts as absent.
            schema = nullable(schema);
        }
        properties.insert(name.to_owned(), schema);
    }
    json!({"type": "object", "properties": properties, "required": required, "additionalProperties": false})
}

fn nullable(schema: Value) -> Value {
    if schema.as_object().is_some_and(Map::is_empty) {
        return schema;
    }
    json!({"anyOf": [schema, {"type": "null"}]})
}

fn type_of(kind: &str) -> Value {
    if let Some(kind) = kind.strip_suffix('?') {
        return nullable(type_of(kind));
    }
    if let Some(item) = kind.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return json!({"type": "array", "items": type_of(item)});
    }
    if let Some(item) = kind.strip_prefix('{').and_then(|rest| rest.strip_suffix('}')) {
        return json!({"type": "object", "additionalProperties": type_of(item)});
    }
    match kind {
        "string" | "number" | "integer" | "boolean" => json!({"type": kind}),
        "any" => json!({}),
        "labels" => json!({"type": "object", "additionalProperties": {"type": "string"}}),
        "time" => json!({"type": "string", "format": "date-time"}),
        "time_in" => json!({"anyOf": [{"type": "string", "format": "date-time"}, {"type": "number"}]}),
        "duration" => {
            json!({"anyOf": [{"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w))+$"}, {"type": "number"}]})
        }
        "matchers" => json!({"anyOf": [{"type": "string"}, {"type": "array", "items": {"type": "string"}}]}),
        "hex" => json!({"type": "string", "pattern": "^[0-9a-f]{16}$"}),
        words if words.contains('|') || words.chars().all(|c| c.is_ascii_lowercase()) => {
            json!({"type": "string", "enum": words.split('|').collect::<Vec<_>>()})
        }
        shape => reference(shape),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every reference in a value.
    fn references(value: &Value, found: &mut Vec<String>) {
        match value {
            Value::Object(fields) => {
                found.extend(fields.get("$ref").and_then(Value::as_str).map(str::to_owned));
                fields.values().for_each(|value| references(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| references(value, found)),
            _ => {}
        }
    }

    #[test]
    fn every_reference_leads_somewhere_and_every_shape_is_used() {
        let document = document();
        let mut found = Vec::new();
        references(&document, &mut found);
        let schemas = document["components"]["schemas"].as_object().unwrap();
        for reference in &found {
            let name = reference.strip_prefix("#/components/schemas/").unwrap();
            assert!(schemas.contains_key(name), "{name}");
        }
        for name in schemas.keys() {
            assert!(found.iter().any(|reference| reference.ends_with(&format!("/{name}"))), "{name} is used nowhere");
        }
    }

    #[test]
    fn every_operation_has_a_name_of_its_own_and_an_example_that_is_json() {
        let mut names: Vec<_> = OPERATIONS.iter().map(name_of).collect();
        names.sort();
        let count = names.len();
        names.dedup();
        assert_eq!(names.len(), count);
        for one in OPERATIONS.iter().filter(|one| !one.example.is_empty()) {
            assert!(serde_json::from_str::<Value>(one.example).is_ok(), "{}", one.path);
        }
    }

    #[test]
    fn types_are_those_of_the_notation() {
        assert_eq!(
            type_of("[number?]"),
            json!({"type": "array", "items": {"anyOf": [{"type": "number"}, {"type": "null"}]}})
        );
        assert_eq!(type_of("a|b"), json!({"type": "string", "enum": ["a", "b"]}));
        assert_eq!(type_of("Point"), json!({"$ref": "#/components/schemas/Point"}));
        let body = object("a!: string, b: integer", true);
        assert_eq!(body["required"], json!(["a"]));
        assert_eq!(body["properties"]["b"], json!({"anyOf": [{"type": "integer"}, {"type": "null"}]}));
    }
}
