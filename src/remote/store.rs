//! One place in a store, and what can be asked of it: the one file that names `object_store` and `reqwest` for data.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::stream::{BoxStream, StreamExt, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::path::Path as Key;
use object_store::{MultipartUpload, ObjectStore, ObjectStoreExt, PutPayload, RetryConfig};
use tokio::io::AsyncReadExt;
use url::Url;

use super::RemoteError;
use super::secret::untold;

/// Pieces in which a file is put; S3 takes none under 5 MiB but the last.
const PIECE: usize = 8 << 20;

/// Whether a path is a URL of a store or of the web.
pub fn is_remote(path: &str) -> bool {
    ["s3://", "gs://", "az://", "abfs://", "abfss://", "https://", "http://"]
        .iter()
        .any(|scheme| path.starts_with(scheme))
}

/// Bytes on their way.
type Bytes = BoxStream<'static, Result<Vec<u8>, RemoteError>>;

/// A place in a store, or a file on the web.
#[derive(Debug, Clone)]
pub struct Place {
    /// The URL as it was given.
    url: Url,
    /// The part of the URL that is a key: a file, a folder or a pattern.
    key: String,
    /// The store; none for the web.
    store: Option<Arc<dyn ObjectStore>>,
}

/// What stands in a store.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Object {
    /// Key, relative to the place.
    pub key: String,
    /// Size.
    pub bytes: u64,
    /// When it was written, in seconds since 1970.
    pub written: i64,
}

impl Place {
    /// The place of a URL.
    ///
    /// # Errors
    /// A URL that is none, that holds credentials, or whose store lacks settings.
    pub fn of(text: &str) -> Result<Self, RemoteError> {
        let wrong = |reason: String| RemoteError::Url { url: untold(text), reason };
        let url = Url::parse(text).map_err(|error| wrong(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(wrong(
                "credentials have no place in a URL; stores take them from the environment"
                    .to_owned(),
            ));
        }
        let bucket = url.host_str().unwrap_or_default().to_owned();
        if bucket.is_empty() {
            return Err(wrong("names no bucket".to_owned()));
        }
        // Text may hold characters that a URL writes in another way; keys are taken as they stand.
        let key = text
            .split_once("://")
            .and_then(|(_, rest)| rest.split_once('/'))
            .map_or("", |(_, key)| key)
            .to_owned();
        let retry = RetryConfig {
            max_retries: 4,
            retry_timeout: Duration::from_secs(30),
            ..RetryConfig::default()
        };
        let root = format!("{}://{bucket}", url.scheme());
        let store: Option<Result<Arc<dyn ObjectStore>, object_store::Error>> = match url.scheme() {
            "s3" => Some(
                AmazonS3Builder::from_env().with_url(root).with_retry(retry).build().map(shared),
            ),
            "gs" => Some(
                GoogleCloudStorageBuilder::from_env()
                    .with_url(root)
                    .with_retry(retry)
                    .build()
                    .map(shared),
            ),
            "az" | "abfs" | "abfss" => Some(
                MicrosoftAzureBuilder::from_env()
                    .with_url(root)
                    .with_retry(retry)
                    .build()
                    .map(shared),
            ),
            _ => None,
        };
        let store = store.transpose().map_err(|error| wrong(error.to_string()))?;
        Ok(Self { url, key, store })
    }

    /// Whether files can be put here.
    pub fn is_writable(&self) -> bool {
        self.store.is_some()
    }

    /// The URL of a key of this store, without what a signed one ends with.
    pub(super) fn url_of(&self, key: &str) -> String {
        match self.store {
            Some(_) => {
                format!("{}://{}/{key}", self.url.scheme(), self.url.host_str().unwrap_or_default())
            }
            None => untold(self.url.as_str()),
        }
    }

    /// The keys that the URL means, of this store.
    pub(super) async fn keys(
        &self,
        wanted: impl Fn(&str) -> bool,
    ) -> Result<Vec<String>, RemoteError> {
        let Some(store) = &self.store else {
            let name = self
                .url
                .path_segments()
                .and_then(|mut parts| parts.next_back())
                .unwrap_or_default();
            return Ok(vec![name.to_owned()]);
        };
        let pattern = self.key.contains(['*', '?', '[']);
        if !pattern
            && !self.key.is_empty()
            && !self.key.ends_with('/')
            && self.has_key(&self.key).await?
        {
            return Ok(vec![self.key.clone()]);
        }
        let begins = self.key.find(['*', '?', '[']).unwrap_or(self.key.len());
        let folder = match pattern {
            true => self.key[..begins].rsplit_once('/').map_or("", |(folder, _)| folder),
            false => self.key.trim_end_matches('/'),
        };
        let matches = glob::Pattern::new(&self.key).ok().filter(|_| pattern);
        let options =
            glob::MatchOptions { require_literal_separator: true, ..glob::MatchOptions::default() };
        let prefix = Some(key(folder)).filter(|_| !folder.is_empty());
        let listed: Vec<_> = store
            .list(prefix.as_ref())
            .try_collect()
            .await
            .map_err(|error| self.said(folder, &error))?;
        let keys = listed.into_iter().map(|object| object.location.to_string());
        Ok(keys
            .filter(|key| match &matches {
                Some(pattern) => pattern.matches_with(key, options),
                None => wanted(key.rsplit('/').next().unwrap_or_default()),
            })
            .collect())
    }

    /// The bytes of an object, by its whole key.
    pub(super) async fn get(&self, name: &str) -> Result<Bytes, RemoteError> {
        let url = self.url_of(name);
        let told = move |error: &dyn std::fmt::Display| RemoteError::Store {
            url: url.clone(),
            reason: error.to_string(),
        };
        match &self.store {
            Some(store) => {
                let bytes = store
                    .get(&key(name))
                    .await
                    .map_err(|error| self.said(name, &error))?
                    .into_stream();
                Ok(bytes
                    .map(move |piece| {
                        piece.map(|bytes| bytes.to_vec()).map_err(|error| told(&error))
                    })
                    .boxed())
            }
            None => {
                let client = reqwest::Client::builder()
                    .connect_timeout(Duration::from_secs(20))
                    .read_timeout(Duration::from_secs(60))
                    .build();
                let asked = client
                    .map_err(|error| told(&error.without_url()))?
                    .get(self.url.clone())
                    .send()
                    .await;
                let mut answer = asked
                    .and_then(|answer| answer.error_for_status())
                    .map_err(|error| told(&error.without_url()))?;
                let (send, receive) = tokio::sync::mpsc::channel(4);
                tokio::spawn(async move {
                    loop {
                        let piece = match answer.chunk().await {
                            Ok(None) => break,
                            Ok(Some(bytes)) => Ok(bytes.to_vec()),
                            Err(error) => Err(told(&error.without_url())),
                        };
                        if send.send(piece).await.is_err() {
                            break;
                        }
                    }
                });
                let next = |mut receive: tokio::sync::mpsc::Receiver<_>| async {
                    receive.recv().await.map(|piece| (piece, receive))
                };
                Ok(futures_util::stream::unfold(receive, next).boxed())
            }
        }
    }

    /// Whether something stands below this place.
    pub(super) async fn has(&self, name: &str) -> Result<bool, RemoteError> {
        self.has_key(&self.below(name)).await
    }

    async fn has_key(&self, whole: &str) -> Result<bool, RemoteError> {
        match self.store()?.head(&key(whole)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.said(whole, &error)),
        }
    }

    /// What stands below a folder of this place.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Object>, RemoteError> {
        let whole = self.below(folder);
        let prefix = Some(key(&whole)).filter(|_| !whole.is_empty());
        let listed: Vec<_> = self
            .store()?
            .list(prefix.as_ref())
            .try_collect()
            .await
            .map_err(|error| self.said(&whole, &error))?;
        let own = key(&self.key).to_string();
        Ok(listed
            .into_iter()
            .map(|object| Object {
                key: object
                    .location
                    .as_ref()
                    .strip_prefix(&own)
                    .unwrap_or_default()
                    .trim_start_matches('/')
                    .to_owned(),
                bytes: object.size,
                written: object.last_modified.timestamp(),
            })
            .collect())
    }

    /// Puts a file below this place; the object is there whole or not at all.
    pub(super) async fn put(&self, name: &str, path: &Path) -> Result<(), RemoteError> {
        let whole = self.below(name);
        let refused = |source| RemoteError::Scratch { path: path.to_owned(), source };
        let said = |error| self.said(&whole, &error);
        let store = self.store()?;
        let mut file = tokio::fs::File::open(path).await.map_err(refused)?;
        let mut left = file.metadata().await.map_err(refused)?.len();
        if left <= PIECE as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(refused)?;
            return store
                .put(&key(&whole), PutPayload::from(bytes))
                .await
                .map(|_| ())
                .map_err(said);
        }
        let mut upload: Box<dyn MultipartUpload> =
            store.put_multipart(&key(&whole)).await.map_err(said)?;
        while left > 0 {
            let mut bytes = vec![0; left.min(PIECE as u64) as usize];
            file.read_exact(&mut bytes).await.map_err(refused)?;
            left -= bytes.len() as u64;
            upload.put_part(PutPayload::from(bytes)).await.map_err(said)?;
        }
        upload.complete().await.map(|_| ()).map_err(said)
    }

    /// Removes what stands below this place.
    pub(super) async fn remove(&self, name: &str) -> Result<(), RemoteError> {
        let whole = self.below(name);
        self.store()?.delete(&key(&whole)).await.map_err(|error| self.said(&whole, &error))
    }

    fn store(&self) -> Result<&Arc<dyn ObjectStore>, RemoteError> {
        let reason = "the web is only read from".to_owned();
        self.store
            .as_ref()
            .ok_or_else(|| RemoteError::Url { url: untold(self.url.as_str()), reason })
    }

    /// The whole key of what stands below this place.
    pub(super) fn below(&self, name: &str) -> String {
        format!("{}/{name}", self.key.trim_end_matches('/')).trim_start_matches('/').to_owned()
    }

    fn said(&self, whole: &str, error: &object_store::Error) -> RemoteError {
        let mut reason = error.to_string();
        // The cause that tells most stands last.
        let mut cause = std::error::Error::source(error);
        while let Some(next) = cause {
            reason = next.to_string();
            cause = next.source();
        }
        if reason.contains("URL scheme is not allowed") {
            reason += ": AWS_ALLOW_HTTP=true allows an endpoint without TLS";
        }
        // Of an answer in XML its code is enough.
        if let Some((words, xml)) = reason.split_once(": <?xml") {
            let code = xml
                .split_once("<Code>")
                .and_then(|(_, rest)| rest.split_once("</Code>"))
                .map_or("", |(code, _)| code);
            reason = format!("{words} {code}").trim_end().to_owned();
        }
        RemoteError::Store { url: self.url_of(whole), reason }
    }
}

fn shared(store: impl ObjectStore) -> Arc<dyn ObjectStore> {
    Arc::new(store)
}

/// A key as stores spell it.
fn key(text: &str) -> Key {
    // What cannot be spelled as it stands is spelled as it can.
    Key::parse(text.trim_end_matches('/')).unwrap_or_else(|_| Key::from(text))
}
