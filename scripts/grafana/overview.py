"""The overview: what is down now, incidents, maintenance ahead, uptime, and what we cannot tell and why."""

import pages
import pantheon
from panels import (
    ANY_IS_BAD,
    ANY_IS_NOTED,
    ANY_IS_UNKNOWN,
    GREEN,
    ORANGE,
    READ,
    RED,
    column,
    make,
    none_is,
    row,
    stat,
    steps,
    table,
    timeline,
)

NOT_POLLED = "no data, or not polled"


def dashboard():
    return make(
        "overview",
        "saas-exporter / Overview",
        "The hosted services that we depend on: what is down now, incidents, maintenance ahead, uptime, and what we"
        " cannot tell and why.",
        [
            *now(),
            row("What is down now"),
            pages.in_trouble(),
            pages.components(),
            row("Incidents and maintenance"),
            pages.incidents(),
            pages.maintenances(),
            row("States and uptime"),
            pages.severity_over_time(),
            pages.uptime(),
            row("What we cannot tell, and why"),
            *cannot_tell(),
            row("Spacelift, Pantheon and AAISP"),
            *other_sources(),
        ],
    )


def now():
    return [
        stat(
            "Silent exporters",
            "Exporters seen in the chosen range whose last scrape failed. While one does not answer, all that it shows"
            " is missing below, not well.",
            "sum((up == bool 0) and on (job, instance) last_over_time(saas_exporter_build_info[$__range]))",
            mappings=none_is("all answer"),
            thresholds=ANY_IS_BAD,
        ),
        stat(
            "Unreadable services",
            "Services of any source whose last poll failed. Of these we know only what was the case before.",
            "sum(saas_exporter_service_up == bool 0)",
            mappings=none_is("all are read"),
            thresholds=ANY_IS_UNKNOWN,
        ),
        *pages.now(),
        stat(
            "Oldest data",
            "Time since the last good poll of the service for which it is longest ago. A service that was never read is"
            " not in it, but counts among those that cannot be read.",
            "max(time() - saas_exporter_last_success_timestamp_seconds)",
            unit="s",
            # Three polls at the interval that is set when nobody says otherwise; and a day, after which a state is history.
            thresholds=steps(GREEN, (3600, ORANGE), (86400, RED)),
        ),
    ]


def cannot_tell():
    return [
        table(
            "Services that cannot be read now",
            "Services whose last poll failed, and since when. The page of the exporter at / says what went wrong last"
            " and what to do.",
            {
                "A": "max by (service) (saas_exporter_service_up == 0)",
                "B": (
                    "1000 * max by (service) (saas_exporter_last_success_timestamp_seconds and"
                    " (saas_exporter_service_up == 0))"
                ),
                "C": (
                    "sum by (service) (ceil(sum without (kind) (increase(saas_exporter_poll_failures_total[$__range])))"
                    " and (saas_exporter_service_up == 0))"
                ),
            },
            [
                column("service", "Service"),
                column("A", "State", mappings=READ),
                column("B", "Last read", unit="dateTimeFromNow", no_value="never since start"),
                column("C", "Failed polls in this range", unit="short", decimals=0),
            ],
            size=(12, 8),
        ),
        table(
            "Why: failed polls by kind",
            "Failed polls in the chosen range by failure kind, also of services that can be read again. The README says"
            " under Troubleshooting what each kind means and what to do.",
            {
                "A": (
                    "sort_desc(sum by (service, kind) (ceil(increase(saas_exporter_poll_failures_total[$__range])))"
                    " > 0)"
                )
            },
            [
                column("service", "Service"),
                column("kind", "Kind"),
                column("A", "Failed polls", unit="short", decimals=0),
            ],
            size=(12, 8),
        ),
        timeline(
            "Polls",
            "Whether the last poll of each service succeeded. A gap is a time in which the exporter itself was not"
            " scraped.",
            "min by (service) (saas_exporter_service_up)",
            "{{service}}",
            READ,
            size=(14, 8),
        ),
        pages.unknown_words(size=(10, 8)),
    ]


def other_sources():
    return [
        stat(
            "Spacelift: stacks that failed",
            "Stacks in the state FAILED. A failing collector shows no number.",
            'sum(spacelift_current_stacks_count_by_state{state="FAILED"}) or 0 *'
            " sum(spacelift_current_stacks_count_by_state)",
            mappings=none_is("none"),
            thresholds=ANY_IS_BAD,
            no_data=NOT_POLLED,
            size=(8, 3),
        ),
        stat(
            "Spacelift: drifted resources",
            "Resources that differ from their code.",
            'sum(spacelift_current_resources_count_by_drift{state="DRIFTED"}) or 0 *'
            " sum(spacelift_current_resources_count_by_drift)",
            mappings=none_is("none"),
            thresholds=steps(GREEN, (1, ORANGE)),
            no_data=NOT_POLLED,
            size=(8, 3),
        ),
        stat(
            "Spacelift: runs that wait",
            "Runs that wait for a worker of any pool, private or public.",
            "sum(spacelift_worker_pool_runs_pending or spacelift_public_worker_pool_runs_pending)",
            mappings=none_is("none"),
            thresholds=ANY_IS_NOTED,
            no_data=NOT_POLLED,
            size=(8, 3),
        ),
        stat(
            "Pantheon: accounts that fail",
            "Accounts whose last login or listing of sites failed. Their sites keep the values of before.",
            "sum(pantheon_exporter_account_up == bool 0)",
            mappings=none_is("all work"),
            thresholds=ANY_IS_BAD,
            no_data=NOT_POLLED,
            size=(8, 3),
        ),
        stat(
            "Pantheon: visits, newest day",
            "Visits of all sites in the newest day that Pantheon knows, usually today until now.",
            f"sum({pantheon.present('pantheon_visits')})",
            unit="short",
            no_data=NOT_POLLED,
            size=(8, 3),
        ),
        stat(
            "AAISP: highest use of a quota",
            "Share of the monthly quota that is used, of the line that has used most.",
            "max(aaisp_broadband_quota_percentage)",
            unit="percent",
            thresholds=steps(GREEN, (80, ORANGE), (100, RED)),
            no_data=NOT_POLLED,
            size=(8, 3),
        ),
    ]
