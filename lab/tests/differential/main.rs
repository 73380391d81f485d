//! The differential suite: the same conversations with kube-apiserver and with the embedded
//! control plane, and every difference between the answers.
//!
//! Conversations are data, in `cases/`; [`case`] says how they are written. What must differ (uids,
//! times, revisions, generated names) is replaced by placeholders that still show what is equal to
//! what. A difference that remains is a failure, unless `known.yaml` names it and the section of
//! `docs/control-plane.md` that tells people of it. A known difference that is gone is a failure,
//! too.
//!
//! [`templates`] tries pod templates in the same way, and [`people`] each right alone.
//!
//! `DIFFERENTIAL_ONLY=WORD` runs the cases whose name has the word.

#![allow(clippy::unwrap_used, clippy::panic)]

mod case;
mod compare;
mod conversation;
mod known;
mod normal;
mod people;
mod room;
mod server;
mod templates;
#[path = "../../../control-plane/tests/api/verbs.rs"]
mod verbs;

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::path::Path;

use futures::StreamExt;
use lab::real::{Binaries, HUB, Lab, Options};

use case::Case;
use compare::Difference;
use conversation::{Answer, Conversation};
use known::Known;
use server::Server;

/// Conversations that go on at once. Most of their time is waiting.
const AT_ONCE: usize = 12;

#[tokio::test(flavor = "multi_thread")]
async fn the_embedded_control_plane_answers_as_kube_apiserver_does() {
    if !available() {
        return;
    }
    let only = std::env::var("DIFFERENTIAL_ONLY").ok();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/differential");
    let mut cases = case::load(&folder.join("cases"));
    let written = cases.len();
    cases.extend(people::cases());
    let people: BTreeSet<_> = cases
        .iter()
        .skip(written)
        .map(|case| case.name.clone())
        .collect();
    if let Some(word) = &only {
        cases.retain(|case| case.name.contains(word.as_str()));
    }
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("differential");
    let lab = Lab::up(Options::uniform(directory, 0, 0)).await.unwrap();
    let real = Server::real(lab.cluster(HUB).unwrap()).await;
    let embedded = Server::embedded().await;
    let (theirs, ours) = tokio::join!(hold(&cases, &real), hold(&cases, &embedded));
    lab.down().await.unwrap();

    let mut known = Known::load(&folder.join("known.yaml"));
    let mut alike = 0;
    let mut requests = 0;
    let mut report = String::new();
    for ((case, theirs), ours) in cases.iter().zip(&theirs).zip(&ours) {
        for (step, (real, embedded)) in theirs.iter().zip(ours).enumerate() {
            requests += 1;
            let found = if people.contains(&case.name) {
                people::differences(real, embedded)
            } else {
                compare::differences(real, embedded)
            };
            alike += usize::from(found.is_empty());
            let new: Vec<_> = found
                .into_iter()
                .filter(|difference| !known.covers(&case.name, step + 1, &difference.path))
                .collect();
            if !new.is_empty() {
                describe(&mut report, case, step, &new);
            }
        }
    }
    println!(
        "{} cases, {requests} requests: {alike} answered alike, {} known to differ",
        cases.len(),
        known.requests(),
    );
    if only.is_none() {
        known.report_stale(&mut report);
    }
    assert!(report.is_empty(), "\n{report}");
}

/// Has all conversations with one server; gives the answers by case.
async fn hold(cases: &[Case], server: &Server) -> Vec<Vec<Answer>> {
    let begun = futures::stream::iter(cases).map(|case| async move {
        let mut conversation = Conversation::begin(case, server).await;
        conversation.hold(&case.steps).await;
        conversation
    });
    let mut conversations: Vec<_> = begun.buffered(AT_ONCE).collect().await;
    server.forget_history().await;
    let rest = conversations.iter_mut().zip(cases);
    futures::future::join_all(rest.map(|(conversation, case)| conversation.hold(&case.later)))
        .await;
    let mut answers = Vec::new();
    for conversation in conversations {
        answers.push(conversation.answers());
    }
    answers
}

fn describe(report: &mut String, case: &Case, step: usize, differences: &[Difference]) {
    let request = case
        .steps
        .iter()
        .chain(&case.later)
        .flat_map(case::Step::flattened)
        .nth(step);
    let request = request.map_or("", |step| step.request.as_str());
    let _ = writeln!(report, "{} / {} {request}", case.name, step + 1);
    for Difference {
        path,
        real,
        embedded,
    } in differences
    {
        let _ = writeln!(
            report,
            "    {path}\n        real     {real}\n        embedded {embedded}"
        );
    }
}

fn available() -> bool {
    match Binaries::ensure() {
        Ok(_) => true,
        Err(error) if lab::is_ci() => panic!("{error}"),
        Err(error) => {
            println!("not run: {error}");
            false
        }
    }
}

/// Values that a conversation has kept, by name.
type Values = BTreeMap<String, String>;
