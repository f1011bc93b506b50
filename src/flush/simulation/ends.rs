//! How a process ends when nobody wants it to, and what happens to a disk meanwhile.

use super::mishaps::Mishaps;
use super::process::StartError;
use super::world::World;
use crate::log::OpenError;
use crate::log::by_hand;
use crate::log::memory_disk::Survival;

impl World {
    /// The process, or the machine, is no more.
    pub(super) fn end_process(&mut self) {
        let (disk, luck) = (&self.around.disk, &mut self.luck);
        disk.set_fates(None);
        let mut some = luck.fork();
        let (how, disk) = match luck.below(6) {
            0 | 1 => ("the process is killed", disk.after_kill()),
            2 => ("power fails, nothing is left", disk.crash(&mut |_| false)),
            3 => {
                let serial = disk.serial().saturating_sub(some.below(40));
                let sectors = some.below(9) as usize;
                (
                    "power fails, the order is kept",
                    disk.survivor(&mut Survival::Prefix { serial, sectors }),
                )
            }
            4 => ("power fails", disk.crash(&mut |_| some.once_in(2))),
            _ => ("power fails, much is left", disk.crash(&mut |_| !some.once_in(6))),
        };
        self.around.story.tell(format_args!("{how}"));
        self.around.disk = disk;
    }

    /// A bit that was synced is not what it was: the start says where, and changes nothing.
    pub(super) fn damage(&mut self) {
        let segments = by_hand::synced_ranges(&self.around.disk);
        if segments.is_empty() {
            return;
        }
        let (number, name, range) = &segments[self.luck.below(segments.len() as u64) as usize];
        let at = range.start + self.luck.below((range.end - range.start) as u64) as usize;
        // The rest of the header's page means nothing.
        let at = if (64..4096).contains(&at) { at % 64 } else { at };
        let bit = 1 << self.luck.below(8);
        self.around.story.tell(format_args!("a bit of {name} is flipped at {at}"));
        self.around.disk.damage(name, |bytes| bytes[at] ^= bit);
        let mishaps = Mishaps::new(&mut self.luck, &self.around.story);
        mishaps.end();
        let error = self.start(&mishaps).err().expect("a damaged log is refused");
        assert!(
            matches!(error, StartError::Log(OpenError::Corrupt { segment, .. }) if segment == *number),
            "damage of {name} at {at}: {error}"
        );
        self.around.disk.damage(name, |bytes| bytes[at] ^= bit);
        self.around.disk = self.around.disk.after_kill();
    }
}
