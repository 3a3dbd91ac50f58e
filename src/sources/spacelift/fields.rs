//! The fields of one account in services.json, and the variables that stand in for them.

use super::question::Collector;
use super::settings::SpaceLabel;
use crate::config::{Field, Form};

/// The most that may be set: 5 million items fill some GB, so that is where sense ends.
pub(super) const DETAILS_PAGES_MOST: i64 = 100_000;
pub(super) const ENDPOINT_VARIABLE: &str = "SPACELIFT_PROMEX_API_ENDPOINT";
pub(super) const LISTEN_VARIABLE: &str = "SPACELIFT_PROMEX_LISTEN_ADDRESS";
pub(super) const DEVELOPMENT_VARIABLE: &str = "SPACELIFT_PROMEX_IS_DEVELOPMENT";
pub(super) const PARTIAL_VARIABLE: &str = "SPACELIFT_PROMEX_PARTIAL_SCRAPES";

/// Fields, and the variables that stand in for them.
pub(super) const VARIABLES: [(&str, &str); 10] = [
    ("api_endpoint", ENDPOINT_VARIABLE),
    ("api_key_id", "SPACELIFT_PROMEX_API_KEY_ID"),
    ("api_key_secret", "SPACELIFT_PROMEX_API_KEY_SECRET"),
    (
        "api_key_secret_file",
        "SPACELIFT_PROMEX_API_KEY_SECRET_FILE",
    ),
    ("scrape_timeout", "SPACELIFT_PROMEX_SCRAPE_TIMEOUT"),
    ("ca_cert_path", "SPACELIFT_PROMEX_CA_CERT_PATH"),
    (
        "collectors.aggregates",
        "SPACELIFT_PROMEX_COLLECTOR_AGGREGATES",
    ),
    (
        "collectors.publicworkerpool",
        "SPACELIFT_PROMEX_COLLECTOR_PUBLICWORKERPOOL",
    ),
    ("collectors.usage", "SPACELIFT_PROMEX_COLLECTOR_USAGE"),
    (
        "collectors.workerpools",
        "SPACELIFT_PROMEX_COLLECTOR_WORKERPOOLS",
    ),
];

/// The switches of the four usual collectors.
pub(super) const SWITCHES: [(&str, Collector); 4] = [
    ("collectors.aggregates", Collector::Aggregates),
    ("collectors.publicworkerpool", Collector::PublicWorkerPool),
    ("collectors.usage", Collector::Usage),
    ("collectors.workerpools", Collector::WorkerPools),
];

/// Every field, beside those of every service. What variables may stand in for is not marked as required.
pub(super) const FIELDS: &[Field] = &[
    Field::optional(
        "api_endpoint",
        Form::Url,
        "Address of the account, such as https://acme.app.spacelift.io; required, here or by its variable.",
    ),
    Field::optional(
        "api_key_id",
        Form::Text,
        "Id of the API key; required, here or by its variable.",
    ),
    Field::optional(
        "api_key_secret",
        Form::Secret,
        "Secret of the API key; either this or api_key_secret_file is required.",
    ),
    Field::optional(
        "api_key_secret_file",
        Form::Path,
        "File that holds the secret, read again before every exchange for a token.",
    ),
    Field::optional(
        "scrape_timeout",
        Form::Text,
        "Limit of one request, such as 5s, 1m30s or 500ms; 5s when absent. The field timeout wins over it.",
    ),
    Field::optional(
        "ca_cert_path",
        Form::Path,
        "PEM file of certificate authorities trusted beside the usual ones, as ca_file.",
    ),
    Field::optional(
        "collectors.aggregates",
        Form::Boolean,
        "Whether stack, drift and run-duration aggregates are collected; true when absent.",
    ),
    Field::optional(
        "collectors.publicworkerpool",
        Form::Boolean,
        "Whether the public worker pool is collected; true when absent.",
    ),
    Field::optional(
        "collectors.usage",
        Form::Boolean,
        "Whether billing usage is collected; true when absent.",
    ),
    Field::optional(
        "collectors.workerpools",
        Form::Boolean,
        "Whether private worker pools are collected; true when absent.",
    ),
    Field::optional(
        "poll_interval",
        Form::Duration,
        "Time between two polls, at least 10s; 60s when absent. The field interval wins over it.",
    ),
    Field::optional(
        "stack_details",
        Form::Boolean,
        "Whether every stack gets a series of its own; false when absent.",
    ),
    Field::optional(
        "resource_details",
        Form::Boolean,
        "Whether drift is counted for every stack; false when absent.",
    ),
    Field::optional(
        "details_interval",
        Form::Duration,
        "Time between two readings of the details, at least 60s; 15m when absent.",
    ),
    Field::optional(
        "details_max_pages",
        Form::Integer(1, DETAILS_PAGES_MOST),
        "Most pages of 50 that a list of details may have; 400 when absent.",
    ),
    Field::optional(
        "space_label",
        Form::Word(&SpaceLabel::WORDS),
        "What the label space holds with details, the name or the id; name when absent.",
    ),
];
