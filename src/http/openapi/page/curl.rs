//! The example of a call: how curl sends it.

use serde_json::Value;

use super::text;

const BASE: &str = "http://127.0.0.1:8082";

/// One command, in lines that a shell joins.
pub(super) fn command(verb: &str, path: &str, operation: &Value) -> String {
    let mut parts = vec!["curl".to_owned()];
    let parameters = parameters(operation);
    let as_data = verb == "get" && !parameters.is_empty();
    match verb {
        "get" if as_data => parts[0] += " -G",
        "get" => {}
        verb => parts[0] += &format!(" -X {}", verb.to_ascii_uppercase()),
    }
    if as_data || parameters.is_empty() {
        parts[0] += &format!(" {BASE}{path}");
    } else {
        let pairs: Vec<_> =
            parameters.iter().map(|(name, value)| format!("{name}={value}")).collect();
        parts[0] += &format!(" {}", quoted(&format!("{BASE}{path}?{}", pairs.join("&"))));
    }
    if as_data {
        let pairs = parameters.iter().map(|(name, value)| quoted(&format!("{name}={value}")));
        parts.extend(pairs.map(|pair| format!("--data-urlencode {pair}")));
    }
    if let Some(body) = operation["requestBody"]["content"]["application/json"].get("example") {
        parts.push("-H 'Content-Type: application/json'".to_owned());
        let shown = serde_json::to_string_pretty(body).unwrap_or_default();
        parts.push(format!("-d {}", quoted(&shown)));
    }
    parts.join(" \\\n  ")
}

/// The parameters that have an example, as they stand in a URL before they are encoded.
fn parameters(operation: &Value) -> Vec<(&str, String)> {
    let Value::Array(parameters) = &operation["parameters"] else { return Vec::new() };
    let shown = parameters.iter().filter_map(|parameter| {
        let json = &parameter["content"]["application/json"];
        let example = parameter.get("example").or_else(|| json.get("example"))?;
        let value = example.as_str().map_or_else(|| example.to_string(), str::to_owned);
        Some((text(&parameter["name"]), value))
    });
    shown.collect()
}

/// For a shell.
fn quoted(argument: &str) -> String {
    format!("'{}'", argument.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_call_becomes_a_command() {
        let check = |verb: &str, operation: &Value, expected: &str| {
            assert_eq!(command(verb, "/p", operation), expected);
        };
        check("get", &json!({}), "curl http://127.0.0.1:8082/p");
        let parameters = json!({"parameters": [
            {"name": "a", "example": "it's"}, {"name": "none"}, {"name": "n", "example": 7},
            {"name": "j", "content": {"application/json": {"example": {"k": 1}}}},
        ]});
        check(
            "get",
            &parameters,
            "curl -G http://127.0.0.1:8082/p \\\n  --data-urlencode 'a=it'\\''s' \\\n  \
             --data-urlencode 'n=7' \\\n  --data-urlencode 'j={\"k\":1}'",
        );
        let parameters = json!({"parameters": [{"name": "n", "example": 7}]});
        check("post", &parameters, "curl -X POST 'http://127.0.0.1:8082/p?n=7'");
        let body = json!({"requestBody": {"content": {"application/json": {"example": {}}}}});
        check(
            "delete",
            &body,
            "curl -X DELETE http://127.0.0.1:8082/p \\\n  -H 'Content-Type: application/json' \\\n  \
             -d '{}'",
        );
    }
}
