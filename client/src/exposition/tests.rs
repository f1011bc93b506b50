use super::*;

/// Each sample as a line: name, type, labels, value, time.
fn read(text: &str) -> Result<Vec<String>, NotExposition> {
    let mut lines = Vec::new();
    parse(text, |sample| {
        let labels: Vec<_> = sample.labels.iter().map(|(n, v)| format!("{n}={v}")).collect();
        let time = sample.timestamp_ms.map_or(String::new(), |ms| format!(" @{ms}"));
        let (name, kind) = (sample.name, sample.metric_type.as_str());
        lines.push(format!("{name} {kind} [{}] {}{time}", labels.join(","), sample.value));
    })?;
    Ok(lines)
}

#[test]
fn samples_have_the_type_of_their_family() {
    let text = "\
# HELP http_requests_total Requests\\nby \\\\ code
# TYPE http_requests_total counter
http_requests_total{method=\"post\",code=\"200\"} 1027 1395066363000
http_requests_total{method=\"post\",code=\"400\",}    3 1395066363000
# a comment, and a blank line

msdos_file_access_time_seconds{path=\"C:\\\\DIR\\\\FILE.TXT\",error=\"Cannot \\\"find\\\" it\\n\"} 1.458255915e9
metric_without_timestamp_and_labels 12.47\r
something_weird{problem=\"division by zero\"} +Inf -3982045
# TYPE seconds histogram
seconds_bucket{le=\"0.05\"} 24054
seconds_bucket{le=\"+Inf\"} 144320
seconds_sum 53423
seconds_count 144320
# TYPE rpc summary
rpc{quantile=\"0.01\"} NaN
rpc_sum 1.7560473e+07
rpc_bucket 5
# TYPE free untyped
free{ a = \"x\" , b=\"ä\"}  -1e-3
\tindented\t5
a:b:c 1";
    let expected = [
        "http_requests_total counter [method=post,code=200] 1027 @1395066363000",
        "http_requests_total counter [method=post,code=400] 3 @1395066363000",
        "msdos_file_access_time_seconds gauge [path=C:\\DIR\\FILE.TXT,error=Cannot \"find\" it\n] 1458255915",
        "metric_without_timestamp_and_labels gauge [] 12.47",
        "something_weird gauge [problem=division by zero] inf @-3982045",
        "seconds_bucket histogram [le=0.05] 24054",
        "seconds_bucket histogram [le=+Inf] 144320",
        "seconds_sum histogram [] 53423",
        "seconds_count histogram [] 144320",
        "rpc summary [quantile=0.01] NaN",
        "rpc_sum summary [] 17560473",
        "rpc_bucket summary [] 5",
        "free gauge [a=x,b=ä] -0.001",
        "indented gauge [] 5",
        "a:b:c gauge [] 1",
    ];
    assert_eq!(read(text).unwrap(), expected);
    parse(text, |sample| {
        if sample.name == "http_requests_total" {
            assert_eq!(sample.help, "Requests\nby \\ code");
        }
    })
    .unwrap();
}

#[test]
fn the_first_line_that_is_none_is_named() {
    let check = |line: &str, problem: &str| {
        let text = format!("good 1\n{line}\ngood 2\n");
        let error = read(&text).unwrap_err();
        assert_eq!((error.line, error.problem), (2, problem), "{line}");
    };
    check("name", "a name without a value");
    check("name ", "a name without a value");
    check("name{} ", "there is no value");
    check("{a=\"b\"} 1", "it does not begin with the name of a metric");
    check("1name 1", "it does not begin with the name of a metric");
    check("näme 1", "it does not begin with the name of a metric");
    check("name one", "the value is no number");
    check("name 1 now", "the timestamp is no number of milliseconds");
    check("name 1 1.5", "the timestamp is no number of milliseconds");
    check("name 1 1 # {trace=\"x\"}", "there is something behind the timestamp");
    check("name{a} 1", "the labels have no end");
    check("name{a=b} 1", "a label's value is not in quotes");
    check("name{a=\"b} 1", "a label's value has no end");
    check("name{a=\"b\\\"} 1", "a label's value has no end");
    check("name{a=\"b\" c=\"d\"} 1", "there is neither a comma nor an end behind a label");
    check("name{,} 1", "the labels have no end");
    check("name{a:b=\"c\"} 1", "a label's name is none");
    check("name{a=\"\",a=\"\"} 1", "a label stands twice");
    check("name{a=\"\\t\"} 1", "a backslash stands before something else than \\, n or a quote");
    check("# TYPE name guage", "the type is none of counter, gauge, histogram, summary, untyped");
    check("# TYPE", "a comment of this kind needs the name of a metric");
    let many: Vec<_> = (0..65).map(|n| format!("l{n}=\"\"")).collect();
    check(&format!("name{{{}}} 1", many.join(",")), "it has too many labels");
}

#[test]
fn nothing_is_nothing() {
    for text in ["", "\n\n", "# EOF\n", "#", " \t\r\n"] {
        assert_eq!(read(text).unwrap(), [""; 0], "{text:?}");
    }
}
