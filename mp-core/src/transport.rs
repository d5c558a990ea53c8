//! What bytes travel over.

use std::io::{self, IoSlice};
use std::os::unix::net::UnixStream;

use rustix::buffer::spare_capacity;
use rustix::event::{PollFd, PollFlags};
use rustix::net::{RecvFlags, SendAncillaryBuffer, SendFlags};

/// A stream of bytes to and from a peer, used by one reading thread and any number of writing ones.
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

    /// Ends the stream in both directions; whoever waits on it is woken.
    fn shutdown(&self);
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

    fn recv(&self, buffer: &mut Vec<u8>) -> io::Result<usize> {
        let (_, count) = rustix::io::retry_on_intr(|| {
            rustix::net::recv(self, spare_capacity(buffer), RecvFlags::empty())
        })?;
        Ok(count)
    }

    fn shutdown(&self) {
        // It fails only if the peer was faster.
        let _ = UnixStream::shutdown(self, std::net::Shutdown::Both);
    }
}
