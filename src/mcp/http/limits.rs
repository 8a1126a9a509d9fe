//! How much a server takes on at once, and how long it waits; a caller beyond that is told at once.

use std::time::Duration;

/// The bounds of a server.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections open at once.
    pub connections: usize,
    /// How long a client may take to send the head of a request, or to send the next one.
    ///
    /// Longer than proxies keep an idle connection, which close it first then.
    pub header_time: Duration,
    /// How long calls that were answered may take to reach their clients when the server ends.
    pub farewell: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 1_024,
            header_time: Duration::from_secs(75),
            farewell: Duration::from_secs(2),
        }
    }
}
