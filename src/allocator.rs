//! glibc's allocator, told to give memory back: one arena, and large answers straight from the system.
//!
//! The only module with `unsafe`; other C libraries need no such settings. Measured: with its defaults glibc keeps
//! the memory of every multi-megabyte answer for ever and opens an arena for each thread.

/// Largest block that is kept for reuse; larger ones go back to the system when they are freed.
#[cfg(all(target_os = "linux", target_env = "gnu"))]
const MMAP_THRESHOLD_BYTES: libc::c_int = 128 * 1024;

/// Sets the allocator up. Called first in `main`, before any other thread runs.
pub fn set_up() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: mallopt(3) takes two integers and touches only the allocator's own settings, under its own lock; no
    // pointer is passed and none comes back. It is called before a second thread exists, which is all that its
    // manual page asks for. A setting that is refused (result 0) leaves the default in place.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, 1);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD_BYTES);
        libc::mallopt(libc::M_TRIM_THRESHOLD, MMAP_THRESHOLD_BYTES);
    }
}

/// Gives free memory back to the system. Called once after the first round of polls: from then on little is freed.
pub fn trim() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    #[allow(unsafe_code)]
    // SAFETY: malloc_trim(3) takes an integer, works under the allocator's own locks and may be called by any thread
    // at any time; memory in use is not touched.
    unsafe {
        libc::malloc_trim(0);
    }
}
