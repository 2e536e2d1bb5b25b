//! What differs between two definitions, in words.

use serde_json::Value;

/// What of two definitions has to agree.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Which {
    /// What scores depend on: whoever takes over cut points has to mean the same by them.
    Scores,
    /// What segments and the models' answers depend on.
    Everything,
    /// The same, and whose cut points hold: what tells two runs apart.
    Runs,
}

impl Which {
    /// Paths that are looked at, and paths below them that are not.
    fn paths(self) -> (&'static [&'static str], &'static [&'static str]) {
        const ALL: &[&str] =
            &["orders", "timezone", "money", "clean", "rfm", "score", "segment", "models"];
        // Snapshots are chosen anew, cut points are given, and a weighted mean of the scores changes none of them.
        match self {
            Self::Scores => {
                const NONE: &[&str] = &[
                    "rfm.snapshots",
                    "rfm.features",
                    "rfm.ratios",
                    "rfm.top_categories",
                    "score.cut_points",
                    "score.weights",
                ];
                (&ALL[..6], NONE)
            }
            Self::Everything => (ALL, &["rfm.snapshots", "score.cut_points"]),
            Self::Runs => (ALL, &["rfm.snapshots"]),
        }
    }
}

/// The paths at which two definitions differ, each with what stands there; nothing where they agree.
pub fn differences(one: &Value, other: &Value, which: Which) -> Option<String> {
    // Numbers may be rounded when they are read, so both are.
    let read = |json: &Value| serde_json::from_str::<Value>(&json.to_string()).unwrap_or_default();
    let (one, other) = (&read(one), &read(&read(other)));
    let (looked_at, except) = which.paths();
    let mut found = Vec::new();
    for path in looked_at {
        compare(path, one.get(path), other.get(path), except, &mut found);
    }
    (!found.is_empty()).then(|| found.join("; "))
}

fn compare(
    path: &str,
    one: Option<&Value>,
    other: Option<&Value>,
    except: &[&str],
    found: &mut Vec<String>,
) {
    if except.contains(&path) || one == other {
        return;
    }
    match (one, other) {
        (Some(Value::Object(one)), Some(Value::Object(other))) => {
            let added = other.keys().filter(|key| !one.contains_key(*key));
            for key in one.keys().chain(added) {
                compare(&format!("{path}.{key}"), one.get(key), other.get(key), except, found);
            }
        }
        (Some(Value::Array(one)), Some(Value::Array(other))) if one.len() == other.len() => {
            for (i, (one, other)) in one.iter().zip(other).enumerate() {
                compare(&format!("{path}.{i}"), Some(one), Some(other), except, found);
            }
        }
        _ => {
            let shown = |value: Option<&Value>| match value {
                None | Some(Value::Null) => "nothing".to_owned(),
                Some(value) => {
                    let text = value.to_string();
                    let short: String = text.chars().take(60).collect();
                    if short.len() < text.len() { format!("{short}…") } else { text }
                }
            };
            found.push(format!("`{path}` is {} here and {} there", shown(one), shown(other)));
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn differences_name_paths_and_both_sides() {
        let one = json!({ "rfm": { "window": "all", "snapshots": "last" }, "score": { "bins": 5 }, "models": {} });
        let other = json!({ "rfm": { "window": "90d", "snapshots": "2011-01-01" }, "score": { "bins": 5 }, "models": 1 });
        let words = "`rfm.window` is \"all\" here and \"90d\" there";
        assert_eq!(differences(&one, &other, Which::Scores).unwrap(), words);
        assert_eq!(
            differences(&one, &other, Which::Everything).unwrap(),
            format!("{words}; `models` is {{}} here and 1 there")
        );
        assert_eq!(differences(&one, &one.clone(), Which::Everything), None);
    }
}
