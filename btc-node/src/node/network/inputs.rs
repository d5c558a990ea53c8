//! What happens at the sockets, in the chain and at the user's wish, taken one after the other.

use super::{Network, lock};
use crate::net::connections::SocketEvent;
use crate::sync::{Action, Event, PeerId};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::time::{Duration, Instant};

/// How often time is said to have gone by.
const TICK: Duration = Duration::from_millis(100);
/// How often it is looked whom to connect to.
const DIAL: Duration = Duration::from_millis(500);
/// How often addresses and bans are written.
const SAVE: Duration = Duration::from_secs(15 * 60);

/// One thing that happened.
pub(super) enum Input {
    Socket(SocketEvent),
    Event(Event),
    /// Ask a node for addresses.
    FetchFrom(String),
    Stop,
}

impl Network {
    /// Takes what comes until it is told to stop.
    pub(super) fn run(&self, inputs: &mpsc::Receiver<Input>) {
        tracing::info!("msghand thread start");
        // This thread opens the connections that -addnode asks for too. Tools wait for the line of the thread that does.
        tracing::info!("addcon thread start");
        if self.dials {
            tracing::info!("opencon thread start");
        }
        let start = Instant::now();
        let (mut next_tick, mut next_dial, mut next_save) = (start, start, start + SAVE);
        loop {
            let now = Instant::now();
            if now >= next_tick {
                next_tick = now + TICK;
                self.handle(Event::Tick);
                self.connect_wanted();
            }
            if now >= next_dial {
                next_dial = now + DIAL;
                self.dial();
            }
            if now >= next_save {
                next_save = now + SAVE;
                self.files.save(&self.directory);
            }
            match inputs.recv_timeout(next_tick.saturating_duration_since(now)) {
                Ok(Input::Stop) | Err(RecvTimeoutError::Disconnected) => break,
                Ok(Input::Event(event)) => self.handle(event),
                Ok(Input::Socket(event)) => self.socket(event),
                Ok(Input::FetchFrom(name)) => lock(&self.dialer).fetch_from(name),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        tracing::info!("msghand thread exit");
    }

    fn socket(&self, event: SocketEvent) {
        match event {
            SocketEvent::Knock {
                address,
                listener,
                answer,
            } => self.knock(address, listener, answer),
            SocketEvent::Opened(opened) => self.opened(&opened),
            SocketEvent::Message { id, message, bytes } => {
                self.handle(match message {
                    Ok(message) => Event::Received(PeerId(id), message),
                    Err(error) => Event::Malformed(PeerId(id), error),
                });
                self.connections.done(id, bytes);
            }
            SocketEvent::Congested { id, congested } => {
                self.handle(Event::Congested(PeerId(id), congested));
            }
            SocketEvent::Handshake { id, step } => {
                self.handle(Event::Handshake(PeerId(id), step));
            }
            SocketEvent::Closed { id, retrying } => {
                lock(&self.links).remove(id, retrying);
                self.handle(Event::Disconnected(PeerId(id)));
            }
            SocketEvent::Failed { attempt, reason } => {
                let ended = lock(&self.links).end(attempt);
                self.attempt_ended.notify_all();
                if let Some(attempt) = ended {
                    let target = attempt.name.or_else(|| {
                        let address = attempt.address?;
                        Some(address.endpoint.to_string())
                    });
                    tracing::debug!(
                        target: "net",
                        "connecting to {} failed: {reason}",
                        target.unwrap_or_default()
                    );
                }
            }
        }
    }

    /// Hands the peers an event, and does what follows from it.
    pub(super) fn handle(&self, event: Event) {
        // Held until all is carried out, so that what two threads do to one peer does not mix.
        let (now, sent) = (self.now(), self.connections.totals().1);
        let mut peers = lock(&self.peers);
        peers.note_sent(now, sent);
        let actions = peers.handle(now, event);
        self.carry_out(actions);
    }

    pub(super) fn carry_out(&self, actions: Vec<Action>) {
        for action in actions {
            match action {
                Action::Send(id, message) => self.connections.send(id.0, &message),
                Action::Disconnect(id) => self.connections.close(id.0),
                Action::Discourage(address) => self.directory.bans().discourage(address),
            }
        }
    }
}
