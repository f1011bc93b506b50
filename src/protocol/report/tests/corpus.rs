//! The corpus of documents under `tests/corpus/report/`, edge cases of JSON most of all.
//!
//! `expected.txt` has one line per file: its name, then either the code of the error, or the
//! number of samples taken followed by the kinds of the rejects.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;
use std::path::PathBuf;

use super::*;

fn outcome_of(body: &[u8]) -> String {
    match decode(body) {
        Ok(outcome) => {
            let mut text = outcome.metrics.len().to_string();
            for reject in &outcome.rejects {
                assert!(!reject.reason.is_empty());
                write!(text, " {}", reject.kind.as_str()).unwrap();
            }
            text
        }
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn every_document_of_the_corpus_is_decoded_as_expected() {
    let directory = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/corpus/report"));
    let expected = fs::read_to_string(directory.join("expected.txt")).unwrap();
    let expected: BTreeMap<_, _> = expected
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, outcome)| (name.to_owned(), outcome.trim().to_owned()))
        .collect();
    let found: BTreeMap<_, _> = fs::read_dir(&directory)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "json"))
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, outcome_of(&fs::read(&path).unwrap()))
        })
        .collect();
    assert!(found.len() >= 40, "the corpus is there");
    assert_eq!(found, expected);
}
