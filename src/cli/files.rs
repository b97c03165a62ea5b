//! Files that appear complete or not at all.

use std::fs::File;
use std::path::Path;

use super::exit::{Exit, Failure};

/// Fails where there is no directory, as the one that a run was written to.
pub fn expect_directory(path: &Path) -> Result<(), Failure> {
    let wrong = match path.metadata() {
        Ok(found) if found.is_dir() => return Ok(()),
        Ok(_) => "is a file; name the directory of the run".to_string(),
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => "there is no such directory".to_string(),
        Err(e) => e.to_string(),
    };
    Err(Failure::usage(format!("{}: {wrong}", path.display())))
}

/// A temporary file beside `path`, to be renamed to it. It has the permissions of any new file (by itself `tempfile` keeps
/// others from reading it).
pub fn temporary_for(path: &Path) -> std::io::Result<tempfile::NamedTempFile> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    #[cfg(unix)]
    let file = {
        use std::os::unix::fs::PermissionsExt;
        tempfile::Builder::new().permissions(std::fs::Permissions::from_mode(0o666)).tempfile_in(parent)
    };
    #[cfg(not(unix))]
    let file = tempfile::NamedTempFile::new_in(parent);
    // Its name would tell nobody anything: the cause alone.
    file.map_err(|e| match e.get_ref().and_then(|named| named.source()) {
        Some(cause) => std::io::Error::new(e.kind(), cause.to_string()),
        None => e,
    })
}

/// Writes a file that appears complete or not at all; a device such as /dev/null is written as it is, because a rename would
/// put a file in its place.
pub fn write_whole(path: &Path, write: impl FnOnce(&mut File) -> std::io::Result<()>) -> Result<(), Failure> {
    let written = if path.metadata().is_ok_and(|m| !m.is_file()) {
        File::options().write(true).open(path).and_then(|mut device| write(&mut device))
    } else {
        temporary_for(path).and_then(|mut file| {
            write(file.as_file_mut())?;
            file.persist(path).map(drop).map_err(|e| e.error)
        })
    };
    written.map_err(|e| Failure::new(Exit::Disk, format!("cannot write {}: {e}", path.display())))
}
