//! Small measurements of the real server, and of those of its peers that are installed here.

#![allow(clippy::unwrap_used, reason = "a failed unwrap is a failed test")]

use std::path::{Path, PathBuf};
use std::process::Command;

use serde_json::Value;

fn scratch(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("loadtest-{}-{name}", std::process::id()))
}

fn take(path: &Path) -> String {
    let text = std::fs::read_to_string(path).unwrap();
    std::fs::remove_file(path).unwrap();
    text
}

/// What a command has said and written.
struct Outcome {
    figures: Value,
    plots: Vec<String>,
    markdown: String,
    said: String,
    on_the_way: String,
}

fn measure(port: u16, command: &str, flags: &[&[&str]]) -> Outcome {
    let server = Path::new(env!("CARGO_BIN_EXE_loadtest")).with_file_name("noetl-metrics");
    assert!(server.exists(), "{} is missing: `cargo build` makes it", server.display());
    let (json, markdown) = (scratch(&format!("{port}.json")), scratch(&format!("{port}.md")));
    let output = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .arg(command)
        .args(flags.concat())
        .args(["--server".as_ref(), server.as_os_str()])
        .args(["--json".as_ref(), json.as_os_str()])
        .args(["--markdown".as_ref(), markdown.as_os_str()])
        .output()
        .unwrap();
    let on_the_way = String::from_utf8_lossy(&output.stderr).into_owned();
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{on_the_way}");
    let plots = plot(&json);
    let figures = serde_json::from_str(&take(&json)).unwrap();
    Outcome { figures, plots, markdown: take(&markdown), said, on_the_way }
}

/// The names of the figures that are drawn of some results, each of which must be one.
fn plot(json: &Path) -> Vec<String> {
    let out = json.with_extension("plots");
    let drawn = Command::new(env!("CARGO_BIN_EXE_loadtest"))
        .args(["plot".as_ref(), json.as_os_str(), "--out".as_ref(), out.as_os_str()])
        .output()
        .unwrap();
    let mut names = Vec::new();
    for path in String::from_utf8(drawn.stdout).unwrap().lines().map(PathBuf::from) {
        let svg = take(&path);
        assert!(svg.starts_with("<svg") && svg.contains("noetl-metrics"), "{svg}");
        names.push(path.file_name().unwrap().to_str().unwrap().to_owned());
    }
    std::fs::remove_dir(&out).unwrap();
    names
}

fn compare(port: u16, flags: &[&[&str]]) -> Outcome {
    let port_base = port.to_string();
    let own = ["--rounds", "1", "--port-base", &port_base];
    measure(port, "compare", &[&own[..], &flags.concat()])
}

fn assert_exact(exactness: &Value, samples: u64) {
    for (name, expected) in [
        ("acknowledged", samples),
        ("stored", samples),
        ("lost", 0),
        ("doubled", 0),
        ("altered_components", 0),
    ] {
        assert_eq!(exactness[name], expected, "{name}: {exactness}");
    }
}

#[test]
fn each_size_is_exact_and_absent_peers_are_left_out() {
    let shape = ["--shape", "churn", "--churn-every", "2", "--churn-percent", "15"];
    let size = ["--samples", "20000", "--series", "1000", "--connections", "4,8"];
    let rest = ["--warm-up", "3", "--victoria", "/nowhere/victoria", "--prometheus", "/nowhere"];
    let Outcome { figures, plots, markdown, on_the_way, .. } =
        compare(18_182, &[&shape[..], &size, &rest]);
    assert!(on_the_way.contains("victoria-json is left out: there is no /nowhere/victoria"));
    let cells = figures["cells"].as_array().unwrap();
    assert_eq!((&figures["kind"], cells.len()), (&"comparison".into(), 2));
    for cell in cells {
        assert_exact(&cell["rounds"][0]["report"]["exactness"], 23_000);
        let ours = &cell["medians"][0];
        assert_eq!(ours["server"], "noetl-metrics");
        assert!(ours["memory_mib"].as_f64() > Some(10.0), "{ours}");
    }
    let of_cell = |line: &&str| line.starts_with("| 10 | 4 | 1,000 | noetl-metrics |");
    assert_eq!(markdown.lines().filter(of_cell).count(), 1, "{markdown}");
    assert_eq!(plots, ["throughput-by-connections-10-1000.svg", "cost-by-connections-10-1000.svg"]);
}

#[test]
fn sparse_reports_of_several_groups_are_exact() {
    let size = ["--samples", "21000", "--series", "2100", "--metrics", "70"];
    let shape = ["--shape", "sparse", "--against", "prometheus"];
    let figures = compare(18_184, &[&size[..], &shape]).figures;
    let rounds = figures["cells"][0]["rounds"].as_array().unwrap();
    assert_exact(&rounds[0]["report"]["exactness"], 21_000);
    // Prometheus, where it is installed, has taken the same samples.
    for round in &rounds[1..] {
        assert_eq!(round["report"]["samples_taken"], 21_000, "{round}");
    }
}

#[test]
fn a_ramp_goes_up_to_what_is_kept_up_with() {
    // At lower ones a step may take less than one tick of the clock by which CPU is counted.
    let rates = ["--rates", "1000,2000", "--p99", "10s", "--step", "1s", "--refine", "0"];
    let fleet = ["--workers", "50", "--connections", "8", "--port", "18186"];
    let Outcome { figures, plots, markdown, said, .. } = measure(18_186, "ramp", &[&rates, &fleet]);
    assert_eq!((&figures["kind"], &figures["server"]), (&"ramp".into(), &"noetl-metrics".into()));
    // A busy machine may not keep up even with this; the knee is the last rate that it did.
    let steps = figures["steps"].as_array().unwrap();
    let kept_up = steps.iter().rev().find(|step| step["kept_up"] == true);
    let knee = kept_up.map_or(Value::Null, |step| step["rate"].clone());
    assert_eq!(figures["knee_samples_per_second"], knee, "{figures}");
    assert_eq!(steps[0]["rate"], 1_000.0);
    assert!(steps.iter().all(|step| step["cpu_per_million"].as_f64() > Some(0.0)), "{figures}");
    let acknowledged = figures["exactness"]["acknowledged"].as_u64().unwrap();
    assert!(acknowledged > 2_000, "{figures}");
    assert_exact(&figures["exactness"], acknowledged);
    assert_eq!(plots, ["latency-by-rate-noetl-metrics-10-8.svg"]);
    assert!(said.contains("knee: ") && markdown.contains("| 1,000 |"), "{said}");
}

#[test]
fn idle_connections_are_open_and_heard_beside_a_fleet() {
    let idle = ["--idle", "200", "--interval", "1s", "--duration", "1s", "--rounds", "1"];
    let fleet = ["--workers", "100", "--connections", "8", "--port", "18188"];
    let Outcome { figures, markdown, said, .. } = measure(18_188, "idle", &[&idle, &fleet]);
    let memory = &figures["memory"];
    assert!(memory["before"].as_u64() > Some(1 << 20), "{figures}");
    assert!(memory["per_connection"].as_f64() < Some(1_048_576.0), "{figures}");
    let round = &figures["rounds"][0];
    for side in ["with", "without"] {
        assert!(round[side]["samples_per_second"].as_f64() > Some(0.0), "{figures}");
    }
    // Both fleets, the idle one with three reports to warm up and one at least after that.
    let acknowledged = figures["exactness"]["acknowledged"].as_u64().unwrap();
    assert!(acknowledged >= 1_000 + 200 * 4 * 10, "{figures}");
    assert_exact(&figures["exactness"], acknowledged);
    assert!(said.contains("with 200 idle connections") && markdown.contains("200 idle ones"));
}
