//! The data key: made once, sealed in `<dir>/keyslot`, opened at each start.
//!
//! ```text
//! operator's key ──HKDF, or PBKDF2 for a secret──► slot key ──opens──► data key ──HKDF──► database
//!  (never on the disk of a backup)                          (keyslot)                     files
//!                                                                                         cookies
//! ```
//!
//! The database is thus never encrypted with the operator's key itself, which can be exchanged by
//! sealing the data key anew. The slot is sealed with ChaCha20-Poly1305 and its header is
//! authenticated, so a wrong key is told from a right one before SQLite opens anything.
//!
//! Slot, 105 octets: `PDNSKEY1`, kind of key (1), PBKDF2 rounds (4, big-endian, 0 for a key file),
//! salt (32), nonce (12), and the sealed data key with its tag (48).
//!
//! The first start, under the directory's lock, each step on disk before the next begins:
//!
//! 1. `<dir>.key`, when no other key was named: written to a name of its own, fsync, rename, fsync
//!    of its folder.
//! 2. `<dir>/keyslot`: the same.
//! 3. `data.db` and `auxiliary.db`: created empty, then their schema in one transaction.
//!
//! A kill leaves: nothing or a stray `.new` file (as before the start); the key (the next start
//! uses it); key and slot (it opens the slot and makes the databases); or a database without
//! tables, whose transaction SQLite takes back (it makes the tables). There is no state in which a
//! database page exists and its key does not, and none that needs a person. An error in these
//! steps, a full disk for example, removes what this start had made, in the reverse order.
//!
//! Later starts only read: nothing here overwrites a key file or a slot that exists, and neither
//! is made where a database exists. The exception is [`reseal`], when the operator exchanges the key.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::num::NonZeroU32;
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, NONCE_LEN, Nonce, UnboundKey};
use ring::{hkdf, pbkdf2};
use rustix::fs::{CWD, OFlags, RenameFlags};
use zeroize::{Zeroize, Zeroizing};

use super::error::OpenError;
use super::secret::{KEY_BYTES, Key, KeySource, Material, key_file_beside};
use crate::limits::{KEY_FILE_BYTES_MAX, PBKDF2_ROUNDS, PBKDF2_ROUNDS_MAX, PBKDF2_ROUNDS_MIN};
use crate::model::ids::random_bytes;

/// The sealed data key's file in the data directory.
pub(super) const SLOT_NAME: &str = "keyslot";
/// The databases, the main one first.
pub(super) const DATABASE_NAMES: [&str; 2] = ["data.db", "auxiliary.db"];

const MAGIC: &[u8; 8] = b"PDNSKEY1";
const KIND_KEY_FILE: u8 = 1;
const KIND_SECRET: u8 = 2;
const SALT_BYTES: usize = 32;
const TAG_BYTES: usize = 16;
/// What is authenticated but not encrypted.
const HEADER_BYTES: usize = MAGIC.len() + 1 + 4 + SALT_BYTES + NONCE_LEN;
const SLOT_BYTES: usize = HEADER_BYTES + KEY_BYTES + TAG_BYTES;

/// What a plaintext SQLite database begins with.
pub(super) const PLAINTEXT_MAGIC: &[u8; 16] = b"SQLite format 3\0";

/// Where the key lies, for the words at start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum KeyPlace {
    /// In an environment variable.
    Env {
        /// The variable's name.
        name: String,
    },
    /// In a file that the operator named.
    File {
        /// The file.
        path: PathBuf,
    },
    /// In the file beside the data directory.
    Beside {
        /// The file.
        path: PathBuf,
        /// Whether this start made it.
        made: bool,
    },
}

/// What a data directory and the operator's key say together.
pub(super) enum Found {
    /// The slot, opened.
    DataKey(Opened),
    /// Neither slot nor database; the key, unless it is still to be made.
    Nothing(Option<Material>),
}

/// An opened slot: its octets and what was sealed in them.
pub(super) struct Opened {
    slot: Vec<u8>,
    pub(super) data_key: Key,
}

impl Opened {
    /// Whether the slot on the disk is still the one that was opened.
    pub(super) fn is_current(&self, dir: &Path) -> Result<bool, OpenError> {
        let slot = read_start(&dir.join(SLOT_NAME), SLOT_BYTES + 1)?;
        Ok(slot.is_some_and(|slot| slot == self.slot))
    }
}

/// Reads the directory, which may be absent, and the operator's key. Changes nothing.
pub(super) fn look(dir: &Path, source: &KeySource) -> Result<Found, OpenError> {
    let slot_path = dir.join(SLOT_NAME);
    let slot = read_start(&slot_path, SLOT_BYTES + 1)?;
    for database in DATABASE_NAMES.map(|name| dir.join(name)) {
        match read_start(&database, PLAINTEXT_MAGIC.len())? {
            Some(start) if start == PLAINTEXT_MAGIC => {
                return Err(OpenError::Plaintext { database });
            }
            Some(_) if slot.is_none() => {
                return Err(OpenError::MissingSlot { database, slot: slot_path });
            }
            _ => {}
        }
    }
    let material = Material::load(source, dir)?;
    match (slot, material) {
        (Some(slot), Some(material)) => {
            let data_key = unseal(&slot, &material, &slot_path)?;
            Ok(Found::DataKey(Opened { slot, data_key }))
        }
        (Some(_), None) => {
            Err(OpenError::MissingKey { dir: dir.to_owned(), expected: key_file_beside(dir)? })
        }
        (None, material) => Ok(Found::Nothing(material)),
    }
}

/// The first start's steps 1 and 2. Needs the directory's lock, and [`look`] to have found
/// `Nothing` under it. The slot comes into `slot_dir`, which is `dir` or will become it.
pub(super) fn create(
    slot_dir: &Path,
    dir: &Path,
    material: Option<Material>,
    made: &mut Made,
) -> Result<Key, OpenError> {
    let material = match material {
        Some(material) => material,
        None => make_key_file(&key_file_beside(dir)?, made)?,
    };
    let mut data_key = Key::default();
    random_bytes(data_key.as_mut_slice());
    let slot = seal(&data_key, &material, PBKDF2_ROUNDS);
    write_new(&slot_dir.join(SLOT_NAME), &slot, made)?;
    Ok(data_key)
}

/// Puts a slot that `source` opens in the place of the one that is there: a draft, fsync, rename,
/// fsync of the folder. A kill leaves the old slot or the new one, and perhaps the draft. Needs the
/// directory's lock.
pub(super) fn reseal(dir: &Path, data_key: &Key, source: &KeySource) -> Result<(), OpenError> {
    let path = dir.join(SLOT_NAME);
    let Some(material) = Material::load(source, dir)? else {
        let expected = key_file_beside(dir)?;
        return Err(OpenError::MissingKey { dir: dir.to_owned(), expected });
    };
    let slot = seal(data_key, &material, PBKDF2_ROUNDS);
    let draft = draft_of(&path);
    if let Err(error) = write_draft(&draft, &slot).and_then(|()| fs::rename(&draft, &path)) {
        fs::remove_file(&draft).ok();
        return Err(file_error("replace", &path)(error));
    }
    sync_folder(&path)
}

/// Where the key lies, in words.
pub(super) fn place(dir: &Path, source: &KeySource, made: &Made) -> Result<KeyPlace, OpenError> {
    Ok(match source {
        KeySource::Env { name, .. } => KeyPlace::Env { name: name.clone() },
        KeySource::File { path } | KeySource::Content { path, .. } => {
            KeyPlace::File { path: path.clone() }
        }
        KeySource::Beside => {
            let path = key_file_beside(dir)?;
            let made = made.paths.contains(&path);
            KeyPlace::Beside { path, made }
        }
    })
}

/// The key for one purpose, derived from the data key.
pub(super) fn subkey(data_key: &Key, purpose: &'static str) -> Key {
    hkdf_key(b"pocketdns", data_key.as_slice(), purpose)
}

fn make_key_file(path: &Path, made: &mut Made) -> Result<Material, OpenError> {
    let mut key = Key::default();
    random_bytes(key.as_mut_slice());
    let mut text = Zeroizing::new(HEXLOWER.encode(key.as_slice()));
    text.push('\n');
    write_new(path, text.as_bytes(), made)?;
    // Read back, so that what the next start will find is what seals the slot.
    let bytes = read_start(path, KEY_FILE_BYTES_MAX)?.unwrap_or_default();
    Material::from_file_content(Zeroizing::new(bytes), path)
}

fn seal(data_key: &Key, material: &Material, rounds: NonZeroU32) -> Vec<u8> {
    let (kind, rounds) =
        if material.from_env { (KIND_SECRET, rounds.get()) } else { (KIND_KEY_FILE, 0) };
    let mut random = [0; SALT_BYTES + NONCE_LEN];
    random_bytes(&mut random);
    let (salt, nonce) = random.split_at(SALT_BYTES);

    let mut slot = Vec::with_capacity(SLOT_BYTES);
    slot.extend_from_slice(MAGIC);
    slot.push(kind);
    slot.extend_from_slice(&rounds.to_be_bytes());
    slot.extend_from_slice(salt);
    slot.extend_from_slice(nonce);

    let mut sealed = Zeroizing::new(data_key.to_vec());
    let slot_key = slot_key(material, NonZeroU32::new(rounds), salt);
    let tag = cipher(&slot_key)
        .seal_in_place_separate_tag(nonce_of(nonce), Aad::from(&slot), sealed.as_mut_slice())
        .expect("32 bytes are within the cipher's bounds");
    slot.extend_from_slice(&sealed);
    slot.extend_from_slice(tag.as_ref());
    slot
}

fn unseal(slot: &[u8], material: &Material, path: &Path) -> Result<Key, OpenError> {
    let damaged = |problem| OpenError::BadSlot { slot: path.to_owned(), problem };
    let Some((header, sealed)) = slot.split_at_checked(HEADER_BYTES) else {
        return Err(damaged("it is too short"));
    };
    if slot.len() != SLOT_BYTES {
        return Err(damaged("it has another length than a slot"));
    }
    let Some(rest) = header.strip_prefix(MAGIC) else {
        return Err(damaged("it is no slot of this version"));
    };
    let Some((&[kind, r0, r1, r2, r3], rest)) = rest.split_first_chunk::<5>() else {
        return Err(damaged("it is too short"));
    };
    let (salt, nonce) = rest.split_at(SALT_BYTES);
    let rounds = u32::from_be_bytes([r0, r1, r2, r3]);
    let words = |secret| if secret { "--encryptionEnv" } else { "a key file" };
    let from_env = match kind {
        KIND_KEY_FILE => false,
        // Bounded, so that a damaged slot cannot keep a start busy for hours.
        KIND_SECRET if (PBKDF2_ROUNDS_MIN..=PBKDF2_ROUNDS_MAX).contains(&rounds) => true,
        KIND_SECRET => return Err(damaged("its PBKDF2 rounds are out of bounds")),
        _ => return Err(damaged("it is no slot of this version")),
    };
    if from_env != material.from_env {
        return Err(OpenError::OtherKind {
            slot: path.to_owned(),
            sealed_with: words(from_env),
            given: words(material.from_env),
        });
    }
    let slot_key = slot_key(material, NonZeroU32::new(rounds), salt);
    let mut buffer = Zeroizing::new(sealed.to_vec());
    let opened =
        cipher(&slot_key).open_in_place(nonce_of(nonce), Aad::from(header), &mut buffer).map_err(
            |_| OpenError::WrongKey { place: material.place.clone(), slot: path.to_owned() },
        )?;
    let mut key = Key::default();
    for (to, from) in key.iter_mut().zip(opened.iter()) {
        *to = *from;
    }
    opened.zeroize();
    Ok(key)
}

/// The key that seals the slot: PBKDF2 where there are rounds, else HKDF.
fn slot_key(material: &Material, rounds: Option<NonZeroU32>, salt: &[u8]) -> Key {
    match rounds.filter(|_| material.from_env) {
        None => hkdf_key(salt, &material.bytes, "keyslot"),
        Some(rounds) => {
            let mut key = Key::default();
            let algorithm = pbkdf2::PBKDF2_HMAC_SHA256;
            pbkdf2::derive(algorithm, rounds, salt, &material.bytes, key.as_mut_slice());
            key
        }
    }
}

fn hkdf_key(salt: &[u8], input: &[u8], purpose: &'static str) -> Key {
    let mut key = Key::default();
    hkdf::Salt::new(hkdf::HKDF_SHA256, salt)
        .extract(input)
        .expand(&[purpose.as_bytes()], hkdf::HKDF_SHA256)
        .and_then(|output| output.fill(key.as_mut_slice()))
        .expect("HKDF-SHA256 gives 32 bytes");
    key
}

fn cipher(key: &Key) -> LessSafeKey {
    let key = UnboundKey::new(&CHACHA20_POLY1305, key.as_slice()).expect("the key has 32 bytes");
    LessSafeKey::new(key)
}

/// The slot key is made with a fresh salt, so it seals once and its nonce cannot repeat.
fn nonce_of(bytes: &[u8]) -> Nonce {
    Nonce::try_assume_unique_for_key(bytes).expect("the nonce has 12 bytes")
}

/// The files that this start made. Dropped before [`Made::keep`], it removes them again, the last
/// one first.
#[derive(Default)]
pub(super) struct Made {
    paths: Vec<PathBuf>,
    kept: bool,
}

impl Made {
    /// Removes nothing: somebody else will.
    pub(super) fn kept() -> Self {
        Self { paths: Vec::new(), kept: true }
    }

    pub(super) fn add(&mut self, path: PathBuf) {
        self.paths.push(path);
    }

    /// The start succeeded.
    pub(super) fn keep(&mut self) {
        self.kept = true;
    }
}

impl Drop for Made {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        for path in self.paths.iter().rev() {
            let removed = match fs::symlink_metadata(path) {
                Ok(metadata) if metadata.is_dir() => fs::remove_dir(path),
                Ok(_) => fs::remove_file(path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
                Err(error) => Err(error),
            };
            if let Err(error) = removed {
                log::warn!(
                    "cannot take back a file of the failed first start; path={} error={error}",
                    path.display()
                );
            }
        }
    }
}

/// Wraps an error of the file system.
pub(super) fn file_error(action: &'static str, path: &Path) -> impl FnOnce(io::Error) -> OpenError {
    move |source| OpenError::File { action, path: path.to_owned(), source }
}

/// For opening files in the data directory: root may serve a directory of somebody who could have
/// put a link in it to what root alone may touch.
pub(super) const NO_LINKS: i32 = OFlags::NOFOLLOW.bits() as i32;

/// The first `bytes_max` bytes of a file that is no link; `None` when there is none.
fn read_start(path: &Path, bytes_max: usize) -> Result<Option<Vec<u8>>, OpenError> {
    let file = match OpenOptions::new().read(true).custom_flags(NO_LINKS).open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(file_error("read", path)(error)),
    };
    let mut start = Vec::with_capacity(bytes_max);
    file.take(bytes_max as u64).read_to_end(&mut start).map_err(file_error("read", path))?;
    Ok(Some(start))
}

/// Makes a file that did not exist, 0600, whole or not at all, and durable with its folder.
fn write_new(path: &Path, bytes: &[u8], made: &mut Made) -> Result<(), OpenError> {
    let draft = draft_of(path);
    let written = write_draft(&draft, bytes).and_then(|()| rename_new(&draft, path));
    if let Err(error) = written {
        fs::remove_file(&draft).ok();
        return Err(file_error("create", path)(error));
    }
    made.add(path.to_owned());
    sync_folder(path)
}

fn draft_of(path: &Path) -> PathBuf {
    let mut draft = path.as_os_str().to_owned();
    draft.push(".new");
    draft.into()
}

fn write_draft(draft: &Path, bytes: &[u8]) -> io::Result<()> {
    // What a killed start left under this name was never used.
    match fs::remove_file(draft) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(draft)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Renames without ever replacing a file.
fn rename_new(from: &Path, to: &Path) -> io::Result<()> {
    match rustix::fs::renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
        // This file system cannot refuse to replace. The directory's lock is held and the file was
        // not there a moment ago.
        Err(rustix::io::Errno::INVAL | rustix::io::Errno::NOSYS) if !to.exists() => {
            fs::rename(from, to)
        }
        result => Ok(result?),
    }
}

/// Makes the names in the folder of `path` durable.
pub(super) fn sync_folder(path: &Path) -> Result<(), OpenError> {
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty());
    let folder = folder.unwrap_or_else(|| Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(file_error("sync", folder))
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroU32;
    use std::path::Path;

    use zeroize::Zeroizing;

    use super::{Key, Material, OpenError, SLOT_BYTES, seal, subkey, unseal};

    const ROUNDS: NonZeroU32 = NonZeroU32::new(super::PBKDF2_ROUNDS_MIN).unwrap();

    fn material(text: &str, from_env: bool) -> Material {
        Material { bytes: Zeroizing::new(text.into()), from_env, place: "the test".into() }
    }

    fn open(slot: &[u8], text: &str, from_env: bool) -> Result<[u8; 32], OpenError> {
        unseal(slot, &material(text, from_env), Path::new("/d/keyslot")).map(|key| *key)
    }

    #[test]
    fn a_slot_opens_with_its_own_key_only() {
        for from_env in [false, true] {
            let slot = seal(&Key::new([7; 32]), &material("right", from_env), ROUNDS);
            assert_eq!(slot.len(), SLOT_BYTES);
            assert_eq!(open(&slot, "right", from_env).unwrap(), [7; 32]);
            assert!(matches!(open(&slot, "wrong", from_env), Err(OpenError::WrongKey { .. })));
            assert!(matches!(open(&slot, "right", !from_env), Err(OpenError::OtherKind { .. })));
        }
    }

    #[test]
    fn no_octet_of_a_slot_can_be_changed() {
        let slot = seal(&Key::new([7; 32]), &material("right", false), ROUNDS);
        for at in 0..slot.len() {
            let mut changed = slot.clone();
            changed[at] ^= 0x10;
            assert!(open(&changed, "right", false).is_err(), "octet {at}");
        }
        assert!(matches!(open(&slot[..104], "right", false), Err(OpenError::BadSlot { .. })));
        assert!(matches!(open(&[], "right", false), Err(OpenError::BadSlot { .. })));
        let longer = [slot.as_slice(), b"x"].concat();
        assert!(matches!(open(&longer, "right", false), Err(OpenError::BadSlot { .. })));
    }

    #[test]
    fn rounds_out_of_bounds_are_refused_before_they_are_done() {
        let mut slot = seal(&Key::new([7; 32]), &material("right", true), ROUNDS);
        slot[9..13].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(open(&slot, "right", true), Err(OpenError::BadSlot { .. })));
    }

    #[test]
    fn each_seal_and_each_purpose_is_its_own() {
        let key = Key::new([7; 32]);
        let [one, two] = [0, 1].map(|_| seal(&key, &material("right", false), ROUNDS));
        assert_ne!(one[13..], two[13..], "salt, nonce and sealed key are fresh");
        assert_ne!(*subkey(&key, "database"), *subkey(&key, "files"));
        assert_ne!(*subkey(&key, "database"), *key);
    }
}
