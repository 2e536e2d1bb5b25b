//! Secrets that a URL may hold: credentials before an `@`, and what a signed one ends with. Neither is told to anybody.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A URL without its secrets.
pub(super) fn untold(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url
        .split_once("://")
        .map(|(scheme, rest)| (scheme, rest.split_once('/').unwrap_or((rest, ""))))
    {
        Some((scheme, (host, key))) if host.contains('@') => {
            format!("{scheme}://{}/{key}", host.rsplit('@').next().unwrap_or_default())
        }
        _ => url.to_owned(),
    }
}

/// A text whose URLs have stars in place of their secrets, as long as before, so that places in it stay true.
pub fn masked(text: &str) -> String {
    static SECRETS: LazyLock<Vec<Regex>> = LazyLock::new(|| {
        let credentials =
            r#"(?i)(?P<before>[a-z][a-z0-9+]*://)(?P<secret>[^/\s"'\[\]]+)(?P<after>@)"#;
        let signature =
            r#"(?i)(?P<before>https?://[^\s"'\[\]?,]+\?)(?P<secret>[^\s"'\[\]]+)(?P<after>)"#;
        [credentials, signature]
            .into_iter()
            .filter_map(|pattern| Regex::new(pattern).ok())
            .collect()
    });
    SECRETS.iter().fold(text.to_owned(), |text, secrets| {
        let stars = |found: &Captures<'_>| {
            let part = |name: &str| found.name(name).map_or("", |part| part.as_str());
            format!("{}{}{}", part("before"), "*".repeat(part("secret").len()), part("after"))
        };
        secrets.replace_all(&text, stars).into_owned()
    })
}

#[cfg(test)]
mod tests {
    use super::{masked, untold};

    #[test]
    fn secrets_of_a_url_are_not_told() {
        let cases = [
            (
                "https://x.org/a/b.csv?sig=hunter2",
                "https://x.org/a/b.csv",
                "https://x.org/a/b.csv?***********",
            ),
            ("s3://key:hunter2@bucket/a", "s3://bucket/a", "s3://***********@bucket/a"),
            (
                "https://me:hunter2@x.org/a?b=c,d",
                "https://x.org/a",
                "https://**********@x.org/a?*****",
            ),
            ("s3://bucket/a@b/c", "s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ];
        for (url, told, shown) in cases {
            assert_eq!(untold(url), told);
            let text = format!("paths: [\"{url}\", b] # é");
            assert_eq!(masked(&text), format!("paths: [\"{shown}\", b] # é"));
        }
    }
}
