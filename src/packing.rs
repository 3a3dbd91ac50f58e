//! Text packed and unpacked in memory: pieces of raw deflate that need none before them.
//!
//! [`crate::exposition`] keeps the lines of sleeping services packed; [`crate::pages`] makes gzip pages of such pieces.

use std::io::Read;

use flate2::read::DeflateDecoder;
use flate2::{Compress, Compression, FlushCompress, Status};

/// Longest content of a stored deflate block.
const STORED_LIMIT_BYTES: usize = 0xffff;

/// A compressor that is used again for each piece; it is a third of a megabyte large.
pub struct Packer(Compress);

impl Default for Packer {
    fn default() -> Packer {
        // Expositions repeat themselves so much that the fastest level already saves nine tenths.
        Packer(Compress::new(Compression::fast(), false))
    }
}

impl std::fmt::Debug for Packer {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Packer")
    }
}

impl Packer {
    /// A compressor that looks for every repetition.
    pub fn thorough() -> Packer {
        Packer(Compress::new(Compression::default(), false))
    }

    /// One piece: whole blocks, ended at a whole byte, and no last block, so that pieces can follow each other.
    pub fn pack(&mut self, text: &str) -> Vec<u8> {
        self.0.reset();
        self.pack_on(text)
    }

    /// A piece that may refer back to what was packed before it.
    pub fn pack_on(&mut self, text: &str) -> Vec<u8> {
        let mut packed = Vec::with_capacity(text.len() / 8 + 64);
        let mut rest = text.as_bytes();
        loop {
            let before = self.0.total_in();
            let status = self.0.compress_vec(rest, &mut packed, FlushCompress::Sync);
            let taken = usize::try_from(self.0.total_in() - before).unwrap_or(rest.len());
            rest = rest.get(taken..).unwrap_or_default();
            let is_finished = rest.is_empty() && packed.len() < packed.capacity();
            // A deflater does not fail; should it, the page is cut and its checksum tells.
            if is_finished || !matches!(status, Ok(Status::Ok | Status::BufError)) {
                return packed;
            }
            packed.reserve(packed.capacity().max(1024));
        }
    }
}

/// Appends bytes as they are, in deflate's own form.
pub fn store(bytes: &[u8], packed: &mut Vec<u8>) {
    for piece in bytes.chunks(STORED_LIMIT_BYTES) {
        // The constant above keeps it within 16 bits.
        let length = piece.len() as u16;
        packed.push(0);
        packed.extend_from_slice(&length.to_le_bytes());
        packed.extend_from_slice(&(!length).to_le_bytes());
        packed.extend_from_slice(piece);
    }
}

/// The text of a piece of `length` bytes.
pub fn unpack(packed: &[u8], length: usize) -> String {
    let mut text = String::with_capacity(length);
    // The end of the piece is not the end of a stream, which the decoder says after all text is out. The pieces are
    // our own, so there is no other error.
    let _ = DeflateDecoder::new(packed)
        .take(length as u64)
        .read_to_string(&mut text);
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_piece_of_any_size_survives() {
        let mut packer = Packer::default();
        let mut seed = 1u64;
        for length in [0usize, 1, 100, 70_000, 1_000_000] {
            let mut noise = || {
                seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
                char::from(b' ' + (seed >> 58) as u8)
            };
            let text: String = (0..length).map(|_| noise()).collect();
            let packed = packer.pack(&text);
            assert!(unpack(&packed, text.len()) == text, "{length} bytes");
        }
    }
}
