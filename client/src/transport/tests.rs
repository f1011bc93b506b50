use super::*;
use crate::scripted_server::{Reaction, ScriptedServer, answer, taken};

fn report(encoding: Encoding) -> Report {
    let body = Bytes::from_static(b"{\"component_name\":\"w\"}");
    Report { key: "key-1".to_owned(), encoding, body, samples: 1 }
}

fn to(url: &ServerUrl, timeout: Duration) -> Transport {
    let settings = Settings { server_url: url.clone(), ..Settings::default() };
    Transport::new(&settings, timeout).unwrap()
}

const LONG: Duration = Duration::from_secs(60);

#[tokio::test]
async fn requests_are_those_of_the_contract_on_one_connection() {
    let mut server = ScriptedServer::start(|_| taken()).await;
    let mut transport = to(&server.url, LONG);
    for encoding in [Encoding::Identity, Encoding::Gzip] {
        let answer = transport.report(&report(encoding)).await.unwrap();
        assert_eq!(answer.outcome(), Outcome::Taken(Rejects::default()));
        let received = server.next().await;
        assert_eq!(received.line, "POST /api/metrics/report HTTP/1.1");
        assert_eq!(received.header("content-type"), Some("application/json"));
        assert_eq!(received.header("idempotency-key"), Some("key-1"));
        assert_eq!(received.header("host"), Some(server.url.authority().as_str()));
        let expected = (encoding == Encoding::Gzip).then_some("gzip");
        assert_eq!(received.header("content-encoding"), expected);
        assert_eq!(received.body, report(encoding).body);
    }
    let body = serde_json::json!({"name": "w"});
    transport.json(Method::DELETE, "/api/x", &body).await.unwrap();
    assert_eq!(server.next().await.line, "DELETE /api/x HTTP/1.1");
    assert_eq!(*server.connections.lock().unwrap(), 1);
}

#[tokio::test]
async fn a_connection_that_broke_is_followed_by_another() {
    let mut server = ScriptedServer::start(|received| {
        if received.line.contains("/break") { Reaction::Close } else { taken() }
    })
    .await;
    let mut transport = to(&server.url, LONG);
    let body = serde_json::json!({});
    let broken = transport.json(Method::POST, "/break", &body).await;
    assert!(matches!(broken, Err(NoAnswer::Broken { .. })), "{broken:?}");
    transport.report(&report(Encoding::Identity)).await.unwrap();
    server.next_to(REPORT_PATH).await;
    assert_eq!(*server.connections.lock().unwrap(), 2);
}

#[tokio::test]
async fn a_server_that_is_not_there_or_hangs_is_no_answer() {
    let server = ScriptedServer::start(|_| Reaction::Hang).await;
    let mut transport = to(&server.url, Duration::from_millis(50));
    let hangs = transport.report(&report(Encoding::Identity)).await;
    assert!(matches!(hangs, Err(NoAnswer::TimedOut { .. })), "{hangs:?}");
    let closed = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", closed.local_addr().unwrap()).parse().unwrap();
    drop(closed);
    let refused = to(&url, LONG).report(&report(Encoding::Identity)).await;
    let text = refused.unwrap_err().to_string();
    assert!(text.starts_with("connect to http://127.0.0.1:"), "{text}");
}

#[tokio::test]
async fn headers_of_the_answer_are_read() {
    let server = ScriptedServer::start(|_| {
        let headers = "retry-after: 7\r\ndate: Thu, 01 Jan 2026 00:00:00 GMT\r\n";
        answer("429 Too Many Requests", headers, "{}")
    })
    .await;
    let mut transport = to(&server.url, LONG);
    let answer = transport.report(&report(Encoding::Identity)).await.unwrap();
    let after = Some(Duration::from_secs(7));
    assert!(matches!(answer.outcome(), Outcome::Again { after: told, .. } if told == after));
    assert!(answer.ahead_s().unwrap() > 1e6, "the server's clock stands");
}

#[tokio::test]
async fn a_token_that_was_replaced_is_read_again() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "noetl_old").unwrap();
    let mut server = ScriptedServer::start(|received| {
        if received.header("authorization") == Some("Bearer noetl_new") {
            taken()
        } else {
            answer("401 Unauthorized", "", r#"{"error":"invalid_token","detail":"d"}"#)
        }
    })
    .await;
    let mut settings = Settings { server_url: server.url.clone(), ..Settings::default() };
    settings.token = Some(Token::read(&file).unwrap());
    settings.token_file = Some(file.clone());
    let mut transport = Transport::new(&settings, LONG).unwrap();
    let denied = transport.report(&report(Encoding::Identity)).await.unwrap();
    assert!(matches!(denied.outcome(), Outcome::Denied { .. }), "{denied:?}");
    server.next().await;
    // The same token once more would be a waste, and one that is half there is none.
    for text in ["noetl_old", ""] {
        std::fs::write(&file, text).unwrap();
        let denied = transport.report(&report(Encoding::Identity)).await.unwrap();
        assert!(matches!(denied.outcome(), Outcome::Denied { .. }), "{denied:?}");
        server.next().await;
    }
    std::fs::write(&file, "noetl_new").unwrap();
    let taken = transport.report(&report(Encoding::Gzip)).await.unwrap();
    assert_eq!(taken.outcome(), Outcome::Taken(Rejects::default()));
    let both = [server.next().await, server.next().await];
    assert_eq!(both[0].body, both[1].body);
    assert_eq!(both[1].header("content-encoding"), Some("gzip"));
    assert_eq!(both[1].header("idempotency-key"), Some("key-1"));
}

#[tokio::test]
async fn an_answer_without_an_end_is_none() {
    let server =
        ScriptedServer::start(|_| answer("200 OK", "", &"x".repeat(ANSWER_BYTES_MAX + 1))).await;
    let mut transport = to(&server.url, LONG);
    let endless = transport.report(&report(Encoding::Identity)).await;
    assert!(matches!(endless, Err(NoAnswer::Body { .. })), "{endless:?}");
}
