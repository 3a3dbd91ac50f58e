//! All clients of the gate.
//!
//! What it does: keeps connections in numbered slots, chooses who must go when there is no room, and adds up what
//! slow readers keep in memory. What it leaves to others: everything a connection does. Who calls it: `keeper`.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Instant;

use super::connection::Connection;
use super::line::Ticket;
use super::outgoing::Outgoing;

/// A connection and the serial of its request in flight (0: none yet).
struct Slot {
    connection: Connection,
    serial: u64,
}

#[derive(Default)]
pub(super) struct Table {
    slots: Vec<Option<Slot>>,
    free: Vec<usize>,
}

impl Table {
    pub(super) fn len(&self) -> usize {
        self.slots.len() - self.free.len()
    }

    /// Gives the connection a slot; slots are reused, the least recently freed last.
    pub(super) fn insert(&mut self, connection: Connection) -> usize {
        let entry = Some(Slot {
            connection,
            serial: 0,
        });
        match self.free.pop() {
            Some(slot) => {
                if let Some(place) = self.slots.get_mut(slot) {
                    *place = entry;
                }
                slot
            }
            None => {
                self.slots.push(entry);
                self.slots.len() - 1
            }
        }
    }

    pub(super) fn remove(&mut self, slot: usize) -> Option<Connection> {
        let entry = self.slots.get_mut(slot)?.take()?;
        self.free.push(slot);
        Some(entry.connection)
    }

    pub(super) fn get_mut(&mut self, slot: usize) -> Option<&mut Connection> {
        Some(&mut self.slots.get_mut(slot)?.as_mut()?.connection)
    }

    /// Marks the connection as the owner of a request.
    pub(super) fn assign(&mut self, ticket: Ticket) {
        if let Some(Some(slot)) = self.slots.get_mut(ticket.slot) {
            slot.serial = ticket.serial;
        }
    }

    /// Whether whoever asked is still there.
    pub(super) fn is_owner(&self, ticket: Ticket) -> bool {
        matches!(self.slots.get(ticket.slot), Some(Some(slot)) if slot.serial == ticket.serial)
    }

    /// The slot of whoever asked, if it is still there.
    pub(super) fn slot_of(&self, serial: u64) -> Option<usize> {
        let is_owner =
            |slot: &Option<Slot>| slot.as_ref().is_some_and(|slot| slot.serial == serial);
        self.slots.iter().position(is_owner)
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = (usize, &Connection)> {
        self.slots
            .iter()
            .enumerate()
            .filter_map(|(slot, entry)| Some((slot, &entry.as_ref()?.connection)))
    }

    /// The connection that goes first when there is no room; `None` if all are being served.
    pub(super) fn most_expendable(&self, now: Instant) -> Option<usize> {
        self.iter()
            .filter_map(|(slot, connection)| {
                Some((connection.standing(now)?, connection.since(), slot))
            })
            .min()
            .map(|(_, _, slot)| slot)
    }

    /// The reader to drop because slow readers keep too much in memory, `newest` excepted; the one without progress
    /// for the longest time goes first.
    pub(super) fn reader_over_budget(&self, limit_bytes: usize, newest: usize) -> Option<usize> {
        let outgoing = self
            .iter()
            .filter_map(|(_, connection)| connection.outgoing());
        // Adding up without looking for shared bytes is cheap, and nearly always enough.
        if outgoing.map(Outgoing::held_bytes).sum::<usize>() <= limit_bytes
            || self.pending_bytes() <= limit_bytes
        {
            return None;
        }
        self.iter()
            .filter(|&(slot, connection)| slot != newest && connection.outgoing().is_some())
            .min_by_key(|(_, connection)| connection.since())
            .map(|(slot, _)| slot)
    }

    /// Bytes that are in memory for slow readers: shared ones counted once, and the largest answer not at all, for a
    /// page of any size must be served to somebody.
    fn pending_bytes(&self) -> usize {
        let mut seen = HashSet::new();
        let (mut total, mut largest) = (0, 0);
        for outgoing in self
            .iter()
            .filter_map(|(_, connection)| connection.outgoing())
        {
            largest = largest.max(outgoing.held_bytes());
            for segment in outgoing.segments() {
                if seen.insert(Arc::as_ptr(segment).cast::<u8>()) {
                    total += segment.len();
                }
            }
        }
        total.saturating_sub(largest) // An answer that repeats a segment is larger than what it keeps.
    }
}

#[cfg(test)]
#[path = "table_tests.rs"]
mod tests;
