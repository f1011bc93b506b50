//! Reads the configuration file: TOML with one key per setting and no sections.

use std::fs;

use toml::de::{DeTable, DeValue};

use super::error::{Mistake, Origin};
use super::settings::{SETTINGS, Setting};

/// A value that the file gives.
#[derive(Debug)]
pub(super) struct FileValue {
    pub(super) setting: &'static Setting,
    pub(super) origin: Origin,
    pub(super) text: String,
}

/// Reads the values that stand in the file at `path`, in the order of its lines, and adds what is
/// wrong with it to `mistakes`.
pub(super) fn read_file(path: &str, mistakes: &mut Vec<Mistake>) -> Vec<FileValue> {
    match fs::read_to_string(path) {
        Ok(content) => read_toml(path, &content, mistakes),
        Err(error) => {
            mistakes.push(Mistake::FileUnreadable { path: path.to_owned(), error });
            Vec::new()
        }
    }
}

fn read_toml(path: &str, content: &str, mistakes: &mut Vec<Mistake>) -> Vec<FileValue> {
    let line_of = |offset: usize| {
        1 + content.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count()
    };
    let (table, errors) = DeTable::parse_recoverable(content);
    let mut broken: Vec<_> = errors
        .iter()
        .map(|error| (error.span().map_or(1, |span| line_of(span.start)), error.message()))
        .collect();
    broken.sort_by_key(|(line, _)| *line);
    broken.dedup_by_key(|(line, _)| *line);
    let mut entries: Vec<_> = table
        .get_ref()
        .iter()
        .map(|(key, value)| (line_of(key.span().start), key.get_ref(), value.get_ref()))
        // What the parser recovers from a broken line would only be reported a second time.
        .filter(|(line, ..)| !broken.iter().any(|(broken, _)| broken == line))
        .collect();
    entries.sort_by_key(|(line, ..)| *line);
    mistakes.extend(broken.into_iter().map(|(line, problem)| Mistake::NotToml {
        origin: Origin::File { path: path.to_owned(), line },
        problem: problem.to_owned(),
    }));
    let mut values = Vec::new();
    for (line, key, value) in entries {
        let origin = Origin::File { path: path.to_owned(), line };
        let Some(setting) = Setting::find(key) else {
            mistakes.push(Mistake::UnknownKey {
                origin,
                key: key.to_string(),
                nearest: nearest_key(key),
            });
            continue;
        };
        match text_of(value) {
            Some(text) => values.push(FileValue { setting, origin, text }),
            None => mistakes.push(Mistake::BadValue {
                origin,
                key: setting.key,
                problem: format!("must be one value, not a TOML {}", value.type_str()),
            }),
        }
    }
    values
}

/// A single value as the text that a variable or flag would hold.
fn text_of(value: &DeValue<'_>) -> Option<String> {
    match value {
        DeValue::String(text) => Some(text.to_string()),
        DeValue::Boolean(switch) => Some(switch.to_string()),
        DeValue::Float(number) => Some(number.as_str().to_owned()),
        DeValue::Integer(number) => i64::from_str_radix(number.as_str(), number.radix())
            .map_or_else(|_| Some(number.to_string()), |number| Some(number.to_string())),
        DeValue::Datetime(_) | DeValue::Array(_) | DeValue::Table(_) => None,
    }
}

/// The setting whose key is nearest to `key`, where one is near enough to have been meant.
fn nearest_key(key: &str) -> Option<&'static str> {
    let (distance, nearest) = SETTINGS
        .iter()
        .map(|setting| (edit_distance(key, setting.key), setting.key))
        .min_by_key(|(distance, _)| *distance)?;
    (distance <= nearest.len() / 3).then_some(nearest)
}

/// Letters to insert, delete or replace until `a` is `b` (Levenshtein), one row at a time.
fn edit_distance(a: &str, b: &str) -> usize {
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, letter_a) in a.bytes().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, letter_b) in b.bytes().enumerate() {
            let replaced = diagonal + usize::from(letter_a != letter_b);
            diagonal = row[j + 1];
            row[j + 1] = replaced.min(diagonal + 1).min(row[j] + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(content: &str) -> (Vec<String>, Vec<String>) {
        let mut mistakes = Vec::new();
        let values = read_toml("noetl.toml", content, &mut mistakes);
        let values = values.iter().map(|value| {
            let Origin::File { line, .. } = value.origin else { panic!("{:?}", value.origin) };
            format!("{line} {} {}", value.setting.key, value.text)
        });
        (values.collect(), mistakes.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn every_single_value_becomes_text() {
        let (values, mistakes) = read(concat!(
            "listen = '0.0.0.0:80' # all\nlabels-max = 0x40\nkeep-alive = 2.5\n",
            "series-max = 1_000\nrequire-registration = true\n\"batch-age-max\" = \"5s\"\n",
        ));
        assert_eq!(mistakes, [""; 0]);
        assert_eq!(
            values,
            [
                "1 listen 0.0.0.0:80",
                "2 labels-max 64",
                "3 keep-alive 2.5",
                "4 series-max 1000",
                "5 require-registration true",
                "6 batch-age-max 5s",
            ]
        );
    }

    #[test]
    fn unknown_keys_are_mistakes_with_a_suggestion() {
        let check = |line: &str, want: &str| {
            let (values, mistakes) = read(&format!("\n{line}\n"));
            assert_eq!(values, [""; 0], "{line}");
            assert_eq!(mistakes, [format!("noetl.toml line 2: {want}")], "{line}");
        };
        check("data_dir = 'x'", "there is no setting data_dir; did you mean data-dir?");
        check(
            "batch-row-max = 5",
            "there is no setting batch-row-max; did you mean batch-rows-max?",
        );
        check(
            "colour = 5",
            "there is no setting colour; `noetl-metrics serve --help` lists them all",
        );
        check("labels-max = [1]", "labels-max: must be one value, not a TOML array");
        check("listen = { port = 1 }", "listen: must be one value, not a TOML table");
    }

    #[test]
    fn a_broken_line_does_not_hide_the_others() {
        let (values, mistakes) = read("labels-max = \nlisten = 'x'\ndatadir = 'y'\nkeep-alive 5\n");
        assert_eq!(values, ["2 listen x"]);
        let lines: Vec<_> = mistakes.iter().map(|mistake| &mistake[..17]).collect();
        assert_eq!(lines, ["noetl.toml line 1", "noetl.toml line 4", "noetl.toml line 3"]);
    }

    #[test]
    fn distances() {
        let check = |a, b, want| assert_eq!(edit_distance(a, b), want, "{a} {b}");
        check("", "", 0);
        check("", "abc", 3);
        check("kitten", "sitting", 3);
        check("data_dir", "data-dir", 1);
    }
}
