//! Which shard a service belongs to, when several exporters divide one services.json among them.
//!
//! The rule is fixed for ever, since exporters of different releases may run side by side: shard `i` has for a key
//! the weight that SplitMix64, seeded with the FNV-1a hash of the key, gives as its output number `i`, and the shard
//! of the highest weight owns the service. The weights of the others do not change when a shard is added, so it takes
//! its share from all of them and nothing else moves (rendezvous hashing). [`crate::config`] asks.

use crate::fnv::fnv1a;

/// Most shards: a thousand status pages already make a small process.
pub const SHARDS_LIMIT: u32 = 1024;

/// This process's share of the services.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Shard {
    /// Counted from 0, below `total`.
    pub ordinal: u32,
    /// At least 1, at most [`SHARDS_LIMIT`].
    pub total: u32,
}

impl Shard {
    /// A process that runs every service.
    pub const WHOLE: Shard = Shard {
        ordinal: 0,
        total: 1,
    };

    /// Whether the service with this key is ours.
    pub fn owns(self, key: &str) -> bool {
        owner(key, self.total) == self.ordinal
    }
}

/// The shard, of so many, that runs the service with this key.
pub fn owner(key: &str, total: u32) -> u32 {
    let seed = fnv1a(key.as_bytes());
    // Of equal weights, which no two shards are known to have, the lower ordinal counts.
    (0..total)
        .rev()
        .max_by_key(|ordinal| weight(seed, *ordinal))
        .unwrap_or(0)
}

/// The output of SplitMix64 with this seed, the first being number 0 (Steele, Lea and Flood, OOPSLA 2014).
fn weight(seed: u64, number: u32) -> u64 {
    let steps = u64::from(number) + 1;
    let state = seed.wrapping_add(steps.wrapping_mul(0x9e37_79b9_7f4a_7c15));
    let mixed = (state ^ (state >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}

/// The ordinal that a StatefulSet writes into the host name of a pod: `exporter-3` is 3.
pub fn ordinal_of_host(name: &str) -> Option<u32> {
    let host = name.split('.').next()?;
    let (_, ordinal) = host.rsplit_once('-')?;
    let is_number = ordinal.bytes().all(|byte| byte.is_ascii_digit());
    ordinal.parse().ok().filter(|_| is_number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keys() -> Vec<String> {
        (0..1_000)
            .map(|number| format!("service-{number}"))
            .collect()
    }

    #[test]
    fn the_weights_are_those_of_the_published_generator() {
        // SplitMix64 seeded with 1234567, as Rosetta Code lists its first outputs.
        let outputs = [
            6_457_827_717_110_365_317,
            3_203_168_211_198_807_973,
            9_817_491_932_198_370_423,
            4_593_380_528_125_082_431,
            16_408_922_859_458_223_821,
        ];
        for (number, output) in (0..).zip(outputs) {
            assert_eq!(weight(1_234_567, number), output);
        }
    }

    #[test]
    fn a_key_has_one_owner_for_ever() {
        // Computed by another program than this one.
        let totals = [1, 2, 3, 4, 5, 10, 100, 1024];
        let long = "x".repeat(300);
        let vectors = [
            ("github", [0, 0, 2, 2, 2, 2, 39, 350]),
            ("slack", [0, 0, 2, 2, 2, 5, 49, 756]),
            ("cloudflare", [0, 1, 2, 2, 2, 2, 48, 994]),
            ("", [0, 0, 0, 0, 0, 5, 61, 373]),
            ("a", [0, 1, 1, 1, 1, 1, 1, 662]),
            ("Ünïcode key", [0, 1, 1, 1, 1, 5, 14, 254]),
            (long.as_str(), [0, 0, 0, 0, 4, 8, 58, 281]),
        ];
        for (key, owners) in vectors {
            assert_eq!(totals.map(|total| owner(key, total)), owners, "{key}");
        }
    }

    #[test]
    fn every_service_belongs_to_exactly_one_shard() {
        for total in [1, 2, 3, 7, 32, SHARDS_LIMIT] {
            for key in keys().iter().take(100) {
                let owners = (0..total).filter(|ordinal| {
                    let ordinal = *ordinal;
                    Shard { ordinal, total }.owns(key)
                });
                assert_eq!(owners.count(), 1, "{key} of {total}");
            }
        }
    }

    #[test]
    fn a_thousand_services_are_divided_evenly() {
        for total in 1..=16 {
            let mut counts = vec![0_u32; total as usize];
            keys()
                .iter()
                .for_each(|key| counts[owner(key, total) as usize] += 1);
            let mean = 1_000.0 / f64::from(total);
            // Four standard deviations of a fair draw.
            let far = 4.0 * (mean * (1.0 - 1.0 / f64::from(total))).sqrt();
            for count in &counts {
                assert!((f64::from(*count) - mean).abs() <= far, "{counts:?}");
            }
        }
    }

    #[test]
    fn one_more_shard_takes_its_share_and_moves_nothing_else() {
        for total in 1..=16 {
            let moved: Vec<u32> = keys()
                .iter()
                .filter(|key| owner(key, total) != owner(key, total + 1))
                .map(|key| owner(key, total + 1))
                .collect();
            assert!(moved.iter().all(|to| *to == total), "only to the new one");
            let share = 1.0 / f64::from(total + 1);
            let far = 4.0 * (1_000.0 * share * (1.0 - share)).sqrt();
            let count = moved.len() as f64;
            assert!((count - 1_000.0 * share).abs() <= far, "{count} of {total}");
        }
    }

    #[test]
    fn the_ordinal_is_the_number_behind_the_last_dash_of_the_host() {
        let check = |name: &str, expected| assert_eq!(ordinal_of_host(name), expected, "{name}");
        check("saas-exporter-0", Some(0));
        check("saas-exporter-12", Some(12));
        check("exporter-3.exporter.monitoring.svc", Some(3));
        check("exporter", None);
        check("exporter-", None);
        check("exporter-x1", None);
        check("exporter-+1", None);
        check("exporter-99999999999", None);
        check("", None);
    }
}
