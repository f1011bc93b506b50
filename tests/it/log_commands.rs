//! The commands of the log of a stopped server, and that a server goes on after them.

use std::fs::{self, OpenOptions};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;

use serde_json::Value;

use crate::client::gauges;
use crate::commands::{Ran, run};
use crate::home::Home;
use crate::server::{Launch, Server, command};

/// Runs a command of the log of `home`.
pub(crate) fn log(home: &Home, arguments: &[&str]) -> Ran {
    run(command().arg("log").args(arguments).arg("--data-dir").arg(home.data_dir()))
}

/// A segment of the log of `home`.
pub(crate) fn segment(home: &Home, number: u64) -> PathBuf {
    home.data_dir().join(format!("log/{number:016}.log"))
}

/// Flips a bit of the file behind the server's back.
fn flip(path: &PathBuf, at: u64) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, at).unwrap();
    file.write_all_at(&[byte[0] ^ 1], at).unwrap();
}

fn objects(ran: &Ran) -> Vec<Value> {
    assert_eq!(ran.stderr, "");
    ran.stdout.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

/// A server that was killed while nothing of these reports was in PostgreSQL.
fn killed_with(reports: u32) -> Server {
    let mut server = Launch::new().flag("batch-age-max", "15s").start();
    for number in 0..reports {
        server.client().report(&gauges(&format!("c{number}"), "m", &[f64::from(number)]));
    }
    server.kill();
    server
}

#[test]
fn a_stopped_log_is_shown_and_sound_and_a_running_one_is_left_alone() {
    let mut server = killed_with(3);
    let shown = log(server.home(), &["inspect"]);
    assert_eq!((shown.status, shown.stderr.as_str()), (Some(0), ""));
    assert!(shown.stdout.contains("node 0\n"), "{}", shown.stdout);
    assert!(shown.stdout.contains("active"), "{}", shown.stdout);
    let shown = objects(&log(server.home(), &["inspect", "--json"]));
    assert_eq!(shown[0]["node"], 0, "{shown:?}");
    let active = &shown[1];
    assert_eq!(
        (&active["records"], &active["rows"], &active["end"]),
        (&3.into(), &3.into(), &3.into())
    );
    assert_eq!(active["state"], "active");
    let verified = log(server.home(), &["verify"]);
    assert_eq!(verified.status, Some(0));
    assert_eq!(verified.stdout, "sound: 3 reports with 3 rows\n");
    assert_eq!(log(server.home(), &["set-aside", "0"]).status, Some(0));
    let nothing = log(server.home(), &["set-aside", "0", "--yes"]);
    assert!(nothing.stdout.contains("segment 0 is not damaged"), "{}", nothing.stdout);

    server.start_again();
    for arguments in [&["inspect"][..], &["verify"], &["set-aside", "0", "--yes"]] {
        let refused = log(server.home(), arguments);
        assert_eq!((refused.status, refused.stdout.as_str()), (Some(1), ""));
        assert!(
            refused.stderr.contains("is in use by another process; stop it"),
            "{}",
            refused.stderr
        );
    }
    let elsewhere = log(&Home::new(), &["inspect"]);
    assert_eq!(elsewhere.status, Some(1));
    assert!(elsewhere.stderr.contains("name the server's data directory"), "{}", elsewhere.stderr);
}

#[test]
fn a_damaged_report_is_set_aside_and_the_others_arrive_once() {
    let mut server = killed_with(5);
    let path = segment(server.home(), 0);
    let bytes = fs::read(&path).unwrap();
    // A record's second eight bytes are the segment's identity, which the header has at byte 32.
    let records: Vec<usize> = (4096..bytes.len() - 32)
        .step_by(8)
        .filter(|at| bytes[at + 8..at + 16] == bytes[32..40])
        .collect();
    assert_eq!(records.len(), 5);
    flip(&path, records[2] as u64 + 40);

    let refused = Launch::new().run_in(server.home());
    assert_eq!(refused.status.code(), Some(1), "{}", refused.stderr);
    let expected = format!("0000000000000000.log is damaged at byte {}", records[2]);
    assert!(refused.stderr.contains(&expected), "{}", refused.stderr);
    assert!(refused.stderr.contains("`noetl-metrics log set-aside 0`"), "{}", refused.stderr);
    let verified = objects(&log(server.home(), &["verify", "--json"]));
    assert_eq!(verified[0]["kind"], "damage", "{verified:?}");
    assert_eq!(
        (&verified[0]["offset"], &verified[0]["lost"]["from"]),
        (&records[2].into(), &2.into())
    );
    assert_eq!(verified[1]["sound"], false, "{verified:?}");
    assert_eq!(log(server.home(), &["verify"]).status, Some(1));

    let proposed = log(server.home(), &["set-aside", "0"]);
    assert_eq!(proposed.status, Some(0), "{}", proposed.stderr);
    assert!(proposed.stdout.contains("readable: 4 reports with 4 rows"), "{}", proposed.stdout);
    assert!(proposed.stdout.contains("lost: 1 rows in at least 1 reports"), "{}", proposed.stdout);
    assert!(proposed.stdout.contains("Nothing was changed"), "{}", proposed.stdout);
    assert_eq!(Launch::new().run_in(server.home()).status.code(), Some(1), "still refused");
    let done = log(server.home(), &["set-aside", "0", "--yes"]);
    assert_eq!(done.status, Some(0), "{}", done.stderr);
    assert!(done.stdout.contains("kept as 0000000000000000.damaged"), "{}", done.stdout);
    let shown = log(server.home(), &["inspect"]).stdout;
    assert!(shown.contains("1 positions given up earlier"), "{shown}");
    assert!(shown.contains("set aside 0000000000000000.damaged"), "{shown}");
    assert_eq!(log(server.home(), &["verify"]).status, Some(0));

    server.start_again();
    let client = server.client();
    let count = |component: &str| client.samples_of(component).len();
    assert_eq!([0, 1, 2, 3, 4].map(|nth| count(&format!("c{nth}"))), [1, 1, 0, 1, 1]);
    server.stderr().wait_for_text("passed over positions of the log that were given up");
    // The component that was lost reports again, as do the others, and all of it arrives.
    for nth in 0..5 {
        client.report(&gauges(&format!("c{nth}"), "m", &[7.0]));
        client.report(&gauges(&format!("c{nth}"), "n", &[8.0]));
    }
    assert_eq!([0, 2, 4].map(|nth| count(&format!("c{nth}"))), [3, 2, 3]);
    let quarantined: (i64,) = server.sql().row("SELECT count(*) FROM noetl.quarantine");
    assert_eq!(quarantined, (0,));
}
