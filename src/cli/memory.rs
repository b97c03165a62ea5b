//! What a refusal of memory by the system becomes: one line, and the exit code that stands for it.

use std::alloc::{GlobalAlloc, Layout, System};
use std::io::Write;

use super::exit::{Exit, end};

/// The system's allocator, but that a request which it refuses (`ulimit -v`, a system that does not overcommit) ends the
/// process with exit code 5 instead of an abort. A run goes on from what it has committed, as after any other sudden end.
pub struct Allocator;

// SAFETY: every call is handed to the system's allocator as it came, and what that returns is returned, unless it is null.
unsafe impl GlobalAlloc for Allocator {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        granted(unsafe { System.alloc(layout) }, layout.size())
    }
    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        granted(unsafe { System.alloc_zeroed(layout) }, layout.size())
    }
    unsafe fn realloc(&self, memory: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        granted(unsafe { System.realloc(memory, layout, size) }, size)
    }
    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        unsafe { System.dealloc(memory, layout) }
    }
}

/// Returns free memory to the system, between parts of a run that need different things.
pub fn give_back() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: it may be called at any time, by any thread.
    unsafe {
        libc::malloc_trim(0);
    }
}

#[inline]
fn granted(memory: *mut u8, bytes: usize) -> *mut u8 {
    if memory.is_null() {
        refused(bytes);
    }
    memory
}

/// There is no memory left to format the line in, nor may a lock be waited for.
#[cold]
fn refused(bytes: usize) -> ! {
    let mut line = [0; 256];
    let mut rest = &mut line[..];
    let _ = writeln!(
        rest,
        "error: out of memory: the system refused {bytes} bytes; what a run has committed is not lost: run the same command \
         again with more memory, or with fewer --jobs"
    );
    let unused = rest.len();
    let length = line.len() - unused;
    #[cfg(unix)]
    // SAFETY: the pointer and the length are those of the line.
    unsafe {
        libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), length);
    }
    #[cfg(not(unix))]
    let _ = std::io::stderr().write_all(&line[..length]);
    end(Exit::Device)
}
