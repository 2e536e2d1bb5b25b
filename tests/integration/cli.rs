//! The command line.

use super::harness::{Shop, assert_up_to_date, custseg, fixtures, floats, root};

/// `docs/reference/cli.md` has the help of every command; `INSTA_UPDATE=always` rewrites it.
#[test]
fn command_reference_is_complete_and_up_to_date() {
    let help = |command: &str| {
        let args: Vec<&str> = command.split_whitespace().chain(["--help"]).collect();
        let outcome = custseg(root(), &args);
        assert_eq!(outcome.code, 0, "{command}");
        outcome.stdout
    };
    let main = help("");
    let commands = main.split("Options:").next().unwrap();
    let names = commands.lines().filter_map(|line| line.strip_prefix("  ")?.split(' ').next());
    let mut names: Vec<&str> = names.filter(|name| !["help", "runs"].contains(name)).collect();
    names.extend(["runs list", "runs prune"]);
    let mut page = "# Command line\n\nThe output of `custseg COMMAND --help`.\n".to_owned();
    for name in std::iter::once("").chain(names) {
        let heading = format!("custseg {name}");
        let help: Vec<String> = help(name).lines().map(|line| line.trim_end().to_owned()).collect();
        page += &format!("\n## {}\n\n```console\n{}\n```\n", heading.trim(), help.join("\n"));
    }
    assert_up_to_date("docs/reference/cli.md", &page);
}

#[test]
fn usage_errors_exit_2() {
    for args in [
        &["nothing"][..],
        &["run", "--nothing"],
        &["peek", "shop.yaml", "publish"],
        &["run", "a.yaml", "b.yaml"],
        &["run", "--threads", "0"],
        &["run", "-v", "-q"],
    ] {
        let outcome = custseg(&fixtures(), args);
        assert_eq!(outcome.code, 2, "{args:?}: {}", outcome.stderr);
        assert_eq!(outcome.stdout, "", "{args:?}");
    }
}

#[test]
fn missing_pipeline_exits_4() {
    let outcome = custseg(&fixtures(), &["run", "nowhere.yaml"]);
    assert_eq!(outcome.code, 4);
    insta::assert_snapshot!(outcome.stderr, @"
    error: cannot read `nowhere.yaml`: No such file or directory (os error 2)

    1 problem
    ");
}

#[test]
fn check_reports_counts_of_a_valid_pipeline() {
    let outcome = custseg(&fixtures(), &["check", "shop.yaml"]);
    assert_eq!(
        outcome.stdout,
        "shop: ok (1 source file, 12 sampled rows, clean: 4 steps, map: three, models: 0)\n"
    );
    assert_eq!(outcome.code, 0);
    let warning = "WARN 3 of 12 sampled rows (25.00 %) cannot be parsed and are rejected:";
    assert!(outcome.stderr.contains(warning), "{}", outcome.stderr);
}

/// Without a pipeline argument, the only one nearby runs.
#[test]
fn pipelines_are_looked_for() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = custseg(folder.path(), &["check"]);
    assert_eq!(outcome.code, 2);
    assert!(outcome.stderr.contains("`custseg init FILE` writes one"), "{}", outcome.stderr);
    let shop = Shop::fixture();
    let outcome = shop.custseg(&["check"]);
    assert_eq!(
        outcome.stdout,
        "shop: ok (1 source file, 12 sampled rows, clean: 4 steps, map: three, models: 0)\n"
    );
    let outcome = custseg(root(), &["check"]);
    assert_eq!(outcome.code, 2);
    let expected = "which pipeline? pipelines/cdnow.yaml, pipelines/cdnow_models.yaml, \
                    pipelines/online_retail.yaml, pipelines/online_retail_models.yaml";
    assert!(outcome.stderr.contains(expected), "{}", outcome.stderr);
}

#[test]
fn demo_runs_in_any_folder() {
    let folder = tempfile::tempdir().unwrap();
    let outcome = custseg(folder.path(), &["-q", "demo", "try"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert!(folder.path().join("try/results/current/report.html").is_file());
    let outcome = custseg(&folder.path().join("try"), &["-q", "check"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
}

#[test]
fn invalid_set_options_are_reported_by_name() {
    let invalid = [
        "score.bins=9",
        "rfm.snapshots=[2024-13-01, 2024-02-01]",
        "scores.bins=5",
        "publish",
        "clean.7.drop_missing=[customer_id]",
        "name=[",
        "score={bins: 4",
    ];
    let args: Vec<&str> = ["check", "shop.yaml"]
        .into_iter()
        .chain(invalid.iter().flat_map(|set| ["--set", *set]))
        .collect();
    let outcome = custseg(&fixtures(), &args);
    assert_eq!(outcome.code, 2);
    insta::assert_snapshot!(outcome.stderr);
}

#[test]
fn set_overrides_list_items_and_adds_sections() {
    let shop = Shop::fixture();
    let set = [
        "clean.2.keep_positive=[quantity]",
        "models.near.k=2",
        "models.near.holdout=0.5",
        "ingest.money.scale=3",
    ];
    let args: Vec<&str> = set.iter().flat_map(|set| ["--set", *set]).collect();
    // Two more lines are accepted: 3.333 at scale 3, and the price 0.00 without a rule on prices.
    // Each customer has its own segment, so no customer can be held out.
    let outcome = shop.custseg(&[&["-q", "run", "shop.yaml"], &args[..]].concat());
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(floats(&shop.table("ledger"), "rows_left").last(), Some(&7.0));
    let segments = shop.table("segments/snapshot=2024-03-02/part-0");
    assert!(segments.column("near_label").is_ok());
}

#[test]
fn too_few_customers_for_k_exits_3() {
    let outcome = Shop::fixture().custseg(&["-q", "run", "shop.yaml", "--set", "models.near.k=3"]);
    assert_eq!(outcome.code, 3);
    insta::assert_snapshot!(outcome.stderr, @"error: model: models.near: k is 3, but only 2 other customers can vote; lower `k` or leave the model out");
}

/// Standard output is one line of JSON. Logs go to standard error.
#[test]
fn run_prints_one_line_of_json() {
    let shop = Shop::fixture();
    let outcome = shop.custseg(&["run", "shop.yaml"]);
    assert_eq!(outcome.stdout.lines().count(), 1);
    let line: serde_json::Value = serde_json::from_str(outcome.stdout.trim()).unwrap();
    assert_eq!(line["snapshots"], serde_json::json!(["2024-03-02"]));
    assert_eq!(line["rows"], serde_json::json!({"raw": 12, "accepted": 5, "segments": 3}));
    let current = std::path::Path::new(line["path"].as_str().unwrap());
    assert!(
        line["outputs"]
            .as_array()
            .unwrap()
            .iter()
            .all(|name| current.join(name.as_str().unwrap()).is_file())
    );
    let filters = vec![(r"\d{4}-\d\d-\d\dT\S+", "[time]"), (r"run_id=\S+", "run_id=[id]")];
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!("run_stderr", outcome.stderr);
    });
}

#[test]
fn log_can_be_json_or_silent() {
    let shop = Shop::fixture();
    let outcome = shop.custseg(&["run", "shop.yaml", "--log-format", "json", "--threads", "1"]);
    // Every line is a JSON object; no text for people.
    let lines =
        outcome.stderr.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    let (done, others): (Vec<_>, Vec<_>) =
        lines.partition(|line| line["fields"]["message"] == "stage done");
    let (warnings, others): (Vec<_>, Vec<_>) =
        others.into_iter().partition(|line| line["level"] == "WARN");
    assert!(others.iter().all(|line| line["level"] == "INFO"), "{}", outcome.stderr);
    // Rows 8 to 10 cannot be parsed.
    let warning = warnings[0]["fields"]["message"].as_str().unwrap();
    assert!(warning.starts_with("3 of 12 rows (25.00 %) cannot be parsed"), "{warning}");
    assert_eq!(warnings.len(), 1);
    for (stage, rows) in
        [("orders", 12), ("rfm", 3), ("score", 3), ("segment", 3), ("model", 3), ("publish", 3)]
    {
        let is_stage = |line: &&serde_json::Value| {
            line["fields"]["stage"] == stage && line["fields"]["rows"] == rows
        };
        let line =
            done.iter().find(is_stage).unwrap_or_else(|| panic!("{stage}: {}", outcome.stderr));
        assert!(line["fields"]["seconds"].as_f64().unwrap() >= 0.0);
    }
    assert_eq!(shop.custseg(&["run", "shop.yaml", "-q"]).stderr, "");
}

#[test]
fn explain_prints_one_scan_and_every_stage() {
    let outcome = custseg(&fixtures(), &["explain", "shop.yaml"]);
    assert_eq!(outcome.code, 0, "{}", outcome.stderr);
    assert_eq!(outcome.stdout.matches("CSV SCAN").count(), 1);
    let stages: Vec<&str> = outcome.stdout.lines().filter(|line| line.starts_with("# ")).collect();
    let names = ["ingest", "clean", "orders", "orders", "rfm", "score", "segment", "model"];
    assert_eq!(stages.len(), names.len());
    assert!(
        stages.iter().zip(names).all(|(line, name)| line.starts_with(&format!("# {name}:"))),
        "{stages:?}"
    );
    let filters =
        vec![("__POLARS_CSER_0x[0-9a-f]+", "[common]"), (r"id: [0-9a-f-]{36}", "id: [id]")];
    insta::with_settings!({filters => filters}, {
        insta::assert_snapshot!("explain", outcome.stdout);
    });
}

/// A closed pipe (`| head`) is not an error.
#[test]
fn closed_pipe_exits_0() {
    let script = format!(
        "set -o pipefail; '{}' -q peek shop.yaml orders -n 100 | head -n 1 > /dev/null",
        env!("CARGO_BIN_EXE_custseg")
    );
    let status = std::process::Command::new("bash")
        .args(["-c", &script])
        .current_dir(fixtures())
        .status()
        .unwrap();
    assert!(status.success());
}
