//! Moments that are text, by the formats that the pipeline declares.

use super::text;

/// The expression for a cell of text as a moment, null where it is none of that format; `None` for a format that has parts of which
/// engines think differently: names of months, two digits for a year, fractions, zones.
pub(super) fn moment(format: &str, cell: &str) -> Option<String> {
    let spelled = format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").replace("%R", "%H:%M");
    let (mut pattern, mut order) = (String::from("^"), Vec::new());
    let mut chars = spelled.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => {
                let field = chars.next().filter(|field| "YmdHMS".contains(*field))?;
                order.push(field);
                pattern.push_str(if field == 'Y' { "([0-9]{4})" } else { "([0-9]{1,2})" });
            }
            '.' => pattern.push_str("[.]"),
            c if c.is_ascii_alphanumeric() || " /-:,_".contains(c) => pattern.push(c),
            _ => return None,
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
    let of = |field: char, width: usize| match order.iter().position(|other| *other == field) {
        Some(at) => format!("lpad(regexp_extract({cell}, {pattern}, {}), {width}, '0')", at + 1),
        None => "'00'".to_owned(),
    };
    let [year, month, day] = [of('Y', 4), of('m', 2), of('d', 2)];
    let [hour, minute, second] = ['H', 'M', 'S'].map(|field| of(field, 2));
    Some(format!(
        "TRY_CAST(concat({year}, '-', {month}, '-', {day}, ' ', {hour}, ':', {minute}, ':', {second}) AS TIMESTAMP_NTZ)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formats_of_plain_parts_have_a_form() {
        for format in ["%Y-%m-%d", "%m/%d/%Y %H:%M", "%F %T", "%d.%m.%Y"] {
            assert!(moment(format, "c").is_some(), "{format}");
        }
        for format in [
            "%d %b %Y",
            "%y-%m-%d",
            "%Y-%m-%dT%H:%M:%S%z",
            "%H:%M",
            "%Y-%m-%d %d",
            "%s",
            "%%F %Y-%m-%d",
        ] {
            assert!(moment(format, "c").is_none(), "{format}");
        }
    }
}
