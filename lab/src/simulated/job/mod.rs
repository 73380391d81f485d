//! The Job controller: runs pods until enough of them have succeeded, or too many have failed.
//! Indexed Jobs run as others do; pod failure and success policies are not played.

mod ledger;
mod plan;
mod status;

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use federation::operator::queue::{Priority, WorkQueue};
use k8s_openapi::api::batch::v1::{Job, JobSpec, JobStatus};
use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::DeleteParams;
use serde_json::json;

use super::cache::{ObjectKey, controller_key};
use super::context::{BURST, Context, after, queue, seconds, until, work};
use super::pods::{is_active, is_terminating, is_terminating_namespace, ready_since};
use ledger::Ledger;
use plan::{Asked, End, Seen, Step, next};
use status::{as_patch, decided_end, is_finished, next_status};

/// What stands in Events.
const SOURCE: &str = "job-controller";

/// The Job controller, and the one that deletes Jobs that have been over for long enough.
pub(crate) struct Jobs {
    context: Arc<Context>,
    queue: WorkQueue<ObjectKey>,
    ledgers: Mutex<BTreeMap<ObjectKey, (String, Ledger)>>,
}

impl Jobs {
    pub(crate) fn new(context: Arc<Context>) -> Arc<Self> {
        let queue = queue();
        let jobs = queue.clone();
        context.jobs.on_change(move |before, after| {
            if let Some(job) = after.or(before) {
                jobs.renew(ObjectKey::of(&**job), Priority::High);
            }
        });
        let pods = queue.clone();
        context.pods.on_change(move |before, after| {
            let Some(pod) = after.or(before) else { return };
            if let Some(key) = controller_key(&**pod, "Job") {
                pods.add_after(key, BURST);
            }
        });
        Arc::new(Self {
            context,
            queue,
            ledgers: Mutex::default(),
        })
    }

    /// Does what a Job controller does.
    pub(crate) async fn run(self: Arc<Self>) {
        self.context.synced().await;
        let queue = self.queue.clone();
        work("jobs", queue, |key| {
            let this = Arc::clone(&self);
            async move { this.look(&key).await }
        })
        .await;
    }

    fn ledgers(&self) -> MutexGuard<'_, BTreeMap<ObjectKey, (String, Ledger)>> {
        self.ledgers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn look(&self, key: &ObjectKey) -> kube::Result<Option<Duration>> {
        let Some(job) = self.context.jobs.get(key) else {
            self.ledgers().remove(key);
            return Ok(None);
        };
        let (Some(uid), Some(spec)) = (job.uid(), job.spec.as_ref()) else {
            return Ok(None);
        };
        if is_finished(job.status.as_ref()) {
            self.ledgers().remove(key);
            return self.expire(&job, spec).await;
        }
        if spec
            .managed_by
            .as_deref()
            .is_some_and(|by| by != "kubernetes.io/job-controller")
        {
            return Ok(None);
        }
        let pods = self.context.pods.owned_by(&uid);
        let asked = asked(spec);
        let (seen, ready) = self.see(key, &job, &uid, &asked, &pods);
        let step = match decided_end(job.status.as_ref()) {
            Some(end) => Step::Finish(end),
            None if job.metadata.deletion_timestamp.is_some() => Step::Wait(None),
            None => next(&asked, &seen, self.context.now()),
        };
        match step {
            // What is made or deleted brings the Job back here, and then it is reported.
            Step::Create(count) => {
                let created = self.create(&job, spec, count).await;
                if created.is_err() {
                    self.report(key, &job, &seen, ready, None).await?;
                }
                created.map(|()| None)
            }
            Step::Delete(count) => {
                let count = usize::try_from(count).unwrap_or(0);
                self.delete(&job, &pods, count).await?;
                Ok(None)
            }
            Step::Wait(left) => {
                self.report(key, &job, &seen, ready, None).await?;
                Ok(left)
            }
            Step::Finish(end) => self.finish(key, &job, &uid, &pods, end).await,
        }
    }

    /// Counts what has happened.
    fn see(
        &self,
        key: &ObjectKey,
        job: &Job,
        uid: &str,
        asked: &Asked,
        pods: &[Arc<Pod>],
    ) -> (Seen, i32) {
        let now = self.context.now();
        let mut ledgers = self.ledgers();
        let known = ledgers.remove(key).filter(|(known, _)| known == uid);
        let opened = || (uid.to_owned(), Ledger::open(job.status.as_ref(), pods));
        let (_, ledger) = ledgers
            .entry(key.clone())
            .or_insert_with(|| known.unwrap_or_else(opened));
        ledger.count(pods, asked.replace_when_gone, now);
        let number = |test: fn(&Pod) -> bool| count(pods, test);
        let status = job.status.as_ref();
        let started = status
            .and_then(|status| status.start_time.as_ref())
            .map(|time| time.0);
        let seen = Seen {
            started: started.or((!asked.suspended).then_some(now)),
            active: number(is_active),
            terminating: number(is_terminating),
            succeeded: ledger.succeeded,
            failed: ledger.failed,
            restarts: pods
                .iter()
                .filter(|pod| is_active(pod))
                .map(|pod| restarts(pod))
                .sum(),
            failures: ledger.failures,
            last_failure: ledger.last_failure,
        };
        (
            seen,
            number(|pod| is_active(pod) && ready_since(pod).is_some()),
        )
    }

    async fn create(&self, job: &Job, spec: &JobSpec, count: i32) -> kube::Result<()> {
        let count = usize::try_from(count).unwrap_or(0);
        match self
            .context
            .create_pods(SOURCE, &spec.template, job, count)
            .await
        {
            Err(error) if is_terminating_namespace(&error) => Ok(()),
            other => other,
        }
    }

    /// Deletes so many of the pods that run, those that are not ready first.
    async fn delete(&self, job: &Job, pods: &[Arc<Pod>], count: usize) -> kube::Result<()> {
        let mut active: Vec<&Arc<Pod>> = pods.iter().filter(|pod| is_active(pod)).collect();
        active.sort_by_cached_key(|pod| (ready_since(pod).is_some(), pod.name_any()));
        for pod in active.into_iter().take(count) {
            self.context.delete_pod(SOURCE, pod, job).await?;
        }
        Ok(())
    }

    /// A Job is over: what still runs goes, and when all is gone, that is its end.
    async fn finish(
        &self,
        key: &ObjectKey,
        job: &Job,
        uid: &str,
        pods: &[Arc<Pod>],
        end: End,
    ) -> kube::Result<Option<Duration>> {
        if let Some((_, ledger)) = self.ledgers().get_mut(key) {
            ledger.close(pods, end == End::Complete);
        }
        self.delete(job, pods, usize::MAX).await?;
        let pods = self.context.pods.owned_by(uid);
        let (seen, ready) = self.see(key, job, uid, &asked_of(job), &pods);
        let done = seen.active == 0 && seen.terminating == 0;
        self.report(key, job, &seen, ready, Some(end)).await?;
        if done {
            let (reason, message) = end.words();
            let recorder = &self.context.recorder;
            match end {
                End::Complete => {
                    recorder.normal(SOURCE, job, "Completed", "Job completed".to_owned());
                }
                _ => recorder.warning(SOURCE, job, reason, message.to_owned()),
            }
        }
        Ok(None)
    }

    /// Writes the status if it has changed.
    async fn report(
        &self,
        key: &ObjectKey,
        job: &Job,
        seen: &Seen,
        ready: i32,
        end: Option<End>,
    ) -> kube::Result<()> {
        let suspended = job.spec.as_ref().and_then(|spec| spec.suspend) == Some(true);
        let known = job.status.as_ref();
        let next = next_status(known, seen, ready, end, suspended, self.context.now());
        if !differs(known, &next) {
            return Ok(());
        }
        let patch = json!({ "metadata": { "uid": job.uid() }, "status": as_patch(&next) });
        self.context
            .merge_status(&self.context.jobs, key, &patch)
            .await
    }

    /// Deletes a Job that has been over for as long as it says, with all its pods.
    async fn expire(&self, job: &Job, spec: &JobSpec) -> kube::Result<Option<Duration>> {
        let Some(ttl) = spec.ttl_seconds_after_finished else {
            return Ok(None);
        };
        let conditions = job
            .status
            .as_ref()
            .and_then(|status| status.conditions.as_deref());
        let mut conditions = conditions.unwrap_or_default().iter();
        let last = conditions.find(|one| matches!(one.type_.as_str(), "Complete" | "Failed"));
        let ended = last.and_then(|one| one.last_transition_time.as_ref());
        let Some(ended) = ended.filter(|_| job.metadata.deletion_timestamp.is_none()) else {
            return Ok(None);
        };
        let left = until(self.context.now(), after(ended.0, seconds(ttl.into())));
        if !left.is_zero() {
            return Ok(Some(left));
        }
        let params = DeleteParams::foreground();
        self.context.delete(&self.context.jobs, job, params).await?;
        Ok(None)
    }
}

/// Whether a status says something else, but for what only the API server writes in another way.
fn differs(known: Option<&JobStatus>, next: &JobStatus) -> bool {
    let mut known = known.cloned().unwrap_or_default();
    known
        .uncounted_terminated_pods
        .clone_from(&next.uncounted_terminated_pods);
    known != *next
}

fn asked_of(job: &Job) -> Asked {
    job.spec
        .as_ref()
        .map_or_else(|| asked(&JobSpec::default()), asked)
}

fn asked(spec: &JobSpec) -> Asked {
    Asked {
        parallelism: spec.parallelism.unwrap_or(1),
        completions: spec.completions,
        backoff_limit: spec.backoff_limit.unwrap_or(6),
        deadline: spec.active_deadline_seconds.map(seconds),
        suspended: spec.suspend == Some(true),
        replace_when_gone: spec.pod_replacement_policy.as_deref() == Some("Failed"),
    }
}

fn count(pods: &[Arc<Pod>], test: fn(&Pod) -> bool) -> i32 {
    let count = pods.iter().filter(|pod| test(pod)).count();
    i32::try_from(count).unwrap_or(i32::MAX)
}

/// Restarts of a pod's containers, where they are restarted after failures.
fn restarts(pod: &Pod) -> i32 {
    let policy = pod
        .spec
        .as_ref()
        .and_then(|spec| spec.restart_policy.as_deref());
    let statuses = pod
        .status
        .as_ref()
        .and_then(|s| s.container_statuses.as_deref());
    let statuses = statuses.unwrap_or_default().iter();
    match policy {
        Some("OnFailure") => statuses.map(|one| one.restart_count).sum(),
        _ => 0,
    }
}
