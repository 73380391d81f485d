use super::*;

fn start() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn key(name: &str, reason: &str, message: &str) -> EventKey {
    EventKey {
        subject: Subject {
            source: "replicaset-controller".to_owned(),
            kind: "ReplicaSet".to_owned(),
            namespace: "shop".to_owned(),
            name: name.to_owned(),
            uid: format!("uid-of-{name}"),
        },
        event_type: "Normal".to_owned(),
        reason: reason.to_owned(),
        message: message.to_owned(),
    }
}

/// What messages Events get whose own are numbers, a second apart.
fn messages(correlator: &mut Correlator, begin: Timestamp, numbers: u32) -> Vec<Option<String>> {
    let mut messages = Vec::new();
    for number in 0..numbers {
        let now = begin + SignedDuration::from_secs(number.into());
        let key = key("web", "SuccessfulCreate", &number.to_string());
        messages.push(correlator.correlate(key, now).map(|one| one.message));
    }
    messages
}

#[test]
fn the_tenth_similar_message_and_those_after_it_are_one_event() {
    let mut correlator = Correlator::default();
    let messages = messages(&mut correlator, start(), 12);
    let combined = |message: &&Option<String>| {
        let message = message.as_deref().unwrap();
        message.starts_with("(combined from similar events): ")
    };
    assert_eq!(messages[8].as_deref(), Some("8"));
    assert_eq!(
        messages[9].as_deref(),
        Some("(combined from similar events): 9")
    );
    assert_eq!(messages.iter().filter(combined).count(), 3);
    let now = start() + SignedDuration::from_mins(1);
    let one = correlator.correlate(key("web", "SuccessfulCreate", "a"), now);
    let other = correlator.correlate(key("web", "SuccessfulCreate", "b"), now);
    assert_eq!(one.unwrap().key, other.unwrap().key);
    // Another reason is another matter, and so is another object.
    for key in [
        key("web", "SuccessfulDelete", "a"),
        key("db", "SuccessfulCreate", "a"),
    ] {
        assert_eq!(correlator.correlate(key, now).unwrap().message, "a");
    }
}

#[test]
fn after_ten_minutes_without_one_messages_are_told_apart_again() {
    let mut correlator = Correlator::default();
    messages(&mut correlator, start(), 12);
    let later = start() + SignedDuration::from_mins(11);
    assert_eq!(messages(&mut correlator, later, 1), [Some("0".to_owned())]);
}

#[test]
fn an_object_has_25_events_of_a_source_and_one_more_every_five_minutes() {
    let mut correlator = Correlator::default();
    let messages = messages(&mut correlator, start(), 100);
    assert_eq!(messages.iter().flatten().count(), 25);
    let after = |minutes| start() + SignedDuration::from_mins(minutes);
    let again = |correlator: &mut Correlator, minutes| {
        let key = key("web", "Other", "again");
        correlator.correlate(key, after(minutes)).is_some()
    };
    assert!(!again(&mut correlator, 4));
    assert!(again(&mut correlator, 5));
    assert!(!again(&mut correlator, 6));
    assert!(again(&mut correlator, 10));
    assert!(
        correlator
            .correlate(key("db", "Other", "x"), after(10))
            .is_some()
    );
}

#[test]
fn what_happens_again_is_counted_for_ten_minutes() {
    let mut correlator = Correlator::default();
    let key = correlator.correlate(key("web", "Pulled", "x"), start());
    let key = key.unwrap().key;
    assert_eq!(correlator.written(&key, start()), None);
    let written = Written {
        name: "web.1".to_owned(),
        count: 1,
        last: start(),
    };
    correlator.record(key.clone(), written.clone());
    let minutes = |minutes| start() + SignedDuration::from_mins(minutes);
    assert_eq!(correlator.written(&key, minutes(10)), Some(&written));
    assert_eq!(correlator.written(&key, minutes(11)), None);
}

#[test]
fn what_was_used_last_is_remembered() {
    let mut recent = Recent::default();
    for number in 0..CAPACITY {
        recent.insert(number, ());
    }
    recent.insert(0, ());
    recent.insert(CAPACITY, ());
    assert!(recent.get(&0).is_some());
    assert!(recent.get(&1).is_none());
    assert_eq!(
        (recent.entries.len(), recent.used.len()),
        (CAPACITY, CAPACITY)
    );
}
