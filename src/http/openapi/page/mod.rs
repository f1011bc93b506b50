//! The page for people, made of the document and of nothing else.
//!
//! It asks for nothing besides itself: no script, no font, no image.

mod call;
mod curl;
mod markup;
mod schema;

use std::fmt::Write as _;

use serde_json::Value;

use super::describe::Section;
use crate::http::routes::RESOURCES;
use call::Call;
use markup::{escape, prose};

pub(super) const STYLE: &str = include_str!("style.css");

/// The page of `document`.
pub(super) fn render(document: &Value) -> String {
    let calls = calls(document);
    let info = &document["info"];
    let version = escape(text(&info["version"]));
    let mut page = format!(
        "<!doctype html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n\
         <meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n\
         <meta name=\"color-scheme\" content=\"light dark\">\n\
         <link rel=\"icon\" href=\"data:,\">\n\
         <title>noetl-metrics API</title>\n<style>{STYLE}</style>\n</head>\n<body>\n"
    );
    page += &navigation(&calls);
    page += "<main>\n<header>\n";
    add(&mut page, format_args!("<h1>noetl-metrics <small>{version}</small></h1>\n"));
    page += &prose(text(&info["description"]));
    page += "<p>The same for programs: <a href=\"/api/openapi.json\">/api/openapi.json</a>, \
             OpenAPI 3.1.</p>\n</header>\n";
    for section in Section::ALL {
        let title = section.title();
        let heading = format_args!(
            "<section id=\"{}\">\n<h2>{title}</h2>\n<p>{}</p>\n",
            anchor(title),
            escape(section.text())
        );
        add(&mut page, heading);
        for call in calls.iter().filter(|call| call.section() == title) {
            page += &call.article();
        }
        page += "</section>\n";
    }
    page += &schemas(document);
    page += "</main>\n</body>\n</html>\n";
    page
}

/// All calls, in the order of the table.
fn calls(document: &Value) -> Vec<Call<'_>> {
    let mut calls = Vec::new();
    for resource in RESOURCES {
        let Value::Object(operations) = &document["paths"][resource.path] else { continue };
        let operations = operations.iter();
        calls.extend(operations.map(|(verb, operation)| Call {
            path: resource.path,
            verb,
            operation,
        }));
    }
    calls
}

fn navigation(calls: &[Call<'_>]) -> String {
    let mut html = "<nav>\n".to_owned();
    for section in Section::ALL {
        let title = section.title();
        let heading = format_args!("<a class=\"group\" href=\"#{}\">{title}</a>\n", anchor(title));
        add(&mut html, heading);
        for call in calls.iter().filter(|call| call.section() == title) {
            html += &call.link();
        }
    }
    html += "<a class=\"group\" href=\"#schemas\">Schemas</a>\n</nav>\n";
    html
}

fn schemas(document: &Value) -> String {
    let mut html = "<section id=\"schemas\">\n<h2>Schemas</h2>\n".to_owned();
    let Value::Object(schemas) = &document["components"]["schemas"] else { return html };
    for (name, schema) in schemas {
        add(&mut html, format_args!("<article id=\"schema-{name}\">\n<h3>{name}</h3>\n"));
        html += &schema::definition(schema);
        html += "</article>\n";
    }
    html += "</section>\n";
    html
}

fn anchor(title: &str) -> String {
    title.to_ascii_lowercase()
}

/// A string of the document, or nothing.
fn text(value: &Value) -> &str {
    value.as_str().unwrap_or_default()
}

fn add(html: &mut String, more: std::fmt::Arguments<'_>) {
    html.write_fmt(more).expect("a string takes everything");
}
