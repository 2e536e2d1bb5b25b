//! Secrets that a URL may hold: credentials before an `@`, and what a signed one ends with. Neither is told to anybody.

use std::borrow::Cow;
use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A URL without its secrets.
pub(super) fn untold(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or_default();
    match url.split_once("://").map(|(scheme, rest)| (scheme, rest.split_once('/').unwrap_or((rest, "")))) {
        Some((scheme, (host, key))) if host.contains('@') => {
            format!("{scheme}://{}/{key}", host.rsplit('@').next().unwrap_or_default())
        }
        _ => url.to_owned(),
    }
}

/// A text whose URLs have stars in place of their secrets, as long as before, so that places in it stay true.
pub fn masked(text: &str) -> Cow<'_, str> {
    static SECRETS: LazyLock<Option<Regex>> = LazyLock::new(|| {
        let credentials = r#"(?P<before>[a-z][a-z0-9+]*://)(?P<secret>[^/\s"'\[\]]+)@"#;
        let signature = r#"(?P<url>https?://[^\s"'\[\]?,]+\?)(?P<signed>[^\s"'\[\],]+)"#;
        Regex::new(&format!("{credentials}|{signature}")).ok()
    });
    let Some(secrets) = &*SECRETS else { return Cow::Borrowed(text) };
    secrets.replace_all(text, |found: &Captures<'_>| {
        let stars = |name: &str| "*".repeat(found.name(name).map_or(0, |part| part.len()));
        let part = |name: &str| found.name(name).map_or("", |part| part.as_str()).to_owned();
        match found.name("secret") {
            Some(_) => part("before") + &stars("secret") + "@",
            None => part("url") + &stars("signed"),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::{masked, untold};

    #[test]
    fn secrets_of_a_url_are_not_told() {
        let cases = [
            ("https://x.org/a/b.csv?sig=hunter2", "https://x.org/a/b.csv", "https://x.org/a/b.csv?***********"),
            ("s3://key:hunter2@bucket/a", "s3://bucket/a", "s3://***********@bucket/a"),
            ("s3://bucket/a@b/c", "s3://bucket/a@b/c", "s3://bucket/a@b/c"),
        ];
        for (url, told, shown) in cases {
            assert_eq!(untold(url), told);
            let text = format!("paths: [\"{url}\", b] # é");
            assert_eq!(masked(&text), format!("paths: [\"{shown}\", b] # é"));
        }
    }
}
