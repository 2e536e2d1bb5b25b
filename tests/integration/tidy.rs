//! What ARCHITECTURE.md promises of the source text.

use std::fs;
use std::path::PathBuf;

use super::harness::root;

/// Every source file with its text, by its path under `src`.
fn sources() -> Vec<(String, String)> {
    let mut folders = vec![root().join("src")];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|suffix| suffix == "rs") {
                let name = path.strip_prefix(root().join("src")).unwrap().display().to_string();
                found.push((name, fs::read_to_string(path).unwrap()));
            }
        }
    }
    found.sort();
    found
}

/// The files whose text holds a word.
fn holding(word: &str) -> Vec<String> {
    sources().into_iter().filter(|(_, text)| text.contains(word)).map(|(name, _)| name).collect()
}

#[test]
fn one_file_names_each_of_the_crates_that_could_be_replaced() {
    assert_eq!(holding("serde_yaml::"), ["config/tree.rs"]);
    assert_eq!(holding("use smartcore::"), ["model/index.rs", "model/kmeans.rs"]);
    assert_eq!(holding("use parquet::"), ["publish/anatomy.rs", "publish/footer.rs"]);
    assert_eq!(holding("jsonschema::"), ["config/shape.rs"]);
    assert_eq!(holding("use calamine::"), ["ingest/workbook.rs"]);
    assert_eq!(holding("polars::sql"), ["clean/predicate.rs"]);
    assert_eq!(holding("use object_store::"), ["remote/store.rs"]);
    assert_eq!(holding("charts_rs::"), ["report/chart.rs"]);
    assert_eq!(holding("use spark_connect::"), ["spark/client.rs"]);
    assert_eq!(holding("use polars_parquet::"), ["orders/groups.rs"]);
}

#[test]
fn only_orders_scans_the_source() {
    assert_eq!(holding("Engine::Streaming"), ["orders/mod.rs"]);
    assert!(holding(".sink(").is_empty());
}

#[test]
fn only_publish_and_simulate_write_files_besides() {
    let writing = ["fs::write(", "File::create(", "fs::rename(", "create_dir", "remove_dir_all("];
    for (name, text) in sources() {
        let writes = writing.iter().any(|word| text.contains(word));
        assert!(
            !writes
                || name.starts_with("publish/")
                || ["simulate/write.rs", "scratch.rs", "watched.rs", "remote/mod.rs"]
                    .contains(&name.as_str()),
            "{name}"
        );
    }
    assert_eq!(holding("Watched::create("), ["orders/rejects.rs", "publish/files.rs"]);
}

#[test]
fn only_commands_and_main_print() {
    for (name, text) in sources() {
        let prints = ["println!", "eprintln!", "stdout()", "stderr()"]
            .iter()
            .any(|word| text.contains(word));
        assert!(!prints || name == "main.rs" || name.starts_with("commands/"), "{name}");
    }
}

/// A room knows the rooms before it in the flow, never those after it; `config`, `pipeline` and `error` know all.
#[test]
fn knowledge_points_one_way() {
    let flow = [
        "ingest", "clean", "orders", "checks", "rfm", "score", "segment", "model", "evaluate",
        "artefact", "report", "publish",
    ];
    for (name, text) in sources() {
        let Some(room) = flow.iter().position(|room| name.starts_with(&format!("{room}/"))) else {
            continue;
        };
        for later in flow[room + 1..].iter().chain(&["config", "pipeline", "error"]) {
            assert!(!text.contains(&format!("crate::{later}")), "{name} knows {later}");
        }
    }
}

/// The flow's modules stand in its order.
#[test]
fn lib_lists_the_rooms_in_order() {
    let text = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let modules: Vec<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let expected = [
        "error", "columns", "equal", "scratch", "watched", "progress", "remote", "config",
        "pipeline", "ingest", "clean", "orders", "checks", "rfm", "score", "segment", "model",
        "evaluate", "artefact", "report", "publish", "lineage", "spark", "simulate", "docs",
    ];
    assert_eq!(modules, expected);
}

#[test]
fn columns_are_spelled_in_one_file() {
    let names = [
        "customer_id",
        "recency_days",
        "monetary",
        "r_score",
        "rfm_code",
        "last_order_at",
        "rows_left",
        "source_row",
        "money_share",
    ];
    for name in names {
        // `config` spells the YAML's keys, some of which are columns too.
        let spelled = holding(&format!("\"{name}\""));
        let elsewhere: Vec<&String> = spelled
            .iter()
            .filter(|file| *file != "columns.rs" && !file.starts_with("config/"))
            .collect();
        assert!(elsewhere.is_empty(), "{name}: {elsewhere:?}");
    }
}

#[test]
fn no_filter_inside_an_aggregate() {
    // Polars #29322; `.filter(` stands only where rows are filtered before a group-by.
    for (name, text) in sources() {
        for (i, line) in text.lines().enumerate() {
            let aggregate = [").filter(", ".sum()", ".max()", ".n_unique()"];
            assert!(
                !(line.contains(".filter(")
                    && aggregate[1..].iter().any(|word| line.contains(word))
                    && line.contains("col(")),
                "{name}:{}",
                i + 1
            );
        }
    }
}

#[test]
fn no_clock_and_no_chance_in_the_flow() {
    for word in ["Instant::now", "SystemTime::now", "Utc::now", "Local::now", "rand::"] {
        assert!(
            holding(word).iter().all(|name| name.starts_with("commands/")),
            "{word}: {:?}",
            holding(word)
        );
    }
}

#[test]
fn every_room_says_what_it_is_for_and_is_small() {
    for (name, text) in sources() {
        let opens = text.starts_with("//!") || text.starts_with("#![doc");
        assert!(opens, "{name} does not say what it is for");
        assert!(text.lines().count() <= 450, "{name} has {} lines", text.lines().count());
    }
}

/// Every path that the documents name exists.
#[test]
fn documents_name_what_is_there() {
    for document in ["README.md", "src/ARCHITECTURE.md", "data/raw/README.md", "CHANGELOG.md"] {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let named = [
                "src/",
                "pipelines/",
                "config/",
                "tests/",
                "benches/",
                "notebooks/",
                "data/raw/",
                ".ci/",
            ]
            .iter()
            .any(|top| word.starts_with(top));
            if named && !word.contains(' ') && !word.contains("online_retail.") {
                assert!(root().join(word).exists(), "{document} names {word}");
            }
        }
    }
}
