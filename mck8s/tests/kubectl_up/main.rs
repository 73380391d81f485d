//! The real `kubectl` against a running `mck8s up`: what people type, and what they read.
//! `KUBECTL` names it; else it is looked for in the path.

#![allow(clippy::unwrap_used, clippy::panic)]

mod access;
mod custom;
mod members;
mod objects;
mod session;
mod workloads;

use session::Session;

/// One `mck8s up` serves all: each part has names of its own.
#[test]
fn people_can_work_with_hub_and_members() {
    let session = Session::start("kubectl");
    for context in ["hub", "cluster1"] {
        let kubectl = session.on(context);
        objects::written_and_read(&kubectl);
        objects::applied_by_the_server(&kubectl);
        objects::asked_about(&kubectl);
        custom::defined_and_used(&kubectl);
        access::granted_and_refused(&kubectl);
    }
    let member = session.on("cluster1");
    workloads::rolled_out(&member);
    workloads::deleted_in_every_way(&member);
    workloads::run_to_the_end(&member);
    members::nodes_are_kept_free(&member);
    members::usage_is_shown(&member);
    members::federated(&session.on("hub"), &member);
}
