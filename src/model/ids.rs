//! Ids as PocketBase makes them: random ones for records, sums of names for collections and
//! fields; and the random texts of token keys and secrets.

use ring::rand::SecureRandom;

/// `[a-z0-9]{15}`: the id of a record where its collection asks for nothing else.
#[must_use]
pub fn record_id() -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyz0123456789", 15)
}

/// `[a-zA-Z0-9]{50}`: the `tokenKey` of an auth record, and the secrets in a collection's options.
#[must_use]
pub fn token_key() -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 50)
}

/// `[a-zA-Z0-9]{40}`: the id of a realtime client.
#[must_use]
pub fn client_id() -> String {
    random_text(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789", 40)
}

/// The id of a field: its type and the CRC-32 (IEEE) of its name.
#[must_use]
pub fn field_id(kind: &str, name: &str) -> String {
    format!("{kind}{}", crc32fast::hash(name.as_bytes()))
}

/// The id of a collection: `pbc_` and the CRC-32 (IEEE) of its type and name.
#[must_use]
pub fn collection_id(kind: &str, name: &str) -> String {
    format!("pbc_{}", crc32fast::hash(format!("{kind}{name}").as_bytes()))
}

/// `chars` characters out of `alphabet` (1 to 256 ASCII characters), each equally likely.
fn random_text(alphabet: &[u8], chars: usize) -> String {
    let mut draws = Draws::default();
    (0..chars)
        .filter_map(|_| alphabet.get(draws.below(alphabet.len())))
        .map(|b| *b as char)
        .collect()
}

/// Random numbers, of which the kernel gives a handful at once.
pub struct Draws {
    octets: [u8; 64],
    /// How many of them were not used yet.
    left: usize,
}

impl Default for Draws {
    fn default() -> Self {
        Self { octets: [0; 64], left: 0 }
    }
}

impl Draws {
    /// A number below `bound`, each equally likely: draws that would favour the small ones are
    /// repeated. `bound` is 1 to 65,536.
    pub fn below(&mut self, bound: usize) -> usize {
        let fair = 65_536 - 65_536 % bound;
        loop {
            let draw = usize::from(self.next());
            if draw < fair {
                return draw % bound;
            }
        }
    }

    fn next(&mut self) -> u16 {
        if self.left < 2 {
            random_bytes(&mut self.octets);
            self.left = self.octets.len();
        }
        self.left -= 2;
        match self.octets.get(self.left..) {
            Some([a, b, ..]) => u16::from_ne_bytes([*a, *b]),
            _ => 0,
        }
    }
}

/// Fills `bytes` from the kernel's generator.
///
/// # Panics
/// When the kernel has none, which Linux does not know after start-up: without random numbers no
/// id, key or secret may be made.
pub fn random_bytes(bytes: &mut [u8]) {
    ring::rand::SystemRandom::new().fill(bytes).expect("getrandom(2) serves any process");
}

#[cfg(test)]
mod tests {
    use super::{Draws, collection_id, field_id, record_id, token_key};

    #[test]
    fn sums_agree_with_pocketbase() {
        assert_eq!(field_id("text", "id"), "text3208210256");
        assert_eq!(field_id("autodate", "created"), "autodate2990389176");
        assert_eq!(collection_id("base", "_mfas"), "pbc_2279338944");
        assert_eq!(collection_id("auth", "_superusers"), "pbc_3142635823");
    }

    #[test]
    fn random_ids_have_pocketbases_shape_and_differ() {
        let id = record_id();
        assert!(id.len() == 15 && id.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit()));
        assert_ne!(id, record_id());
        assert!(token_key().len() == 50 && token_key().bytes().all(|b| b.is_ascii_alphanumeric()));
    }

    #[test]
    fn each_number_below_a_bound_comes_up_about_as_often() {
        let mut draws = Draws::default();
        let mut counts = [0; 3];
        (0..3000).for_each(|_| counts[draws.below(3)] += 1);
        assert!(counts.iter().all(|count| (850..1150).contains(count)), "{counts:?}");
        assert_eq!(draws.below(1), 0);
    }
}
