//! Files that appear complete or not at all.

use std::path::Path;

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
    file
}
