//! Random nodes, pods and templates. Those of a case have labels of its own, so that many cases
//! share one cluster and do not meet.

use serde_json::{Value, json};

/// Sebastiano Vigna's `SplitMix64`: the same numbers on every machine.
pub(crate) struct Draw(u64);

/// The class of pods that need something beside their containers.
pub(crate) const RUNTIME: &str = "heavy";
/// The label that every namespace has, with its name.
const NAME: &str = "kubernetes.io/metadata.name";

/// Operators in the selectors of namespaces of a pod that is to be placed. Since 1.34, kube-scheduler
/// takes others of such a pod to select each namespace (kubernetes/kubernetes#141526).
const OF_NEW: &[&str] = &["In"];

/// What pods of that class need.
pub(crate) fn overhead() -> Value {
    json!({ "cpu": "250m", "memory": "120Mi" })
}

/// Nodes, the pods on them, and a template that is to be placed beside them.
pub(crate) struct Scene {
    pub(crate) namespace: String,
    pub(crate) nodes: Vec<Value>,
    pub(crate) pods: Vec<Value>,
    pub(crate) template: Value,
}

impl Draw {
    pub(crate) fn new(seed: u64) -> Self {
        Self(seed)
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    fn below(&mut self, end: u64) -> u64 {
        self.next() % end
    }

    /// Whether something is so that is so in that many of a hundred cases.
    fn percent(&mut self, percent: u64) -> bool {
        self.below(100) < percent
    }

    fn pick<'a>(&mut self, all: &[&'a str]) -> &'a str {
        all[self.below(all.len() as u64) as usize]
    }

    pub(crate) fn scene(&mut self, case: usize) -> Scene {
        let namespace = format!("room-{case}");
        let names: Vec<String> = (0..2 + self.below(4))
            .map(|number| format!("{namespace}-{number}"))
            .collect();
        let nodes = names.iter().map(|name| self.node(case, name)).collect();
        let pods = (0..self.below(2 * names.len() as u64 + 1))
            .map(|number| {
                let node = self.below(names.len() as u64) as usize;
                self.pod(case, number, &names[node])
            })
            .collect();
        let template = self.template(case);
        Scene {
            namespace,
            nodes,
            pods,
            template,
        }
    }

    fn node(&mut self, case: usize, name: &str) -> Value {
        let mut labels = json!({
            "case": case.to_string(),
            host(case): name,
            "disk": self.pick(&["ssd", "hdd"]),
        });
        if self.percent(90) {
            labels[zone(case)] = self.pick(&["a", "b", "c"]).into();
        }
        let taints = match self.below(10) {
            0 | 1 => json!([{ "key": "dedicated", "value": "edge", "effect": "NoSchedule" }]),
            2 => json!([{ "key": "dedicated", "value": "edge", "effect": "PreferNoSchedule" }]),
            _ => json!([]),
        };
        let resources = json!({
            "cpu": self.pick(&["2", "4", "8"]),
            "memory": self.pick(&["4Gi", "8Gi", "16Gi"]),
            "pods": self.pick(&["6", "12", "30"]),
            "ephemeral-storage": "10Gi",
            "example.com/gpu": self.pick(&["0", "2"]),
        });
        json!({
            "metadata": { "name": name, "labels": labels },
            "spec": { "taints": taints, "unschedulable": self.percent(8) },
            "status": { "capacity": resources, "allocatable": resources },
        })
    }

    /// A pod that is on a node already, wherever a scheduler would have put it.
    fn pod(&mut self, case: usize, number: u64, node: &str) -> Value {
        let mut spec = json!({ "nodeName": node, "containers": [self.container("main")] });
        // What is there may hold a port, and keep others away.
        if self.percent(20) {
            spec["containers"][0]["ports"] = json!([self.port()]);
            self.network(&mut spec);
        }
        self.whole(&mut spec);
        if self.percent(25) {
            let terms = json!([self.term(case, &["In", "NotIn"])]);
            spec["affinity"]["podAntiAffinity"] = required(&terms);
        }
        json!({
            "metadata": {
                "name": format!("there-{number}"),
                "namespace": self.namespace(case),
                "labels": self.labels(),
            },
            "spec": spec,
        })
    }

    fn template(&mut self, case: usize) -> Value {
        let mut spec = json!({
            "containers": [self.container("main")],
            "nodeSelector": { "case": case.to_string() },
        });
        if self.percent(25) {
            spec["containers"][0]["ports"] = json!([self.port()]);
        }
        if self.percent(25) {
            let second = self.container("second");
            spec["containers"].as_array_mut().unwrap().push(second);
        }
        if self.percent(25) {
            let mut first = self.container("first");
            if self.percent(50) {
                first["restartPolicy"] = "Always".into();
            }
            if self.percent(20) {
                first["ports"] = json!([{ "containerPort": 90, "hostPort": 8090 }]);
            }
            spec["initContainers"] = json!([first]);
        }
        if self.percent(10) {
            let size = json!({ "example.com/gpu": "1" });
            spec["containers"][0]["resources"]["limits"] = size;
        }
        self.network(&mut spec);
        self.whole(&mut spec);
        if self.percent(15) {
            spec["nodeSelector"]["disk"] = "ssd".into();
        }
        if self.percent(30) {
            let key = json!([{ "key": "dedicated", "operator": "Exists" }]);
            spec["tolerations"] = key;
        }
        self.near_and_far(case, &mut spec);
        json!({ "metadata": { "labels": self.labels() }, "spec": spec })
    }

    /// In the node's network the ports of the containers are the node's, said or not.
    fn network(&mut self, spec: &mut Value) {
        if !self.percent(25) {
            return;
        }
        spec["hostNetwork"] = true.into();
        for list in ["containers", "initContainers"] {
            let containers = spec.get_mut(list).and_then(Value::as_array_mut);
            let ports = containers.into_iter().flatten();
            let ports = ports.filter_map(|one| one.get_mut("ports")?.as_array_mut());
            for port in ports.flatten() {
                port["containerPort"] = port["hostPort"].clone();
                if self.percent(50) {
                    port["hostPort"] = Value::Null;
                }
            }
        }
    }

    /// What a pod needs as a whole, and beside its containers. No three of these need more than the
    /// least here.
    fn whole(&mut self, spec: &mut Value) {
        match self.below(20) {
            0 => spec["resources"] = json!({ "requests": { "cpu": self.pick(&["1500m", "2"]) } }),
            1 => {
                spec["resources"] = json!({ "requests": { "memory": self.pick(&["3Gi", "4Gi"]) } });
            }
            2 => {
                spec["resources"] = json!({
                    "requests": { "cpu": "1.6", "memory": "3Gi" }, "limits": { "memory": "4Gi" },
                });
            }
            3 => spec["resources"] = json!({ "limits": { "cpu": "2" } }),
            _ => {}
        }
        if self.percent(10) {
            spec["runtimeClassName"] = RUNTIME.into();
            spec["overhead"] = overhead();
        }
    }

    fn near_and_far(&mut self, case: usize, spec: &mut Value) {
        if self.percent(20) {
            let terms = json!([self.node_term(case)]);
            spec["affinity"]["nodeAffinity"] = json!({
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": terms },
            });
        }
        if self.percent(30) {
            let terms = json!([self.term(case, OF_NEW)]);
            spec["affinity"]["podAntiAffinity"] = required(&terms);
        }
        if self.percent(15) {
            let terms = json!([self.term(case, OF_NEW)]);
            spec["affinity"]["podAffinity"] = required(&terms);
        }
        let spread = match self.below(10) {
            0..2 => json!([self.spread(&zone(case))]),
            2 => json!([self.spread(&host(case))]),
            3 => json!([self.spread(&zone(case)), self.spread(&host(case))]),
            _ => return,
        };
        spec["topologySpreadConstraints"] = spread;
    }

    /// Nodes by a label, by their name, or by both.
    fn node_term(&mut self, case: usize) -> Value {
        let operators = ["In", "NotIn"];
        let by_name = self.percent(40);
        let mut term = json!({});
        if by_name {
            let name = format!("room-{case}-{}", self.below(2));
            term["matchFields"] = json!([{
                "key": "metadata.name", "operator": self.pick(&operators), "values": [name],
            }]);
        }
        if !by_name || self.percent(50) {
            term["matchExpressions"] = json!([{
                "key": zone(case), "operator": self.pick(&operators), "values": ["a"],
            }]);
        }
        term
    }

    fn container(&mut self, name: &str) -> Value {
        let requests = json!({
            "cpu": self.pick(&["100m", "0.25", "500m", "300m"]),
            "memory": self.pick(&["64Mi", "128Mi", "500M", "1Gi"]),
        });
        json!({ "name": name, "image": "example.org/web:1", "resources": { "requests": requests } })
    }

    fn port(&mut self) -> Value {
        let number = 8080 + self.below(2);
        let mut port = json!({ "containerPort": 80, "hostPort": number });
        if self.percent(25) {
            port["hostIP"] = self.pick(&["10.0.0.1", "10.0.0.2"]).into();
        }
        if self.percent(20) {
            port["protocol"] = "UDP".into();
        }
        port
    }

    fn labels(&mut self) -> Value {
        let mut labels = json!({ "app": self.pick(&["web", "db"]) });
        if self.percent(50) {
            labels["tier"] = self.pick(&["front", "back"]).into();
        }
        if self.percent(60) {
            labels["version"] = self.pick(&["1", "2"]).into();
        }
        labels
    }

    fn selector(&mut self) -> Value {
        match self.below(5) {
            0 => json!({ "matchExpressions": [{ "key": "tier", "operator": "Exists" }] }),
            1 => json!({ "matchExpressions": [
                { "key": "tier", "operator": "NotIn", "values": ["back"] },
            ]}),
            2 => json!({}),
            _ => json!({ "matchLabels": { "app": self.pick(&["web", "db"]) } }),
        }
    }

    /// A term whose selector of namespaces has one of these operators.
    fn term(&mut self, case: usize, operators: &[&str]) -> Value {
        let key = if self.percent(50) {
            zone(case)
        } else {
            host(case)
        };
        let mut term = json!({ "topologyKey": key, "labelSelector": self.selector() });
        match self.below(9) {
            0 => term["namespaces"] = json!([self.namespace(case)]),
            1 => term["namespaceSelector"] = json!({}),
            2 => {
                let name = json!({ NAME: self.namespace(case) });
                term["namespaceSelector"] = json!({ "matchLabels": name });
            }
            3 => {
                let names = json!({
                    "key": NAME, "operator": self.pick(operators), "values": [self.namespace(case)],
                });
                term["namespaceSelector"] = json!({ "matchExpressions": [names] });
            }
            _ => {}
        }
        match self.below(6) {
            0 => term["matchLabelKeys"] = json!(["version"]),
            1 => term["mismatchLabelKeys"] = json!(["version"]),
            _ => {}
        }
        term
    }

    fn spread(&mut self, key: &str) -> Value {
        let mut spread = json!({
            "topologyKey": key,
            "maxSkew": 1 + self.below(2),
            "whenUnsatisfiable": "DoNotSchedule",
            "labelSelector": self.selector(),
        });
        if self.percent(20) {
            spread["minDomains"] = (2 + self.below(2)).into();
        }
        if self.percent(20) {
            spread["nodeAffinityPolicy"] = "Ignore".into();
        }
        if self.percent(30) {
            spread["nodeTaintsPolicy"] = "Honor".into();
        }
        if self.percent(20) {
            spread["matchLabelKeys"] = json!(["version"]);
        }
        spread
    }

    /// The case's namespace, or the one beside it.
    fn namespace(&mut self, case: usize) -> String {
        let beside = if self.percent(25) { "-beside" } else { "" };
        format!("room-{case}{beside}")
    }
}

fn required(terms: &Value) -> Value {
    json!({ "requiredDuringSchedulingIgnoredDuringExecution": terms })
}

fn zone(case: usize) -> String {
    format!("example.com/zone-{case}")
}

fn host(case: usize) -> String {
    format!("example.com/host-{case}")
}
