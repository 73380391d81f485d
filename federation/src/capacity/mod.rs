//! From Kubernetes' nodes and pods to what the decision core counts.

mod feed;
mod pods;
mod watched;

pub use feed::{CapacityEvent, CapacityFeed, WatchFeed};
pub use pods::{ShapeError, quantities, shape_of_template, taint_effect};
pub use watched::{WatchedNode, WatchedPod};
