//! Under construction.

pub mod chain;
pub mod chainstate;
pub mod notify;
pub mod store;
