//! What bytes travel over.

use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream;
use std::time::Instant;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

#[cfg(target_os = "linux")]
mod epoll;
mod memory;

pub use memory::{Memory, memory};

/// A stream of bytes to and from a peer, used by any number of writing threads and by one reading thread at a time.
pub trait Transport: Send + Sync + 'static {
    /// Sends what can be sent without waiting, and says how much.
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when that is nothing.
    fn try_send(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize>;

    /// Waits until more can be sent, or the stream is shut down.
    ///
    /// # Errors
    /// When waiting is not possible.
    fn wait_writable(&self) -> io::Result<()>;

    /// Waits for bytes and appends what fits into the buffer's spare capacity. Zero means the peer has ended the
    /// stream.
    ///
    /// # Errors
    /// When the stream is broken.
    fn recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize>;

    /// As [`recv`](Self::recv), without waiting. Needed of transports that have a [`readiness`](Self::readiness).
    ///
    /// # Errors
    /// [`io::ErrorKind::WouldBlock`] when there is nothing to receive.
    fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let _ = buffer;
        Err(io::ErrorKind::Unsupported.into())
    }

    /// Where several threads can wait for bytes at once. A caller then receives its reply itself, which spares it being
    /// woken by another thread. `None`, which is the default, leaves receiving to one thread of the connection's own.
    fn readiness(&self) -> Option<Box<dyn Readiness>> {
        None
    }

    /// The user id of the process on the other side, from a source that the peer cannot influence; `None` where
    /// there is no such source.
    ///
    /// # Errors
    /// When the system cannot be asked.
    fn peer_user(&self) -> io::Result<Option<u32>> {
        Ok(None)
    }

    /// Ends the stream in both directions; whoever waits on it is woken.
    fn shutdown(&self);
}

/// Who waits at a [`Readiness`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Role {
    /// A thread that receives while it waits for something of its own. There is one at most.
    Guest,
    /// The connection's own thread, which receives what no guest waits for.
    Keeper,
}

/// Where threads wait until a transport has something to receive.
///
/// What is waited for is a state, not a change: whoever comes while bytes are there need not wait. Bytes that come
/// while a guest waits need wake only the guest; bytes that come while none waits wake the keeper. So does the end of
/// the stream, which may wake both. Waking one too many costs time, waking none stops the connection.
pub trait Readiness: Send + Sync + 'static {
    /// Waits until there may be something to receive, until [`wake`](Self::wake) was called for this role since its
    /// last wait ended, or `until`.
    ///
    /// # Errors
    /// When waiting is not possible.
    fn wait(&self, role: Role, until: Option<Instant>) -> io::Result<()>;

    /// Ends the wait of `role`, or the next one if it does not wait now.
    fn wake(&self, role: Role);
}

impl Transport for UnixStream {
    fn try_send(&self, bytes: &[IoSlice<'_>]) -> io::Result<usize> {
        let flags = SendFlags::DONTWAIT | SendFlags::NOSIGNAL;
        let sent = rustix::io::retry_on_intr(|| match bytes {
            [only] => rustix::net::send(self, only, flags),
            _ => rustix::net::sendmsg(self, bytes, &mut SendAncillaryBuffer::default(), flags),
        })?;
        Ok(sent)
    }

    fn wait_writable(&self) -> io::Result<()> {
        let mut fds = [PollFd::new(self, PollFlags::OUT)];
        rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
        Ok(())
    }

    /// Waits by `poll`, not by `recv`: Linux wakes who sleeps in the latter also whenever the peer has taken what was
    /// sent, which would be once for every message.
    fn recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        loop {
            let mut fds = [PollFd::new(self, PollFlags::IN)];
            rustix::io::retry_on_intr(|| rustix::event::poll(&mut fds, None))?;
            match self.try_recv(buffer) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                received => return received,
            }
        }
    }

    fn try_recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let (_, count) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(self, spare_capacity(buffer), RecvFlags::DONTWAIT)
        })?;
        Ok(count)
    }

    #[cfg(target_os = "linux")]
    fn readiness(&self) -> Option<Box<dyn Readiness>> {
        // Without the descriptors that it takes, or on an old kernel, one thread receives.
        let epoll = epoll::Epoll::new(self).ok()?;
        Some(Box::new(epoll))
    }

    #[cfg(target_os = "linux")]
    fn peer_user(&self) -> io::Result<Option<u32>> {
        peer_credentials(self).map(|credentials| Some(credentials.uid))
    }

    fn shutdown(&self) {
        // It fails only if the peer was faster.
        let _ = UnixStream::shutdown(self, std::net::Shutdown::Both);
    }
}

/// Whose process opened the other end: for a socket with a path, who called `connect` or `listen`; for a socket pair,
/// who made it. The process id may be 0, for a process of another namespace, which rustix's type cannot hold.
#[cfg(target_os = "linux")]
fn peer_credentials(socket: &UnixStream) -> io::Result<libc::ucred> {
    use std::os::fd::AsRawFd;

    let mut credentials = libc::ucred {
        pid: 0,
        uid: 0,
        gid: 0,
    };
    let mut size = size_of::<libc::ucred>() as libc::socklen_t;
    #[allow(unsafe_code)]
    // SAFETY: the descriptor is open for as long as `socket` is borrowed; the kernel writes no more than `size` bytes,
    // which is the size of what it is given, and any bytes are a valid `ucred`.
    let result = unsafe {
        libc::getsockopt(
            socket.as_raw_fd(),
            libc::SOL_SOCKET,
            libc::SO_PEERCRED,
            (&raw mut credentials).cast(),
            &raw mut size,
        )
    };
    if result == 0 {
        Ok(credentials)
    } else {
        Err(io::Error::last_os_error())
    }
}
