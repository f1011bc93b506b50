//! Who may do what: bearer tokens, their scopes and the components they are bound to.
//!
//! Owns what a token looks like, how a file of tokens is read and written, the verdict about
//! a header, and how many samples a token has left. Guarantees that a token is kept only as its hash, that hashes and headers are
//! compared in constant time, that no error text repeats what stands in a line of the file (it
//! may be a token that was pasted there), and that a verdict costs a request neither a lock nor
//! memory once its connection has sent the header before. Refuses to know HTTP, and touches no
//! file: both are handed in.

mod component;
mod file;
mod gate;
mod rate;
mod scope;
mod token;

pub use component::{InvalidPattern, Pattern};
pub use file::{FileChange, FileProblem, TOKENS_MAX, TokenFileError, TokenTable, add, remove};
pub use gate::{Caller, Denied, Gate, Remembered};
pub use rate::{InvalidRate, OverRate, SAMPLES_PER_SECOND_MAX, SampleRate};
pub use scope::{Scope, Scopes};
pub use token::{Grant, InvalidName, Token, TokenHash, TokenName};
