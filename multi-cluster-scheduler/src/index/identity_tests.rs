//! Which of the names of a cluster has it.

use k8s_openapi::jiff::Timestamp;

use super::*;

const HUB: &str = "hub";

/// A name whose object was made at that second.
fn claim(
    created: i64,
    uid: Option<&'static str>,
    recorded: Option<&'static str>,
) -> Claim<'static> {
    let created = Time(Timestamp::from_second(created).unwrap());
    Claim {
        uid,
        recorded,
        created: Some(Box::leak(Box::new(created))),
        allow_hub: false,
    }
}

fn judged(claims: &[(&str, Claim<'static>)]) -> Vec<Identity> {
    let names: Vec<_> = (claims.iter())
        .map(|(name, _)| ClusterName::from(*name))
        .collect();
    let claims = claims.iter().map(|(_, claim)| claim.clone());
    let judged = judge(&names.iter().zip(claims).collect(), HUB);
    judged.into_iter().map(|(_, identity)| identity).collect()
}

fn duplicate(first: &str) -> Identity {
    Identity::Duplicate(ClusterName::from(first))
}

#[test]
fn the_oldest_object_has_the_cluster_and_of_equals_the_first_by_name() {
    let old = claim(1, Some("u"), None);
    let new = claim(2, Some("u"), None);
    let claims = [("a", new.clone()), ("b", old.clone())];
    assert_eq!(judged(&claims), [duplicate("b"), Identity::Unique]);
    let claims = [("a", old.clone()), ("b", old), ("c", new)];
    let expected = [Identity::Unique, duplicate("a"), duplicate("a")];
    assert_eq!(judged(&claims), expected);
}

#[test]
fn the_name_on_record_keeps_the_cluster_also_while_it_does_not_answer() {
    let older = claim(1, Some("u"), None);
    let recorded = claim(2, Some("u"), Some("u"));
    let claims = [("a", older.clone()), ("b", recorded)];
    assert_eq!(judged(&claims), [duplicate("b"), Identity::Unique]);
    let silent = claim(2, None, Some("u"));
    let claims = [("a", older), ("b", silent)];
    assert_eq!(judged(&claims), [duplicate("b"), Identity::Unknown]);
}

#[test]
fn a_name_that_leads_to_another_cluster_by_now_leaves_the_one_it_had() {
    let moved = claim(1, Some("v"), Some("u"));
    let other = claim(2, Some("u"), None);
    let claims = [("a", moved), ("b", other)];
    assert_eq!(judged(&claims), [Identity::Unique, Identity::Unique]);
}

#[test]
fn the_hub_is_refused_unless_its_object_allows_it() {
    let hub = claim(1, Some(HUB), None);
    assert_eq!(judged(&[("a", hub.clone())]), [Identity::Hub]);
    let allowed = Claim {
        allow_hub: true,
        ..claim(2, Some(HUB), None)
    };
    let claims = [("a", hub), ("b", allowed.clone()), ("c", allowed)];
    assert_eq!(
        judged(&claims),
        [Identity::Hub, Identity::Unique, duplicate("b")]
    );
}
