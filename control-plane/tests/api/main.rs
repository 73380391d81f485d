//! The API as a client sees it: requests go through the router, in process.

#![allow(clippy::unwrap_used)]

mod access;
mod account_tokens;
mod audit;
mod client;
mod client_certificates;
mod controllers;
mod discovery;
mod disk;
mod escalation;
mod events;
mod faults;
mod fixture;
mod fuzz;
mod garbage;
mod gone;
mod lists;
mod objects;
mod pods;
mod rights;
mod slow;
mod tables;
mod verbs;
mod watches;
