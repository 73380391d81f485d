//! Custom resources.

use crate::session::Kubectl;

const DEFINITION: &str = r"
apiVersion: apiextensions.k8s.io/v1
kind: CustomResourceDefinition
metadata: {name: crontabs.stable.example.com}
spec:
  group: stable.example.com
  scope: Namespaced
  names: {plural: crontabs, singular: crontab, kind: CronTab, shortNames: [ct], categories: [all]}
  versions:
  - name: v1
    served: true
    storage: true
    additionalPrinterColumns:
    - {name: Spec, type: string, jsonPath: .spec.cronSpec}
    - {name: Replicas, type: integer, jsonPath: .spec.replicas}
    - {name: Image, type: string, priority: 1, jsonPath: .spec.image}
    subresources: {scale: {specReplicasPath: .spec.replicas, statusReplicasPath: .status.replicas}}
    schema:
      openAPIV3Schema:
        type: object
        description: Runs something now and then.
        properties:
          spec:
            type: object
            required: [cronSpec]
            x-kubernetes-validations:
            - {rule: 'self.replicas <= 10', message: at most ten}
            properties:
              cronSpec: {type: string, pattern: '^[0-9* ]+$'}
              image: {type: string}
              replicas: {type: integer, minimum: 1, default: 1}
              steps:
                type: array
                items:
                  type: object
                  properties: {name: {type: string, description: What a step is called.}}
          status: {type: object, properties: {replicas: {type: integer}}}
";

const OBJECT: &str = "
apiVersion: stable.example.com/v1
kind: CronTab
metadata: {name: one}
spec: {cronSpec: '* 1', image: job}
";

pub fn defined_and_used(kubectl: &Kubectl) {
    let definition = kubectl.file("crd.yaml", DEFINITION);
    let object = kubectl.file("ct.yaml", OBJECT);
    let wrong = OBJECT.replace("'* 1'", "'x', replicas: 11");
    let wrong = kubectl.file("wrong.yaml", &wrong);
    kubectl.says(
        &["apply", "-f", &definition],
        &["crontabs.stable.example.com created"],
    );
    let established = [
        "wait",
        "--for=condition=Established",
        "crd/crontabs.stable.example.com",
    ];
    kubectl.says(&established, &["condition met"]);
    kubectl.says(
        &["apply", "-f", &object],
        &["crontab.stable.example.com/one created"],
    );
    kubectl.says(&["apply", "-f", &object], &["unchanged"]);
    kubectl.fails(
        &["apply", "-f", &wrong],
        &[
            "spec.cronSpec in body should match '^[0-9* ]+$'",
            "at most ten",
        ],
    );
    kubectl.says(&["get", "ct"], &["NAME SPEC REPLICAS", "one * 1 1"]);
    kubectl.says(
        &["get", "ct", "-o", "wide"],
        &["NAME SPEC REPLICAS IMAGE", "one * 1 1 job"],
    );
    kubectl.says(&["get", "all"], &["crontab.stable.example.com/one"]);
    kubectl.says(
        &["describe", "ct", "one"],
        &["Kind: CronTab", "Cron Spec: * 1"],
    );
    kubectl.says(&["scale", "ct", "one", "--replicas=5"], &["scaled"]);
    kubectl.edits(
        &["ct", "one"],
        "s/image:.*/image: other/",
        "crontab.stable.example.com/one edited",
    );
    let patch = [
        "patch",
        "ct",
        "one",
        "--type=merge",
        "-p",
        "{\"spec\":{\"cronSpec\":\"2 2\"}}",
    ];
    kubectl.says(&patch, &["patched"]);
    kubectl.says(&["get", "ct", "-o", "wide"], &["one 2 2 5 other"]);
    kubectl.says(
        &["explain", "ct"],
        &[
            "Runs something now and then.",
            "APIVersion defines the versioned schema",
            "metadata <ObjectMeta>",
        ],
    );
    kubectl.says(
        &["explain", "ct.spec.steps.name"],
        &["What a step is called."],
    );
    kubectl.says(
        &["api-resources", "--api-group=stable.example.com"],
        &["crontabs ct"],
    );
    kubectl.says(&["delete", "ct", "--all"], &["\"one\" deleted"]);
    kubectl.says(&["delete", "-f", &definition], &["deleted"]);
    kubectl.fails(
        &["get", "crontabs"],
        &["could not find the requested resource"],
    );
}
