//! A network that dies just when a batch is committed: nobody knows then whether it was.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::Relaxed};
use std::thread;

use crate::cluster::{Cluster, PASSWORD_IN_URL};
use crate::server::Launch;
use crate::stream::Stream;

/// Of so many commits one is cut off.
const CUT_EVERY: usize = 3;

/// Passes connections on to PostgreSQL and cuts some of them at a commit: by turns before
/// PostgreSQL has heard of it, and when it has answered and the answer is on its way.
struct Proxy {
    address: SocketAddr,
    /// Nothing is cut before this is set: a first start gives up where it cannot register.
    armed: AtomicBool,
    cut_before: AtomicUsize,
    cut_after: AtomicUsize,
    commits: AtomicUsize,
}

impl Proxy {
    fn start(postgres: SocketAddr) -> Arc<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let count = AtomicUsize::default;
        let proxy = Arc::new(Self {
            address,
            armed: AtomicBool::new(false),
            cut_before: count(),
            cut_after: count(),
            commits: count(),
        });
        let accepting = Arc::clone(&proxy);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let Ok(server) = TcpStream::connect(postgres) else { continue };
                accepting.pass(client, server);
            }
        });
        proxy
    }

    fn pass(self: &Arc<Self>, mut client: TcpStream, mut server: TcpStream) {
        let cut = Arc::new(AtomicBool::new(false));
        let (mut answers, mut back) = (server.try_clone().unwrap(), client.try_clone().unwrap());
        let swallow = Arc::clone(&cut);
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(read @ 1..) = answers.read(&mut buffer) {
                if swallow.load(Relaxed) || back.write_all(&buffer[..read]).is_err() {
                    break;
                }
            }
            // Either end may be gone already.
            drop(back.shutdown(Shutdown::Both));
            drop(answers.shutdown(Shutdown::Both));
        });
        let proxy = Arc::clone(self);
        thread::spawn(move || {
            let mut buffer = [0; 16 << 10];
            while let Ok(read @ 1..) = client.read(&mut buffer) {
                let sent = &buffer[..read];
                if proxy.armed.load(Relaxed) && sent.windows(7).any(|window| window == b"COMMIT\0")
                {
                    let nth = proxy.commits.fetch_add(1, Relaxed);
                    match nth % (2 * CUT_EVERY) {
                        0 => {
                            proxy.cut_before.fetch_add(1, Relaxed);
                            break;
                        }
                        CUT_EVERY => {
                            proxy.cut_after.fetch_add(1, Relaxed);
                            cut.store(true, Relaxed);
                        }
                        _ => {}
                    }
                }
                if server.write_all(sent).is_err() {
                    break;
                }
            }
            drop(client.shutdown(Shutdown::Both));
            drop(server.shutdown(Shutdown::Both));
        });
    }
}

#[test]
fn a_commit_whose_answer_is_lost_is_neither_lost_nor_repeated() {
    let cluster = Cluster::start();
    cluster.create("cut");
    let direct = cluster.tcp_url("cut", PASSWORD_IN_URL);
    let (before, rest) = direct.rsplit_once('@').unwrap();
    let (postgres, database) = rest.split_once('/').unwrap();
    let proxy = Proxy::start(postgres.parse().unwrap());
    let url = format!("{before}@{}/{database}", proxy.address);
    let launch = Launch::new().database(&url).flag("batch-age-max", "20ms");
    let server = launch.flag("query-timeout", "50s").start();
    proxy.armed.store(true, Relaxed);
    let stream = Stream::new("cut");
    stream.run(&server.client(), |stream| {
        crate::output::until("cut commits", || {
            let cut = |count: &AtomicUsize| count.load(Relaxed) >= 5;
            (cut(&proxy.cut_before) && cut(&proxy.cut_after)).then_some(())
        });
        stream.wait_for(50);
    });
    assert_eq!(stream.unacknowledged(), [0; 0]);
    stream.assert_stored_once(&server);
}
