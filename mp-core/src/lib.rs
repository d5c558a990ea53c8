//! Call objects in another process through the trait they implement.

pub mod schema;
