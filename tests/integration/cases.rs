//! Inputs that users' files resemble: each gives a right answer or is refused with a clear message.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use polars::prelude::*;
use serde_json::Value;

use super::harness::{Outcome, custseg, fixtures, texts};

/// Copies a folder with all its files and folders.
pub fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.path().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// What a run published: last order, recency, frequency and monetary value by customer.
pub fn published(folder: &Path, yaml: &str) -> BTreeMap<String, [String; 4]> {
    let text = fs::read_to_string(folder.join(yaml)).unwrap();
    let to = text.rsplit_once("to: ").unwrap().1;
    let to = to.split([' ', '}', '\n', ',']).next().unwrap().trim_matches(['"', '\'']);
    let segments = folder.join(to).join("current/segments");
    let mut snapshots: Vec<_> =
        fs::read_dir(&segments).unwrap().map(|entry| entry.unwrap().path()).collect();
    snapshots.sort();
    let file = fs::File::open(snapshots.last().unwrap().join("part-0.parquet")).unwrap();
    let frame = ParquetReader::new(file).finish().unwrap();
    let columns = ["last_order_at", "recency_days", "frequency", "monetary"];
    let columns = columns.map(|name| texts(&frame, name));
    let customers = texts(&frame, "customer_id").into_iter().enumerate();
    customers.map(|(row, id)| (id, columns.each_ref().map(|column| column[row].clone()))).collect()
}

/// Why a published run differs from an answer; `None` if it does not.
pub fn difference(answer: &Value, run: &BTreeMap<String, [String; 4]>) -> Option<String> {
    let answer = answer.as_object().unwrap();
    if let Some(extra) = run.keys().find(|id| !answer.contains_key(*id)) {
        return Some(format!("customer `{extra}` is not expected"));
    }
    for (id, expected) in answer {
        let Some([last, recency, frequency, monetary]) = run.get(id) else {
            if expected["optional"] == true {
                continue;
            }
            return Some(format!("customer `{id}` is missing"));
        };
        let same_last = expected["last"].as_str().is_none_or(|time| last.starts_with(time));
        let same = |name: &str, value: &str| {
            expected[name].as_i64().is_none_or(|number| number.to_string() == value)
        };
        let same_money = expected["monetary"].as_str().is_none_or(|money| {
            (money.parse::<f64>().unwrap() - monetary.parse::<f64>().unwrap()).abs() < 1e-9
        });
        if !(same_last && same("recency", recency) && same("frequency", frequency) && same_money) {
            return Some(format!("customer `{id}` is {:?}, not {expected}", run[id]));
        }
    }
    None
}

/// The problem of an outcome, if it is neither a right answer nor a clear refusal.
fn problem(folder: &Path, yaml: &str, expected: &Value) -> Option<String> {
    let check = custseg(folder, &["-q", "check", yaml]);
    let Outcome { code, stderr, .. } = custseg(folder, &["-q", "run", yaml]);
    if stderr.contains("panicked") || check.stderr.contains("panicked") {
        return Some(format!("panic: {stderr}"));
    }
    if check.code != 0 && check.code != code {
        return Some(format!("check exits with {}, run with {code}: {stderr}", check.code));
    }
    match code {
        0 if expected["right"] == "refusal" => Some("is not refused".to_owned()),
        0 => {
            let run = published(folder, yaml);
            let answers = expected["answers"].as_array().unwrap();
            let differences = answers.iter().map(|answer| difference(answer, &run));
            let differences: Option<Vec<String>> = differences.collect();
            differences.filter(|differences| !differences.is_empty()).map(|all| all.join("; or "))
        }
        2..=4 if expected["right"] == "answer" => Some(format!("exit {code}: {stderr}")),
        2..=4 => {
            let is_plan = ["SELECT", "PROJECT", "FROM DF", "WITH_COLUMNS"];
            let has_plan = is_plan.iter().any(|part| stderr.contains(part));
            let is_clear = stderr.contains("error: ") && !has_plan;
            (!is_clear).then(|| format!("unclear: {stderr}"))
        }
        _ => Some(format!("exit {code}: {stderr}")),
    }
}

#[test]
fn every_case_gives_a_right_answer_or_is_refused() {
    run_all("cases");
}

#[test]
fn every_recipe_gives_the_right_answer() {
    run_all("recipes");
}

fn run_all(name: &str) {
    let folder = tempfile::tempdir().unwrap();
    copy(&fixtures().join(name), folder.path());
    assert_expected(folder.path());
}

/// Runs the pipelines of a folder and compares their results with its `expected.json`.
pub fn assert_expected(path: &Path) {
    let expected = fs::read_to_string(path.join("expected.json")).unwrap();
    let expected: BTreeMap<String, Value> = serde_json::from_str(&expected).unwrap();
    // Pipelines of one folder may publish to the same place.
    let mut folders: BTreeMap<&str, Vec<(&str, &Value)>> = BTreeMap::new();
    for (name, case) in &expected {
        let (folder, yaml) = name.split_once('/').unwrap();
        folders.entry(folder).or_default().push((yaml, case));
    }
    let folders: Vec<_> = folders.into_iter().collect();
    let (next, problems) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| {
                while let Some((name, cases)) = folders.get(next.fetch_add(1, Ordering::Relaxed)) {
                    for (yaml, case) in cases {
                        let problem = problem(&path.join(name), yaml, case);
                        let problem = problem.map(|problem| format!("{name}/{yaml}: {problem}"));
                        problems.lock().unwrap().extend(problem);
                    }
                }
            });
        }
    });
    let mut problems = problems.into_inner().unwrap();
    problems.sort();
    assert!(problems.is_empty(), "{} cases:\n{}", problems.len(), problems.join("\n"));
}
