//! Kubernetes' own programs and the flags they are started with.

use std::path::{Path, PathBuf};
use std::process::Command;

use super::{Component, Plan, database, flag, kubeconfig};
use crate::real::binaries::Program;
use crate::real::front_proxy;

/// KWOK's configuration, part of the lab's source.
const STAGES: &str = include_str!("../../../real/kwok/stages.yaml");
const METRICS: &str = include_str!("../../../real/kwok/metrics.yaml");

/// What the API servers record, if they do.
pub(crate) const AUDIT_POLICY: &str = "\
apiVersion: audit.k8s.io/v1
kind: Policy
omitStages: [RequestReceived]
omitManagedFields: true
rules:
  - level: Metadata
    userGroups: ['system:serviceaccounts']
  - level: None
";

/// The name of the API server's process.
pub(super) const API_SERVER: &str = Program::KubeApiserver.name();

/// The hub runs no pods: of the controllers it needs those that keep
/// namespaces, service accounts and owner references working.
const HUB_CONTROLLERS: &str = "namespace-controller,garbage-collector-controller,\
    serviceaccount-controller,clusterrole-aggregation-controller";

/// Members run what a cluster runs, without what only serves volumes, cloud
/// nodes or certificates; each of those costs start-up time and memory.
const MEMBER_CONTROLLERS: &str = "*,-node-ipam-controller,-node-route-controller,\
    -cloud-node-lifecycle-controller,-service-lb-controller,\
    -persistentvolume-attach-detach-controller,-persistentvolume-binder-controller,\
    -persistentvolume-expander-controller,-ephemeral-volume-controller,\
    -certificatesigningrequest-approving-controller,\
    -certificatesigningrequest-cleaner-controller,\
    -certificatesigningrequest-signing-controller,-legacy-serviceaccount-token-cleaner-controller";

pub(super) fn servers(plan: &Plan) -> Vec<Component> {
    [Program::Etcd, Program::KubeApiserver]
        .map(|program| plan.component(program))
        .into()
}

pub(super) fn clients(plan: &Plan) -> Vec<Component> {
    let mut programs = vec![Program::KubeControllerManager];
    if !plan.is_hub {
        programs.extend([Program::KubeScheduler, Program::Kwok]);
    }
    if plan.metrics {
        programs.push(Program::MetricsServer);
    }
    let programs = programs.into_iter();
    programs.map(|program| plan.component(program)).collect()
}

impl Plan<'_> {
    fn component(&self, program: Program) -> Component {
        let mut command = Command::new(self.binaries.path(program));
        command.current_dir(self.directory);
        match program {
            Program::Etcd => self.etcd(&mut command),
            Program::KubeApiserver => self.api_server(&mut command),
            Program::KubeControllerManager => self.controller_manager(&mut command),
            Program::KubeScheduler => self.scheduler(&mut command),
            Program::Kwok => self.kwok(&mut command),
            Program::MetricsServer => self.metrics_server(&mut command),
            // These are no parts of a cluster.
            Program::Kubectl
            | Program::ClusterApi
            | Program::KubeadmControlPlane
            | Program::KubeadmBootstrap
            | Program::InMemory => {}
        }
        Component {
            name: program.name(),
            command,
        }
    }

    fn etcd(&self, command: &mut Command) {
        let client = format!("http://127.0.0.1:{}", self.ports.etcd);
        let peer = format!("http://127.0.0.1:{}", self.ports.etcd_peer);
        command
            .arg(flag("data-dir", database(self.directory)))
            .arg(flag("listen-client-urls", &client))
            .arg(flag("advertise-client-urls", &client))
            .arg(flag("listen-peer-urls", &peer))
            .arg(flag("initial-advertise-peer-urls", &peer))
            .arg(flag("initial-cluster", format!("default={peer}")))
            .arg("--log-level=warn");
        if !self.fsync {
            command.arg("--unsafe-no-fsync");
        }
    }

    fn api_server(&self, command: &mut Command) {
        let credentials = self.credentials;
        command
            .arg(flag(
                "etcd-servers",
                format!("http://127.0.0.1:{}", self.ports.etcd),
            ))
            .arg("--bind-address=127.0.0.1")
            .arg(flag("secure-port", self.ports.api.to_string()))
            .arg(flag("tls-cert-file", credentials.server_certificate()))
            .arg(flag("tls-private-key-file", credentials.server_key()))
            .arg(flag("token-auth-file", credentials.tokens()))
            .arg("--authorization-mode=RBAC")
            .arg("--service-account-issuer=https://kubernetes.default.svc")
            .arg(flag(
                "service-account-signing-key-file",
                credentials.account_key(),
            ))
            .arg(flag(
                "service-account-key-file",
                credentials.account_public_key(),
            ))
            .arg("--service-cluster-ip-range=10.96.0.0/16")
            .arg("--endpoint-reconciler-type=none")
            // No kubelet mounts tokens, so pods need not have an account.
            .arg("--disable-admission-plugins=ServiceAccount")
            // A stop shall not wait for watches to end by themselves.
            .arg("--shutdown-delay-duration=0s");
        if self.metrics {
            self.aggregator(command);
        }
        if let Some(policy) = &self.audit {
            command
                .arg(flag("audit-policy-file", policy))
                .arg(flag("audit-log-path", audit_log(self.directory)));
        }
    }

    /// How requests for `metrics.k8s.io` are forwarded.
    fn aggregator(&self, command: &mut Command) {
        let front_proxy = self.credentials.front_proxy();
        command
            // Extension API servers ask for an authority of people's certificates, too.
            .arg(flag("client-ca-file", self.credentials.ca()))
            .arg(flag("proxy-client-cert-file", front_proxy.certificate))
            .arg(flag("proxy-client-key-file", front_proxy.key))
            .arg(flag("requestheader-client-ca-file", front_proxy.authority))
            .arg(flag("requestheader-allowed-names", front_proxy::NAME))
            .arg("--requestheader-username-headers=X-Remote-User")
            .arg("--requestheader-group-headers=X-Remote-Group")
            .arg("--requestheader-extra-headers-prefix=X-Remote-Extra-");
    }

    fn controller_manager(&self, command: &mut Command) {
        let controllers = if self.is_hub {
            HUB_CONTROLLERS
        } else {
            MEMBER_CONTROLLERS
        };
        self.client_of_the_api(command)
            .arg(flag("controllers", controllers))
            .arg(flag(
                "service-account-private-key-file",
                self.credentials.account_key(),
            ))
            .arg(flag("root-ca-file", self.credentials.ca()))
            .arg("--leader-elect=false")
            // Nobody asks for its metrics or health.
            .arg("--secure-port=0");
    }

    fn scheduler(&self, command: &mut Command) {
        self.client_of_the_api(command)
            .arg("--leader-elect=false")
            .arg("--secure-port=0");
    }

    fn kwok(&self, command: &mut Command) {
        command
            .arg(flag("kubeconfig", kubeconfig(self.directory)))
            .arg(flag("config", kwok_configuration(self.directory)))
            .arg("--manage-all-nodes=true")
            .arg("--node-ip=127.0.0.1")
            .arg("--node-lease-duration-seconds=40");
        if self.metrics {
            let port = self.ports.kwok;
            command
                .arg(flag("server-address", format!("127.0.0.1:{port}")))
                .arg(flag("node-port", port.to_string()));
        }
    }

    /// It scrapes KWOK in the kubelets' place, as often as it lets itself be told to.
    fn metrics_server(&self, command: &mut Command) {
        let kubeconfig = kubeconfig(self.directory);
        command
            .arg(flag("kubeconfig", &kubeconfig))
            .arg(flag("authentication-kubeconfig", &kubeconfig))
            .arg(flag("authorization-kubeconfig", &kubeconfig))
            .arg(flag("cert-dir", self.directory.join("metrics-server")))
            .arg("--bind-address=127.0.0.1")
            .arg(flag("secure-port", self.ports.metrics_server.to_string()))
            .arg("--metric-resolution=10s")
            .arg("--kubelet-request-timeout=5s")
            .arg("--kubelet-preferred-address-types=InternalIP")
            .arg("--kubelet-use-node-status-port")
            // KWOK serves without TLS.
            .arg("--deprecated-kubelet-completely-insecure");
    }

    /// Client-side rate limits protect a shared API server; a test that
    /// creates hundreds of pods would only measure them.
    fn client_of_the_api<'c>(&self, command: &'c mut Command) -> &'c mut Command {
        command
            .arg(flag("kubeconfig", kubeconfig(self.directory)))
            .arg("--kube-api-qps=1000")
            .arg("--kube-api-burst=2000")
    }
}

pub(crate) fn audit_policy(directory: &Path) -> PathBuf {
    directory.join("audit-policy.yaml")
}

pub(crate) fn audit_log(directory: &Path) -> PathBuf {
    directory.join("audit.log")
}

/// KWOK's configuration for this cluster.
pub(crate) fn kwok_configuration_text(metrics: bool) -> String {
    if metrics {
        format!("{STAGES}---\n{METRICS}")
    } else {
        STAGES.to_owned()
    }
}

pub(crate) fn kwok_configuration(directory: &Path) -> PathBuf {
    directory.join("kwok.yaml")
}
