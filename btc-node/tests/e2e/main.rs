//! The programs as a user has them: started, driven over HTTP, killed, stopped.

mod bad_input;
mod death;
mod harness;
mod other_programs;
mod payment;
mod start_stop;
