//! The network namespace (network_namespaces(7)): interfaces, addresses, routes and
//! ports of its own. A new one holds nothing but `lo`, which is down.

use crate::error::Result;
use crate::sys::namespace;

/// What a container has of the network.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Network {
    /// Its own namespace with the loopback interface only.
    None,
    /// The host's.
    Host,
}

impl Network {
    pub fn is_own(self) -> bool {
        self == Network::None
    }
}

/// Brings `lo` up, so that programs of a container can at least talk among themselves.
pub fn bring_up() -> Result<()> {
    namespace::loopback_up()
}
