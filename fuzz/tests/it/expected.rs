//! What comes of each document of `corpus/report/`: edge cases of JSON and of the contract.
//!
//! `expected/report.txt` has one line per file: its name, then either the code of the error, or the
//! number of samples taken followed by the kinds of the rejects.

use std::collections::BTreeMap;
use std::fmt::Write;
use std::fs;

use fuzz::report::decode;

use crate::corpus::directory;

fn outcome_of(body: &[u8]) -> String {
    match decode(body) {
        Ok(outcome) => {
            let mut text = outcome.metrics.len().to_string();
            for (_, kind) in &outcome.rejects {
                write!(text, " {}", kind.as_str()).unwrap();
            }
            text
        }
        Err(error) => error.code().to_owned(),
    }
}

#[test]
fn every_document_of_the_corpus_is_decoded_as_expected() {
    let expected: BTreeMap<_, _> = include_str!("expected/report.txt")
        .lines()
        .filter_map(|line| line.split_once(' '))
        .map(|(name, outcome)| (name.to_owned(), outcome.trim().to_owned()))
        .collect();
    let found: BTreeMap<_, _> = fs::read_dir(directory("report"))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            (name, outcome_of(&fs::read(&path).unwrap()))
        })
        .collect();
    assert!(found.len() >= 40, "the corpus is there");
    assert_eq!(found, expected);
}
