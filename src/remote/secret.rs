//! Secrets in URLs: credentials before an `@`, and the query of a signed URL. Neither is shown.

use std::sync::LazyLock;

use regex::{Captures, Regex};

/// A URL without credentials, query and fragment.
pub(super) fn without_secrets(url: &str) -> String {
    let url = url.split(['?', '#']).next().unwrap_or(url);
    let Some((scheme, rest)) = url.split_once("://") else { return url.to_owned() };
    let (authority, key) = rest.split_once('/').unwrap_or((rest, ""));
    match authority.rsplit_once('@') {
        Some((_, host)) => format!("{scheme}://{host}/{key}"),
        None => url.to_owned(),
    }
}

/// Replaces secrets in the URLs of a text with stars. The length is kept, so that spans stay valid.
pub(crate) fn masked(text: &str) -> String {
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
    let with_stars = |captures: &Captures<'_>| {
        let stars = "*".repeat(captures["secret"].len());
        format!("{}{stars}{}", &captures["before"], &captures["after"])
    };
    SECRETS
        .iter()
        .fold(text.to_owned(), |text, secret| secret.replace_all(&text, with_stars).into_owned())
}

#[cfg(test)]
mod tests {
    use super::{masked, without_secrets};

    #[test]
    fn secrets_of_urls_are_removed_or_masked() {
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
        for (url, without, shown) in cases {
            assert_eq!(without_secrets(url), without);
            let text = format!("paths: [\"{url}\", b] # é");
            assert_eq!(masked(&text), format!("paths: [\"{shown}\", b] # é"));
        }
    }
}
