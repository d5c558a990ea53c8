//! One connection.

use super::backlog::Backlog;
use super::capture::{Capture, Direction};
use super::traffic::{Traffic, count};
use super::{HandshakeStep, Opened, Origin, Shared, SocketEvent};
use crate::net::address::Endpoint;
use crate::net::dial::Stream;
use crate::net::frame::HEADER;
use crate::net::message::{Command, Message};
use crate::net::transport::Kind;
use crate::net::{MAX_PAYLOAD, Transport};
use std::collections::VecDeque;
use std::io;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, SystemTime};
use tokio::sync::{Notify, Semaphore, mpsc};

/// Bytes that may wait to be sent, whatever they are, beyond the buffer that counts as congested.
const MAX_UNSENT: usize = 8 * MAX_PAYLOAD;
/// How long what waits may take to be sent when a connection is ended.
const LAST_WORDS: Duration = Duration::from_secs(1);
/// Bytes read at a time.
const READ: usize = 64 * 1024;

enum Outgoing {
    Message(Command, Vec<u8>),
    End,
}

impl Outgoing {
    fn message(self) -> Option<(Command, Vec<u8>)> {
        match self {
            Self::Message(command, payload) => Some((command, payload)),
            Self::End => None,
        }
    }
}

/// What is to be done when a connection is over.
pub(super) enum After {
    /// Nothing.
    Rest,
    /// Try once more without encryption: the peer said nothing to a key.
    RetryV1,
}

/// What others hold of a connection.
pub(super) struct Link {
    outgoing: mpsc::UnboundedSender<Outgoing>,
    unsent: Backlog,
    /// Bytes that may be read before some are worked on.
    room: Semaphore,
    kill: Notify,
    closing: Notify,
    transport: Mutex<Transport>,
    /// The handshake has something to send, or is over.
    shaken: Notify,
    capture: Option<Capture>,
    traffic: Mutex<Traffic>,
}

impl Link {
    fn lock(&self) -> MutexGuard<'_, Traffic> {
        // Figures only: whatever a panic left is as good.
        self.traffic.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn traffic(&self) -> Traffic {
        self.lock().clone()
    }

    fn transport(&self) -> MutexGuard<'_, Transport> {
        // What a panic left undone is noticed by the peer, which ends the connection.
        self.transport
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds to what waits to be sent, and has `tell` say it if that became much.
    pub(super) fn queue(
        &self,
        command: Command,
        payload: Vec<u8>,
        much: usize,
        tell: impl FnOnce(bool),
    ) {
        let unsent = self.unsent.add(size_of_message(&payload));
        if unsent > MAX_UNSENT.saturating_add(much) {
            self.kill.notify_one();
            return;
        }
        // Without a receiver the connection is ending.
        let _ = self.outgoing.send(Outgoing::Message(command, payload));
        self.unsent.tell_change(much, tell);
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

/// What a message that waits counts for; its size on the wire is known only when it is sent.
fn size_of_message(payload: &[u8]) -> usize {
    HEADER + payload.len()
}

/// Carries messages both ways until either end is done. That the connection is open is told before this returns, not
/// only once the future runs: so the next who knocks finds it counted.
pub(super) fn run(
    shared: Arc<Shared>,
    stream: Stream,
    address: Endpoint,
    origin: Origin,
    v2: bool,
) -> impl Future<Output = After> + Send + 'static {
    // Small messages should not wait for more; without this they do, and no harm is done.
    let _ = stream.set_nodelay();
    let id = shared.next_id.fetch_add(1, Ordering::Relaxed);
    let (outgoing, queue) = mpsc::unbounded_channel();
    let magic = shared.options.magic;
    let transport = match origin {
        Origin::Attempt(_) if v2 => Transport::initiate_v2(magic),
        Origin::Listener(_) if v2 => Transport::accept(magic),
        Origin::Attempt(_) | Origin::Listener(_) => Transport::v1(magic),
    };
    let link = Arc::new(Link {
        outgoing,
        unsent: Backlog::default(),
        room: Semaphore::new(shared.options.max_receive_buffer),
        kill: Notify::new(),
        closing: Notify::new(),
        traffic: Mutex::new(Traffic {
            local: stream.local_addr(),
            transport: transport.kind(),
            ..Traffic::default()
        }),
        transport: Mutex::new(transport),
        shaken: Notify::new(),
        capture: (shared.options.capture.as_deref()).map(|folder| Capture::new(folder, address)),
    });
    shared.links().insert(id, Arc::clone(&link));
    (shared.on_event)(SocketEvent::Opened(Opened {
        id,
        address,
        origin,
    }));
    async move {
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
        // A peer of the v1 transport hangs up when it has read as much of a key as a header has.
        let unanswered =
            link.transport().is_unanswered_v2() && link.lock().bytes_sent >= HEADER as u64;
        let retrying = match origin {
            Origin::Attempt(number) if unanswered => Some(number),
            Origin::Attempt(_) | Origin::Listener(_) => None,
        };
        (shared.on_event)(SocketEvent::Closed { id, retrying });
        if retrying.is_some() {
            tracing::debug!(target: "net", "retrying with v1 transport protocol for peer={id}");
            return After::RetryV1;
        }
        After::Rest
    }
}

async fn receive(shared: &Shared, stream: &Stream, link: &Link, id: u64) -> io::Result<()> {
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
        link.transport().push(&buffer[..read]);
        loop {
            let next = link.transport().next_frame();
            shake(shared, link, id);
            let frame = match next {
                Ok(Some(frame)) => frame,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(target: "net", "{error}, peer={id}");
                    if error.is_fatal() {
                        return Ok(());
                    }
                    count(&mut link.lock().received, "", error.wire_len());
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
            if let Some(capture) = &link.capture {
                capture.write(Direction::Received, frame.command, &frame.payload);
            }
            let message = Message::decode(frame.command, &frame.payload);
            if let Err(error) = &message {
                tracing::debug!(
                    target: "net",
                    "ProcessMessages({}, {} bytes): Exception '{error}' caught",
                    frame.command,
                    frame.payload.len()
                );
            }
            (shared.on_event)(SocketEvent::Message {
                id,
                message,
                bytes: share as usize,
            });
        }
    }
}

/// Tells of the transport's handshake, for as long as there is one.
fn shake(shared: &Shared, link: &Link, id: u64) {
    if link.lock().transport != Kind::Detecting {
        return;
    }
    link.shaken.notify_one();
    let transport = link.transport().kind();
    link.lock().transport = transport;
    let step = if transport == Kind::Detecting {
        HandshakeStep::Received
    } else {
        HandshakeStep::Done
    };
    (shared.on_event)(SocketEvent::Handshake { id, step });
}

async fn transmit(
    shared: &Shared,
    stream: &Stream,
    link: &Link,
    mut queue: mpsc::UnboundedReceiver<Outgoing>,
    id: u64,
) -> io::Result<()> {
    let Some(mut early) = transmit_handshake(shared, stream, link, &mut queue, id).await? else {
        return Ok(());
    };
    loop {
        let item = match early.pop_front() {
            Some(item) => Some(item),
            None => queue.recv().await.and_then(Outgoing::message),
        };
        let Some((command, payload)) = item else {
            return Ok(());
        };
        tracing::debug!(target: "net", "sending {command} ({} bytes) peer={id}", payload.len());
        let Some(bytes) = link.transport().encode(command, &payload) else {
            // The handshake is over, so it can be sent.
            return Ok(());
        };
        count(&mut link.lock().sent, command.as_str(), bytes.len());
        if let Some(capture) = &link.capture {
            capture.write(Direction::Sent, command, &payload);
        }
        write_all(shared, stream, link, &bytes).await?;
        link.unsent.take(size_of_message(&payload));
        link.unsent
            .tell_change(shared.options.max_send_buffer, |congested| {
                (shared.on_event)(SocketEvent::Congested { id, congested });
            });
    }
}

type Early = VecDeque<(Command, Vec<u8>)>;

/// Sends what the handshake has to say until messages can be sent; gives those that waited meanwhile, or nothing if the
/// connection is to end.
async fn transmit_handshake(
    shared: &Shared,
    stream: &Stream,
    link: &Link,
    queue: &mut mpsc::UnboundedReceiver<Outgoing>,
    id: u64,
) -> io::Result<Option<Early>> {
    let mut early = Early::new();
    let mut said = false;
    loop {
        let bytes = link.transport().take_handshake();
        if !bytes.is_empty() {
            if !said {
                tracing::debug!(target: "net", "start sending v2 handshake to peer={id}");
                said = true;
            }
            write_all(shared, stream, link, &bytes).await?;
            let step = HandshakeStep::Sent;
            (shared.on_event)(SocketEvent::Handshake { id, step });
            continue;
        }
        if link.transport().can_send() {
            return Ok(Some(early));
        }
        tokio::select! {
            () = link.shaken.notified() => {}
            item = queue.recv() => match item.and_then(Outgoing::message) {
                Some(message) => early.push_back(message),
                None => return Ok(None),
            },
        }
    }
}

async fn write_all(
    shared: &Shared,
    stream: &Stream,
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
