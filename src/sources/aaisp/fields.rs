//! The fields of services.json for one AAISP login, as the documentation and the schema have them.

use super::settings::LoginLabel;
use crate::config::{Field, Form};

/// Ranges of whole numbers, and what stands for them, as the contract has them (section 2).
pub(super) const FAST_RANGE_S: (i64, i64) = (10, 3_600);
pub(super) const MEDIUM_RANGE_S: (i64, i64) = (60, 3_600);
pub(super) const SLOW_RANGE_S: (i64, i64) = (300, 7_200);
pub(super) const TIMEOUT_RANGE_S: (i64, i64) = (1, 300);
pub(super) const RETRIES_RANGE: (i64, i64) = (0, 10);
pub(super) const CONCURRENCY_RANGE: (i64, i64) = (1, 50);
/// The contract sets no upper bound; a thousand intervals are a day or more.
pub(super) const STALE_RANGE: (i64, i64) = (0, 1_000);

/// The fields of services.json.
pub(super) const FIELDS: &[Field] = &[
    Field::optional(
        "control_login",
        Form::Text,
        "Login of the control pages, such as demo@a.",
    ),
    Field::optional(
        "control_password",
        Form::Secret,
        "Its password; needs control_login.",
    ),
    Field::optional(
        "control_password_file",
        Form::Path,
        "File that holds it, instead.",
    ),
    Field::optional(
        "account_number",
        Form::Text,
        "Account, such as A1234A, for logins without control pages.",
    ),
    Field::optional(
        "account_password",
        Form::Secret,
        "Its password; needs account_number.",
    ),
    Field::optional(
        "account_password_file",
        Form::Path,
        "File that holds it, instead.",
    ),
    Field::optional(
        "intervals.fast",
        Form::Integer(FAST_RANGE_S.0, FAST_RANGE_S.1),
        "Seconds between two readings of the quotas; 60 when absent.",
    ),
    Field::optional(
        "intervals.medium",
        Form::Integer(MEDIUM_RANGE_S.0, MEDIUM_RANGE_S.1),
        "Seconds between two readings of lines, rates and telephone numbers; 300 when absent.",
    ),
    Field::optional(
        "intervals.slow",
        Form::Integer(SLOW_RANGE_S.0, SLOW_RANGE_S.1),
        "Seconds between two readings of the price list; 900 when absent.",
    ),
    Field::optional(
        "base_url",
        Form::Url,
        "Address of the API; the provider's own when absent.",
    ),
    Field::optional(
        "max_retries",
        Form::Integer(RETRIES_RANGE.0, RETRIES_RANGE.1),
        "Further attempts of a request that failed in passing; 3 when absent.",
    ),
    Field::optional(
        "concurrency_limit",
        Form::Integer(CONCURRENCY_RANGE.0, CONCURRENCY_RANGE.1),
        "Requests of this service under way at once; 5 when absent.",
    ),
    Field::optional(
        "collectors.broadband",
        Form::Boolean,
        "Whether quotas, rates and details of lines are read; true when absent.",
    ),
    Field::optional(
        "collectors.telephony",
        Form::Boolean,
        "Whether telephone numbers are read; false when absent.",
    ),
    Field::optional(
        "collectors.telephony_ratecard",
        Form::Boolean,
        "Whether the price list of telephony is read; false when absent.",
    ),
    Field::optional(
        "collectors.control_login",
        Form::Boolean,
        "Accepted for the sake of the original, where it does nothing either.",
    ),
    Field::optional(
        "login_label",
        Form::Word(&LoginLabel::WORDS),
        "Whose login the quota series bear: original, the control login, or line; original when absent.",
    ),
    Field::optional(
        "stale_after_intervals",
        Form::Integer(STALE_RANGE.0, STALE_RANGE.1),
        "Intervals after which values that could not be read again are dropped, 0 for never; 3 when absent.",
    ),
    Field::optional(
        "bulk_info",
        Form::Boolean,
        "Whether one request reads the details of all lines; false when absent.",
    ),
];
