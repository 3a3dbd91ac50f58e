//! The end: who has asked is answered, and nobody else is let in.
//!
//! What it does: gives the listeners up and parts from everybody whom nothing is owed. What it leaves to others: how long
//! the main loop waits for that (`door`). Who calls it: `keeper`, in every turn after the door was told to close.

use super::keeper::Keeper;

impl Keeper {
    /// Who comes from now on waits in the kernel for the next process where a supervisor holds the socket, and is refused
    /// by the kernel where nobody does.
    pub(super) fn part(&mut self) {
        self.listeners.clear();
        self.reserve = None;
        self.accept_again = None;
        let slots: Vec<usize> = self.table.iter().map(|(slot, _)| slot).collect();
        let mut owed = 0;
        for slot in slots {
            if self.is_owed(slot) {
                owed += 1;
                continue;
            }
            // Its next request may have come since the last poll.
            self.act(slot);
            if self.is_owed(slot) {
                owed += 1;
            } else {
                self.close(slot);
            }
        }
        if owed == 0 {
            self.handover.set_quiet();
        }
    }

    fn is_owed(&mut self, slot: usize) -> bool {
        self.table.get_mut(slot).is_some_and(|it| it.is_owed())
    }
}
