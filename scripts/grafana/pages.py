"""Panels about status pages that the overview and the dashboard of the status pages share."""

from panels import (
    ANY_IS_BAD,
    ANY_IS_NOTED,
    CACHED,
    COMPONENT,
    GREEN,
    ORANGE,
    RED,
    SEVERITY,
    YELLOW,
    column,
    none_is,
    stat,
    steps,
    table,
    timeline,
)

# A page is one series of one target; users may add labels of their own.
PAGE = "on (job, instance, service_name)"
# Of pages whose last poll failed we know only the past, so they are not counted among those that are well.
LIVE = f"and {PAGE} (statuspage_serving_cached == 0)"
OF_INCIDENT = "incident_name, impact, affected_components, shortlink"
OF_MAINTENANCE = "maintenance_name, affected_components, shortlink"
# With the same data source, exporters and range. Grafana alone would leave an & of a name as it is.
SHOW_PAGE = (
    "/d/saas-exporter-status-pages?var-service_name=${__data.fields.service_name:percentencode}"
    "&${datasource:queryparam}&${job:queryparam}&${instance:queryparam}&${__url_time_range}"
)
UPTIME = steps(RED, (99, ORANGE), (99.9, GREEN))


def now(size=(4, 4)):
    return [
        stat(
            "Pages in trouble",
            "Status pages that say minor, major or critical, themselves or by a part of them. Pages that cannot be read"
            " now are not counted, neither as well nor as down.",
            f"sum((statuspage_service_severity >= bool 2) {LIVE})",
            mappings=none_is("none"),
            thresholds=ANY_IS_BAD,
            size=size,
        ),
        stat(
            "Incidents open now",
            "Incidents that status pages list as open. Pages that cannot be read now are not counted.",
            f"sum(statuspage_active_incidents {LIVE})",
            mappings=none_is("none"),
            thresholds=ANY_IS_BAD,
            size=size,
        ),
        stat(
            "Maintenances",
            "Maintenances ahead or under way. Pages that cannot be read now are not counted.",
            f"sum(statuspage_active_maintenances {LIVE})",
            mappings=none_is("none"),
            thresholds=ANY_IS_NOTED,
            size=size,
        ),
    ]


def in_trouble():
    bad = f"and {PAGE} (statuspage_service_severity > 0)"
    return table(
        "Services that are not well",
        'Status pages with a severity above 0, worst first. "last known" means that the page cannot be read now, and'
        " the row is what it said before.",
        {
            "A": "max by (service_name) (statuspage_service_severity > 0)",
            "B": f"sum by (service_name) (statuspage_active_incidents {bad})",
            "C": f"max by (service_name) (statuspage_serving_cached {bad})",
            "D": f"max by (service_name) (statuspage_application_timestamp {bad})",
        },
        [
            column("service_name", "Service", link=SHOW_PAGE),
            column("A", "State", mappings=SEVERITY),
            column("B", "Open incidents", unit="short"),
            column("C", "Data", mappings=CACHED),
            column("D", "Page read", unit="dateTimeFromNow"),
        ],
        sort="State",
        size=(12, 8),
    )


def components():
    return table(
        "Components that are not well",
        "Components that are not operational, worst first, with the group that they stand in on the page.",
        {"A": "sort_desc(max by (service_name, group_name, component_name) (statuspage_component_severity > 0))"},
        [
            column("service_name", "Service", link=SHOW_PAGE),
            column("group_name", "Group"),
            column("component_name", "Component"),
            column("A", "State", mappings=COMPONENT),
        ],
        sort="State",
        size=(12, 8),
    )


def incidents():
    labels = f"service_name, incident_id, {OF_INCIDENT}"
    is_open = '(statuspage_incident_info{incident_id!="none"} == 1)'

    def moment(metric):
        of_info = f"on (job, instance, service_name, incident_id) group_left ({OF_INCIDENT})"
        return f"1000 * max by ({labels}) ({metric} * {of_info} {is_open})"

    return table(
        "Open incidents",
        "Every incident that a status page lists as open; the title leads to the page. Title and impact are those first"
        " seen, the time of the last update follows the page. An incident of a page that cannot be read now is last"
        " known.",
        {
            "A": moment("statuspage_incident_started_timestamp_seconds"),
            "B": moment("statuspage_incident_updated_timestamp_seconds"),
            "C": f"max by ({labels}) ({is_open} * {PAGE} group_left () statuspage_serving_cached)",
        },
        [
            column("service_name", "Service", link=SHOW_PAGE),
            column("incident_name", "Incident", link="shortlink", width=45),
            column("impact", "Impact", width=8),
            column("A", "Began", unit="dateTimeFromNow", no_value="not said"),
            column("B", "Last update", unit="dateTimeFromNow", no_value="not said"),
            column("affected_components", "Components"),
            column("C", "Data", mappings=CACHED),
            column("shortlink", "Link", link="shortlink", width=18),
            column("incident_id", "Id", width=12),
        ],
        sort="Began",
    )


def maintenances():
    labels = f"service_name, maintenance_id, {OF_MAINTENANCE}"
    is_listed = '(statuspage_maintenance_info{maintenance_id!="none"} == 1)'

    def moment(metric):
        of_info = f"on (job, instance, service_name, maintenance_id) group_left ({OF_MAINTENANCE})"
        return f"1000 * max by ({labels}) ({metric} * {of_info} {is_listed})"

    return table(
        "Maintenance ahead or under way",
        "Every maintenance that a status page lists; the title leads to the page. The times are those that the page"
        " says now.",
        {
            "A": moment("statuspage_maintenance_start_timestamp_seconds"),
            "B": moment("statuspage_maintenance_end_timestamp_seconds"),
            "C": moment("statuspage_maintenance_start_timestamp_seconds"),
            "D": f"max by ({labels}) ({is_listed} * {PAGE} group_left () statuspage_serving_cached)",
        },
        [
            column("service_name", "Service", link=SHOW_PAGE),
            column("maintenance_name", "Maintenance", link="shortlink", width=45),
            column("C", "When", unit="dateTimeFromNow", no_value="not said"),
            column("A", "Begins", unit="dateTimeAsSystem", no_value="not said"),
            column("B", "Ends", unit="dateTimeAsSystem", no_value="not said"),
            column("affected_components", "Components"),
            column("D", "Data", mappings=CACHED),
            column("shortlink", "Link", link="shortlink", width=18),
            column("maintenance_id", "Id", width=12),
        ],
        sort="-Begins",
    )


def severity_over_time():
    return timeline(
        "State of each service",
        "The worst that each status page says of itself or of a part. While a page cannot be read, its last known state"
        ' goes on; "Polls" or "Pages that were read" shows when that was. A gap is a time without any data.',
        "max by (service_name) (statuspage_service_severity)",
        "{{service_name}}",
        SEVERITY,
        size=(14, 8),
    )


def uptime():
    window = 'avg by (service_name) (statuspage_uptime_percentage{{window="{}"}})'.format
    day, week, month = window("24h"), window("7d"), window("30d")
    return table(
        "Uptime",
        "Share of the polls that found the service operational. A poll that failed counts with the last known state; a"
        " window is empty until it holds a poll.",
        {"A": day, "B": week, "C": month},
        [
            column("service_name", "Service", link=SHOW_PAGE),
            column("A", "24 hours", unit="percent", thresholds=UPTIME, decimals=2),
            column("B", "7 days", unit="percent", thresholds=UPTIME, decimals=2),
            column("C", "30 days", unit="percent", thresholds=UPTIME, decimals=2),
        ],
        sort="-24 hours",
        size=(10, 8),
        no_data="no data: no page was read yet, or the exporter does not answer",
    )


def unknown_words(size):
    return table(
        "Words of pages that were not understood",
        "Words and items in the answers of status pages that are new to the exporter, counted in the chosen range. None"
        ' reads as "all is well"; an update of the exporter may know them.',
        {"A": "sum by (service_name, field) (ceil(increase(statuspage_unknown_values_total[$__range]))) > 0"},
        [
            column("service_name", "Service", link=SHOW_PAGE),
            column("field", "Where"),
            column("A", "Times", unit="short", thresholds=steps(YELLOW), decimals=0),
        ],
        size=size,
    )
