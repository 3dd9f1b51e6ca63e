//! Commands about images.

pub mod history;
pub mod images;
pub mod import;
pub mod inspect;
pub mod load;
pub mod prune;
pub mod pull;
pub mod rmi;
pub mod save;
pub mod selection;
pub mod tag;
