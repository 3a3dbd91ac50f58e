//! The checked settings of one AAISP login, from services.json and the variables of the program that it replaces.

use std::time::Duration;

use serde_json::json;

use super::fields::{
    CONCURRENCY_RANGE, FAST_RANGE_S, MEDIUM_RANGE_S, RETRIES_RANGE, SLOW_RANGE_S, STALE_RANGE,
    TIMEOUT_RANGE_S,
};
use super::variables;
use super::{Aaisp, schedule::Tier};
use crate::config::{Fields, Listen, Secret};
use crate::fetch::Url;
use crate::model::StaticLabels;
use crate::sources::{Defaults, Parts, Source, SourceSettings, Usual, WantedLog};

/// The provider's API.
const BASE_URL: &str = "https://chaos2.aa.net.uk";
/// Limit of one request unless the service says otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);
/// Which field each variable stands in for.
const STAND_INS: [(&str, &str); 15] = [
    ("control_login", "AUTH__CONTROL_LOGIN"),
    ("control_password", "AUTH__CONTROL_PASSWORD"),
    ("account_number", "AUTH__ACCOUNT_NUMBER"),
    ("account_password", "AUTH__ACCOUNT_PASSWORD"),
    ("intervals.fast", "INTERVALS__FAST"),
    ("intervals.medium", "INTERVALS__MEDIUM"),
    ("intervals.slow", "INTERVALS__SLOW"),
    ("base_url", "API__BASE_URL"),
    ("timeout", "API__TIMEOUT"),
    ("max_retries", "API__MAX_RETRIES"),
    ("concurrency_limit", "API__CONCURRENCY_LIMIT"),
    ("collectors.broadband", "COLLECTORS__ENABLE_BROADBAND"),
    ("collectors.telephony", "COLLECTORS__ENABLE_TELEPHONY"),
    (
        "collectors.telephony_ratecard",
        "COLLECTORS__ENABLE_TELEPHONY_RATECARD",
    ),
    (
        "collectors.control_login",
        "COLLECTORS__ENABLE_CONTROL_LOGIN",
    ),
];

/// The checked settings.
#[derive(Clone, Debug)]
pub(super) struct Settings {
    /// The control login, whether it is used to authenticate or not.
    pub(super) control_login: Option<String>,
    pub(super) credentials: Credentials,
    pub(super) base_url: Url,
    intervals: [Duration; 3],
    /// Before each further attempt of a request.
    pub(super) pauses: Vec<Duration>,
    pub(super) concurrency: usize,
    pub(super) collectors: Collectors,
    pub(super) login_label: LoginLabel,
    /// After so many intervals without a good reply values are dropped; 0 is never.
    pub(super) stale_after: u32,
    pub(super) bulk_info: bool,
    wanted_log: WantedLog,
    listen: Option<Listen>,
}

/// Who asks: what is sent beside the password, and the password.
#[derive(Clone, Debug)]
pub(super) struct Credentials {
    /// Names and values of the attributes that are no secret.
    pub(super) public: Vec<(&'static str, String)>,
    /// Name of the password's attribute.
    pub(super) password_name: &'static str,
    pub(super) password: Secret,
}

/// What is read.
#[derive(Clone, Copy, Debug)]
pub(super) struct Collectors {
    pub(super) broadband: bool,
    pub(super) telephony: bool,
    pub(super) rate_card: bool,
    control_login: bool,
}

/// Whose login the quota series bear.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum LoginLabel {
    /// The control login, as in the program that this source replaces.
    Original,
    /// The line's own, as on its other series.
    Line,
}

impl LoginLabel {
    pub(super) const WORDS: [&'static str; 2] = ["original", "line"];
}

/// Lets the variables stand in for fields that are not given.
pub(super) fn stand_ins(fields: &mut Fields<'_>) {
    for (field, _) in STAND_INS {
        fields.drop_empty(field);
    }
    for field in ["control_password_file", "account_password_file"] {
        fields.drop_empty(field);
    }
    if let Some(given) = fields.variables() {
        for (field, name) in STAND_INS {
            // A password in a file of services.json wins over one in a variable.
            let is_in_file = fields.is_given(&format!("{field}_file"));
            if let Some(written) = variables::written(given, name).filter(|_| !is_in_file) {
                fields.or_variable(field, written);
            }
        }
        for variable in variables::unknown_groups(given) {
            fields.warn(format!("{variable} is of an unknown group and is ignored"));
        }
        for problem in variables::unknown_members(given) {
            fields.note(problem);
        }
    }
    fields.narrow_to_seconds("timeout", TIMEOUT_RANGE_S.0..=TIMEOUT_RANGE_S.1);
    if fields.is_given("interval") {
        fields.problem("interval", "is not for this type; use \"intervals\"");
    }
}

impl Settings {
    /// Reads the fields; none when a mistake was noted.
    pub(super) fn configure(
        fields: &mut Fields<'_>,
        _: &Defaults,
    ) -> Option<Box<dyn SourceSettings>> {
        let control_login = fields.text("control_login");
        let credentials = read_credentials(fields, control_login.clone());
        let base_url = read_base_url(fields);
        let given = fields.variables();
        let wanted_log = match given.map(variables::wanted_log) {
            Some(Ok(wanted)) => wanted,
            Some(Err(problems)) => {
                problems
                    .into_iter()
                    .for_each(|problem| fields.note(problem));
                WantedLog::default()
            }
            None => WantedLog::default(),
        };
        let is_described = given.is_some_and(variables::is_in_environment);
        let retries = whole(fields, "max_retries", RETRIES_RANGE, 3);
        Some(Box::new(Settings {
            intervals: [
                seconds(fields, "intervals.medium", MEDIUM_RANGE_S, 300),
                seconds(fields, "intervals.fast", FAST_RANGE_S, 60),
                seconds(fields, "intervals.slow", SLOW_RANGE_S, 900),
            ],
            pauses: (0..retries)
                .map(|attempt| Duration::from_secs(1 << attempt))
                .collect(),
            concurrency: whole(fields, "concurrency_limit", CONCURRENCY_RANGE, 5) as usize,
            collectors: read_collectors(fields),
            login_label: match fields.word("login_label", &LoginLabel::WORDS) {
                Some("line") => LoginLabel::Line,
                _ => LoginLabel::Original,
            },
            stale_after: whole(fields, "stale_after_intervals", STALE_RANGE, 3),
            bulk_info: truth(fields, "bulk_info", false),
            control_login,
            credentials: credentials?,
            base_url: base_url?,
            wanted_log,
            listen: is_described.then_some(Listen::Everywhere(variables::OWN_PORT)),
        }))
    }

    /// Time between two runs of a tier.
    pub(super) fn interval(&self, tier: Tier) -> Duration {
        let [medium, fast, slow] = self.intervals;
        match tier {
            Tier::Medium => medium,
            Tier::Fast => fast,
            Tier::Slow => slow,
        }
    }

    /// Whether anything is read in a tier.
    pub(super) fn has_work(&self, tier: Tier) -> bool {
        match tier {
            Tier::Medium => self.collectors.broadband || self.collectors.telephony,
            Tier::Fast => self.collectors.broadband,
            Tier::Slow => self.collectors.rate_card,
        }
    }
}

/// The pair that authenticates. Both pairs complete: the control pair alone.
fn read_credentials(fields: &mut Fields<'_>, control_login: Option<String>) -> Option<Credentials> {
    let control_password = fields.secret("control_password", "control_password_file");
    let account_number = fields.text("account_number");
    let account_password = fields.secret("account_password", "account_password_file");
    let of_login = |login| ("control_login", login);
    match (
        control_login,
        control_password,
        account_number,
        account_password,
    ) {
        (Some(login), Some(password), _, _) => Some(Credentials {
            public: vec![of_login(login)],
            password_name: "control_password",
            password,
        }),
        (login, _, Some(number), Some(password)) => {
            let mut public = vec![("account_number", number)];
            public.extend(login.map(of_login));
            Some(Credentials {
                public,
                password_name: "account_password",
                password,
            })
        }
        _ => {
            fields.service_problem(
                "has no complete credentials; give \"control_login\" and \"control_password\" \
                 (AAISP_EXPORTER_AUTH__CONTROL_LOGIN and AAISP_EXPORTER_AUTH__CONTROL_PASSWORD), or \"account_number\" \
                 and \"account_password\" (AAISP_EXPORTER_AUTH__ACCOUNT_NUMBER and AAISP_EXPORTER_AUTH__ACCOUNT_PASSWORD)",
            );
            None
        }
    }
}

fn read_base_url(fields: &mut Fields<'_>) -> Option<Url> {
    if !fields.is_given("base_url") {
        return Url::parse(BASE_URL).ok();
    }
    let url = fields.url("base_url")?;
    if url.has_query() {
        fields.problem("base_url", "has a query; the API takes none");
        return None;
    }
    Some(url)
}

fn read_collectors(fields: &mut Fields<'_>) -> Collectors {
    Collectors {
        broadband: truth(fields, "collectors.broadband", true),
        telephony: truth(fields, "collectors.telephony", false),
        rate_card: truth(fields, "collectors.telephony_ratecard", false),
        control_login: truth(fields, "collectors.control_login", false),
    }
}

fn truth(fields: &mut Fields<'_>, field: &str, default: bool) -> bool {
    fields.boolean(field, variables::truth).unwrap_or(default)
}

fn whole(fields: &mut Fields<'_>, field: &str, range: (i64, i64), default: u32) -> u32 {
    let number = fields.integer(field, range.0..=range.1);
    number
        .and_then(|number| u32::try_from(number).ok())
        .unwrap_or(default)
}

fn seconds(fields: &mut Fields<'_>, field: &str, range: (i64, i64), default: u32) -> Duration {
    Duration::from_secs(whole(fields, field, range, default).into())
}

impl SourceSettings for Settings {
    fn name(&self) -> &str {
        let first = self.credentials.public.first();
        first.map_or("AAISP", |(_, value)| value)
    }

    fn address(&self) -> String {
        self.base_url.to_string()
    }

    /// Series about the exporter itself bear no login, so that only labels of the service tell two of them apart.
    fn identity(&self, labels: &StaticLabels) -> (&'static str, String) {
        let labels: Vec<String> = labels
            .iter()
            .map(|(name, value)| format!("{name}={value:?}"))
            .collect();
        ("labels", labels.join(","))
    }

    fn about(&self) -> String {
        let tier = |tier: Tier, works: &[(bool, &str)]| {
            let works = works.iter().filter(|(is_on, _)| *is_on);
            let works: Vec<&str> = works.map(|(_, work)| *work).collect();
            let interval_s = self.interval(tier).as_secs();
            let works = if works.is_empty() {
                "nothing".to_owned()
            } else {
                works.join(", ")
            };
            format!("{} {interval_s} s: {works}", tier.word())
        };
        let on = self.collectors;
        let medium = [
            (on.broadband, "broadband info"),
            (on.telephony, "telephony info"),
        ];
        format!(
            "{:?} at {} ({}; {}; {})",
            self.name(),
            self.base_url,
            tier(Tier::Fast, &[(on.broadband, "broadband quota")]),
            tier(Tier::Medium, &medium),
            tier(Tier::Slow, &[(on.rate_card, "telephony rate card")]),
        )
    }

    fn secrets(&self) -> Vec<(&'static str, &Secret)> {
        vec![(self.credentials.password_name, &self.credentials.password)]
    }

    fn usual(&self) -> Usual {
        Usual {
            interval: Some(self.interval(Tier::Fast)),
            timeout: Some(TIMEOUT),
            listen: self.listen,
            ..Usual::default()
        }
    }

    /// All collectors are listed, whether they are enabled or not, as the program that this source replaces does.
    fn own_health(&self) -> Option<String> {
        let interval_s = |tier| self.interval(tier).as_secs();
        let health = json!({
            "status": "healthy",
            "version": crate::VERSION,
            "collectors": {
                "running": true,
                "collectors": {
                    "fast": ["BroadbandQuotaCollector"],
                    "medium": ["BroadbandInfoCollector", "TelephonyInfoCollector"],
                    "slow": ["TelephonyRateCardCollector"],
                },
                "intervals": {
                    "fast": interval_s(Tier::Fast),
                    "medium": interval_s(Tier::Medium),
                    "slow": interval_s(Tier::Slow),
                },
            },
        });
        Some(health.to_string())
    }

    fn wanted_log(&self) -> WantedLog {
        self.wanted_log
    }

    fn build(&self, parts: Parts) -> Box<dyn Source> {
        if !self.base_url.is_https() && !is_this_machine(&self.base_url) {
            log::warn!(service = parts.key, url:% = self.base_url; "the password travels without encryption; use https");
        }
        if self.collectors.control_login {
            log::info!(service = parts.key; "the collector control_login does nothing, as in the original");
        }
        Box::new(Aaisp::new(self.clone(), parts))
    }
}

fn is_this_machine(url: &Url) -> bool {
    let host = url.host();
    host == "localhost" || host == "::1" || host.starts_with("127.")
}
