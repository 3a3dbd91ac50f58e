//! The demo's story, told to the real binary.

use crate::exporter::{Page, Setup};
use crate::story::{CYCLE_S, Chapter, Moment, World, chapters, running};

const SERVICES: [&str; 8] = [
    "forge",
    "postbox",
    "ledger",
    "signpost",
    "atlas",
    "spacelift",
    "pantheon",
    "aaisp",
];

fn moment(at_s: f64, cycle_began_s: f64) -> Moment {
    Moment {
        at_s,
        cycle_began_s,
        speed: 1.0,
    }
}

fn is_up(page: &Page, service: &str) -> bool {
    page.value(&format!(
        "saas_exporter_service_up{{service=\"{service}\"}}"
    )) == Some(1.0)
}

#[test]
fn the_demo_shows_all_four_sources_in_one_process() {
    // Given a quiet moment of the story,
    let world = World::start();
    world.tell(&moment(10.0, 1_795_000_000.0));
    // when the exporter polls it with all its services,
    let exporter = Setup::new("demo", world.services(1.0)).start();
    // then each is up and shows its own families.
    let page = exporter.wait_for("every service to be up", |page| {
        SERVICES.iter().all(|service| is_up(page, service))
            && page
                .value("aaisp_telephony_ratecard_last_updated_timestamp_seconds")
                .is_some()
            && page.lines("pantheon_visits").len() == 3 * 28
    });
    page.assert_no_doubles();
    assert_eq!(
        page.value("statuspage_service_status{service_name=\"Forge\"}"),
        Some(1.0)
    );
    assert_eq!(
        page.value("spacelift_current_billing_period_used_seats"),
        Some(5.0)
    );
    let quota = "aaisp_broadband_quota_percentage{login=\"demo@a\",service=\"60001\"}";
    assert!(page.value(quota).is_some_and(|used| used < 5.0));
}

#[test]
fn the_demo_goes_on_while_its_pages_fail_and_recover() {
    let world = World::start();
    let tell = |at_s| world.tell(&moment(at_s, 1_795_000_000.0));
    tell(100.0);
    let exporter = Setup::new("demo-story", world.services(100.0)).start();
    let impact = |page: &Page, word: &str| {
        page.value(&format!(
            "statuspage_active_incidents{{impact=\"{word}\",service_name=\"Forge\"}}"
        ))
    };
    let drift = "spacelift_current_resources_count_by_drift{space=\"unknown\",stack=\"unknown\",state=\"DRIFTED\"}";
    exporter.wait_for("the reworded incident and the drift", |page| {
        impact(page, "major") == Some(1.0) && page.value(drift) > Some(0.0)
    });

    tell(300.0);
    let page = exporter.wait_for("the failing page", |page| !is_up(page, "ledger"));
    assert!(is_up(&page, "forge") && is_up(&page, "spacelift"));
    let maintenance =
        "statuspage_active_maintenances{service_name=\"Postbox\",status=\"in_progress\"}";
    exporter.wait_for_value(maintenance, 1.0);

    tell(440.0);
    exporter.wait_for("the other product", |page| {
        !is_up(page, "signpost") && is_up(page, "ledger")
    });
    assert!(exporter.log().contains("Instatus"), "{}", exporter.log());

    tell(550.0);
    exporter.wait_for("calm", |page| {
        SERVICES.iter().all(|service| is_up(page, service)) && page.value(drift) == Some(0.0)
    });
}

#[test]
fn every_chapter_runs_once_in_a_cycle_and_some_time_is_quiet() {
    // Given the chapters of each second of a cycle,
    let seconds = (0..CYCLE_S as u32).map(|second| running(&moment(f64::from(second), 0.0)));
    let seconds: Vec<Vec<Chapter>> = seconds.collect();
    for chapter in chapters() {
        // when those are counted at which one begins,
        let is_running = seconds.iter().map(|running| running.contains(&chapter));
        let is_running: Vec<bool> = is_running.collect();
        let begins = is_running.windows(2).filter(|pair| *pair == [false, true]);
        // then it is one, and the cycle ends as it began.
        assert_eq!(begins.count(), 1, "{chapter}");
    }
    assert!(seconds[0].is_empty());
}
