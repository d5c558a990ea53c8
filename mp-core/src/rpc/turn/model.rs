//! Every order of events in which a keeper and guests take turns, tried out on a model of sockets and threads.
//!
//! The model takes [`Turn`] as it is. What the threads do around it follows [`Receiver`](crate::rpc::receive::Receiver)
//! step by step, one step being what nobody can come in between of; where they sleep follows Linux: an event wakes the
//! guest if one sleeps, and the keeper only if none does.

use std::collections::{HashSet, VecDeque};

use super::{Turn, Wake};

/// What the peer sends, and what becomes of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Message {
    /// What this guest waits for.
    For(usize),
    /// Something for the keeper's own hands, which must be done before anything later is looked at.
    Direct,
}

/// Work for the keeper.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Aside {
    /// What came by [`Message::Direct`].
    Direct,
    /// What another thread found to do.
    Errand,
    /// What this guest waits for comes of it.
    For(usize),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum At {
    /// Looks for its reply, and asks for the turn if there is none.
    Looks,
    Handles,
    /// About to sleep where the connection receives.
    Dozes,
    Sleeps,
    Receives,
    /// Leaves, and tells whether the keeper has to go on.
    Leaves(bool),
    /// Sleeps for itself.
    Parks,
    Over,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
struct Guest {
    at: At,
    replied: bool,
    /// Whether its patience may end while it sleeps.
    hasty: bool,
    gave_up: bool,
    full: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
enum Keeper {
    Dozes,
    Sleeps,
    Wakes,
    /// Waits for a guest to leave.
    Queues,
    Handles(bool),
    Receives,
    Leaves,
}

/// A place to sleep: whether the kernel has noted an event for it, and whether it was called by hand.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
struct Place {
    noted: bool,
    bell: bool,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct World {
    turn: Turn,
    /// Still to be sent.
    script: VecDeque<Message>,
    /// Work that another thread is going to give the keeper.
    errand: Option<Aside>,
    socket: VecDeque<Message>,
    buffer: VecDeque<Message>,
    asides: VecDeque<Aside>,
    guests: Vec<Guest>,
    keeper: Keeper,
    guests_place: Place,
    keepers_place: Place,
}

/// Messages that one receipt can hold.
const ROOM: usize = 2;

impl World {
    fn new(script: &[Message], errand: Option<Aside>, hasty: &[bool]) -> Self {
        let guest = |hasty: &bool| Guest {
            at: At::Looks,
            replied: false,
            hasty: *hasty,
            gave_up: false,
            full: false,
        };
        Self {
            turn: Turn::default(),
            script: script.iter().copied().collect(),
            errand,
            socket: VecDeque::new(),
            buffer: VecDeque::new(),
            asides: VecDeque::new(),
            guests: hasty.iter().map(guest).collect(),
            keeper: Keeper::Dozes,
            guests_place: Place::default(),
            keepers_place: Place::default(),
        }
    }

    /// All worlds that may be next.
    fn next(&self) -> Vec<Self> {
        let mut all = Vec::new();
        let mut add = |step: &dyn Fn(&mut Self) -> bool| {
            let mut world = self.clone();
            if step(&mut world) {
                all.push(world);
            }
        };
        add(&Self::peer_sends);
        add(&Self::errand_comes);
        add(&Self::keeper_steps);
        for guest in 0..self.guests.len() {
            add(&|world| world.guest_steps(guest));
            add(&|world| world.guest_gives_up(guest));
        }
        all
    }

    fn peer_sends(&mut self) -> bool {
        let Some(message) = self.script.pop_front() else {
            return false;
        };
        self.socket.push_back(message);
        // The guests' place is asked first, and notes the event although nobody sleeps there.
        self.guests_place.noted = true;
        if let Some(guest) = self.guests.iter_mut().find(|guest| guest.at == At::Sleeps) {
            guest.at = At::Receives;
            return true;
        }
        self.keepers_place.noted = true;
        if self.keeper == Keeper::Sleeps {
            self.keeper = Keeper::Wakes;
        }
        true
    }

    fn errand_comes(&mut self) -> bool {
        let Some(aside) = self.errand.take() else {
            return false;
        };
        self.asides.push_back(aside);
        let wake = self.turn.call();
        self.wake_keeper(wake);
        true
    }

    fn wake_keeper(&mut self, wake: Wake) {
        match (wake, self.keeper) {
            (Wake::Queue, Keeper::Queues) | (Wake::Sleep, Keeper::Sleeps) => {
                self.keeper = Keeper::Wakes;
            }
            (Wake::Sleep, _) => self.keepers_place.bell = true,
            (Wake::Not | Wake::Queue, _) => {}
        }
    }

    fn reply(&mut self, to: usize) {
        let guest = &mut self.guests[to];
        guest.replied = true;
        match guest.at {
            At::Parks => guest.at = At::Looks,
            At::Sleeps => guest.at = At::Receives,
            _ => {}
        }
    }

    /// Handles the next message that is here, if there is one.
    fn handle(&mut self) -> bool {
        let Some(message) = self.buffer.pop_front() else {
            return false;
        };
        assert!(
            !self.asides.contains(&Aside::Direct),
            "{message:?} overtakes what came before it"
        );
        match message {
            Message::For(guest) => self.reply(guest),
            Message::Direct => self.asides.push_back(Aside::Direct),
        }
        true
    }

    /// Moves what fits from the socket; tells whether more may be there.
    fn receive(&mut self) -> bool {
        let count = self.socket.len().min(ROOM);
        self.buffer.extend(self.socket.drain(..count));
        count == ROOM
    }

    /// Whether there is cause not to sleep at a place. What is noted is checked, and forgotten if it holds no more.
    fn is_called(socket: &VecDeque<Message>, place: &mut Place) -> bool {
        place.noted &= !socket.is_empty();
        place.noted || std::mem::take(&mut place.bell)
    }

    fn guest_steps(&mut self, index: usize) -> bool {
        let guest = self.guests[index];
        self.guests[index].at = match guest.at {
            At::Looks if guest.replied || guest.gave_up => At::Over,
            At::Looks if self.turn.guest_takes() => At::Handles,
            At::Looks => At::Parks,
            At::Handles => {
                if self.handle() {
                    match self.asides.is_empty() {
                        true => At::Handles,
                        false => At::Leaves(true),
                    }
                } else if self.guests[index].replied || guest.gave_up {
                    At::Leaves(guest.full)
                } else {
                    At::Dozes
                }
            }
            // A reply that comes while it dozes calls it.
            At::Dozes if guest.replied => At::Receives,
            At::Dozes => match Self::is_called(&self.socket, &mut self.guests_place) {
                true => At::Receives,
                false => At::Sleeps,
            },
            At::Receives => {
                self.guests[index].full = self.receive();
                At::Handles
            }
            At::Leaves(call) => {
                let wake = self.turn.guest_leaves(call);
                self.wake_keeper(wake);
                match call {
                    false => At::Looks,
                    true if guest.replied || guest.gave_up => At::Over,
                    true => At::Parks,
                }
            }
            At::Sleeps | At::Parks | At::Over => return false,
        };
        true
    }

    fn guest_gives_up(&mut self, index: usize) -> bool {
        let guest = &mut self.guests[index];
        let sleeps = matches!(guest.at, At::Sleeps | At::Parks);
        if !guest.hasty || !sleeps {
            return false;
        }
        guest.gave_up = true;
        guest.at = match guest.at {
            At::Sleeps => At::Receives,
            _ => At::Over,
        };
        true
    }

    fn keeper_steps(&mut self) -> bool {
        self.keeper = match self.keeper {
            Keeper::Dozes => match Self::is_called(&self.socket, &mut self.keepers_place) {
                true => Keeper::Wakes,
                false => Keeper::Sleeps,
            },
            Keeper::Wakes => {
                if self.run_aside() {
                    Keeper::Wakes
                } else if self.turn.keeper_takes() {
                    Keeper::Handles(true)
                } else {
                    Keeper::Queues
                }
            }
            Keeper::Handles(more) => {
                if self.run_aside() || self.handle() {
                    Keeper::Handles(more)
                } else if more {
                    Keeper::Receives
                } else {
                    Keeper::Leaves
                }
            }
            Keeper::Receives => Keeper::Handles(self.receive()),
            Keeper::Leaves => match (self.run_aside(), self.turn) {
                (true, _) => Keeper::Leaves,
                _ if self.turn.keeper_leaves() => Keeper::Handles(true),
                _ => Keeper::Dozes,
            },
            Keeper::Sleeps | Keeper::Queues => return false,
        };
        true
    }

    fn run_aside(&mut self) -> bool {
        match self.asides.pop_front() {
            Some(Aside::For(guest)) => self.reply(guest),
            Some(Aside::Direct | Aside::Errand) => {}
            None => return false,
        }
        true
    }

    /// Checks a world in which nothing more happens by itself.
    fn check_end(&self) {
        let guests_served = self.guests.iter().all(|guest| guest.at == At::Over);
        let nothing_left =
            self.socket.is_empty() && self.buffer.is_empty() && self.asides.is_empty();
        assert!(guests_served && nothing_left, "stuck in {self:#?}");
        assert_eq!(self.keeper, Keeper::Sleeps);
        assert_eq!(self.turn, Turn::default(), "somebody kept the turn");
    }

    fn holders(&self) -> usize {
        let reads = |at: At| {
            matches!(
                at,
                At::Handles | At::Dozes | At::Sleeps | At::Receives | At::Leaves(_)
            )
        };
        let keeper = matches!(
            self.keeper,
            Keeper::Handles(_) | Keeper::Receives | Keeper::Leaves
        );
        usize::from(keeper) + self.guests.iter().filter(|guest| reads(guest.at)).count()
    }
}

/// Goes through every world that may come of this one. Gives how many there are.
fn explore(first: World) -> usize {
    let mut seen = HashSet::new();
    let mut left = vec![first];
    while let Some(world) = left.pop() {
        if !seen.insert(world.clone()) {
            continue;
        }
        assert!(world.holders() <= 1, "two receive: {world:#?}");
        let next = world.next();
        if next.is_empty() {
            world.check_end();
        }
        left.extend(next);
    }
    seen.len()
}

/// All orders in which these messages can be sent.
fn orders(messages: &[Message]) -> Vec<Vec<Message>> {
    if messages.is_empty() {
        return vec![Vec::new()];
    }
    let mut all = Vec::new();
    for at in 0..messages.len() {
        let mut rest = messages.to_vec();
        let first = rest.remove(at);
        for mut order in orders(&rest) {
            order.insert(0, first);
            all.push(order);
        }
    }
    all
}

#[test]
fn in_every_order_of_events_every_message_finds_its_thread() {
    use Message::{Direct, For};
    let mut worlds = 0;
    for script in orders(&[For(0), For(1), Direct]) {
        worlds += explore(World::new(&script, None, &[true, false]));
        worlds += explore(World::new(&script, Some(Aside::Errand), &[false, false]));
    }
    worlds += explore(World::new(
        &[Direct, For(0), Direct, For(1)],
        None,
        &[false, false],
    ));
    assert!(worlds > 10_000, "the model is too small: {worlds}");
}

#[test]
fn what_another_thread_has_for_the_keeper_is_done_while_a_guest_receives() {
    use Message::{Direct, For};
    for script in orders(&[For(0), Direct]) {
        explore(World::new(&script, Some(Aside::For(1)), &[false, false]));
    }
    // The guest's own reply depends on it, and nothing is received.
    explore(World::new(&[], Some(Aside::For(0)), &[false]));
}

#[test]
fn three_guests_do_not_forget_each_other() {
    use Message::For;
    explore(World::new(
        &[For(2), For(0), For(1)],
        None,
        &[false, true, false],
    ));
}
