//! What systemd is told of this process, where a unit of it asks: that it is ready, and that it
//! goes on.

use std::env;
use std::os::unix::net::UnixDatagram;

pub(crate) fn say(state: &str) {
    let Some(socket) = env::var_os("NOTIFY_SOCKET") else {
        return;
    };
    let sent =
        UnixDatagram::unbound().and_then(|datagram| datagram.send_to(state.as_bytes(), socket));
    if let Err(error) = sent {
        tracing::warn!(%error, state, "systemd cannot be told");
    }
}
