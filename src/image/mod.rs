//! Images: the nouns of the OCI image and distribution specifications.

pub mod archive;
pub mod auth;
pub mod compression;
pub mod config;
pub mod credentials;
pub mod curl;
pub mod digest;
pub mod download;
pub mod endpoint;
pub mod gzip;
pub mod http_date;
pub mod install;
pub mod json;
pub mod layer;
pub mod local;
pub mod manifest;
pub mod mirrors;
#[cfg(test)]
pub mod mutation;
pub mod origin;
pub mod partial;
pub mod platform;
pub mod progress;
pub mod pull;
pub mod reference;
pub mod refusal;
pub mod registry;
pub mod retry;
pub mod source;
pub mod tags;
pub mod tar;
pub mod unpacker;
pub mod url;
pub mod workers;
pub mod zstd;
