//! The manifests for Kubernetes, against its schemas; and the image that they name.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::commands::{Ran, run};

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

fn check(manifests: &Path) -> Ran {
    let mut python = Command::new("python3");
    run(python.arg(format!("{ROOT}/tests/it/kubernetes_manifests.py")).arg(manifests))
}

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    let Ran { status, stdout, stderr } = check(&Path::new(ROOT).join("packaging/kubernetes"));
    assert_eq!(status, Some(0), "{stderr}\n`make test` installs kubernetes-validate");
    let kinds: Vec<_> = stdout.lines().collect();
    let expected = [
        "CronJob",
        "PodDisruptionBudget",
        "Service",
        "StatefulSet",
        "ServiceMonitor",
        "VMPodScrape",
    ];
    assert_eq!(kinds, expected);
}

/// Copies a directory, and returns its files.
fn copy(from: &Path, to: &Path) -> Vec<PathBuf> {
    fs::create_dir(to).unwrap();
    let mut files = Vec::new();
    for entry in fs::read_dir(from).unwrap() {
        let (from, to) = (entry.as_ref().unwrap().path(), to.join(entry.unwrap().file_name()));
        if from.is_dir() {
            files.extend(copy(&from, &to));
        } else {
            fs::copy(&from, &to).unwrap();
            files.push(to);
        }
    }
    files
}

#[test]
fn a_manifest_with_a_field_that_nobody_knows_is_refused() {
    let directory = tempfile::tempdir().unwrap();
    let place = directory.path().join("kubernetes");
    let mut broken = 0;
    for file in copy(&Path::new(ROOT).join("packaging/kubernetes"), &place) {
        let text = fs::read_to_string(&file).unwrap();
        if !text.contains("\nspec:\n") {
            continue;
        }
        fs::write(&file, text.replacen("\nspec:\n", "\nspec:\n  bogus: 1\n", 1)).unwrap();
        let Ran { status, stderr, .. } = check(&place);
        assert!(status == Some(1) && stderr.contains("bogus"), "{}: {stderr}", file.display());
        fs::write(&file, text).unwrap();
        broken += 1;
    }
    assert_eq!((broken, check(&place).status), (6, Some(0)));
}

/// Whoever adds a member to the workspace would not notice before the next release.
#[test]
fn the_image_is_built_from_every_member_of_the_workspace() {
    let manifest = fs::read_to_string(format!("{ROOT}/Cargo.toml")).unwrap();
    let sent = include_str!("../../packaging/docker/Dockerfile.dockerignore");
    let members = manifest.split("members = [").nth(1).unwrap().split(']').next().unwrap();
    let members = members.split('"').skip(1).step_by(2);
    for name in members.chain(["Cargo.toml", "Cargo.lock", "src", "benches", "migrations"]) {
        assert!(
            sent.lines().any(|line| line == format!("!{name}")),
            "{name} is not sent to docker"
        );
    }
}
