//! From Kubernetes' nodes and pods to what the decision core counts.

mod feed;
mod pods;
mod trouble;
mod watched;

pub use feed::{CapacityEvent, CapacityFeed, WatchFeed};
pub use pods::{ShapeError, quantities, shape_of_template, taint_effect};
pub use trouble::{PodTroubles, Trouble};
pub use watched::{WatchedNode, WatchedPod};
