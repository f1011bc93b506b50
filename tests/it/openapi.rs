//! The API as it is described: the description is a valid one, schemathesis finds no answer that it
//! does not have, its examples work, and `docs/api.md` speaks of the same calls.

use std::collections::BTreeSet;
use std::fs;
use std::process::Command;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::Value;
use sha2::{Digest as _, Sha256};

use crate::server::{Launch, Server};

const DOCUMENT: &str = "/api/openapi.json";
const INSTALL: &str = "the tests need schemathesis on PATH; `make test` installs it";

/// `method path` of every call that is described.
fn described(document: &Value) -> BTreeSet<String> {
    let Value::Object(paths) = &document["paths"] else { panic!("no paths") };
    let calls = paths.iter().flat_map(|(path, operations)| {
        let Value::Object(operations) = operations else { panic!("no operations of {path}") };
        operations.keys().map(move |verb| format!("{} {path}", verb.to_ascii_uppercase()))
    });
    calls.collect()
}

#[test]
fn schemathesis_finds_nothing() {
    // Partitions of other tests' samples would make each call slower.
    // On a machine with more to do than it can, nothing but time is short.
    let launch = Launch::new().flag("body-timeout", "10m").flag("query-timeout", "10m");
    let server = launch.start();
    let here = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it");
    let notes = tempfile::tempdir().unwrap();
    let output = Command::new("schemathesis")
        .args([&format!("--config-file={here}/openapi.toml"), "run"])
        .arg(format!("http://{}{DOCUMENT}", server.address()))
        .args(["--seed=1", "--max-examples=12", "--no-color", "--generation-database=none"])
        // How long it takes to make a request says something of this machine only.
        .arg("--suppress-health-check=too_slow")
        .env("SCHEMATHESIS_HOOKS", format!("{here}/openapi_hooks.py"))
        // It leaves notes where it is started.
        .current_dir(notes.path())
        .output()
        .expect(INSTALL);
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{said}{}", String::from_utf8_lossy(&output.stderr));
    // All but the call that it has the document from.
    let tested = described(&server.client().get(DOCUMENT).json()).len() - 1;
    assert!(said.contains(&format!("Tested: {tested}")), "{said}");
}

#[test]
fn the_description_is_a_valid_one_and_so_are_its_examples() {
    let document = Server::shared().client().get(DOCUMENT);
    assert_eq!(document.header("content-type"), Some("application/json"));
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("openapi.json");
    fs::write(&path, &document.body).unwrap();
    let check = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/openapi_examples.py");
    let output = Command::new("python3").arg(check).arg(path).output().expect(INSTALL);
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}\n{INSTALL}");
}

#[test]
fn the_description_and_the_page_are_known_by_their_tags() {
    let client = Server::shared().client();
    for path in [DOCUMENT, "/docs"] {
        let first = client.get(path);
        assert_eq!(
            (first.status, first.header("cache-control")),
            (200, Some("no-cache")),
            "{path}"
        );
        let tag = first.header("etag").unwrap().to_owned();
        let again = client.get_with(path, &[("if-none-match", &tag)]);
        assert_eq!((again.status, again.body.len()), (304, 0), "{path}");
        assert_eq!(again.header("etag"), Some(tag.as_str()), "{path}");
        assert_eq!(client.get_with(path, &[("if-none-match", "\"other\"")]).body, first.body);
    }
    // What is not sent again is no error.
    let counted = client.get("/metrics").text();
    let errors = "noetl_metrics_http_requests_total{route=\"service\",status=\"500\"} 0\n";
    assert!(counted.contains(errors), "{counted}");
}

#[test]
fn the_page_lets_nothing_in_but_its_own_style() {
    let page = Server::shared().client().get("/docs");
    assert_eq!(page.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(page.header("referrer-policy"), Some("no-referrer"));
    let text = page.text();
    let style = text.split("<style>").nth(1).unwrap().split("</style>").next().unwrap();
    let digest = BASE64_STANDARD.encode(Sha256::digest(style));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with(&format!("default-src 'none'; style-src 'sha256-{digest}'; ")),
        "{policy}"
    );
    assert!(policy.contains("frame-ancestors 'none'") && !text.contains(" style="), "{policy}");
}

#[test]
fn the_examples_of_the_page_work() {
    let server = Launch::new().start();
    let page = server.client().get("/docs").text();
    let plain = |html: &str| {
        html.replace("&quot;", "\"").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")
    };
    let examples = page.split("<pre class=\"curl\">").skip(1);
    let examples: Vec<_> =
        examples.map(|rest| plain(rest.split("</pre>").next().unwrap())).collect();
    assert_eq!(examples.len(), described(&server.client().get(DOCUMENT).json()).len());
    for example in examples {
        let command = example.replace("127.0.0.1:8082", &server.address().to_string());
        let command = command.replacen("curl", "curl -sS -w '\\n%{http_code}'", 1);
        let output = Command::new("sh").args(["-euc", &command]).output().unwrap();
        let said = String::from_utf8(output.stdout).unwrap();
        let to_come = command.contains("/ttl/");
        let expected = if to_come { "\n501" } else { "\n200" };
        assert!(output.status.success() && said.ends_with(expected), "{command}\n{said}");
    }
}

/// What stands in backquotes.
fn quoted(text: &str) -> impl Iterator<Item = &str> {
    text.split('`').skip(1).step_by(2)
}

#[test]
fn the_document_and_the_page_of_the_repository_speak_of_the_same_calls_and_errors() {
    let document = Server::shared().client().get(DOCUMENT).json();
    let page = include_str!("../../docs/api.md");
    // The table on top: `POST /one` or `/two`, with the method of the one before.
    let rows = page.lines().skip_while(|line| !line.starts_with("| call |")).skip(2);
    let mut written = BTreeSet::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut methods = Vec::new();
        for words in quoted(row.split('|').nth(1).unwrap()) {
            match words.split_once(' ') {
                Some((method, path)) => {
                    methods.push(method);
                    written.extend(methods.iter().map(|method| format!("{method} {path}")));
                    methods.clear();
                }
                // Another method of the same path.
                None if !words.starts_with('/') => methods.push(words),
                None => panic!("{words} has no method: {row}"),
            }
        }
    }
    assert_eq!(written, described(&document));

    let rows = page.lines().skip_while(|line| !line.starts_with("| status | code |")).skip(2);
    let mut told = BTreeSet::new();
    for row in rows.take_while(|line| line.starts_with('|')) {
        let mut cells = row.split('|').skip(1).map(str::trim);
        let status = cells.next().unwrap();
        told.extend(quoted(cells.next().unwrap()).map(|code| format!("{status} {code}")));
    }
    let anywhere = ["404 not_found", "405 method_not_allowed"];
    let mut known: BTreeSet<_> = anywhere.map(str::to_owned).into();
    let Value::Object(paths) = &document["paths"] else { panic!("no paths") };
    for operation in paths.values().flat_map(|path| path.as_object().unwrap().values()) {
        for (status, response) in operation["responses"].as_object().unwrap() {
            let schema = &response["content"]["application/json"]["schema"];
            let codes = &schema["allOf"][1]["properties"]["error"]["enum"];
            let codes = codes.as_array().into_iter().flatten().map(|code| code.as_str().unwrap());
            known.extend(codes.map(|code| format!("{status} {code}")));
        }
    }
    assert_eq!(told, known);
}
