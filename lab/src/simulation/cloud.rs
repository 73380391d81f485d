//! A Cluster API and a cloud that are played on the hub: what a `Cluster` and its `MachineDeployment`s
//! ask for comes in its time, as members with nodes, and goes again. Whatever operators do meanwhile,
//! they meet the objects that the real one writes.
//!
//! What its providers make between a `Cluster` and its machines is not played: the definitions of
//! their objects take anything.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::rc::Rc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{DeleteParams, DynamicObject, ListParams, Patch, PatchParams};
use kube::core::{ApiResource, GroupVersionKind};
use kube::runtime::wait::{await_condition, conditions::is_crd_established};
use kube::{Api, Client, ResourceExt as _};
use serde_json::{Value, json};

use super::world::{Error, Member, Stage, World, apply};
use crate::access;
use crate::simulated::{NodeGroup, Options};

/// The namespace of the objects.
pub const CLOUD_NAMESPACE: &str = "mck8s-cloud";
/// How often it looks.
const STEP: Duration = Duration::from_secs(1);
/// What holds a `Cluster` until everything of it is gone.
const FINALIZER: &str = "cluster.cluster.x-k8s.io";
const CORE: &str = "cluster.x-k8s.io";
/// The kinds that are served: group, version, kind.
const KINDS: [(&str, &str, &str); 6] = [
    (CORE, "v1beta2", "Cluster"),
    (CORE, "v1beta2", "MachineDeployment"),
    (
        "controlplane.cluster.x-k8s.io",
        "v1beta2",
        "KubeadmControlPlane",
    ),
    (
        "bootstrap.cluster.x-k8s.io",
        "v1beta2",
        "KubeadmConfigTemplate",
    ),
    (
        "infrastructure.cluster.x-k8s.io",
        "v1beta1",
        "OpenStackCluster",
    ),
    (
        "infrastructure.cluster.x-k8s.io",
        "v1beta1",
        "OpenStackMachineTemplate",
    ),
];

/// What a cloud is like.
#[derive(Clone, Debug)]
pub struct CloudOptions {
    /// From a `Cluster` until its control plane serves; none for never.
    pub control_plane: Option<Duration>,
    /// From a wanted machine until its node is ready.
    pub machine: Duration,
    /// From the deletion of a `Cluster` until everything of it is gone.
    pub deletion: Duration,
    /// The flavors that there are: cores, and GiB. Machines of others never come.
    pub flavors: BTreeMap<String, (u32, u32)>,
}

impl Default for CloudOptions {
    /// The original's flavors, with the times that its authors have measured.
    fn default() -> Self {
        let flavors = [
            ("k8s.small", (2, 8)),
            ("k8s.medium", (4, 16)),
            ("k8s.large", (8, 32)),
            ("k8s.xlarge", (16, 64)),
        ];
        let flavors = flavors.map(|(name, size)| (name.to_owned(), size));
        Self {
            control_plane: Some(Duration::from_mins(3)),
            machine: Duration::from_mins(2),
            deletion: Duration::from_secs(30),
            flavors: flavors.into(),
        }
    }
}

/// A cloud at work. Clones are the same one.
#[derive(Clone)]
pub struct Cloud {
    stage: Stage,
    hub: Client,
    options: Rc<RefCell<CloudOptions>>,
    clusters: Rc<RefCell<BTreeMap<String, Played>>>,
    bill: Rc<RefCell<BTreeMap<String, f64>>>,
}

/// A cluster that is played.
#[derive(Default)]
struct Played {
    member: Option<Rc<Member>>,
    machines: Vec<Machine>,
    deleted: Option<Timestamp>,
}

struct Machine {
    deployment: String,
    flavor: String,
    wanted: Timestamp,
    /// Its node, once it is there.
    node: Option<String>,
}

impl Cloud {
    /// Makes the definitions on the hub of a world, and plays from now on.
    pub async fn start(world: &World, options: CloudOptions) -> Result<Self, Error> {
        let hub = world.hub_client();
        define(&hub).await?;
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": CLOUD_NAMESPACE },
        });
        apply(&hub, &namespace).await?;
        let cloud = Self {
            stage: world.stage(),
            hub,
            options: Rc::new(RefCell::new(options)),
            clusters: Rc::default(),
            bill: Rc::default(),
        };
        let playing = cloud.clone();
        tokio::task::spawn_local(async move {
            loop {
                if let Err(error) = playing.step().await {
                    let told = format!("== the cloud failed: {error}");
                    playing.stage.network.trace().line(&told);
                }
                tokio::time::sleep(STEP).await;
            }
        });
        Ok(cloud)
    }

    /// Changes what it is like from now on.
    pub fn change(&self, change: impl FnOnce(&mut CloudOptions)) {
        change(&mut self.options.borrow_mut());
    }

    /// The clusters that there are, each with its machines, ready or not.
    pub fn machines(&self) -> BTreeMap<String, usize> {
        let clusters = self.clusters.borrow();
        let count = |(name, one): (&String, &Played)| (name.clone(), one.machines.len());
        clusters.iter().map(count).collect()
    }

    /// Hours that machines of each flavor have been there so far, ready or not.
    pub fn machine_hours(&self) -> BTreeMap<String, f64> {
        self.bill.borrow().clone()
    }

    fn api(&self, kind: &str, plural: &str) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk(CORE, "v1beta2", kind);
        let resource = ApiResource::from_gvk_with_plural(&kind, plural);
        Api::namespaced_with(self.hub.clone(), CLOUD_NAMESPACE, &resource)
    }

    async fn step(&self) -> Result<(), Error> {
        self.charge();
        let clusters = self.api("Cluster", "clusters");
        let deployments = self.api("MachineDeployment", "machinedeployments");
        let listed = clusters.list(&ListParams::default()).await?.items;
        let all = deployments.list(&ListParams::default()).await?.items;
        for cluster in &listed {
            let name = cluster.name_any();
            let is_its =
                |one: &&DynamicObject| one.data.pointer("/spec/clusterName") == Some(&json!(name));
            let its: Vec<&DynamicObject> = all.iter().filter(is_its).collect();
            if cluster.metadata.deletion_timestamp.is_some() {
                self.delete(&clusters, &deployments, cluster, &its).await?;
                continue;
            }
            self.hold(&clusters, cluster).await?;
            if !self.serves(&clusters, cluster).await? {
                continue;
            }
            for deployment in its {
                self.size(&deployments, &name, deployment).await?;
            }
        }
        Ok(())
    }

    fn charge(&self) {
        let mut bill = self.bill.borrow_mut();
        let clusters = self.clusters.borrow();
        for machine in clusters.values().flat_map(|one| &one.machines) {
            let hours = bill.entry(machine.flavor.clone()).or_default();
            *hours += STEP.as_secs_f64() / 3600.0;
        }
    }

    async fn hold(&self, api: &Api<DynamicObject>, cluster: &DynamicObject) -> Result<(), Error> {
        let name = cluster.name_any();
        self.clusters.borrow_mut().entry(name.clone()).or_default();
        if !cluster.finalizers().is_empty() {
            return Ok(());
        }
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": [FINALIZER] } }));
        api.patch(&name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    fn now(&self) -> Timestamp {
        self.stage.clock.now()
    }

    fn has_passed(&self, since: Timestamp, wait: Duration) -> bool {
        let passed = self.now().duration_since(since);
        Duration::try_from(passed).is_ok_and(|passed| passed >= wait)
    }

    /// Whether a control plane serves; if it begins to now, its kubeconfig is written.
    async fn serves(
        &self,
        api: &Api<DynamicObject>,
        cluster: &DynamicObject,
    ) -> Result<bool, Error> {
        let name = cluster.name_any();
        let is_there = |clusters: &BTreeMap<String, Played>| {
            clusters.get(&name).is_some_and(|one| one.member.is_some())
        };
        if is_there(&self.clusters.borrow()) {
            return Ok(true);
        }
        let created = cluster
            .creation_timestamp()
            .map_or(self.now(), |time| time.0);
        let wait = self.options.borrow().control_plane;
        if !wait.is_some_and(|wait| self.has_passed(created, wait)) {
            let waits = json!({
                "type": "ControlPlaneInitialized", "status": "False", "reason": "NotInitialized",
                "message": "Control plane not yet initialized",
                "lastTransitionTime": created.to_string(),
            });
            let status = json!({ "conditions": [waits] });
            return self.report(api, &name, &status).await.map(|()| false);
        }
        let member = self.stage.play(&name, Options::uniform(0)).await?;
        let servers = [(name.as_str(), format!("http://{name}"))];
        let kubeconfig = access::kubeconfig(&servers, "", "simulated");
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {
                "name": format!("{name}-kubeconfig"), "namespace": CLOUD_NAMESPACE,
                "labels": { "cluster.x-k8s.io/cluster-name": name },
            },
            "stringData": { "value": kubeconfig },
        });
        apply(&self.hub, &secret).await?;
        let status = json!({
            "initialization": { "infrastructureProvisioned": true, "controlPlaneInitialized": true },
            "conditions": null,
        });
        self.report(api, &name, &status).await?;
        if let Some(played) = self.clusters.borrow_mut().get_mut(&name) {
            played.member = Some(Rc::new(member));
        }
        Ok(true)
    }

    async fn report(
        &self,
        api: &Api<DynamicObject>,
        name: &str,
        status: &Value,
    ) -> Result<(), Error> {
        let patch = Patch::Merge(json!({ "status": status }));
        api.patch_status(name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }

    /// As many machines as a deployment wants.
    async fn size(
        &self,
        api: &Api<DynamicObject>,
        cluster: &str,
        deployment: &DynamicObject,
    ) -> Result<(), Error> {
        let name = deployment.name_any();
        let wanted = deployment.data.pointer("/spec/replicas");
        let wanted = wanted.and_then(Value::as_u64).unwrap_or(0) as usize;
        let flavor = self.flavor(deployment).await?;
        let Some(member) = self.member(cluster) else {
            return Ok(());
        };
        let now = self.now();
        let surplus = {
            let mut clusters = self.clusters.borrow_mut();
            let Some(played) = clusters.get_mut(cluster) else {
                return Ok(());
            };
            let count = played.machines.iter().filter(|one| one.deployment == name);
            let count = count.count();
            let new = (count..wanted).map(|_| Machine {
                deployment: name.clone(),
                flavor: flavor.clone(),
                wanted: now,
                node: None,
            });
            played.machines.extend(new);
            count.saturating_sub(wanted)
        };
        for _ in 0..surplus {
            self.remove_one(cluster, &name, &member).await?;
        }
        self.boot(cluster, &name, &flavor, &member).await?;
        let ready = {
            let clusters = self.clusters.borrow();
            let machines = clusters.get(cluster).map(|one| &one.machines);
            let its = machines.into_iter().flatten();
            its.filter(|one| one.deployment == name && one.node.is_some())
                .count()
        };
        let before = deployment.data.pointer("/status/readyReplicas");
        if before.and_then(Value::as_u64) != Some(ready as u64) {
            self.report(api, &name, &json!({ "readyReplicas": ready }))
                .await?;
        }
        Ok(())
    }

    /// The flavor that a deployment's template of machines names.
    async fn flavor(&self, deployment: &DynamicObject) -> Result<String, Error> {
        let name = deployment
            .data
            .pointer("/spec/template/spec/infrastructureRef/name");
        let name = name.and_then(Value::as_str).unwrap_or_default();
        let kind = GroupVersionKind::gvk(
            "infrastructure.cluster.x-k8s.io",
            "v1beta1",
            "OpenStackMachineTemplate",
        );
        let resource = ApiResource::from_gvk(&kind);
        let api: Api<DynamicObject> =
            Api::namespaced_with(self.hub.clone(), CLOUD_NAMESPACE, &resource);
        let template = api.get_opt(name).await?;
        let flavor = template.and_then(|template| {
            let flavor = template.data.pointer("/spec/template/spec/flavor")?;
            flavor.as_str().map(str::to_owned)
        });
        Ok(flavor.unwrap_or_default())
    }

    fn member(&self, cluster: &str) -> Option<Rc<Member>> {
        self.clusters.borrow().get(cluster)?.member.clone()
    }

    async fn boot(
        &self,
        cluster: &str,
        deployment: &str,
        flavor: &str,
        member: &Member,
    ) -> Result<(), Error> {
        let size = self.options.borrow().flavors.get(flavor).copied();
        let Some((cores, gib)) = size else {
            return Ok(());
        };
        let wait = self.options.borrow().machine;
        let due = {
            let clusters = self.clusters.borrow();
            let machines = clusters.get(cluster).map(|one| one.machines.as_slice());
            let machines = machines.unwrap_or_default().iter().enumerate();
            let due = machines.filter(|(_, one)| {
                let is_its = one.deployment == deployment && one.node.is_none();
                is_its && self.has_passed(one.wanted, wait)
            });
            due.map(|(place, _)| place).collect::<Vec<usize>>()
        };
        for place in due {
            let group = NodeGroup {
                name: format!("{}-", flavor.replace('.', "-")),
                count: 1,
                cpu: cores.to_string(),
                memory: format!("{gib}Gi"),
                ..NodeGroup::default()
            };
            let names = member.cluster.add_nodes(&group).await?;
            if let Some(played) = self.clusters.borrow_mut().get_mut(cluster)
                && let Some(machine) = played.machines.get_mut(place)
            {
                machine.node = names.into_iter().next();
            }
        }
        Ok(())
    }

    /// The newest machine of a deployment goes, with its node.
    async fn remove_one(
        &self,
        cluster: &str,
        deployment: &str,
        member: &Member,
    ) -> Result<(), Error> {
        let node = {
            let mut clusters = self.clusters.borrow_mut();
            let Some(played) = clusters.get_mut(cluster) else {
                return Ok(());
            };
            let mut machines = played.machines.iter();
            let Some(place) = machines.rposition(|one| one.deployment == deployment) else {
                return Ok(());
            };
            played.machines.remove(place).node
        };
        let Some(node) = node else {
            return Ok(());
        };
        let nodes: Api<Node> = Api::all(member.client());
        nodes.delete(&node, &DeleteParams::default()).await?;
        Ok(())
    }

    /// A cluster that is deleted goes, with all that belongs to it.
    async fn delete(
        &self,
        clusters: &Api<DynamicObject>,
        deployments: &Api<DynamicObject>,
        cluster: &DynamicObject,
        its: &[&DynamicObject],
    ) -> Result<(), Error> {
        let name = cluster.name_any();
        let since = {
            let mut played = self.clusters.borrow_mut();
            let played = played.entry(name.clone()).or_default();
            *played.deleted.get_or_insert(self.now())
        };
        for deployment in its {
            let params = DeleteParams::default();
            deployments.delete(&deployment.name_any(), &params).await?;
        }
        if !self.has_passed(since, self.options.borrow().deletion) {
            return Ok(());
        }
        self.clusters.borrow_mut().remove(&name);
        self.stage.network.remove(&name);
        let secrets: Api<k8s_openapi::api::core::v1::Secret> =
            Api::namespaced(self.hub.clone(), CLOUD_NAMESPACE);
        let secret = format!("{name}-kubeconfig");
        if secrets.get_metadata_opt(&secret).await?.is_some() {
            secrets.delete(&secret, &DeleteParams::default()).await?;
        }
        let patch = Patch::Merge(json!({ "metadata": { "finalizers": null } }));
        clusters
            .patch(&name, &PatchParams::default(), &patch)
            .await?;
        Ok(())
    }
}

/// Makes the definitions, and waits until they are served.
async fn define(hub: &Client) -> Result<(), Error> {
    let api: Api<CustomResourceDefinition> = Api::all(hub.clone());
    let anything = json!({ "type": "object", "x-kubernetes-preserve-unknown-fields": true });
    for (group, version, kind) in KINDS {
        let (singular, plural) = (kind.to_lowercase(), format!("{}s", kind.to_lowercase()));
        let name = format!("{plural}.{group}");
        let definition = json!({
            "apiVersion": "apiextensions.k8s.io/v1", "kind": "CustomResourceDefinition",
            "metadata": { "name": name },
            "spec": {
                "group": group, "scope": "Namespaced",
                "names": { "kind": kind, "plural": plural, "singular": singular },
                "versions": [{
                    "name": version, "served": true, "storage": true,
                    "schema": { "openAPIV3Schema": {
                        "type": "object", "properties": { "spec": anything, "status": anything },
                    } },
                    "subresources": { "status": {} },
                }],
            },
        });
        apply(hub, &definition).await?;
        await_condition(api.clone(), &name, is_crd_established()).await?;
    }
    Ok(())
}
