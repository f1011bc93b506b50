//! PostgreSQL: the private server that runs where no other is named.

pub mod embedded;
