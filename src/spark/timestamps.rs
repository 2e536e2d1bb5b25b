//! SQL that parses text cells with the declared timestamp formats.

use super::text;

/// The SQL expression that parses a text cell as a timestamp, null if the text does not match.
///
/// `None` for a format that engines interpret differently: month names, two-digit years, fractions
/// and zones.
pub(super) fn parse_sql(format: &str, cell: &str) -> Option<String> {
    let spelled_out =
        format.replace("%F", "%Y-%m-%d").replace("%T", "%H:%M:%S").replace("%R", "%H:%M");
    let mut pattern = String::from("^");
    let mut fields = Vec::new();
    let mut chars = spelled_out.chars();
    while let Some(c) = chars.next() {
        match c {
            '%' => {
                let field = chars.next().filter(|field| "YmdHMS".contains(*field))?;
                if fields.contains(&field) {
                    return None;
                }
                fields.push(field);
                pattern.push_str(if field == 'Y' { "([0-9]{4})" } else { "([0-9]{1,2})" });
            }
            '.' => pattern.push_str("[.]"),
            c if c.is_ascii_alphanumeric() || " /-:,_".contains(c) => pattern.push(c),
            _ => return None,
        }
    }
    if !['Y', 'm', 'd'].iter().all(|field| fields.contains(field)) {
        return None;
    }
    pattern.push_str("\\z");
    let pattern = text::quoted(&pattern);
    let padded = |field: char, width: usize| {
        let group = fields.iter().position(|other| *other == field).map(|index| index + 1);
        group.map_or("'00'".to_owned(), |group| {
            format!("lpad(regexp_extract({cell}, {pattern}, {group}), {width}, '0')")
        })
    };
    let year = padded('Y', 4);
    let [month, day, hour, minute, second] =
        ['m', 'd', 'H', 'M', 'S'].map(|field| padded(field, 2));
    Some(format!(
        "TRY_CAST(concat({year}, '-', {month}, '-', {day}, ' ', {hour}, ':', {minute}, ':', \
         {second}) AS TIMESTAMP_NTZ)"
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_formats_of_plain_numbers_are_supported() {
        for format in ["%Y-%m-%d", "%m/%d/%Y %H:%M", "%F %T", "%d.%m.%Y"] {
            assert!(parse_sql(format, "c").is_some(), "{format}");
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
            assert!(parse_sql(format, "c").is_none(), "{format}");
        }
    }
}
