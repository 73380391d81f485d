//! `metrics.k8s.io`, which is served if there is a source of metrics. In a cluster another server
//! than kube-apiserver has it, so its discovery is written by hand.

use crate::kinds::{Builtin, Conversion};
use crate::tables::columns;

/// In the form of `discovery.txt`. The kinds have no singular.
pub(super) const DISCOVERY: &str = "\
metrics.k8s.io/v1beta1 NodeMetrics nodes  cluster verbs=get,list
metrics.k8s.io/v1beta1 PodMetrics pods  namespaced verbs=get,list
";

/// The kinds, in discovery's order.
pub(super) const METRICS: &[Builtin] = &[metrics("NodeMetrics"), metrics("PodMetrics")];

const fn metrics(kind: &'static str) -> Builtin {
    Builtin {
        versions: &[("v1beta1", Conversion::None)],
        without_message: Some("it is read only"),
        ..Builtin::answered("metrics.k8s.io", kind, columns::created)
    }
}
