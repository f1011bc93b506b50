//! What `make dist` packs, made of the binary under test: that it is whole, runs, and is the same each
//! time; and the list of what is in the binary, against the schema of its format.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use crate::commands::run;
use crate::server::BINARY;

const ROOT: &str = env!("CARGO_MANIFEST_DIR");

/// Runs a program that has to succeed, and returns what it prints.
fn output(command: &mut Command) -> String {
    let ran = run(command.stdin(Stdio::null()));
    assert_eq!(ran.status, Some(0), "{command:?}\n{}{}", ran.stdout, ran.stderr);
    ran.stdout
}

/// Packs into `directory`, and returns the sums of what is there.
fn pack(directory: &Path) -> String {
    let built = Path::new(BINARY).parent().unwrap();
    let profile = built.file_name().unwrap().to_str().unwrap();
    let profile = if profile == "debug" { "dev" } else { profile };
    let mut dist = Command::new(format!("{ROOT}/scripts/dist.sh"));
    // What tests of a package may have in their environment is not for the cargo of another.
    dist.env_remove("CARGO_MANIFEST_DIR").env("CARGO_TARGET_DIR", built.parent().unwrap());
    output(dist.arg(profile).arg(directory));
    fs::read_to_string(directory.join("SHA256SUMS")).unwrap()
}

/// The file whose name ends so.
fn file(directory: &Path, end: &str) -> PathBuf {
    let files = fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path());
    let mut found: Vec<_> = files.filter(|path| path.to_str().unwrap().ends_with(end)).collect();
    assert_eq!(found.len(), 1, "{end}: {found:?}");
    found.remove(0)
}

fn assert_runs(binary: &Path) {
    let said = output(Command::new(binary).arg("--version"));
    assert_eq!(said, concat!("noetl-metrics ", env!("CARGO_PKG_VERSION"), "\n"));
}

fn check_package(package: &Path, unpacked: &Path) {
    let field = |name: &str| output(Command::new("dpkg-deb").arg("-f").arg(package).arg(name));
    assert_eq!(field("Package").trim(), "noetl-metrics");
    assert!(field("Version").starts_with(env!("CARGO_PKG_VERSION")), "{}", field("Version"));
    assert!(field("Depends").contains("libc6 (>= ") && field("Depends").contains("adduser"));
    output(Command::new("dpkg-deb").arg("-R").arg(package).arg(unpacked));
    assert_runs(&unpacked.join("usr/bin/noetl-metrics"));
    for unit in ["noetl-metrics", "noetl-metrics-agent"] {
        let unit = unpacked.join(format!("usr/lib/systemd/system/{unit}.service"));
        let unit = fs::read_to_string(&unit).unwrap();
        let program = unit.split("ExecStart=/").nth(1).unwrap().split(' ').next().unwrap();
        assert!(unpacked.join(program).exists(), "{program}");
    }
    let documents = unpacked.join("usr/share/doc/noetl-metrics");
    for name in ["copyright", "changelog.Debian.gz", "sbom.cdx.json", "README.md"] {
        assert!(documents.join(name).exists(), "{name}");
    }
    for name in ["postinst", "prerm", "postrm"] {
        let script = unpacked.join("DEBIAN").join(name);
        output(Command::new("sh").arg("-n").arg(&script));
        let script = fs::read_to_string(&script).unwrap();
        assert!(script.contains("noetl-metrics.service"), "{name}: {script}");
        // The log stays, whatever becomes of the package.
        assert!(!script.contains("rm "), "{name}: {script}");
    }
}

fn check_sbom(sbom: &Path) {
    let check = format!("{ROOT}/tests/it/sbom_check.py");
    let listed = output(Command::new("python3").arg(check).arg(sbom));
    let names: Vec<_> = listed.lines().map(|line| line.split(' ').next().unwrap()).collect();
    for name in
        ["tokio", "hyper", "rustls", "ring", "sqlx-postgres", "uplot", "noetl-metrics-client"]
    {
        assert!(names.contains(&name), "{name} in {names:?}");
    }
    // What other features or other tests would bring.
    for name in ["libsqlite3-sys", "openssl-sys", "criterion", "loadtest", "rcgen"] {
        assert!(!names.contains(&name), "{name} is in no binary");
    }
    let text = fs::read_to_string(sbom).unwrap();
    assert!(!text.contains("file://") && !text.contains(ROOT), "it names a place on this machine");
}

#[test]
fn what_is_packed_is_whole_and_the_same_each_time() {
    let directory = tempfile::tempdir().unwrap();
    let place = |name: &str| directory.path().join(name);
    let sums = pack(&place("one"));
    assert_eq!(sums.lines().count(), 3, "{sums}");
    assert_eq!(sums, pack(&place("two")), "the same is not packed the same");

    output(
        Command::new("tar")
            .arg("-xzf")
            .arg(file(&place("one"), ".tar.gz"))
            .arg("-C")
            .arg(directory.path()),
    );
    let archive = file(directory.path(), "-linux");
    assert_runs(&archive.join("noetl-metrics"));
    for name in ["LICENSE", "LICENSE.uPlot", "README.md", "docs/operations.md", "packaging/systemd"]
    {
        assert!(archive.join(name).exists(), "{name}");
    }
    let sbom = file(&place("one"), ".cdx.json");
    assert_eq!(fs::read(&sbom).unwrap(), fs::read(archive.join("sbom.cdx.json")).unwrap());
    check_sbom(&sbom);
    check_package(&file(&place("one"), ".deb"), &place("unpacked"));
}
