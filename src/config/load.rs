//! A Corefile from the disk, with the files that it imports.

use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use ring::digest;

use super::corefile::{CorefileError, Outside, Source, parse};
use super::file::{Corefile, read};
use crate::limits::{COREFILE_BYTES_MAX, COREFILE_IMPORTS_MAX};
use crate::sys;

/// What stands for the content of all files that were read; another one when any of them, or their
/// number, has changed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; 32]);

/// A Corefile that was read, or why it is not taken, and what it was made of.
#[derive(Debug)]
pub struct Loaded {
    /// The settings.
    pub corefile: Result<Corefile, LoadError>,
    /// See [`Fingerprint`].
    pub fingerprint: Fingerprint,
}

/// Why a Corefile is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// It cannot be read.
    #[error("cannot read the Corefile {}: {reason}", path.display())]
    Read {
        /// Its name.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It says something wrong.
    #[error(transparent)]
    Corefile(#[from] CorefileError),
}

/// Reads and understands a Corefile. Takes as long as the disk does.
#[must_use]
pub fn load(path: &Path) -> Loaded {
    let mut content = digest::Context::new(&digest::SHA256);
    let corefile = load_into(path, &mut content);
    let mut fingerprint = [0; 32];
    let hash = content.finish();
    for (to, from) in fingerprint.iter_mut().zip(hash.as_ref()) {
        *to = *from;
    }
    Loaded { corefile, fingerprint: Fingerprint(fingerprint) }
}

fn load_into(path: &Path, content: &mut digest::Context) -> Result<Corefile, LoadError> {
    let source = read_source(path, content)
        .map_err(|reason| LoadError::Read { path: path.to_owned(), reason })?;
    let mut import = |what: &str, importer: &str| import(what, importer, content);
    let variable = |name: &str| std::env::var(name).ok();
    let blocks = parse(source, Outside { variable: &variable, import: &mut import })?;
    Ok(read(&blocks, &sys::interface_addresses)?)
}

/// Reads a file, and remembers its name and its content.
fn read_source(path: &Path, content: &mut digest::Context) -> Result<Source, String> {
    let mut text = Vec::new();
    let opened = File::open(path).and_then(|file| {
        if file.metadata()?.is_dir() {
            return Err(std::io::ErrorKind::IsADirectory.into());
        }
        file.take(COREFILE_BYTES_MAX as u64 + 1).read_to_end(&mut text)
    });
    let name = path.to_string_lossy();
    content.update(name.as_bytes());
    content.update(&[0]);
    opened.map_err(|error| {
        content.update(error.to_string().as_bytes());
        error.to_string()
    })?;
    content.update(&text.len().to_be_bytes());
    content.update(&text);
    Ok(Source { name: Arc::from(name), text })
}

/// The files that `import` names: a path, from the importing file's directory on, with at most one
/// `*` or `?`. A pattern may match nothing; a file must be there.
fn import(
    what: &str,
    importer: &str,
    content: &mut digest::Context,
) -> Result<Vec<Source>, String> {
    if what.matches('*').count() > 1 || what.matches('?').count() > 1 || what.contains(['[', ']']) {
        return Err(format!("the pattern {what:?} may hold one * or one ? and nothing else"));
    }
    let path = Path::new(importer).with_file_name(what);
    let paths = if what.contains(['*', '?']) { matching(&path)? } else { vec![path] };
    let mut sources = Vec::new();
    let mut bytes = 0;
    for path in paths {
        let source = read_source(&path, content)
            .map_err(|reason| format!("cannot import {:?}: {reason}", path.display()))?;
        bytes += source.text.len();
        if bytes > COREFILE_BYTES_MAX {
            return Err(format!("{what:?} brings more than {COREFILE_BYTES_MAX} octets"));
        }
        sources.push(source);
    }
    Ok(sources)
}

/// The paths that a pattern matches, in the order of their names. Directories and what cannot be
/// listed match nothing.
fn matching(pattern: &Path) -> Result<Vec<PathBuf>, String> {
    let mut found = vec![PathBuf::new()];
    for part in pattern.components() {
        let text = part.as_os_str().to_string_lossy();
        if !text.contains(['*', '?']) {
            for path in &mut found {
                path.push(part);
            }
            continue;
        }
        let mut next = Vec::new();
        for dir in found {
            let listed = if dir.as_os_str().is_empty() { Path::new(".") } else { &dir };
            let Ok(entries) = fs::read_dir(listed) else { continue };
            for entry in entries.flatten() {
                if is_match(&text, &entry.file_name().to_string_lossy()) {
                    next.push(dir.join(entry.file_name()));
                }
            }
        }
        next.sort();
        found = next;
    }
    found.retain(|path| path.is_file());
    if found.len() > COREFILE_IMPORTS_MAX {
        return Err(format!("more than {COREFILE_IMPORTS_MAX} files match"));
    }
    Ok(found)
}

/// Does a name match a pattern with at most one `*` (any text) and one `?` (any character)?
fn is_match(pattern: &str, name: &str) -> bool {
    let fits = |pattern: &str, name: &str| {
        pattern.chars().count() == name.chars().count()
            && pattern.chars().zip(name.chars()).all(|(p, n)| p == '?' || p == n)
    };
    match pattern.split_once('*') {
        None => fits(pattern, name),
        Some((before, after)) => {
            let chars: Vec<char> = name.chars().collect();
            let (front, back) = (before.chars().count(), after.chars().count());
            let Some(rest) = chars.len().checked_sub(front + back) else { return false };
            let text =
                |from: usize, len: usize| chars.iter().skip(from).take(len).collect::<String>();
            fits(before, &text(0, front)) && fits(after, &text(front + rest, back))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_has_one_wildcard_of_each_kind() {
        for (pattern, name) in [
            ("*", ""),
            ("*.conf", "a.conf"),
            ("a*b", "ab"),
            ("a*b", "axxb"),
            ("?.c", "ü.c"),
            ("a", "a"),
            ("?*", "ab"),
        ] {
            assert!(is_match(pattern, name), "{pattern} {name}");
        }
        for (pattern, name) in
            [("a*a", "a"), ("*.conf", "conf"), ("?", ""), ("?", "ab"), ("a", "b")]
        {
            assert!(!is_match(pattern, name), "{pattern} {name}");
        }
    }

    #[test]
    fn imports_are_found_from_the_importing_file_on_and_their_change_is_seen() {
        let dir = std::env::temp_dir().join(format!("pocketdns-load-{}", std::process::id()));
        fs::create_dir_all(dir.join("conf.d")).unwrap();
        let write = |name: &str, text: &str| fs::write(dir.join(name), text).unwrap();
        write("Corefile", "import conf.d/*.conf\nimport one\n");
        write("one", "org:1053 {\n pocketbase\n}\n");
        write("conf.d/b.conf", "b:1053 {\n import ../pb\n}\n");
        write("conf.d/a.conf", "a:1053 {\n pocketbase\n}\n");
        write("conf.d/c.txt", "nonsense");
        write("pb", "pocketbase {\n default_ttl 7\n}\n");
        let path = dir.join("Corefile");
        let first = load(&path);
        let corefile = first.corefile.unwrap();
        let zones: Vec<_> =
            corefile.dns[0].parts.iter().map(|part| part.zone.to_string()).collect();
        assert_eq!((zones.join(" "), corefile.ttl_default_secs), ("a. b. org.".into(), Some(7)));
        assert_eq!(load(&path).fingerprint, first.fingerprint);
        write("pb", "pocketbase {\n default_ttl x\n}\n");
        let broken = load(&path);
        assert_ne!(broken.fingerprint, first.fingerprint);
        let error = broken.corefile.unwrap_err().to_string();
        assert!(error.contains("conf.d/../pb:2: \"x\" is no TTL"), "{error}");
        fs::remove_file(dir.join("one")).unwrap();
        write("pb", "pocketbase\n");
        let error = load(&path).corefile.unwrap_err().to_string();
        assert!(error.contains("Corefile:2: cannot import"), "{error}");
        let error = load(&dir.join("none")).corefile.unwrap_err().to_string();
        assert!(error.contains("cannot read the Corefile"), "{error}");
        fs::remove_dir_all(&dir).unwrap();
    }
}
