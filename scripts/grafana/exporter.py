"""The dashboard of the exporter itself: polls, requests, notifications, cache, the gate, and the process."""

from panels import (
    ALL_BAD,
    ANY_IS_BAD,
    ANY_IS_UNKNOWN,
    GREEN,
    OF_HTTP,
    ORANGE,
    READ,
    RED,
    WHILE_IT_ANSWERS,
    column,
    highest,
    make,
    none_is,
    row,
    series,
    stat,
    table,
    timeline,
    words,
)

ANSWERS = words((0, "does not answer", RED), (1, "answers", GREEN))


# Beginnings of the metrics that bear the label service.
OF_SERVICE = [
    "saas_exporter_service_up",
    "saas_exporter_poll",
    "saas_exporter_last_success",
    "saas_exporter_upstream",
]


def dashboard():
    return make(
        "exporter",
        "saas-exporter / Exporter",
        "The exporter itself: whether it answers, how its polls go, what it asks of the upstreams, notifications,"
        " cache, and what the process takes.",
        [
            *now(),
            row("Polls"),
            *polls(),
            row("Scrapes, notifications and cache"),
            *around(),
            row("Configuration and shards"),
            *configuration(),
            row("Process"),
            *process(),
        ],
        variables=[("service", "Service", "label_values(saas_exporter_polls_total, service)")],
        matchers={prefix: 'service=~"$service"' for prefix in OF_SERVICE},
    )


def now():
    return [
        stat(
            "Silent exporters",
            "Exporters seen in the chosen range whose last scrape failed.",
            "sum((up == bool 0) and on (job, instance) last_over_time(saas_exporter_build_info[$__range]))",
            mappings=none_is("all answer"),
            thresholds=ANY_IS_BAD,
        ),
        stat(
            "Unreadable services",
            "Services whose last poll failed.",
            "sum(saas_exporter_service_up == bool 0)",
            mappings=none_is("all are read"),
            thresholds=ANY_IS_UNKNOWN,
        ),
        stat(
            "Services",
            "Services that were polled at least once.",
            "count(saas_exporter_service_up)",
        ),
        stat(
            "Cache",
            "Whether the last write to the cache folder succeeded. While it does not, a restart forgets state and"
            " history.",
            "min(saas_exporter_cache_writable)",
            mappings=words((0, "not writable", RED), (1, "writable", GREEN)),
        ),
        stat(
            "Failed notifications",
            "Notifications that failed or were dropped in the chosen range, of the exporters that answer.",
            'sum(ceil(increase(saas_exporter_notifications_total{outcome!="sent"}[$__range])) '
            f"{WHILE_IT_ANSWERS})",
            mappings=none_is("none"),
            thresholds=ANY_IS_BAD,
        ),
        stat(
            "Running since",
            "When the process started, of the exporter that started last.",
            f"1000 * max(process_start_time_seconds {WHILE_IT_ANSWERS})",
            unit="dateTimeFromNow",
        ),
    ]


def polls():
    return [
        timeline(
            "Polls of each service",
            "Whether the last poll of each service succeeded. A gap is a time in which the exporter was not scraped.",
            "min by (service) (saas_exporter_service_up)",
            "{{service}}",
            READ,
        ),
        series(
            "Duration of polls",
            "How long the last poll of each service took, retries and pauses included, of the 20 slowest services.",
            (
                highest(
                    "max by (service) (saas_exporter_poll_duration_seconds)",
                    "service",
                    "max by (service) (max_over_time(saas_exporter_poll_duration_seconds[$__range] @ end()))",
                ),
                "{{service}}",
            ),
            unit="s",
            minimum=0,
        ),
        series(
            "Age of the data",
            "Time since the last good poll of each service. It rises for as long as a service cannot be read. The 20"
            " services of which it is longest ago.",
            (
                highest(
                    "time() - max by (service) (saas_exporter_last_success_timestamp_seconds)",
                    "service",
                    "-max by (service)"
                    " (last_over_time(saas_exporter_last_success_timestamp_seconds[$__range] @ end()))",
                ),
                "{{service}}",
            ),
            unit="s",
            minimum=0,
        ),
        series(
            "Failed polls by kind",
            "Failed polls by service and failure kind; the README says under Troubleshooting what to do.",
            (
                "sum by (service, kind) (increase(saas_exporter_poll_failures_total[$__rate_interval])) > 0",
                "{{service}} {{kind}}",
            ),
            bars=True,
            minimum=0,
            no_data="Nothing to show: no poll failed, or nothing is known. The numbers at the top tell which.",
            colors=ALL_BAD,
        ),
        series(
            "Requests to upstreams by status",
            "Requests in a second by HTTP status; error is no answer at all.",
            (
                "sum by (code) (rate(saas_exporter_upstream_requests_total[$__rate_interval]))",
                "{{code}}",
            ),
            unit="reqps",
            stacked=True,
            minimum=0,
            colors=OF_HTTP,
        ),
        series(
            "Polls of each service in a second",
            "How often each service is polled, of the 20 that are polled most.",
            (
                highest(
                    "sum by (service) (rate(saas_exporter_polls_total[$__rate_interval]))",
                    "service",
                    "sum by (service) (increase(saas_exporter_polls_total[$__range] @ end()))",
                ),
                "{{service}}",
            ),
            unit="ops",
            minimum=0,
        ),
        table(
            "Services, by age of their data",
            "When each service was last read well, and how its last poll went.",
            {
                "A": "min by (instance, service) (saas_exporter_service_up)",
                "B": "1000 * max by (instance, service) (saas_exporter_last_success_timestamp_seconds)",
                "C": "max by (instance, service) (saas_exporter_poll_duration_seconds)",
                "D": (
                    "sum by (instance, service) (ceil(increase(saas_exporter_polls_total[$__range]))"
                    f" {WHILE_IT_ANSWERS})"
                ),
            },
            [
                column("service", "Service"),
                column("instance", "Instance"),
                column("A", "Last poll", mappings=READ, no_value="not polled yet"),
                column("B", "Last read", unit="dateTimeFromNow", no_value="never since start"),
                column("C", "Took", unit="s"),
                column("D", "Polls in this range", unit="short", decimals=0),
            ],
            size=(12, 8),
            no_data="no data: no service is polled, or the exporter does not answer",
        ),
    ]


def around():
    return [
        timeline(
            "Scrapes by Prometheus",
            "Whether Prometheus could scrape each exporter.",
            "min by (instance) (up and on (job, instance) last_over_time(saas_exporter_build_info[$__range]))",
            "{{instance}}",
            ANSWERS,
            size=(12, 8),
        ),
        series(
            "Notifications by outcome",
            "Notifications that were sent, that failed and will be tried again, and that were dropped.",
            ("sum by (outcome) (increase(saas_exporter_notifications_total[$__rate_interval]))", "{{outcome}}"),
            bars=True,
            minimum=0,
            colors=[("sent", GREEN), ("failed", ORANGE), ("dropped", RED)],
        ),
        series(
            "Strangers at the door",
            "Requests that no scraper sends and that were refused, and connections that were ended early, by reason.",
            ("sum(increase(saas_exporter_gate_requests_refused_total[$__rate_interval]))", "refused"),
            (
                "sum by (reason) (increase(saas_exporter_gate_connections_dropped_total[$__rate_interval]))",
                "dropped: {{reason}}",
            ),
            minimum=0,
        ),
        table(
            "Versions",
            "What is running, and since when.",
            {
                "A": "max by (instance, version, revision) (saas_exporter_build_info)",
                "B": f"1000 * max by (instance) (process_start_time_seconds {WHILE_IT_ANSWERS})",
            },
            [
                column("instance", "Instance"),
                column("version", "Version"),
                column("revision", "Revision"),
                column("B", "Running since", unit="dateTimeFromNow"),
            ],
            size=(12, 8),
            no_data="no data: the exporter does not answer",
        ),
    ]


def configuration():
    return [
        stat(
            "Configuration",
            "Whether the configuration that was read last runs. One that was refused leaves the one before it running;"
            " the log says what is wrong.",
            "min(saas_exporter_config_last_reload_successful)",
            mappings=words((0, "the last one was refused", RED), (1, "the last one runs", GREEN)),
            size=(8, 4),
        ),
        stat(
            "Configuration read",
            "When the running configuration was read, of the exporter for which it is longest ago.",
            "1000 * min(saas_exporter_config_last_reload_success_timestamp_seconds)",
            unit="dateTimeFromNow",
            size=(8, 4),
        ),
        stat(
            "Shards that are missing",
            "Shards that no exporter carries of those that the services are divided among. Their services are polled"
            " by nobody. An exporter on its own is its only shard.",
            'max(saas_exporter_shards) - count(count_values("ordinal", saas_exporter_shard_ordinal))',
            mappings=none_is("none"),
            thresholds=ANY_IS_BAD,
            size=(8, 4),
        ),
    ]


def process():
    return [
        series(
            "Memory",
            "Resident memory of the process.",
            (f"process_resident_memory_bytes {WHILE_IT_ANSWERS}", "{{instance}}"),
            unit="bytes",
            minimum=0,
            size=(8, 8),
        ),
        series(
            "CPU",
            "Share of one processor core.",
            (f"rate(process_cpu_seconds_total[$__rate_interval]) {WHILE_IT_ANSWERS}", "{{instance}}"),
            unit="percentunit",
            minimum=0,
            size=(8, 8),
        ),
        series(
            "Descriptors and threads",
            "Open file descriptors and threads of the process.",
            (f"process_open_fds {WHILE_IT_ANSWERS}", "{{instance}}: descriptors"),
            (f"process_threads {WHILE_IT_ANSWERS}", "{{instance}}: threads"),
            minimum=0,
            size=(8, 8),
        ),
    ]
