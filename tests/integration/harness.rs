//! Runs the program and reads what it published.

use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;

use custseg::config::{self, Request};
use custseg::pipeline::Pipeline;
use polars::prelude::*;
use tempfile::TempDir;

/// The repository.
pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The fixtures.
pub fn fixtures() -> PathBuf {
    root().join("tests/fixtures")
}

/// A file of the reference data, which are not in the repository; says so where they are absent.
pub fn reference(path: &str) -> Option<PathBuf> {
    let found =
        std::env::var_os("CUSTSEG_REFERENCE_DATA").map(|folder| root().join(folder).join(path));
    let found = found.filter(|file| file.exists());
    if found.is_none() {
        eprintln!("skipped: CUSTSEG_REFERENCE_DATA has no {path}");
    }
    found
}

/// What a process said.
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

/// A folder with data and a pipeline over it.
pub struct Shop {
    pub folder: TempDir,
}

impl Shop {
    /// A copy of the fixture shop with other lines.
    pub fn of(csv: impl AsRef<[u8]>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("shop.csv"), csv).unwrap();
        for name in ["shop.yaml", "map.yaml"] {
            fs::copy(fixtures().join(name), folder.path().join(name)).unwrap();
        }
        Self { folder }
    }

    /// The fixture shop as it is.
    pub fn fixture() -> Self {
        Self::of(fs::read(fixtures().join("shop.csv")).unwrap())
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Replaces a piece of the pipeline.
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

    /// Runs the pipeline, which must succeed, and returns a published table.
    pub fn run(&self, args: &[&str]) -> &Self {
        let outcome = self.custseg(&[&["run", "shop.yaml"], args].concat());
        assert_eq!(outcome.code, 0, "{}", outcome.stderr);
        self
    }

    pub fn table(&self, name: &str) -> DataFrame {
        table(&self.path("out"), name)
    }

    /// The rejected rows as the source has them: the table itself promises no order.
    pub fn rejects(&self) -> DataFrame {
        self.table("rejects").sort(["source_file", "source_row"], Default::default()).unwrap()
    }
}

/// Loads a pipeline of the repository that writes nowhere.
pub fn load(pipeline: &str, set: &[String]) -> Pipeline {
    config::load(&Request {
        pipeline: Some(root().join(pipeline)),
        set: set.to_vec(),
        ..Request::default()
    })
    .unwrap()
}

/// A published table.
pub fn table(to: &Path, name: &str) -> DataFrame {
    let path = to.join("current").join(format!("{name}.parquet"));
    ParquetReader::new(File::open(&path).unwrap()).finish().unwrap()
}

/// Name and hash of every published table, `rejects` aside.
pub fn hashes(to: &Path) -> Vec<(String, String)> {
    let text = fs::read_to_string(to.join("current/manifest.json")).unwrap();
    let manifest: serde_json::Value = serde_json::from_str(&text).unwrap();
    let outputs = manifest["outputs"].as_array().unwrap().iter();
    let pair = |output: &serde_json::Value| {
        let text = |key: &str| output[key].as_str().unwrap().to_owned();
        (text("path"), text("blake3"))
    };
    outputs
        .map(pair)
        .filter(|(path, _)| path.ends_with(".parquet") && path != "rejects.parquet")
        .collect()
}

/// A column as text, nulls as "".
pub fn texts(frame: &DataFrame, name: &str) -> Vec<String> {
    let column = frame.column(name).unwrap().cast(&DataType::String).unwrap();
    column.str().unwrap().iter().map(|value| value.unwrap_or_default().to_owned()).collect()
}

/// A column as floats, nulls as NaN.
pub fn floats(frame: &DataFrame, name: &str) -> Vec<f64> {
    let column = frame.column(name).unwrap().cast(&DataType::Float64).unwrap();
    column.f64().unwrap().iter().map(|value| value.unwrap_or(f64::NAN)).collect()
}
