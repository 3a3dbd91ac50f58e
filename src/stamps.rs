//! A text in which one moment stands in many places, written anew with another moment without touching the rest.
//!
//! Pantheon's newest points carry the time of the scrape. Ten thousand of them would have to be rendered, packed and
//! summed up at every scrape; here only the moment itself is exchanged. [`crate::pages`] uses it.
//!
//! Packed: the first moment is stored as it is, and every later one is a reference back to an earlier one, so that the
//! first decides them all. Whether the packer really wrote it so is checked; if not, the caller packs at every scrape.
//! The checksum is linear: what each bit of the moment contributes is computed once.

use std::sync::Arc;

use crc32fast::Hasher as Crc;

use crate::packing::{Packer, store, unpack};

/// What stands for the moment while the text is packed: bytes that no exposition holds, each of them another one, so
/// that nothing but the same byte of another moment can be referred to.
const PLACEHOLDER: [u8; 16] = [1, 2, 3, 4, 5, 6, 7, 8, 11, 12, 14, 15, 16, 17, 18, 19];
/// Digits differ in these bits only.
const DIGIT_BITS: usize = 4;

/// A text with moments in it.
#[derive(Debug)]
pub struct Stamped {
    pieces: Pieces,
    /// The moment that the text was made with.
    moment: Vec<u8>,
    /// The checksum with that moment, and the length of the text.
    crc: u32,
    length: u64,
    /// What the checksum changes by when a bit of the moment does.
    crc_of_bits: Vec<[u32; DIGIT_BITS]>,
}

#[derive(Debug)]
enum Pieces {
    /// The text and where the moments stand in it.
    Plain { text: Vec<u8>, places: Vec<usize> },
    /// What stands before and after the first moment.
    Packed { before: Arc<[u8]>, after: Arc<[u8]> },
}

impl Stamped {
    /// The text as it is. `places` are where the moments begin, each `moment` long.
    pub fn plain(text: String, places: Vec<usize>, moment: &str) -> Stamped {
        let length = text.len() as u64;
        let pieces = Pieces::Plain {
            text: text.into_bytes(),
            places,
        };
        Stamped {
            pieces,
            moment: moment.into(),
            crc: 0,
            length,
            crc_of_bits: Vec::new(),
        }
    }

    /// The text packed; none if the packer wrote a later moment out.
    pub fn packed(text: String, places: &[usize], moment: &str) -> Option<Stamped> {
        let mut hidden = text.clone().into_bytes();
        overwrite(&mut hidden, places, PLACEHOLDER.get(..moment.len())?);
        // Only ASCII was exchanged for ASCII.
        let hidden = String::from_utf8(hidden).ok()?;
        let first = *places.first()?;
        let (before, rest) = hidden.split_at_checked(first)?;
        let (stamp, after) = rest.split_at_checked(moment.len())?;
        let mut packer = Packer::thorough();
        let before = packer.pack(before);
        // The packer must see what is stored in its place below.
        packer.pack_on(stamp);
        let after = packer.pack_on(after);
        let mut whole = before.clone();
        store(moment.as_bytes(), &mut whole);
        whole.extend_from_slice(&after);
        if unpack(&whole, text.len()) != text {
            return None;
        }
        let length = text.len() as u64;
        let (crc, crc_of_bits) = checksums(text.into_bytes(), places, moment.as_bytes());
        let pieces = Pieces::Packed {
            before: before.into(),
            after: after.into(),
        };
        Some(Stamped {
            pieces,
            moment: moment.into(),
            crc,
            length,
            crc_of_bits,
        })
    }

    /// The pieces of the text with this moment, which is as long as the first one.
    pub fn bytes(&self, moment: &str) -> Vec<Arc<[u8]>> {
        match &self.pieces {
            Pieces::Plain { text, places } => {
                let mut text = text.clone();
                overwrite(&mut text, places, moment.as_bytes());
                vec![text.into()]
            }
            Pieces::Packed { before, after } => {
                let mut stored = Vec::new();
                store(moment.as_bytes(), &mut stored);
                vec![Arc::clone(before), stored.into(), Arc::clone(after)]
            }
        }
    }

    /// The checksum of the plain text with this moment.
    pub fn crc(&self, moment: &str) -> Crc {
        let mut crc = self.crc;
        for ((old, new), of_bits) in self
            .moment
            .iter()
            .zip(moment.as_bytes())
            .zip(&self.crc_of_bits)
        {
            for (bit, change) in of_bits.iter().enumerate() {
                if (old ^ new) >> bit & 1 == 1 {
                    crc ^= change;
                }
            }
        }
        Crc::new_with_initial_len(crc, self.length)
    }
}

/// The checksum of the text, and what each bit of its moment contributes.
fn checksums(mut text: Vec<u8>, places: &[usize], moment: &[u8]) -> (u32, Vec<[u32; DIGIT_BITS]>) {
    let crc = crc32fast::hash(&text);
    let mut crc_of_bits = vec![[0; DIGIT_BITS]; moment.len()];
    for (byte, of_bits) in crc_of_bits.iter_mut().enumerate() {
        for (bit, change) in of_bits.iter_mut().enumerate() {
            let mut other = moment.to_vec();
            other
                .iter_mut()
                .skip(byte)
                .take(1)
                .for_each(|digit| *digit ^= 1 << bit);
            overwrite(&mut text, places, &other);
            *change = crc ^ crc32fast::hash(&text);
        }
    }
    (crc, crc_of_bits)
}

fn overwrite(text: &mut [u8], places: &[usize], moment: &[u8]) {
    for place in places {
        if let Some(old) = text.get_mut(*place..place + moment.len()) {
            old.copy_from_slice(moment);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text_of(lines: usize, moment: &str) -> (String, Vec<usize>) {
        let (mut text, mut places, mut seed) = ("# HELP x y\n".repeat(50), Vec::new(), 9u64);
        for line in 0..lines {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            text.push_str(&format!(
                "pantheon_visits{{account=\"a@b\",name=\"site-{line}\"}} {} ",
                seed >> (20 + line % 40)
            ));
            places.push(text.len());
            text.push_str(moment);
            text.push('\n');
        }
        (text, places)
    }

    fn check(lines: usize, first: &str, later: &str) {
        let (text, places) = text_of(lines, first);
        let (expected, _) = text_of(lines, later);
        let packed =
            Stamped::packed(text.clone(), &places, first).expect("every later moment refers back");
        assert!(unpack(&packed.bytes(later).concat(), expected.len()) == expected);
        assert_eq!(
            packed.crc(later).finalize(),
            crc32fast::hash(expected.as_bytes())
        );
        let plain = Stamped::plain(text, places, first);
        assert!(plain.bytes(later).concat() == expected.as_bytes());
    }

    #[test]
    fn only_the_moment_changes_in_every_form_and_in_the_checksum() {
        for lines in [1, 2, 100, 10_000] {
            check(lines, "1762876805000", "1762876865123");
            check(lines, "1762876805.000", "1999999999.999");
        }
    }

    #[test]
    fn a_text_without_a_moment_is_none_of_ours() {
        assert!(Stamped::packed("x".to_owned(), &[], "1").is_none());
    }
}
