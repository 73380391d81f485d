//! Races and faults, without a server.
