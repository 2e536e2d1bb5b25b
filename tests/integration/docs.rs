//! README.md, SKILL.md and the pages of `docs`: their examples run, their links lead somewhere,
//! their figures equal `docs/figures.yaml`. CONTRIBUTING.md describes the code blocks.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use tempfile::TempDir;

use super::cases::{assert_expected, copy};
use super::harness::{fixtures, floats, root, table, texts};

const REPOSITORY: &str = "https://github.com/custseg/custseg/blob/main/";
const MAX_WORDS_OF_README: usize = 900;
const MAX_WORDS_OF_SENTENCE: usize = 30;

/// A fenced code block.
struct Block {
    language: String,
    text: String,
    line: usize,
}

impl Block {
    /// Name and content of the file that the block is, by a first line such as `# shop.yaml`.
    fn file(&self) -> Option<(&str, &str)> {
        let (first, rest) = self.text.split_once('\n')?;
        let name = first.strip_prefix("# ")?;
        let is_file = ["yaml", "csv", "text", "sql"].contains(&self.language.as_str());
        let has_suffix = name.rsplit_once('.').is_some_and(|(_, suffix)| !suffix.is_empty());
        (is_file && has_suffix && !name.contains(' ')).then_some((name, rest))
    }
}

fn read(name: &str) -> String {
    fs::read_to_string(root().join(name)).unwrap()
}

fn add_pages(folder: &str, pages: &mut BTreeMap<String, String>) {
    for entry in fs::read_dir(root().join(folder)).unwrap() {
        let entry = entry.unwrap();
        let name = format!("{folder}/{}", entry.file_name().to_str().unwrap());
        if entry.path().is_dir() {
            add_pages(&name, pages);
        } else if name.ends_with(".md") {
            pages.insert(name.clone(), read(&name));
        }
    }
}

/// Texts of README.md, SKILL.md and all pages, by path below the repository.
fn pages() -> BTreeMap<String, String> {
    let names = ["README.md", "SKILL.md"].map(str::to_owned);
    let mut pages: BTreeMap<_, _> = names.map(|name| (name.clone(), read(&name))).into();
    add_pages("docs", &mut pages);
    pages
}

/// The blocks of a page, and its lines outside of them.
fn split_blocks(name: &str, text: &str) -> (Vec<Block>, String) {
    let (mut blocks, mut prose) = (Vec::new(), String::new());
    let mut open: Option<Block> = None;
    for (i, line) in text.lines().enumerate() {
        if let Some(mut block) = open.take() {
            if line == "```" {
                blocks.push(block);
            } else {
                block.text += line;
                block.text.push('\n');
                open = Some(block);
            }
        } else if let Some(language) = line.strip_prefix("```") {
            open = Some(Block { language: language.to_owned(), text: String::new(), line: i + 1 });
        } else {
            assert!(!line.trim_start().starts_with("```"), "{name}:{}: indented block", i + 1);
            prose += line;
            prose.push('\n');
        }
    }
    assert!(open.is_none(), "{name}: a block is not closed");
    (blocks, prose)
}

fn blocks(name: &str, text: &str) -> Vec<Block> {
    split_blocks(name, text).0
}

/// Text of a page outside of blocks.
fn prose(name: &str, text: &str) -> String {
    split_blocks(name, text).1
}

/// Runs a block with `sh -e`; every command must succeed.
fn shell(page: &str, folder: &Path, block: &Block) {
    let program = Path::new(env!("CARGO_BIN_EXE_custseg")).parent().unwrap();
    let path = format!("{}:{}", program.display(), std::env::var("PATH").unwrap());
    let output = Command::new("sh")
        .args(["-ec", &block.text])
        .current_dir(folder)
        .env("PATH", path)
        .output()
        .unwrap();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{page}:{}\n{}\n{errors}", block.line, block.text);
}

/// Writes the files of a page and runs its `sh` blocks, in order. `tests/docs/python.py` runs the
/// `python` blocks.
fn run_page(page: &str, blocks: &[Block]) -> TempDir {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    fs::copy(root().join("data/raw/cdnow.csv"), dir.join("cdnow.csv")).unwrap();
    fs::copy(fixtures().join("docs/orders.csv"), dir.join("orders.csv")).unwrap();
    copy(&fixtures().join("recipes"), &dir.join("exports"));
    fs::create_dir(dir.join("maps")).unwrap();
    fs::copy(root().join("config/segments/default.yaml"), dir.join("maps/default.yaml")).unwrap();
    for block in blocks {
        if let Some((name, content)) = block.file() {
            let file = dir.join(name);
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(file, content).unwrap();
            continue;
        }
        match block.language.as_str() {
            "sh" => shell(page, dir, block),
            "yaml" | "text" | "python" | "console" => {}
            other => panic!("{page}:{}: unexpected block language `{other}`", block.line),
        }
    }
    folder
}

/// Files that the blocks of a page write.
const RESULTS: [(&str, &[&str]); 12] = [
    ("SKILL.md", &["quarterly/current/migration.parquet", "german/current/report.html"]),
    ("README.md", &["orders-results/current/report.html", "results/current/report.html"]),
    ("docs/clusters.md", &["clustered/current/clusters.parquet"]),
    ("docs/exports.md", &["out/current/report.html"]),
    ("docs/install.md", &["completions/custseg", "man/custseg.1", "pipeline.schema.json"]),
    ("docs/lists.md", &["google.csv", "quarters/current/cohorts.parquet"]),
    ("docs/load.md", &["columns.md", "newest.html"]),
    ("docs/models.md", &["scored.parquet"]),
    ("docs/quick-start.md", &["orders-results/current/migration.parquet"]),
    ("docs/scale.md", &["sales.sql"]),
    ("docs/schedule.md", &["monthly/current/migration.parquet"]),
    ("docs/segments.md", &["quarters/current/migration.parquet", "frozen/current/drift.parquet"]),
];

#[test]
fn pages_run_as_written() {
    let pages = pages();
    let folders: BTreeMap<&str, TempDir> = std::thread::scope(|scope| {
        let mut runs = Vec::new();
        for (name, text) in &pages {
            let blocks = blocks(name, text);
            runs.push((name.as_str(), scope.spawn(move || run_page(name, &blocks))));
        }
        runs.into_iter().map(|(name, run)| (name, run.join().unwrap())).collect()
    });
    for (page, files) in RESULTS {
        for file in files {
            assert!(folders[page].path().join(file).is_file(), "{page}: {file}");
        }
    }
    // The pipelines of the page have replaced those of the fixtures.
    assert_expected(&folders["docs/exports.md"].path().join("exports"));
    let metrics = table(&folders["docs/models.md"].path().join("labelled"), "metrics");
    assert!(texts(&metrics, "protocol").iter().all(|protocol| protocol == "holdout"));
    let runs = folders["docs/schedule.md"].path().join("monthly/runs");
    assert_eq!(fs::read_dir(runs).unwrap().count(), 1, "the page prunes older runs");
    // Customer 1: 6.00 and 9.00 over two orders. Customer 2: 4.00. Customer 3 only returned.
    let out = folders["docs/reference/pipeline.md"].path().join("out");
    let segments = table(&out, "segments/snapshot=2024-05-05/part-0");
    assert_eq!(floats(&segments, "monetary"), [7.5, 4.0, 0.0]);
    assert_eq!(texts(&segments, "city"), ["Ulm", "Bonn", ""]);
}

/// `yaml` blocks without a name are some sections of a pipeline.
#[test]
fn partial_examples_are_valid_sections() {
    let mut schema: Value = serde_json::from_str(&read("config/pipeline.schema.json")).unwrap();
    schema.as_object_mut().unwrap().remove("required");
    let validator = jsonschema::Validator::new(&schema).unwrap();
    let mut checked = 0;
    for (name, text) in pages() {
        for block in blocks(&name, &text) {
            if block.language != "yaml" || block.file().is_some() {
                continue;
            }
            let place = format!("{name}:{}", block.line);
            let sections: Value = serde_yaml::from_str(&block.text)
                .unwrap_or_else(|error| panic!("{place}: {error}"));
            let errors: Vec<String> = validator
                .iter_errors(&sections)
                .map(|error| format!("{}: {error}", error.instance_path()))
                .collect();
            assert!(errors.is_empty(), "{place}\n{}\n{errors:#?}", block.text);
            checked += 1;
        }
    }
    assert!(checked > 10, "{checked}");
}

/// Names and values of the marked figures of a text.
fn figures(text: &str) -> Vec<(String, String)> {
    let marked = text.split("<!-- figure:").skip(1).map(|rest| {
        let (name, rest) = rest.split_once(" -->").unwrap();
        let (value, _) = rest.split_once("<!-- /figure -->").unwrap();
        (name.to_owned(), value.split_whitespace().collect::<Vec<_>>().join(" "))
    });
    marked.filter(|(name, _)| name != "NAME").collect()
}

#[test]
fn figures_equal_their_file() {
    let file = read("docs/figures.yaml");
    let lines = file.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
    let mut values: BTreeMap<&str, &str> = BTreeMap::new();
    for line in lines {
        let (name, value) = line.split_once(": ").unwrap();
        assert_eq!(values.insert(name, value), None, "{name} is defined twice");
    }
    let mut used = BTreeSet::new();
    let contributing = ("CONTRIBUTING.md".to_owned(), read("CONTRIBUTING.md"));
    for (page, text) in pages().into_iter().chain([contributing]) {
        // At the start of a line a comment ends the paragraph.
        let starts_line = |line: &str| line.trim_start().starts_with("<!-- figure:");
        assert!(!text.lines().any(starts_line), "{page}: a figure starts a line");
        for (name, value) in figures(&text) {
            assert_eq!(values.get(name.as_str()), Some(&value.as_str()), "{page}: {name}");
            used.insert(name);
        }
    }
    let unused: Vec<_> = values.keys().filter(|name| !used.contains(**name)).collect();
    assert!(unused.is_empty(), "{unused:?}");
}

/// Paragraphs, headings, list items and table cells of a page.
fn passages(prose: &str) -> Vec<String> {
    let mut passages = vec![String::new()];
    for line in prose.lines().map(str::trim) {
        let number = line.trim_start_matches(|c: char| c.is_ascii_digit());
        let is_item = line.starts_with("- ")
            || line.starts_with("* ")
            || (number.len() < line.len() && number.starts_with(". "));
        if line.starts_with('|') {
            passages.extend(line.replace("\\|", " ").split('|').map(str::to_owned));
            passages.push(String::new());
        } else if line.starts_with("--8<--") {
            passages.push(String::new());
        } else if line.is_empty() || is_item || line.starts_with('#') {
            passages.push(line.to_owned());
        } else {
            let passage = passages.last_mut().unwrap();
            passage.push(' ');
            passage.push_str(line);
        }
    }
    passages
}

/// A passage in which each code span is one word, without tags and comments.
fn plain(passage: &str) -> String {
    let parts = passage.split('`').enumerate();
    let words = parts.map(|(i, part)| if i % 2 == 1 { "code" } else { part });
    let text: String = words.collect();
    let mut plain = String::new();
    let mut rest = text.as_str();
    while let Some(start) = rest.find('<') {
        let is_tag = rest[start + 1..].starts_with(|c: char| c.is_alphabetic() || "!/".contains(c));
        let end = rest[start..].find('>').map_or(rest.len(), |end| start + end + 1);
        let end = if is_tag { end } else { start + 1 };
        plain.push_str(&rest[..start]);
        rest = &rest[end..];
    }
    plain + rest
}

/// Sentences of a page. Blocks do not count.
fn sentences(name: &str, text: &str) -> Vec<String> {
    let mut sentences = Vec::new();
    for passage in passages(&prose(name, text)) {
        let mut sentence = Vec::new();
        let passage = plain(&passage);
        for word in passage.split_whitespace() {
            sentence.push(word);
            if word.trim_end_matches([')', '"', '*', '_']).ends_with(['.', '!', '?']) {
                sentences.push(sentence.join(" "));
                sentence.clear();
            }
        }
        sentences.push(sentence.join(" "));
    }
    sentences
}

#[test]
fn sentences_are_short() {
    let mut pages = pages();
    for name in ["config/pipeline.options.md", "config/map.options.md"] {
        pages.insert(name.to_owned(), read(name));
    }
    let mut long = Vec::new();
    for (name, text) in &pages {
        for sentence in sentences(name, text) {
            let words =
                sentence.split_whitespace().filter(|word| word.contains(char::is_alphanumeric));
            let words = words.count();
            if words > MAX_WORDS_OF_SENTENCE {
                long.push(format!("{name}: {words} words: {sentence}"));
            }
        }
    }
    assert!(long.is_empty(), "{}", long.join("\n"));
}

#[test]
fn the_readme_is_short() {
    let words = read("README.md").split_whitespace().count();
    assert!(words < MAX_WORDS_OF_README, "{words} words");
}

/// A page with the files that it includes by `--8<-- "file"`.
fn with_includes(text: &str) -> String {
    let mut whole = String::new();
    for line in text.lines() {
        match line.strip_prefix("--8<-- \"") {
            Some(include) => whole += &read(include.split([':', '"']).next().unwrap()),
            None => whole += line,
        }
        whole.push('\n');
    }
    whole
}

/// Anchors of the headings of a page, as GitHub and mkdocs form them.
fn anchors(text: &str) -> BTreeSet<String> {
    let anchor = |line: &str| {
        let title =
            line.strip_prefix('#')?.trim_start_matches('#').strip_prefix(' ')?.to_lowercase();
        let kept = title.chars().filter(|c| c.is_alphanumeric() || " -_".contains(*c));
        Some(kept.map(|c| if c == ' ' { '-' } else { c }).collect())
    };
    prose("", &with_includes(text)).lines().filter_map(anchor).collect()
}

/// Targets of the links of a page.
fn links(name: &str, text: &str) -> Vec<String> {
    let prose = prose(name, text);
    let outside_code: String = prose.split('`').step_by(2).collect::<Vec<_>>().join("code");
    let ends = outside_code.split("](").skip(1);
    ends.map(|rest| rest.split_once(')').unwrap().0.to_owned()).collect()
}

#[test]
fn links_lead_to_files_and_headings() {
    let mut pages = pages();
    pages.insert("CONTRIBUTING.md".to_owned(), read("CONTRIBUTING.md"));
    let mut checked = 0;
    for (name, text) in &pages {
        let folder = root().join(name).parent().unwrap().to_owned();
        for link in links(name, text) {
            if let Some(path) = link.strip_prefix(REPOSITORY) {
                assert!(root().join(path).exists(), "{name} links to {link}");
                continue;
            }
            if link.contains("://") {
                continue;
            }
            let (path, anchor) = link.split_once('#').unwrap_or((&link, ""));
            let file = if path.is_empty() { root().join(name) } else { folder.join(path) };
            assert!(file.exists(), "{name} links to {link}");
            if path.ends_with(".md") && !anchor.is_empty() || path.is_empty() {
                let target = fs::read_to_string(&file).unwrap();
                assert!(anchors(&target).contains(anchor), "{name} links to {link}");
            }
            checked += 1;
        }
    }
    assert!(checked > 50, "{checked}");
}
