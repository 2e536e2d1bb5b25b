//! The pages of `docs`: what they say is run.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::harness::root;

/// The fenced blocks of a page, in order: language and text.
fn blocks(page: &str) -> Vec<(String, String)> {
    let text = fs::read_to_string(root().join("docs").join(page)).unwrap();
    let parts: Vec<&str> = text.split("```").collect();
    let fenced = parts.iter().skip(1).step_by(2).filter_map(|block| block.split_once('\n'));
    fenced.map(|(language, text)| (language.to_owned(), text.to_owned())).collect()
}

/// Runs a block as a shell does that stops at the first failure.
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
fn every_recipe_works() {
    let folder = tempfile::tempdir().unwrap();
    let place = folder.path();
    fs::copy(root().join("data/raw/cdnow.csv"), place.join("cdnow.csv")).unwrap();
    fs::create_dir(place.join("maps")).unwrap();
    fs::copy(root().join("config/segments/default.yaml"), place.join("maps/default.yaml")).unwrap();
    let mut run = 0;
    for (language, text) in blocks("recipes.md") {
        match language.as_str() {
            "yaml" | "csv" => {
                let (name, rest) = text.split_once('\n').unwrap();
                fs::write(place.join(name.strip_prefix("# ").unwrap()), rest).unwrap();
            }
            "sh" => {
                shell(place, &text);
                run += 1;
            }
            "console" => {}
            other => panic!("a block of {other}"),
        }
    }
    assert_eq!(run, 6);
    // What the page says of what they leave behind.
    for file in [
        "out/current/report.html",
        "columns.md",
        "monthly/current/migration.parquet",
        "scored.parquet",
        "newest.html",
    ] {
        assert!(place.join(file).is_file(), "{file}");
    }
    let metrics = super::harness::table(&place.join("labelled"), "metrics");
    assert!(
        super::harness::texts(&metrics, "protocol").iter().all(|protocol| protocol == "holdout")
    );
    let runs = fs::read_dir(place.join("monthly/runs")).unwrap().count();
    assert_eq!(runs, 1, "runs that were to be pruned");
}
