//! The examples in `docs` are run.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::cases::{assert_expected, copy};
use super::harness::{fixtures, root, table, texts};

/// The fenced blocks of a page, in order, as (language, text).
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let parts: Vec<&str> = text.split("```").collect();
    let fenced = parts.iter().skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    fenced.map(|(language, text)| (language.to_owned(), text.to_owned())).collect()
}

/// Runs a block with `sh -e`; every command must succeed.
fn shell(folder: &Path, text: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_custseg")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-ec", text])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn recipes_of_the_docs_run() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    fs::copy(root().join("data/raw/cdnow.csv"), dir.join("cdnow.csv")).unwrap();
    copy(&fixtures().join("recipes"), &dir.join("exports"));
    fs::create_dir(dir.join("maps")).unwrap();
    fs::copy(root().join("config/segments/default.yaml"), dir.join("maps/default.yaml")).unwrap();
    let mut run = 0;
    for (language, text) in blocks("recipes.md") {
        match language.as_str() {
            "yaml" | "csv" => {
                let (name, rest) = text.split_once('\n').unwrap();
                fs::write(dir.join(name.strip_prefix("# ").unwrap()), rest).unwrap();
            }
            "sh" => {
                shell(dir, &text);
                run += 1;
            }
            "console" => {}
            other => panic!("unexpected block language `{other}`"),
        }
    }
    assert_eq!(run, 6);
    // The pipelines of the page have replaced those of the fixtures.
    assert_expected(&dir.join("exports"));
    // The files that the page names as results.
    for file in [
        "out/current/report.html",
        "columns.md",
        "monthly/current/migration.parquet",
        "scored.parquet",
        "newest.html",
    ] {
        assert!(dir.join(file).is_file(), "{file}");
    }
    let metrics = table(&dir.join("labelled"), "metrics");
    assert!(texts(&metrics, "protocol").iter().all(|protocol| protocol == "holdout"));
    let runs = fs::read_dir(dir.join("monthly/runs")).unwrap().count();
    assert_eq!(runs, 1, "the recipe prunes older runs");
}
