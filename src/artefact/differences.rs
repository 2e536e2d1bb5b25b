//! Compares two pipeline definitions and describes the paths at which they differ.

use serde_json::Value;

/// Longest value that a description quotes, in characters.
const MAX_VALUE_CHARS: usize = 60;

/// The parts of two definitions that have to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum DiffScope {
    /// Everything that gives a cut point its meaning: required to reuse cut points.
    Scores,
    /// Everything that segments and model answers depend on.
    Everything,
    /// `Everything` and the source of the cut points: required of two runs.
    Runs,
}

impl DiffScope {
    fn included(self) -> &'static [&'static str] {
        const SCORES: &[&str] = &["orders", "timezone", "money", "clean", "rfm", "score"];
        const ALL: &[&str] =
            &["orders", "timezone", "money", "clean", "rfm", "score", "segment", "models"];
        if self == Self::Scores { SCORES } else { ALL }
    }

    fn excluded(self) -> &'static [&'static str] {
        match self {
            // Features are not scored, and `weights` only averages scores.
            Self::Scores => &[
                "rfm.snapshots",
                "rfm.features",
                "rfm.ratios",
                "rfm.top_categories",
                "rfm.categories",
                "score.cut_points",
                "score.weights",
            ],
            Self::Everything => &["rfm.snapshots", "score.cut_points"],
            Self::Runs => &["rfm.snapshots"],
        }
    }
}

/// Describes each path at which two definitions differ, with both values. `None` if they agree.
pub(crate) fn differences(here: &Value, there: &Value, scope: DiffScope) -> Option<String> {
    let mut found = Vec::new();
    for path in scope.included() {
        compare(path, [here.get(path), there.get(path)], scope.excluded(), &mut found);
    }
    (!found.is_empty()).then(|| found.join("; "))
}

fn compare(path: &str, values: [Option<&Value>; 2], excluded: &[&str], found: &mut Vec<String>) {
    let [here, there] = values;
    if excluded.contains(&path) || here == there {
        return;
    }
    match (here, there) {
        (Some(Value::Object(here)), Some(Value::Object(there))) => {
            let added = there.keys().filter(|key| !here.contains_key(*key));
            for key in here.keys().chain(added) {
                compare(&format!("{path}.{key}"), [here.get(key), there.get(key)], excluded, found);
            }
        }
        (Some(Value::Array(here)), Some(Value::Array(there))) if here.len() == there.len() => {
            for (index, (here, there)) in here.iter().zip(there).enumerate() {
                compare(&format!("{path}.{index}"), [Some(here), Some(there)], excluded, found);
            }
        }
        _ => found.push(format!("`{path}` is {} here and {} there", quote(here), quote(there))),
    }
}

fn quote(value: Option<&Value>) -> String {
    let Some(value) = value.filter(|value| !value.is_null()) else { return "nothing".to_owned() };
    let text = value.to_string();
    let short: String = text.chars().take(MAX_VALUE_CHARS).collect();
    if short.len() < text.len() { format!("{short}…") } else { text }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_paths_and_both_values() {
        let here = json!({
            "rfm": { "window": "all", "snapshots": "last" }, "score": { "bins": 5 }, "models": {}
        });
        let there = json!({
            "rfm": { "window": "90d", "snapshots": "first" }, "score": { "bins": 5 }, "models": 1
        });
        let text = "`rfm.window` is \"all\" here and \"90d\" there";
        assert_eq!(differences(&here, &there, DiffScope::Scores).unwrap(), text);
        assert_eq!(
            differences(&here, &there, DiffScope::Everything).unwrap(),
            format!("{text}; `models` is {{}} here and 1 there")
        );
        assert_eq!(differences(&here, &here.clone(), DiffScope::Everything), None);
    }

    #[test]
    fn numbers_agree_after_a_round_trip_through_json() {
        let here =
            json!({ "score": { "cut_points": [0.1 + 0.2, 250.194, 1.0 / 3.0, 5e-324, 2.0] } });
        let there: Value = serde_json::from_str(&here.to_string()).unwrap();
        assert_eq!(differences(&here, &there, DiffScope::Runs), None);
    }
}
