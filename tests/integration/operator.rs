//! What operators and editors use beside a run: schema, completions, manual pages, variables, runs, inspection.

use std::fs;

use super::harness::{Shop, custseg, fixtures, root};

/// The shipped schemas and pages of options are what the program prints.
#[test]
fn the_shipped_schemas_are_fresh() {
    for of in ["pipeline", "map"] {
        let printed = custseg(root(), &["schema", of]).stdout;
        let file = root().join(format!("config/{of}.schema.json"));
        assert!(
            fs::read_to_string(&file).unwrap() == printed,
            "custseg schema {of} > {}",
            file.display()
        );
        let printed = custseg(root(), &["schema", of, "--markdown"]).stdout;
        let file = root().join(format!("config/{of}.options.md"));
        assert!(
            fs::read_to_string(&file).unwrap() == printed,
            "custseg schema {of} --markdown > {}",
            file.display()
        );
    }
}

/// A schema sees one section at a time: what it cannot know is other files, SQL, arithmetic, and what sections say of each other.
#[test]
fn the_schemas_accept_what_ships_and_reject_what_a_schema_can() {
    let schema = |of: &str| {
        let schema: serde_json::Value =
            serde_json::from_str(&custseg(root(), &["schema", of]).stdout).unwrap();
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
fn editors_find_the_schema() {
    for (folder, schema) in [("pipelines", "pipeline"), ("config/segments", "map")] {
        for entry in fs::read_dir(root().join(folder)).unwrap() {
            let path = entry.unwrap().path();
            let text = fs::read_to_string(&path).unwrap();
            let named = text
                .lines()
                .next()
                .unwrap()
                .strip_prefix("# yaml-language-server: $schema=")
                .unwrap();
            let found = root().join(folder).join(named).canonicalize().unwrap();
            assert_eq!(
                found,
                root().join(format!("config/{schema}.schema.json")).canonicalize().unwrap()
            );
        }
    }
}

#[test]
fn shells_and_man_are_told_of_every_command() {
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

/// Runs a program with variables.
fn with(shop: &Shop, args: &[&str], variables: &[(&str, &str)]) -> (i32, String, String) {
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
fn variables_stand_in_values_and_their_values_stay_untold() {
    let shop = Shop::fixture().edit("paths: [shop.csv]", "paths: [\"${SHOP_FILE}.csv\"]").edit(
        "money: { scale: 2, currency: GBP }",
        "money:\n    scale: ${SHOP_SCALE:-2}\n    currency: GBP",
    );
    let (code, out, err) = with(&shop, &["check", "shop.yaml"], &[("SHOP_FILE", "shop")]);
    assert_eq!((code, out.starts_with("shop: ok")), (0, true), "{err}");
    // A number that is none, and a variable that is not set.
    let (code, _, err) = with(&shop, &["check", "shop.yaml"], &[("SHOP_SCALE", "hunter2")]);
    assert_eq!(code, 2);
    assert!(!err.contains("hunter2"), "{err}");
    insta::assert_snapshot!("variables_wrong", err);
    // A file of variables, which what is exported already goes before.
    fs::write(shop.path("shop.env"), "# of the shop\nSHOP_FILE=shop\nSHOP_SCALE=\"hunter2\"\n")
        .unwrap();
    let given = ["--env-file", "shop.env", "check", "shop.yaml"];
    assert_eq!(with(&shop, &given, &[("SHOP_SCALE", "2")]).0, 0);
    assert_eq!(with(&shop, &given, &[]).0, 2);
    fs::write(shop.path("shop.env"), "SHOP_FILE=shop\nhunter2 is the word\n").unwrap();
    let (code, _, err) = with(&shop, &given, &[]);
    assert_eq!(
        (code, err.as_str()),
        (2, "error: --env-file shop.env: entry 2 is not NAME=VALUE\n")
    );
    let (code, _, err) = with(&shop, &["--env-file", "no.env", "check"], &[]);
    assert_eq!(code, 2, "{err}");
}

/// Settings of the machine count from an env file too, though the process is started anew for both.
#[test]
fn an_env_file_sets_the_machine() {
    let shop = Shop::fixture();
    fs::write(shop.path("wrong.env"), "CUSTSEG_THREADS=none\n").unwrap();
    assert_eq!(with(&shop, &["--env-file", "wrong.env", "check", "shop.yaml"], &[]).0, 2);
    fs::write(shop.path("right.env"), "CUSTSEG_THREADS=1\nCUSTSEG_MEMORY_LIMIT=512\n").unwrap();
    assert_eq!(with(&shop, &["--env-file", "right.env", "check", "shop.yaml"], &[]).0, 0);
}

/// What the artefact says of itself is not filled in again.
#[test]
fn a_dollar_sign_in_a_pipeline_stays_in_its_artefact() {
    let shop = Shop::fixture()
        .edit("keep_positive: [quantity, unit_price]", "where: \"order_id <> '$${HOME}'\"");
    shop.run(&[]);
    let text = fs::read_to_string(shop.path("out/current/model/pipeline.json")).unwrap();
    assert!(text.contains("$${HOME}"), "{text}");
    let scored = shop.custseg(&["score", "--model", "out", "shop.csv"]);
    assert_eq!(scored.code, 0, "{}", scored.stderr);
}

#[test]
fn runs_are_listed_and_the_oldest_go() {
    let shop = Shop::fixture();
    let mut ids = Vec::new();
    for day in 1..=5 {
        let outcome =
            shop.custseg(&["-q", "run", "shop.yaml", "--as-of", &format!("2024-03-0{}", day + 1)]);
        let line: serde_json::Value = serde_json::from_str(outcome.stdout.trim()).unwrap();
        ids.push(line["run_id"].as_str().unwrap().to_owned());
    }
    // The oldest becomes the one that readers see again, and stays whatever its age.
    shop.run(&["--as-of", "2024-03-02"]);
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
    let would = shop.custseg(&["runs", "prune", "out", "--keep", "2", "--dry-run"]).stdout;
    assert!(
        would.contains(&format!("{} would go", ids[1])) && would.contains("3 runs would go"),
        "{would}"
    );
    assert_eq!(names(&["runs", "list", "out", "--json"]).len(), 5);
    shop.custseg(&["runs", "prune", "out", "--keep", "2"]);
    assert_eq!(names(&["runs", "list", "out", "--json"]), [ids[4].clone(), ids[0].clone()]);
    // A run prunes by itself where the pipeline says so.
    shop.run(&["--as-of", "2024-03-03", "--set", "publish.keep_runs=2"]);
    assert_eq!(names(&["runs", "list", "out", "--json"]), [ids[1].clone(), ids[4].clone()]);
    assert_eq!(shop.custseg(&["check", "shop.yaml", "--set", "publish.keep_runs=1"]).code, 2);
    assert_eq!(shop.custseg(&["runs", "list", "nowhere"]).code, 4);
}

#[test]
fn failed_runs_are_told_apart_and_counted_apart() {
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
fn inspect_tells_what_a_file_is_made_of() {
    let shop = Shop::fixture();
    shop.run(&[]);
    let told = |args: &[&str]| shop.custseg(&[&["inspect"], args].concat());
    insta::assert_snapshot!("inspect_ledger", told(&["out/current/ledger.parquet"]).stdout);
    let found = told(&["out/current/score_bins.parquet", "--json"]).stdout;
    let found: serde_json::Value = serde_json::from_str(&found).unwrap();
    let frame = shop.table("score_bins");
    assert_eq!(found["rows"], frame.height());
    let names: Vec<&str> =
        found["columns"].as_array().unwrap().iter().map(|c| c["name"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        frame.get_column_names().into_iter().map(|name| name.as_str()).collect::<Vec<_>>()
    );
    let run = told(&["out"]).stdout;
    assert!(run.contains("whole       yes") && run.contains("ledger.parquet"), "{run}");
    // A damaged run is told so, and what is no Parquet is refused.
    fs::write(shop.path("out/current/ledger.parquet"), "noise").unwrap();
    assert!(told(&["out"]).stdout.contains("whole       NO"));
    let outcome = told(&["out/current/ledger.parquet"]);
    assert_eq!(outcome.code, 4, "{}", outcome.stderr);
    assert_eq!(told(&["nowhere.parquet"]).code, 4);
    assert_eq!(custseg(&fixtures(), &["inspect", "."]).code, 4);
}

/// What comes from the environment is not told, whoever tells of it, and is what is wanted there: text, or a number though it stands
/// in quotes within braces.
#[test]
fn variables_are_read_as_what_is_wanted() {
    let shop = Shop::fixture()
        .edit("scale: 2", "scale: \"${SHOP_SCALE:-2}\"")
        .edit("name: shop", "name: ${SHOP_NAME}")
        .edit("Europe/London", "${SHOP_ZONE:-Europe/London}")
        .edit("snapshots: last", "snapshots: \"${SHOP_DAYS:-last}\"");
    let days = "[2024-03-01, 2024-03-02]";
    let (code, _, err) =
        with(&shop, &["check", "shop.yaml"], &[("SHOP_NAME", "2024"), ("SHOP_DAYS", days)]);
    assert_eq!(code, 0, "{err}");
    let (code, _, err) =
        with(&shop, &["check", "shop.yaml"], &[("SHOP_NAME", "a"), ("SHOP_ZONE", "hunter2")]);
    assert!(code == 2 && err.contains("the value of a variable is no IANA time zone"), "{err}");
    let unquoted = Shop::fixture().edit("publish: { to: out }", "publish: { to: ${OUT} }");
    let (code, _, err) = with(&unquoted, &["check", "shop.yaml"], &[("OUT", "out")]);
    assert!(code == 2 && err.contains("a variable stands in quotes"), "{err}");
}

/// Editors take a variable wherever the program does.
#[test]
fn the_schema_takes_variables() {
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
fn a_failure_is_a_line_of_the_json_log_too() {
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
fn a_source_that_ends_early_is_told() {
    let shop = Shop::fixture();
    let late = shop.custseg(&["run", "shop.yaml", "--as-of", "2025-01-01"]);
    assert!(
        late.code == 0 && late.stderr.contains("the source ends before the newest snapshot"),
        "{}",
        late.stderr
    );
    assert!(!shop.custseg(&["run", "shop.yaml"]).stderr.contains("the source ends"));
}
