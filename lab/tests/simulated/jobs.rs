//! Jobs.

use std::time::Duration;

use k8s_openapi::api::batch::v1::{Job, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::Api;
use kube::api::{ListParams, Patch, PatchParams};
use lab::simulated::{EXIT_CODE, FAILS, Failures, Options, RUN_SECONDS};
use serde_json::{Value, json};

use crate::fixture::{Lab, phase};

/// A Job whose pods run for 30 s.
fn job(spec: &Value) -> Value {
    let mut job = json!({
        "metadata": { "name": "work" },
        "spec": { "template": {
            "metadata": { "annotations": { RUN_SECONDS: "30" } },
            "spec": {
                "restartPolicy": "Never",
                "containers": [{ "name": "work", "image": "busybox" }],
            },
        } },
    });
    for (key, value) in spec.as_object().unwrap() {
        job["spec"][key] = value.clone();
    }
    job
}

fn failing(spec: &Value) -> Value {
    let mut job = job(spec);
    job["spec"]["template"]["metadata"]["annotations"][EXIT_CODE] = json!("1");
    job
}

impl Lab {
    async fn work(&self) -> JobStatus {
        let api: Api<Job> = self.api();
        api.get("work").await.unwrap().status.unwrap_or_default()
    }

    /// Waits until the Job is over. Gives its status, and the virtual second.
    async fn over(&self) -> (JobStatus, i64) {
        let status = self
            .until("the Job's end", || async {
                let status = self.work().await;
                let conditions = conditions(&status);
                let over = conditions
                    .iter()
                    .any(|(kind, _)| kind == "Complete" || kind == "Failed");
                over.then_some(status)
            })
            .await;
        (status, self.seconds())
    }
}

fn conditions(status: &JobStatus) -> Vec<(String, String)> {
    let conditions = status.conditions.as_deref().unwrap_or_default().iter();
    conditions
        .filter(|one| one.status == "True")
        .map(|one| (one.type_.clone(), one.reason.clone().unwrap_or_default()))
        .collect()
}

fn pair(kind: &str, reason: &str) -> (String, String) {
    (kind.to_owned(), reason.to_owned())
}

#[tokio::test(start_paused = true)]
async fn a_job_completes() {
    let lab = Lab::new().await;
    lab.create::<Job>(job(&json!({ "parallelism": 2, "completions": 5 })))
        .await;
    lab.pass(Duration::from_secs(10)).await;
    let status = lab.work().await;
    assert_eq!((status.active, status.ready), (Some(2), Some(2)));
    assert!(status.start_time.is_some());
    let (status, second) = lab.over().await;
    // Three rounds of 32 s.
    assert_eq!(second, 96);
    assert_eq!(
        (status.succeeded, status.failed, status.active),
        (Some(5), None, None)
    );
    assert_eq!(
        conditions(&status),
        [
            pair("SuccessCriteriaMet", "CompletionsReached"),
            pair("Complete", "CompletionsReached"),
        ]
    );
    assert!(status.completion_time.is_some());
    let pods = lab.pods().await;
    assert_eq!(pods.len(), 5);
    assert!(pods.iter().all(|pod| phase(pod) == "Succeeded"));
}

#[tokio::test(start_paused = true)]
async fn a_job_fails_after_too_many_failures_and_waits_longer_after_each() {
    let lab = Lab::new().await;
    lab.create::<Job>(failing(&json!({ "backoffLimit": 2 })))
        .await;
    let (status, second) = lab.over().await;
    // Three times 32 s, with waits of 10 and of 20 s.
    assert!((126..=128).contains(&second), "{second}");
    assert_eq!((status.succeeded, status.failed), (None, Some(3)));
    assert_eq!(
        conditions(&status),
        [
            pair("FailureTarget", "BackoffLimitExceeded"),
            pair("Failed", "BackoffLimitExceeded"),
        ]
    );
    assert!(status.completion_time.is_none());
}

#[tokio::test(start_paused = true)]
async fn containers_that_are_restarted_count_as_well() {
    let lab = Lab::new().await;
    let mut work = job(&json!({ "backoffLimit": 2 }));
    work["spec"]["template"]["metadata"]["annotations"][FAILS] = json!("true");
    work["spec"]["template"]["spec"]["restartPolicy"] = json!("OnFailure");
    lab.create::<Job>(work).await;
    let (status, _) = lab.over().await;
    assert_eq!(
        conditions(&status)[0],
        pair("FailureTarget", "BackoffLimitExceeded")
    );
    assert_eq!(status.failed, Some(1));
    assert!(lab.pods().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_takes_too_long_is_ended() {
    let lab = Lab::new().await;
    let spec = json!({ "parallelism": 3, "completions": 3, "activeDeadlineSeconds": 20 });
    lab.create::<Job>(job(&spec)).await;
    lab.pass(Duration::from_millis(20_500)).await;
    let status = lab.work().await;
    assert_eq!(
        conditions(&status),
        [pair("FailureTarget", "DeadlineExceeded")]
    );
    assert_eq!((status.active, status.terminating), (None, Some(3)));
    let (status, _) = lab.over().await;
    assert_eq!(conditions(&status)[1], pair("Failed", "DeadlineExceeded"));
    assert_eq!((status.failed, status.terminating), (Some(3), Some(0)));
    assert!(lab.pods().await.is_empty());
}

#[tokio::test(start_paused = true)]
async fn a_job_that_is_over_is_deleted_when_its_time_has_come() {
    let lab = Lab::new().await;
    lab.create::<Job>(job(&json!({ "ttlSecondsAfterFinished": 100 })))
        .await;
    lab.over().await;
    lab.pass(Duration::from_secs(98)).await;
    let api: Api<Job> = lab.api();
    assert!(api.get_opt("work").await.unwrap().is_some());
    lab.pass(Duration::from_secs(5)).await;
    assert!(api.get_opt("work").await.unwrap().is_none());
    let pods: Api<Pod> = lab.api();
    assert!(
        pods.list(&ListParams::default())
            .await
            .unwrap()
            .items
            .is_empty()
    );
}

#[tokio::test(start_paused = true)]
async fn a_suspended_job_has_no_pods_until_it_goes_on() {
    let lab = Lab::new().await;
    lab.create::<Job>(job(&json!({ "suspend": true }))).await;
    lab.pass(Duration::from_secs(5)).await;
    let status = lab.work().await;
    assert_eq!(conditions(&status), [pair("Suspended", "JobSuspended")]);
    assert!(status.start_time.is_none());
    assert!(lab.pods().await.is_empty());
    let api: Api<Job> = lab.api();
    let patch = Patch::Merge(json!({ "spec": { "suspend": false } }));
    api.patch("work", &PatchParams::default(), &patch)
        .await
        .unwrap();
    let (status, _) = lab.over().await;
    assert_eq!(status.succeeded, Some(1));
}

#[tokio::test(start_paused = true)]
async fn failures_that_are_drawn_are_made_up_for() {
    let options = Options {
        failures: Failures {
            job: 0.3,
            crashes_an_hour: 0.0,
        },
        heartbeat: None,
        ..Options::default()
    };
    let lab = Lab::start(options, 1).await;
    let spec = json!({ "parallelism": 10, "completions": 50, "backoffLimit": 1000 });
    let mut work = job(&spec);
    work["spec"]["template"]["metadata"]["annotations"] = json!({});
    lab.create::<Job>(work).await;
    let (status, _) = lab.over().await;
    assert_eq!(status.succeeded, Some(50));
    assert!(
        (5..50).contains(&status.failed.unwrap()),
        "{:?}",
        status.failed
    );
    // Its events go after an hour.
    lab.pass(Duration::from_hours(2)).await;
    let revision = lab.store.revision();
    lab.pass(Duration::from_hours(5)).await;
    assert_eq!(lab.store.revision(), revision);
}
