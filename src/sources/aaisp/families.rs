//! Every metric family of an AAISP login, and how what is known becomes their samples.
//!
//! Names, labels and values are fixed by the contract, section 4.

use std::time::Instant;

use super::chaos::ErrorClass;
use super::reading::{Calls, LineInfo, NumberInfo, Quota, Rate};
use super::settings::LoginLabel;
use super::state::{Line, Patience};
use super::tally::Collector;
use super::{Aaisp, schedule::Tier};
use crate::model::{Families, Family, FamilyMeta};

static QUOTA_TOTAL: Family<2> = Family::gauge(
    "aaisp_broadband_quota_total_bytes",
    "Monthly quota, 0 for an unlimited line.",
    ["service", "login"],
);
static QUOTA_REMAINING: Family<2> = Family::gauge(
    "aaisp_broadband_quota_remaining_bytes",
    "Quota left; negative when over quota, above the monthly quota when some rolled over.",
    ["service", "login"],
);
static QUOTA_USED: Family<2> = Family::gauge(
    "aaisp_broadband_quota_used_bytes",
    "Quota used.",
    ["service", "login"],
);
static QUOTA_PERCENTAGE: Family<2> = Family::gauge(
    "aaisp_broadband_quota_percentage",
    "Share of the monthly quota that is used, above 100 when over quota.",
    ["service", "login"],
);
static QUOTA_TIMESTAMP: Family<2> = Family::gauge(
    "aaisp_broadband_quota_timestamp_seconds",
    "When the quota figures were taken, as Unix time.",
    ["service", "login"],
);
static DOWNLOAD: Family<2> = Family::gauge(
    "aaisp_broadband_line_sync_download_bps",
    "Download sync rate in bits per second.",
    ["service", "login"],
);
static UPLOAD: Family<2> = Family::gauge(
    "aaisp_broadband_line_sync_upload_bps",
    "Upload sync rate in bits per second.",
    ["service", "login"],
);
static DOWNLOAD_ADJUSTED: Family<2> = Family::gauge(
    "aaisp_broadband_line_sync_download_adjusted_bps",
    "Download rate after adjustment in bits per second.",
    ["service", "login"],
);
static SERVICE_INFO: Family<3> = Family::gauge(
    "aaisp_broadband_service_info",
    "Details of the line; always 1.",
    ["service", "login", "postcode"],
);
static NUMBER_INFO: Family<5> = Family::gauge(
    "aaisp_telephony_service_info",
    "Details of the telephone number; always 1.",
    [
        "number",
        "status",
        "call_forwarding",
        "voicemail",
        "service_type",
    ],
);
static CALLS: Family<2> = Family::counter(
    "aaisp_telephony_calls_total",
    "Calls, as the upstream counts them.",
    ["number", "direction"],
);
static CALL_DURATION: Family<2> = Family::counter(
    "aaisp_telephony_call_duration_seconds_total",
    "Duration of all calls, as the upstream counts it.",
    ["number", "direction"],
);
static CALL_COST: Family<3> = Family::counter(
    "aaisp_telephony_call_cost_total",
    "Cost of all calls, as the upstream counts it.",
    ["number", "direction", "currency"],
);
static ACTIVE_CALLS: Family<1> = Family::gauge(
    "aaisp_telephony_active_calls",
    "Calls under way.",
    ["number"],
);
static RATE: Family<2> = Family::gauge(
    "aaisp_telephony_rate_ppm",
    "Price of a call in pence a minute.",
    ["rate_name", "period"],
);
static RATE_MIN_CHARGE: Family<1> = Family::gauge(
    "aaisp_telephony_rate_min_charge_pence",
    "Least price of a call in pence.",
    ["rate_name"],
);
/// A gauge in spite of its name, which the contract fixes.
static PREFIXES: Family<1> = Family::gauge(
    "aaisp_telephony_prefixes_total",
    "Dialling codes with this price.",
    ["rate_name"],
);
static RATE_CARD_UPDATED: Family<0> = Family::gauge(
    "aaisp_telephony_ratecard_last_updated_timestamp_seconds",
    "When the price list was last read, as Unix time.",
    [],
);
static EXPORTER_UP: Family<0> = Family::gauge(
    "aaisp_exporter_up",
    "Always 1 while the exporter runs; see saas_exporter_service_up for the state of the service.",
    [],
);
static BUILD_INFO: Family<1> = Family::gauge(
    "aaisp_exporter_build_info",
    "Version of the exporter; always 1.",
    ["version"],
);
static COLLECTOR_DURATION: Family<2> = Family::histogram(
    "aaisp_collector_duration_seconds",
    "Duration of the runs of a collector that succeeded.",
    ["collector_name", "subsystem"],
);
static COLLECTOR_ERRORS: Family<3> = Family::counter(
    "aaisp_collector_errors_total",
    "Errors of a collector, of whole runs and of single lines.",
    ["collector_name", "subsystem", "error_type"],
);
static COLLECTOR_LAST_SUCCESS: Family<1> = Family::gauge(
    "aaisp_collector_last_successful_collection_timestamp",
    "When a run of the collector last succeeded, as Unix time.",
    ["collector_name"],
);
static API_REQUESTS: Family<3> = Family::counter(
    "aaisp_api_requests_total",
    "Requests to the CHAOS API, every attempt; status 0 is a time-out or a failed connection.",
    ["subsystem", "command", "status_code"],
);
static API_DURATION: Family<2> = Family::histogram(
    "aaisp_api_request_duration_seconds",
    "Duration of requests to the CHAOS API, every attempt.",
    ["subsystem", "command"],
);

/// Every family, in the order of the documentation.
pub(super) fn all() -> &'static [FamilyMeta] {
    static ALL: [FamilyMeta; 25] = [
        QUOTA_TOTAL.meta(),
        QUOTA_REMAINING.meta(),
        QUOTA_USED.meta(),
        QUOTA_PERCENTAGE.meta(),
        QUOTA_TIMESTAMP.meta(),
        DOWNLOAD.meta(),
        UPLOAD.meta(),
        DOWNLOAD_ADJUSTED.meta(),
        SERVICE_INFO.meta(),
        NUMBER_INFO.meta(),
        CALLS.meta(),
        CALL_DURATION.meta(),
        CALL_COST.meta(),
        ACTIVE_CALLS.meta(),
        RATE.meta(),
        RATE_MIN_CHARGE.meta(),
        PREFIXES.meta(),
        RATE_CARD_UPDATED.meta(),
        EXPORTER_UP.meta(),
        BUILD_INFO.meta(),
        COLLECTOR_DURATION.meta(),
        COLLECTOR_ERRORS.meta(),
        COLLECTOR_LAST_SUCCESS.meta(),
        API_REQUESTS.meta(),
        API_DURATION.meta(),
    ];
    &ALL
}

/// Adds everything that is shown of the service at `now`.
pub(super) fn add(source: &Aaisp, now: Instant, families: &mut Families) {
    families.add(&EXPORTER_UP, [], 1.0);
    families.add(&BUILD_INFO, [crate::VERSION], 1.0);
    add_lines(source, now, families);
    let patience = source.patience(Tier::Medium);
    for (id, number) in &source.state.numbers {
        if let Some(number) = number.as_ref().and_then(|kept| kept.shown(now, patience)) {
            add_number(id, number, families);
        }
    }
    let card = source.state.rate_card.as_ref();
    let card = card.and_then(|kept| kept.shown(now, source.patience(Tier::Slow)));
    for (name, rate) in card.into_iter().flatten() {
        add_rate(name, rate, families);
    }
    if let Some(moment) = source.rate_card_read_at {
        families.add(
            &RATE_CARD_UPDATED,
            [],
            moment.as_millisecond() as f64 / 1000.0,
        );
    }
    add_runs(source, families);
    add_requests(source, families);
}

fn add_lines(source: &Aaisp, now: Instant, families: &mut Families) {
    let of_info: Patience = source.patience(Tier::Medium);
    let of_quota: Patience = source.patience(Tier::Fast);
    for (id, line) in source.state.lines.iter().flatten() {
        if let Some(info) = line.info.as_ref().and_then(|kept| kept.shown(now, of_info)) {
            let login = info.login.as_deref().unwrap_or(source.control_login());
            add_line_info(id, login, info, families);
        }
        if let Some(quota) = line
            .quota
            .as_ref()
            .and_then(|kept| kept.shown(now, of_quota))
        {
            add_quota([id, quota_login(source, line, quota)], quota, families);
        }
    }
}

/// Only `info` names the line's login. The program that this source replaces therefore shows the control login here.
fn quota_login<'a>(source: &'a Aaisp, line: &'a Line, quota: &'a Quota) -> &'a str {
    let of_line = match source.settings().login_label {
        LoginLabel::Line => line.own_login.as_deref(),
        LoginLabel::Original => None,
    };
    of_line
        .or(quota.login.as_deref())
        .unwrap_or(source.control_login())
}

fn add_quota(labels: [&str; 2], quota: &Quota, families: &mut Families) {
    let values = [
        (&QUOTA_TOTAL, quota.total),
        (&QUOTA_REMAINING, quota.remaining),
        (&QUOTA_USED, quota.used()),
        (&QUOTA_PERCENTAGE, quota.percentage()),
        (&QUOTA_TIMESTAMP, quota.taken_at_s),
    ];
    add_known(values, labels, families);
}

fn add_line_info(id: &str, login: &str, info: &LineInfo, families: &mut Families) {
    families.add(&SERVICE_INFO, [id, login, &info.postcode], 1.0);
    if info.is_tunnel {
        return;
    }
    let values = [
        (&DOWNLOAD, info.download),
        (&UPLOAD, info.upload),
        (&DOWNLOAD_ADJUSTED, info.download_adjusted),
    ];
    add_known(values, [id, login], families);
}

fn add_known<const N: usize>(
    values: [(&'static Family<2>, Option<f64>); N],
    labels: [&str; 2],
    families: &mut Families,
) {
    for (family, value) in values {
        if let Some(value) = value {
            families.add(family, labels, value);
        }
    }
}

fn add_number(id: &str, number: &NumberInfo, families: &mut Families) {
    let labels = [
        id,
        &number.status,
        &number.call_forwarding,
        &number.voicemail,
        &number.service_type,
    ];
    families.add(&NUMBER_INFO, labels, 1.0);
    for (direction, calls) in [("inbound", &number.inbound), ("outbound", &number.outbound)] {
        let Calls {
            count,
            duration_s,
            cost,
        } = calls;
        let values = [(&CALLS, *count), (&CALL_DURATION, *duration_s)];
        add_known(values, [id, direction], families);
        if let Some(cost) = cost {
            families.add(&CALL_COST, [id, direction, &number.currency], *cost);
        }
    }
    if let Some(count) = number.active_calls {
        families.add(&ACTIVE_CALLS, [id], count);
    }
}

fn add_rate(name: &str, rate: &Rate, families: &mut Families) {
    let periods = [
        ("peak", rate.peak),
        ("offpeak", rate.offpeak),
        ("weekend", rate.weekend),
    ];
    for (period, price) in periods {
        if let Some(price) = price {
            families.add(&RATE, [name, period], price);
        }
    }
    if let Some(price) = rate.min_charge {
        families.add(&RATE_MIN_CHARGE, [name], price);
    }
    families.add(&PREFIXES, [name], rate.prefixes as f64);
}

fn add_runs(source: &Aaisp, families: &mut Families) {
    for (collector, runs) in Collector::ALL.into_iter().zip(&source.runs) {
        let [name, subsystem] = collector.labels();
        if let Some(moment) = runs.last_success {
            families.add_histogram(&COLLECTOR_DURATION, [name, subsystem], &runs.durations);
            let seconds = moment.as_millisecond() as f64 / 1000.0;
            families.add(&COLLECTOR_LAST_SUCCESS, [name], seconds);
        }
        for (class, count) in &runs.errors {
            let word = ErrorClass::word(*class);
            families.add(&COLLECTOR_ERRORS, [name, subsystem, word], *count as f64);
        }
    }
}

fn add_requests(source: &Aaisp, families: &mut Families) {
    for (command, counts) in source.caller.requests.so_far() {
        let labels = [command.subsystem, command.name];
        for (status, count) in &counts.by_status {
            let [subsystem, name] = labels;
            families.add(&API_REQUESTS, [subsystem, name, status], *count as f64);
        }
        families.add_histogram(&API_DURATION, labels, &counts.durations);
    }
}
