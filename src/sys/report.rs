//! The place that every system call of a start returns through, so that each can be reported.
//!
//! `ccrun run --explain` listens here. Without a listener a call costs one branch more.

use std::fmt::Arguments;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, Ordering};

/// A system call that has returned, or that is about to be made and will not return.
pub struct Call<'a> {
    /// The name and the arguments, as strace(1) prints them.
    pub text: Arguments<'a>,
    /// The value that it returned; `None` for execve(2) before it is made.
    pub value: Option<i64>,
    /// Why it failed, or 0.
    pub errno: i32,
}

/// Receives each call of this process and of its clones; must make no call of this module's users.
pub type Listener = fn(&Call<'_>);

static LISTENER: OnceLock<Listener> = OnceLock::new();
static IS_ON: AtomicBool = AtomicBool::new(false);

/// Names the listener; the first one stays.
pub fn listen(listener: Listener) {
    let _ = LISTENER.set(listener);
}

/// Begins or ends the reports of this process. A clone goes on as its parent did.
pub fn switch(on: bool) {
    IS_ON.store(on && LISTENER.get().is_some(), Ordering::Relaxed);
}

/// Whether calls are reported now.
pub fn is_on() -> bool {
    IS_ON.load(Ordering::Relaxed)
}

/// Reports a call that has returned.
#[inline]
pub(super) fn call(text: Arguments<'_>, value: i64, errno: i32) {
    if is_on() {
        tell(&Call { text, value: Some(value), errno });
    }
}

/// Reports a call that cannot fail, and returns its value.
#[inline]
pub(super) fn infallible<T: Copy + Into<i64>>(value: T, text: Arguments<'_>) -> T {
    call(text, value.into(), 0);
    value
}

/// Reports a call that returns only when it has failed.
pub(super) fn last_call(text: Arguments<'_>) {
    if is_on() {
        tell(&Call { text, value: None, errno: 0 });
    }
}

#[cold]
fn tell(call: &Call<'_>) {
    if let Some(listener) = LISTENER.get() {
        listener(call);
    }
}
