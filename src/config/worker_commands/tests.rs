use super::super::cli::{Cli, CliExit, Command};
use super::*;

fn parse(line: &str, env: &[(&str, &str)]) -> Result<Command, CliExit> {
    let args = ["noetl-metrics"].into_iter().chain(line.split_whitespace());
    Cli::parse(args.map(OsString::from), |name| {
        env.iter().find(|(key, _)| *key == name).map(|(_, text)| OsString::from(text))
    })
}

fn push(line: &str, env: &[(&str, &str)]) -> PushRequest {
    match parse(line, env) {
        Ok(Command::Worker(WorkerCommand::Push(push))) => *push,
        other => panic!("{line}: {other:?}"),
    }
}

#[test]
fn a_push_is_read() {
    let env = [("NOETL_SERVER_URL", "http://m:1"), ("NOETL_WORKER_POOL_NAME", "pool")];
    let one = push("push jobs=7 a=b=-1.5e3 --unit jobs --label q=x=y --label e=", &env);
    assert_eq!(one.values, [("jobs".to_owned(), 7.0), ("a=b".to_owned(), -1500.0)]);
    assert_eq!((one.unit.as_str(), one.metric_type), ("jobs", MetricType::Gauge));
    let label = |name: &str, value: &str| (name.to_owned(), value.to_owned());
    assert_eq!(one.labels, [label("q", "x=y"), label("e", "")]);
    assert_eq!(one.client.server_url.to_string(), "http://m:1");
    assert_eq!(one.client.component_name(), "pool");
    assert_eq!((one.component_type, one.retry_for), (None, Duration::from_secs(60)));
    let line = "push --component c --component-type cron_job --type counter --retry-for 0 n=1";
    let other = push(line, &env);
    assert_eq!(other.client.component_name(), "c");
    assert_eq!(other.component_type.as_deref(), Some("cron_job"));
    assert_eq!((other.metric_type, other.retry_for), (MetricType::Counter, Duration::ZERO));
    assert!(push("push", &env).values.is_empty());
    assert!(push("push v=NaN", &env).values[0].1.is_nan());
}

#[test]
fn every_mistake_of_a_push_is_named() {
    let line = "push jobs =1 x=y --label q --retry-for soon --server-url m";
    let exit = parse(line, &[]).unwrap_err();
    assert_eq!(exit.status(), 2);
    let text = exit.to_string();
    assert_eq!(text.lines().count(), 6, "{text}");
    for part in
        ["\"jobs\"", "\"=1\"", "\"x=y\"", "--label: \"q\"", "--retry-for", "--server-url: \"m\""]
    {
        assert!(text.contains(part), "{part} in {text}");
    }
    assert!(matches!(parse("push a=1 --type none", &[]), Err(CliExit::Usage(_))));
}

#[test]
fn an_agent_is_told_by_flags_and_variables() {
    let env = [
        ("NOETL_WORKER_METRICS_INTERVAL", "30"),
        ("NOETL_AGENT_STATSD", "127.0.0.1:8125"),
        ("NOETL_WORKER_HEARTBEAT_INTERVAL", "1m"),
    ];
    let line = "agent --worker-heartbeat-interval 5s --agent-process-names postgres";
    match parse(line, &env) {
        Ok(Command::Worker(WorkerCommand::Agent(settings, agent))) => {
            assert_eq!(settings.metrics_interval, Duration::from_secs(30));
            assert_eq!(settings.heartbeat_interval, Duration::from_secs(5));
            assert_eq!(agent.process_names, ["postgres"]);
            assert!(agent.statsd.is_some());
        }
        other => panic!("{other:?}"),
    }
    let exit = parse("agent --agent-statsd 0.0.0.0:1", &[("NOETL_WORKER_CAPACITY", "x")]);
    let text = exit.unwrap_err().to_string();
    assert_eq!(text.lines().count(), 2, "{text}");
    assert!(text.contains("NOETL_WORKER_CAPACITY") && text.contains("--agent-statsd"), "{text}");
}

#[test]
fn help_names_every_variable() {
    let help = parse("agent --help", &[]).unwrap_err().to_string();
    let words = help.split_whitespace().collect::<Vec<_>>().join(" ");
    let check = |key: &str, name: String, text: &str| {
        for want in [format!("--{key}"), format!("[variable: {name}]"), text.to_owned()] {
            assert!(words.contains(&want), "{want} in {help}");
        }
    };
    VARIABLES.iter().for_each(|one| check(one.key, one.name(), one.help));
    AGENT_VARIABLES.iter().for_each(|one| check(one.key, one.name(), one.help));
}
