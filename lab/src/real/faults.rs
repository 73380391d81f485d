//! What can happen to a cluster, for tests to make it happen.

use kube::{Client, Config};
use rustix::process::Signal;

use super::cluster::Cluster;
use super::error::{Error, Result};
use super::options::Flavour;
use super::running::end;

impl Cluster {
    /// Freezes everything: connections are accepted (by the kernel) and
    /// nothing answers, as behind a network that loses packets.
    pub fn pause(&self) {
        self.signal(Signal::STOP);
    }

    /// Lets what was [paused](Self::pause) go on.
    pub fn resume(&self) {
        self.signal(Signal::CONT);
    }

    /// Comes back empty, as after a restore without a backup: the data are
    /// gone; URL, certificate and token stay. A member gets its nodes again.
    pub async fn wipe_and_restart(&self) -> Result<()> {
        self.stop().await?;
        self.clear_data()?;
        self.start().await?;
        self.create_nodes().await
    }

    /// Makes the server forget its history: a watch from an older
    /// `resourceVersion` now ends with 410 Gone. The API server restarts:
    /// Kubernetes' would answer from its cache what etcd has forgotten, and
    /// the embedded one keeps its history in memory alone.
    pub async fn expire_history(&self) -> Result<()> {
        if *self.flavour() == Flavour::Kubernetes {
            self.compact().await?;
        }
        let server = self.processes().remove(self.flavour().api_server());
        end(server.into_iter().collect()).await;
        self.start_servers().await
    }
}

impl Cluster {
    /// etcd's JSON gateway (`/v3/kv/…`) takes and gives 64-bit numbers as
    /// strings; see "gRPC gateway" in etcd's documentation.
    async fn compact(&self) -> Result<()> {
        let url = format!("http://127.0.0.1:{}", self.ports().etcd);
        let uri = url.parse().map_err(|source| Error::Kube {
            cluster: self.name().to_owned(),
            source: Box::new(kube::Error::HttpError(hyper::http::Error::from(source))),
        })?;
        let client = Client::try_from(Config::new(uri)).map_err(Error::kube(self.name()))?;
        let range = serde_json::json!({ "key": "AA==" });
        let answer = self.etcd_call(&client, "/v3/kv/range", &range).await?;
        let revision = &answer["header"]["revision"];
        let compaction = serde_json::json!({ "revision": revision, "physical": true });
        self.etcd_call(&client, "/v3/kv/compaction", &compaction)
            .await?;
        Ok(())
    }

    async fn etcd_call(
        &self,
        client: &Client,
        path: &str,
        body: &serde_json::Value,
    ) -> Result<serde_json::Value> {
        let request = hyper::Request::post(path)
            .header("content-type", "application/json")
            .body(body.to_string().into_bytes())
            .map_err(kube::Error::HttpError)
            .map_err(Error::kube(self.name()))?;
        client
            .request(request)
            .await
            .map_err(Error::kube(self.name()))
    }

    fn signal(&self, signal: Signal) {
        for process in self.processes().values() {
            process.id().signal(signal);
        }
    }
}
