"""The dashboard of Pantheon sites: the visits of every day, what the cache takes on, and how the accounts do."""

from panels import (
    ANY_IS_BAD,
    GREEN,
    OF_OUTCOME,
    ORANGE,
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

ACCOUNT = words((0, "cannot be listed", RED), (1, "works", GREEN))
SITE = "name, plan, account"
OF_SITE = 'account=~"$account", name=~"$site"'
NO_DAYS = (
    "no data: Prometheus stores the days only with an out_of_order_time_window of 30d, see docs/sources/pantheon.md"
)


def dashboard():
    return make(
        "pantheon",
        "saas-exporter / Pantheon",
        "Pantheon sites: visits and pages of every day, the share that the cache answers, and what could not be read."
        " Days are those of UTC.",
        [
            *now(),
            row("Days"),
            *days(),
            row("Newest day"),
            newest_day(),
            row("What we cannot tell, and why"),
            *cannot_tell(),
        ],
        variables=[
            ("account", "Account", "label_values(pantheon_exporter_sites, account)"),
            ("site", "Site", "label_values(pantheon_visits, name)"),
        ],
        matchers={
            "pantheon_visits": OF_SITE,
            "pantheon_pages_served": OF_SITE,
            "pantheon_cache_": OF_SITE,
        },
        time="now-28d",
        # A point of a day bears midnight in UTC, and Grafana counts days in the zone of the dashboard.
        timezone="utc",
    )


def present(metric):
    """The newest point of each site while its exporter answers; points with a time of their own outlive it for minutes."""
    return f"({metric} and on (job, instance) saas_exporter_build_info)"


def now():
    return [
        stat(
            "Sites",
            "Sites that the accounts list.",
            'sum(pantheon_exporter_sites{account=~"$account"})',
        ),
        stat(
            "Accounts that fail",
            "Accounts whose last login or listing of sites failed. Their sites keep the values of before.",
            'sum(pantheon_exporter_account_up{account=~"$account"} == bool 0)',
            mappings=none_is("all work"),
            thresholds=ANY_IS_BAD,
        ),
        stat(
            "Visits, newest day",
            "Visits of the chosen sites in the newest day that Pantheon knows, usually today until now.",
            f"sum({present('pantheon_visits')})",
            unit="short",
        ),
        stat(
            "Pages, newest day",
            "Pages served by the chosen sites in the newest day.",
            f"sum({present('pantheon_pages_served')})",
            unit="short",
        ),
        stat(
            "Answered by the cache",
            "Share of the pages of the newest day that the cache answered, over all chosen sites.",
            f"100 * sum({present('pantheon_cache_hits')}) / sum({present('pantheon_pages_served')})",
            unit="percent",
            decimals=1,
        ),
        stat(
            "Oldest traffic data",
            "Time since the traffic of a site was last read, of the account for which it is longest ago.",
            'max(time() - pantheon_exporter_last_traffic_success_timestamp_seconds{account=~"$account"})',
            unit="s",
            # Two rounds at the interval that is set when nobody says otherwise; and a day, after which points are lost.
            thresholds=steps(GREEN, (7200, ORANGE), (86400, RED)),
        ),
    ]


def days():
    # The point of a day bears its midnight exactly; the shortest range takes it, and not the last scrape before.
    def of_day(metric):
        return f"last_over_time({metric}[1ms])"

    return [
        series(
            "Visits of each day",
            "Visits of each site, day by day, without the newest day, which is still growing.",
            (f"sum by (name) ({of_day('pantheon_visits')})", "{{name}}"),
            bars=True,
            stacked=True,
            size=(24, 9),
            minimum=0,
            min_step="1d",
            no_data=NO_DAYS,
        ),
        series(
            "Pages of each day",
            "Pages served by each site, day by day, without the newest day.",
            (f"sum by (name) ({of_day('pantheon_pages_served')})", "{{name}}"),
            bars=True,
            stacked=True,
            minimum=0,
            min_step="1d",
            no_data=NO_DAYS,
        ),
        series(
            "Cache hit ratio of each day",
            "Share of the pages that the cache answered, by site and day.",
            (f"avg by (name) ({of_day('pantheon_cache_hit_ratio')})", "{{name}}"),
            unit="percent",
            minimum=0,
            min_step="1d",
            no_data=NO_DAYS,
        ),
        series(
            "Cache hits and misses of each day",
            "Requests that the cache answered, and those that reached a site, over all chosen sites.",
            (f"sum({of_day('pantheon_cache_hits')})", "hits"),
            (f"sum({of_day('pantheon_cache_misses')})", "misses"),
            bars=True,
            stacked=True,
            minimum=0,
            min_step="1d",
            no_data=NO_DAYS,
        ),
        of_last_day(
            series(
                "Visits of the newest day until now",
                "How the visits of the newest day grow. The line falls when a new day begins.",
                # A day that is over has its point at its midnight, where it is no present value.
                (f"sum by (name) (pantheon_visits unless {of_day('pantheon_visits')})", "{{name}}"),
                minimum=0,
            )
        ),
    ]


def newest_day():
    return table(
        "Sites, newest day",
        "Every chosen site with its plan and its newest day, most visits first.",
        {
            "A": f"sum by ({SITE}) {present('pantheon_visits')}",
            "B": f"sum by ({SITE}) {present('pantheon_pages_served')}",
            "C": f"sum by ({SITE}) {present('pantheon_cache_hits')}",
            "D": f"sum by ({SITE}) {present('pantheon_cache_misses')}",
            "E": f"avg by ({SITE}) {present('pantheon_cache_hit_ratio')}",
        },
        [
            column("name", "Site"),
            column("plan", "Plan"),
            column("account", "Account"),
            column("A", "Visits", unit="short"),
            column("B", "Pages", unit="short"),
            column("C", "Cache hits", unit="short"),
            column("D", "Cache misses", unit="short"),
            column("E", "Cache hit ratio", unit="percent", decimals=1),
        ],
        sort="Visits",
        no_data="no data: no site is read, or the exporter does not answer",
    )


def of_last_day(panel):
    """In steps of 28 days, an hour or more, what the exporter does would be too coarse, and a new one show nothing."""
    return {**panel, "timeFrom": "24h"}


def cannot_tell():
    return [
        table(
            "Accounts",
            "Each account: whether its sites could be listed, and when sites and traffic were last read.",
            {
                "A": 'min by (account) (pantheon_exporter_account_up{account=~"$account"})',
                "B": 'sum by (account) (pantheon_exporter_sites{account=~"$account"})',
                "C": (
                    "1000 * max by (account)"
                    ' (pantheon_exporter_last_site_list_success_timestamp_seconds{account=~"$account"})'
                ),
                "D": (
                    "1000 * max by (account)"
                    ' (pantheon_exporter_last_traffic_success_timestamp_seconds{account=~"$account"})'
                ),
            },
            [
                column("account", "Account"),
                column("A", "Login and list", mappings=ACCOUNT, no_value="not tried yet"),
                column("B", "Sites", unit="short"),
                column("C", "Sites listed", unit="dateTimeFromNow", no_value="never"),
                column("D", "Traffic read", unit="dateTimeFromNow", no_value="never"),
            ],
            size=(12, 8),
            no_data="no data: no account is polled, or the exporter does not answer",
        ),
        table(
            "Sites whose traffic could not be read",
            "Failed readings of each site in the chosen range. The first one after a start of the exporter may not"
            " count, since Prometheus sees no rise in it.",
            {
                "A": (
                    "sum by (account, name)"
                    ' (ceil(increase(pantheon_exporter_site_errors_total{account=~"$account"}[$__range]))) > 0'
                )
            },
            [
                column("account", "Account"),
                column("name", "Site"),
                column("A", "Failed readings", unit="short", thresholds=steps(ORANGE)),
            ],
            sort="Failed readings",
            size=(12, 8),
        ),
        of_last_day(
            timeline(
                "Accounts over time",
                "Whether the last login and listing of each account worked. A gap is a time without any data.",
                'min by (account) (pantheon_exporter_account_up{account=~"$account"})',
                "{{account}}",
                ACCOUNT,
            )
        ),
        of_last_day(
            series(
                "Requests by outcome",
                "Attempts of calls in a second, by what came of them.",
                ("sum by (outcome) (rate(pantheon_exporter_api_requests_total[$__rate_interval]))", "{{outcome}}"),
                unit="reqps",
                stacked=True,
                minimum=0,
                colors=OF_OUTCOME,
            )
        ),
        of_last_day(
            series(
                "Zeros held back",
                "Answers in which everything was zero for a site with traffic, as in Pantheon's daily rebuild. The"
                " values of before stay meanwhile.",
                (
                    (
                        "sum by (account)"
                        ' (increase(pantheon_exporter_zero_responses_total{account=~"$account"}[$__rate_interval]))'
                    ),
                    "{{account}}",
                ),
                bars=True,
                minimum=0,
                no_data="no data: no zeros were held back since the exporter's start, or nothing is known",
            )
        ),
    ]
