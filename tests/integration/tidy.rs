//! What ARCHITECTURE.md and CONTRIBUTING.md state about the source text.

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use super::harness::root;

/// All files below a folder of the repository with one of these suffixes, by path.
fn files(folder: &str, suffixes: &[&str]) -> BTreeMap<String, String> {
    let mut folders = vec![root().join(folder)];
    let mut found = BTreeMap::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path: PathBuf = entry.unwrap().path();
            let suffix = path.extension().and_then(|suffix| suffix.to_str()).unwrap_or("");
            if path.is_dir() {
                folders.push(path);
            } else if suffixes.contains(&suffix) {
                let name = path.strip_prefix(root()).unwrap().display().to_string();
                found.insert(name, fs::read_to_string(path).unwrap());
            }
        }
    }
    found
}

/// Rust files of `src`, by path below it.
fn sources() -> BTreeMap<String, String> {
    let strip = |(name, text): (String, String)| (name.replacen("src/", "", 1), text);
    files("src", &["rs"]).into_iter().map(strip).collect()
}

/// The same without comments and unit tests.
fn code() -> BTreeMap<String, String> {
    let strip = |(name, text): (String, String)| {
        let text = text.split("#[cfg(test)]\nmod tests").next().unwrap().to_owned();
        let lines = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        (name, lines.collect::<Vec<_>>().join("\n"))
    };
    sources().into_iter().map(strip).collect()
}

/// The files whose code contains a text.
fn containing(text: &str) -> Vec<String> {
    code().into_iter().filter(|(_, code)| code.contains(text)).map(|(name, _)| name).collect()
}

/// Whether a text contains a word, in any case.
fn has_word(text: &str, word: &str) -> bool {
    let is_part = |c: char| c.is_alphanumeric() || c == '_';
    let (text, word) = (text.to_lowercase(), word.to_lowercase());
    text.match_indices(&word).any(|(start, _)| {
        let before = text[..start].chars().next_back();
        let after = text[start + word.len()..].chars().next();
        !before.is_some_and(is_part) && !after.is_some_and(is_part)
    })
}

#[test]
fn private_vocabulary_stays_out() {
    let words = ["told", "tell", "tells", "whoever", "heeded", "nobody", "What Polars says"];
    let mut texts = files("src", &["rs", "md", "html"]);
    texts.extend(files("docs", &["md"]));
    texts.extend(files("config", &["md", "yaml", "json", "py"]));
    for name in ["README.md", "CHANGELOG.md"] {
        texts.insert(name.to_owned(), fs::read_to_string(root().join(name)).unwrap());
    }
    for (name, text) in texts {
        for (i, line) in text.lines().enumerate() {
            for word in words {
                assert!(!has_word(line, word), "{name}:{}: `{word}`: {line}", i + 1);
            }
        }
    }
}

#[test]
fn lines_fit_in_100_columns() {
    let sources = sources();
    let lines: Vec<&str> = sources.values().flat_map(|text| text.lines()).collect();
    let long = lines.iter().filter(|line| line.chars().count() > 100).count();
    assert!(long * 200 <= lines.len(), "{long} of {} lines are longer", lines.len());
}

/// `lib.rs` lists the modules from the bottom up. A module imports only modules above it in the list,
/// so that no two modules import each other.
#[test]
fn modules_import_only_earlier_modules() {
    let lib = fs::read_to_string(root().join("src/lib.rs")).unwrap();
    let module = |line: &str| {
        let line = line.strip_prefix("pub ").unwrap_or(line);
        Some(line.strip_prefix("mod ")?.strip_suffix(';')?.to_owned())
    };
    let order: Vec<String> = lib.lines().filter_map(module).collect();
    let position = |name: &str| order.iter().position(|module| module == name);
    let mut wrong = Vec::new();
    for (file, code) in code() {
        let own = file.split('/').next().unwrap().trim_end_matches(".rs");
        let Some(own_position) = position(own) else { continue };
        for (start, _) in code.match_indices("crate::") {
            let path = &code[start + "crate::".len()..];
            let name: String =
                path.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
            if position(&name).is_some_and(|imported| imported > own_position) {
                wrong.push(format!("{file} imports {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

#[test]
fn error_imports_no_stage() {
    assert!(!code()["error.rs"].contains("crate::"));
}

#[test]
fn at_most_two_files_name_each_replaceable_crate() {
    assert_eq!(containing("serde_yaml::"), ["config/tree.rs"]);
    assert_eq!(containing("use smartcore::"), ["model/classifier.rs"]);
    assert_eq!(containing("use parquet::"), ["publish/footer.rs", "publish/parquet_metadata.rs"]);
    assert_eq!(containing("jsonschema::"), ["config/shape.rs"]);
    assert_eq!(containing("use calamine::"), ["ingest/workbook.rs"]);
    assert_eq!(containing("polars::sql"), ["ingest/predicate.rs", "ingest/query.rs"]);
    // `publish/object_store.rs` is a module of this crate.
    assert_eq!(containing("\nuse object_store::"), ["remote/store.rs"]);
    assert_eq!(containing("charts_rs::"), ["report/chart.rs"]);
    assert_eq!(containing("use spark_connect::"), ["spark/client.rs"]);
    assert_eq!(containing("reqwest::"), ["commands/lineage.rs"]);
}

#[test]
fn only_orders_scans_the_source() {
    // A source may be a plan of its own, which the scan runs.
    assert_eq!(containing("Engine::Streaming"), ["ingest/plans.rs", "orders/mod.rs"]);
    assert!(containing(".sink(").is_empty());
}

/// Every way to change the file system, and the files that use it.
#[test]
fn few_files_write() {
    let writing = [
        "fs::write(",
        "File::create",
        "File::options()",
        "OpenOptions::new()",
        "fs::rename(",
        "renameat",
        "create_dir",
        "remove_dir",
        "remove_file(",
        "hard_link(",
        "fs::copy(",
        "symlink(",
        "tempfile::",
        "NamedTempFile",
        "generate_to(",
        "ErrorKeepingFile::create(",
    ];
    let mut found: Vec<String> = writing.iter().flat_map(|way| containing(way)).collect();
    found.sort();
    found.dedup();
    let expected = [
        // --lineage FILE
        "commands/init.rs",
        "commands/lineage.rs",
        // man DIR
        "commands/manual.rs",
        "error_keeping_file.rs",
        // rejects.parquet, during the scan
        "ingest/unpack.rs",
        "orders/rejects.rs",
        "publish/external_segments.rs",
        "publish/files.rs",
        // the Arrow schema of a footer is removed
        "publish/footer.rs",
        "publish/local_folder.rs",
        "publish/mod.rs",
        "publish/object_store.rs",
        "publish/published.rs",
        "publish/runs.rs",
        "remote/mod.rs",
        "simulate/write.rs",
        "temp.rs",
    ];
    assert_eq!(found, expected);
}

#[test]
fn only_the_program_prints() {
    for (name, code) in code() {
        let prints =
            ["println!", "eprintln!", "stdout()", "stderr()"].iter().any(|way| code.contains(way));
        assert!(!prints || name == "process.rs" || name.starts_with("commands/"), "{name}");
    }
}

/// Columns that the pipeline creates are spelled in `columns.rs`, tables in `tables`. Keys of the YAML
/// in `config` and keys of JSON may have the same name.
#[test]
fn columns_and_tables_are_spelled_once() {
    let columns = &sources()["columns.rs"];
    let column = |line: &str| {
        let (_, rest) = line.trim().strip_prefix("pub const ")?.split_once(": &str = \"")?;
        Some(rest.strip_suffix("\";")?.to_owned())
    };
    let columns: Vec<String> = columns.lines().filter_map(column).collect();
    assert!(columns.len() > 100, "{}", columns.len());
    let json = [
        "commands/diff.rs",
        "commands/run.rs",
        "commands/runs.rs",
        "commands/simulate.rs",
        // Columns of well-known exports, two of which have our names.
        "init/layouts.rs",
        "lineage/datasets.rs",
        "lineage/mod.rs",
        "process.rs",
        "tables/",
    ];
    let mut wrong = Vec::new();
    for (file, code) in code() {
        if file == "columns.rs"
            || file.starts_with("config/")
            || json.iter().any(|path| file.starts_with(path))
        {
            continue;
        }
        for name in &columns {
            // Other words of the language of the project: a metric `accuracy`, a manifest's key.
            let is_word = !name.contains('_');
            if !is_word && code.contains(&format!("\"{name}\"")) {
                wrong.push(format!("{file}: {name}"));
            }
        }
    }
    let tables: Vec<String> = files("src/tables", &["rs"])
        .into_keys()
        .filter_map(|path| Some(Path::new(&path).file_stem()?.to_str()?.to_owned()))
        .filter(|name| name != "mod")
        .collect();
    assert_eq!(tables.len(), 25);
    for (file, code) in code() {
        let is_declaration = file.starts_with("tables/") || file.starts_with("config/");
        for name in tables.iter().filter(|name| name.contains('_')) {
            if !is_declaration && code.contains(&format!("\"{name}\"")) {
                wrong.push(format!("{file}: table {name}"));
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
}

/// The arguments of every call of a method, by matching parentheses.
fn arguments<'a>(code: &'a str, method: &str) -> Vec<&'a str> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices(method) {
        let rest = &code[start + method.len()..];
        let mut depth = 1;
        let end = rest.find(|c: char| {
            depth += match c {
                '(' => 1,
                ')' => -1,
                _ => 0,
            };
            depth == 0
        });
        found.push(&rest[..end.unwrap_or(rest.len())]);
    }
    found
}

/// Polars 0.55.2 gives wrong numbers for a filter beside `n_unique` (polars #29322).
#[test]
fn no_filter_inside_an_aggregate() {
    assert_eq!(arguments("a.agg([b(1).sum()]).agg(c)", ".agg("), ["[b(1).sum()]", "c"]);
    for (name, code) in code() {
        for arguments in arguments(&code, ".agg(") {
            assert!(!arguments.contains(".filter("), "{name}: {arguments}");
        }
    }
}

#[test]
fn results_do_not_depend_on_clock_or_chance() {
    for word in ["Instant::now", "SystemTime::now", "Utc::now", "Local::now", "rand::"] {
        let files = containing(word);
        assert!(files.iter().all(|name| name.starts_with("commands/")), "{word}: {files:?}");
    }
}

#[test]
fn files_have_a_head_and_are_small() {
    let mut total = 0;
    for (name, text) in sources() {
        let has_head = text.starts_with("//!") || text.starts_with("#![doc");
        let lines = text.lines().count();
        assert!(has_head, "{name} has no `//!` head");
        assert!(lines <= 400, "{name} has {lines} lines");
        total += lines;
    }
    // 30,000 lines before the inputs of users' files could be read, 34,300 before their options,
    // 37,400 before `init`, 39,700 before `check` read samples, 41,500 before BTYD models,
    // 45,500 before lists and cohorts, 47,000 before workbooks, uplift and changes since the run
    // before.
    assert!(total <= 48_600, "src has {total} lines");
}

/// The parameters of every function in the code, each as written.
fn signatures(code: &str) -> Vec<(String, Vec<String>)> {
    let mut found = Vec::new();
    for (start, _) in code.match_indices("fn ") {
        let before = code[..start].chars().next_back();
        if before.is_some_and(|c| c.is_alphanumeric() || c == '_') {
            continue;
        }
        let rest = &code[start + 3..];
        let name: String = rest.chars().take_while(|c| c.is_alphanumeric() || *c == '_').collect();
        let Some(open) = rest.find('(') else { continue };
        if name.is_empty() || rest[..open].contains([';', '{']) {
            continue;
        }
        let list = arguments(&rest[open..], "(").into_iter().next().unwrap_or("");
        let (mut parameters, mut depth) = (vec![String::new()], 0);
        for c in list.chars() {
            match c {
                '(' | '[' | '<' | '{' => depth += 1,
                ')' | ']' | '}' => depth -= 1,
                '>' if !parameters.last().unwrap().ends_with('-') => depth -= 1,
                ',' if depth == 0 => {
                    parameters.push(String::new());
                    continue;
                }
                _ => {}
            }
            parameters.last_mut().unwrap().push(c);
        }
        parameters.retain(|parameter| !parameter.trim().is_empty());
        found.push((name, parameters));
    }
    found
}

#[test]
fn functions_have_at_most_five_parameters_and_few_bools() {
    let example = signatures("pub fn f<T>(a: bool, b: Vec<(u8, u8)>, c: fn(u8) -> u8,) -> u8 {");
    assert_eq!(example[0].1, ["a: bool", " b: Vec<(u8, u8)>", " c: fn(u8) -> u8"]);
    let mut bools = Vec::new();
    for (file, code) in code() {
        for (name, parameters) in signatures(&code) {
            assert!(parameters.len() <= 5, "{file}: {name} has {} parameters", parameters.len());
            if parameters.iter().any(|parameter| parameter.trim().ends_with(": bool")) {
                bools.push(format!("{file}: {name}"));
            }
        }
    }
    assert!(bools.len() <= 5, "{bools:#?}");
}

#[test]
fn defaults_rarely_replace_missing_values() {
    let count = |code: &String| code.matches("unwrap_or_default()").count();
    let total: usize = code().values().map(count).sum();
    assert!(total <= 60, "unwrap_or_default() is used {total} times");
}

/// Every path that the documents name exists.
#[test]
fn documents_name_existing_paths() {
    let documents = [
        "README.md",
        "CONTRIBUTING.md",
        "src/ARCHITECTURE.md",
        "data/raw/README.md",
        "CHANGELOG.md",
    ];
    for document in documents {
        let text = fs::read_to_string(root().join(document)).unwrap();
        for word in text.split('`').skip(1).step_by(2) {
            let tops = [
                "src/",
                "pipelines/",
                "config/",
                "docs/",
                "tests/",
                "benches/",
                "notebooks/",
                "data/raw/",
                ".ci/",
            ];
            let is_path = tops.iter().any(|top| word.starts_with(top));
            let is_pattern = word.contains([' ', '*', '<', '…', '{']);
            if is_path && !is_pattern && !word.contains("online_retail.") {
                assert!(root().join(word).exists(), "{document} names {word}");
            }
        }
    }
}
