//! Clusters to try the federation on.
