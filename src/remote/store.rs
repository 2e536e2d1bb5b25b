//! Locations in object stores and on the web. Only this file uses `object_store`.

use std::error::Error;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::BoxFuture;
use futures_util::stream::{Stream, TryStreamExt};
use object_store::aws::AmazonS3Builder;
use object_store::azure::MicrosoftAzureBuilder;
use object_store::client::{
    HttpClient, HttpConnector, HttpError, HttpRequest, HttpResponse, HttpService, ReqwestConnector,
};
use object_store::gcp::GoogleCloudStorageBuilder;
use object_store::http::HttpBuilder;
use object_store::path::Path as ObjectPath;
use object_store::{
    ClientOptions, HeaderValue, MultipartUpload, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutPayload, RetryConfig,
};
use tokio::io::AsyncReadExt;
use url::Url;

use super::RemoteError;
use super::secret::without_secrets;

/// Part size of a multipart upload in bytes. S3 requires at least 5 MiB for all but the last part.
const PART_BYTES: usize = 8 << 20;

const WILDCARDS: [char; 3] = ['*', '?', '['];

/// Whether a path is a URL of a supported store or of the web.
pub(crate) fn is_remote(path: &str) -> bool {
    ["s3://", "gs://", "az://", "abfs://", "abfss://", "https://", "http://"]
        .iter()
        .any(|scheme| path.starts_with(scheme))
}

/// A folder, object or pattern in a store, or a file on the web.
#[derive(Debug, Clone)]
pub struct ObjectLocation {
    url: Url,
    /// The part of the URL after the bucket, not percent-decoded.
    key: String,
    /// The bucket; for a web URL a store whose root is the file itself.
    store: Arc<dyn ObjectStore>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Object {
    /// Key, relative to the location that was listed.
    pub(crate) key: String,
    pub(crate) bytes: u64,
    /// Last modification, in seconds since 1970.
    pub(crate) modified: i64,
}

impl ObjectLocation {
    /// # Errors
    /// An invalid URL, one with credentials, or a store whose settings are missing.
    pub(crate) fn parse(text: &str) -> Result<Self, RemoteError> {
        let invalid = |reason: String| RemoteError::Url { url: without_secrets(text), reason };
        let url = Url::parse(text).map_err(|error| invalid(error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            let reason = "credentials in a URL are not supported; set them in the environment";
            return Err(invalid(reason.to_owned()));
        }
        if url.host_str().is_none_or(str::is_empty) {
            return Err(invalid("the bucket is missing".to_owned()));
        }
        let store = open(&url).map_err(|error| invalid(error.to_string()))?;
        // Not `url.path()`, which percent-encodes characters that are part of the key.
        let key = text.splitn(4, '/').nth(3).unwrap_or("").to_owned();
        Ok(Self { url, key, store })
    }

    /// Web files cannot be written.
    pub(crate) fn is_web(&self) -> bool {
        matches!(self.url.scheme(), "http" | "https")
    }

    /// The URL of a key of this store, without credentials and query.
    pub(super) fn url_of(&self, key: &str) -> String {
        if self.is_web() {
            without_secrets(self.url.as_str())
        } else {
            format!("{}://{}/{key}", self.url.scheme(), self.url.authority())
        }
    }

    /// The key of a name below this location.
    pub(super) fn key_of(&self, name: &str) -> String {
        format!("{}/{name}", self.key.trim_end_matches('/')).trim_start_matches('/').to_owned()
    }

    /// The keys that the URL means: see [`super::fetch`].
    pub(super) async fn matching_keys(
        &self,
        is_wanted: impl Fn(&str, bool) -> bool,
    ) -> Result<Vec<String>, RemoteError> {
        if self.is_web() {
            return Ok(vec![file_name(self.url.path()).to_owned()]);
        }
        let wildcard = self.key.find(WILDCARDS);
        let is_object = wildcard.is_none() && !self.key.is_empty() && !self.key.ends_with('/');
        if is_object && self.exists(&self.key).await? {
            return Ok(vec![self.key.clone()]);
        }
        let pattern = glob::Pattern::new(&self.key).map_err(|error| RemoteError::Url {
            url: self.url_of(&self.key),
            reason: error.to_string(),
        })?;
        let options = glob::MatchOptions { require_literal_separator: true, ..Default::default() };
        let folder = match wildcard {
            Some(start) => self.key[..start].rsplit_once('/').map_or("", |(folder, _)| folder),
            None => self.key.trim_end_matches('/'),
        };
        let objects = self.objects_in(folder).await?.into_iter();
        let keys = objects.map(|object| object.location.to_string()).filter(|key| {
            let below = key.strip_prefix(folder).unwrap_or(key).trim_start_matches('/');
            let is_pattern = wildcard.is_some();
            is_wanted(below, is_pattern) && (!is_pattern || pattern.matches_with(key, options))
        });
        Ok(keys.collect())
    }

    async fn objects_in(&self, folder: &str) -> Result<Vec<ObjectMeta>, RemoteError> {
        let prefix = (!folder.is_empty()).then(|| object_path(folder));
        let objects = self.store.list(prefix.as_ref()).try_collect().await;
        objects.map_err(|error| self.error(folder, &error))
    }

    /// The content of an object. An incomplete response ends with an error.
    pub(super) async fn get(
        &self,
        key: &str,
    ) -> Result<impl Stream<Item = Result<impl AsRef<[u8]>, RemoteError>> + Unpin, RemoteError>
    {
        let path = if self.is_web() { ObjectPath::ROOT } else { object_path(key) };
        let content = self.store.get(&path).await.map_err(|error| self.error(key, &error))?;
        Ok(content.into_stream().map_err(move |error| self.error(key, &error)))
    }

    pub(super) async fn exists(&self, key: &str) -> Result<bool, RemoteError> {
        match self.store.head(&object_path(key)).await {
            Ok(_) => Ok(true),
            Err(object_store::Error::NotFound { .. }) => Ok(false),
            Err(error) => Err(self.error(key, &error)),
        }
    }

    /// The objects in a folder below this location.
    pub(super) async fn list(&self, folder: &str) -> Result<Vec<Object>, RemoteError> {
        let objects = self.objects_in(&self.key_of(folder)).await?;
        let root = object_path(&self.key).to_string();
        let relative = |object: ObjectMeta| {
            let key = object.location.as_ref().strip_prefix(&root)?.trim_start_matches('/');
            let modified = object.last_modified.timestamp();
            Some(Object { key: key.to_owned(), bytes: object.size, modified })
        };
        Ok(objects.into_iter().filter_map(relative).collect())
    }

    /// Uploads a file below this location. The object appears complete or not at all.
    pub(super) async fn put(&self, name: &str, path: &Path) -> Result<(), RemoteError> {
        let key = self.key_of(name);
        let local = |source| RemoteError::Local { path: path.to_owned(), source };
        let remote = |error| self.error(&key, &error);
        let mut file = tokio::fs::File::open(path).await.map_err(local)?;
        let mut remaining = file.metadata().await.map_err(local)?.len();
        if remaining <= PART_BYTES as u64 {
            let mut bytes = Vec::new();
            file.read_to_end(&mut bytes).await.map_err(local)?;
            let put = self.store.put(&object_path(&key), PutPayload::from(bytes)).await;
            return put.map(|_| ()).map_err(remote);
        }
        let mut upload: Box<dyn MultipartUpload> =
            self.store.put_multipart(&object_path(&key)).await.map_err(remote)?;
        while remaining > 0 {
            let mut bytes = vec![0; remaining.min(PART_BYTES as u64) as usize];
            file.read_exact(&mut bytes).await.map_err(local)?;
            remaining -= bytes.len() as u64;
            upload.put_part(PutPayload::from(bytes)).await.map_err(remote)?;
        }
        upload.complete().await.map(|_| ()).map_err(remote)
    }

    pub(super) async fn remove(&self, name: &str) -> Result<(), RemoteError> {
        let key = self.key_of(name);
        self.store.delete(&object_path(&key)).await.map_err(|error| self.error(&key, &error))
    }

    /// Describes an error by its innermost cause. Response bodies are left out for web files: they
    /// are pages for people and may repeat the URL with its secrets.
    fn error(&self, key: &str, error: &object_store::Error) -> RemoteError {
        const STATUS: &str = "Server returned non-2xx status code: ";
        let mut cause: &dyn Error = error;
        while let Some(source) = cause.source() {
            cause = source;
        }
        let mut reason = cause.to_string();
        if reason.contains("URL scheme is not allowed") {
            reason += ": set AWS_ALLOW_HTTP=true to allow an endpoint without TLS";
        }
        if let Some(response) = reason.strip_prefix(STATUS) {
            let (status, body) = response.split_once(": ").unwrap_or((response, ""));
            let detail = xml_code(body).unwrap_or(if self.is_web() { "" } else { body });
            reason = format!("server returned {status} {detail}").trim_end().to_owned();
        }
        RemoteError::Store { url: self.url_of(key), reason }
    }
}

fn file_name(path: &str) -> &str {
    path.rsplit_once('/').map_or(path, |(_, name)| name)
}

/// The error code of a store's XML response.
fn xml_code(body: &str) -> Option<&str> {
    let (_, rest) = body.split_once("<Code>")?;
    rest.split_once("</Code>").map(|(code, _)| code)
}

/// Keys are used literally if they are valid object paths, and percent-encoded otherwise.
fn object_path(key: &str) -> ObjectPath {
    ObjectPath::parse(key.trim_end_matches('/')).unwrap_or_else(|_| ObjectPath::from(key))
}

fn open(url: &Url) -> object_store::Result<Arc<dyn ObjectStore>> {
    let retry_timeout = Duration::from_secs(30);
    let retry = RetryConfig { max_retries: 4, retry_timeout, ..RetryConfig::default() };
    let bucket = format!("{}://{}", url.scheme(), url.authority());
    Ok(match url.scheme() {
        "s3" => Arc::new(AmazonS3Builder::from_env().with_url(bucket).with_retry(retry).build()?),
        "gs" => {
            let builder = GoogleCloudStorageBuilder::from_env();
            Arc::new(builder.with_url(bucket).with_retry(retry).build()?)
        }
        "az" | "abfs" | "abfss" => {
            Arc::new(MicrosoftAzureBuilder::from_env().with_url(bucket).with_retry(retry).build()?)
        }
        _ => {
            // The total time of a download is not limited, see `STALL_TIMEOUT`.
            let options = ClientOptions::new()
                .with_allow_http(true)
                .with_connect_timeout(Duration::from_secs(20))
                .with_timeout_disabled();
            let builder = HttpBuilder::new().with_url(url.as_str()).with_client_options(options);
            Arc::new(builder.with_retry(retry).with_http_connector(WebConnector).build()?)
        }
    })
}

/// Connects [`WebClient`].
#[derive(Debug)]
struct WebConnector;

impl HttpConnector for WebConnector {
    fn connect(&self, options: &ClientOptions) -> object_store::Result<HttpClient> {
        let client = ReqwestConnector::default().connect(options)?;
        Ok(HttpClient::new(WebClient(client)))
    }
}

/// Adapts the responses of any web server to the HTTP store. The store rejects a response without
/// `Content-Length`, such as a chunked one, and one with a malformed header that is not used here.
#[derive(Debug)]
struct WebClient(HttpClient);

impl HttpService for WebClient {
    // `async_trait` expands to this signature.
    fn call<'life0, 'async_trait>(
        &'life0 self,
        request: HttpRequest,
    ) -> BoxFuture<'async_trait, Result<HttpResponse, HttpError>>
    where
        'life0: 'async_trait,
        Self: 'async_trait,
    {
        Box::pin(async move {
            let mut response = self.0.execute(request).await?;
            let received = std::mem::take(response.headers_mut());
            let headers = response.headers_mut();
            for name in ["content-length", "content-range", "etag", "location"] {
                if let Some(value) = received.get(name) {
                    headers.insert(name, value.clone());
                }
            }
            if !headers.contains_key("content-length") {
                // The value is not used without an `ETag`: an interrupted body is then an error.
                headers.insert("content-length", HeaderValue::from_static("0"));
                headers.remove("etag");
            }
            Ok(response)
        })
    }
}
