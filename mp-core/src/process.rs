//! Starting the other process.
//!
//! [`spawn`] starts a program at the far end of a socket pair and tells it which descriptor that is; the program calls
//! [`from_fd`] with the number. Nothing else is inherited: the standard library opens every descriptor close-on-exec,
//! and the child has all others above 2 closed as well when the program starts, so not even a careless library's
//! descriptors get there. When either process ends, the other sees the stream end.

use std::ffi::OsStr;
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::net::UnixStream;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use crate::error::Error;

/// The option that tells a spawned program its descriptor, in the spelling of Bitcoin Core.
pub const FD_OPTION: &str = "-ipcfd";

/// A process that was spawned. Dropping this neither ends it nor waits for it; the end of the connection tells it to
/// go.
#[derive(Debug)]
pub struct Spawned {
    child: Child,
}

impl Spawned {
    /// The process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// Waits for the process to end.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn wait(&mut self) -> Result<ExitStatus, Error> {
        self.child
            .wait()
            .map_err(|error| Error::io("cannot wait for process", error))
    }

    /// Waits for the process to end, but no longer than `limit`.
    ///
    /// # Errors
    /// [`Error::Timeout`] when it has not ended by then.
    pub fn wait_within(&mut self, limit: Duration) -> Result<ExitStatus, Error> {
        let mut status = self.try_wait()?;
        if status.is_none() {
            self.wait_exit(limit)?;
            status = self.try_wait()?;
        }
        status.ok_or(Error::Timeout)
    }

    fn try_wait(&mut self) -> Result<Option<ExitStatus>, Error> {
        self.child
            .try_wait()
            .map_err(|error| Error::io("cannot wait for process", error))
    }

    /// Waits until the process ended, or `limit`.
    #[cfg(target_os = "linux")]
    fn wait_exit(&self, limit: Duration) -> Result<(), Error> {
        use rustix::event::{PollFd, PollFlags, Timespec, poll};
        use rustix::process::{Pid, PidfdFlags, pidfd_open};

        let failed = |error| Error::io("cannot wait for process", error);
        let process =
            pidfd_open(Pid::from_child(&self.child), PidfdFlags::empty()).map_err(failed)?;
        let until = Instant::now() + limit;
        loop {
            let left = until.saturating_duration_since(Instant::now());
            let timeout = Timespec::try_from(left)
                .map_err(|_| Error::Local("time to wait is too long".to_owned()))?;
            match poll(&mut [PollFd::new(&process, PollFlags::IN)], Some(&timeout)) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(failed(error)),
            }
        }
    }

    /// Waits until the process ended, or `limit`.
    #[cfg(not(target_os = "linux"))]
    fn wait_exit(&mut self, limit: Duration) -> Result<(), Error> {
        let until = Instant::now() + limit;
        while Instant::now() < until && self.try_wait()?.is_none() {
            std::thread::sleep(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Kills the process.
    ///
    /// # Errors
    /// When the system refuses.
    pub fn kill(&mut self) -> Result<(), Error> {
        self.child
            .kill()
            .map_err(|error| Error::io("cannot kill process", error))
    }
}

/// Starts `exe` with `args` and then `-ipcfd N`, and gives this side's end of the stream to it.
///
/// The program's standard input is empty; its standard output and error are this process's. It is to end when the
/// stream does.
///
/// # Errors
/// [`Error::Io`] when the pair or the process cannot be made.
pub fn spawn(
    exe: impl AsRef<OsStr>,
    args: impl IntoIterator<Item = impl AsRef<OsStr>>,
) -> Result<(Spawned, UnixStream), Error> {
    let mut command = Command::new(exe);
    command.args(args);
    spawn_command(command)
}

/// As [`spawn`], with an environment or directory of the caller's choice.
///
/// # Errors
/// As [`spawn`].
pub fn spawn_command(mut command: Command) -> Result<(Spawned, UnixStream), Error> {
    let (ours, theirs) =
        UnixStream::pair().map_err(|error| Error::io("cannot make a socket pair", error))?;
    let fd = theirs.as_raw_fd();
    command
        .arg(FD_OPTION)
        .arg(fd.to_string())
        .stdin(Stdio::null());
    #[allow(unsafe_code)]
    // SAFETY: the closure runs in the child between fork and exec, where only async-signal-safe calls are allowed. It
    // makes system calls alone, and neither allocates nor locks.
    unsafe {
        command.pre_exec(move || prepare_child(fd));
    }
    let child = command
        .spawn()
        .map_err(|error| Error::io("cannot start process", error))?;
    drop(theirs);
    Ok((Spawned { child }, ours))
}

/// Leaves the child only its standard streams and `fd`. Marks descriptors instead of closing them: the standard
/// library needs one of its own until the program starts.
///
/// The child is not asked to die with its parent (`PR_SET_PDEATHSIG`): that means the parent's thread, and the thread
/// that spawns need not outlive the child. The end of the stream tells it.
fn prepare_child(fd: RawFd) -> io::Result<()> {
    close_others_on_exec();
    #[allow(unsafe_code)]
    // SAFETY: the descriptor is open: the parent keeps it until the child has started.
    let fd = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    Ok(rustix::io::fcntl_setfd(fd, rustix::io::FdFlags::empty())?)
}

/// Marks every descriptor above 2 to be closed when the program starts. A kernel too old for it (before Linux 5.11)
/// leaves what the standard library does: every descriptor that Rust opens is so marked from the start.
#[cfg(target_os = "linux")]
fn close_others_on_exec() {
    #[allow(unsafe_code)]
    // SAFETY: the call takes numbers only and marks descriptors of this process, which is about to become another
    // program.
    unsafe {
        libc::syscall(
            libc::SYS_close_range,
            3,
            libc::c_uint::MAX,
            libc::CLOSE_RANGE_CLOEXEC,
        );
    }
}

/// Elsewhere descriptors are close-on-exec as they were opened.
#[cfg(not(target_os = "linux"))]
fn close_others_on_exec() {}

/// The stream to the parent, in a program started by [`spawn`]. Takes the descriptor over; call it once.
///
/// # Errors
/// [`Error::Io`] when `fd` is no open stream socket, or is one of the standard streams.
pub fn from_fd(fd: RawFd) -> Result<UnixStream, Error> {
    const WHAT: &str = "invalid -ipcfd descriptor";
    if fd <= 2 {
        return Err(Error::io(
            WHAT,
            io::Error::from(io::ErrorKind::InvalidInput),
        ));
    }
    #[allow(unsafe_code)]
    // SAFETY: the number is used for nothing but asking the system what it is. If it is not open, the system says so.
    let borrowed = unsafe { std::os::fd::BorrowedFd::borrow_raw(fd) };
    let kind =
        rustix::net::sockopt::socket_type(borrowed).map_err(|error| Error::io(WHAT, error))?;
    if kind != rustix::net::SocketType::STREAM {
        return Err(Error::io(
            WHAT,
            io::Error::from(io::ErrorKind::InvalidInput),
        ));
    }
    // Programs that this one starts must not inherit it.
    rustix::io::fcntl_setfd(borrowed, rustix::io::FdFlags::CLOEXEC)
        .map_err(|error| Error::io(WHAT, error))?;
    #[allow(unsafe_code)]
    // SAFETY: it is an open socket, made by the parent for this process, and by the contract of this function nobody
    // else took it.
    let owned = unsafe { OwnedFd::from_raw_fd(fd) };
    Ok(UnixStream::from(owned))
}
