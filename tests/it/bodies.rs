//! Bodies that are encoded, too large, or no reports. None of the last leaves anything behind.

use std::io::Write;

use flate2::Compression;
use flate2::write::{DeflateEncoder, GzEncoder, ZlibEncoder};
use serde_json::json;

use crate::client::{Raw, gauges};
use crate::server::{Launch, Server};

fn gzip(plain: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zlib(plain: &[u8]) -> Vec<u8> {
    let mut encoder = ZlibEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn raw_deflate(plain: &[u8]) -> Vec<u8> {
    let mut encoder = DeflateEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(plain).unwrap();
    encoder.finish().unwrap()
}

fn zstd(plain: &[u8]) -> Vec<u8> {
    zstd::bulk::compress(plain, 3).unwrap()
}

fn snappy(plain: &[u8]) -> Vec<u8> {
    snap::raw::Encoder::new().compress_vec(plain).unwrap()
}

type Encode = fn(&[u8]) -> Vec<u8>;

/// Each encoding by the name it is announced with.
const ENCODINGS: [(&str, Encode); 7] = [
    ("gzip", gzip),
    ("x-gzip", gzip),
    ("deflate", zlib),
    ("deflate", raw_deflate),
    ("zstd", zstd),
    ("snappy", snappy),
    ("identity", <[u8]>::to_vec),
];

#[test]
fn every_content_encoding_is_taken() {
    let client = Server::shared().client();
    for (index, (name, encode)) in ENCODINGS.iter().enumerate() {
        let component = format!("bodies-encoded-{index}");
        let plain = gauges(&component, "e", &[1.0, 2.0]).to_string();
        let body = encode(plain.as_bytes());
        let answer = client.post(&[("content-encoding", name)], &body).ok();
        assert_eq!(answer["metrics_inserted"], 2, "{name}");
        assert_eq!(client.samples_of(&component).len(), 2, "{name}");
        if *name != "identity" {
            let cut = client.post(&[("content-encoding", name)], &body[..body.len() - 3]);
            cut.error(400);
            let garbage = client.post(&[("content-encoding", name)], b"\x01garbage");
            garbage.error(400);
        }
    }
}

#[test]
fn unknown_encodings_and_types_are_415() {
    let client = Server::shared().client();
    let body = gauges("bodies-415", "u", &[1.0]).to_string();
    let check = |header: (&str, &str), code: &str| {
        assert_eq!(client.post(&[header], body.as_bytes()).error(415), code, "{header:?}");
    };
    check(("content-encoding", "br"), "unsupported_encoding");
    check(("content-encoding", "gzip, gzip"), "unsupported_encoding");
    check(("content-type", "text/plain"), "unsupported_content_type");
    check(("content-type", "application/x-protobuf"), "unsupported_content_type");
    client.post(&[("content-type", "Application/JSON; charset=utf-8")], body.as_bytes()).ok();
    assert_eq!(client.samples_of("bodies-415").len(), 1);
}

#[test]
fn a_body_over_the_limit_is_413_before_and_after_decompression() {
    let server = Launch::new().flag("body-bytes-max", "200KiB").start();
    let client = server.client();
    // White space around the report makes it as long as wanted.
    let report = gauges("bodies-413", "b", &[1.0]).to_string();
    let padded =
        |bytes: usize| format!("{report}{}", " ".repeat(bytes - report.len())).into_bytes();
    client.post(&[], &padded(200 << 10)).ok();
    client.post_chunked(&padded(200 << 10)).ok();
    assert_eq!(client.post(&[], &padded((200 << 10) + 1)).error(413), "body_too_large");
    assert_eq!(client.post_chunked(&padded((200 << 10) + 1)).error(413), "body_too_large");
    let bomb = padded(100 << 20);
    for (name, encode) in &ENCODINGS[..6] {
        let headers = [("content-encoding", *name)];
        client.post(&headers, &encode(&padded(200 << 10))).ok();
        let body = encode(&bomb);
        // Snappy makes this bomb longer than the limit; its first bytes tell its length as well.
        let body = &body[..body.len().min(150 << 10)];
        assert_eq!(client.post(&headers, body).error(413), "body_too_large", "{name}");
    }
    assert_eq!(client.samples_of("bodies-413").len(), 1);
}

#[test]
fn the_sender_of_a_body_far_over_the_limit_reads_the_413() {
    let server = Server::shared();
    let head = |more: &str| {
        let bytes = 20 << 20;
        format!(
            "POST /api/metrics/report HTTP/1.1\r\nhost: it\r\ncontent-length: {bytes}\r\n{more}\r\n"
        )
    };
    // One sends without looking and can use its connection again.
    let mut raw = Raw::open(server.address());
    raw.send(head(""));
    for _ in 0..20 {
        raw.send(vec![b' '; 1 << 20]);
    }
    let (answer, body) = raw.answer();
    assert!(answer.starts_with("http/1.1 413 "), "{answer}");
    assert!(String::from_utf8(body).unwrap().contains("body_too_large"));
    raw.send("GET /health HTTP/1.1\r\nhost: it\r\n\r\n");
    assert!(raw.answer().0.starts_with("http/1.1 200 "));

    // Another asks first and never sends it.
    let mut raw = Raw::open(server.address());
    raw.send(head("expect: 100-continue\r\n"));
    let (answer, _) = raw.answer();
    assert!(answer.starts_with("http/1.1 413 "), "{answer}");
    assert!(answer.contains("connection: close"), "{answer}");
}

#[test]
fn what_is_no_report_is_400_and_leaves_nothing_behind() {
    let server = Server::shared();
    let client = server.client();
    let component = r#""component_name":"bodies-400""#;
    let metric =
        r#"{"metric_name":"m","metric_type":"gauge","metric_value":1,"timestamp":1704110400}"#;
    let check = |body: &[u8], code: &str| {
        let answer = client.post(&[], body);
        assert_eq!(answer.error(400), code, "{}", String::from_utf8_lossy(body));
    };
    let wrong_type = |field: &str, value: &str| {
        let rest =
            if field == "metrics" { String::new() } else { format!(r#","metrics":[{metric}]"#) };
        let name = if field == "component_name" { String::new() } else { format!("{component},") };
        check(format!(r#"{{{name}"{field}":{value}{rest}}}"#).as_bytes(), "wrong_type");
    };
    for value in ["7", "[]", "{}", "true"] {
        wrong_type("component_name", value);
        wrong_type("component_type", value);
    }
    for value in ["7", "{}", "\"x\"", "true"] {
        wrong_type("metrics", value);
    }
    for value in ["1.5", "\"x\"", "[]", "1e400"] {
        let code = if value == "1e400" { "invalid_json" } else { "wrong_type" };
        let body = format!(r#"{{"runtime_id":{value},"metrics":[{metric}]}}"#);
        check(body.as_bytes(), code);
    }
    check(b"", "invalid_json");
    check(b"{", "invalid_json");
    check(b"[]", "not_an_object");
    check(b"7", "not_an_object");
    check(format!("{{{component}}}").as_bytes(), "no_metrics");
    check(format!(r#"{{{component},"metrics":null}}"#).as_bytes(), "no_metrics");
    check(format!(r#"{{{component},"metrics":[]}}"#).as_bytes(), "empty_metrics");
    check(format!(r#"{{{component},"metrics":[{metric}]}} x"#).as_bytes(), "invalid_json");
    check(
        format!(r#"{{{component},{component},"metrics":[{metric}]}}"#).as_bytes(),
        "duplicate_field",
    );
    check(
        format!(r#"{{{component},"metrics":[{metric}],"metrics":[]}}"#).as_bytes(),
        "duplicate_field",
    );
    check(
        format!(r#"{{"component_name":"","metrics":[{metric}]}}"#).as_bytes(),
        "invalid_component",
    );
    let with_value = |value: &str| {
        format!(
            r#"{{{component},"metrics":[{metric},{}]}}"#,
            metric.replace(":1,", &format!(":{value},"))
        )
    };
    check(with_value("1e400").as_bytes(), "invalid_json");
    check(with_value("NaN").as_bytes(), "invalid_json");
    check(with_value(r#""\ud800""#).as_bytes(), "invalid_json");
    check(with_value("\"\u{1}\"").as_bytes(), "invalid_json");
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    check(deep.as_bytes(), "too_deep");
    check(with_value(&deep).as_bytes(), "too_deep");
    let mut not_utf8 = with_value("1").into_bytes();
    let at = not_utf8.iter().rposition(|byte| *byte == b'm').unwrap();
    not_utf8[at] = 0xff;
    check(&not_utf8, "invalid_json");
    check(b"\xef\xbb\xbf{}", "invalid_json");
    assert_eq!(server.sql().samples_of("bodies-400"), (0, 0));
    assert_eq!(client.samples_of("bodies-400").len(), 0);
}

#[test]
fn a_report_with_nothing_good_in_it_is_400_with_every_reason() {
    let client = Server::shared().client();
    let body = json!({"component_name": "bodies-nothing", "metrics": [
        {"metric_name": "", "metric_type": "gauge", "metric_value": 1},
        {"metric_name": "a", "metric_name": "b", "metric_type": "gauge", "metric_value": "x"},
    ]});
    let answer = client.post(&[], body.to_string().as_bytes());
    assert_eq!(answer.error(400), "no_valid_metrics");
    assert_eq!(answer.json()["metrics_rejected"].as_array().unwrap().len(), 2);
}
