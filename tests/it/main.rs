//! The one integration binary: the real server with its PostgreSQL, on its real port, and what
//! holds of the project as a whole.

#![allow(
    clippy::unwrap_used,
    reason = "a failed unwrap is a failed test, also in what tests share"
)]

// What the tests share.
mod client;
mod cluster;
mod faketime;
mod frozen;
mod home;
mod output;
mod server;
mod sql;
mod stream;

// The server.
mod access;
mod backup;
mod balancer;
mod bodies;
mod both_ways;
mod budgets;
mod clients;
mod commands;
mod connections;
mod cut_commits;
mod disks;
mod dist;
mod durability;
mod external;
mod fleet;
mod histories;
mod kubernetes;
mod log_commands;
mod monitoring;
mod openapi;
mod pages;
mod partitions;
mod prometheus;
mod python_worker;
mod quarantine;
mod query;
mod read_log;
mod readiness;
mod recovery;
mod report;
mod reporter;
mod runtime;
mod secrets;
mod self_report;
mod several_servers;
mod slow_clients;
mod start;
mod status_page;
mod systemd;
mod tls;
mod upgrades;
mod worker_commands;
mod worker_tls;

// The project.
mod client_words;
mod layers;
mod operations_page;
mod readme;
mod sql_page;
mod troubleshooting_page;
mod workers_page;
