"""The dashboard of the status pages: states and components over time, incidents with their history, and the polls."""

import pages
from panels import (
    CACHED,
    COMPONENT,
    OF_IMPACT,
    OF_STATUS,
    OPEN,
    READ,
    SEVERITY,
    column,
    highest,
    make,
    row,
    series,
    stat,
    table,
    timeline,
)


def dashboard():
    of_pages = {"statuspage_": 'service_name=~"$service_name"'}
    services = "label_values(statuspage_probe_check, service_name)"
    return make(
        "status-pages",
        "saas-exporter / Status pages",
        "Status pages: the state of services and components over time, incidents and maintenances with links, uptime,"
        " and how well the pages could be read.",
        [
            states(),
            *pages.now(size=(8, 3)),
            row("States"),
            pages.severity_over_time(),
            pages.uptime(),
            troubled_components(),
            pages.in_trouble(),
            pages.components(),
            row("Incidents and maintenance"),
            pages.incidents(),
            pages.maintenances(),
            incidents_by_impact(),
            past_incidents(),
            row("Components"),
            components_by_status(),
            own_words(),
            row("What we cannot tell, and why"),
            probes(),
            live_or_known(),
            response_time(),
            pages.unknown_words(size=(24, 6)),
        ],
        variables=[("service_name", "Service", services)],
        matchers=of_pages,
    )


def states():
    return stat(
        "State now, worst first",
        "The worst that each page says of itself or of a part, of the twelve pages that are worst. A page that cannot"
        ' be read now is shown as it was last known; "Pages that were read" says which ones.',
        # As many words as have room beside each other.
        "topk(12, max by (service_name) (statuspage_service_severity))",
        legend="{{service_name}}",
        mappings=SEVERITY,
        size=(24, 4),
    )


def troubled_components():
    return timeline(
        "Components that were not well in this range",
        "The state of each component that was not operational at some time of the chosen range. Components that were"
        " always well are left out.",
        # The whole range decides for every moment of it, else a line would only begin with the trouble.
        "max by (service_name, group_name, component_name) (statuspage_component_severity "
        "and (max_over_time(statuspage_component_severity[$__range] @ end()) > 0))",
        "{{service_name}}: {{group_name}} {{component_name}}",
        COMPONENT,
        size=(24, 10),
        no_data='No trouble, or no data: "State now" tells.',
    )


def incidents_by_impact():
    return series(
        "Open incidents by impact",
        "How many incidents were open at a time, by the impact that the page gives them.",
        ("sum by (impact) (statuspage_active_incidents)", "{{impact}}"),
        stacked=True,
        minimum=0,
        colors=OF_IMPACT,
    )


def past_incidents():
    labels = "service_name, incident_name, impact, started_at, shortlink"
    return table(
        "Incidents seen in this range",
        "Every incident that a page listed in the chosen range, open or over, with its link.",
        {
            "A": f'max by ({labels}) (last_over_time(statuspage_incident_info{{incident_id!="none"}}[$__range]))',
        },
        [
            column("started_at", "Began", width=20),
            column("service_name", "Service"),
            column("incident_name", "Incident", link="shortlink", least_width=30),
            column("impact", "Impact", width=8),
            column("A", "State", mappings=OPEN),
            column("shortlink", "Link", link="shortlink", width=8),
        ],
        sort="Began",
        size=(12, 8),
    )


def components_by_status():
    return series(
        "Components by status",
        "Components in each status over all chosen pages, groups left out. Those that are operational are left out too,"
        " since they would hide the others.",
        ('sum by (status) (statuspage_components{status!="operational"})', "{{status}}"),
        stacked=True,
        minimum=0,
        colors=OF_STATUS,
    )


def own_words():
    return table(
        "The page's own word beside its parts",
        "What each page says of itself, and the worst that it or a part of it says. Pages often say none while a"
        " component is out.",
        {
            "A": (
                "max by (service_name, indicator) ((statuspage_service_indicator == 1) * 0 "
                f"+ {pages.PAGE} group_left () statuspage_service_severity)"
            ),
            "B": (
                "max by (service_name, indicator) ((statuspage_service_indicator == 1) * 0 "
                f"+ {pages.PAGE} group_left () statuspage_serving_cached)"
            ),
            "C": (
                "1000 * max by (service_name, indicator) ((statuspage_service_indicator == 1) * 0 "
                f"+ {pages.PAGE} group_left () statuspage_page_updated_timestamp_seconds)"
            ),
        },
        [
            column("service_name", "Service"),
            column("indicator", "Its own word", width=11),
            column("A", "Worst of its parts", mappings=SEVERITY),
            column("B", "Data", mappings=CACHED),
            column("C", "Changed", unit="dateTimeFromNow", no_value="not said"),
        ],
        sort="Worst of its parts",
        size=(12, 8),
    )


def probes():
    return timeline(
        "Pages that were read",
        "Whether every query of the last poll of a page succeeded. While it did not, the page's state is what was last"
        " known.",
        "min by (service_name) (statuspage_probe_check)",
        "{{service_name}}",
        READ,
    )


def live_or_known():
    return table(
        "Age of what is shown",
        "When each page was last read well, and whether what is shown is live or what was last known. A page that was"
        " never read has no state at all.",
        {
            "A": "min by (service_name) (statuspage_probe_check)",
            "B": "max by (service_name) (statuspage_serving_cached)",
            "C": "max by (service_name) (statuspage_application_timestamp)",
        },
        [
            column("service_name", "Service"),
            column("A", "Last poll", mappings=READ),
            column("B", "Data", mappings=CACHED, no_value="never read"),
            column("C", "Page read", unit="dateTimeFromNow", no_value="never"),
        ],
        size=(12, 8),
        no_data="no data: no page is polled, or the exporter does not answer",
    )


def response_time():
    return series(
        "Response time of the pages",
        "Duration of the request that was answered well, without retries and pauses, of the 20 slowest pages. A gap is"
        " a time in which the page could not be read.",
        (
            highest(
                "max by (service_name) (statuspage_response_time_seconds > 0)",
                "service_name",
                "max by (service_name) (max_over_time(statuspage_response_time_seconds[$__range] @ end()))",
            ),
            "{{service_name}}",
        ),
        unit="s",
        size=(12, 8),
    )
