//! The worker in Python, as fleets have them, run as it is.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::process::Command;
use std::thread;

use serde_json::Value;

use crate::server::Launch;

/// Passes one connection on to `server` and returns what the client sent.
fn record(listener: &TcpListener, server: SocketAddr) -> Vec<u8> {
    let (mut client, _) = listener.accept().unwrap();
    let mut upstream = TcpStream::connect(server).unwrap();
    let (mut answers, mut back) = (upstream.try_clone().unwrap(), client.try_clone().unwrap());
    let returning = thread::spawn(move || std::io::copy(&mut answers, &mut back).unwrap());
    let mut sent = Vec::new();
    let mut buffer = [0; 4096];
    loop {
        let count = client.read(&mut buffer).unwrap();
        if count == 0 {
            break;
        }
        sent.extend_from_slice(&buffer[..count]);
        upstream.write_all(&buffer[..count]).unwrap();
    }
    upstream.shutdown(Shutdown::Write).unwrap();
    returning.join().unwrap();
    sent
}

/// The JSON bodies of the requests in `sent`.
fn bodies(sent: &[u8]) -> Vec<Value> {
    let mut bodies = Vec::new();
    let mut rest = sent;
    while let Some(end) = rest.windows(4).position(|window| window == b"\r\n\r\n") {
        let head = String::from_utf8(rest[..end].to_vec()).unwrap().to_ascii_lowercase();
        let length = head.lines().find_map(|line| line.strip_prefix("content-length: "));
        let body = &rest[end + 4..][..length.unwrap().parse().unwrap()];
        bodies.push(serde_json::from_slice(body).unwrap());
        rest = &rest[end + 4 + body.len()..];
    }
    bodies
}

/// A metric as it was sent, and as SQL is to show it: name, local time, value.
fn sent_sample(metric: &Value) -> (String, String, f64) {
    let text = |key: &str| metric[key].as_str().unwrap().to_owned();
    let mut time = text("timestamp");
    // Python leaves the fraction out where it is zero.
    if !time.contains('.') {
        time.push_str(".000000");
    }
    (text("metric_name"), time, metric["metric_value"].as_f64().unwrap())
}

#[test]
fn every_sample_of_the_worker_is_stored_with_its_microseconds() {
    // Its timestamps have no zone, so both are told one, and not the one that they would guess.
    let server = Launch::new().flag("time-zone", "Asia/Kolkata").start();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let address = server.address();
    let recording = thread::spawn(move || record(&listener, address));
    let output = Command::new("python3")
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/examples/worker.py"))
        .args(["--url", &url, "--name", "python-1", "--interval", "0.1", "--count", "2"])
        .env("TZ", "IST-5:30")
        .output()
        .expect("the tests need python3; `make test` installs it");
    let said = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success(),
        "{said}\npython3 needs the packages of examples/requirements.txt; `make test` installs them"
    );
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(printed, "reported 7 metrics as python-1\n".repeat(2));

    let bodies = bodies(&recording.join().unwrap());
    let mut sent: Vec<_> = bodies
        .iter()
        .flat_map(|body| body["metrics"].as_array().unwrap())
        .map(sent_sample)
        .collect();
    assert_eq!(sent.len(), 14);
    server.client().query(&[("component_name", "python-1")]);
    let mut stored: Vec<(String, String, f64)> = server.sql().rows(
        "SELECT metric_name, to_char(\"timestamp\" AT TIME ZONE INTERVAL '5:30',
                'YYYY-MM-DD\"T\"HH24:MI:SS.US'), metric_value
           FROM noetl.metrics
          WHERE component_name = 'python-1' AND component_type = 'worker_pool'",
    );
    sent.sort_by(|one, other| one.partial_cmp(other).unwrap());
    stored.sort_by(|one, other| one.partial_cmp(other).unwrap());
    assert_eq!(stored, sent);
}
