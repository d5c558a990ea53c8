//! The programs as a user has them: started, driven over HTTP, killed, stopped.

#![allow(clippy::unwrap_used, reason = "a failed assumption must fail the test")]

mod bad_input;
mod damage;
mod death;
mod full_disk;
mod harness;
mod hostile_http;
mod hostile_peer;
mod other_programs;
mod payment;
mod start_stop;
