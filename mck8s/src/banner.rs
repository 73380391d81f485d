//! What people are told once everything is up.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use jiff::SignedDuration;
use lab::simulated::Scenario;

use crate::folder::Folder;

/// What is up.
pub(crate) struct Banner<'a> {
    pub(crate) took: Duration,
    pub(crate) kubeconfig: &'a Path,
    /// The hub, then the members.
    pub(crate) contexts: &'a [String],
    pub(crate) address: SocketAddr,
    pub(crate) scenario: Option<&'a Scenario>,
}

impl Banner<'_> {
    /// What is up, and what to try.
    pub(crate) fn text(&self, folder: &Folder) -> String {
        let hub = self.contexts.first().map_or("", String::as_str);
        let what = match self.scenario {
            Some(scenario) => self.scenario_text(scenario),
            None => self.first_steps(hub) + &self.kept(folder),
        };
        format!(
            "Up in {:.2} s: a hub and {} members.\n\
             Kubeconfig: {} (contexts: {hub}, then the members; {hub} is the current one)\n\n\
             {what}{}",
            self.took.as_secs_f64(),
            self.contexts.len().saturating_sub(1),
            self.kubeconfig.display(),
            self.who_reaches_it(),
        )
    }

    fn scenario_text(&self, scenario: &Scenario) -> String {
        let file = self.kubeconfig.display();
        let mut text = scenario.description.clone();
        if !text.is_empty() {
            text += "\n\n";
        }
        text + &format!(
            "It takes {:#}. Look at it, in another terminal:\n  \
             export KUBECONFIG={file}\n  \
             kubectl get mchpa,mcd\n  \
             kubectl describe mchpa\n\n\
             Ctrl-C ends it; nothing is kept.\n\n",
            SignedDuration::try_from(scenario.ends).unwrap_or_default()
        )
    }

    fn first_steps(&self, hub: &str) -> String {
        let first = self.contexts.get(1).map_or(hub, String::as_str);
        format!(
            "Try, in another terminal:\n  \
             export KUBECONFIG={}\n  \
             kubectl apply -f manifests/examples/02_example_deployment_worst_fit.yaml\n  \
             kubectl get mcd,mcl\n  \
             kubectl describe mcd hello\n  \
             kubectl --context {first} get pods\n\n\
             Ctrl-C ends it; the data stay.\n\n",
            self.kubeconfig.display()
        )
    }

    /// Which data nobody asks for now.
    fn kept(&self, folder: &Folder) -> String {
        let mut kept = folder.clusters();
        kept.retain(|name| !self.contexts.contains(name));
        if kept.is_empty() {
            return String::new();
        }
        format!(
            "Not started, because nobody asks for them now: {}. Their data stay in {}.\n\n",
            kept.join(", "),
            folder.join("data").display()
        )
    }

    /// Who reaches it besides this machine.
    fn who_reaches_it(&self) -> String {
        if self.address.ip().is_loopback() {
            return String::new();
        }
        format!(
            "Others reach it at port {}. Whoever has the kubeconfig, or its token, may do \
             anything; nobody else may. Elsewhere, write an address of this machine into the \
             kubeconfig's servers; --tls-san makes the certificate cover it.\n\n",
            self.address.port()
        )
    }
}
