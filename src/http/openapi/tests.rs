use std::collections::BTreeSet;

use jiff::tz::TimeZone;
use serde_json::Value;

use super::*;
use crate::http::routes::{Operation, RESOURCES};
use crate::query::Filter;

fn operations() -> impl Iterator<Item = &'static Operation> {
    RESOURCES.iter().flat_map(|resource| resource.operations)
}

/// Every value under the key, wherever it stands.
fn under<'d>(key: &str, value: &'d Value, found: &mut Vec<&'d Value>) {
    match value {
        Value::Object(fields) => {
            found.extend(fields.get(key));
            fields.values().for_each(|value| under(key, value, found));
        }
        Value::Array(values) => values.iter().for_each(|value| under(key, value, found)),
        _ => {}
    }
}

#[test]
fn every_reference_leads_to_a_schema_and_every_schema_is_used() {
    let document = document::document(&Limits::default());
    let mut found = Vec::new();
    under("$ref", &document, &mut found);
    let used: BTreeSet<_> = found
        .iter()
        .map(|reference| reference.as_str().unwrap().strip_prefix("#/components/schemas/").unwrap())
        .collect();
    let Value::Object(schemas) = &document["components"]["schemas"] else { panic!("no schemas") };
    assert_eq!(used, schemas.keys().map(String::as_str).collect());
}

#[test]
fn every_code_is_of_some_call_or_of_any() {
    let told: BTreeSet<_> =
        operations().flat_map(|one| one.description.errors).copied().flatten().copied().collect();
    let mut all: BTreeSet<_> = errors::ERRORS.iter().map(|error| error.code).collect();
    assert_eq!(all.len(), errors::ERRORS.len(), "a code stands twice");
    assert!(errors::ERRORS.is_sorted_by_key(|error| error.status));
    // Those of every call that needs a token, and those that need no call.
    for code in errors::TOKEN.iter().chain(errors::WRITE) {
        assert!(all.remove(code));
    }
    assert!(all.remove("not_found") && all.remove("method_not_allowed"));
    assert!(all.remove("starting"), "of every call but one");
    assert_eq!(told, all);
}

#[test]
fn no_two_calls_have_one_name() {
    let ids: BTreeSet<_> = operations().map(|one| one.description.id).collect();
    assert_eq!(ids.len(), operations().count());
}

#[test]
fn the_parameters_of_a_query_are_those_that_it_takes() {
    let names: Vec<_> = calls::QUERY.parameters.iter().map(|parameter| parameter.name).collect();
    let unknown = Filter::parse("x=1", &TimeZone::UTC).unwrap_err().to_string();
    let (_, known) = unknown.split_once("known are ").unwrap();
    assert_eq!(known.replace(" and ", ", ").split(", ").collect::<Vec<_>>(), names);
    for parameter in calls::QUERY.parameters {
        let Some(example) = parameter.example else { continue };
        let query = format!("{}={}", parameter.name, example.replace('%', "%25"));
        assert!(Filter::parse(&query, &TimeZone::UTC).is_ok(), "{query}");
    }
}

#[test]
fn the_bounds_of_a_report_are_the_settings() {
    let limits = Limits { name_bytes_max: 77, labels_max: 5, ..Limits::default() };
    let document = document::document(&limits);
    let schemas = &document["components"]["schemas"];
    assert_eq!(schemas["Metric"]["properties"]["metric_name"]["maxLength"], 77);
    assert_eq!(schemas["Labels"]["maxProperties"], 5);
}

#[test]
fn the_page_has_a_place_for_everything_that_it_leads_to() {
    let page = page::render(&document::document(&Limits::default()));
    let places: BTreeSet<_> = parts(&page, "id=\"").collect();
    let ways: BTreeSet<_> = parts(&page, "href=\"#").collect();
    assert_eq!(ways.difference(&places).collect::<Vec<_>>(), Vec::<&&str>::new());
    assert!(operations().all(|one| places.contains(one.description.id)));
    // A browser has nothing to ask for.
    for outside in ["src=", "url(", "@import", "<script", "href=\"http"] {
        assert!(!page.contains(outside), "{outside}");
    }
}

/// What stands in quotes behind each `start`.
fn parts<'p>(page: &'p str, start: &'p str) -> impl Iterator<Item = &'p str> {
    page.split(start).skip(1).filter_map(|rest| rest.split('"').next())
}
