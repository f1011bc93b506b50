//! A call on the page.

use serde_json::Value;

use super::markup::{escape, inline, prose};
use super::{curl, schema, text};

/// One method of one path.
pub(super) struct Call<'d> {
    pub(super) path: &'d str,
    /// In lower case, as the document has it.
    pub(super) verb: &'d str,
    pub(super) operation: &'d Value,
}

impl Call<'_> {
    pub(super) fn section(&self) -> &str {
        text(&self.operation["tags"][0])
    }

    /// The way here, for the list of all calls.
    pub(super) fn link(&self) -> String {
        format!(
            "<a href=\"#{}\">{} {}</a>\n",
            text(&self.operation["operationId"]),
            self.badge(),
            breakable(self.path)
        )
    }

    pub(super) fn article(&self) -> String {
        let id = text(&self.operation["operationId"]);
        let mut html = format!(
            "<article id=\"{id}\">\n<h3><a href=\"#{id}\">{} <code>{}</code></a></h3>\n\
             <p class=\"summary\">{}</p>\n",
            self.badge(),
            breakable(self.path),
            inline(text(&self.operation["summary"]))
        );
        html += &prose(text(&self.operation["description"]));
        html += &self.parameters();
        html += &self.body();
        let command = curl::command(self.verb, self.path, self.operation);
        html += &format!("<h4>Example</h4>\n<pre class=\"curl\">{}</pre>\n", escape(&command));
        html += &self.answers();
        html += "</article>\n";
        html
    }

    fn badge(&self) -> String {
        format!("<span class=\"verb {0}\">{0}</span>", self.verb)
    }

    fn parameters(&self) -> String {
        let Value::Array(parameters) = &self.operation["parameters"] else { return String::new() };
        let rows = parameters.iter().map(|parameter| {
            let mut described = parameter
                .get("schema")
                .unwrap_or(&parameter["content"]["application/json"]["schema"])
                .clone();
            described["description"] = parameter["description"].clone();
            // Where a schema is elsewhere, its name is shown, and the sentence is that of here.
            let note = if parameter["in"] == "header" { "header" } else { "" };
            schema::row(text(&parameter["name"]), note, &described)
        });
        format!("<h4>Parameters</h4>\n{}", schema::table(rows))
    }

    fn body(&self) -> String {
        let Value::Object(content) = &self.operation["requestBody"]["content"] else {
            return String::new();
        };
        let rows = content.iter().map(|(name, media)| schema::row(name, "", &media["schema"]));
        format!("<h4>Body</h4>\n{}", schema::table(rows))
    }

    fn answers(&self) -> String {
        let Value::Object(responses) = &self.operation["responses"] else { return String::new() };
        let rows = responses.iter().map(|(status, response)| {
            format!(
                "<tr><th><code>{status}</code></th><td>{}{}{}</td></tr>\n",
                prose(text(&response["description"])),
                if status.starts_with('2') { kinds(response) } else { String::new() },
                headers(response)
            )
        });
        let mut html = format!("<h4>Answers</h4>\n{}", schema::table(rows));
        for (_, response) in responses {
            let Value::Object(content) = &response["content"] else { continue };
            for example in content.values().filter_map(|media| media.get("example")) {
                let shown = match example {
                    Value::String(shown) => shown.clone(),
                    json => serde_json::to_string_pretty(json).unwrap_or_default(),
                };
                html += &format!("<pre>{}</pre>\n", escape(shown.trim_end()));
            }
        }
        html
    }
}

/// The content types of an answer, and what each is.
fn kinds(response: &Value) -> String {
    let Value::Object(content) = &response["content"] else { return String::new() };
    let lines = content.iter().map(|(name, media)| {
        let about = inline(text(&media["schema"]["description"]));
        let schema = schema::words(&media["schema"]);
        format!(
            "<p><code>{}</code> <span class=\"type\">{schema}</span> {about}</p>\n",
            escape(name)
        )
    });
    lines.collect()
}

fn headers(response: &Value) -> String {
    let Value::Object(headers) = &response["headers"] else { return String::new() };
    let lines = headers.iter().map(|(name, header)| {
        format!("<p><code>{name}</code> {}</p>\n", inline(text(&header["description"])))
    });
    lines.collect()
}

/// A path that may be broken at its slashes.
fn breakable(path: &str) -> String {
    escape(path).replace('/', "/<wbr>")
}
