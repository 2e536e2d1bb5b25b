//! `remote`: files that stand in object stores (`s3://`, `gs://`, `az://`) or on the web (`https://`). What is read is fetched once, into
//! scratch of this machine, so that it is hashed and scanned as any file is; what is written is put there once it is whole.
//!
//! Credentials come from the environment, as the stores' own tools take them (`AWS_ACCESS_KEY_ID`, `AWS_ENDPOINT_URL`,
//! `GOOGLE_SERVICE_ACCOUNT`, `AZURE_STORAGE_ACCOUNT_NAME` …); a URL that holds some is refused.

use std::future::Future;
use std::path::{Path, PathBuf};

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::AsyncWriteExt;

mod secret;
mod store;

pub use secret::masked;
pub use store::{Object, Place, is_remote};

/// How many files are on their way at once.
const AT_ONCE: usize = 8;

/// The scheme of what looks like a URL, but of no store: it would be taken for the name of a folder.
pub fn strange_scheme(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once("://")?;
    let is_scheme = scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c))
        && !scheme.is_empty();
    Some(scheme).filter(|_| is_scheme && !is_remote(path))
}

/// What schemes there are, in words.
pub const SCHEMES: &str =
    "expected a path, or a URL that begins with s3://, gs://, az:// or https://";

/// Why something remote cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The URL is none, or none of these stores.
    #[error("`{url}`: {reason}")]
    Url {
        /// The URL.
        url: String,
        /// What is wrong with it.
        reason: String,
    },
    /// The store refused, or could not be reached.
    #[error("{url}: {reason}")]
    Store {
        /// What was asked for.
        url: String,
        /// What it said.
        reason: String,
    },
    /// Scratch could not be written.
    #[error("{}: {source}", path.display())]
    Scratch {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
}

/// A file that was fetched.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fetched {
    /// Its URL, without what a signed one ends with.
    pub url: String,
    /// Where it is now.
    pub path: PathBuf,
}

/// Fetches the files that a URL means, sorted, into a folder, under the names that they have in their store: one object; with a
/// wildcard, all that match; with a slash at its end, all below it that `wanted` takes by name. On the web it is one file.
///
/// # Errors
/// What the store says. Where nothing is there, nothing is fetched.
pub fn fetch(
    url: &str,
    into: &Path,
    wanted: impl Fn(&str) -> bool,
) -> Result<Vec<Fetched>, RemoteError> {
    let place = Place::of(url)?;
    blocking(async {
        let keys = place.keys(wanted).await?;
        let files = keys.into_iter().map(|key| {
            let fetched = Fetched { url: place.url_of(&key), path: into.join(&key) };
            let place = &place;
            async move {
                download(place, &key, &fetched.path).await?;
                Ok(fetched)
            }
        });
        let mut files: Vec<Fetched> =
            stream::iter(files).buffer_unordered(AT_ONCE).try_collect().await?;
        files.sort_by(|a, b| a.url.cmp(&b.url));
        Ok(files)
    })
}

/// Fetches one object below a place into a file; tells whether it was there.
///
/// # Errors
/// What the store says.
pub fn fetch_one(place: &Place, key: &str, path: &Path) -> Result<bool, RemoteError> {
    blocking(async {
        match place.has(key).await? {
            true => download(place, &place.below(key), path).await.map(|()| true),
            false => Ok(false),
        }
    })
}

/// Puts files below a place, side by side.
///
/// # Errors
/// What the store says.
pub fn put_all(place: &Place, files: Vec<(String, PathBuf)>) -> Result<(), RemoteError> {
    blocking(async {
        let puts = files.iter().map(|(key, path)| place.put(key, path));
        stream::iter(puts).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(|_| ())
    })
}

/// What stands below a place: keys relative to it, with sizes and when they were written, in seconds.
///
/// # Errors
/// What the store says.
pub fn list(place: &Place, below: &str) -> Result<Vec<Object>, RemoteError> {
    blocking(place.list(below))
}

/// Removes objects below a place.
///
/// # Errors
/// What the store says.
pub fn remove(place: &Place, keys: Vec<String>) -> Result<(), RemoteError> {
    blocking(async {
        let gone = keys.iter().map(|key| place.remove(key));
        stream::iter(gone).buffer_unordered(AT_ONCE).try_collect::<Vec<()>>().await.map(|_| ())
    })
}

/// Fetches an object by its whole key.
async fn download(place: &Place, key: &str, path: &Path) -> Result<(), RemoteError> {
    let refused = |source| RemoteError::Scratch { path: path.to_owned(), source };
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(refused)?;
    }
    let mut file = tokio::fs::File::create(path).await.map_err(refused)?;
    let mut bytes = place.get(key).await?;
    while let Some(piece) = bytes.next().await {
        file.write_all(&piece?).await.map_err(refused)?;
    }
    file.flush().await.map_err(refused)
}

/// Waits for what stores answer; their clients know no other way than to be waited for.
fn blocking<T>(work: impl Future<Output = Result<T, RemoteError>>) -> Result<T, RemoteError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime =
        runtime.map_err(|source| RemoteError::Scratch { path: PathBuf::new(), source })?;
    runtime.block_on(work)
}
