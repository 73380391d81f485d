//! The API as a client sees it: requests go through the router, in process.

#![allow(clippy::unwrap_used)]

mod access;
mod client;
mod controllers;
mod discovery;
mod disk;
mod events;
mod faults;
mod fixture;
mod fuzz;
mod garbage;
mod gone;
mod lists;
mod objects;
mod pods;
mod slow;
mod tables;
mod watches;
