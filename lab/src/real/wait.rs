//! Waiting for a state, with a deadline.

use std::time::{Duration, Instant};

use hyper::Request;
use k8s_openapi::api::core::v1::Namespace;
use kube::{Api, Client};

use super::error::{Error, Result};

/// For everything that the lab waits for. Generous: several labs may share
/// two cores, and only a failure waits this long.
const DEADLINE: Duration = Duration::from_mins(2);

const POLL: Duration = Duration::from_millis(25);

/// Polls `check` until it gives `Ok(Ok(()))`. `Ok(Err(…))` says what was seen
/// instead; an outer `Err` gives up at once.
pub(crate) async fn until<F, R>(cluster: &str, what: &'static str, mut check: F) -> Result<()>
where
    F: FnMut() -> R,
    R: Future<Output = Result<std::result::Result<(), String>>>,
{
    let started = Instant::now();
    loop {
        match check().await? {
            Ok(()) => return Ok(()),
            Err(last) if started.elapsed() >= DEADLINE => {
                return Err(Error::Deadline {
                    cluster: cluster.to_owned(),
                    what,
                    waited: DEADLINE,
                    last,
                });
            }
            Err(_) => tokio::time::sleep(POLL).await,
        }
    }
}

/// Whether an API server can be worked with: it says that it is ready, and
/// the namespace `default` is there, which it creates shortly after.
pub(crate) async fn is_ready(client: &Client) -> std::result::Result<(), String> {
    let request = Request::get("/readyz")
        .body(Vec::new())
        .map_err(|error| error.to_string())?;
    client
        .request_text(request)
        .await
        .map_err(|error| error.to_string())?;
    Api::<Namespace>::all(client.clone())
        .get("default")
        .await
        .map(|_| ())
        .map_err(|error| error.to_string())
}
