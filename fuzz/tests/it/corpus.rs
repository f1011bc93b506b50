//! Every target over its corpus and over mutations of that.

use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::PathBuf;

use fuzz::mutation::{Luck, mutate};
use fuzz::{TARGETS, Target};

pub(crate) fn directory(target: &str) -> PathBuf {
    [env!("CARGO_MANIFEST_DIR"), "corpus", target].iter().collect()
}

fn corpus(target: &str) -> Vec<(String, Vec<u8>)> {
    let mut files: Vec<_> = fs::read_dir(directory(target))
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .map(|path| {
            (path.file_name().unwrap().to_string_lossy().into_owned(), fs::read(path).unwrap())
        })
        .collect();
    files.sort();
    files
}

/// Runs the target and says what to do about a failure, with the bytes in a form to keep.
fn run(target: Target, bytes: &[u8], origin: &str) {
    if catch_unwind(AssertUnwindSafe(|| (target.run)(bytes))).is_err() {
        panic!(
            "target {} fails for {origin}: keep these bytes as fuzz/corpus/{}/<what-is-wrong>: {}",
            target.name,
            target.name,
            bytes.escape_ascii()
        );
    }
}

fn all_of(name: &str) {
    let target = fuzz::target(name).unwrap();
    let files = corpus(name);
    assert!(files.len() >= 8, "the corpus of {name} is there");
    for (file, bytes) in &files {
        run(target, bytes, file);
    }
    let bytes: Vec<_> = files.into_iter().map(|(_, bytes)| bytes).collect();
    for seed in 0..target.mutations {
        let mutation = mutate(&bytes, &mut Luck::new(seed as u64));
        run(target, &mutation, &format!("the mutation of seed {seed}"));
    }
}

/// One test for each target, so that they run side by side.
macro_rules! targets {
    ($($name:ident),+) => {
        const TESTED: &[&str] = &[$(stringify!($name)),+];
        $(
            #[test]
            fn $name() {
                all_of(stringify!($name));
            }
        )+
    };
}

targets!(
    report,
    json,
    timestamp,
    decompression,
    entries,
    log,
    exposition,
    statsd,
    configuration,
    request,
    runtime
);

#[test]
fn every_target_is_tested_and_has_a_corpus() {
    let names: Vec<_> = TARGETS.iter().map(|target| target.name).collect();
    assert_eq!(names, TESTED);
    for entry in fs::read_dir(directory("")).unwrap() {
        let name = entry.unwrap().file_name().into_string().unwrap();
        assert!(names.contains(&name.as_str()), "corpus/{name} belongs to no target");
    }
}
