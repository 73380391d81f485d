//! The API as a client sees it: requests go through the router, in process.

#![allow(clippy::unwrap_used)]

mod access;
mod client;
mod discovery;
mod fixture;
mod fuzz;
mod garbage;
mod lists;
mod objects;
mod pods;
mod tables;
mod watches;
