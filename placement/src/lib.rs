//! Decides how many replicas run on which cluster: pure, deterministic, explained.
