//! The conditions that an operator reports of an object, as Kubernetes' API conventions have them.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// Conditions in the making. The only place where transition times are set.
///
/// Conditions that are neither set nor kept are dropped. Those of other field managers are never
/// among them: [`super::status::apply_status`] leaves them as they are.
#[derive(Clone, Debug, Default)]
pub struct Conditions {
    reported: Vec<Condition>,
    current: Vec<Condition>,
}

impl Conditions {
    /// None yet; `reported` are those that the operator reported last of this object.
    pub fn after(reported: &[Condition]) -> Self {
        Self {
            reported: reported.to_vec(),
            current: Vec::new(),
        }
    }

    /// Sets a condition. Its transition time is `now`, in whole seconds, unless it was reported with
    /// the same status before. `generation` is the one of the spec that it answers.
    pub fn set(
        &mut self,
        type_: &str,
        status: bool,
        reason: &str,
        message: impl Into<String>,
        generation: Option<i64>,
        now: Timestamp,
    ) {
        let status = if status { "True" } else { "False" };
        let unchanged = self.reported(type_).filter(|one| one.status == status);
        let last_transition_time = unchanged.map_or_else(
            || Time(whole_seconds(now)),
            |one| one.last_transition_time.clone(),
        );
        self.put(Condition {
            type_: type_.to_owned(),
            status: status.to_owned(),
            reason: reason.to_owned(),
            message: message.into(),
            observed_generation: generation,
            last_transition_time,
        });
    }

    /// Keeps a condition as it was reported, if it was.
    pub fn keep(&mut self, type_: &str) {
        if let Some(condition) = self.reported(type_).cloned() {
            self.put(condition);
        }
    }

    /// The conditions, ordered by type.
    pub fn into_vec(self) -> Vec<Condition> {
        self.current
    }

    fn reported(&self, type_: &str) -> Option<&Condition> {
        self.reported.iter().find(|one| one.type_ == type_)
    }

    fn put(&mut self, condition: Condition) {
        let found = (self.current).binary_search_by(|one| one.type_.cmp(&condition.type_));
        match found {
            Ok(place) => self.current[place] = condition,
            Err(place) => self.current.insert(place, condition),
        }
    }
}

/// The API server keeps no fractions of seconds: a time that has some would differ from what is
/// read back.
pub fn whole_seconds(at: Timestamp) -> Timestamp {
    Timestamp::from_second(at.as_second()).unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millisecond(second * 1000 + 345).unwrap()
    }

    fn set(conditions: &mut Conditions, type_: &str, status: bool, second: i64) {
        conditions.set(type_, status, "Reason", "message", Some(3), at(second));
    }

    fn times(conditions: &[Condition]) -> Vec<(&str, i64)> {
        let times = conditions.iter();
        times
            .map(|one| {
                (
                    one.type_.as_str(),
                    one.last_transition_time.0.as_millisecond(),
                )
            })
            .collect()
    }

    #[test]
    fn the_transition_time_is_that_of_the_last_change_of_status() {
        let mut first = Conditions::default();
        set(&mut first, "Ready", true, 10);
        set(&mut first, "Available", false, 10);
        let first = first.into_vec();
        assert_eq!(times(&first), [("Available", 10_000), ("Ready", 10_000)]);

        let mut second = Conditions::after(&first);
        set(&mut second, "Ready", false, 20);
        set(&mut second, "Available", false, 20);
        let second = second.into_vec();
        assert_eq!(times(&second), [("Available", 10_000), ("Ready", 20_000)]);
    }

    #[test]
    fn a_condition_that_is_neither_set_nor_kept_is_dropped() {
        let mut first = Conditions::default();
        for type_ in ["A", "B", "C"] {
            set(&mut first, type_, true, 1);
        }
        let first = first.into_vec();
        let mut second = Conditions::after(&first);
        second.keep("B");
        second.keep("Unknown");
        set(&mut second, "C", true, 2);
        assert_eq!(times(&second.into_vec()), [("B", 1000), ("C", 1000)]);
    }

    #[test]
    fn the_last_of_two_settings_counts() {
        let mut conditions = Conditions::default();
        set(&mut conditions, "Ready", true, 1);
        set(&mut conditions, "Ready", false, 2);
        let conditions = conditions.into_vec();
        assert_eq!(conditions.len(), 1);
        assert_eq!(conditions[0].status, "False");
    }
}
