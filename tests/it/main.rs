//! The one integration binary: what holds of the project as a whole.

#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, also in what tests share"
)]

mod layers;
mod readme;
