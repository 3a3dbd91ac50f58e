"""The forms that the dashboards are made of: a dashboard, its variables, its panels, words and colours for values.

It leaves to the other modules what is shown. Two rules are kept here, since they hold for every panel: a number or a row
of the present moment comes from an instant query, so that what has ended is not shown as the last thing that was known;
and where there is no data, a panel says so and never shows a colour that means "good".
"""

import re

DATASOURCE = {"type": "prometheus", "uid": "${datasource}"}
# The target that a series comes from; grafana/dashboard-linter asks for both matchers in every selector.
OF_TARGET = 'job=~"$job", instance=~"$instance"'
# While its exporter answers, and of all processes those that are an exporter. A rise in the chosen range outlives it.
WHILE_IT_ANSWERS = "and on (job, instance) saas_exporter_build_info"
# What our metrics and those of Prometheus itself begin with. No label begins so.
METRIC = re.compile(r"\b((?:statuspage|spacelift|pantheon|aaisp|saas_exporter|process)_\w+|up)\b(\{)?")
# Grafana lays panels out in this many columns.
COLUMNS = 24
# Of a table, in pixels: the least width of a column without one of its own, where Grafana takes 150; a character; what
# a header has beside its text, for the filter and the order; what a cell has beside its text.
LEAST_WIDTH, OF_CHARACTER, OF_HEADER, OF_CELL = 110, 7, 60, 24
# Characters of the values of a unit; numbers have fewer than their headers.
OF_UNIT = {"dateTimeFromNow": len("a few seconds ago"), "dateTimeAsSystem": len("2026-11-20 12:00:00")}
# So many lines of one panel can still be told apart.
MOST = 20
# The schema of Grafana 10.4; newer ones read it and carry it forward.
SCHEMA_VERSION = 39
# A panel without it is taken for one of Grafana 6.1, and its options are carried forward from there.
PLUGIN_VERSION = "10.4.0"
NO_DATA = "no data: cannot tell"
NOTHING_OR_UNKNOWN = (
    'Nothing to show. Whether that is good news, the numbers above tell: they say "no data" when nothing is known.'
)

GREEN, BLUE, YELLOW, ORANGE, RED, PURPLE, NONE = "green", "blue", "yellow", "orange", "red", "purple", "transparent"


def words(*pairs):
    """Value mappings: pairs of a value, its word and its colour."""
    named = {
        str(value): {"text": text, "color": color, "index": index} for index, (value, text, color) in enumerate(pairs)
    }
    return [{"type": "value", "options": named}]


SEVERITY = words(
    (0, "operational", GREEN),
    (1, "maintenance", BLUE),
    (2, "minor", YELLOW),
    (3, "major", ORANGE),
    (4, "critical", RED),
)
COMPONENT = words(
    (0, "operational", GREEN),
    (1, "under maintenance", BLUE),
    (2, "degraded or unknown", YELLOW),
    (3, "partial outage", ORANGE),
    (4, "major outage", RED),
)
READ = words((0, "cannot be read", PURPLE), (1, "read", GREEN))
OPEN = words((0, "over", GREEN), (1, "open", RED))
CACHED = words((0, "live", GREEN), (1, "last known", PURPLE))


# Colours of series, by the name in the legend or by a regular expression between slashes.
OF_IMPACT = [("critical", RED), ("major", ORANGE), ("minor", YELLOW), ("none", BLUE), ("unknown", PURPLE)]
OF_STATUS = [
    ("major_outage", RED),
    ("partial_outage", ORANGE),
    ("degraded_performance", YELLOW),
    ("under_maintenance", BLUE),
    ("unknown", PURPLE),
]
OF_OUTCOME = [("/^(?!ok$)/", RED), ("ok", GREEN)]
OF_HTTP = [("/(^| )2..$/", GREEN), ("/(^| )3..$/", BLUE), ("/(^| )4..$/", ORANGE), ("/(^| )(5..|0|error)$/", RED)]
ALL_BAD = [("/./", RED)]


def none_is(text, color=GREEN):
    """The word for 0 of a number whose every other value is trouble."""
    return words((0, text, color))


def steps(*pairs):
    """Thresholds: the colour below the first value, then pairs of a value and the colour from it on."""
    base, *rest = pairs
    return {
        "mode": "absolute",
        "steps": [{"color": base, "value": None}] + [{"color": color, "value": value} for value, color in rest],
    }


PLAIN = steps(BLUE)
ANY_IS_BAD = steps(GREEN, (1, RED))
ANY_IS_UNKNOWN = steps(GREEN, (1, PURPLE))
ANY_IS_NOTED = steps(GREEN, (1, BLUE))


def stat(
    title,
    description,
    query,
    *,
    unit="none",
    thresholds=PLAIN,
    mappings=(),
    legend="",
    size=(4, 4),
    no_data=NO_DATA,
    decimals=None,
):
    """A number of the present moment, or one for each series with its name."""
    panel = base("stat", title, description, size)
    panel["targets"] = [target("A", query, legend or title, instant=True)]
    panel["fieldConfig"] = fields(unit, thresholds, [*mappings, unknown(no_data)], no_data, decimals)
    panel["options"] = {
        "colorMode": "background" if thresholds is not PLAIN or mappings else "none",
        "graphMode": "none",
        "justifyMode": "auto",
        "orientation": "auto",
        "percentChangeColorMode": "standard",
        "reduceOptions": {"calcs": ["last"], "fields": "", "values": False},
        "showPercentChange": False,
        # Grafana chooses a size that fits the word with the most letters, and one with wider letters runs over.
        **({"text": {"titleSize": 14, "valueSize": 16}} if legend else {}),
        "textMode": "value_and_name" if legend else "value",
        "wideLayout": True,
    }
    return panel


def unknown(text):
    return {"type": "special", "options": {"match": "null+nan", "result": {"text": text, "color": PURPLE, "index": 99}}}


def series(
    title,
    description,
    *queries,
    unit="short",
    stacked=False,
    bars=False,
    size=(12, 8),
    lines=None,
    minimum=None,
    min_step=None,
    no_data=NO_DATA,
    colors=(),
    soft_max=None,
):
    """Lines, or bars, over time: pairs of a query and the name of its series.

    `colors` are for series whose names are good or bad news; Grafana gives the others the colours of its palette.
    """
    panel = base("timeseries", title, description, size)
    panel["targets"] = [
        target(ref(place), query, legend, min_step=min_step) for place, (query, legend) in enumerate(queries)
    ]
    if soft_max is None and unit == "short" and minimum == 0:
        soft_max = 4
    custom = {
        # Without it, a count that is always 0 would have an axis up to 100.
        **({"axisSoftMax": soft_max} if soft_max else {}),
        "drawStyle": "bars" if bars else "line",
        "fillOpacity": 60 if bars or stacked else 10,
        "lineWidth": 1,
        "showPoints": "never" if bars or stacked else "auto",
        "spanNulls": False,
        "stacking": {"mode": "normal" if stacked else "none", "group": "A"},
        "thresholdsStyle": {"mode": "dashed" if lines else "off"},
    }
    panel["fieldConfig"] = fields(unit, lines or PLAIN, [], no_data)
    panel["fieldConfig"]["defaults"]["color"] = {"mode": "palette-classic"}
    panel["fieldConfig"]["defaults"]["custom"] = custom
    panel["fieldConfig"]["overrides"] = [color_of(name, color) for name, color in colors]
    if minimum is not None:
        panel["fieldConfig"]["defaults"]["min"] = minimum
    panel["options"] = {
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "tooltip": {"mode": "multi", "sort": "desc"},
    }
    return panel


def color_of(name, color):
    """Of all series that a regular expression fits, each has its own shade."""
    is_pattern = name.startswith("/")
    value = {"mode": "shades" if is_pattern else "fixed", "fixedColor": color}
    return {
        "matcher": {"id": "byRegexp" if is_pattern else "byName", "options": name},
        "properties": [{"id": "color", "value": value}],
    }


def timeline(title, description, query, legend, mappings, *, size=(24, 8), no_data=NO_DATA):
    """The states of each series over time, in words and colours; a gap is a time of which nothing is known."""
    panel = base("state-timeline", title, description, size)
    panel["targets"] = [target("A", query, legend)]
    panel["fieldConfig"] = fields("none", steps(NONE), mappings, no_data)
    # Where thresholds give the colour, Grafana shows the step that a value lies in, "-∞+", in place of the value's word
    # (grafana/grafana#41075). The legend gives this colour to the word for no data, and a gap has none.
    panel["fieldConfig"]["defaults"]["color"] = {"mode": "fixed", "fixedColor": NONE}
    panel["fieldConfig"]["defaults"]["custom"] = {"fillOpacity": 80, "lineWidth": 0}
    # An empty answer is a frame without fields, of which Grafana says "Data does not have a time field". This leaves
    # frames out that have none, and then it says what we say.
    panel["transformations"] = [{"id": "filterFieldsByName", "options": {"include": {"pattern": ".*"}}}]
    panel["options"] = {
        "alignValue": "left",
        "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": True},
        "mergeValues": True,
        # A legible row takes 16 pixels, header, axis, legend and page numbers take the rest of the height.
        "perPage": (size[1] * 38 - 136) // 16,
        "rowHeight": 0.9,
        "showValue": "auto",
        "tooltip": {"mode": "single", "sort": "none"},
    }
    return panel


def table(title, description, queries, columns, *, sort=None, size=(24, 8), no_data=NOTHING_OR_UNKNOWN):
    """One row for each label set. All queries of a table bear the same labels, so that their values share a row.

    `queries` maps a letter to a query, `columns` are those that are shown, from left to right. `sort` names the column
    whose highest value comes first, or with a minus in front the lowest.
    """
    panel = base("table", title, description, size)
    panel["targets"] = [target(letter, query, "", instant=True, form="table") for letter, query in queries.items()]
    panel["fieldConfig"] = fields("none", steps(NONE), [], no_data)
    panel["fieldConfig"]["defaults"]["custom"] = {
        "align": "left",
        "cellOptions": {"type": "auto"},
        "filterable": True,
        "minWidth": LEAST_WIDTH,
    }
    values = [column for column in columns if column["of"] in queries]
    # While there are no rows there are no labels, and what is said then is as wide as the columns that are left.
    plain = [column for column in values if not column.keys() & {"mappings", "thresholds"}]
    stretched = (plain or values)[-1]
    panel["fieldConfig"]["overrides"] = [
        override(column, column not in values, column is stretched) for column in columns
    ]
    sort_by = [{"displayName": sort.removeprefix("-"), "desc": not sort.startswith("-")}] if sort else []
    panel["options"] = {"cellHeight": "sm", "frameIndex": 0, "showHeader": True, "sortBy": sort_by}
    sources = [source(column["of"], queries) for column in columns]
    hidden = {source(letter, queries) for letter in queries} - set(sources)
    organize = {
        "excludeByName": {name: True for name in sorted({"Time", *hidden})},
        "indexByName": {name: place for place, name in enumerate(sources)},
        "renameByName": {name: column["name"] for name, column in zip(sources, columns)},
    }
    panel["transformations"] = [{"id": "organize", "options": organize}]
    if len(queries) > 1:
        panel["transformations"].insert(0, {"id": "merge", "options": {}})
    return panel


def column(
    of,
    name,
    *,
    unit=None,
    mappings=None,
    thresholds=None,
    renamed=None,
    link=None,
    no_value=None,
    decimals=None,
    width=None,
    least_width=None,
):
    """A column: `of` is a label, or the letter of a query. `link` is an address, or the label that holds it.

    With `mappings` or `thresholds` the cells are coloured; `renamed` are value mappings without colour. Values are as
    wide as their words, and labels without a `width` in characters share the rest, since they are names and titles,
    but have at least `least_width`.
    """
    return {key: value for key, value in locals().items() if value is not None}


def override(column, is_label, is_stretched):
    # Without this unit, Grafana reads a label such as a telephone number as a number, and its zero in front is lost.
    unit = "string" if is_label else column.get("unit", "none")
    properties = [("unit", unit)]
    if "decimals" in column:
        properties.append(("decimals", column["decimals"]))
    if "thresholds" in column:
        properties.append(("thresholds", column["thresholds"]))
    if "mappings" in column or "thresholds" in column:
        # A cell without a value would else have the colour of the lowest one.
        mappings = [*column.get("mappings", []), unknown(column.get("no_value", "no data"))]
        properties.append(("mappings", mappings))
        properties.append(("color", {"mode": "thresholds"}))
        properties.append(("custom.cellOptions", {"type": "color-background", "mode": "basic"}))
    if "renamed" in column:
        properties.append(("mappings", column["renamed"]))
    if "link" in column:
        properties.append(("links", [link(column["link"])]))
    # An empty cell would else hold the sentence of a table without rows.
    properties.append(("noValue", column.get("no_value", "–" if is_label else "no data")))
    if "width" in column or not (is_label or is_stretched):
        properties.append(("custom.width", width(column)))
    elif "least_width" in column or is_stretched:
        properties.append(("custom.minWidth", width(column)))
    return {
        "matcher": {"id": "byName", "options": column["name"]},
        "properties": [{"id": key, "value": value} for key, value in properties],
    }


def width(column):
    named = [each["text"] for mapping in column.get("mappings", []) for each in mapping["options"].values()]
    words = [*named, column.get("no_value", "")]
    asked = column.get("width", column.get("least_width", 0))
    content = max(asked, OF_UNIT.get(column.get("unit"), 0), *map(len, words))
    return max(len(column["name"]) * OF_CHARACTER + OF_HEADER, content * OF_CHARACTER + OF_CELL)


def link(to):
    if to.startswith("/"):
        return {"title": "Show its dashboard", "url": to}
    return {"title": "Open the page", "url": "${__data.fields." + to + "}", "targetBlank": True}


def source(of, queries):
    """The name that Grafana gives the field: that of a label, or of the values of a query."""
    if of not in queries:
        return of
    return f"Value #{of}" if len(queries) > 1 else "Value"


def base(kind, title, description, size):
    return {
        "type": kind,
        "pluginVersion": PLUGIN_VERSION,
        "title": title,
        "description": description,
        "datasource": DATASOURCE,
        "size": size,
    }


def fields(unit, thresholds, mappings, no_data, decimals=None):
    defaults = {
        "color": {"mode": "thresholds"},
        "mappings": list(mappings),
        "noValue": no_data,
        "thresholds": thresholds,
        "unit": unit,
    }
    if decimals is not None:
        defaults["decimals"] = decimals
    return {"defaults": defaults, "overrides": []}


def target(letter, query, legend, *, instant=False, form="time_series", min_step=None):
    asked = {
        "datasource": DATASOURCE,
        "editorMode": "code",
        "expr": " ".join(query.split()),
        "format": form,
        "instant": instant,
        "legendFormat": legend,
        "range": not instant,
        "refId": letter,
    }
    if min_step:
        asked["interval"] = min_step
    return asked


def ref(place):
    return "ABCDEFGH"[place]


def row(title):
    return {"type": "row", "title": title, "collapsed": False, "panels": [], "size": (COLUMNS, 1)}


def variable(name, label, query):
    """A choice of one or more values; all of them at first."""
    return {
        "allValue": ".+",
        "current": {"selected": True, "text": "All", "value": "$__all"},
        "datasource": DATASOURCE,
        "hide": 0,
        "includeAll": True,
        "label": label,
        "multi": True,
        "name": name,
        "options": [],
        "query": query,
        "refresh": 2,
        "regex": "",
        "skipUrlSync": False,
        "sort": 1,
        "type": "query",
    }


def make(name, title, description, panels, *, variables=(), matchers=None, time="now-24h", timezone="browser"):
    """A dashboard. `variables` are triples of name, label and query; `matchers` adds to the selectors of a prefix."""
    matchers = matchers or {}
    of_datasource = {
        "current": {},
        "hide": 0,
        "includeAll": False,
        "label": "Data source",
        "multi": False,
        "name": "datasource",
        "options": [],
        "query": "prometheus",
        "refresh": 1,
        "regex": "",
        "skipUrlSync": False,
        "type": "datasource",
    }
    of_target = [
        variable("job", "Job", "label_values(saas_exporter_build_info, job)"),
        variable("instance", "Instance", 'label_values(saas_exporter_build_info{job=~"$job"}, instance)'),
    ]
    more = [variable(name, label, with_matchers(query, {})) for name, label, query in variables]
    for panel in panels:
        for asked in panel.get("targets", []):
            asked["expr"] = with_matchers(asked["expr"], matchers)
    return {
        "annotations": {"list": []},
        "description": description,
        "editable": False,
        "fiscalYearStartMonth": 0,
        "graphTooltip": 1,
        "links": [links()],
        "panels": placed(panels),
        "refresh": "1m",
        "schemaVersion": SCHEMA_VERSION,
        "tags": ["saas-exporter"],
        "templating": {"list": [of_datasource, *of_target, *more]},
        "time": {"from": time, "to": "now"},
        "timepicker": {},
        "timezone": timezone,
        "title": title,
        "uid": f"saas-exporter-{name}",
        "version": 1,
        "weekStart": "",
    }


def highest(query, label, over_range):
    """Of many series those with the highest value in the chosen range, which is the same for all its moments."""
    return f"({query}) and on ({label}) topk({MOST}, {over_range})"


def with_matchers(query, matchers):
    """The query with the matchers of the target in every selector, and those that belong to a metric's prefix."""

    def selector(found):
        name, brace = found[1], found[2]
        wanted = [OF_TARGET] + [more for prefix, more in matchers.items() if name.startswith(prefix)]
        return f"{name}{{{', '.join(wanted)}" + (", " if brace else "}")

    return METRIC.sub(selector, query)


def placed(panels):
    """The panels with ids and places: from left to right, a new line where one does not fit any more."""
    done, x, y, height = [], 0, 0, 0
    for number, panel in enumerate(panels, start=1):
        width, tall = panel.pop("size")
        if x + width > COLUMNS:
            x, y, height = 0, y + height, 0
        done.append({"id": number, **panel, "gridPos": {"h": tall, "w": width, "x": x, "y": y}})
        x, height = x + width, max(height, tall)
    return done


def links():
    """The way to the other dashboards."""
    return {
        "asDropdown": True,
        "icon": "external link",
        "includeVars": True,
        "keepTime": True,
        "tags": ["saas-exporter"],
        "targetBlank": False,
        "title": "saas-exporter",
        "tooltip": "The other dashboards of saas-exporter",
        "type": "dashboards",
        "url": "",
    }
