//! New connections, and the room for them.
//!
//! What it does: accepts, evicts or turns away when there is no room, and goes on whatever the kernel lacks. What it
//! leaves to others: who is the most expendable (`table`), everything after the first read (`keeper`). Who calls it:
//! `keeper`, when a listener is ready.

use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{SocketFlags, accept_with};

use super::connection::{Connection, Standing};
use super::counters::count;
use super::keeper::{ACCEPT_PAUSE, Keeper};
use super::refusal::Refusal;

/// Connections accepted per turn, so that a flood does not keep the others waiting: 64 take less than a millisecond
/// (estimated). Never more than a quarter of the places, so that who was just admitted is heard before it is evicted.
const ACCEPTS_PER_TURN: usize = 64;

/// Time that a new connection has to say something before it may be evicted. A scraper speaks as soon as it is
/// connected, but a busy machine may take its processor away in between; a turn of another thread lasts 3 to 4 ms.
pub(super) const GRACE: Duration = Duration::from_millis(5);

/// What can be done about a want of room.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Room {
    Made,
    /// Not before this moment.
    Soon(Instant),
    /// All are being served.
    None,
}

impl Keeper {
    /// Accepts what waits, at most one turn's share. No failure ends it.
    pub(super) fn accept_from(&mut self, index: usize) {
        let places = self.rules.limits.connections;
        for _ in 0..ACCEPTS_PER_TURN.min(places / 4).max(1) {
            if self.table.len() >= places {
                if !self.is_awaited(index) {
                    return;
                }
                if let Room::Soon(at) = self.make_room() {
                    return self.accept_again = Some(at);
                }
            }
            let Some(listener) = self.listeners.get(index) else {
                return;
            };
            match accept_with(listener, SocketFlags::NONBLOCK | SocketFlags::CLOEXEC) {
                Ok(socket) => self.admit(socket),
                Err(Errno::AGAIN) => return,
                // The client left while it waited, or the network reports an old error: the next one may be fine.
                Err(
                    Errno::INTR
                    | Errno::CONNABORTED
                    | Errno::PROTO
                    | Errno::NETDOWN
                    | Errno::HOSTUNREACH,
                ) => {}
                // Linux looks for a descriptor before it looks for a client: perhaps nobody is there.
                Err(Errno::MFILE) if !self.is_awaited(index) => return,
                Err(error) => {
                    let pause = if error == Errno::MFILE {
                        self.shed(index)
                    } else {
                        Some(self.now + ACCEPT_PAUSE)
                    };
                    if pause.is_some() {
                        count(&self.counters.accept_failures);
                        self.remind(
                            "accept failed",
                            &format!(" error={error}; raise the limit of open files (ulimit -n)"),
                        );
                        return self.accept_again = pause;
                    }
                }
            }
        }
    }

    /// Gives a new connection a slot, and reads at once: a scraper's request is usually there already.
    fn admit(&mut self, socket: OwnedFd) {
        count(&self.counters.accepted);
        let connection = Connection::new(socket.into(), self.now, &self.rules);
        if self.table.len() >= self.rules.limits.connections {
            return self.turn_away(connection);
        }
        let slot = self.table.insert(connection);
        self.counters
            .open
            .store(self.table.len() as u64, Ordering::Relaxed);
        self.act(slot);
    }

    /// Evicts one connection, unless it turns out that it has something to do: its request may have come since the
    /// last poll. Ends because whoever has something to do is no longer expendable.
    pub(super) fn make_room(&mut self) -> Room {
        while let Some(slot) = self.table.most_expendable(self.now) {
            // Not a reader: the kernel may take a few bytes for it at any time, and that is no progress.
            if self
                .table
                .get_mut(slot)
                .is_some_and(|connection| connection.outgoing().is_none())
            {
                self.act(slot);
            }
            let Some(connection) = self.table.get_mut(slot) else {
                return Room::Made;
            };
            let heard_until = connection.since() + GRACE;
            match connection.standing(self.now) {
                None => continue,
                Some(Standing::NeverServed) if heard_until > self.now => {
                    return Room::Soon(heard_until);
                }
                Some(Standing::Dismissed) => {}
                Some(_) => {
                    count(&self.counters.evicted);
                    self.remind("connections evicted", ": more clients than the gate admits");
                }
            }
            self.close(slot);
            return Room::Made;
        }
        Room::None
    }

    /// Answers 503 without keeping the connection: what the client has sent is read once, so that closing does not
    /// reset the connection before the answer is seen.
    fn turn_away(&mut self, mut connection: Connection) {
        self.remind(
            "connections turned away",
            ": every admitted one is being served",
        );
        count(&self.counters.refused);
        connection.refuse(Refusal::Full, self.now, &self.rules);
        connection.act(&mut self.scratch, self.now, &self.rules);
        connection.close();
    }

    /// Whether a client waits to be accepted.
    pub(super) fn is_awaited(&self, index: usize) -> bool {
        let Some(listener) = self.listeners.get(index) else {
            return false;
        };
        poll(
            &mut [PollFd::new(listener, PollFlags::IN)],
            Some(&Timespec::default()),
        )
        .is_ok_and(|ready| ready > 0)
    }

    /// Frees a descriptor when the process has none left; `None` if `accept` is worth another try, else until when
    /// it is not.
    pub(super) fn shed(&mut self, index: usize) -> Option<Instant> {
        match self.make_room() {
            Room::Made => return None,
            Room::Soon(at) => return Some(at),
            Room::None => {}
        }
        // Nobody may go: take the waiting connection with the reserve, and close it.
        if self.reserve.take().is_some()
            && let Some(listener) = self.listeners.get(index)
        {
            drop(accept_with(
                listener,
                SocketFlags::NONBLOCK | SocketFlags::CLOEXEC,
            ));
            count(&self.counters.evicted);
        }
        self.refill_reserve();
        self.reserve.is_none().then(|| self.now + ACCEPT_PAUSE)
    }

    pub(super) fn refill_reserve(&mut self) {
        if self.reserve.is_none() {
            self.reserve = self
                .listeners
                .first()
                .and_then(|listener| listener.as_fd().try_clone_to_owned().ok());
        }
    }
}
