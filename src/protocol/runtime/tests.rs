use super::*;
use crate::model::RuntimeId;

fn key(component_type: &str, name: &str) -> ComponentKey {
    ComponentKey::new(component_type, name).unwrap()
}

#[test]
fn a_registration_is_read_field_by_field() {
    let body = br#"{"name":"w","component_type":"broker","runtime":"cpu","base_url":"http://w",
        "status":"busy","capacity":4,"labels":{"zone":"\u00fc","n":[1,2.50]},"pid":"77",
        "hostname":"node-1","meta":null,"future":{"field":true}}"#;
    let read = read_registration(body).unwrap();
    assert_eq!(read.key, key("broker", "w"));
    assert_eq!(&*read.status, "busy");
    let expected = Details {
        base_url: Some("http://w".into()),
        runtime: Some("cpu".into()),
        capacity: Some(4),
        labels: Some(r#"{"n":[1,2.5],"zone":"ü"}"#.into()),
        pid: Some(77),
        hostname: Some("node-1".into()),
        meta: None,
    };
    assert_eq!(read.details, expected);
    let number = br#"{"name":"s","base_url":"http://s","capacity":4.0,"pid":-7e2}"#;
    let details = read_registration(number).unwrap().details;
    assert_eq!((details.capacity, details.pid), (Some(4), Some(-700)));
    let least = br#"{"name":"s","base_url":"http://s","capacity":"","labels":"","meta":""}"#;
    let least = read_registration(least).unwrap();
    assert_eq!((least.key, &*least.status), (key("server_api", "s"), "ready"));
    assert_eq!(least.details, Details { base_url: Some("http://s".into()), ..Details::default() });
}

#[test]
fn a_pool_is_a_worker_pool_whatever_it_says() {
    let body = br#"{"name":"w","component_type":"broker","runtime":"cpu","base_url":"http://w",
        "labels":["local","dev"],"meta":"any"}"#;
    let read = read_pool_registration(body).unwrap();
    assert_eq!(read.key, key("worker_pool", "w"));
    assert_eq!(read.details.labels.as_deref(), Some(r#"["local","dev"]"#));
    assert_eq!(read.details.meta.as_deref(), Some(r#""any""#));
    assert_eq!(read_pool_deregistration(body).unwrap(), key("worker_pool", "w"));
    assert_eq!(read_deregistration(body).unwrap(), key("broker", "w"));
    assert_eq!(read_heartbeat(body).unwrap(), Some(key("worker_pool", "w")));
    for nameless in [br#"{}"#.as_slice(), br#"{"name":null}"#, br#"{"name":"","x":1}"#] {
        assert_eq!(read_heartbeat(nameless).unwrap(), None);
    }
}

#[test]
fn what_is_wrong_is_named() {
    let check = |field: &str, value: &str, code: &str, named: &str| {
        let mut body: Value = serde_json::json!(
            {"name": "w", "base_url": "http://w", "runtime": "cpu", "component_type": "t"}
        );
        body[field] = serde_json::from_str(value).unwrap();
        let error = read_pool_registration(body.to_string().as_bytes())
            .and_then(|_| read_registration(body.to_string().as_bytes()))
            .unwrap_err();
        assert_eq!(error.code(), code, "{error}");
        assert!(error.to_string().contains(named), "{error} does not name {named}");
    };
    for field in ["name", "base_url", "runtime"] {
        check(field, "null", "missing_field", field);
        check(field, "\"\"", "missing_field", field);
    }
    for field in ["name", "base_url", "runtime", "status", "hostname"] {
        check(field, "7", "wrong_type", field);
        check(field, "{}", "wrong_type", field);
        check(field, r#""a\u0000b""#, "invalid_field", field);
        check(field, &format!("\"{}\"", "x".repeat(2049)), "field_too_long", field);
    }
    check("component_type", "[]", "wrong_type", "component_type");
    check("component_type", &format!("\"{}\"", "x".repeat(64)), "field_too_long", "component_type");
    for field in ["capacity", "pid"] {
        for value in ["true", "1.5", "4294967296", "4294967296.0", "1e300", "\"many\"", "[]"] {
            check(field, value, "wrong_type", field);
        }
    }
    check("labels", "\"a,b\"", "wrong_type", "labels");
    check("labels", r#"{"a\u0000":1}"#, "invalid_field", "labels");
    check("meta", r#"[{"a":["\u0000"]}]"#, "invalid_field", "meta");
    check("meta", &format!("[\"{}\"]", "x".repeat(16 << 10)), "field_too_long", "meta");
}

#[test]
fn what_is_no_object_is_told_so() {
    let check = |document: &[u8], code: &str| {
        let error = read_heartbeat(document).unwrap_err();
        assert_eq!(error.code(), code, "{error}");
    };
    check(b"", "invalid_json");
    check(b"{", "invalid_json");
    check(br#"{"name":"w"} x"#, "invalid_json");
    check(br#"{"name":NaN}"#, "invalid_json");
    check(b"{\"name\":\"\xff\"}", "invalid_json");
    check(br#"{"name":"\ud800"}"#, "invalid_json");
    check("[".repeat(100_000).as_bytes(), "invalid_json");
    for other in [b"null".as_slice(), b"[]", b"\"w\"", b"7", b"true"] {
        check(other, "not_an_object");
    }
}

#[test]
fn answers_have_the_fields_that_clients_know() {
    let (key, id) = (key("broker", "a\"b"), RuntimeId::from_raw(7));
    let written = |write: &dyn Fn(&mut Vec<u8>)| {
        let mut out = Vec::new();
        write(&mut out);
        String::from_utf8(out).unwrap()
    };
    let check = |got: String, expected: &str| assert_eq!(got, expected);
    check(
        written(&|out| write_runtime(out, &key, Some(id))),
        r#"{"status":"ok","name":"a\"b","component_type":"broker","runtime_id":7}"#,
    );
    check(
        written(&|out| write_runtime(out, &key, None)),
        r#"{"status":"ok","name":"a\"b","component_type":"broker"}"#,
    );
    check(
        written(&|out| write_pool(out, &key, Some(("cpu", id)))),
        r#"{"status":"ok","name":"a\"b","runtime":"cpu","runtime_id":7}"#,
    );
    check(written(&|out| write_pool(out, &key, None)), r#"{"status":"ok","name":"a\"b"}"#);
    check(
        written(&|out| write_heartbeat(out, Some(&key), true)),
        r#"{"status":"ok","name":"a\"b"}"#,
    );
    check(
        written(&|out| write_heartbeat(out, Some(&key), false)),
        r#"{"status":"unknown","name":"a\"b"}"#,
    );
    check(written(&|out| write_heartbeat(out, None, true)), r#"{"status":"ok","name":null}"#);
}
