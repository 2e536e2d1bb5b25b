//! OpenLineage events: valid by the published schemas, from start to end, to a file or over HTTP.

use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::Command;

use serde_json::Value;

use super::harness::{Shop, fixtures};

const PARENT: &str = "airflow/custseg.segment/01a203d1-442c-7fee-9657-9ced48c569e9";

/// The events of `events.jsonl`.
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

/// Validates an event and each of its facets by the schema that it names.
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
    let assert_matches = |schema: &str, value: &Value| {
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
    assert_matches(event["schemaURL"].as_str().unwrap(), event);
    let mut facets = 0;
    let mut left = vec![event];
    while let Some(value) = left.pop() {
        if let Some(schema) = value.get("_schemaURL") {
            assert_matches(schema.as_str().unwrap(), value);
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
fn successful_run_emits_start_running_complete() {
    let checks = "checks=[{ row_count: { min: 2 } }, \
        { range: { column: unit_price, min: 1, severity: warn } }]";
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
    let facets = &events[1]["inputs"][0]["inputFacets"];
    assert_eq!(facets["dataQualityMetrics"]["rowCount"], 12);
    let bytes = fs::metadata(shop.path("shop.csv")).unwrap().len();
    assert_eq!(facets["dataQualityMetrics"]["bytes"], bytes);
    let results: Vec<(&str, bool)> = facets["dataQualityAssertions"]["assertions"]
        .as_array()
        .unwrap()
        .iter()
        .map(|check| (check["assertion"].as_str().unwrap(), check["success"].as_bool().unwrap()))
        .collect();
    assert_eq!(results, [("row_count", true), ("range", false)]);
    let outputs = events[2]["outputs"].as_array().unwrap();
    let output = |table: &str| {
        outputs.iter().find(|output| output["name"].as_str().unwrap().ends_with(table)).unwrap()
    };
    let segments = output("/segments");
    assert_eq!(segments["outputFacets"]["outputStatistics"]["rowCount"], 3);
    let current = fs::read_link(shop.path("out/current")).unwrap();
    assert_eq!(
        segments["facets"]["version"]["datasetVersion"],
        current.file_name().unwrap().to_str().unwrap()
    );
    // The source columns of each published column.
    let source_columns = |column: &str| -> Vec<&str> {
        let fields = &segments["facets"]["columnLineage"]["fields"][column]["inputFields"];
        fields.as_array().unwrap().iter().map(|field| field["field"].as_str().unwrap()).collect()
    };
    assert_eq!(source_columns("customer_id"), ["customer"]);
    assert_eq!(source_columns("recency_days"), ["bought"]);
    assert_eq!(source_columns("frequency"), ["order"]);
    assert_eq!(source_columns("monetary"), ["units", "price"]);
    assert_eq!(source_columns("segment"), ["bought", "order", "units", "price"]);
    let ledger = output("/ledger");
    let fields = ledger["facets"]["schema"]["fields"].as_array().unwrap();
    assert_eq!(
        (fields[0]["name"].as_str(), fields[0]["type"].as_str()),
        (Some("step"), Some("str"))
    );
}

#[test]
fn failed_and_up_to_date_runs_emit_events() {
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
    let message = events[1]["run"]["facets"]["errorMessage"]["message"].as_str().unwrap();
    assert!(message.contains("row_count"), "{message}");
}

#[test]
fn interrupted_run_emits_abort() {
    // Enough lines that the signal arrives during the run.
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
    assert_eq!(last["run"]["facets"]["errorMessage"]["message"], "interrupted by SIGTERM");
}

/// Server errors and a missing server do not fail the run.
#[test]
fn events_are_posted_over_http() {
    let shop = Shop::fixture();
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let server = std::thread::spawn(move || {
        let mut received = Vec::new();
        for status in ["201 Created", "500 Internal Server Error", "201 Created"] {
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
                "HTTP/1.1 {status}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
            )
            .unwrap();
            received.push((head, serde_json::from_slice::<Value>(&body).unwrap()));
        }
        received
    });
    assert_eq!(run(&shop, &["--lineage", &url]), 0);
    let received = server.join().unwrap();
    let kinds: Vec<&str> =
        received.iter().map(|(_, event)| event["eventType"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["START", "RUNNING", "COMPLETE"]);
    for (head, event) in &received {
        assert_valid(event);
        assert!(
            head.starts_with("post /api/v1/lineage ")
                && head.contains("authorization: bearer hunter2"),
            "{head}"
        );
    }
    // The server is gone.
    let outcome = shop.custseg(&["run", "shop.yaml", "--lineage", &url]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(outcome.stderr.contains("lineage event could not be sent"), "{}", outcome.stderr);
}

#[test]
fn invalid_addresses_fail_and_secrets_are_not_logged() {
    let shop = Shop::fixture();
    let secret = "http://user:hunter2@127.0.0.1:9/x?api_key=hunter2";
    let outcome = shop.custseg(&["run", "shop.yaml", "--lineage", secret]);
    assert_eq!(outcome.code, 0);
    assert!(
        outcome.stderr.contains("lineage event could not be sent")
            && !outcome.stderr.contains("hunter2"),
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
