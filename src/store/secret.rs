//! Key material: wiped when dropped, never printed.

use std::fmt;

use zeroize::Zeroizing;

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

/// A key of 32 bytes.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// A secret that an operator gave; wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
    }

    pub(super) fn text(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// The keys for other rooms, derived from the data key; each fits one purpose only.
pub struct Subkeys {
    /// For stored files.
    pub files: Zeroizing<[u8; KEY_BYTES]>,
    /// For DNS cookies.
    pub cookies: Zeroizing<[u8; KEY_BYTES]>,
}

impl fmt::Debug for Subkeys {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Subkeys(..)")
    }
}
