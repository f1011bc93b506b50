//! The descriptions of the calls, section by section.

mod components;
mod partitions;
mod querying;
mod reporting;
mod service;

pub(in crate::http) use components::{
    COMPONENTS, DEREGISTER, DEREGISTER_POOL, DEREGISTER_POOL_BY_POST, HEARTBEAT, POOLS, REGISTER,
    REGISTER_POOL,
};
pub(in crate::http) use partitions::{CLEAN_UP, CREATE, EXTEND_RETENTION, LIST, SET_RETENTION};
pub(in crate::http) use querying::{CARDINALITY, PAGE, QUERY};
pub(in crate::http) use reporting::{REPORT, SELF_REPORT};
pub(in crate::http) use service::{DOCS, HEALTH, INSTRUMENTS, OPENAPI, READY, STATUS};
