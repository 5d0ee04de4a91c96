//! What systemd is told of a platform (`sd_notify(3)`), if it asks: when it is ready, when it ends, and,
//! again and again, that it runs.

use std::os::unix::net::UnixDatagram;
use std::time::Duration;

use tokio::time::sleep;

/// The names in the environment that processes which are started here do not get.
pub(super) const OF_SYSTEMD: [&str; 6] = [
    "NOTIFY_SOCKET",
    "WATCHDOG_USEC",
    "WATCHDOG_PID",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_FDNAMES",
];

/// Tells systemd.
pub(super) struct Notify(Option<UnixDatagram>);

impl Notify {
    /// Whoever asked by `NOTIFY_SOCKET`; nobody, if nobody did.
    pub(super) fn of_env() -> Self {
        let socket = std::env::var_os("NOTIFY_SOCKET").and_then(|address| {
            let socket = UnixDatagram::unbound().ok()?;
            let connected = connect(&socket, &address).inspect_err(|error| {
                tracing::warn!(%error, "`NOTIFY_SOCKET` cannot be told anything");
            });
            connected.ok().map(|()| socket)
        });
        Self(socket)
    }

    /// It serves.
    pub(super) fn ready(&self) {
        self.tell("READY=1\nSTATUS=serving");
    }

    /// Its processes are being replaced, while it serves.
    pub(super) fn reloading(&self) {
        self.tell("STATUS=replacing its processes");
    }

    /// It ends.
    pub(super) fn stopping(&self) {
        self.tell("STOPPING=1\nSTATUS=finishing what runs");
    }

    /// Says that it runs, as often as is asked for; for ever.
    pub(super) async fn keep_alive(&self) {
        let asked = std::env::var("WATCHDOG_USEC").ok().and_then(|it| it.parse().ok());
        let Some(us) = asked.filter(|us| *us > 0) else { return std::future::pending().await };
        let pace = Duration::from_micros(us) / 2;
        loop {
            self.tell("WATCHDOG=1");
            sleep(pace).await;
        }
    }

    fn tell(&self, text: &str) {
        if let Some(socket) = &self.0 {
            let _ = socket.send(text.as_bytes());
        }
    }
}

#[cfg(target_os = "linux")]
fn connect(socket: &UnixDatagram, address: &std::ffi::OsStr) -> std::io::Result<()> {
    use std::os::linux::net::SocketAddrExt as _;
    use std::os::unix::ffi::OsStrExt as _;
    use std::os::unix::net::SocketAddr;
    match address.as_bytes().strip_prefix(b"@") {
        Some(name) => socket.connect_addr(&SocketAddr::from_abstract_name(name)?),
        None => socket.connect(address),
    }
}

#[cfg(not(target_os = "linux"))]
fn connect(socket: &UnixDatagram, address: &std::ffi::OsStr) -> std::io::Result<()> {
    socket.connect(address)
}
