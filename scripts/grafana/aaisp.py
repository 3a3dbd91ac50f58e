"""The dashboard of AAISP lines: quotas, sync rates, telephone numbers and prices, and how the collectors do."""

from panels import (
    ALL_BAD,
    GREEN,
    OF_HTTP,
    ORANGE,
    RED,
    WHILE_IT_ANSWERS,
    column,
    make,
    row,
    series,
    stat,
    steps,
    table,
)

OF_NUMBER = 'number=~"$number"'
OF_LINE = 'service=~"$line"'
# Of the monthly quota, in percent: time to look, and over quota.
QUOTA = steps(GREEN, (80, ORANGE), (100, RED))


def dashboard():
    return make(
        "aaisp",
        "saas-exporter / AAISP",
        "Broadband lines of Andrews & Arnold: quotas, sync rates, telephone numbers and prices, and what could not be"
        " read.",
        [
            *now(),
            row("Broadband lines"),
            lines(),
            *quotas(),
            *rates(),
            row("Telephony"),
            *telephony(),
            row("What we cannot tell, and why"),
            *cannot_tell(),
        ],
        variables=[
            ("line", "Line", "label_values(aaisp_broadband_service_info, service)"),
            ("number", "Number", "label_values(aaisp_telephony_service_info, number)"),
        ],
        matchers={
            "aaisp_broadband_": OF_LINE,
            "aaisp_telephony_service_info": OF_NUMBER,
            "aaisp_telephony_call": OF_NUMBER,
            "aaisp_telephony_active_calls": OF_NUMBER,
        },
        time="now-7d",
    )


def now():
    return [
        stat(
            "Lines",
            "Lines of which details were read.",
            "count(aaisp_broadband_service_info)",
        ),
        stat(
            "Highest use of a quota",
            "Share of the monthly quota that is used, of the line that has used most. Above 100 is over quota.",
            "max(aaisp_broadband_quota_percentage)",
            unit="percent",
            thresholds=QUOTA,
            no_data="no data, or unlimited",
            decimals=1,
        ),
        stat(
            "Least quota left",
            "What is left of the quota of the line with the least; negative when over quota.",
            "min(aaisp_broadband_quota_remaining_bytes)",
            unit="decbytes",
            thresholds=steps(RED, (0, ORANGE), (50e9, GREEN)),
            no_data="no data, or unlimited",
        ),
        stat(
            "Lowest sync rate",
            "Sync rate of each line against its best in the chosen range; that of the line that has lost most.",
            "100 * min(aaisp_broadband_line_sync_download_bps /"
            " max_over_time(aaisp_broadband_line_sync_download_bps[$__range]))",
            unit="percent",
            thresholds=steps(RED, (70, ORANGE), (90, GREEN)),
            decimals=0,
        ),
        stat(
            "Active calls",
            "Calls under way on all chosen numbers.",
            "sum(aaisp_telephony_active_calls)",
            no_data="no data, or not polled",
        ),
        stat(
            "Oldest reading",
            "Time since a run of a collector last succeeded, of the one for which it is longest ago.",
            "max(time() - aaisp_collector_last_successful_collection_timestamp)",
            unit="s",
            # Twice the longest interval that is set when nobody says otherwise; and three hours.
            thresholds=steps(GREEN, (1800, ORANGE), (10800, RED)),
        ),
    ]


def lines():
    def of_line(metric):
        return f"max by (service) ({metric})"

    return table(
        "Lines now",
        "Every chosen line with its rates and its quota. Bonded lines share one quota, and each shows all of it.",
        {
            "A": "max by (service, login, postcode) (aaisp_broadband_service_info)",
            "B": of_line("aaisp_broadband_line_sync_download_bps"),
            "C": of_line("aaisp_broadband_line_sync_download_adjusted_bps"),
            "D": of_line("aaisp_broadband_line_sync_upload_bps"),
            "E": of_line("aaisp_broadband_quota_percentage"),
            "F": of_line("aaisp_broadband_quota_remaining_bytes"),
            "G": of_line("aaisp_broadband_quota_total_bytes"),
            "H": "1000 * " + of_line("aaisp_broadband_quota_timestamp_seconds"),
        },
        [
            column("service", "Line"),
            column("login", "Login"),
            column("postcode", "Postcode"),
            column("B", "Download", unit="bps"),
            column("C", "Download, adjusted", unit="bps"),
            column("D", "Upload", unit="bps"),
            column("E", "Quota used", unit="percent", thresholds=QUOTA, no_value="no quota known", decimals=1),
            column("F", "Left", unit="decbytes"),
            column("G", "Quota", unit="decbytes"),
            column("H", "Quota read", unit="dateTimeFromNow"),
        ],
        sort="Quota used",
        no_data="no data: no line is read, or the exporter does not answer",
    )


def quotas():
    return [
        series(
            "Quota used",
            "Share of the monthly quota that each line has used. The dashed lines stand at 80 percent and at the whole"
            " quota.",
            ("max by (service) (aaisp_broadband_quota_percentage)", "{{service}}"),
            unit="percent",
            lines=QUOTA,
            minimum=0,
            soft_max=110,
            size=(8, 8),
        ),
        series(
            "Quota left",
            "What is left of the quota of each line. Below 0 is over quota; above the monthly quota some was rolled"
            " over.",
            ("max by (service) (aaisp_broadband_quota_remaining_bytes)", "{{service}}"),
            unit="decbytes",
            size=(8, 8),
        ),
        series(
            "Use of data",
            "Bytes in a second that each line used, as a mean of two hours, since the provider counts about once an"
            " hour. The end of a month reads 0.",
            ("clamp_min(max by (service) (deriv(aaisp_broadband_quota_used_bytes[2h])), 0)", "{{service}}"),
            unit="Bps",
            minimum=0,
            size=(8, 8),
        ),
    ]


def rates():
    return [
        series(
            "Download sync rate",
            "What each line syncs at, and the rate after the provider's adjustment. A tunnel has no rates.",
            ("max by (service) (aaisp_broadband_line_sync_download_bps)", "{{service}}"),
            ("max by (service) (aaisp_broadband_line_sync_download_adjusted_bps)", "{{service}}, adjusted"),
            unit="bps",
            minimum=0,
        ),
        series(
            "Upload sync rate",
            "What each line syncs at in the other direction.",
            ("max by (service) (aaisp_broadband_line_sync_upload_bps)", "{{service}}"),
            unit="bps",
            minimum=0,
        ),
    ]


def telephony():
    return [
        table(
            "Numbers",
            "Every chosen number as the provider describes it, with its calls in the chosen range.",
            {
                "A": "max by (number, status, service_type, call_forwarding, voicemail) (aaisp_telephony_service_info)",
                "B": f"sum by (number) (ceil(increase(aaisp_telephony_calls_total[$__range])) {WHILE_IT_ANSWERS})",
                "C": (
                    "sum by (number) (increase(aaisp_telephony_call_duration_seconds_total[$__range])"
                    f" {WHILE_IT_ANSWERS})"
                ),
            },
            [
                column("number", "Number"),
                column("status", "Status"),
                column("service_type", "Type"),
                column("call_forwarding", "Forwarded"),
                column("voicemail", "Voicemail"),
                column("B", "Calls", unit="short", decimals=0, no_value="not said"),
                column("C", "Duration", unit="s", no_value="not said"),
            ],
            size=(12, 8),
            no_data="no data: telephony is not polled, or the exporter does not answer",
        ),
        table(
            "Prices",
            "The provider's prices of a call in pence a minute, and the least price of a call in pence.",
            {
                "A": 'max by (rate_name) (aaisp_telephony_rate_ppm{period="peak"})',
                "B": 'max by (rate_name) (aaisp_telephony_rate_ppm{period="offpeak"})',
                "C": 'max by (rate_name) (aaisp_telephony_rate_ppm{period="weekend"})',
                "D": "max by (rate_name) (aaisp_telephony_rate_min_charge_pence)",
            },
            [
                column("rate_name", "Price for"),
                column("A", "Peak, p/min", decimals=2, no_value="not said"),
                column("B", "Off-peak, p/min", decimals=2, no_value="not said"),
                column("C", "Weekend, p/min", decimals=2, no_value="not said"),
                column("D", "At least, p", decimals=2, no_value="not said"),
            ],
            sort="Peak, p/min",
            size=(12, 8),
            no_data="no data: prices are not polled, or the exporter does not answer",
        ),
        series(
            "Active calls by number",
            "Calls under way on each number.",
            ("sum by (number) (aaisp_telephony_active_calls)", "{{number}}"),
            minimum=0,
            size=(8, 8),
        ),
        series(
            "Calls",
            "Calls that were added to the provider's count, by number and direction.",
            (
                "sum by (number, direction) (increase(aaisp_telephony_calls_total[$__rate_interval]))",
                "{{number}} {{direction}}",
            ),
            bars=True,
            minimum=0,
            size=(8, 8),
        ),
        series(
            "Cost of calls",
            "Cost that was added to the provider's count, in the currency that it names.",
            (
                "sum by (number, currency) (increase(aaisp_telephony_call_cost_total[$__rate_interval]))",
                "{{number}} {{currency}}",
            ),
            bars=True,
            minimum=0,
            soft_max=0,
            size=(8, 8),
        ),
    ]


def cannot_tell():
    return [
        table(
            "Collectors",
            "When a run of each collector last succeeded, and its errors in the chosen range, those of single lines"
            " included.",
            {
                "A": "1000 * max by (collector_name) (aaisp_collector_last_successful_collection_timestamp)",
                "B": (
                    "sum by (collector_name) (ceil(increase(aaisp_collector_errors_total[$__range]))"
                    f" {WHILE_IT_ANSWERS})"
                ),
            },
            [
                column("collector_name", "Collector"),
                column("A", "Last worked", unit="dateTimeFromNow", no_value="never"),
                column("B", "Errors in this range", unit="short", no_value="none counted", decimals=0),
            ],
            size=(12, 8),
            no_data="no data: no login is polled, or the exporter does not answer",
        ),
        series(
            "Errors by type",
            "Errors of collectors, by collector and type.",
            (
                "sum by (collector_name, error_type) (increase(aaisp_collector_errors_total[$__rate_interval]))",
                "{{collector_name}} {{error_type}}",
            ),
            bars=True,
            minimum=0,
            no_data="no data: no error since the exporter's start, or nothing is known",
            colors=ALL_BAD,
        ),
        series(
            "Requests by status",
            "Requests to the API in a second, every attempt. Status 0 is a time-out or a failed connection.",
            (
                "sum by (command, status_code) (rate(aaisp_api_requests_total[$__rate_interval]))",
                "{{command}} {{status_code}}",
            ),
            unit="reqps",
            stacked=True,
            minimum=0,
            colors=OF_HTTP,
        ),
        series(
            "Duration of requests",
            "Half of the requests were faster than the median, and 19 of 20 faster than the 95th percentile.",
            (
                (
                    "histogram_quantile(0.5, sum by (le)"
                    " (rate(aaisp_api_request_duration_seconds_bucket[$__rate_interval])))"
                ),
                "median",
            ),
            (
                (
                    "histogram_quantile(0.95, sum by (le)"
                    " (rate(aaisp_api_request_duration_seconds_bucket[$__rate_interval])))"
                ),
                "95th percentile",
            ),
            unit="s",
            minimum=0,
        ),
    ]
