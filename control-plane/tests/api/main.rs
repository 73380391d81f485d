//! The API as a client sees it: requests go through the router, in process.

mod client;
mod fixture;
