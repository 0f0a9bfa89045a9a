//! The integration tests, in one binary, since linking is what costs.

#![allow(clippy::unwrap_used)]

mod anonymize;
mod anonymize_sql;
mod anonymized_replay;
mod bench;
mod capture;
mod captured_replay;
mod classes;
mod clients;
mod corpora;
mod corpora_logs;
mod corpora_pcap;
mod ends;
mod every_way;
mod executions;
mod external;
mod generated_ids;
mod inputs;
mod log_files;
mod log_settings;
mod network;
mod observer;
mod order;
mod outages;
mod packets;
mod pcap_file;
mod pcap_inputs;
mod pcap_workload;
mod peak_traffic;
mod plans;
mod proxy;
mod relay;
mod requests;
mod scenarios;
mod server;
mod shards;
mod sniffer;
mod tenant_rules;
mod tenants;
mod tidy;
mod truth;
mod values;
mod workload_bad_input;
mod workload_replay;
mod workload_tools;
