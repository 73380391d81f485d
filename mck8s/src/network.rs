//! The operators' network: hub and members are in this process, and so is the way to them, which a
//! scenario can cut, slow down and make lossy.

use std::future::ready;
use std::sync::Arc;

use federation::operator::network::{Exchange, Network as OperatorNetwork, SimulatedNetwork};
use http::uri::Authority;
use http::{Request, Uri};
use kube::client::Body;
use lab::simulation::NetworkOrigin;

/// Where control planes are served.
const PREFIX: &str = "/clusters/";

/// A network for the clients of one operator. They use the kubeconfig that is written for people;
/// what they send to `https://ADDRESS/clusters/NAME`, with the address of the hub, goes to the host
/// NAME. Anything else is another process's, and refused.
pub(crate) fn simulated_network(origin: &NetworkOrigin, hub: &Uri) -> OperatorNetwork {
    OperatorNetwork::simulated(Arc::new(Uplink {
        origin: origin.clone(),
        address: hub.authority().cloned(),
    }))
}

struct Uplink {
    origin: NetworkOrigin,
    address: Option<Authority>,
}

impl SimulatedNetwork for Uplink {
    fn send(&self, mut request: Request<Body>) -> Exchange {
        let is_ours = request.uri().authority() == self.address.as_ref();
        let Some(uri) = within(request.uri()).filter(|_| is_ours) else {
            return Box::pin(ready(Err(refusal(request.uri()).into())));
        };
        *request.uri_mut() = uri;
        self.origin.send(request)
    }
}

/// Real clusters are out of reach, whether they are there or not.
fn refusal(uri: &Uri) -> String {
    let server = uri.authority().map_or("", |authority| authority.as_str());
    format!(
        "mck8s up serves its own simulated members only and does not connect to {server}: for real clusters run multi-cluster-scheduler on a hub of your own (docs/operations.md)"
    )
}

/// The host that a URL leads to, and the path there.
fn within(uri: &Uri) -> Option<Uri> {
    let rest = uri.path_and_query()?.as_str().strip_prefix(PREFIX)?;
    let (host, path) = rest.split_once('/')?;
    format!("http://{host}/{path}").parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cluster_is_a_host() {
        let within = |uri: &str| within(&uri.parse().unwrap()).map(|uri| uri.to_string());
        assert_eq!(
            within("https://127.0.0.1:7443/clusters/edge/api/v1/pods?watch=true").unwrap(),
            "http://edge/api/v1/pods?watch=true"
        );
        assert_eq!(within("https://127.0.0.1:7443/api/v1/pods"), None);
        assert_eq!(within("https://127.0.0.1:7443/clusters/edge"), None);
    }
}
