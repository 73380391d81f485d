//! A bearer token in a file, as kubectl reads it: again every minute, without the white space at
//! its ends. The client library takes the file's content as it is, and an editor ends a file with a
//! newline.

use std::fs;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;

use futures::TryFutureExt as _;
use futures::future::{Either, MapErr, Ready, ready};
use http::header::AUTHORIZATION;
use http::{HeaderValue, Request};
use kube::Config;
use tokio::time::Instant;
use tower::{BoxError, Layer, Service};

/// How long a token counts as read.
const FRESH: Duration = Duration::from_mins(1);

/// Sets the token of every request.
#[derive(Clone)]
pub(super) struct TokenFile(Arc<Inner>);

struct Inner {
    path: PathBuf,
    last: Mutex<Option<(Instant, HeaderValue)>>,
}

/// Why there is no token.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("token file {}: {source}", path.display())]
    Unreadable {
        path: PathBuf,
        source: std::io::Error,
    },
    #[error("token file {} holds no token", .0.display())]
    Invalid(PathBuf),
}

impl TokenFile {
    /// Takes the token file out of a configuration, if its token is what counts there.
    pub(super) fn take(config: &mut Config) -> Option<Self> {
        let auth = &mut config.auth_info;
        let has_basic = auth.username.is_some() && auth.password.is_some();
        if auth.auth_provider.is_some() || auth.token.is_some() || has_basic {
            return None;
        }
        let path = auth.token_file.take()?;
        // It comes before a plugin.
        auth.exec = None;
        Some(Self(Arc::new(Inner {
            path: path.into(),
            last: Mutex::default(),
        })))
    }

    fn header(&self) -> Result<HeaderValue, TokenError> {
        let Inner { path, last } = &*self.0;
        let mut last = last.lock().unwrap_or_else(PoisonError::into_inner);
        let known =
            |(since, header): &(Instant, HeaderValue)| (since.elapsed() < FRESH, header.clone());
        let known = last.as_ref().map(known);
        if let Some((true, header)) = known {
            return Ok(header);
        }
        let read = read(path);
        // A file may be taken away after it was read: <https://github.com/kubernetes/kubernetes/issues/68164>
        let header = match (read, known) {
            (Err(_), Some((_, header))) => header,
            (read, _) => read?,
        };
        *last = Some((Instant::now(), header.clone()));
        Ok(header)
    }
}

fn read(path: &PathBuf) -> Result<HeaderValue, TokenError> {
    let text = fs::read_to_string(path).map_err(|source| TokenError::Unreadable {
        path: path.clone(),
        source,
    })?;
    let invalid = || TokenError::Invalid(path.clone());
    let token = Some(text.trim()).filter(|token| !token.is_empty());
    let header = format!("Bearer {}", token.ok_or_else(invalid)?);
    let mut header = HeaderValue::try_from(header).map_err(|_| invalid())?;
    header.set_sensitive(true);
    Ok(header)
}

impl<S> Layer<S> for TokenFile {
    type Service = Authorized<S>;

    fn layer(&self, inner: S) -> Authorized<S> {
        Authorized {
            inner,
            file: self.clone(),
        }
    }
}

/// A service whose requests have the token.
pub(super) struct Authorized<S> {
    inner: S,
    file: TokenFile,
}

impl<S, B> Service<Request<B>> for Authorized<S>
where
    S: Service<Request<B>>,
    S::Error: Into<BoxError>,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future =
        Either<MapErr<S::Future, fn(S::Error) -> BoxError>, Ready<Result<S::Response, BoxError>>>;

    fn poll_ready(&mut self, cx: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(cx).map_err(Into::into)
    }

    fn call(&mut self, mut request: Request<B>) -> Self::Future {
        match self.file.header() {
            Ok(header) => {
                request.headers_mut().insert(AUTHORIZATION, header);
                let into: fn(S::Error) -> BoxError = Into::into;
                Either::Left(self.inner.call(request).map_err(into))
            }
            Err(error) => Either::Right(ready(Err(error.into()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn token(path: &std::path::Path) -> TokenFile {
        let mut config = Config::new("http://member".parse().unwrap());
        config.auth_info.token_file = Some(path.display().to_string());
        let taken = TokenFile::take(&mut config).unwrap();
        assert_eq!(config.auth_info.token_file, None);
        taken
    }

    #[tokio::test(start_paused = true)]
    async fn a_token_is_trimmed_and_read_again_after_a_minute() {
        let file = std::env::temp_dir().join(format!("token-{}", std::process::id()));
        let token = token(&file);
        let error = token.header().unwrap_err().to_string();
        assert!(error.contains("token-"), "{error}");
        fs::write(&file, "first\n").unwrap();
        assert_eq!(token.header().unwrap(), "Bearer first");
        assert!(token.header().unwrap().is_sensitive());
        fs::write(&file, " second\r\n").unwrap();
        assert_eq!(token.header().unwrap(), "Bearer first");
        tokio::time::advance(FRESH).await;
        assert_eq!(token.header().unwrap(), "Bearer second");
        fs::remove_file(&file).unwrap();
        tokio::time::advance(FRESH).await;
        assert_eq!(token.header().unwrap(), "Bearer second");
    }

    #[test]
    fn a_file_without_a_token_is_named_without_its_content() {
        let file = std::env::temp_dir().join(format!("no-token-{}", std::process::id()));
        for content in ["", "\n", "sec\nret"] {
            fs::write(&file, content).unwrap();
            let error = token(&file).header().unwrap_err().to_string();
            assert!(error.ends_with("holds no token"), "{error}");
        }
        fs::remove_file(&file).unwrap();
    }

    #[test]
    fn a_token_that_is_given_itself_comes_before_a_file() {
        let mut config = Config::new("http://member".parse().unwrap());
        config.auth_info.token_file = Some("/nowhere".to_owned());
        config.auth_info.token = Some("given".into());
        assert!(TokenFile::take(&mut config).is_none());
    }
}
