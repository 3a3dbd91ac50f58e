//! Five status pages: incidents that open, are reworded and close, a maintenance, a page that fails, one that says a word
//! that is new and later changes its product. The fifth has an outage for a moment and is well otherwise.

use serde_json::{Value, json};

use super::{Chapter, Moment};
use crate::upstream::{self, Upstream};

/// Reported, then found to be worse and reworded, then watched.
const SLOW_BUILDS: Chapter = Chapter::new("Forge: builds are slow, then fail", 30.0, 210.0);
const SLOW_BUILDS_REWORDED_S: f64 = 90.0;
const SLOW_BUILDS_WATCHED_S: f64 = 160.0;
/// From the announcement to the end.
const NEW_DISKS: Chapter = Chapter::new("Postbox: new disks, announced and put in", 60.0, 360.0);
const NEW_DISKS_BEGIN_S: f64 = 240.0;
const NEW_DISKS_VERIFIED_S: f64 = 330.0;
const NEW_WORD: Chapter = Chapter::new("Signpost: a component is \"hibernating\"", 120.0, 180.0);
const PAGE_FAILS: Chapter = Chapter::new("Ledger: the page answers HTTP 503", 270.0, 350.0);
const NO_LOGINS: Chapter = Chapter::new("Atlas: nobody can log in", 400.0, 460.0);
const OTHER_PRODUCT: Chapter = Chapter::new("Signpost: the page is another product", 420.0, 510.0);

pub(super) const CHAPTERS: [Chapter; 6] = [
    SLOW_BUILDS,
    NEW_DISKS,
    NEW_WORD,
    PAGE_FAILS,
    NO_LOGINS,
    OTHER_PRODUCT,
];

/// Keys and names.
const PAGES: [(&str, &str); 5] = [
    ("forge", "Forge"),
    ("postbox", "Postbox"),
    ("ledger", "Ledger"),
    ("signpost", "Signpost"),
    ("atlas", "Atlas"),
];

pub(super) fn services(upstream: &Upstream) -> Value {
    let mut services = json!({});
    for (key, name) in PAGES {
        services[key] = json!({
            "name": name, "url": upstream.url(&path(key)), "interval": "3s", "timeout": "2s"
        });
    }
    services
}

fn path(key: &str) -> String {
    format!("/{key}/api/v2/summary.json")
}

pub(super) fn tell(upstream: &Upstream, moment: &Moment) {
    let say = |key: &str, behaviour| upstream.set(&path(key), behaviour);
    say("forge", upstream::json(forge(moment).to_string()));
    say("postbox", upstream::json(postbox(moment).to_string()));
    say("atlas", upstream::json(atlas(moment).to_string()));
    say(
        "ledger",
        match moment.is_in(PAGE_FAILS) {
            true => upstream::status(503, &[]),
            false => upstream::json(ledger(moment).to_string()),
        },
    );
    say(
        "signpost",
        upstream::json(match moment.is_in(OTHER_PRODUCT) {
            true => of_another_product().to_string(),
            false => signpost(moment).to_string(),
        }),
    );
}

fn forge(moment: &Moment) -> Value {
    let (status, builds, impact, name, updated_s) = match moment.at_s {
        at_s if at_s < SLOW_BUILDS_REWORDED_S => (
            "investigating",
            "degraded_performance",
            "minor",
            "Builds are slow",
            SLOW_BUILDS.from_s,
        ),
        at_s if at_s < SLOW_BUILDS_WATCHED_S => (
            "identified",
            "partial_outage",
            "major",
            "Builds fail or are slow to start",
            SLOW_BUILDS_REWORDED_S,
        ),
        _ => (
            "monitoring",
            "degraded_performance",
            "major",
            "Builds fail or are slow to start",
            SLOW_BUILDS_WATCHED_S,
        ),
    };
    let is_slow = moment.is_in(SLOW_BUILDS);
    let builds = if is_slow { builds } else { "operational" };
    let components = [
        ("repositories", "Repositories", "operational"),
        ("builds", "Builds", builds),
        ("packages", "Packages", "operational"),
    ];
    let incident = || {
        incident(
            moment,
            SLOW_BUILDS,
            [name, status, impact],
            updated_s,
            "Builds",
        )
    };
    let incidents = is_slow.then(incident);
    page("Forge", moment, &components, incidents, None)
}

fn postbox(moment: &Moment) -> Value {
    let (status, delivery) = match moment.at_s {
        at_s if at_s < NEW_DISKS_BEGIN_S => ("scheduled", "operational"),
        at_s if at_s < NEW_DISKS_VERIFIED_S => ("in_progress", "under_maintenance"),
        _ => ("verifying", "under_maintenance"),
    };
    let is_announced = moment.is_in(NEW_DISKS);
    let delivery = if is_announced {
        delivery
    } else {
        "operational"
    };
    let components = [
        ("delivery", "Delivery", delivery),
        ("search", "Search", "operational"),
    ];
    let maintenance = || {
        json!({
            "id": id("m", moment, NEW_DISKS), "name": "New disks", "status": status, "impact": "maintenance",
            "shortlink": "https://status.example/m", "created_at": moment.date(NEW_DISKS.from_s),
            "scheduled_for": moment.date(NEW_DISKS_BEGIN_S), "scheduled_until": moment.date(NEW_DISKS.to_s),
            "components": [{"id": "delivery", "name": "Delivery"}]
        })
    };
    page(
        "Postbox",
        moment,
        &components,
        None,
        is_announced.then(maintenance),
    )
}

fn atlas(moment: &Moment) -> Value {
    let is_out = moment.is_in(NO_LOGINS);
    let login = if is_out {
        "major_outage"
    } else {
        "operational"
    };
    let components = [("login", "Login", login), ("maps", "Maps", "operational")];
    let words = ["Nobody can log in", "investigating", "critical"];
    let incident = || incident(moment, NO_LOGINS, words, NO_LOGINS.from_s, "Login");
    page("Atlas", moment, &components, is_out.then(incident), None)
}

fn ledger(moment: &Moment) -> Value {
    let components = [
        ("payments", "Payments", "operational"),
        ("invoices", "Invoices", "operational"),
    ];
    page("Ledger", moment, &components, None, None)
}

fn signpost(moment: &Moment) -> Value {
    let dns = if moment.is_in(NEW_WORD) {
        "hibernating"
    } else {
        "operational"
    };
    page("Signpost", moment, &[("dns", "DNS", dns)], None, None)
}

/// What another vendor's page answers under the same address.
fn of_another_product() -> Value {
    json!({"page": {"name": "Signpost", "url": "https://signpost.example", "status": "UP"}})
}

/// `words` are name, status and impact.
fn incident(
    moment: &Moment,
    chapter: Chapter,
    words: [&str; 3],
    updated_s: f64,
    component: &str,
) -> Value {
    let [name, status, impact] = words;
    let began = moment.date(chapter.from_s);
    json!({
        "id": id("i", moment, chapter), "name": name, "status": status, "impact": impact,
        "shortlink": "https://status.example/i", "created_at": began, "started_at": began,
        "updated_at": moment.date(updated_s), "resolved_at": null,
        "components": [{"id": component.to_lowercase(), "name": component}]
    })
}

/// Another one in every cycle, as pages do it.
fn id(kind: &str, moment: &Moment, chapter: Chapter) -> String {
    format!("{kind}{:.0}", moment.unix_s(chapter.from_s))
}

/// A page with the verdict that its incident or maintenance asks for.
fn page(
    name: &str,
    moment: &Moment,
    components: &[(&str, &str, &str)],
    incident: Option<Value>,
    maintenance: Option<Value>,
) -> Value {
    let is_running = |item: &&Value| item["status"] != "scheduled";
    let indicator = match (&incident, maintenance.as_ref().filter(is_running)) {
        (Some(incident), _) => incident["impact"].clone(),
        (None, Some(_)) => "maintenance".into(),
        (None, None) => "none".into(),
    };
    let components = components.iter().map(|(id, name, status)| {
        json!({"id": id, "name": name, "status": status, "group": false, "group_id": null})
    });
    json!({
        "page": {"id": name, "name": name, "url": "https://status.example", "time_zone": "Etc/UTC",
                 "updated_at": moment.date(0.0)},
        "status": {"indicator": indicator, "description": "what a person would read"},
        "components": components.collect::<Vec<Value>>(),
        "incidents": Vec::from_iter(incident),
        "scheduled_maintenances": Vec::from_iter(maintenance)
    })
}
