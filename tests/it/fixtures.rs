//! Answers of status pages in the documented shape, made up for the tests.

use serde_json::{Value, json};

/// A page on which all is well, with two components.
pub fn calm() -> Value {
    json!({
        "page": {"id": "abcdefghijkl", "name": "Example", "url": "https://status.example.com", "time_zone": "Etc/UTC",
                 "updated_at": "2026-11-19T10:00:00.000Z"},
        "status": {"indicator": "none", "description": "All Systems Operational"},
        "components": [
            {"id": "c1", "name": "API", "status": "operational", "group_id": null, "group": false, "position": 1},
            {"id": "c2", "name": "Web", "status": "operational", "group_id": null, "group": false, "position": 2}
        ],
        "incidents": [],
        "scheduled_maintenances": []
    })
}

/// The calm page with an incident.
pub fn with_incident(id: &str, name: &str) -> Value {
    let mut page = calm();
    page["status"]["indicator"] = "minor".into();
    page["components"][0]["status"] = "degraded_performance".into();
    page["incidents"] = json!([{
        "id": id, "name": name, "status": "investigating", "impact": "minor", "shortlink": "https://stspg.io/x1",
        "created_at": "2026-11-20T08:00:00.500Z", "started_at": "2026-11-20T08:00:00.123Z",
        "updated_at": "2026-11-20T08:30:00.000Z", "resolved_at": null, "components": [{"id": "c1", "name": "API"}]
    }]);
    page
}

/// The calm page with a maintenance.
pub fn with_maintenance(id: &str, status: &str, start: &str) -> Value {
    let mut page = calm();
    page["scheduled_maintenances"] = json!([{
        "id": id, "name": "Upgrade", "status": status, "impact": "maintenance", "shortlink": "https://stspg.io/m1",
        "created_at": "2026-11-18T00:00:00.000Z", "scheduled_for": start, "scheduled_until": "2026-11-21T02:00:00.000Z",
        "components": [{"id": "c2", "name": "Web"}]
    }]);
    page
}

/// Everything at once: groups, equal names, odd characters, an unknown word, incident and maintenance.
pub fn busy() -> Value {
    json!({
        "page": {"id": "abcdefghijkl", "name": "Example", "updated_at": "2026-11-19T10:00:00.500+01:00"},
        "status": {"indicator": "minor", "description": "Partially Degraded Service"},
        "components": [
            {"id": "a1", "name": "Login", "status": "operational", "group_id": "g1", "group": false},
            {"id": "a2", "name": "Login", "status": "major_outage", "group_id": "g2", "group": false},
            {"id": "a3", "name": "Quote \" back\\slash \n line", "status": "under_maintenance", "group_id": null, "group": false},
            {"id": "a4", "name": "São Paulo", "status": "partially_on_fire", "group_id": "elsewhere", "group": false},
            {"id": "a5", "name": "", "status": "partial_outage"},
            {"id": "g1", "name": "Europe", "status": "operational", "group": true, "components": ["a1"]},
            {"id": "g2", "name": "America", "status": "major_outage", "group": true, "components": ["a2"]},
            17
        ],
        "incidents": [{
            "id": "i1", "name": "Slow <logins> & more", "status": "identified", "impact": "major", "shortlink": "",
            "created_at": "2026-11-20T08:00:00.500Z", "started_at": "2026-11-20T08:00:00.123Z",
            "updated_at": "2026-11-20T08:30:00Z", "components": [{"name": "Login"}, {"name": "Quote \" back\\slash \n line"}]
        }],
        "scheduled_maintenances": [{
            "id": "m1", "name": "Upgrade", "status": "scheduled", "impact": "maintenance", "shortlink": "https://stspg.io/m1",
            "created_at": "2026-11-18T00:00:00.000Z", "scheduled_for": "2026-11-21T00:00:00.000Z",
            "scheduled_until": "2026-11-21T02:00:00.000Z", "components": []
        }]
    })
}
