//! The commands that move whole directories. No server takes part in them: a directory is made, or
//! read while nobody serves it.

use std::io::Write;
use std::path::Path;

use super::{Error, key_source};
use crate::config::{Data, NewKey};
use crate::moving::{self, Imported, Progress};
use crate::store::{self, KeyPlace, KeySource, SettingsKey};
use crate::sys;

/// Carries out `import`.
pub(super) fn import(
    data: &Data,
    source: &Path,
    source_encryption_env: Option<&str>,
    output: &mut impl Write,
) -> Result<(), Error> {
    let key = key_source(data)?.read()?;
    let settings_key = source_encryption_env
        .map(|name| SettingsKey::from_variable(name, |name| std::env::var_os(name)))
        .transpose()
        .map_err(moving::Error::from)?;
    become_owner(data)?;
    let mut progress = Progress::new("import");
    let done = moving::import(source, &data.dir, &key, settings_key.as_ref(), &mut progress)?;
    drop(progress);
    let Imported { key_place, files_count, not_taken } = done;
    if let KeyPlace::Beside { path, made: true } = &key_place {
        log::warn!(
            "made the key that opens the database; no backup opens without it; key={}",
            path.display()
        );
    }
    writeln!(
        output,
        "imported {} into {}; files: {files_count}",
        source.display(),
        data.dir.display()
    )
    .map_err(Error::Output)?;
    for name in not_taken {
        // Quoted: whoever made it may have named it anything.
        writeln!(output, "not taken: {:?}", source.join(name)).map_err(Error::Output)?;
    }
    Ok(())
}

/// Carries out `export`.
pub(super) fn export(data: &Data, target: &Path, output: &mut impl Write) -> Result<(), Error> {
    let key = key_source(data)?.read()?;
    become_owner(data)?;
    let mut progress = Progress::new("export");
    moving::export(&data.dir, target, &key, &mut progress)?;
    drop(progress);
    log::warn!(
        "the export is plain text: whoever reads it has all records, password hashes and token \
         secrets; path={}",
        target.display()
    );
    writeln!(output, "exported {} to {}", data.dir.display(), target.display())
        .map_err(Error::Output)
}

/// Carries out `rekey`.
pub(super) fn rekey(data: &Data, new: NewKey, output: &mut impl Write) -> Result<(), Error> {
    let old = key_source(data)?.read()?;
    let (new, flag) = match new {
        NewKey::Env(name) => (
            store::from_variable("--newEncryptionEnv", &name, |name| std::env::var_os(name))?,
            format!("--encryptionEnv {name}"),
        ),
        NewKey::File(path) => {
            let flag = format!("--keyFile {}", path.display());
            (KeySource::File { path }.read()?, flag)
        }
    };
    become_owner(data)?;
    store::rekey(&data.dir, &old, &new)?;
    writeln!(
        output,
        "{} opens with the new key from now on: {flag}\n\
         copies and backups of it that were made before still open with the old key",
        data.dir.display()
    )
    .map_err(Error::Output)
}

/// Files that a command makes must be the owner's, or the server could not open them.
fn become_owner(data: &Data) -> Result<(), Error> {
    sys::become_owner_of(&data.dir).map_err(|source| Error::Owner { dir: data.dir.clone(), source })
}
