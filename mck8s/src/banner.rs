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
    /// Says what is up, and what to try.
    pub(crate) fn print(&self, folder: &Folder) {
        let hub = self.contexts.first().map_or("", String::as_str);
        println!(
            "Up in {:.2} s: a hub and {} members.\n\
             Kubeconfig: {} (contexts: {hub}, then the members; {hub} is the current one)\n",
            self.took.as_secs_f64(),
            self.contexts.len().saturating_sub(1),
            self.kubeconfig.display(),
        );
        if let Some(scenario) = self.scenario {
            self.print_scenario(scenario);
        } else {
            self.print_first_steps(hub);
            self.print_kept(folder);
        }
        self.print_address();
    }

    fn print_scenario(&self, scenario: &Scenario) {
        let file = self.kubeconfig.display();
        if !scenario.description.is_empty() {
            println!("{}\n", scenario.description);
        }
        println!(
            "It takes {:#}. Look at it, in another terminal:\n  \
             export KUBECONFIG={file}\n  \
             kubectl get mchpa,mcd\n  \
             kubectl describe mchpa\n\n\
             Ctrl-C ends it; nothing is kept.\n",
            SignedDuration::try_from(scenario.ends).unwrap_or_default()
        );
    }

    fn print_first_steps(&self, hub: &str) {
        let first = self.contexts.get(1).map_or(hub, String::as_str);
        println!(
            "Try, in another terminal:\n  \
             export KUBECONFIG={}\n  \
             kubectl apply -f manifests/examples/02_example_deployment_worst_fit.yaml\n  \
             kubectl get mcd,mcl\n  \
             kubectl describe mcd hello\n  \
             kubectl --context {first} get pods\n\n\
             Ctrl-C ends it; the data stay.\n",
            self.kubeconfig.display()
        );
    }

    /// Says which data nobody asks for now.
    fn print_kept(&self, folder: &Folder) {
        let mut kept = folder.clusters();
        kept.retain(|name| !self.contexts.contains(name));
        if !kept.is_empty() {
            println!(
                "Not started, because nobody asks for them now: {}. Their data stay in {}.\n",
                kept.join(", "),
                folder.join("data").display()
            );
        }
    }

    /// Says who reaches it besides this machine.
    fn print_address(&self) {
        if !self.address.ip().is_loopback() {
            println!(
                "Others reach it at port {}. Whoever has the kubeconfig, or its token, may do \
                 anything; nobody else may. Elsewhere, write an address of this machine into the \
                 kubeconfig's servers; --tls-san makes the certificate cover it.\n",
                self.address.port()
            );
        }
    }
}
