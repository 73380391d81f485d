//! The built-in kinds, in the order in which discovery lists their groups.
//!
//! Facts about them (names, verbs, what updates may do) are those of kube-apiserver v1.34, as its
//! discovery and the strategies in `pkg/registry` give them.

use super::{ALL_VERBS, Conversion, Resource, Subresource, table};

/// How the objects of a kind are treated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each stands for a rule of its own"
)]
pub(crate) struct Traits {
    /// `metadata.generation` counts changes of the spec.
    pub(crate) generation: bool,
    /// An update of what does not exist creates it.
    pub(crate) create_on_update: bool,
    /// An update has to name the resource version that it replaces.
    pub(crate) conditional_update: bool,
    /// A deletion answers with the object and not with a `Status`.
    pub(crate) returns_deleted: bool,
    /// Deleting takes time: the object is marked first.
    pub(crate) graceful: bool,
    /// It is answered, never stored.
    pub(crate) virtual_: bool,
}

const CREATE: &[&str] = &["create"];
const GET: &[&str] = &["get"];
const READ: &[&str] = &["get", "list"];
const UPDATE: &[&str] = &["update"];
const CONNECT: &[&str] = &["create", "get"];
const PROXY: &[&str] = &["create", "delete", "get", "patch", "update"];
const PART: &[&str] = &["get", "patch", "update"];
/// A namespace is deleted on its own only.
const NAMESPACE: &[&str] = &[
    "create", "delete", "get", "list", "patch", "update", "watch",
];

impl Resource {
    fn new(group: &str, version: &str, plural: &str, kind: &str) -> Self {
        Self {
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            list_kind: format!("{kind}List"),
            plural: plural.to_owned(),
            singular: kind.to_lowercase(),
            namespaced: true,
            short_names: Vec::new(),
            categories: Vec::new(),
            verbs: ALL_VERBS,
            subresources: Vec::new(),
            table: table(group, plural),
            traits: Traits::default(),
            conversion: Conversion::None,
            custom: None,
        }
    }

    fn cluster(mut self) -> Self {
        self.namespaced = false;
        self
    }

    fn short(mut self, names: &[&str]) -> Self {
        self.short_names = names.iter().map(|&name| name.to_owned()).collect();
        self
    }

    fn category(mut self, name: &str) -> Self {
        self.categories.push(name.to_owned());
        self
    }

    fn verbs(mut self, verbs: &'static [&'static str]) -> Self {
        self.verbs = verbs;
        self
    }

    fn sub(
        mut self,
        name: &'static str,
        group: &str,
        version: &str,
        kind: &str,
        verbs: &'static [&'static str],
    ) -> Self {
        self.subresources.push(Subresource {
            name,
            group: group.to_owned(),
            version: version.to_owned(),
            kind: kind.to_owned(),
            verbs,
        });
        self
    }

    /// A part that is an object of the same kind.
    fn part(self, name: &'static str) -> Self {
        let (group, version, kind) = (self.group.clone(), self.version.clone(), self.kind.clone());
        self.sub(name, &group, &version, &kind, PART)
    }

    fn status(self) -> Self {
        self.part("status")
    }

    fn scale(self) -> Self {
        self.sub("scale", "autoscaling", "v1", "Scale", PART)
    }

    fn with(mut self, change: impl FnOnce(&mut Traits)) -> Self {
        change(&mut self.traits);
        self
    }

    fn generation(self) -> Self {
        self.with(|traits| traits.generation = true)
    }

    fn create_on_update(self) -> Self {
        self.with(|traits| traits.create_on_update = true)
    }

    fn conditional(self) -> Self {
        self.with(|traits| traits.conditional_update = true)
    }

    fn returns_deleted(self) -> Self {
        self.with(|traits| traits.returns_deleted = true)
    }

    fn review(self) -> Self {
        self.verbs(CREATE).with(|traits| traits.virtual_ = true)
    }

    fn stored_as(mut self, group: &str, plural: &str, conversion: Conversion) -> Self {
        self.table = table(group, plural);
        self.conversion = conversion;
        self
    }
}

/// Every built-in kind but those of metrics.k8s.io, in discovery's order.
pub(crate) fn builtin() -> Vec<Resource> {
    let mut all = core();
    all.extend(workloads());
    all.extend(reviews());
    all.extend(scaling());
    all.extend(network());
    all.extend(policy());
    all.extend(storage());
    all.extend(system());
    all
}

/// metrics.k8s.io, served if there is a source of metrics.
pub(crate) fn metrics() -> Vec<Resource> {
    let metrics = |plural, kind| {
        let resource = Resource::new("metrics.k8s.io", "v1beta1", plural, kind);
        let mut resource = resource.verbs(READ).with(|traits| traits.virtual_ = true);
        resource.singular = String::new();
        resource
    };
    vec![
        metrics("nodes", "NodeMetrics").cluster(),
        metrics("pods", "PodMetrics"),
    ]
}

fn core() -> Vec<Resource> {
    let core = |plural, kind| Resource::new("", "v1", plural, kind);
    vec![
        core("bindings", "Binding").review(),
        core("componentstatuses", "ComponentStatus")
            .cluster()
            .short(&["cs"])
            .verbs(READ)
            .with(|traits| traits.virtual_ = true),
        core("configmaps", "ConfigMap").short(&["cm"]),
        core("endpoints", "Endpoints")
            .short(&["ep"])
            .create_on_update(),
        core("events", "Event").short(&["ev"]).create_on_update(),
        core("limitranges", "LimitRange")
            .short(&["limits"])
            .create_on_update(),
        core("namespaces", "Namespace")
            .cluster()
            .short(&["ns"])
            .verbs(NAMESPACE)
            .returns_deleted()
            .sub("finalize", "", "v1", "Namespace", UPDATE)
            .status(),
        core("nodes", "Node")
            .cluster()
            .short(&["no"])
            .sub("proxy", "", "v1", "NodeProxyOptions", PROXY)
            .status(),
        core("persistentvolumeclaims", "PersistentVolumeClaim")
            .short(&["pvc"])
            .returns_deleted()
            .status(),
        core("persistentvolumes", "PersistentVolume")
            .cluster()
            .short(&["pv"])
            .returns_deleted()
            .status(),
        core("pods", "Pod")
            .short(&["po"])
            .category("all")
            .generation()
            .returns_deleted()
            .with(|traits| traits.graceful = true)
            .sub("attach", "", "v1", "PodAttachOptions", CONNECT)
            .sub("binding", "", "v1", "Binding", CREATE)
            .part("ephemeralcontainers")
            .sub("eviction", "policy", "v1", "Eviction", CREATE)
            .sub("exec", "", "v1", "PodExecOptions", CONNECT)
            .sub("log", "", "v1", "Pod", GET)
            .sub("portforward", "", "v1", "PodPortForwardOptions", CONNECT)
            .sub("proxy", "", "v1", "PodProxyOptions", PROXY)
            .part("resize")
            .status(),
        core("podtemplates", "PodTemplate")
            .generation()
            .returns_deleted(),
        core("replicationcontrollers", "ReplicationController")
            .short(&["rc"])
            .category("all")
            .generation()
            .scale()
            .status(),
        core("resourcequotas", "ResourceQuota")
            .short(&["quota"])
            .returns_deleted()
            .status(),
        core("secrets", "Secret"),
        core("serviceaccounts", "ServiceAccount")
            .short(&["sa"])
            .returns_deleted()
            .sub(
                "token",
                "authentication.k8s.io",
                "v1",
                "TokenRequest",
                CREATE,
            ),
        core("services", "Service")
            .short(&["svc"])
            .category("all")
            .create_on_update()
            .returns_deleted()
            .sub("proxy", "", "v1", "ServiceProxyOptions", PROXY)
            .status(),
    ]
}

fn workloads() -> Vec<Resource> {
    let apps = |plural, kind| Resource::new("apps", "v1", plural, kind);
    let workload = |plural, kind, short| {
        let resource = apps(plural, kind).short(&[short]).category("all");
        resource.generation()
    };
    vec![
        Resource::new("apiregistration.k8s.io", "v1", "apiservices", "APIService")
            .cluster()
            .category("api-extensions")
            .conditional()
            .status(),
        apps("controllerrevisions", "ControllerRevision"),
        workload("daemonsets", "DaemonSet", "ds").status(),
        workload("deployments", "Deployment", "deploy")
            .scale()
            .status(),
        workload("replicasets", "ReplicaSet", "rs").scale().status(),
        workload("statefulsets", "StatefulSet", "sts")
            .scale()
            .status(),
        Resource::new("events.k8s.io", "v1", "events", "Event")
            .short(&["ev"])
            .create_on_update()
            .stored_as("", "events", Conversion::Event),
    ]
}

fn reviews() -> Vec<Resource> {
    let authorization =
        |plural, kind| Resource::new("authorization.k8s.io", "v1", plural, kind).review();
    let authentication = |plural, kind| {
        let resource = Resource::new("authentication.k8s.io", "v1", plural, kind);
        resource.cluster().review()
    };
    vec![
        authentication("selfsubjectreviews", "SelfSubjectReview"),
        authentication("tokenreviews", "TokenReview"),
        authorization("localsubjectaccessreviews", "LocalSubjectAccessReview"),
        authorization("selfsubjectaccessreviews", "SelfSubjectAccessReview").cluster(),
        authorization("selfsubjectrulesreviews", "SelfSubjectRulesReview").cluster(),
        authorization("subjectaccessreviews", "SubjectAccessReview").cluster(),
    ]
}

fn scaling() -> Vec<Resource> {
    let autoscaler = |version| {
        let kind = "HorizontalPodAutoscaler";
        Resource::new("autoscaling", version, "horizontalpodautoscalers", kind)
            .short(&["hpa"])
            .category("all")
            .status()
    };
    let batch = |plural, kind| {
        let resource = Resource::new("batch", "v1", plural, kind);
        resource.category("all").generation().status()
    };
    let mut v1 = autoscaler("v1");
    v1.conversion = Conversion::AutoscalerV1;
    vec![
        autoscaler("v2"),
        v1,
        batch("cronjobs", "CronJob").short(&["cj"]),
        batch("jobs", "Job"),
        Resource::new(
            "certificates.k8s.io",
            "v1",
            "certificatesigningrequests",
            "CertificateSigningRequest",
        )
        .cluster()
        .short(&["csr"])
        .part("approval")
        .status(),
    ]
}

fn network() -> Vec<Resource> {
    let net = |plural, kind| Resource::new("networking.k8s.io", "v1", plural, kind);
    vec![
        net("ingressclasses", "IngressClass").cluster().generation(),
        net("ingresses", "Ingress")
            .short(&["ing"])
            .generation()
            .status(),
        net("ipaddresses", "IPAddress").cluster().short(&["ip"]),
        net("networkpolicies", "NetworkPolicy")
            .short(&["netpol"])
            .generation(),
        net("servicecidrs", "ServiceCIDR").cluster().status(),
    ]
}

fn policy() -> Vec<Resource> {
    let rbac = |plural, kind| {
        let resource = Resource::new("rbac.authorization.k8s.io", "v1", plural, kind);
        resource.create_on_update()
    };
    vec![
        Resource::new(
            "policy",
            "v1",
            "poddisruptionbudgets",
            "PodDisruptionBudget",
        )
        .short(&["pdb"])
        .generation()
        .conditional()
        .status(),
        rbac("clusterrolebindings", "ClusterRoleBinding").cluster(),
        rbac("clusterroles", "ClusterRole").cluster(),
        rbac("rolebindings", "RoleBinding"),
        rbac("roles", "Role"),
    ]
}

fn storage() -> Vec<Resource> {
    let storage = |plural, kind| Resource::new("storage.k8s.io", "v1", plural, kind);
    let cluster = |plural, kind| storage(plural, kind).cluster().returns_deleted();
    vec![
        cluster("csidrivers", "CSIDriver").conditional(),
        cluster("csinodes", "CSINode").conditional(),
        storage("csistoragecapacities", "CSIStorageCapacity").conditional(),
        cluster("storageclasses", "StorageClass").short(&["sc"]),
        cluster("volumeattachments", "VolumeAttachment")
            .conditional()
            .status(),
        cluster("volumeattributesclasses", "VolumeAttributesClass").short(&["vac"]),
    ]
}

fn system() -> Vec<Resource> {
    let admission = |plural, kind| {
        Resource::new("admissionregistration.k8s.io", "v1", plural, kind)
            .cluster()
            .category("api-extensions")
            .generation()
            .conditional()
    };
    let named = |group, plural, kind| Resource::new(group, "v1", plural, kind);
    let flow = |plural, kind| {
        let resource = named("flowcontrol.apiserver.k8s.io", plural, kind);
        resource.cluster().generation().status()
    };
    let device = |plural, kind| named("resource.k8s.io", plural, kind).returns_deleted();
    vec![
        admission(
            "mutatingwebhookconfigurations",
            "MutatingWebhookConfiguration",
        ),
        admission("validatingadmissionpolicies", "ValidatingAdmissionPolicy").status(),
        admission(
            "validatingadmissionpolicybindings",
            "ValidatingAdmissionPolicyBinding",
        ),
        admission(
            "validatingwebhookconfigurations",
            "ValidatingWebhookConfiguration",
        ),
        named(
            "apiextensions.k8s.io",
            "customresourcedefinitions",
            "CustomResourceDefinition",
        )
        .cluster()
        .short(&["crd", "crds"])
        .category("api-extensions")
        .generation()
        .conditional()
        .status(),
        named("scheduling.k8s.io", "priorityclasses", "PriorityClass")
            .cluster()
            .short(&["pc"])
            .generation(),
        named("coordination.k8s.io", "leases", "Lease")
            .create_on_update()
            .conditional(),
        named("node.k8s.io", "runtimeclasses", "RuntimeClass")
            .cluster()
            .create_on_update()
            .conditional(),
        named("discovery.k8s.io", "endpointslices", "EndpointSlice").generation(),
        device("deviceclasses", "DeviceClass")
            .cluster()
            .generation(),
        device("resourceclaims", "ResourceClaim").status(),
        device("resourceclaimtemplates", "ResourceClaimTemplate"),
        device("resourceslices", "ResourceSlice")
            .cluster()
            .generation(),
        flow("flowschemas", "FlowSchema"),
        flow("prioritylevelconfigurations", "PriorityLevelConfiguration"),
    ]
}
