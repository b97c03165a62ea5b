//! The state of a directory: whose it is, whether it may be used for an identity, and the small file calls around that.

use std::fs;
use std::io;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use super::lock::Lock;
use super::manifest::{FileEntry, Identity, Manifest, rfc3339};
use super::{Attempt, MANIFEST, PARTS, SWEEP, Storage, StoreError};

/// The manifest of a directory that may be used for `identity`; `None` for a fresh one.
pub fn inspect(path: &Path, identity: &Identity) -> Result<Option<Manifest>, StoreError> {
    if !path.is_dir() {
        return Err(StoreError::Occupied(format!("{}: is no directory; choose another with -o", path.display())));
    }
    let file = path.join(MANIFEST);
    if !file.exists() {
        let mut names = list(path).attempt("read", path)?;
        // A run that was killed before its manifest was in place leaves no more than these: a lock is empty, and a
        // manifest that was cut begins like a whole one.
        let unfinished = format!("{MANIFEST}.tmp");
        let begins_with =
            |name: &str, start: &[u8]| fs::read(path.join(name)).is_ok_and(|text| text.starts_with(start));
        let is_empty = |name: &str| fs::metadata(path.join(name)).is_ok_and(|m| m.is_file() && m.len() == 0);
        names.retain(|name| {
            let left_behind = *name == Lock::FILE_NAME && is_empty(name)
                || *name == unfinished && (is_empty(name) || begins_with(name, Manifest::START));
            !left_behind
        });
        if names.is_empty() {
            return Ok(None);
        }
        names.sort();
        let more = if names.len() > 3 { format!(" and {} more", names.len() - 3) } else { String::new() };
        names.truncate(3);
        return Err(StoreError::Occupied(format!(
            "{}: not empty, and no run of this tool (it has {}{more} and no {MANIFEST}); choose another directory with -o",
            path.display(),
            names.join(", ")
        )));
    }
    let text = fs::read(&file).attempt("read", &file)?;
    let manifest: Manifest = serde_json::from_slice(&text).map_err(|e| {
        StoreError::Occupied(format!(
            "{}: not readable ({e}); choose another directory with -o, or remove this one",
            file.display()
        ))
    })?;
    let mut differences = manifest.identity.differences(identity);
    if manifest.identity_hash != identity.hash() && differences.is_empty() {
        differences.push("the manifest was changed by hand".to_string());
    }
    if differences.is_empty() {
        return Ok(Some(manifest));
    }
    Err(StoreError::OtherRun { path: path.to_path_buf(), differences })
}

/// The first file that a finished directory has lost. A table whose size is another than the run wrote is refused: it may be
/// somebody's work, and must not pass for a result either. The sweep file may be edited, its identity is compared.
pub fn missing_file<'a>(path: &Path, manifest: &'a Manifest) -> Result<Option<&'a FileEntry>, StoreError> {
    let mut missing = None;
    for entry in &manifest.files {
        let file = path.join(&entry.name);
        match fs::metadata(&file) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => missing = missing.or(Some(entry)),
            Err(source) => return Err(StoreError::Disk { action: "read", path: file, source }),
            Ok(found) if found.len() != entry.bytes && entry.name != SWEEP => {
                return Err(StoreError::Occupied(format!(
                    "{}: has {} bytes, and the finished run wrote {} (see {MANIFEST}): it was cut or changed since; remove it \
                     to compute it again, or choose another directory with -o",
                    file.display(),
                    found.len(),
                    entry.bytes
                )));
            }
            Ok(_) => {}
        }
    }
    Ok(missing)
}

/// Removes the parts of a finished run, and nothing else that may lie beside them.
pub fn remove_parts(storage: &dyn Storage, path: &Path) -> io::Result<()> {
    let parts = path.join(PARTS);
    if !parts.exists() {
        return Ok(());
    }
    for name in list(&parts)? {
        if name.ends_with(".part") || name.ends_with(".tmp") {
            storage.remove(&parts.join(name))?;
        }
    }
    storage.remove_dir(&parts)
}

/// Names in a directory.
pub fn list(path: &Path) -> io::Result<Vec<String>> {
    fs::read_dir(path)?.map(|entry| Ok(entry?.file_name().to_string_lossy().into_owned())).collect()
}

/// The time as the manifest writes it.
pub fn now() -> String {
    rfc3339(SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |d| d.as_secs()))
}
