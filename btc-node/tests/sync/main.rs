//! Many nodes and their peers in one thread: a network whose delays, losses and partitions come from a seed.

#![allow(clippy::unwrap_used, reason = "a panic is how a test fails")]

mod conversation;
mod hostile;
mod internet;
mod network;
mod simulator;
