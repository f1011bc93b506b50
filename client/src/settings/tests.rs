use super::*;

fn read(given: &[(&str, &str)]) -> Result<Settings, InvalidSettings> {
    Settings::read(|variable| {
        let (name, value) = given.iter().find(|(name, _)| *name == variable.name())?;
        Some(((*name).to_owned(), (*value).to_owned()))
    })
}

#[test]
fn the_defaults_are_those_of_the_table() {
    let told = Settings::read(|variable| Some((variable.name(), variable.default.to_owned())));
    assert_eq!(format!("{:?}", told.unwrap()), format!("{:?}", Settings::default()));
}

#[test]
fn variables_of_workers_are_understood() {
    let settings = read(&[
        ("NOETL_SERVER_URL", "http://metrics.example:9000/base/"),
        ("NOETL_WORKER_POOL_NAME", "worker-cpu-01"),
        ("NOETL_WORKER_HEARTBEAT_INTERVAL", "5"),
        ("NOETL_WORKER_METRICS_INTERVAL", "1m"),
        ("NOETL_WORKER_LABELS", "local, dev,"),
        ("NOETL_WORKER_CAPACITY", "4"),
        ("NOETL_WORKER_SPOOL_DIR", "/var/spool/x"),
        ("NOETL_WORKER_ID", ""),
    ])
    .unwrap();
    assert_eq!(settings.server_url.to_string(), "http://metrics.example:9000/base");
    assert_eq!(settings.component_name(), "worker-cpu-01");
    assert_eq!(settings.heartbeat_interval, Duration::from_secs(5));
    assert_eq!(settings.labels, ["local", "dev"]);
    assert_eq!(settings.capacity, Some(4));
    assert_eq!(settings.spool_dir, Some(PathBuf::from("/var/spool/x")));
    assert_eq!(settings.worker_id, None);
    let settings = read(&[("NOETL_WORKER_ID", "7")]).unwrap();
    assert_eq!(settings.component_name(), "worker-7");
    assert_eq!(Some(read(&[]).unwrap().component_name()), host_name());
}

#[test]
fn every_mistake_is_named_with_where_it_stands() {
    let errors = read(&[
        ("NOETL_SERVER_URL", "metrics.example"),
        ("NOETL_WORKER_METRICS_INTERVAL", "soon"),
        ("NOETL_WORKER_QUEUE_BYTES", "1"),
        ("NOETL_WORKER_CAPACITY", "-1"),
    ])
    .unwrap_err()
    .to_string();
    let lines: Vec<_> = errors.lines().collect();
    assert!(
        lines[1].starts_with("NOETL_WORKER_CAPACITY: \"-1\" is not a whole number"),
        "{errors}"
    );
    assert_eq!(lines.len(), 4, "{errors}");
    assert!(lines[0].starts_with("NOETL_SERVER_URL: \"metrics.example\" is not a URL"), "{errors}");
    assert!(lines[3].ends_with("is outside 65536 to 1073741824"), "{errors}");
}

#[test]
fn urls_of_servers() {
    let check = |text: &str, expected: Option<(&str, u16, &str)>| {
        let url = text.parse::<ServerUrl>();
        let parts = url.as_ref().ok().map(|url| (url.host(), url.port(), url.path()));
        assert_eq!(parts, expected, "{text}: {url:?}");
    };
    check("http://localhost:8082", Some(("localhost", 8082, "")));
    check("http://node-1", Some(("node-1", 80, "")));
    check("http://node-1/", Some(("node-1", 80, "")));
    check("http://[::1]:8082/a/b", Some(("::1", 8082, "/a/b")));
    check("http://[::1]", Some(("::1", 80, "")));
    for wrong in [
        "",
        "node-1:8082",
        "https://",
        "http://",
        "http://:8082",
        "http://a:b",
        "http://a:99999",
        "http://::1:8082",
        "http://[::1",
        "http://[::1]8082",
        "http://a b",
        "http://u@a",
        "http://a/?x",
        "http://ä",
        "ftp://a",
    ] {
        check(wrong, None);
    }
    if cfg!(feature = "tls") {
        check("https://node-1/", Some(("node-1", 443, "")));
        check("https://[::1]:8082/a", Some(("::1", 8082, "/a")));
        let shown = |text: &str| text.parse::<ServerUrl>().unwrap().to_string();
        assert_eq!(shown("https://a:443"), "https://a");
        assert_eq!(shown("https://a:80"), "https://a:80");
    } else {
        let refused = "https://node-1".parse::<ServerUrl>().unwrap_err();
        assert!(refused.contains("feature `tls`"), "{refused}");
    }
    assert_eq!("http://[::1]:1".parse::<ServerUrl>().unwrap().to_string(), "http://[::1]:1");
}

#[test]
fn files_of_tls_are_for_urls_that_ask_for_it() {
    let error = |given: &[(&str, &str)]| read(given).unwrap_err().to_string();
    let ca = ("NOETL_WORKER_CA_FILE", "ca.pem");
    let said = error(&[ca]);
    assert!(said.contains("server-url that begins with https://"), "{said}");
    let said = error(&[("NOETL_WORKER_KEY_FILE", "key.pem")]);
    assert_eq!(said, "worker-cert-file and worker-key-file need each other");
    if cfg!(feature = "tls") {
        let settings = read(&[ca, ("NOETL_SERVER_URL", "https://a")]).unwrap();
        assert_eq!(settings.tls.authorities, Some(PathBuf::from("ca.pem")));
        assert_eq!(settings.tls.certificate, None);
    }
}

#[test]
fn a_token_of_the_environment_wins_over_its_file() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("token");
    std::fs::write(&file, "noetl_file\n").unwrap();
    let named = ("NOETL_WORKER_TOKEN_FILE", file.to_str().unwrap());
    let settings = read(&[named]).unwrap();
    assert_eq!(settings.token, Some(Token::new("noetl_file").unwrap()));
    assert_eq!(settings.token_file, Some(file.clone()));
    let settings = read(&[named, ("NOETL_TOKEN", "noetl_env")]).unwrap();
    assert_eq!(settings.token, Some(Token::new("noetl_env").unwrap()));
    assert_eq!(settings.token_file, None, "the file must not win later");
}
