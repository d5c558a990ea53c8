//! One connection.

use super::traffic::{Traffic, count};
use super::{Opened, Shared, SocketEvent};
use crate::net::message::{Command, Message};
use crate::net::{Frames, MAX_PAYLOAD};
use std::io;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::net::TcpStream;
use tokio::sync::{Notify, Semaphore, mpsc};

/// Bytes that may wait to be sent, whatever they are, beyond the buffer that counts as congested.
const MAX_UNSENT: usize = 8 * MAX_PAYLOAD;
/// How long what waits may take to be sent when a connection is ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes read at a time.
const READ: usize = 64 * 1024;

/// Who made the connection.
pub(super) enum Side {
    /// This node, for what the user wrote.
    Ours(String),
    /// The peer.
    Theirs,
}

enum Outgoing {
    Bytes(Command, Vec<u8>),
    End,
}

/// What others hold of a connection.
pub(super) struct Link {
    inbound: bool,
    outgoing: mpsc::UnboundedSender<Outgoing>,
    unsent: AtomicUsize,
    congested: AtomicBool,
    /// Bytes that may be read before some are worked on.
    room: Semaphore,
    kill: Notify,
    closing: Notify,
    traffic: Mutex<Traffic>,
}

impl Link {
    pub(super) fn is_inbound(&self) -> bool {
        self.inbound
    }

    fn lock(&self) -> MutexGuard<'_, Traffic> {
        // Figures only: whatever a panic left is as good.
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.lock().clone()
    }

    /// Adds to what waits to be sent; says whether that just became much.
    pub(super) fn queue(&self, command: Command, bytes: Vec<u8>, much: usize) -> bool {
        let size = bytes.len();
        let unsent = self.unsent.fetch_add(size, Ordering::AcqRel) + size;
        if unsent > MAX_UNSENT.saturating_add(much) {
            self.kill.notify_one();
            return false;
        }
        // Without a receiver the connection is ending.
        let _ = self.outgoing.send(Outgoing::Bytes(command, bytes));
        unsent > much && !self.congested.swap(true, Ordering::AcqRel)
    }

    pub(super) fn close(&self) {
        // Without a receiver it is ending already.
        let _ = self.outgoing.send(Outgoing::End);
        self.closing.notify_one();
    }

    pub(super) fn give_back(&self, bytes: usize) {
        self.room.add_permits(bytes);
    }
}

/// Carries messages both ways until either end is done.
pub(super) async fn run(shared: Arc<Shared>, stream: TcpStream, side: Side) {
    let Ok(address) = stream.peer_addr() else {
        // It broke before it began.
        return;
    };
    // Small messages should not wait for more; without this they do, and no harm is done.
    let _ = stream.set_nodelay(true);
    let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
    let (outgoing, queue) = mpsc::unbounded_channel();
    let target = match side {
        Side::Ours(target) => Some(target),
        Side::Theirs => None,
    };
    let link = Arc::new(Link {
        inbound: target.is_none(),
        outgoing,
        unsent: AtomicUsize::new(0),
        congested: AtomicBool::new(false),
        room: Semaphore::new(shared.options.max_receive_buffer),
        kill: Notify::new(),
        closing: Notify::new(),
        traffic: Mutex::new(Traffic {
            local: stream.local_addr().ok(),
            ..Traffic::default()
        }),
    });
    shared.links().insert(id, Arc::clone(&link));
    let address = canonical(address);
    (shared.on_event)(SocketEvent::Opened(Opened {
        id,
        address,
        target,
    }));
    let reason = tokio::select! {
        result = receive(&shared, &stream, &link, id) => result.err(),
        result = transmit(&shared, &stream, &link, queue, id) => result.err(),
        () = link.kill.notified() => None,
        // A peer that does not read must not keep the connection.
        () = async {
            link.closing.notified().await;
            tokio::time::sleep(LAST_WORDS).await;
        } => None,
    };
    if let Some(reason) = reason {
        tracing::debug!(target: "net", "socket closed: {reason}, peer={id}");
    }
    shared.links().remove(&id);
    (shared.on_event)(SocketEvent::Closed { id });
}

/// An IPv4 address written as IPv6 is an IPv4 address.
fn canonical(address: SocketAddr) -> SocketAddr {
    SocketAddr::new(address.ip().to_canonical(), address.port())
}

async fn receive(shared: &Shared, stream: &TcpStream, link: &Link, id: u64) -> io::Result<()> {
    let mut frames = Frames::new(shared.options.magic);
    let mut buffer = vec![0; READ];
    loop {
        stream.readable().await?;
        let read = match stream.try_read(&mut buffer) {
            Ok(0) => return Ok(()),
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        shared.totals.add_received(read);
        {
            let mut traffic = link.lock();
            traffic.bytes_received += read as u64;
            traffic.last_received = Some(SystemTime::now());
        }
        frames.push(&buffer[..read]);
        loop {
            let frame = match frames.next_frame() {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(target: "net", "{error}, peer={id}");
                    if error.is_fatal() {
                        return Ok(());
                    }
                    continue;
                }
            };
            let bytes = frame.wire_len;
            count(&mut link.lock().received, frame.command.as_str(), bytes);
            // A message larger than the whole buffer takes all of it.
            let share = bytes.min(shared.options.max_receive_buffer);
            let share = u32::try_from(share).unwrap_or(u32::MAX);
            match link.room.acquire_many(share).await {
                Ok(permit) => permit.forget(),
                // Nobody closes it.
                Err(_) => return Ok(()),
            }
            tracing::debug!(
                target: "net",
                "received: {} ({} bytes) peer={id}",
                frame.command,
                frame.payload.len()
            );
            (shared.on_event)(SocketEvent::Message {
                id,
                message: Message::decode(frame.command, &frame.payload),
                bytes: share as usize,
            });
        }
    }
}

async fn transmit(
    shared: &Shared,
    stream: &TcpStream,
    link: &Link,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    id: u64,
) -> io::Result<()> {
    while let Some(item) = queue.recv().await {
        let Outgoing::Bytes(command, bytes) = item else {
            return Ok(());
        };
        tracing::debug!(
            target: "net",
            "sending {command} ({} bytes) peer={id}",
            bytes.len().saturating_sub(crate::net::frame::HEADER)
        );
        count(&mut link.lock().sent, command.as_str(), bytes.len());
        write_all(shared, stream, link, &bytes).await?;
        let left = link.unsent.fetch_sub(bytes.len(), Ordering::AcqRel) - bytes.len();
        if left <= shared.options.max_send_buffer && link.congested.swap(false, Ordering::AcqRel) {
            (shared.on_event)(SocketEvent::Congested {
                id,
                congested: false,
            });
        }
    }
    Ok(())
}

async fn write_all(
    shared: &Shared,
    stream: &TcpStream,
    link: &Link,
    mut bytes: &[u8],
) -> io::Result<()> {
    while !bytes.is_empty() {
        stream.writable().await?;
        let written = match stream.try_write(bytes) {
            Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
            Ok(written) => written,
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => continue,
            Err(error) => return Err(error),
        };
        bytes = &bytes[written..];
        shared.totals.add_sent(written);
        let mut traffic = link.lock();
        traffic.bytes_sent += written as u64;
        traffic.last_sent = Some(SystemTime::now());
    }
    Ok(())
}
