//! `remote`: files in object stores (`s3://`, `gs://`, `az://`) or on the web (`https://`).
//!
//! Sources are downloaded completely into a temporary folder, then hashed and scanned like local
//! files. Results are uploaded once they are complete. Credentials come from the environment
//! variables of the stores' own tools (`AWS_ACCESS_KEY_ID`, `GOOGLE_SERVICE_ACCOUNT`, …).

use std::future::Future;
use std::path::{Path, PathBuf};
use std::time::Duration;

use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::io::AsyncWriteExt;
use tokio::time::timeout;

mod secret;
mod store;

pub(crate) use secret::masked;
pub(crate) use store::{Object, ObjectLocation, is_remote};

const CONCURRENCY: usize = 8;
/// A download fails if no data arrives for this long. The stores' own requests time out earlier.
const STALL_TIMEOUT: Duration = Duration::from_secs(120);

/// Hint for [`unsupported_scheme`].
pub(crate) const SCHEMES: &str =
    "expected a path, or a URL that begins with s3://, gs://, az:// or https://";

/// The scheme of a URL that is not supported: without this check it would be read as a folder name.
pub(crate) fn unsupported_scheme(path: &str) -> Option<&str> {
    let (scheme, _) = path.split_once("://")?;
    let is_scheme = !scheme.is_empty()
        && scheme.chars().all(|c| c.is_ascii_alphanumeric() || "+-.".contains(c));
    (is_scheme && !is_remote(path)).then_some(scheme)
}

#[derive(Debug, thiserror::Error)]
pub enum RemoteError {
    /// The URL is invalid, or its store is not configured.
    #[error("`{url}`: {reason}")]
    Url { url: String, reason: String },
    /// The store rejected the request, or could not be reached.
    #[error("{url}: {reason}")]
    Store { url: String, reason: String },
    /// A local file cannot be read or written.
    #[error("{}: {source}", path.display())]
    Local { path: PathBuf, source: std::io::Error },
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Fetched {
    /// Its URL, without credentials and query.
    pub(crate) url: String,
    pub(crate) path: PathBuf,
}

/// The objects that a URL means.
#[derive(Debug)]
pub(crate) struct Found {
    location: ObjectLocation,
    pub(crate) keys: Vec<String>,
}

/// Finds the objects of a URL, which names one object, a pattern with wildcards, or a folder. A web
/// URL is always one file. No match gives no keys.
///
/// `is_wanted` selects objects in a folder by their path below it. Its second argument is true for
/// patterns, of which the objects must match, too.
pub(crate) fn find(
    url: &str,
    is_wanted: impl Fn(&str, bool) -> bool,
) -> Result<Found, RemoteError> {
    let location = ObjectLocation::parse(url)?;
    let keys = block_on(location.matching_keys(is_wanted))?;
    Ok(Found { location, keys })
}

/// Downloads objects into a folder, under their keys, and returns them sorted by URL.
pub(crate) fn fetch(
    Found { location, keys }: Found,
    into: &Path,
) -> Result<Vec<Fetched>, RemoteError> {
    block_on(async {
        let downloads = keys.into_iter().map(|key| {
            let fetched = Fetched { url: location.url_of(&key), path: into.join(&key) };
            let location = &location;
            async move { download(location, &key, &fetched.path).await.map(|()| fetched) }
        });
        let mut files: Vec<Fetched> =
            stream::iter(downloads).buffer_unordered(CONCURRENCY).try_collect().await?;
        files.sort_by(|a, b| a.url.cmp(&b.url));
        Ok(files)
    })
}

/// Downloads one object below a location into a file. Returns false if the object does not exist.
pub(crate) fn fetch_one(
    location: &ObjectLocation,
    name: &str,
    path: &Path,
) -> Result<bool, RemoteError> {
    block_on(async {
        let key = location.key_of(name);
        let exists = location.exists(&key).await?;
        if exists {
            download(location, &key, path).await?;
        }
        Ok(exists)
    })
}

/// Uploads files, given as (name below the location, local path), concurrently.
pub(crate) fn put_all(
    location: &ObjectLocation,
    files: Vec<(String, PathBuf)>,
) -> Result<(), RemoteError> {
    block_on(async {
        let uploads = files.iter().map(|(name, path)| location.put(name, path));
        stream::iter(uploads).buffer_unordered(CONCURRENCY).try_collect().await
    })
}

/// Lists the objects in a folder below a location; their keys are relative to the location.
pub(crate) fn list(location: &ObjectLocation, folder: &str) -> Result<Vec<Object>, RemoteError> {
    block_on(location.list(folder))
}

/// Removes objects below a location.
pub(crate) fn remove(location: &ObjectLocation, names: Vec<String>) -> Result<(), RemoteError> {
    block_on(async {
        let removals = names.iter().map(|name| location.remove(name));
        stream::iter(removals).buffer_unordered(CONCURRENCY).try_collect().await
    })
}

async fn download(location: &ObjectLocation, key: &str, path: &Path) -> Result<(), RemoteError> {
    let local = |source| RemoteError::Local { path: path.to_owned(), source };
    let stalled = |_| RemoteError::Store {
        url: location.url_of(key),
        reason: format!("no data for {} s", STALL_TIMEOUT.as_secs()),
    };
    if let Some(parent) = path.parent() {
        tokio::fs::create_dir_all(parent).await.map_err(local)?;
    }
    let mut file = tokio::fs::File::create(path).await.map_err(local)?;
    let mut chunks = timeout(STALL_TIMEOUT, location.get(key)).await.map_err(stalled)??;
    while let Some(chunk) = timeout(STALL_TIMEOUT, chunks.next()).await.map_err(stalled)? {
        file.write_all(chunk?.as_ref()).await.map_err(local)?;
    }
    file.flush().await.map_err(local)
}

/// Runs a future on a runtime of its own: the stores' clients are asynchronous only.
fn block_on<T>(work: impl Future<Output = Result<T, RemoteError>>) -> Result<T, RemoteError> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(2).enable_all().build();
    let runtime = runtime.map_err(|source| RemoteError::Local { path: PathBuf::new(), source })?;
    runtime.block_on(work)
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::io::{BufRead, BufReader, Write};
    use std::net::TcpListener;
    use std::thread;

    use super::{Fetched, RemoteError, fetch, find};

    /// Fetches `/shop.csv?sig=hunter2` from a web server that sends one fixed response.
    fn fetch_response(response: &'static str) -> Result<(String, String), RemoteError> {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://{}/shop.csv?sig=hunter2", listener.local_addr().unwrap());
        let server = thread::spawn(move || {
            let (mut connection, _) = listener.accept().unwrap();
            let lines = BufReader::new(connection.try_clone().unwrap()).lines();
            let request: Vec<String> =
                lines.map(Result::unwrap).take_while(|line| !line.is_empty()).collect();
            connection.write_all(response.as_bytes()).unwrap();
            request[0].clone()
        });
        let folder = tempfile::tempdir().unwrap();
        let files = find(&url, |_, _| true).and_then(|found| fetch(found, folder.path()));
        let request = server.join().unwrap();
        assert_eq!(request, "GET /shop.csv?sig=hunter2 HTTP/1.1");
        let Fetched { url, path } = files?.remove(0);
        Ok((url, fs::read_to_string(path).unwrap()))
    }

    #[test]
    fn web_files_are_fetched_with_and_without_content_length() {
        for response in [
            "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\na,b\n",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nETag: \"e\"\r\n\
             Last-Modified: yesterday\r\n\r\n4\r\na,b\n\r\n0\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\na,b\n",
        ] {
            let (url, text) = fetch_response(response).unwrap();
            assert!(url.ends_with("/shop.csv"), "{url}");
            assert_eq!(text, "a,b\n");
        }
    }

    #[test]
    fn truncated_and_missing_web_files_are_errors_without_secrets() {
        for (response, reason) in [
            ("HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\na,b\n", ""),
            ("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n4\r\na,b\n\r\n", ""),
            (
                "HTTP/1.1 404 Not Found\r\nContent-Length: 17\r\n\r\n<p>?sig=hunter2\r\n",
                "server returned 404 Not Found",
            ),
        ] {
            let error = fetch_response(response).unwrap_err().to_string();
            assert!(error.contains("/shop.csv: ") && error.ends_with(reason), "{error}");
            assert!(!error.contains("hunter2"), "{error}");
        }
    }
}
