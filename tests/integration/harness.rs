//! Runs the program and reads what it published.
//!
//! # The fixture shop
//!
//! `tests/fixtures/shop.csv` under `shop.yaml`: 12 lines, of which 5 are accepted.
//!
//! | Row | Order | Product | Units | Ordered at       | Price | Customer | Outcome             |
//! |----:|-------|---------|------:|------------------|------:|---------:|---------------------|
//! |   1 | A1    | P1      |     2 | 2024-01-05 10:00 |  1.50 |     1001 | accepted            |
//! |   2 | A1    | P2      |     1 | 2024-01-05 10:00 |  4.00 |     1001 | accepted            |
//! |   3 | CA1   | P1      |    -2 | 2024-01-06 11:00 |  1.50 |     1001 | cancellation        |
//! |   4 | B1    | P1      |     1 | 2024-02-10 09:30 | 10.00 |     1002 | accepted            |
//! |   5 | B2    | P3      |     5 | 2024-03-01 23:59 |  0.00 |     1002 | price not positive  |
//! |   6 | B3    | P2      |     3 | 2024-03-01 08:00 |  0.10 |     1002 | accepted            |
//! |   7 | X1    | P1      |     1 | 2024-03-02 00:00 |  2.00 |          | customer id missing |
//! |   8 | D1    | P1      |     1 | 2024-02-30 12:00 |  2.00 |     1003 | no such date        |
//! |   9 | D2    | P1      |   one | 2024-02-28 12:00 |  2.00 |     1003 | units not a number  |
//! |  10 | D3    | P1      |     7 | 2024-02-29 12:00 | 3.333 |     1003 | price above scale 2 |
//! |  11 | E1    | P1      |     4 | 2024-02-29 23:59 | 25.25 |     1003 | accepted            |
//! |  12 | E1    | P1      |     4 | 2024-02-29 23:59 | 25.25 |     1003 | duplicate of row 11 |
//!
//! The country is FR for customer 1002, UK for the others. The last accepted line is on 1 March, so
//! the snapshot date is 2024-03-02. Values at that date:
//!
//! | Customer | Last order | Recency | Orders | Lines | Units | Money  | RFM code | Segment |
//! |---------:|------------|--------:|-------:|------:|------:|-------:|---------:|---------|
//! |     1001 | 2024-01-05 |      57 |      1 |     2 |     3 |   7.00 |      111 | Gone    |
//! |     1002 | 2024-03-01 |       1 |      2 |     2 |     4 |  10.30 |      553 | Best    |
//! |     1003 | 2024-02-29 |       2 |      1 |     1 |     4 | 101.00 |      315 | Rest    |
//!
//! Quintiles (type 7): recency 1.4, 1.8, 13, 35; frequency 1, 1, 1.2, 1.6; money 8.32, 9.64, 28.44,
//! 64.72.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use custseg::config::{self, Request};
use custseg::pipeline::Pipeline;
use custseg::progress::Silent;
use custseg::session::{self, RunOptions};
use custseg::tables::TableId;
use polars::prelude::*;
use tempfile::TempDir;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

pub fn fixtures() -> PathBuf {
    root().join("tests/fixtures")
}

/// Path of a file of the reference data, which are not part of the repository.
///
/// The tests that need it are ignored by default. `make test` runs them if `CUSTSEG_REFERENCE_DATA`
/// is set.
pub fn reference(path: &str) -> PathBuf {
    let Some(folder) = std::env::var_os("CUSTSEG_REFERENCE_DATA") else {
        panic!("set CUSTSEG_REFERENCE_DATA to the folder that contains `{path}`");
    };
    let file = root().join(folder).join(path);
    assert!(file.exists(), "CUSTSEG_REFERENCE_DATA has no `{path}`: no file {}", file.display());
    file
}

/// Exit code and output of a process.
pub struct Outcome {
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

/// Runs the program in a folder.
pub fn custseg(folder: &Path, args: &[&str]) -> Outcome {
    let output = Command::new(env!("CARGO_BIN_EXE_custseg"))
        .args(args)
        .current_dir(folder)
        .env_remove("RUST_LOG")
        .env_remove("CUSTSEG_THREADS")
        .output()
        .unwrap();
    Outcome {
        code: output.status.code().unwrap_or(-1),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    }
}

/// A temporary folder with data (`shop.csv`) and a pipeline over it (`shop.yaml`, `map.yaml`).
pub struct Shop {
    pub folder: TempDir,
}

impl Shop {
    /// The pipeline of the fixture shop over other lines.
    pub fn with_csv(csv: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("shop.csv"), csv).unwrap();
        for name in ["shop.yaml", "map.yaml"] {
            fs::copy(fixtures().join(name), folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    pub fn fixture() -> Self {
        Self::with_csv(fs::read(fixtures().join("shop.csv")).unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces text of the pipeline, which must occur in it.
    pub fn edit(self, from: &str, to: &str) -> Self {
        let path = self.path("shop.yaml");
        let text = fs::read_to_string(&path).unwrap();
        assert!(text.contains(from), "{from}");
        fs::write(path, text.replace(from, to)).unwrap();
        self
    }

    pub fn custseg(&self, args: &[&str]) -> Outcome {
        custseg(self.folder.path(), args)
    }

    /// Runs the pipeline, which must succeed. Its tables must be as declared.
    pub fn run(&self, args: &[&str]) -> &Self {
        let outcome = self.custseg(&[&["run", "shop.yaml"], args].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        if self.path("out/current").exists() {
            check_schemas(&self.path("out"));
        }
        self
    }

    pub fn table(&self, name: &str) -> DataFrame {
        table(&self.path("out"), name)
    }

    /// The rejected rows in source order: the published table has no defined order.
    pub fn rejects(&self) -> DataFrame {
        self.table("rejects").sort(["source_file", "source_row"], Default::default()).unwrap()
    }
}

/// Loads a pipeline of the repository.
pub fn load(pipeline: &str, set: &[String]) -> Pipeline {
    config::load(&Request {
        pipeline: Some(root().join(pipeline)),
        set: set.to_vec(),
        ..Request::default()
    })
    .unwrap()
}

/// Runs a pipeline in this process.
pub fn run_pipeline(p: &Pipeline, options: RunOptions) -> session::Outcome {
    session::run(p, options, Arc::new(Silent)).unwrap()
}

/// A published table.
pub fn table(to: &Path, name: &str) -> DataFrame {
    let path = to.join("current").join(format!("{name}.parquet"));
    ParquetReader::new(File::open(&path).unwrap()).finish().unwrap()
}

/// Compares names, types and order of all published columns with the declarations of the tables.
pub fn check_schemas(to: &Path) {
    let current = to.join("current");
    let mut files: Vec<(TableId, PathBuf)> =
        TableId::ALL.iter().map(|id| (*id, current.join(id.file()))).collect();
    for snapshot in fs::read_dir(current.join("segments")).unwrap() {
        files.push((TableId::Segments, snapshot.unwrap().path().join("part-0.parquet")));
    }
    for (id, file) in files.into_iter().filter(|(_, file)| file.exists()) {
        let frame = ParquetReader::new(File::open(&file).unwrap()).finish().unwrap();
        assert_eq!(id.table().check(&frame), Ok(()), "{}", file.display());
    }
}

/// Path and hash of every published table but `rejects`, whose row order depends on the threads.
pub fn hashes(to: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(to.join("current/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let outputs = manifest["outputs"].as_array().unwrap().iter();
    outputs
        .map(|output| (output["path"].as_str().unwrap(), output["blake3"].as_str().unwrap()))
        .filter(|(path, _)| path.ends_with(".parquet") && *path != "rejects.parquet")
        .map(|(path, hash)| (path.to_owned(), hash.to_owned()))
        .collect()
}

/// Compares a generated file of the repository; `INSTA_UPDATE=always` rewrites it.
pub fn assert_up_to_date(path: &str, text: &str) {
    let file = root().join(path);
    if std::env::var("INSTA_UPDATE").is_ok_and(|update| update == "always") {
        fs::write(&file, text).unwrap();
    }
    let is_equal = fs::read_to_string(&file).is_ok_and(|found| found == text);
    assert!(is_equal, "{path} is out of date: run the tests with INSTA_UPDATE=always");
}

/// A column as text; null becomes an empty string.
pub fn texts(frame: &DataFrame, name: &str) -> Vec<String> {
    let column = frame.column(name).unwrap().cast(&DataType::String).unwrap();
    column.str().unwrap().iter().map(|value| value.unwrap_or("").to_owned()).collect()
}

/// A column as floats; null becomes NaN.
pub fn floats(frame: &DataFrame, name: &str) -> Vec<f64> {
    let column = frame.column(name).unwrap().cast(&DataType::Float64).unwrap();
    column.f64().unwrap().iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}
