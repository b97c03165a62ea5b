//! Identities and seeds: hashes of canonical configurations, so that a network's id and its random numbers depend on
//! its own configuration, the root seed and the replicate, and on nothing else in the sweep file.

use std::fmt::Write;
use std::hash::Hasher;

use crate::config::Seeding;

/// The first 128 bits of blake3.
fn hash_128(bytes: &[u8]) -> u128 {
    let hash = blake3::hash(bytes);
    let mut first = [0; 16];
    first.copy_from_slice(&hash.as_bytes()[..16]);
    u128::from_be_bytes(first)
}

fn hash_64(bytes: &[u8]) -> u64 {
    (hash_128(bytes) >> 64) as u64
}

/// `c-` and 16 hex digits of blake3 of the canonical configuration.
pub fn configuration_id(configuration: &str) -> String {
    format!("c-{:016x}", hash_64(configuration.as_bytes()))
}

/// 128 bits of blake3 of the JSON `[configuration, root seed, replicate]`. Paired seeding draws other numbers, so it
/// stands at the end of the list.
pub fn network_hash(configuration: &str, root: u64, replicate: u32, seeding: Seeding, buffer: &mut String) -> u128 {
    buffer.clear();
    let paired = match seeding {
        Seeding::Configuration => "",
        Seeding::Replicate => ",\"replicate\"",
    };
    // Writing to a string cannot fail.
    let _ = write!(buffer, "[{configuration},{root},{replicate}{paired}]");
    hash_128(buffer.as_bytes())
}

/// The part of a network's hash that its id shows.
pub fn short(hash: u128) -> u64 {
    (hash >> 64) as u64
}

/// `n-` and 16 hex digits.
pub fn network_id(short: u64) -> String {
    format!("n-{short:016x}")
}

/// The network's seed: 53 bits of blake3 of the JSON `[root seed, configuration, replicate]`. `start` is the canonical
/// configuration without the keys of training; paired seeding puts `null` in its place.
pub fn seed(start: &str, root: u64, replicate: u32, seeding: Seeding, buffer: &mut String) -> u64 {
    buffer.clear();
    let start = match seeding {
        Seeding::Configuration => start,
        Seeding::Replicate => "null",
    };
    let _ = write!(buffer, "[{root},{start},{replicate}]");
    hash_64(buffer.as_bytes()) >> 11
}

/// Hashes keys that are hashes already: takes their last 64 bits.
#[derive(Clone, Copy, Debug, Default)]
pub struct Identity(u64);

impl Hasher for Identity {
    fn write(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = self.0.rotate_left(8) ^ u64::from(byte);
        }
    }
    fn write_u128(&mut self, v: u128) {
        self.0 = v as u64;
    }
    fn finish(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_the_first_hex_digits_of_the_hash_of_the_documented_text() {
        let configuration = r#"{"depth":50}"#;
        let id = configuration_id(configuration);
        assert_eq!(id, format!("c-{}", &blake3::hash(configuration.as_bytes()).to_hex()[..16]));
        let hash = network_hash(configuration, 7, 2, Seeding::Configuration, &mut String::new());
        assert_eq!(network_id(short(hash)), format!("n-{}", &blake3::hash(br#"[{"depth":50},7,2]"#).to_hex()[..16]));
        let paired = network_hash(configuration, 7, 2, Seeding::Replicate, &mut String::new());
        assert_eq!(
            network_id(short(paired)),
            format!("n-{}", &blake3::hash(br#"[{"depth":50},7,2,"replicate"]"#).to_hex()[..16])
        );
        let text = blake3::hash(br#"[7,{"depth":50},2]"#).to_hex();
        let seed = seed(configuration, 7, 2, Seeding::Configuration, &mut String::new());
        assert_eq!(seed, u64::from_str_radix(&text[..16], 16).unwrap() >> 11);
        assert!(seed < 1 << 53);
    }
}
