//! What processes and the machine use, read from `/proc`.

use std::sync::atomic::{AtomicU64, Ordering};

/// Ticks used by threads of an attack that have ended. Attacks run one after the other, so one sum is enough.
static TICKS_OF_ENDED: AtomicU64 = AtomicU64::new(0);

/// What a process uses.
#[derive(Clone, Copy, Debug)]
pub struct Usage {
    pub rss_kib: usize,
    pub threads: usize,
    pub descriptors: usize,
}

impl Usage {
    /// Panics if the process does not live.
    pub fn of(pid: u32) -> Usage {
        let status = std::fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let field = |name: &str| -> usize {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let line = line.unwrap_or_else(|| panic!("the process has ended: {status}"));
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let descriptors = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
        Usage {
            rss_kib: field("VmRSS:"),
            threads: field("Threads:"),
            descriptors: descriptors.count(),
        }
    }

    /// The greater of each.
    pub fn max(self, other: Usage) -> Usage {
        Usage {
            rss_kib: self.rss_kib.max(other.rss_kib),
            threads: self.threads.max(other.threads),
            descriptors: self.descriptors.max(other.descriptors),
        }
    }
}

/// Sums of voluntary and forced changes of thread, all threads together.
pub fn switches(pid: u32) -> u64 {
    let tasks = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let status = |task: std::fs::DirEntry| {
        std::fs::read_to_string(task.path().join("status")).unwrap_or_default()
    };
    let statuses: String = tasks.flatten().map(status).collect();
    let counts = statuses.lines().filter_map(|line| {
        line.split_once("voluntary_ctxt_switches:")?
            .1
            .trim()
            .parse::<u64>()
            .ok()
    });
    counts.sum()
}

/// To be called by every further thread of an attack at its end.
pub fn count_this_thread() {
    TICKS_OF_ENDED.fetch_add(ticks("thread-self"), Ordering::Relaxed);
}

/// Ticks of the processors, since the start, that went to a process or thread.
fn ticks(of: &str) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{of}/stat")).unwrap();
    // The name comes in parentheses and may hold anything; 11 and 12 fields behind it are user and system time.
    let (_, fields) = stat.rsplit_once(") ").unwrap();
    let fields = fields.split(' ').skip(11).take(2);
    fields.map(|field| field.parse::<u64>().unwrap()).sum()
}

/// How the processors were used since a moment: by this thread, by the threads of the attack, by its victim, by all.
///
/// The other tests of this binary are others too: they run beside the attacks, in the same process.
pub struct Processors {
    pid: u32,
    /// Of everything; at work; of those, for the attack.
    start: [u64; 3],
}

impl Processors {
    pub fn watch(pid: u32) -> Processors {
        let start = Processors::ticks(pid);
        Processors { pid, start }
    }

    fn ticks(pid: u32) -> [u64; 3] {
        let stat = std::fs::read_to_string("/proc/stat").unwrap();
        let words = stat.lines().next().unwrap().split_whitespace();
        let fields: Vec<u64> = words.flat_map(str::parse).collect();
        // user, nice, system, idle, waiting for disks, interrupts, soft interrupts, stolen. Interrupts are no work of
        // others: they are the loopback traffic of the attack.
        let [user, nice, system, stolen] = [0, 1, 2, 7].map(|place| fields[place]);
        let attack = ticks("thread-self") + ticks(&pid.to_string());
        [
            fields[..8].iter().sum(),
            user + nice + system + stolen,
            attack + TICKS_OF_ENDED.load(Ordering::Relaxed),
        ]
    }

    /// Percent of the processors' time that went to work that has nothing to do with the attack.
    pub fn share_of_others(&self) -> u64 {
        let now = Processors::ticks(self.pid);
        let [all, busy, attack] = [0, 1, 2].map(|place| now[place] - self.start[place]);
        100 * busy.saturating_sub(attack) / all.max(1)
    }
}
