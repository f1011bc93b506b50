//! The manifests for Kubernetes, against its schemas.

use std::process::Command;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

#[test]
fn the_manifests_are_what_kubernetes_takes() {
    let output = Command::new("python3")
        .arg(format!("{ROOT}/tests/it/kubernetes_manifests.py"))
        .arg(format!("{ROOT}/packaging/kubernetes"))
        .output()
        .expect(
            "the tests need Python with kubernetes-validate on PATH; `make test` installs them",
        );
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{said}");
    let kinds = String::from_utf8_lossy(&output.stdout);
    let kinds: Vec<_> = kinds.lines().collect();
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
