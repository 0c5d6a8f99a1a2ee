//! The form of a file at rest: encrypted and authenticated in chunks, so that it can be written
//! from a stream, and any part of it read without the rest.
//!
//! ```text
//! PDNSFIL1 (8) │ salt (32) │ chunk 0 │ chunk 1 │ … │ last chunk
//! chunk = ciphertext of 65,536 octets (the last: 0 to 65,535 and always there) │ tag (16)
//! ```
//!
//! Each file has a key of its own: HKDF-SHA256 of the room's key, with the salt, for the purpose
//! `file ` and the file's name within `storage/` (`collection/record/name`). A chunk is sealed with
//! ChaCha20-Poly1305; its nonce is 1 in the last chunk and 0 before (one octet), three zero octets,
//! and the chunk's number (8, big-endian). Hence nothing can be changed, reordered, cut off, or put
//! in another file's place unnoticed. Sizes and names can be seen; names are ids and what
//! PocketBase makes of the name that a file was uploaded with.

use std::io::{self, Read, Write};

use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::hkdf;
use zeroize::Zeroizing;

use crate::limits::SEALED_CHUNK_BYTES;
use crate::model::ids::random_bytes;

/// The key of all stored files, from which each file's own is derived.
pub type FilesKey = [u8; 32];

const MAGIC: &[u8; 8] = b"PDNSFIL1";
const SALT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;

/// Seals `plain` into `sealed`. `name` is the file's path within `storage/`, with `/` between its
/// parts. Gives the octets of `plain`.
///
/// # Errors
/// Those of the two streams.
pub fn seal(
    key: &FilesKey,
    name: &[u8],
    mut plain: impl Read,
    mut sealed: impl Write,
) -> io::Result<u64> {
    let mut salt = [0; SALT_BYTES];
    random_bytes(&mut salt);
    sealed.write_all(MAGIC)?;
    sealed.write_all(&salt)?;
    let key = file_key(key, &salt, name);
    let mut chunk = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES + TAG_BYTES));
    let mut bytes = 0;
    for number in 0.. {
        chunk.clear();
        plain.by_ref().take(SEALED_CHUNK_BYTES as u64).read_to_end(&mut chunk)?;
        bytes += chunk.len() as u64;
        let is_last = chunk.len() < SEALED_CHUNK_BYTES;
        key.seal_in_place_append_tag(nonce(number, is_last), Aad::empty(), &mut *chunk)
            .map_err(|_| io::Error::other("a chunk cannot be sealed"))?;
        sealed.write_all(&chunk)?;
        if is_last {
            break;
        }
    }
    Ok(bytes)
}

/// The reverse of [`seal`]. What was written to `plain` before an error is genuine, but not whole.
///
/// # Errors
/// Those of the two streams; [`io::ErrorKind::InvalidData`] when `sealed` is not what was sealed
/// with this key under this name.
pub fn unseal(
    key: &FilesKey,
    name: &[u8],
    mut sealed: impl Read,
    mut plain: impl Write,
) -> io::Result<u64> {
    let mut head = [0; MAGIC.len() + SALT_BYTES];
    sealed.read_exact(&mut head).map_err(|error| match error.kind() {
        io::ErrorKind::UnexpectedEof => forged(),
        _ => error,
    })?;
    let salt = head.strip_prefix(MAGIC).ok_or_else(forged)?;
    let key = file_key(key, salt, name);
    let mut chunk = Zeroizing::new(Vec::with_capacity(SEALED_CHUNK_BYTES + TAG_BYTES));
    let mut bytes = 0;
    for number in 0.. {
        chunk.clear();
        sealed.by_ref().take((SEALED_CHUNK_BYTES + TAG_BYTES) as u64).read_to_end(&mut chunk)?;
        let is_last = chunk.len() < SEALED_CHUNK_BYTES + TAG_BYTES;
        let opened = key
            .open_in_place(nonce(number, is_last), Aad::empty(), &mut chunk)
            .map_err(|_| forged())?;
        plain.write_all(opened)?;
        bytes += opened.len() as u64;
        if is_last {
            break;
        }
    }
    Ok(bytes)
}

fn forged() -> io::Error {
    let words = "it is not what was stored: damaged, or another file in its place";
    io::Error::new(io::ErrorKind::InvalidData, words)
}

fn file_key(key: &FilesKey, salt: &[u8], name: &[u8]) -> LessSafeKey {
    let mut file_key = Zeroizing::new([0; 32]);
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(key)
        .expand(&[b"file ".as_slice(), name], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(file_key.as_mut_slice()))
        .expect("HKDF-SHA256 gives 32 bytes");
    let key = UnboundKey::new(&CHACHA20_POLY1305, file_key.as_slice());
    LessSafeKey::new(key.expect("the key has 32 bytes"))
}

/// Never twice for one key: each file has its own, and each chunk its number.
fn nonce(number: u64, is_last: bool) -> Nonce {
    let mut nonce = [0; NONCE_LEN];
    nonce[0] = u8::from(is_last);
    nonce[4..].copy_from_slice(&number.to_be_bytes());
    Nonce::assume_unique_for_key(nonce)
}

#[cfg(test)]
mod tests {
    use std::io;

    use super::{FilesKey, SEALED_CHUNK_BYTES, seal, unseal};

    const KEY: FilesKey = [7; 32];
    const HEAD_BYTES: usize = 40;
    const CHUNK_BYTES: usize = SEALED_CHUNK_BYTES + 16;

    fn sealed(plain: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        assert_eq!(seal(&KEY, b"c/r/f.txt", plain, &mut out).unwrap(), plain.len() as u64);
        out
    }

    fn unsealed(sealed: &[u8], name: &str) -> io::Result<Vec<u8>> {
        let mut out = Vec::new();
        let bytes = unseal(&KEY, name.as_bytes(), sealed, &mut out)?;
        assert_eq!(bytes, out.len() as u64);
        Ok(out)
    }

    #[test]
    fn files_of_any_size_come_back() {
        for size in [
            0,
            1,
            SEALED_CHUNK_BYTES - 1,
            SEALED_CHUNK_BYTES,
            SEALED_CHUNK_BYTES + 1,
            3 * SEALED_CHUNK_BYTES,
        ] {
            let plain: Vec<u8> = (0..size).map(|at| (at % 251) as u8).collect();
            let out = sealed(&plain);
            let chunks = size / SEALED_CHUNK_BYTES + 1;
            assert_eq!(out.len(), HEAD_BYTES + size + 16 * chunks);
            assert_eq!(unsealed(&out, "c/r/f.txt").unwrap(), plain, "{size}");
        }
    }

    #[test]
    fn a_file_opens_with_its_own_key_and_name_only() {
        let out = sealed(b"secret");
        assert!(unsealed(&out, "c/r/g.txt").is_err());
        assert!(unseal(&[8; 32], b"c/r/f.txt", out.as_slice(), io::sink()).is_err());
        assert_ne!(out, sealed(b"secret"), "each sealing has its own salt");
    }

    #[test]
    fn what_was_changed_cut_or_reordered_does_not_open() {
        let plain = vec![1; 2 * SEALED_CHUNK_BYTES + 10];
        let out = sealed(&plain);
        for at in [0, 8, HEAD_BYTES, HEAD_BYTES + CHUNK_BYTES, out.len() - 1] {
            let mut changed = out.clone();
            changed[at] ^= 1;
            let error = unsealed(&changed, "c/r/f.txt").unwrap_err();
            assert_eq!(error.kind(), io::ErrorKind::InvalidData, "octet {at}");
        }
        for len in [0, 39, HEAD_BYTES, HEAD_BYTES + CHUNK_BYTES, out.len() - 1] {
            assert!(unsealed(&out[..len], "c/r/f.txt").is_err(), "cut to {len}");
        }
        let (head, chunks) = out.split_at(HEAD_BYTES);
        let (one, rest) = chunks.split_at(CHUNK_BYTES);
        let (two, last) = rest.split_at(CHUNK_BYTES);
        assert!(unsealed(&[head, two, one, last].concat(), "c/r/f.txt").is_err());
        assert!(unsealed(&[out.as_slice(), last].concat(), "c/r/f.txt").is_err());
    }
}
