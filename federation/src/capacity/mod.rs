//! From Kubernetes' nodes and pods to what the decision core counts.

mod amounts;
mod feed;
mod peers;
mod pods;
mod trouble;
mod upcoming;
mod watched;

pub use amounts::{quantities, quantities_of, typed_quantities};
pub use feed::{CapacityEvent, CapacityFeed, WatchFeed};
pub use pods::{ShapeError, shape_of_template, taint_effect, taint_of};
pub use trouble::{PodTroubles, Trouble};
pub use upcoming::{upcoming, with_upcoming};
pub use watched::{WatchedNode, WatchedPod};
