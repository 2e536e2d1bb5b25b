//! Moments that are text, by the formats that the pipeline declares.

use super::text;

/// The expression for a cell of text as a moment, null where it is none of that format; `None` for a format that has parts of which
/// engines think differently: names of months, two digits for a year, fractions, zones.
pub(super) fn moment(format: &str, cell: &str) -> Option<String> {
    let (mut pattern, mut order) = (String::from("^"), Vec::new());
    let mut chars = format.chars();
    while let Some(c) = chars.next() {
        let parts: &[char] = match c {
            '%' => match chars.next()? {
                'F' => &['Y', '-', 'm', '-', 'd'],
                'T' => &['H', ':', 'M', ':', 'S'],
                'R' => &['H', ':', 'M'],
                '%' => &['%'],
                field if "YmdHMS".contains(field) => {
                    order.push(field);
                    pattern.push_str(digits(field));
                    continue;
                }
                _ => return None,
            },
            c if c.is_ascii_alphanumeric() || " /-.:,_".contains(c) => {
                pattern.push_str(&literal(c));
                continue;
            }
            _ => return None,
        };
        for part in parts {
            match "YmdHMS".contains(*part) {
                true => {
                    order.push(*part);
                    pattern.push_str(digits(*part));
                }
                false => pattern.push_str(&literal(*part)),
            }
        }
    }
    pattern.push_str("\\z");
    let pattern = text::quoted(&pattern);
    let mut sorted = order.clone();
    sorted.sort_unstable();
    sorted.dedup();
    if sorted.len() != order.len() || !['Y', 'm', 'd'].iter().all(|field| order.contains(field)) {
        return None;
    }
    let of = |field: char| match order.iter().position(|other| *other == field) {
        Some(at) => format!("lpad(regexp_extract({cell}, {pattern}, {}), 2, '0')", at + 1),
        None => "'00'".to_owned(),
    };
    let year = of('Y').replace(", 2, '0')", ", 4, '0')");
    let whole = format!(
        "concat({year}, '-', {}, '-', {}, ' ', {}, ':', {}, ':', {})",
        of('m'),
        of('d'),
        of('H'),
        of('M'),
        of('S')
    );
    Some(format!("TRY_CAST({whole} AS TIMESTAMP_NTZ)"))
}

fn digits(field: char) -> &'static str {
    if field == 'Y' { "([0-9]{4})" } else { "([0-9]{1,2})" }
}

/// A character as a pattern that means itself.
fn literal(c: char) -> String {
    if c == '.' { "[.]".to_owned() } else { c.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_plain_parts_have_a_form() {
        for format in ["%Y-%m-%d", "%m/%d/%Y %H:%M", "%F %T", "%d.%m.%Y"] {
            assert!(moment(format, "c").is_some(), "{format}");
        }
        for format in ["%d %b %Y", "%y-%m-%d", "%Y-%m-%dT%H:%M:%S%z", "%H:%M", "%Y-%m-%d %d", "%s"] {
            assert!(moment(format, "c").is_none(), "{format}");
        }
    }
}
