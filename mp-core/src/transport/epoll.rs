//! Waiting for a socket in two places, of which the kernel wakes one.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Instant;

use rustix::event::{EventfdFlags, Timespec, epoll, eventfd};

use super::{Readiness, Role};

/// A place to wait for a guest and one for the keeper.
///
/// Both wait for the socket exclusively. The kernel then asks them in the order in which they came, and stops at the
/// first at which somebody waits. The guest's place came first; so the keeper sleeps on while a guest is there, and is
/// woken as soon as none is, with nobody having to tell it.
pub(super) struct Epoll {
    guest: Place,
    keeper: Place,
}

struct Place {
    epoll: OwnedFd,
    /// Woken by hand.
    bell: OwnedFd,
}

const SOCKET: u64 = 0;
const BELL: u64 = 1;

impl Epoll {
    pub(super) fn new(socket: impl AsFd) -> io::Result<Self> {
        let socket = socket.as_fd();
        let place = || -> rustix::io::Result<Place> {
            let place = Place {
                epoll: epoll::create(epoll::CreateFlags::CLOEXEC)?,
                bell: eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?,
            };
            let exclusively = epoll::EventFlags::IN | epoll::EventFlags::EXCLUSIVE;
            let (socket_data, bell_data) = (
                epoll::EventData::new_u64(SOCKET),
                epoll::EventData::new_u64(BELL),
            );
            epoll::add(&place.epoll, socket, socket_data, exclusively)?;
            epoll::add(&place.epoll, &place.bell, bell_data, epoll::EventFlags::IN)?;
            Ok(place)
        };
        let guest = place()?;
        Ok(Self {
            guest,
            keeper: place()?,
        })
    }

    fn place(&self, role: Role) -> &Place {
        match role {
            Role::Guest => &self.guest,
            Role::Keeper => &self.keeper,
        }
    }
}

impl Readiness for Epoll {
    fn wait(&self, role: Role, until: Option<Instant>) -> io::Result<()> {
        let place = self.place(role);
        let nothing = epoll::Event {
            flags: epoll::EventFlags::empty(),
            data: epoll::EventData::new_u64(SOCKET),
        };
        let mut events = [nothing; 2];
        let count = rustix::io::retry_on_intr(|| {
            let left = until.map(|until| {
                let left = until.saturating_duration_since(Instant::now());
                // Whole milliseconds, which every kernel can wait for, and never too few.
                let millis = left.as_millis().saturating_add(1).min(i32::MAX as u128) as i64;
                Timespec {
                    tv_sec: millis / 1000,
                    tv_nsec: millis % 1000 * 1_000_000,
                }
            });
            epoll::wait(&place.epoll, &mut events, left.as_ref())
        })?;
        if events[..count].iter().any(|event| event.data.u64() == BELL) {
            // Nothing but the count is read; if there is none, another wait has read it.
            let _ = rustix::io::read(&place.bell, &mut [0; 8]);
        }
        Ok(())
    }

    fn wake(&self, role: Role) {
        // It fails only when it is rung already, more often than can be counted.
        let _ = rustix::io::write(&self.place(role).bell, &1_u64.to_ne_bytes());
    }
}
