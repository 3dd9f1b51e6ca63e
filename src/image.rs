//! Images: the nouns of the OCI image and distribution specifications.
//!
//! ```text
//! pull ─→ registry (a repository: its API, its mirrors, our way in)  ─┐
//! archive (load, import; save)                                       ─┴ origin ─→ install ─→ layer ─→ local
//! ```
//! `registry` and `archive` bring blobs; `install` makes layers of them, whoever brings them; `local` is
//! what is here then.

pub mod archive;
pub mod compression;
pub mod config;
pub mod decompressor;
pub mod digest;
pub mod gzip;
pub mod install;
pub mod json;
pub mod layer;
pub mod local;
pub mod manifest;
#[cfg(test)]
pub mod mutation;
pub mod origin;
pub mod platform;
pub mod pull;
pub mod reference;
pub mod registry;
pub mod retry;
pub mod tar;
pub mod url;
