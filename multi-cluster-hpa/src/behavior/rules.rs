//! `spec.behavior`, with the defaults that `autoscaling/v2` fills in
//! (`pkg/apis/autoscaling/v2/defaults.go`).

use std::ops::RangeInclusive;

use jiff::SignedDuration;
use k8s_openapi::api::autoscaling::v2::{
    HPAScalingPolicy, HPAScalingRules, HorizontalPodAutoscalerBehavior,
};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;
use placement::{QuantityError, parse_milli};

/// The rules of both directions.
#[derive(Clone, Debug, PartialEq)]
pub struct Behavior {
    /// For more replicas.
    pub up: Rules,
    /// For fewer.
    pub down: Rules,
}

/// The rules of one direction.
#[derive(Clone, Debug, PartialEq)]
pub struct Rules {
    /// How far back proposals count. For scale-down, none is the operator's setting.
    pub window: Option<SignedDuration>,
    /// Which of the policies counts.
    pub select: Select,
    /// The rates.
    pub policies: Vec<Policy>,
    /// How far off its target a metric may be, as part of it; none is the operator's setting.
    pub tolerance: Option<f64>,
}

/// Which of several policies counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Select {
    /// The one that allows the most.
    Max,
    /// The one that allows the least.
    Min,
    /// None: there is no scaling in this direction.
    Disabled,
}

/// A rate: `value` pods or percent in each `period`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Policy {
    /// What `value` counts.
    pub kind: PolicyKind,
    /// How many.
    pub value: u32,
    /// In which time.
    pub period: SignedDuration,
}

/// What a policy's value counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PolicyKind {
    /// Pods.
    Pods,
    /// Percent of the replicas at the period's start.
    Percent,
}

/// Why a behavior cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum BehaviorError {
    /// A word that Kubernetes does not have.
    #[error("spec.behavior.{direction}.{field}: {value:?} is unknown: write one of {known}")]
    Unknown {
        /// `scaleUp` or `scaleDown`.
        direction: &'static str,
        /// The field.
        field: &'static str,
        /// The word.
        value: String,
        /// The words that are known.
        known: &'static str,
    },
    /// A number out of its range.
    #[error("spec.behavior.{direction}.{field}: {value} is out of range: write {range}")]
    Range {
        /// `scaleUp` or `scaleDown`.
        direction: &'static str,
        /// The field.
        field: &'static str,
        /// The number.
        value: i32,
        /// What may be written.
        range: &'static str,
    },
    /// The tolerance is no quantity.
    #[error("spec.behavior.{direction}.tolerance: {source}")]
    Tolerance {
        /// `scaleUp` or `scaleDown`.
        direction: &'static str,
        /// What is wrong.
        source: QuantityError,
    },
    /// The tolerance is negative.
    #[error("spec.behavior.{direction}.tolerance is negative: write 0 or more, e.g. \"0.1\"")]
    NegativeTolerance {
        /// `scaleUp` or `scaleDown`.
        direction: &'static str,
    },
}

impl Behavior {
    /// Reads a behavior, and fills in the defaults.
    pub fn read(behavior: &HorizontalPodAutoscalerBehavior) -> Result<Self, BehaviorError> {
        let up = behavior.scale_up.as_ref();
        let down = behavior.scale_down.as_ref();
        Ok(Self {
            up: Rules::read("scaleUp", up, Rules::default_up())?,
            down: Rules::read("scaleDown", down, Rules::default_down())?,
        })
    }
}

impl Rules {
    /// At once; four pods or as many as there are, whichever is more, in 15 s.
    fn default_up() -> Self {
        Self {
            window: Some(SignedDuration::ZERO),
            select: Select::Max,
            policies: vec![
                Policy::every_15_s(PolicyKind::Pods, 4),
                Policy::every_15_s(PolicyKind::Percent, 100),
            ],
            tolerance: None,
        }
    }

    /// After the operator's window; all of them in 15 s.
    fn default_down() -> Self {
        Self {
            window: None,
            select: Select::Max,
            policies: vec![Policy::every_15_s(PolicyKind::Percent, 100)],
            tolerance: None,
        }
    }

    fn read(
        direction: &'static str,
        given: Option<&HPAScalingRules>,
        defaults: Self,
    ) -> Result<Self, BehaviorError> {
        let Some(given) = given else {
            return Ok(defaults);
        };
        let read_window = |value| {
            let field = "stabilizationWindowSeconds";
            number(direction, field, value, "0 to 3600", 0..=3600)
        };
        let window = given.stabilization_window_seconds.map(read_window);
        let policies = given.policies.iter().flatten();
        let policies: Vec<_> = policies
            .map(|policy| Policy::read(direction, policy))
            .collect::<Result<_, _>>()?;
        let select = given.select_policy.as_deref();
        let tolerance = given.tolerance.as_ref();
        Ok(Self {
            window: window.transpose()?.map(seconds).or(defaults.window),
            select: match select {
                None => defaults.select,
                Some(word) => Select::read(direction, word)?,
            },
            policies: if policies.is_empty() {
                defaults.policies
            } else {
                policies
            },
            tolerance: tolerance
                .map(|tolerance| read_tolerance(direction, tolerance))
                .transpose()?,
        })
    }
}

impl Select {
    fn read(direction: &'static str, word: &str) -> Result<Self, BehaviorError> {
        match word {
            "Max" => Ok(Self::Max),
            "Min" => Ok(Self::Min),
            "Disabled" => Ok(Self::Disabled),
            _ => Err(BehaviorError::Unknown {
                direction,
                field: "selectPolicy",
                value: word.to_owned(),
                known: "Max, Min, Disabled",
            }),
        }
    }
}

impl Policy {
    const fn every_15_s(kind: PolicyKind, value: u32) -> Self {
        Self {
            kind,
            value,
            period: SignedDuration::from_secs(15),
        }
    }

    fn read(direction: &'static str, given: &HPAScalingPolicy) -> Result<Self, BehaviorError> {
        let kind = match given.type_.as_str() {
            "Pods" => PolicyKind::Pods,
            "Percent" => PolicyKind::Percent,
            word => {
                return Err(BehaviorError::Unknown {
                    direction,
                    field: "policies.type",
                    value: word.to_owned(),
                    known: "Pods, Percent",
                });
            }
        };
        let (value, period) = ("policies.value", "policies.periodSeconds");
        let any = 1..=i32::MAX;
        Ok(Self {
            kind,
            value: number(direction, value, given.value, "1 or more", any)?,
            period: seconds(number(
                direction,
                period,
                given.period_seconds,
                "1 to 1800",
                1..=1800,
            )?),
        })
    }
}

fn number(
    direction: &'static str,
    field: &'static str,
    value: i32,
    range: &'static str,
    allowed: RangeInclusive<i32>,
) -> Result<u32, BehaviorError> {
    let error = BehaviorError::Range {
        direction,
        field,
        value,
        range,
    };
    if allowed.contains(&value) {
        u32::try_from(value).map_err(|_| error)
    } else {
        Err(error)
    }
}

fn seconds(seconds: u32) -> SignedDuration {
    SignedDuration::from_secs(i64::from(seconds))
}

fn read_tolerance(direction: &'static str, given: &Quantity) -> Result<f64, BehaviorError> {
    let milli = parse_milli(&given.0);
    let milli = milli.map_err(|source| BehaviorError::Tolerance { direction, source })?;
    if milli < 0 {
        return Err(BehaviorError::NegativeTolerance { direction });
    }
    Ok(milli as f64 / 1000.0)
}
