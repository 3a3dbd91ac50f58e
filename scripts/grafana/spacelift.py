"""The dashboard of Spacelift accounts: workers and runs, stacks, drift, billing usage, and how the collectors do."""

from panels import (
    ANY_IS_BAD,
    ANY_IS_NOTED,
    BLUE,
    GREEN,
    OF_OUTCOME,
    ORANGE,
    PURPLE,
    RED,
    column,
    make,
    none_is,
    row,
    series,
    stat,
    steps,
    table,
    timeline,
    words,
)

COLLECTOR = words((0, "failed", RED), (1, "works", GREEN))
SUPPORTED = words((0, "not for this key", PURPLE), (1, "supported", GREEN))
# What the exporter writes where Spacelift gives sums of the whole account alone.
WHOLE_ACCOUNT = [
    {"type": "value", "options": {"unknown": {"text": "(whole account)", "index": 0}}},
]
# A stack is named without its space too.
NOT_SAID = [
    {"type": "value", "options": {"unknown": {"text": "not said", "index": 0}}},
]
STACKS = "spacelift_current_stacks_count_by_state"
RESOURCES = "spacelift_current_resources_count_by_drift"


def dashboard():
    return make(
        "spacelift",
        "saas-exporter / Spacelift",
        "Spacelift accounts: runs that wait, workers, stacks by state, drift, run durations, billing usage, and what"
        " could not be read.",
        [
            *now(),
            row("Workers and runs"),
            *workers(),
            row("Stacks and drift"),
            *stacks(),
            row("Billing period"),
            *billing(),
            row("What we cannot tell, and why"),
            *cannot_tell(),
        ],
    )


def now():
    return [
        stat(
            "Runs that wait",
            "Runs that wait for a worker of any pool, private or public.",
            "sum(spacelift_worker_pool_runs_pending or spacelift_public_worker_pool_runs_pending)",
            mappings=none_is("none"),
            thresholds=ANY_IS_NOTED,
        ),
        stat(
            "Busy private workers",
            "Share of the private workers that are busy. Drained ones count, since they may still be busy.",
            "100 * sum(spacelift_worker_pool_workers_busy) / sum(spacelift_worker_pool_workers)",
            unit="percent",
            thresholds=steps(GREEN, (90, ORANGE)),
            no_data="no data, or no private workers",
        ),
        stat(
            "Stacks that failed",
            "Stacks in the state FAILED.",
            f'sum({STACKS}{{state="FAILED"}}) or 0 * sum({STACKS})',
            mappings=none_is("none"),
            thresholds=ANY_IS_BAD,
        ),
        stat(
            "Drifted resources",
            "Resources that differ from their code.",
            f'sum({RESOURCES}{{state="DRIFTED"}}) or 0 * sum({RESOURCES})',
            mappings=none_is("none"),
            thresholds=steps(GREEN, (1, ORANGE)),
        ),
        stat(
            "Seats in use",
            "Seats used in the billing period.",
            "sum(spacelift_current_billing_period_used_seats)",
        ),
        stat(
            "Collectors that failed",
            "Parts of the account whose last reading failed. Their numbers are missing until they work again.",
            "sum(spacelift_scrape_collector_success == bool 0)",
            mappings=none_is("all work"),
            thresholds=ANY_IS_BAD,
        ),
    ]


def workers():
    return [
        series(
            "Runs that wait for a worker",
            "Runs in the queue of each pool. A line that never comes back to 0 means too few workers.",
            ("sum by (worker_pool_name) (spacelift_worker_pool_runs_pending)", "{{worker_pool_name}}"),
            ("sum(spacelift_public_worker_pool_runs_pending)", "public workers"),
            minimum=0,
        ),
        series(
            "Private workers",
            "Busy workers of each pool beside those that take runs, drained ones left out.",
            ("sum by (worker_pool_name) (spacelift_worker_pool_workers_busy)", "{{worker_pool_name}}: busy"),
            (
                "sum by (worker_pool_name) (spacelift_worker_pool_workers - spacelift_worker_pool_workers_drained)",
                "{{worker_pool_name}}: take runs",
            ),
            minimum=0,
        ),
        series(
            "Public workers",
            "Busy public workers beside the most that the account may use at once.",
            ("sum(spacelift_public_worker_pool_workers_busy)", "busy"),
            ("sum(spacelift_public_worker_pool_parallelism)", "at most"),
            minimum=0,
        ),
        series(
            "Duration of runs",
            "Average and median duration of the runs of the last 30 days, as Spacelift computes them.",
            ("max by (statistic) (spacelift_exporter_run_duration_seconds)", "{{statistic}}"),
            unit="s",
            minimum=0,
        ),
    ]


def stacks():
    return [
        series(
            "Stacks by state",
            "How many stacks are in each state; the words are Spacelift's own.",
            (f"sum by (state) ({STACKS})", "{{state}}"),
            stacked=True,
            minimum=0,
            colors=[("/./", BLUE), ("FINISHED", GREEN), ("FAILED", RED)],
        ),
        series(
            "Drifted resources by stack",
            "Resources that differ from their code. The stack reads unknown unless resource_details is on for the"
            " account.",
            (f'sum by (stack) ({RESOURCES}{{state="DRIFTED"}})', "{{stack}}"),
            stacked=True,
            minimum=0,
            colors=[("/./", ORANGE)],
        ),
        table(
            "Stacks that are not finished",
            "Stacks in any other state than FINISHED. With stack_details each is named, else Spacelift gives the sum of"
            " each state alone.",
            {"A": f'sum by (state, space, stack) ({STACKS}{{state!="FINISHED"}}) > 0'},
            [
                column("stack", "Stack", renamed=WHOLE_ACCOUNT),
                column("space", "Space", renamed=NOT_SAID),
                column("state", "State"),
                column("A", "Stacks", unit="short"),
            ],
            sort="Stacks",
            size=(12, 8),
        ),
        table(
            "Drift by stack",
            "Stacks with resources that differ from their code, most first. With resource_details each is named.",
            {"A": f'sum by (space, stack) ({RESOURCES}{{state="DRIFTED"}}) > 0'},
            [
                column("stack", "Stack", renamed=WHOLE_ACCOUNT),
                column("space", "Space", renamed=NOT_SAID),
                column("A", "Drifted resources", unit="short", thresholds=steps(ORANGE)),
            ],
            sort="Drifted resources",
            size=(12, 8),
        ),
        series(
            "Resources",
            "Resources of all stacks by drift state, and the mean number of resources of a stack.",
            (f"sum by (state) ({RESOURCES})", "{{state}}"),
            ("max(spacelift_current_avg_stack_size_by_resource_count)", "mean of a stack"),
            size=(24, 8),
            minimum=0,
            colors=[("DRIFTED", ORANGE), ("OK", GREEN), ("IN_SYNC", GREEN), ("mean of a stack", BLUE)],
        ),
    ]


def billing():
    return [
        series(
            "Worker time in the billing period",
            "Time of private and public workers since the billing period began. It falls to 0 with the next one.",
            ("sum(spacelift_current_billing_period_used_private_seconds)", "private workers"),
            ("sum(spacelift_current_billing_period_used_public_seconds)", "public workers"),
            unit="s",
            minimum=0,
        ),
        stat(
            "Billing period began",
            "When the billing period began.",
            "1000 * max(spacelift_current_billing_period_start_timestamp_seconds)",
            unit="dateTimeAsSystem",
            size=(6, 8),
        ),
        stat(
            "Billing period ends",
            "When the billing period ends.",
            "1000 * max(spacelift_current_billing_period_end_timestamp_seconds)",
            unit="dateTimeFromNow",
            size=(6, 8),
        ),
    ]


def cannot_tell():
    return [
        table(
            "Collectors",
            "Each part of the account: whether its last reading worked, whether the key may read it, when it last"
            " worked and how long it took.",
            {
                "A": "min by (instance, collector) (spacelift_scrape_collector_success)",
                "B": "min by (instance, collector) (spacelift_scrape_collector_supported)",
                "C": "1000 * max by (instance, collector) (spacelift_exporter_last_success_timestamp_seconds)",
                "D": "max by (instance, collector) (spacelift_scrape_collector_duration_seconds)",
            },
            [
                column("instance", "Instance"),
                column("collector", "Collector", least_width=18),
                column("A", "Last reading", mappings=COLLECTOR),
                column("B", "Key", mappings=SUPPORTED),
                column("C", "Last worked", unit="dateTimeFromNow", no_value="never"),
                column("D", "Took", unit="s"),
            ],
            size=(12, 8),
            no_data="no data: no account is polled, or the exporter does not answer",
        ),
        series(
            "Requests by outcome",
            "Requests to the API in a second, by what came of them.",
            ("sum by (outcome) (rate(spacelift_exporter_api_requests_total[$__rate_interval]))", "{{outcome}}"),
            unit="reqps",
            stacked=True,
            minimum=0,
            colors=OF_OUTCOME,
        ),
        timeline(
            "Readings of each collector",
            "Whether the last reading of each collector worked. A gap is a time without any data.",
            "min by (collector) (spacelift_scrape_collector_success)",
            "{{collector}}",
            COLLECTOR,
            size=(12, 8),
        ),
        series(
            "Duration of a poll",
            "How long a whole poll of the account took.",
            ("max by (instance) (spacelift_scrape_duration_seconds)", "{{instance}}"),
            unit="s",
            minimum=0,
        ),
    ]
