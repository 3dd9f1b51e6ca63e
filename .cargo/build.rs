//! Tells the linker how to make the released binary small. Tests are left alone: they unwind.

fn main() {
    println!("cargo::rerun-if-changed=.cargo/no-unwind.ld");
    println!("cargo::rustc-check-cfg=cfg(no_backtrace)");
    let is = |name: &str, part: &str| std::env::var(name).is_ok_and(|value| value.contains(part));
    if !is("CARGO_CFG_TARGET_ENV", "musl") || !is("PROFILE", "release") {
        return;
    }
    println!("cargo::rustc-cfg=no_backtrace");
    let here = std::env::var("CARGO_MANIFEST_DIR").unwrap_or_default();
    println!("cargo::rustc-link-arg-bins=-T{here}/.cargo/no-unwind.ld");
    // Besides the tables themselves: no index of them, equal functions once, relocations packed; and our function in
    // the place of the one in libunwind (src/sys/backtrace.rs).
    for argument in ["--no-eh-frame-hdr", "--icf=all", "-zpack-relative-relocs", "-zmuldefs"] {
        println!("cargo::rustc-link-arg-bins={argument}");
    }
}
