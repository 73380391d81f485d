//! From Kubernetes' nodes and pods to what the decision core counts.

mod amounts;
mod feed;
mod peers;
mod pods;
mod trouble;
mod watched;

pub use amounts::quantities;
pub use feed::{CapacityEvent, CapacityFeed, WatchFeed};
pub use pods::{ShapeError, shape_of_template, taint_effect};
pub use trouble::{PodTroubles, Trouble};
pub use watched::{WatchedNode, WatchedPod};
