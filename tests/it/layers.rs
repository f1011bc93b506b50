//! Holds the modules to their layers: each imports only from lower ones, never sideways.
//!
//! What counts is every path that names a top-level module in shipped code, be it in a `use` or in
//! an expression: `crate::log::Segment`, `crate::{log, model}`, `super::super::log`. Modules under
//! `#[cfg(test)]` are exempt, since a test may need the layers above to say what it expects, and
//! nobody ships it. `lib.rs` only declares the modules and has no layer.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// The layers from the bottom up. `model` is the vocabulary and lies beneath everything, also
/// beneath the two other modules of rank 0.
const LAYERS: &[&[&str]] = &[
    &["model"],
    &["clock", "shutdown", "telemetry"],
    &["access", "protocol", "registry", "log", "postgres"],
    &["recovery", "ingest", "flush", "query", "exposition"],
    &["jobs"],
    &["http"],
    &["config"],
    &["app"],
    &["main"],
];

/// A file of more lines holds more than one thing.
const LINES_MAX: usize = 500;

/// A source file by the path of its module: `["log", "segment"]`.
struct Source {
    module: Vec<String>,
    code: String,
}

impl Source {
    fn new(module: &str, code: &str) -> Self {
        let module = module.split("::").map(str::to_owned).collect();
        Self { module, code: without_comments(code) }
    }
}

/// Every import against the layers, as a sentence.
fn violations(sources: &[Source]) -> Vec<String> {
    let layer_of = |name: &str| LAYERS.iter().position(|layer| layer.contains(&name));
    let test_modules: Vec<_> = sources.iter().flat_map(test_modules).collect();
    let shipped = sources
        .iter()
        .filter(|source| !test_modules.iter().any(|test| source.module.starts_with(test)));
    let mut found = Vec::new();
    for source in shipped {
        let importer = source.module.join("::");
        let top = source.module[0].as_str();
        let Some(own_layer) = layer_of(top) else {
            found.push(format!("{importer} has no layer: give `{top}` one in tests/it/layers.rs"));
            continue;
        };
        for import in imports(source) {
            let lower = layer_of(&import).is_none_or(|layer| layer < own_layer);
            if import != top && !lower {
                found.push(format!("{importer} imports {import}, which is not in a lower layer"));
            }
        }
    }
    found
}

/// The top-level modules that the shipped code of `source` names.
fn imports(source: &Source) -> BTreeSet<String> {
    let code = without_test_modules(&source.code);
    let to_root = format!("{}::", vec!["super"; source.module.len()].join("::"));
    let mut found = BTreeSet::new();
    for root in ["crate::", "noetl_metrics::", &to_root] {
        for (at, _) in code.match_indices(root) {
            let starts_path = !code[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_')
                && !code[..at].ends_with("super::");
            if starts_path {
                found.extend(first_names(&code[at + root.len()..]));
            }
        }
    }
    found
}

/// The names that a path goes on with: one, or several where it opens a brace.
fn first_names(path: &str) -> Vec<String> {
    let name_of = |text: &str| -> String {
        text.trim_start().chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect()
    };
    let Some(group) = path.strip_prefix('{') else { return vec![name_of(path)] };
    let mut names = vec![name_of(group)];
    let mut depth = 1;
    for (at, letter) in group.char_indices() {
        match letter {
            '{' => depth += 1,
            '}' => depth -= 1,
            ',' if depth == 1 => names.push(name_of(&group[at + 1..])),
            _ => {}
        }
        if depth == 0 {
            break;
        }
    }
    names.retain(|name| !name.is_empty() && name != "self");
    names
}

/// Code without the rest of each line after `//`: links in documentation are no imports.
fn without_comments(code: &str) -> String {
    let line_of_code = |line: &str| line.split_once("//").map_or(line, |(code, _)| code).to_owned();
    code.lines().map(line_of_code).collect::<Vec<_>>().join("\n")
}

/// Code without the inline modules under `#[cfg(test)]`. rustfmt closes a module at the column
/// where it opened it.
fn without_test_modules(code: &str) -> String {
    let mut shipped = Vec::new();
    let mut lines = code.lines().peekable();
    while let Some(line) = lines.next() {
        let opens_module = lines.peek().is_some_and(|next| {
            next.trim_start().starts_with("mod ") && next.trim_end().ends_with('{')
        });
        if line.trim() == "#[cfg(test)]" && opens_module {
            let indent = line.len() - line.trim_start().len();
            let close = format!("{}}}", " ".repeat(indent));
            let inside = lines.by_ref().skip_while(|line| line.trim_end() != close);
            inside.take(1).for_each(drop);
        } else {
            shipped.push(line);
        }
    }
    shipped.join("\n")
}

/// The modules under `#[cfg(test)]` that have files of their own: `#[cfg(test)] mod simulation;`.
fn test_modules(source: &Source) -> Vec<Vec<String>> {
    let lines: Vec<_> = source.code.lines().map(str::trim).collect();
    let pairs = lines.windows(2).filter(|pair| pair[0] == "#[cfg(test)]");
    pairs
        .filter_map(|pair| pair[1].strip_prefix("mod ")?.strip_suffix(';'))
        .map(|name| source.module.iter().cloned().chain([name.to_owned()]).collect())
        .collect()
}

/// The files of Rust code under `directory`, which need not exist.
fn rust_files(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.map(|entry| entry.unwrap().path());
    let files = paths.flat_map(|path| if path.is_dir() { rust_files(&path) } else { vec![path] });
    files.filter(|path| path.extension().is_some_and(|extension| extension == "rs")).collect()
}

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The source files of the product, except for `lib.rs`.
fn product_sources() -> Vec<Source> {
    let src = root().join("src");
    let module_of = |path: &Path| {
        let path = path.strip_prefix(&src).unwrap().with_extension("");
        let path = if path.ends_with("mod") { path.parent().unwrap() } else { &path };
        path.components()
            .map(|part| part.as_os_str().to_str().unwrap())
            .collect::<Vec<_>>()
            .join("::")
    };
    rust_files(&src)
        .iter()
        .filter(|path| !path.ends_with("src/lib.rs"))
        .map(|path| Source::new(&module_of(path), &fs::read_to_string(path).unwrap()))
        .collect()
}

#[test]
fn modules_import_only_from_lower_layers() {
    let sources = product_sources();
    assert!(sources.iter().any(|source| source.module == ["main"]), "the sources were not found");
    let found = violations(&sources);
    assert!(found.is_empty(), "imports against the layers:\n{}", found.join("\n"));
}

#[test]
fn files_stay_short() {
    for directory in ["src", "tests", "benches", "client", "fuzz", "loadtest"] {
        for path in rust_files(&root().join(directory)) {
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines <= LINES_MAX, "{} has {lines} lines, split it", path.display());
        }
    }
}

#[test]
fn no_crate_of_the_workspace_may_have_unsafe_code() {
    let read = |name: &str| fs::read_to_string(root().join(name)).unwrap();
    let manifest = read("Cargo.toml");
    assert!(manifest.contains("\nunsafe_code = \"forbid\""), "{manifest}");
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    let members: Vec<_> = members.split('"').skip(1).step_by(2).collect();
    assert!(members.len() >= 3, "{members:?}");
    let manifests = members.iter().map(|member| format!("{member}/Cargo.toml"));
    for name in manifests.chain(["Cargo.toml".to_owned()]) {
        // What stands there holds for its library, programs, tests, examples and benchmarks.
        assert!(read(&name).contains("\n[lints]\nworkspace = true\n"), "{name}");
    }
}

#[test]
fn the_architecture_page_names_every_module() {
    let Ok(page) = fs::read_to_string(root().join("docs/ARCHITECTURE.md")) else { return };
    let modules: BTreeSet<_> =
        product_sources().into_iter().map(|source| source.module[0].clone()).collect();
    for module in modules {
        let named =
            page.contains(&format!("`{module}`")) || page.contains(&format!("src/{module}"));
        assert!(named, "docs/ARCHITECTURE.md does not name `{module}`");
    }
}

#[test]
fn a_violation_is_caught() {
    let check = |module: &str, code: &str, want: &[&str]| {
        let found = violations(&[Source::new(module, code)]);
        let want: Vec<_> = want
            .iter()
            .map(|import| format!("{module} imports {import}, which is not in a lower layer"))
            .collect();
        assert_eq!(found, want, "{module}: {code}");
    };
    check("log::segment", "use crate::model::Sample;", &[]);
    check("log::segment", "use crate::log::Record;", &[]);
    check("log::segment", "use crate::postgres::Writer;", &["postgres"]);
    check("log::segment", "use crate::ingest::Ingest;", &["ingest"]);
    check("log", "fn f() { crate::http::stop(); }", &["http"]);
    check(
        "log",
        "use crate::{\n    flush::{Batch, model},\n    model::Sample, query,\n};",
        &["flush", "query"],
    );
    check("log", "use super::ingest::Ingest;", &["ingest"]);
    check("log::segment", "use super::super::ingest::Ingest;", &["ingest"]);
    check("log::segment", "use super::ingest::Ingest;", &[]);
    check("log", "/// Read by [`crate::flush`].\nuse crate::model; // not crate::http", &[]);
    check("main", "use noetl_metrics::app::App;", &[]);
    check("app", "use crate::main::start;", &["main"]);
    check("model", "use crate::clock::Clock;", &["clock"]);
    check(
        "log",
        "#[cfg(test)]\nmod tests {\n    use crate::flush::Batch;\n}\nuse crate::http;",
        &["http"],
    );
    check("log", "#[cfg(test)]\nuse crate::flush::Batch;", &["flush"]);
    let found = violations(&[Source::new("helpers", "")]);
    assert_eq!(found, ["helpers has no layer: give `helpers` one in tests/it/layers.rs"]);
}

#[test]
fn only_declared_test_modules_are_exempt() {
    let test = Source::new("log::simulation", "use crate::flush::Batch;");
    let declares = Source::new("log", "#[cfg(test)]\nmod simulation;");
    assert_eq!(violations(&[declares, test]), [""; 0]);
    let test = Source::new("log::simulation", "use crate::flush::Batch;");
    let ships = Source::new("log", "mod simulation;");
    assert_eq!(violations(&[ships, test]).len(), 1);
}
