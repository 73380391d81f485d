//! Places MultiClusterDeployments, MultiClusterJobs and MultiClusterServices on member clusters.
