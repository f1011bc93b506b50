use super::*;
use std::io::{Read as _, Write as _};
use std::net::{TcpListener as StdListener, TcpStream as StdStream};

/// A proxy, and both ends of one connection through it.
fn connected() -> (Proxy, StdStream, StdStream) {
    let listener = StdListener::bind("127.0.0.1:0").unwrap();
    let proxy = Proxy::start(listener.local_addr().unwrap().to_string()).unwrap();
    let client = StdStream::connect(proxy.address()).unwrap();
    let (server, _) = listener.accept().unwrap();
    for stream in [&client, &server] {
        stream.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    }
    (proxy, client, server)
}

/// Everything up to the end of the stream, whether that is closed or cut.
fn rest(mut stream: &StdStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => {}
        Err(error) => assert_eq!(error.kind(), std::io::ErrorKind::ConnectionReset),
    }
    bytes
}

fn exchange(mut from: &StdStream, mut to: &StdStream, text: &[u8]) {
    from.write_all(text).unwrap();
    let mut received = vec![0; text.len()];
    to.read_exact(&mut received).unwrap();
    assert_eq!(received, text);
}

#[test]
fn bytes_pass_both_ways_and_a_stall_only_delays_them() {
    let (proxy, client, server) = connected();
    exchange(&client, &server, b"question");
    exchange(&server, &client, b"answer");
    proxy.set(Traffic::Stall);
    (&client).write_all(b"held").unwrap();
    server.set_read_timeout(Some(Duration::from_millis(100))).unwrap();
    assert!((&server).read(&mut [0; 4]).is_err(), "nothing passes");
    proxy.set(Traffic::Slow(100));
    server.set_read_timeout(Some(Duration::from_secs(30))).unwrap();
    let mut held = [0; 4];
    (&server).read_exact(&mut held).unwrap();
    assert_eq!(&held, b"held");
}

#[test]
fn a_cut_ends_what_is_there_and_a_refusal_what_comes() {
    let (proxy, client, server) = connected();
    exchange(&client, &server, b"x");
    proxy.set(Traffic::Refuse);
    proxy.cut();
    assert_eq!(rest(&client), b"");
    assert_eq!(rest(&server), b"");
    assert_eq!(rest(&StdStream::connect(proxy.address()).unwrap()), b"");
    assert_eq!(proxy.broken(), 2);
}

#[test]
fn one_direction_is_closed_and_the_other_goes_on() {
    let (proxy, client, server) = connected();
    exchange(&client, &server, b"x");
    proxy.half_close(Direction::Up);
    assert_eq!(rest(&server), b"");
    exchange(&server, &client, b"answer");
}

#[test]
fn a_copy_is_cut_after_so_many_bytes() {
    let (proxy, client, server) = connected();
    proxy.set(Traffic::CutInCopy(20));
    exchange(&client, &server, b"BEGIN");
    (&client).write_all(b"COPY noetl.report 0123456789").unwrap();
    assert_eq!(rest(&server), b"COPY noetl.report 01");
    assert_eq!(rest(&client), b"");
}

#[test]
fn a_commit_arrives_and_its_answer_does_not() {
    let (proxy, client, server) = connected();
    proxy.set(Traffic::CutAtCommit);
    exchange(&client, &server, b"COMMIT of a connection that did not copy");
    exchange(&server, &client, b"done");
    exchange(&client, &server, b"COPY noetl.report");
    exchange(&client, &server, b"COMMIT");
    (&server).write_all(b"done").unwrap();
    assert_eq!(rest(&client), b"");
}
