//! The connections with access that a test says, and without a server.

use std::sync::atomic::{AtomicUsize, Ordering};

use kube::client::Body;
use tokio::time::{advance, sleep};

use super::*;
use crate::api::{ClusterAccess, MemberClusterSpec, SecretReference};
use crate::members::access::AccessReason;

/// Access as a test says.
#[derive(Clone, Default)]
struct Fake(Arc<Mutex<Answers>>);

#[derive(Default)]
struct Answers {
    /// The server that access leads to, or what is wrong.
    access: Option<Result<&'static str, &'static str>>,
    /// What is wrong with making a client.
    refused: Option<&'static str>,
    /// How long it takes to make one.
    takes: Duration,
    resolved: usize,
    connected: usize,
}

impl Fake {
    fn answers(&self) -> MutexGuard<'_, Answers> {
        self.0.lock().unwrap()
    }
}

impl Resolver for Fake {
    async fn resolve(&self, _: &MemberCluster) -> Result<ResolvedAccess, AccessProblem> {
        let mut answers = self.answers();
        answers.resolved += 1;
        let access = answers.access.unwrap_or(Ok("first"));
        access.map(resolved).map_err(unreachable)
    }

    async fn connect(
        &self,
        _: ResolvedAccess,
        on_slow: impl FnOnce(AccessProblem) + Send,
    ) -> Result<Client, AccessProblem> {
        let (takes, refused) = {
            let mut answers = self.answers();
            answers.connected += 1;
            (answers.takes, answers.refused)
        };
        if takes > Duration::ZERO {
            sleep(Duration::from_secs(10)).await;
            on_slow(unreachable("slow"));
            sleep(takes).await;
        }
        match refused {
            Some(problem) => Err(unreachable(problem)),
            None => Ok(client()),
        }
    }
}

fn resolved(server: &str) -> ResolvedAccess {
    let cluster = kube::config::NamedCluster {
        name: "member".to_owned(),
        cluster: Some(kube::config::Cluster {
            server: Some(server.to_owned()),
            ..kube::config::Cluster::default()
        }),
        ..kube::config::NamedCluster::default()
    };
    let kubeconfig = kube::config::Kubeconfig {
        clusters: vec![cluster],
        ..kube::config::Kubeconfig::default()
    };
    ResolvedAccess::new(kubeconfig, "member", "a test", false)
}

fn unreachable(message: &str) -> AccessProblem {
    AccessReason::Unreachable.problem(message)
}

fn client() -> Client {
    let service = tower::service_fn(|_: http::Request<Body>| async {
        Ok::<_, std::convert::Infallible>(http::Response::new(Body::empty()))
    });
    Client::new(service, "default")
}

/// Counts how many are open.
struct Counted(Arc<AtomicUsize>);

impl Session for Counted {
    type Shared = Arc<AtomicUsize>;

    fn open(shared: &Arc<AtomicUsize>, _: &Arc<MemberCluster>, _: Client) -> Self {
        shared.fetch_add(1, Ordering::Relaxed);
        Self(shared.clone())
    }
}

impl Drop for Counted {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

/// Connections at work, what happened to them, and how many sessions are open.
struct Scene {
    inner: Arc<Inner<Counted, Fake>>,
    fake: Fake,
    events: Arc<Mutex<Vec<String>>>,
    open: Arc<AtomicUsize>,
    _stop: tokio_util::sync::DropGuard,
}

impl Scene {
    fn start() -> Self {
        let (fake, open) = (Fake::default(), Arc::new(AtomicUsize::new(0)));
        let inner = Arc::new(Inner::new(fake.clone(), open.clone()));
        let (stop, events) = (CancellationToken::new(), Arc::<Mutex<Vec<_>>>::default());
        let (working, told, cancel) = (inner.clone(), events.clone(), stop.clone());
        tokio::spawn(async move {
            let on_event = |member: &Arc<MemberCluster>, event: ConnectionEvent<Counted>| {
                let what = match event {
                    ConnectionEvent::Opened(_) => "opened".to_owned(),
                    ConnectionEvent::Failed(problem) => format!("failed: {problem}"),
                    ConnectionEvent::Recovered => "recovered".to_owned(),
                };
                told.lock()
                    .unwrap()
                    .push(format!("{} {what}", member.name_any()));
            };
            working.run(&on_event, &cancel).await;
        });
        Self {
            inner,
            fake,
            events,
            open,
            _stop: stop.drop_guard(),
        }
    }

    /// What happened since the last time, once nothing is to be done now.
    async fn events(&self) -> Vec<String> {
        for _ in 0..20 {
            tokio::task::yield_now().await;
        }
        std::mem::take(&mut self.events.lock().unwrap())
    }

    async fn events_after(&self, time: Duration) -> Vec<String> {
        self.events().await;
        advance(time).await;
        self.events().await
    }

    fn open(&self) -> usize {
        self.open.load(Ordering::Relaxed)
    }

    fn secret_changes(&self) {
        self.inner.secret_changed(&SecretName {
            namespace: "access".to_owned(),
            name: "edge".to_owned(),
        });
    }
}

fn member(uid: &str, secret: &str) -> Arc<MemberCluster> {
    let access = ClusterAccess {
        secret_ref: Some(SecretReference {
            namespace: "access".to_owned(),
            name: secret.to_owned(),
            key: None,
        }),
        ..ClusterAccess::default()
    };
    let spec = MemberClusterSpec {
        access,
        ..MemberClusterSpec::default()
    };
    let mut member = MemberCluster::new("edge", spec);
    member.metadata.uid = Some(uid.to_owned());
    Arc::new(member)
}

const LONG: Duration = Duration::from_mins(10);

#[tokio::test(start_paused = true)]
async fn a_member_is_connected_once_and_not_again_while_its_access_is_the_same() {
    let scene = Scene::start();
    scene.inner.set_watched("access", true);
    scene.inner.apply(member("1", "edge"));
    assert_eq!(scene.events().await, ["edge opened"]);
    // The status of its object changes all the time.
    scene.inner.apply(member("1", "edge"));
    scene.secret_changes();
    assert!(scene.events().await.is_empty());
    assert_eq!(scene.open(), 1);
    assert_eq!(scene.fake.answers().connected, 1);
}

#[tokio::test(start_paused = true)]
async fn a_secret_that_is_watched_is_not_polled() {
    let scene = Scene::start();
    scene.inner.set_watched("access", true);
    scene.inner.apply(member("1", "edge"));
    scene.events().await;
    let before = scene.fake.answers().resolved;
    scene.events_after(LONG).await;
    assert_eq!(scene.fake.answers().resolved, before);

    scene.fake.answers().access = Some(Ok("second"));
    scene.secret_changes();
    assert_eq!(scene.events().await, ["edge opened"]);
    assert_eq!(scene.open(), 1, "the session before is closed");
}

#[tokio::test(start_paused = true)]
async fn where_nothing_can_be_watched_access_is_polled() {
    let scene = Scene::start();
    scene.inner.apply(member("1", "edge"));
    scene.events().await;
    scene.fake.answers().access = Some(Ok("second"));
    assert!(scene.events().await.is_empty());
    assert_eq!(scene.events_after(RESYNC_INTERVAL).await, ["edge opened"]);
    // A watch that breaks off is replaced by polls, too.
    scene.inner.set_watched("access", true);
    scene.events_after(RESYNC_INTERVAL).await;
    scene.fake.answers().access = Some(Ok("third"));
    assert!(scene.events_after(LONG).await.is_empty());
    scene.inner.set_watched("access", false);
    assert_eq!(scene.events_after(RESYNC_INTERVAL).await, ["edge opened"]);
}

#[tokio::test(start_paused = true)]
async fn an_open_session_goes_on_while_the_access_is_wrong_and_a_problem_is_told_once() {
    let scene = Scene::start();
    scene.inner.set_watched("access", true);
    scene.inner.apply(member("1", "edge"));
    assert_eq!(scene.events().await, ["edge opened"]);
    scene.fake.answers().access = Some(Err("no such Secret"));
    scene.secret_changes();
    assert_eq!(scene.events().await, ["edge failed: no such Secret"]);
    assert!(scene.events_after(LONG).await.is_empty());
    assert_eq!(scene.open(), 1);
    scene.fake.answers().access = Some(Ok("first"));
    scene.secret_changes();
    assert_eq!(scene.events().await, ["edge recovered"]);
    assert_eq!(scene.fake.answers().connected, 1);
}

#[tokio::test(start_paused = true)]
async fn what_fails_is_tried_again_after_waits_that_grow() {
    let scene = Scene::start();
    scene.inner.set_watched("access", true);
    scene.fake.answers().refused = Some("refused");
    scene.inner.apply(member("1", "edge"));
    assert_eq!(scene.events().await, ["edge failed: refused"]);
    let mut tries = Vec::new();
    for _ in 0..3 {
        let before = scene.fake.answers().connected;
        for _ in 0..60 {
            scene.events_after(Duration::from_secs(1)).await;
        }
        tries.push(scene.fake.answers().connected - before);
    }
    assert!(tries[0] > tries[1] && tries[2] >= 2, "{tries:?}");
    // A change is tried at once.
    scene.fake.answers().refused = None;
    scene.secret_changes();
    assert_eq!(scene.events().await, ["edge opened"]);
}

#[tokio::test(start_paused = true)]
async fn a_slow_attempt_is_told_and_serves_when_it_has_ended() {
    let scene = Scene::start();
    scene.inner.set_watched("access", true);
    scene.fake.answers().takes = Duration::from_mins(1);
    scene.inner.apply(member("1", "edge"));
    assert!(scene.events().await.is_empty());
    let slow = scene.events_after(Duration::from_secs(10)).await;
    assert_eq!(slow, ["edge failed: slow"]);
    // It is not tried again beside itself.
    scene.secret_changes();
    assert!(scene.events().await.is_empty());
    assert_eq!(scene.fake.answers().connected, 1);
    let ended = scene.events_after(Duration::from_mins(1)).await;
    assert_eq!(ended, ["edge opened"]);
}

#[tokio::test(start_paused = true)]
async fn an_attempt_with_an_access_that_is_not_wanted_any_more_serves_nothing() {
    let scene = Scene::start();
    scene.inner.set_watched("access", true);
    scene.fake.answers().takes = Duration::from_mins(1);
    scene.inner.apply(member("1", "edge"));
    scene.events().await;
    {
        let mut answers = scene.fake.answers();
        (answers.takes, answers.access) = (Duration::ZERO, Some(Ok("second")));
    }
    scene.secret_changes();
    assert_eq!(scene.events().await, ["edge opened"]);
    assert!(scene.events_after(LONG).await.is_empty());
    assert_eq!(scene.open(), 1);
}

#[tokio::test(start_paused = true)]
async fn a_member_that_is_removed_or_replaced_is_closed() {
    let scene = Scene::start();
    scene.inner.set_watched("access", true);
    scene.inner.apply(member("1", "edge"));
    scene.events().await;
    scene.inner.apply(member("2", "edge"));
    assert_eq!(scene.open(), 0, "another object has its name");
    assert_eq!(scene.events().await, ["edge opened"]);
    scene.inner.members().remove("edge");
    assert_eq!(scene.open(), 0);
    assert!(scene.events_after(LONG).await.is_empty());
}
