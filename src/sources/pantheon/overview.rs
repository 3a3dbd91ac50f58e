//! The accounts and sites in lines for people, as the original has them on its root page.

use super::account::{Account, Site};
use crate::overview::{LINES_LIMIT, Level, Line, Overview, Section};

/// Sites that are listed; the original lists all of them. With some 150 bytes each that is 75 KB.
const SITES_LIMIT: usize = 500;

pub(super) fn overview(environment: &str, accounts: &[Account]) -> Overview {
    let mut overview = Overview::default();
    let mut section = Section::new("Accounts");
    for account in accounts {
        if !account.is_double && account.is_up() == Some(false) {
            overview.level = Level::Degraded;
        }
        section.push(of_account(account), LINES_LIMIT);
    }
    overview.add(section);
    let mut section = Section::new("Sites");
    // Those that fail first, so that the limit does not hide them. An account that is not shown monitors none.
    for is_failing in [true, false] {
        for account in accounts {
            let sites = account.monitored();
            for site in sites.filter(|site| site.failure.is_some() == is_failing) {
                section.push(of_site(environment, account, site), SITES_LIMIT);
            }
        }
        if is_failing && !section.lines.is_empty() {
            overview.level = Level::Degraded;
        }
    }
    overview.add(section);
    overview
}

fn of_account(account: &Account) -> Line {
    let sites = account.monitored().count();
    let text = match (account.is_double, &account.failure) {
        (true, _) => "the same user as another token, not shown".to_owned(),
        (false, Some(failure)) => format!("{}: {failure}", failure.kind()),
        (false, None) if account.is_up().is_none() => "not listed yet".to_owned(),
        (false, None) => format!("works, {sites} sites"),
    };
    let level = account.is_up().map(|is_up| match is_up {
        true => Level::Good,
        false => Level::Degraded,
    });
    Line::new(level, account.label().unwrap_or(&account.alias), &text)
        .with_moment(
            "listed",
            account.listed_at.map(|moment| moment.as_millisecond()),
        )
        .with_moment(
            "traffic",
            account.traffic_at.map(|moment| moment.as_millisecond()),
        )
}

fn of_site(environment: &str, account: &Account, site: &Site) -> Line {
    let label = account.label().unwrap_or(&account.alias);
    let (plan, points) = (&site.facts.plan, site.traffic.points.len());
    let mut text = format!("{environment}, {label}, {plan}, {points} points");
    if let Some(failure) = &site.failure {
        text.push_str(&format!("; {}: {failure}", failure.kind()));
    }
    let level = match &site.failure {
        Some(_) => Level::Degraded,
        None => Level::Good,
    };
    Line::new(Some(level), &site.facts.name, &text).with_moment(
        "fetched",
        site.fetched_at.map(|moment| moment.as_millisecond()),
    )
}
