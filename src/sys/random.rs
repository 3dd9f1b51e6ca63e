//! Random numbers: getrandom(2).

use super::returned;
use crate::error::{Error, Result};

/// getrandom(2): bytes that nobody can guess. Up to 256 of them come whole, and without waiting once the machine has
/// begun to collect some.
pub fn getrandom<const N: usize>() -> Result<[u8; N]> {
    let mut bytes = [0; N];
    // SAFETY: the pointer and the length are of one array, which is ours to write.
    let size = unsafe { libc::syscall(libc::SYS_getrandom, bytes.as_mut_ptr(), N, 0) };
    let size = returned(size, format_args!("getrandom({N} bytes)"))?;
    if size as usize == N { Ok(bytes) } else { Err(Error::call("getrandom", libc::EAGAIN)) }
}
