//! Events of OpenLineage: valid by the published schemas, one course a run, to a file or over HTTP.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use super::harness::{Shop, fixtures};

const PARENT: &str = "airflow/custseg.segment/01a203d1-442c-7fee-9657-9ced48c569e9";

/// The events of a file.
fn events(shop: &Shop) -> Vec<Value> {
    let text = fs::read_to_string(shop.path("events.jsonl")).unwrap();
    text.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

fn run(shop: &Shop, args: &[&str]) -> i32 {
    let program = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args([&["-q", "run", "shop.yaml"], args].concat())
        .current_dir(shop.folder.path())
        .env("OPENLINEAGE_PARENT_ID", PARENT)
        .env("OPENLINEAGE_NAMESPACE", "shops")
        .env("OPENLINEAGE_API_KEY", "hunter2")
        .output()
        .unwrap();
    program.status.code().unwrap()
}

/// Holds an event, and each facet in it, to its schema, which is the one that the facet itself names.
fn assert_valid(event: &Value) {
    let mut schemas = Vec::new();
    for entry in fs::read_dir(fixtures().join("openlineage")).unwrap() {
        let path = entry.unwrap().path();
        if path.extension().is_some_and(|suffix| suffix == "json") {
            schemas
                .push(serde_json::from_str::<Value>(&fs::read_to_string(path).unwrap()).unwrap());
        }
    }
    let mut registry = jsonschema::Registry::new();
    for schema in &schemas {
        registry = registry.add(schema["$id"].as_str().unwrap(), schema.clone()).unwrap();
    }
    let registry = registry.prepare().unwrap();
    let check = |schema: &str, value: &Value| {
        let wrapped = serde_json::json!({ "$ref": schema });
        let validator = jsonschema::options()
            .with_registry(&registry)
            .should_validate_formats(true)
            .build(&wrapped)
            .unwrap();
        let errors: Vec<String> =
            validator.iter_errors(value).map(|error| error.to_string()).collect();
        assert!(errors.is_empty(), "{schema}: {errors:?}\n{value:#}");
    };
    check(event["schemaURL"].as_str().unwrap(), event);
    let mut facets = 0;
    let mut left = vec![event];
    while let Some(value) = left.pop() {
        if let Some(schema) = value.get("_schemaURL") {
            check(schema.as_str().unwrap(), value);
            facets += 1;
        }
        match value {
            Value::Object(entries) => left.extend(entries.values()),
            Value::Array(items) => left.extend(items),
            _ => {}
        }
    }
    assert!(facets >= 3, "{event:#}");
}

#[test]
fn a_run_is_told_from_start_to_end() {
    let checks = "checks=[{ row_count: { min: 2 } }, { range: { column: unit_price, min: 1, severity: warn } }]";
    let shop = Shop::fixture();
    assert_eq!(run(&shop, &["--lineage", "events.jsonl", "--set", checks]), 0);
    let events = events(&shop);
    events.iter().for_each(assert_valid);
    let kinds: Vec<&str> =
        events.iter().map(|event| event["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["START", "RUNNING", "COMPLETE"]);
    for event in &events {
        assert_eq!(event["run"]["runId"], events[0]["run"]["runId"]);
        assert_eq!(event["job"]["namespace"], "shops");
        assert_eq!(event["job"]["name"], "shop");
        assert_eq!(
            event["run"]["facets"]["parent"]["run"]["runId"],
            "01a203d1-442c-7fee-9657-9ced48c569e9"
        );
        assert_eq!(event["run"]["facets"]["parent"]["job"]["name"], "custseg.segment");
        assert!(event["inputs"][0]["name"].as_str().unwrap().ends_with("/shop.csv"));
    }
    let found = &events[1]["inputs"][0]["inputFacets"];
    assert_eq!(found["dataQualityMetrics"]["rowCount"], 12);
    let bytes = fs::metadata(shop.path("shop.csv")).unwrap().len();
    assert_eq!(found["dataQualityMetrics"]["bytes"], bytes);
    let verdicts: Vec<(&str, bool)> = found["dataQualityAssertions"]["assertions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|one| (one["assertion"].as_str().unwrap(), one["success"].as_bool().unwrap()))
        .collect();
    assert_eq!(verdicts, [("row_count", true), ("range", false)]);
    let outputs = events[2]["outputs"].as_array().unwrap();
    let segments =
        outputs.iter().find(|one| one["name"].as_str().unwrap().ends_with("/segments")).unwrap();
    assert_eq!(segments["outputFacets"]["outputStatistics"]["rowCount"], 3);
    let current = fs::read_link(shop.path("out/current")).unwrap();
    assert_eq!(
        segments["facets"]["version"]["datasetVersion"],
        current.file_name().unwrap().to_str().unwrap()
    );
    // Which column is made of which, by hand.
    let made_of = |column: &str| -> Vec<&str> {
        let fields = &segments["facets"]["columnLineage"]["fields"][column]["inputFields"];
        fields.as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect()
    };
    assert_eq!(made_of("customer_id"), ["customer"]);
    assert_eq!(made_of("recency_days"), ["bought"]);
    assert_eq!(made_of("frequency"), ["order"]);
    assert_eq!(made_of("monetary"), ["units", "price"]);
    assert_eq!(made_of("segment"), ["bought", "order", "units", "price"]);
    let ledger =
        outputs.iter().find(|one| one["name"].as_str().unwrap().ends_with("/ledger")).unwrap();
    let fields = ledger["facets"]["schema"]["fields"].as_array().unwrap();
    assert_eq!(
        (fields[0]["name"].as_str(), fields[0]["type"].as_str()),
        (Some("step"), Some("str"))
    );
}

#[test]
fn what_fails_and_what_is_not_new_is_told_too() {
    let shop = Shop::fixture();
    assert_eq!(
        run(&shop, &["--lineage", "events.jsonl", "--set", "checks=[{ row_count: { max: 2 } }]"]),
        3
    );
    assert_eq!(run(&shop, &["--lineage", "events.jsonl"]), 0);
    assert_eq!(run(&shop, &["--lineage", "events.jsonl", "--only-new", "--skip-code"]), 99);
    let events = events(&shop);
    events.iter().for_each(assert_valid);
    let kinds: Vec<&str> =
        events.iter().map(|event| event["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["START", "FAIL", "START", "RUNNING", "COMPLETE", "START", "COMPLETE"]);
    let words = events[1]["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert!(words.contains("row_count"), "{words}");
}

#[test]
fn a_stopped_run_is_told() {
    // So many lines that the run can be stopped on its way.
    let shop = Shop::fixture();
    let mut child = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args([
            "-q",
            "simulate",
            "--customers",
            "50000",
            "--lines",
            "3000000",
            "--to",
            "shop.parquet",
        ])
        .current_dir(shop.folder.path())
        .spawn()
        .unwrap();
    assert!(child.wait().unwrap().success());
    let yaml = super::harness::root().join("pipelines/online_retail.yaml");
    let child = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(["-q", "run", yaml.to_str().unwrap(), "--lineage", "events.jsonl"])
        .args([
            "--set",
            &format!("ingest.transactions.paths=[{}]", shop.path("shop.parquet").display()),
        ])
        .args(["--set", &format!("publish.to={}", shop.path("out").display())])
        .current_dir(shop.folder.path())
        .spawn()
        .unwrap();
    while !shop.path("events.jsonl").exists() {
        std::thread::sleep(std::time::Duration::from_millis(5));
    }
    Command::new("kill").arg(child.id().to_string()).status().unwrap();
    assert_eq!(child.wait_with_output().unwrap().status.code(), Some(143));
    let events = events(&shop);
    events.iter().for_each(assert_valid);
    let last = events.last().unwrap();
    assert_eq!(last["eventType"], "ABORT");
    assert_eq!(last["run"]["facets"]["errorMessage"]["message"], "stopped by SIGTERM");
}

/// A server of one's own takes the events; one that does not answer fails no run.
#[test]
fn events_go_over_http() {
    let shop = Shop::fixture();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut heard = Vec::new();
        for answer in ["201 Created", "500 Internal Server Error", "201 Created"] {
            let (stream, _) = listener.accept().unwrap();
            let mut reader = BufReader::new(stream);
            let (mut head, mut line) = (String::new(), String::new());
            while reader.read_line(&mut line).unwrap() > 2 {
                head += &line.to_lowercase();
                line.clear();
            }
            let length = head
                .split("content-length: ")
                .nth(1)
                .unwrap()
                .lines()
                .next()
                .unwrap()
                .parse()
                .unwrap();
            let mut body = vec![0; length];
            reader.read_exact(&mut body).unwrap();
            write!(
                reader.get_mut(),
                "HTTP/1.1 {answer}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            .unwrap();
            heard.push((head, serde_json::from_slice::<Value>(&body).unwrap()));
        }
        heard
    });
    assert_eq!(run(&shop, &["--lineage", &url]), 0);
    let heard = server.join().unwrap();
    let kinds: Vec<&str> =
        heard.iter().map(|(_, event)| event["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["START", "RUNNING", "COMPLETE"]);
    for (head, event) in &heard {
        assert_valid(event);
        assert!(
            head.starts_with("post /api/v1/lineage ")
                && head.contains("authorization: bearer hunter2"),
            "{head}"
        );
    }
    // Nobody listens there any more.
    let outcome = shop.custseg(&["run", "shop.yaml", "--lineage", &url]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("lineage: an event was not taken"), "{}", outcome.stderr);
}

#[test]
fn addresses_are_held_to_what_they_can_be_and_their_secrets_untold() {
    let shop = Shop::fixture();
    let secret = "http://user:hunter2@127.0.0.1:9/x?api_key=hunter2";
    let outcome = shop.custseg(&["run", "shop.yaml", "--lineage", secret]);
    assert_eq!(outcome.code, 0);
    assert!(
        outcome.stderr.contains("an event was not taken") && !outcome.stderr.contains("hunter2"),
        "{}",
        outcome.stderr
    );
    assert_eq!(shop.custseg(&["run", "shop.yaml", "--lineage", "ftp://x/y"]).code, 2);
    let parent = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(["run", "shop.yaml", "--lineage", "events.jsonl"])
        .current_dir(shop.folder.path())
        .env("OPENLINEAGE_PARENT_ID", "a/b/notauuid")
        .output()
        .unwrap();
    assert_eq!(parent.status.code(), Some(2));
}
