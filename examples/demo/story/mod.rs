//! The story: what the four simulated upstreams say at each moment of a cycle of ten minutes.
//!
//! Everything is a function of the moment, so the same moment of two cycles differs in dates and ids alone. The modules
//! below hold the chapters of one source each; every chapter is a constant with a name, a beginning and an end.

mod aaisp;
mod pages;
mod pantheon;
mod spacelift;

use std::fmt;
use std::time::{Duration, Instant, SystemTime};

use serde_json::Value;

use crate::aaisp_upstream::Chaos;
use crate::pantheon_upstream::Pantheon;
use crate::spacelift_upstream::Account;
use crate::upstream::Upstream;

/// Length of a cycle at speed 1, in seconds.
pub const CYCLE_S: f64 = 600.0;
/// How often the upstreams learn what time of the story it is; a tenth of the shortest chapter at speed 10.
const TICK: Duration = Duration::from_millis(250);

/// Something that happens in every cycle, in seconds from its start.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Chapter {
    name: &'static str,
    from_s: f64,
    to_s: f64,
}

impl Chapter {
    const fn new(name: &'static str, from_s: f64, to_s: f64) -> Chapter {
        Chapter { name, from_s, to_s }
    }
}

impl fmt::Display for Chapter {
    fn fmt(&self, out: &mut fmt::Formatter) -> fmt::Result {
        let clock = |at_s: f64| format!("{}:{:02}", at_s as u64 / 60, at_s as u64 % 60);
        let (from, to) = (clock(self.from_s), clock(self.to_s));
        write!(out, "{from:>5} to {to:>5}  {}", self.name)
    }
}

/// All chapters, in the order in which they begin.
pub fn chapters() -> Vec<Chapter> {
    let parts: [&[Chapter]; 4] = [
        &pages::CHAPTERS,
        &spacelift::CHAPTERS,
        &pantheon::CHAPTERS,
        &aaisp::CHAPTERS,
    ];
    let mut chapters = parts.concat();
    chapters.sort_by(|one, other| one.from_s.total_cmp(&other.from_s));
    chapters
}

/// The chapters that a moment lies in.
pub fn running(moment: &Moment) -> Vec<Chapter> {
    let chapters = chapters().into_iter();
    chapters.filter(|chapter| moment.is_in(*chapter)).collect()
}

/// A moment of the story.
#[derive(Clone, Copy, Debug)]
pub struct Moment {
    /// Seconds of the story since the start of the cycle.
    pub at_s: f64,
    /// When the cycle began, in Unix seconds.
    pub cycle_began_s: f64,
    /// Seconds of the story in one second.
    pub speed: f64,
}

impl Moment {
    fn is_in(&self, chapter: Chapter) -> bool {
        (chapter.from_s..chapter.to_s).contains(&self.at_s)
    }

    /// How much of a chapter has passed: 0 before it, 1 after it.
    fn passed(&self, chapter: Chapter) -> f64 {
        ((self.at_s - chapter.from_s) / (chapter.to_s - chapter.from_s)).clamp(0.0, 1.0)
    }

    /// How much of the cycle has passed, 0 to 1.
    fn passed_of_cycle(&self) -> f64 {
        self.at_s / CYCLE_S
    }

    /// Rises from 0 to 1 in the first half of a chapter and falls back in the second; 0 outside of it.
    fn swell(&self, chapter: Chapter) -> f64 {
        1.0 - (2.0 * self.passed(chapter) - 1.0).abs()
    }

    /// Unix seconds of another time of this cycle.
    fn unix_s(&self, at_s: f64) -> f64 {
        self.cycle_began_s + at_s / self.speed
    }

    /// Another time of this cycle as status pages write it.
    fn date(&self, at_s: f64) -> String {
        let ms = (self.unix_s(at_s) * 1_000.0) as i64;
        let time = jiff::Timestamp::from_millisecond(ms).expect("the clock is within 9,000 years");
        format!("{time:.3}")
    }
}

/// The story as it is told from a time on.
pub struct Story {
    begun: Instant,
    begun_unix_s: f64,
    speed: f64,
}

impl Story {
    pub fn beginning_now(speed: f64) -> Story {
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        Story {
            begun: Instant::now(),
            begun_unix_s: since.expect("the clock is past 1970").as_secs_f64(),
            speed,
        }
    }

    pub fn now(&self) -> Moment {
        let told_s = self.begun.elapsed().as_secs_f64() * self.speed;
        let at_s = told_s % CYCLE_S;
        Moment {
            at_s,
            cycle_began_s: self.begun_unix_s + (told_s - at_s) / self.speed,
            speed: self.speed,
        }
    }

    /// Tells it for ever, and says when a chapter begins.
    pub fn go_on(&self, world: &World, mut begins: impl FnMut(Chapter)) {
        let mut before: Vec<Chapter> = Vec::new();
        loop {
            let moment = self.now();
            world.tell(&moment);
            let running = running(&moment);
            let new = running.iter().filter(|chapter| !before.contains(chapter));
            new.for_each(|chapter| begins(*chapter));
            before = running;
            std::thread::sleep(TICK);
        }
    }
}

/// The four simulated upstreams. They end with this value.
pub struct World {
    pages: Upstream,
    spacelift: Account,
    pantheon: Pantheon,
    aaisp: Chaos,
}

impl World {
    pub fn start() -> World {
        World {
            pages: Upstream::start(),
            spacelift: Account::start(),
            pantheon: Pantheon::with_sites(Vec::new()),
            aaisp: Chaos::start(&[aaisp::FULL_LINE, aaisp::SLOW_LINE]),
        }
    }

    /// The services.json that reads them.
    pub fn services(&self, speed: f64) -> Value {
        let mut services = pages::services(&self.pages);
        services["spacelift"] = spacelift::service(&self.spacelift, speed);
        services["pantheon"] = pantheon::service(&self.pantheon);
        services["aaisp"] = aaisp::service(&self.aaisp);
        services
    }

    /// From now on the upstreams say what is the case at this moment.
    pub fn tell(&self, moment: &Moment) {
        pages::tell(&self.pages, moment);
        spacelift::tell(&self.spacelift, moment);
        pantheon::tell(&self.pantheon, moment);
        aaisp::tell(&self.aaisp, moment);
        for upstream in [
            &self.pages,
            &self.spacelift.upstream,
            &self.pantheon.upstream,
            &self.aaisp.upstream,
        ] {
            // Nobody counts them here, and the demo may run for weeks.
            upstream.forget_requests();
        }
    }
}
