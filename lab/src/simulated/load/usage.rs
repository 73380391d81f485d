//! What a pod uses for the requests that it serves.

use super::curve::Curve;

/// A workload's requests, and what its pods use for them.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Load {
    /// The requests.
    pub requests: Curve,
    /// What they cost.
    pub costs: Costs,
}

/// What a pod uses.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Costs {
    /// CPU of a pod that serves nothing, in cores.
    pub idle_cpu: f64,
    /// CPU for a request, in seconds of one core.
    pub cpu: f64,
    /// Memory of a pod that serves nothing, in bytes.
    pub idle_memory: f64,
    /// Memory for each request a second, in bytes.
    pub memory: f64,
    /// Network bytes that a request brings in.
    pub received: f64,
    /// And that its answer takes out.
    pub sent: f64,
    /// Requests a second that a pod can serve at most; the others fail. None is without limit.
    pub most: Option<f64>,
}

impl Default for Costs {
    /// A small web server: 1m and 32 MiB at rest; 5 ms of CPU, 64 KiB of memory, 2 KB in and 20 KB
    /// out for a request.
    fn default() -> Self {
        Self {
            idle_cpu: 0.001,
            cpu: 0.005,
            idle_memory: f64::from(32 << 20),
            memory: f64::from(64 << 10),
            received: 2_000.0,
            sent: 20_000.0,
            most: None,
        }
    }
}

impl Costs {
    /// The requests a second that each of so many pods serves, of those that reach all of them.
    pub(super) fn served(&self, reaching: f64, pods: usize) -> f64 {
        if pods == 0 {
            return 0.0;
        }
        let share = reaching / pods as f64;
        self.most.map_or(share, |most| share.min(most))
    }

    /// Cores that a pod uses.
    pub(super) fn cpu_at(&self, served: f64) -> f64 {
        self.idle_cpu + self.cpu * served
    }

    /// Bytes of memory that a pod uses.
    pub(super) fn memory_at(&self, served: f64) -> f64 {
        self.idle_memory + self.memory * served
    }
}
