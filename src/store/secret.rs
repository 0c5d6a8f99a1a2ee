//! Where the operator's key is, and what counts as one. Key material is wiped when dropped and
//! never printed.
//!
//! What a key file may hold: exactly 32 bytes, taken as they are; else text of one line (a final
//! line break is cut off), which is 64 hex digits, the same key as their 32 bytes, or at least 32
//! characters. The file that the first start makes holds 64 hex digits and a line break, so that
//! it can be printed and typed in again.

use std::ffi::OsString;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use data_encoding::HEXLOWER_PERMISSIVE;
use zeroize::Zeroizing;

use super::error::OpenError;
use crate::limits::{KEY_FILE_BYTES_MAX, SECRET_CHARS_MIN};

/// Bytes of a key.
pub(super) const KEY_BYTES: usize = 32;

/// A key of 32 bytes.
pub(super) type Key = Zeroizing<[u8; KEY_BYTES]>;

/// The credential that a service manager passes (systemd's `LoadCredential=`).
const CREDENTIAL_NAME: &str = "pocketdns.key";

/// A secret that an operator gave; wiped when dropped.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes the text over.
    #[must_use]
    pub fn new(text: String) -> Self {
        Self(Zeroizing::new(text))
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

/// Where the operator said that the key is.
#[derive(Clone, Debug)]
pub enum KeySource {
    /// `--encryptionEnv`: the variable and its value.
    Env {
        /// The variable's name.
        name: String,
        /// Its value.
        secret: Secret,
    },
    /// `--keyFile`, or the credential of the service manager.
    File {
        /// The file, which must exist.
        path: PathBuf,
    },
    /// The same, read already.
    Content {
        /// Where it was read.
        path: PathBuf,
        /// What it holds.
        content: Content,
    },
    /// `<dir>.key` beside the data directory, made on the first start.
    Beside,
}

/// What a key file holds; wiped when dropped.
#[derive(Clone)]
pub struct Content(Zeroizing<Vec<u8>>);

impl fmt::Debug for Content {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Content(..)")
    }
}

impl KeySource {
    /// Reads the key file now, when the operator named one: for whoever goes on as a user that may
    /// not read it.
    ///
    /// # Errors
    /// The file cannot be read.
    pub fn read(self) -> Result<Self, OpenError> {
        match self {
            Self::File { path } => match read_key_file(&path) {
                Ok(content) => Ok(Self::Content { path, content: Content(content) }),
                Err(source) => Err(OpenError::KeyFile { path, source }),
            },
            other => Ok(other),
        }
    }
}

/// Finds out where the key is: `--encryptionEnv`, else `--keyFile`, else
/// `$CREDENTIALS_DIRECTORY/pocketdns.key`, else the file beside the directory. `variable` looks up
/// the environment.
///
/// # Errors
/// A flag or variable that names nothing is an error, never a reason to look elsewhere. Only a
/// credentials directory without our credential is passed over: it may be there for others, and a
/// unit file names credentials that an operator need not provide.
pub fn key_source(
    encryption_env: Option<&str>,
    key_file: Option<&Path>,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<KeySource, OpenError> {
    match (encryption_env, key_file) {
        (Some(_), Some(_)) => Err(OpenError::TwoKeys),
        (Some(name), None) => from_variable("--encryptionEnv", name, variable),
        (None, Some(path)) => Ok(KeySource::File { path: path.to_owned() }),
        (None, None) => variable("CREDENTIALS_DIRECTORY").map_or(Ok(KeySource::Beside), |dir| {
            let path = Path::new(&dir).join(CREDENTIAL_NAME);
            match File::open(&path) {
                Ok(_) => Ok(KeySource::File { path }),
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(KeySource::Beside),
                Err(source) => Err(OpenError::Credential { source }),
            }
        }),
    }
}

/// The secret in the environment variable that `flag` names.
///
/// # Errors
/// It is not set, or is not text.
pub fn from_variable(
    flag: &'static str,
    name: &str,
    variable: impl Fn(&str) -> Option<OsString>,
) -> Result<KeySource, OpenError> {
    let refuse = |problem| OpenError::EnvKey { flag, name: name.to_owned(), problem };
    let text = variable(name)
        .ok_or_else(|| refuse("is not set"))?
        .into_string()
        .map_err(|_| refuse("is not valid UTF-8"))?;
    Ok(KeySource::Env { name: name.to_owned(), secret: Secret::new(text) })
}

/// The key file that belongs to `dir` when no other key was named: `<dir>.key`.
///
/// # Errors
/// A path without a last part (`/`, `..`) has nothing beside it.
pub fn key_file_beside(dir: &Path) -> Result<PathBuf, OpenError> {
    let refuse = |problem| Err(OpenError::BadDir { dir: dir.to_owned(), problem });
    // `.` has a name once it is absolute.
    let Ok(absolute) = std::path::absolute(dir) else { return refuse("the path is empty") };
    let Some(name) = absolute.file_name() else {
        return refuse("its path must end in a name, so that the key can lie beside it");
    };
    let mut name = name.to_owned();
    name.push(".key");
    Ok(absolute.with_file_name(name))
}

/// What the slot's key is derived from.
pub(super) struct Material {
    pub(super) bytes: Zeroizing<Vec<u8>>,
    /// A secret that people may have chosen: it is stretched. Key files are not.
    pub(super) from_env: bool,
    /// Where it came from, in words for an error.
    pub(super) place: String,
}

impl Material {
    /// Reads what the operator named. `None`: nothing was named, and there is no file beside `dir`.
    pub(super) fn load(source: &KeySource, dir: &Path) -> Result<Option<Self>, OpenError> {
        match source {
            KeySource::Env { name, secret } => {
                let place = format!("the environment variable {name}");
                check_length(&secret.0, &place)?;
                let bytes = Zeroizing::new(secret.0.as_bytes().to_vec());
                Ok(Some(Self { bytes, from_env: true, place }))
            }
            KeySource::File { path } => Self::read_file(path)
                .unwrap_or_else(|source| Err(OpenError::KeyFile { path: path.clone(), source }))
                .map(Some),
            KeySource::Content { path, content } => {
                Self::from_file_content(content.0.clone(), path).map(Some)
            }
            KeySource::Beside => {
                let path = key_file_beside(dir)?;
                match Self::read_file(&path) {
                    Ok(material) => material.map(Some),
                    Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                    Err(source) => Err(OpenError::KeyFile { path, source }),
                }
            }
        }
    }

    /// A key file's material; the outer error is the file system's.
    fn read_file(path: &Path) -> io::Result<Result<Self, OpenError>> {
        Ok(Self::from_file_content(read_key_file(path)?, path))
    }

    /// The rules at the top of this file.
    pub(super) fn from_file_content(
        bytes: Zeroizing<Vec<u8>>,
        path: &Path,
    ) -> Result<Self, OpenError> {
        let refuse = |problem| OpenError::KeyFileContent { path: path.to_owned(), problem };
        let place = format!("the key file {}", path.display());
        if bytes.len() > KEY_FILE_BYTES_MAX {
            return Err(refuse("is longer than 4096 bytes"));
        }
        if bytes.is_empty() {
            return Err(refuse("is empty"));
        }
        if bytes.len() == KEY_BYTES {
            return Ok(Self { bytes, from_env: false, place });
        }
        let text =
            std::str::from_utf8(&bytes).map_err(|_| refuse("is neither 32 bytes nor text"))?;
        let line = text.strip_suffix('\n').unwrap_or(text);
        let line = line.strip_suffix('\r').unwrap_or(line);
        if line.contains(['\n', '\r', '\0']) {
            return Err(refuse("has more than one line"));
        }
        check_length(line, &place)?;
        let mut key = Key::default();
        let is_hex = line.len() == 2 * KEY_BYTES
            && HEXLOWER_PERMISSIVE.decode_mut(line.as_bytes(), key.as_mut_slice()).is_ok();
        let bytes = if is_hex { key.to_vec() } else { line.as_bytes().to_vec() };
        Ok(Self { bytes: Zeroizing::new(bytes), from_env: false, place })
    }
}

/// The octets of a key file; one more than it may have when it has more.
fn read_key_file(path: &Path) -> io::Result<Zeroizing<Vec<u8>>> {
    let file = File::open(path)?;
    let mut bytes = Zeroizing::new(Vec::with_capacity(KEY_FILE_BYTES_MAX + 1));
    file.take(KEY_FILE_BYTES_MAX as u64 + 1).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn check_length(text: &str, place: &str) -> Result<(), OpenError> {
    let chars = text.chars().count();
    if chars < SECRET_CHARS_MIN {
        return Err(OpenError::ShortKey { place: place.to_owned(), chars });
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::{KeySource, Material, Secret, key_file_beside, key_source};
    use crate::store::OpenError;
    use std::ffi::OsString;
    use std::os::unix::ffi::OsStringExt;
    use std::path::Path;
    use zeroize::Zeroizing;

    fn content(bytes: &[u8]) -> Result<Vec<u8>, OpenError> {
        Material::from_file_content(Zeroizing::new(bytes.to_vec()), Path::new("/k"))
            .map(|material| material.bytes.to_vec())
    }

    #[test]
    fn raw_bytes_and_their_hex_digits_are_the_same_key() {
        let raw: Vec<u8> = (200..232).collect();
        let hex = data_encoding::HEXLOWER.encode(&raw);
        assert_eq!(content(&raw).unwrap(), raw);
        assert_eq!(content(hex.as_bytes()).unwrap(), raw);
        assert_eq!(content(format!("{}\r\n", hex.to_uppercase()).as_bytes()).unwrap(), raw);
    }

    #[test]
    fn thirty_two_bytes_that_end_in_a_line_break_are_kept_whole() {
        let mut raw = [7; 32];
        raw[31] = b'\n';
        assert_eq!(content(&raw).unwrap(), raw);
    }

    #[test]
    fn a_line_of_text_counts_without_its_line_break() {
        let text = "correct horse battery staple, 42";
        assert_eq!(content(format!("{text}\n").as_bytes()).unwrap(), text.as_bytes());
        assert!(matches!(content(&[b'x'; 31]), Err(OpenError::ShortKey { chars: 31, .. })));
        let zs = "z".repeat(64);
        assert_eq!(content(zs.as_bytes()).unwrap(), zs.as_bytes(), "64 characters that are no hex");
    }

    #[test]
    fn content_that_is_no_key_is_refused() {
        for bad in [
            b"".to_vec(),
            vec![0xFF; 33],
            vec![b'x'; 5000],
            [vec![b'x'; 40], b"\n".to_vec(), vec![b'y'; 40]].concat(),
        ] {
            assert!(matches!(content(&bad), Err(OpenError::KeyFileContent { .. })), "{bad:?}");
        }
    }

    #[test]
    fn a_flag_or_variable_that_names_nothing_is_fatal() {
        let none = |_: &str| None;
        assert!(matches!(key_source(None, None, none), Ok(KeySource::Beside)));
        assert!(matches!(
            key_source(Some("NOPE"), None, none),
            Err(OpenError::EnvKey { problem: "is not set", .. })
        ));
        let bytes = |_: &str| Some(OsString::from_vec(vec![0xFF; 40]));
        assert!(matches!(key_source(Some("X"), None, bytes), Err(OpenError::EnvKey { .. })));
        let empty = |_: &str| Some(OsString::new());
        assert!(matches!(key_source(None, None, empty), Ok(KeySource::Beside)));
        assert!(matches!(
            key_source(Some("X"), Some(Path::new("k")), none),
            Err(OpenError::TwoKeys)
        ));
    }

    #[test]
    fn an_explicit_key_hides_the_credential() {
        let set = |_: &str| Some(OsString::from("/nowhere"));
        let source = key_source(None, Some(Path::new("k")), set);
        assert!(matches!(source, Ok(KeySource::File { path }) if path == Path::new("k")));
    }

    #[test]
    fn a_short_secret_in_the_environment_is_refused() {
        let source = KeySource::Env { name: "K".into(), secret: Secret::new("x".repeat(31)) };
        let error = Material::load(&source, Path::new("/d")).err().unwrap().to_string();
        assert_eq!(
            error,
            "the secret in the environment variable K has 31 characters: at least 32 are needed"
        );
    }

    #[test]
    fn the_key_lies_beside_the_directory() {
        assert_eq!(key_file_beside(Path::new("/a/pb_data/")).unwrap(), Path::new("/a/pb_data.key"));
        assert_eq!(key_file_beside(Path::new("/a/v1.2")).unwrap(), Path::new("/a/v1.2.key"));
        assert!(matches!(key_file_beside(Path::new("/")), Err(OpenError::BadDir { .. })));
        assert!(matches!(key_file_beside(Path::new("/a/..")), Err(OpenError::BadDir { .. })));
    }

    #[test]
    fn a_secret_is_not_printed() {
        let source = KeySource::Env { name: "K".into(), secret: Secret::new("hush".repeat(9)) };
        assert!(!format!("{source:?}").contains("hush"));
    }
}
