//! What people do in a story.

use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, Patch, PatchParams, PostParams};
use serde_json::json;

use super::objects::{self, FOREIGN, NAMES, Served, member_clusters, moves, of};
use super::step::Step;
use super::{Error, Story, apply};

impl Story {
    pub(super) async fn take(&mut self, step: Step) -> Result<(), Error> {
        let (namespace, name) = NAMES[self.random.below(NAMES.len())];
        match step {
            Step::Write => self.write(namespace, name).await,
            Step::WriteForeign => self.write("default", FOREIGN).await,
            Step::Scale => self.scale(namespace, name).await,
            Step::Move => self.relocate(namespace, name).await,
            Step::Delete => self.delete(namespace, name).await,
            Step::WriteJob => self.write_job(namespace, name).await,
            Step::WriteService => self.write_service(namespace, name).await,
            Step::DeleteNamespace => self.delete_namespace("team").await,
            Step::Cordon => self.cordon().await,
            Step::ByHand => self.change_by_hand(namespace, name).await,
            Step::Membership => self.leave_or_join().await,
            Step::AddNodes => self.add_nodes().await,
            Step::RemoveNode => self.remove_a_node().await,
            Step::LoseNode => {
                self.lose_or_return_a_node();
                Ok(())
            }
            Step::Cut => {
                self.cut_or_open_a_member();
                Ok(())
            }
            Step::Partition => {
                self.partition();
                Ok(())
            }
            Step::Slow => {
                self.slow();
                Ok(())
            }
            Step::Kill => {
                self.kill_a_scheduler();
                Ok(())
            }
        }
    }

    async fn write(&mut self, namespace: &str, name: &str) -> Result<(), Error> {
        let members: Vec<&String> = self.world.members.keys().collect();
        let places = objects::places(&mut self.random, &members);
        let object = objects::deployment(&mut self.random, namespace, name, &places);
        self.note(&format!(
            "write {name} {}",
            object["spec"]["placementPolicy"]
        ));
        self.make_namespace(namespace).await?;
        // What is not said is gone: the fields are this writer's.
        apply(&self.world.hub_client(), &object).await?;
        Ok(())
    }

    async fn scale(&mut self, namespace: &str, name: &str) -> Result<(), Error> {
        let replicas = self.random.below(8);
        self.note(&format!("scale {name} to {replicas}"));
        self.patch(namespace, name, &json!({ "replicas": replicas }))
            .await
    }

    async fn relocate(&mut self, namespace: &str, name: &str) -> Result<(), Error> {
        let members: Vec<&String> = self.world.members.keys().collect();
        let places = objects::places(&mut self.random, &members);
        self.note(&format!("move {name} {places}"));
        self.patch(namespace, name, &places).await
    }

    /// Somebody asks for a move of replicas, or takes that back.
    pub(super) async fn ask_for_a_move(&mut self) -> Result<(), Error> {
        let (namespace, name) = NAMES[self.asking.below(NAMES.len())];
        let api = moves(&self.world.hub_client(), Some(namespace));
        if self.asking.happens(0.2) {
            let existing = api.list(&ListParams::default()).await?;
            let existing = existing.items;
            if !existing.is_empty() {
                let object = &existing[self.asking.below(existing.len())];
                self.note(&format!("delete move {}", object.name_any()));
                api.delete(&object.name_any(), &DeleteParams::default())
                    .await?;
            }
            return Ok(());
        }
        let members: Vec<&String> = self.world.members.keys().collect();
        let [from, to] = [0; 2].map(|_| members[self.asking.below(members.len())]);
        let mut object = json!({
            "apiVersion": "fogguru.eu/v1",
            "kind": "WorkloadMove",
            "metadata": { "generateName": format!("{name}-"), "namespace": namespace },
            "spec": {
                "workload": { "name": name }, "from": from, "to": to,
                "progressDeadlineSeconds": 60 + self.asking.below(240),
            },
        });
        if self.asking.happens(0.7) {
            object["spec"]["replicas"] = (1 + self.asking.below(3)).into();
        }
        if self.asking.happens(0.5) {
            object["spec"]["ttlSecondsAfterFinished"] = self.asking.below(300).into();
        }
        self.note(&format!("ask for {}", object["spec"]));
        self.make_namespace(namespace).await?;
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(())
    }

    async fn patch(
        &self,
        namespace: &str,
        name: &str,
        spec: &serde_json::Value,
    ) -> Result<(), Error> {
        let deployments = Served::Deployment.on_hub();
        let api = of(&self.world.hub_client(), &deployments, Some(namespace));
        let patch = Patch::Merge(json!({ "spec": spec }));
        api.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    async fn write_job(&mut self, namespace: &str, name: &str) -> Result<(), Error> {
        let members: Vec<&String> = self.world.members.keys().collect();
        let places = objects::places(&mut self.random, &members);
        let object = objects::job(&mut self.random, namespace, name, &places);
        self.note(&format!("job {name}"));
        self.make_namespace(namespace).await?;
        // A job is made once: its template cannot be changed.
        let api = of(
            &self.world.hub_client(),
            &Served::Job.on_hub(),
            Some(namespace),
        );
        api.create(&PostParams::default(), &serde_json::from_value(object)?)
            .await?;
        Ok(())
    }

    async fn write_service(&mut self, namespace: &str, name: &str) -> Result<(), Error> {
        let members: Vec<&String> = self.world.members.keys().collect();
        let object = objects::service(&mut self.random, namespace, name, &members);
        self.note(&format!("service {name}"));
        self.make_namespace(namespace).await?;
        apply(&self.world.hub_client(), &object).await?;
        Ok(())
    }

    async fn delete(&mut self, namespace: &str, name: &str) -> Result<(), Error> {
        let kinds = [
            Served::Deployment,
            Served::Deployment,
            Served::Job,
            Served::Service,
        ];
        let kind = kinds[self.random.below(kinds.len())];
        self.note(&format!("delete {kind:?} {name}"));
        let api = of(&self.world.hub_client(), &kind.on_hub(), Some(namespace));
        api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn make_namespace(&self, name: &str) -> Result<(), Error> {
        let namespace = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": { "name": name },
        });
        apply(&self.world.hub_client(), &namespace).await?;
        Ok(())
    }

    async fn delete_namespace(&mut self, name: &str) -> Result<(), Error> {
        self.note(&format!("delete namespace {name}"));
        let api: kube::Api<k8s_openapi::api::core::v1::Namespace> =
            kube::Api::all(self.world.hub_client());
        api.delete(name, &DeleteParams::default()).await?;
        Ok(())
    }

    async fn cordon(&mut self) -> Result<(), Error> {
        let (name, cordoned) = (self.member(), self.random.happens(0.5));
        self.note(&format!("cordon {name}: {cordoned}"));
        let patch = Patch::Merge(json!({ "spec": { "unschedulable": cordoned } }));
        let api = member_clusters(&self.world.hub_client());
        api.patch(&name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// Somebody on a member scales or deletes what is ours.
    async fn change_by_hand(&mut self, namespace: &str, name: &str) -> Result<(), Error> {
        let member = self.member();
        let client = self.member_client(&member)?;
        let api = of(&client, &Served::Deployment.on_members(), Some(namespace));
        if self.random.happens(0.3) {
            self.note(&format!("delete {name} on {member} by hand"));
            api.delete(name, &DeleteParams::default()).await?;
            return Ok(());
        }
        let replicas = self.random.below(9);
        self.note(&format!("scale {name} on {member} to {replicas} by hand"));
        self.witness.by_hand(&member, name, replicas as u64);
        let patch = Patch::Merge(json!({ "spec": { "replicas": replicas } }));
        api.patch(name, &PatchParams::default(), &patch).await?;
        Ok(())
    }

    /// A member is taken out of the federation, or comes back with what it has.
    async fn leave_or_join(&mut self) -> Result<(), Error> {
        let name = self.member();
        if self.left.remove(&name) {
            self.note(&format!("{name} joins again"));
            self.world.register(&name).await?;
            return Ok(());
        }
        self.note(&format!("{name} leaves"));
        let client = self.member_client(&name)?;
        for kind in Served::ALL {
            let api = of(&client, &kind.on_members(), None);
            for object in api.list(&kube::api::ListParams::default()).await? {
                if let Some(owner) = object.labels().get(federation::api::LABEL_OWNER) {
                    self.left_behind.insert((owner.clone(), name.clone()));
                }
            }
        }
        self.world.deregister(&name).await?;
        self.left.insert(name);
        Ok(())
    }
}
