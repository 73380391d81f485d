//! Random nodes, pods and templates. Those of a case have labels of its own, so that many cases
//! share one cluster and do not meet.

use serde_json::{Value, json};

/// Sebastiano Vigna's `SplitMix64`: the same numbers on every machine.
pub(crate) struct Draw(u64);

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
        }
        if self.percent(25) {
            let terms = json!([self.term(case)]);
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

    fn near_and_far(&mut self, case: usize, spec: &mut Value) {
        if self.percent(15) {
            let term = json!([{ "matchExpressions": [{
                "key": zone(case), "operator": self.pick(&["In", "NotIn"]), "values": ["a"],
            }]}]);
            spec["affinity"]["nodeAffinity"] = json!({
                "requiredDuringSchedulingIgnoredDuringExecution": { "nodeSelectorTerms": term },
            });
        }
        if self.percent(30) {
            let terms = json!([self.term(case)]);
            spec["affinity"]["podAntiAffinity"] = required(&terms);
        }
        if self.percent(15) {
            let terms = json!([self.term(case)]);
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

    fn term(&mut self, case: usize) -> Value {
        let key = if self.percent(50) {
            zone(case)
        } else {
            host(case)
        };
        let mut term = json!({ "topologyKey": key, "labelSelector": self.selector() });
        match self.below(6) {
            0 => term["namespaces"] = json!([self.namespace(case)]),
            1 => term["namespaceSelector"] = json!({}),
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
