//! Invalid pipelines: exit code and complete message, which names file, line and column.

use super::harness::{custseg, fixtures};

#[test]
fn invalid_pipelines_are_reported_with_location() {
    let folder = fixtures().join("bad_yaml");
    let mut names: Vec<String> = std::fs::read_dir(&folder)
        .unwrap()
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .filter(|name| !name.ends_with(".map.yaml"))
        .collect();
    names.sort();
    assert!(names.len() >= 25, "{}", names.len());
    for name in names {
        let outcome = custseg(&folder, &["check", &name]);
        assert_eq!(outcome.stdout, "", "{name}");
        assert!(!outcome.stderr.contains("panicked"), "{name}: {}", outcome.stderr);
        assert!([2, 4].contains(&outcome.code), "{name}: exit {}", outcome.code);
        let stem = name.trim_end_matches(".yaml");
        insta::assert_snapshot!(
            format!("bad_yaml_{stem}"),
            format!("exit {}\n{}", outcome.code, outcome.stderr)
        );
        // `run` reports the same message and writes nothing.
        let run = custseg(&folder, &["run", &name]);
        assert_eq!((run.code, run.stderr), (outcome.code, outcome.stderr), "{name}");
    }
    assert!(!folder.join("out").exists());
}

/// Every file of the gallery is this pipeline with one fault.
#[test]
fn pipeline_without_the_faults_is_valid() {
    assert_eq!(custseg(&fixtures(), &["check", "shop.yaml"]).code, 0);
}
