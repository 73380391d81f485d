use super::*;
use serde_json::json;

#[test]
fn init_containers_and_sidecars_count_as_kubernetes_counts_them() {
    let template = json!({ "spec": {
        "containers": [
            { "name": "a", "resources": { "requests": { "cpu": "500m", "memory": "1Gi" } } },
            { "name": "b", "resources": { "limits": { "cpu": 1 } } }
        ],
        "initContainers": [
            { "name": "first", "resources": { "requests": { "cpu": 3 } } },
            { "name": "side", "restartPolicy": "Always", "resources": { "requests": { "cpu": "250m" } } },
            { "name": "second", "resources": { "requests": { "cpu": "1", "memory": "2Gi" } } }
        ],
        "overhead": { "cpu": "100m" }
    }});
    let shape = shape_of_template(&template, "shop").unwrap();
    // Running: 500 + 1000 + 250; starting: max(3000, 250 + 1000); the larger, plus overhead.
    assert_eq!(shape.requests.cpu_milli, 3100);
    assert_eq!(shape.requests.memory, 2 << 30);
}

#[test]
fn limits_of_the_pod_as_a_whole_count_where_no_container_requests_any() {
    let needs = |pod: &serde_json::Value| {
        let container = json!({ "name": "a", "resources": { "requests": { "cpu": "500m" } } });
        let spec = json!({ "containers": [container], "resources": pod });
        let shape = shape_of_template(&json!({ "spec": spec }), "shop").unwrap();
        (shape.requests.cpu_milli, shape.requests.memory)
    };
    let limits = json!({ "limits": { "cpu": "2", "memory": "1Gi" } });
    assert_eq!(needs(&limits), (500, 1 << 30));
    let both = json!({ "requests": { "cpu": "1" }, "limits": { "cpu": "2" } });
    assert_eq!(needs(&both), (1000, 0));
}

#[test]
fn a_bad_amount_says_where_it_is() {
    let template = json!({ "spec": { "containers": [
        { "name": "web", "resources": { "requests": { "memory": "1024Mb" } } }
    ]}});
    let error = shape_of_template(&template, "shop")
        .unwrap_err()
        .to_string();
    assert!(
        error.contains("memory") && error.contains("web") && error.contains("1024Mb"),
        "{error}"
    );
}

#[test]
fn selectors_affinity_and_tolerations_are_read() {
    let template = json!({ "spec": {
        "containers": [],
        "nodeSelector": { "disk": "ssd" },
        "affinity": { "nodeAffinity": { "requiredDuringSchedulingIgnoredDuringExecution": {
            "nodeSelectorTerms": [{ "matchExpressions": [{ "key": "cores", "operator": "Gt", "values": ["8"] }] }] } } },
        "tolerations": [{ "key": "edge", "operator": "Exists", "effect": "NoSchedule" }]
    }});
    let constraints = shape_of_template(&template, "shop").unwrap().constraints;
    assert_eq!(constraints.node_selector["disk"], "ssd");
    assert_eq!(
        constraints.affinity.unwrap()[0].labels[0].operator,
        Operator::Gt
    );
    assert_eq!(
        constraints.tolerations[0].effect,
        Some(TaintEffect::NoSchedule)
    );
}

#[test]
fn an_amount_that_no_node_has_is_refused_wherever_it_stands() {
    let container = |resources: serde_json::Value| json!({ "spec": { "containers": [{ "name": "web", "resources": resources }] } });
    let cases = [
        (
            container(json!({ "requests": { "memory": "1e2147483647" } })),
            "spec.containers[web].resources.requests.memory",
            "more than any node has",
        ),
        (
            container(json!({ "requests": { "cpu": 1 }, "limits": { "cpu": "1e-2147483648" } })),
            "spec.containers[web].resources.limits.cpu",
            "exponent",
        ),
        (
            container(json!({ "requests": { "cpu": -1 } })),
            "spec.containers[web].resources.requests.cpu",
            "write 0 or more",
        ),
        (
            json!({ "spec": { "volumes": [{ "name": "v", "emptyDir": { "sizeLimit": "1e99" } }] } }),
            "spec.volumes[v].emptyDir.sizeLimit",
            "more than any node has",
        ),
        (
            json!({ "spec": { "overhead": { "memory": "9223372036854775808" } } }),
            "spec.overhead.memory",
            "more than any node has",
        ),
    ];
    for (template, path, why) in cases {
        let error = shape_of_template(&template, "shop")
            .unwrap_err()
            .to_string();
        assert!(error.contains(path) && error.contains(why), "{error}");
    }
    // Labels may be called anything.
    let template = json!({ "spec": { "nodeSelector": { "divisor": "none", "limits": "-1" } } });
    assert!(shape_of_template(&template, "shop").is_ok());
}

#[test]
fn host_ports_are_those_of_containers_that_stay() {
    let port = |number: u16| json!([{ "containerPort": 80, "hostPort": number }]);
    let template = json!({ "spec": {
        "containers": [{ "name": "a", "ports": port(8080) }, { "name": "b", "ports": null }],
        "initContainers": [
            { "name": "first", "ports": port(8081) },
            { "name": "side", "restartPolicy": "Always", "ports": port(8082) },
        ],
    }});
    let shape = shape_of_template(&template, "shop").unwrap();
    let ports = |shape: &PodShape| -> Vec<u16> {
        let ports = shape.profile.host_ports.iter();
        ports.map(|port| port.port).collect()
    };
    assert_eq!(ports(&shape), [8080, 8082]);
    let host = json!({ "spec": {
        "hostNetwork": true,
        "containers": [{ "name": "a", "ports": [{ "containerPort": 53, "protocol": "UDP" }] }],
    }});
    let shape = shape_of_template(&host, "shop").unwrap();
    assert_eq!(ports(&shape), [53]);
    assert_eq!(&*shape.profile.host_ports[0].protocol, "UDP");
    assert_eq!(&*shape.profile.host_ports[0].ip, "0.0.0.0");
}

#[test]
fn terms_mean_the_pods_that_kubernetes_takes_them_to_mean() {
    let template = json!({
        "metadata": { "labels": { "app": "web" } },
        "spec": {
            "containers": [],
            "affinity": { "podAntiAffinity": {
                "requiredDuringSchedulingIgnoredDuringExecution": [
                    {
                        "topologyKey": "zone",
                        "labelSelector": { "matchLabels": { "app": "web" } },
                        "matchLabelKeys": ["pod-template-hash", "absent"],
                    },
                    { "topologyKey": "zone" },
                ],
                "preferredDuringSchedulingIgnoredDuringExecution": [],
            }},
            "topologySpreadConstraints": [
                { "topologyKey": "zone", "maxSkew": 1, "whenUnsatisfiable": "ScheduleAnyway" },
                { "topologyKey": "zone", "maxSkew": 2, "whenUnsatisfiable": "DoNotSchedule",
                  "labelSelector": {}, "nodeTaintsPolicy": "Honor" },
            ],
        },
    });
    let shape = shape_of_template(&template, "shop").unwrap();
    let [hash, nothing] = &*shape.profile.anti_affinity else {
        panic!("{:?}", shape.profile.anti_affinity)
    };
    // Its own replicas have the same new hash; nobody else has.
    assert!(hash.matches(&shape.profile));
    assert_eq!(hash.namespaces, ["shop"]);
    let older = json!({ "metadata": { "labels": { "app": "web", "pod-template-hash": "1" } } });
    let older = shape_of_template(&older, "shop").unwrap().profile;
    assert!(!hash.matches(&older));
    assert!(!nothing.matches(&shape.profile) && !nothing.matches(&older));
    let [hard] = &*shape.spread else {
        panic!("{:?}", shape.spread)
    };
    assert!(hard.max_skew == 2 && hard.honors_taints && hard.honors_affinity);
    assert!(hard.selector.is_empty() && hard.min_domains == 1);
}
