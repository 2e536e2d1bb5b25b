//! Commands for operators and editors: schema, completions, man pages, variables, runs, inspection.

use std::fs;

use super::harness::{Shop, assert_up_to_date, custseg, fixtures, root};

#[test]
fn shipped_schemas_and_option_pages_are_up_to_date() {
    for kind in ["pipeline", "map"] {
        let printed = custseg(root(), &["schema", kind]).stdout;
        assert_up_to_date(&format!("config/{kind}.schema.json"), &printed);
        let printed = custseg(root(), &["schema", kind, "--markdown"]).stdout;
        assert_up_to_date(&format!("config/{kind}.options.md"), &printed);
    }
}

/// A schema cannot check other files, SQL, arithmetic, or rules across sections.
#[test]
fn schemas_accept_shipped_files_and_reject_invalid_ones() {
    let schema = |kind: &str| {
        let schema: serde_json::Value =
            serde_json::from_str(&custseg(root(), &["schema", kind]).stdout).unwrap();
        jsonschema::options().should_validate_formats(true).build(&schema).unwrap()
    };
    let (pipeline, map) = (schema("pipeline"), schema("map"));
    let mut accepted = Vec::new();
    let folders = ["pipelines", "config/segments", "tests/fixtures", "tests/fixtures/bad_yaml"];
    for folder in folders {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let name = path.strip_prefix(root()).unwrap().display().to_string();
            if !name.ends_with(".yaml") {
                continue;
            }
            let Ok(text) = String::from_utf8(fs::read(&path).unwrap()) else { continue };
            let Ok(tree) = custseg::config::tree::parse(&text, 0) else { continue };
            let is_map = name.contains("map.yaml") || name.contains("segments/");
            if (if is_map { &map } else { &pipeline }).is_valid(&tree.to_json()) {
                accepted.push(name);
            }
        }
    }
    accepted.sort();
    insta::assert_snapshot!("accepted_by_the_schemas", accepted.join("\n"));
}

#[test]
fn shipped_files_name_an_existing_schema() {
    for (folder, schema) in [("pipelines", "pipeline"), ("config/segments", "map")] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let schema_path = text
                .lines()
                .next()
                .unwrap()
                .strip_prefix("# yaml-language-server: $schema=")
                .unwrap();
            let found = root().join(folder).join(schema_path).canonicalize().unwrap();
            assert_eq!(
                found,
                root().join(format!("config/{schema}.schema.json")).canonicalize().unwrap()
            );
        }
    }
}

#[test]
fn completions_and_man_pages_cover_the_commands() {
    for shell in ["bash", "zsh", "fish"] {
        let script = custseg(root(), &["completions", shell]);
        assert_eq!(script.code, 0);
        assert!(
            ["run", "simulate", "memory-limit", "only-new"]
                .iter()
                .all(|word| script.stdout.contains(word)),
            "{shell}"
        );
    }
    let folder = tempfile::tempdir().unwrap();
    assert_eq!(custseg(folder.path(), &["man", "."]).code, 0);
    let page = fs::read_to_string(folder.path().join("custseg-run.1")).unwrap();
    assert!(page.contains("only\\-new"), "{page}");
    assert_eq!(custseg(folder.path(), &["man", "nowhere"]).code, 4);
}

/// Runs the program with environment variables; returns exit code, standard output and error.
fn custseg_with_env(
    shop: &Shop,
    args: &[&str],
    variables: &[(&str, &str)],
) -> (i32, String, String) {
    let program = std::process::Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(args)
        .current_dir(shop.folder.path())
        .envs(variables.iter().copied())
        .output()
        .unwrap();
    let text = |bytes| String::from_utf8(bytes).unwrap();
    (program.status.code().unwrap(), text(program.stdout), text(program.stderr))
}

#[test]
fn variables_are_substituted_and_their_values_not_printed() {
    let shop = Shop::fixture().edit("paths: [shop.csv]", "paths: [\"${SHOP_FILE}.csv\"]").edit(
        "money: { scale: 2, currency: GBP }",
        "money:\n    scale: ${SHOP_SCALE:-2}\n    currency: GBP",
    );
    let (code, out, err) =
        custseg_with_env(&shop, &["check", "shop.yaml"], &[("SHOP_FILE", "shop")]);
    assert_eq!((code, out.starts_with("shop: ok")), (0, true), "{err}");
    // A value that is not a number, and a variable that is not set.
    let (code, _, err) =
        custseg_with_env(&shop, &["check", "shop.yaml"], &[("SHOP_SCALE", "hunter2")]);
    assert_eq!(code, 2);
    assert!(!err.contains("hunter2"), "{err}");
    insta::assert_snapshot!("variables_wrong", err);
    // Exported variables take precedence over the env file.
    fs::write(shop.path("shop.env"), "# of the shop\nSHOP_FILE=shop\nSHOP_SCALE=\"hunter2\"\n")
        .unwrap();
    let args = ["--env-file", "shop.env", "check", "shop.yaml"];
    assert_eq!(custseg_with_env(&shop, &args, &[("SHOP_SCALE", "2")]).0, 0);
    assert_eq!(custseg_with_env(&shop, &args, &[]).0, 2);
    fs::write(shop.path("shop.env"), "SHOP_FILE=shop\nhunter2 is the word\n").unwrap();
    let (code, _, err) = custseg_with_env(&shop, &args, &[]);
    assert_eq!(
        (code, err.as_str()),
        (2, "error: --env-file shop.env: entry 2 is not NAME=VALUE\n")
    );
    let (code, _, err) = custseg_with_env(&shop, &["--env-file", "no.env", "check"], &[]);
    assert_eq!(code, 2, "{err}");
}

/// Threads and memory limit may come from the env file; the process re-executes itself for them.
#[test]
fn env_file_sets_threads_and_memory_limit() {
    let shop = Shop::fixture();
    fs::write(shop.path("wrong.env"), "CUSTSEG_THREADS=none\n").unwrap();
    assert_eq!(
        custseg_with_env(&shop, &["--env-file", "wrong.env", "check", "shop.yaml"], &[]).0,
        2
    );
    fs::write(shop.path("right.env"), "CUSTSEG_THREADS=1\nCUSTSEG_MEMORY_LIMIT=512\n").unwrap();
    assert_eq!(
        custseg_with_env(&shop, &["--env-file", "right.env", "check", "shop.yaml"], &[]).0,
        0
    );
}

/// The pipeline in the artefact is not substituted a second time.
#[test]
fn escaped_dollar_sign_survives_in_the_artefact() {
    let shop = Shop::fixture()
        .edit("keep_positive: [quantity, unit_price]", "where: \"order_id <> '$${HOME}'\"");
    shop.run(&[]);
    let text = fs::read_to_string(shop.path("out/current/model/pipeline.json")).unwrap();
    assert!(text.contains("$${HOME}"), "{text}");
    let scored = shop.custseg(&["score", "--model", "out", "shop.csv"]);
    assert_eq!(scored.code, 0, "{}", scored.stderr);
}

#[test]
fn runs_are_listed_and_pruned_by_age() {
    let shop = Shop::fixture();
    let mut ids = Vec::new();
    for day in 1..=5 {
        let outcome =
            shop.custseg(&["-q", "run", "shop.yaml", "--as-of", &format!("2024-03-0{}", day + 1)]);
        let line: serde_json::Value = serde_json::from_str(outcome.stdout.trim()).unwrap();
        ids.push(line["run_id"].as_str().unwrap().to_owned());
    }
    // The oldest run is published again, so pruning keeps it.
    shop.run(&["--as-of", "2024-03-02", "--allow-older"]);
    let names = |args: &[&str]| -> Vec<String> {
        let lines = shop.custseg(args).stdout;
        let parsed =
            lines.lines().map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
        parsed.map(|run| run["name"].as_str().unwrap().to_owned()).collect()
    };
    let newest: Vec<String> = ids.iter().rev().cloned().collect();
    assert_eq!(names(&["runs", "list", "out", "--json"]), newest);
    let listed = shop.custseg(&["runs", "list", "out"]).stdout;
    let current = listed.lines().find(|line| line.trim_start().starts_with('*')).unwrap();
    assert!(current.contains(&ids[0]) && current.contains("2024-03-02"), "{listed}");
    let dry_run = shop.custseg(&["runs", "prune", "out", "--keep", "2", "--dry-run"]).stdout;
    assert!(
        dry_run.contains(&format!("{} would be removed", ids[1]))
            && dry_run.contains("3 runs would be removed"),
        "{dry_run}"
    );
    assert_eq!(names(&["runs", "list", "out", "--json"]).len(), 5);
    shop.custseg(&["runs", "prune", "out", "--keep", "2"]);
    assert_eq!(names(&["runs", "list", "out", "--json"]), [ids[4].clone(), ids[0].clone()]);
    // A run prunes if `publish.keep_runs` is set.
    shop.run(&["--as-of", "2024-03-03", "--set", "publish.keep_runs=2"]);
    // The run that it is compared with stays, too.
    let stay = [&ids[1], &ids[4], &ids[0]].map(Clone::clone);
    assert_eq!(names(&["runs", "list", "out", "--json"]), stay);
    assert_eq!(shop.custseg(&["check", "shop.yaml", "--set", "publish.keep_runs=1"]).code, 2);
    assert_eq!(shop.custseg(&["runs", "list", "nowhere"]).code, 4);
}

#[test]
fn failed_runs_are_marked_and_pruned_separately() {
    let shop = Shop::fixture();
    shop.run(&[]);
    for most in ["1", "2", "3"] {
        let check = format!("checks=[{{ row_count: {{ max: {most} }} }}]");
        assert_eq!(shop.custseg(&["-q", "run", "shop.yaml", "--set", &check]).code, 3);
    }
    let listed = shop.custseg(&["runs", "list", "out"]).stdout;
    assert_eq!(listed.matches("checks failed").count(), 3, "{listed}");
    shop.custseg(&["runs", "prune", "out", "--keep", "2"]);
    let listed = shop.custseg(&["runs", "list", "out"]).stdout;
    assert_eq!(
        (listed.matches("checks failed").count(), listed.matches("whole").count()),
        (2, 1),
        "{listed}"
    );
}

#[test]
fn inspect_describes_files_and_runs() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let inspect = |args: &[&str]| shop.custseg(&[&["inspect"], args].concat());
    insta::assert_snapshot!("inspect_ledger", inspect(&["out/current/ledger.parquet"]).stdout);
    let json = inspect(&["out/current/score_bins.parquet", "--json"]).stdout;
    let metadata: serde_json::Value = serde_json::from_str(&json).unwrap();
    let frame = shop.table("score_bins");
    assert_eq!(metadata["rows"], frame.height());
    let names: Vec<&str> = metadata["columns"]
        .as_array()
        .unwrap()
        .iter()
        .map(|c| c["name"].as_str().unwrap())
        .collect();
    assert_eq!(
        names,
        frame.get_column_names().into_iter().map(|name| name.as_str()).collect::<Vec<_>>()
    );
    let run = inspect(&["out"]).stdout;
    assert!(run.contains("complete    yes") && run.contains("ledger.parquet"), "{run}");
    // A damaged run is reported; a file that is not Parquet is an error.
    fs::write(shop.path("out/current/ledger.parquet"), "noise").unwrap();
    assert!(inspect(&["out"]).stdout.contains("complete    NO"));
    let outcome = inspect(&["out/current/ledger.parquet"]);
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(inspect(&["nowhere.parquet"]).code, 4);
    assert_eq!(custseg(&fixtures(), &["inspect", "."]).code, 4);
}

/// A value takes the type that its option needs, also from a quoted variable, and is not printed.
#[test]
fn variables_take_the_type_of_their_option() {
    let shop = Shop::fixture()
        .edit("scale: 2", "scale: \"${SHOP_SCALE:-2}\"")
        .edit("name: shop", "name: ${SHOP_NAME}")
        .edit("Europe/London", "${SHOP_ZONE:-Europe/London}")
        .edit("snapshots: last", "snapshots: \"${SHOP_DAYS:-last}\"");
    let days = "[2024-03-01, 2024-03-02]";
    let (code, _, err) = custseg_with_env(
        &shop,
        &["check", "shop.yaml"],
        &[("SHOP_NAME", "2024"), ("SHOP_DAYS", days)],
    );
    assert_eq!(code, 0, "{err}");
    let (code, _, err) = custseg_with_env(
        &shop,
        &["check", "shop.yaml"],
        &[("SHOP_NAME", "a"), ("SHOP_ZONE", "hunter2")],
    );
    assert!(code == 2 && err.contains("the value of a variable is not an IANA time zone"), "{err}");
    let unquoted = Shop::fixture().edit("publish: { to: out }", "publish: { to: ${OUT} }");
    let (code, _, err) = custseg_with_env(&unquoted, &["check", "shop.yaml"], &[("OUT", "out")]);
    assert!(code == 2 && err.contains("quote the variable"), "{err}");
}

#[test]
fn schema_accepts_variables_for_any_value() {
    let schema: serde_json::Value =
        serde_json::from_str(&custseg(root(), &["schema"]).stdout).unwrap();
    let schema = jsonschema::options().should_validate_formats(true).build(&schema).unwrap();
    let text = fs::read_to_string(fixtures().join("shop.yaml")).unwrap();
    let valid =
        |text: &str| schema.is_valid(&custseg::config::tree::parse(text, 0).unwrap().to_json());
    for (plain, variable) in [
        ("name: shop", "name: ${N:-shop}"),
        ("Europe/London", "\"${Z:-Europe/London}\""),
        ("bins: 5", "bins: \"${BINS:-5}\""),
        ("snapshots: last", "snapshots: \"${DAYS}\""),
        ("drop_duplicates: exact", "drop_duplicates: \"${D:-exact}\""),
        ("to: out", "to: out, rejects: \"${R}\", keep_runs: \"${K}\""),
    ] {
        assert!(text.contains(plain) && valid(&text), "{plain}");
        assert!(valid(&text.replace(plain, variable)), "{variable}");
    }
    assert!(!valid(&text.replace("bins: 5", "bins: five")));
}

#[test]
fn json_log_ends_with_the_failure() {
    let shop = Shop::fixture();
    for (args, code) in
        [(&["check", "nowhere.yaml"][..], 4), (&["run", "shop.yaml", "--as-of", "2020-01-01"], 3)]
    {
        let outcome = shop.custseg(&[args, &["--log-format", "json"]].concat());
        let last: serde_json::Value =
            serde_json::from_str(outcome.stderr.lines().last().unwrap()).unwrap();
        assert_eq!(
            (outcome.code, &last["level"], &last["fields"]["exit_code"]),
            (code, &"ERROR".into(), &code.into())
        );
        assert!(
            outcome
                .stderr
                .lines()
                .all(|line| serde_json::from_str::<serde_json::Value>(line).is_ok())
        );
    }
}

#[test]
fn source_that_ends_before_the_snapshot_is_a_warning() {
    let shop = Shop::fixture();
    let late = shop.custseg(&["run", "shop.yaml", "--as-of", "2025-01-01"]);
    assert!(
        late.code == 0 && late.stderr.contains("the source ends before the newest snapshot"),
        "{}",
        late.stderr
    );
    assert!(!shop.custseg(&["run", "shop.yaml"]).stderr.contains("the source ends"));
}
