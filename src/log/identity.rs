//! Who this log is: its id, its number among the servers, and the groups it has handed out.
//!
//! One small text file, replaced as a whole:
//!
//! ```text
//! noetl-metrics log identity 1
//! log_id 67e55044-10b1-426f-9247-bb680e5fe0c8
//! node 7
//! group_block 12
//! groups_closed 12
//! crc32c 1a2b3c4d
//! ```
//!
//! The line `groups_closed` stands only where it is not 0.

use std::io;
use std::ops::Range;

use uuid::Uuid;

use super::disk::Disk;
use super::segment::segment_number;
use crate::model::NodeNumber;

/// Group counters in a block. A start takes a whole block, so that a group id never repeats
/// though the process dies without a word.
pub const GROUP_BLOCK_GROUPS: u64 = 1 << 24;
/// Blocks that fit the 45 bits of a group's counter.
const GROUP_BLOCKS: u32 = 1 << 21;

const FILE: &str = "identity";
const NEW_FILE: &str = "identity.new";
const TITLE: &str = "noetl-metrics log identity 1";
/// Longer than any identity.
const FILE_BYTES_MAX: usize = 512;

/// The identity of a log. Every change is on stable storage before it is visible here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Identity {
    log_id: Uuid,
    node: Option<NodeNumber>,
    group_block: u32,
    groups_closed: u32,
}

/// Why a log's identity cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IdentityError {
    /// Another process has the directory.
    #[error(
        "the log directory {location} is in use by another process; stop it or give this one a \
         directory of its own"
    )]
    Locked {
        /// The directory.
        location: String,
    },
    /// The file is not an identity.
    #[error(
        "the file identity of the log directory {location} is damaged; restore it from a backup"
    )]
    Damaged {
        /// The directory.
        location: String,
    },
    /// There are segments and no identity.
    #[error(
        "the log directory {location} has segments and no file identity; restore it from a \
         backup, or move the segments out of the directory, which gives them up"
    )]
    Missing {
        /// The directory.
        location: String,
    },
    /// The node's number was to be changed.
    #[error(
        "this log is node {registered}, not node {offered}; PostgreSQL and the log directory do \
         not belong together"
    )]
    Registered {
        /// The number it has.
        registered: u16,
        /// The number it was to be given.
        offered: u16,
    },
    /// The counter of groups is used up.
    #[error(
        "this log has started {GROUP_BLOCKS} times, its group ids are used up; flush it and start with an empty log directory"
    )]
    GroupsUsedUp,
    /// The operating system refused.
    #[error("{doing} the log's identity: {source}; check the disk, then start again")]
    Io {
        /// A verb.
        doing: &'static str,
        /// What the operating system said.
        source: io::Error,
    },
}

impl Identity {
    /// Reads the identity of the log on `disk`, after locking it. A directory without segments
    /// gets a new one.
    pub fn load_or_create(disk: &dyn Disk) -> Result<Self, IdentityError> {
        match Self::load(disk)? {
            Some(identity) => Ok(identity),
            None => Self::create(disk),
        }
    }

    /// Reads the identity of the log on `disk`, after locking it; `None` where there is none.
    pub fn load(disk: &dyn Disk) -> Result<Option<Self>, IdentityError> {
        disk.lock_exclusive().map_err(|source| match source.kind() {
            io::ErrorKind::WouldBlock => IdentityError::Locked { location: disk.location() },
            _ => IdentityError::Io { doing: "lock", source },
        })?;
        let reading = |source| IdentityError::Io { doing: "read", source };
        let file = match disk.open(FILE) {
            Ok(file) => file,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => return Err(reading(error)),
        };
        let mut bytes = [0; FILE_BYTES_MAX];
        let length = file.read_full_at(&mut bytes, 0).map_err(reading)?;
        Self::parse(&bytes[..length])
            .map(Some)
            .ok_or_else(|| IdentityError::Damaged { location: disk.location() })
    }

    fn create(disk: &dyn Disk) -> Result<Self, IdentityError> {
        let names = disk.list().map_err(|source| IdentityError::Io { doing: "read", source })?;
        if names.iter().any(|name| segment_number(name).is_some()) {
            return Err(IdentityError::Missing { location: disk.location() });
        }
        let identity =
            Self { log_id: Uuid::new_v4(), node: None, group_block: 0, groups_closed: 0 };
        identity.store(disk)?;
        Ok(identity)
    }

    /// The log's own id, the same for ever.
    pub fn log_id(&self) -> Uuid {
        self.log_id
    }

    /// The number under which PostgreSQL knows this log, once it was registered.
    pub fn node(&self) -> Option<NodeNumber> {
        self.node
    }

    /// Remembers the number that PostgreSQL has given to this log. Told again: no change.
    pub fn register_node(
        &mut self,
        disk: &dyn Disk,
        node: NodeNumber,
    ) -> Result<(), IdentityError> {
        match self.node {
            Some(registered) if registered == node => Ok(()),
            Some(registered) => {
                Err(IdentityError::Registered { registered: registered.get(), offered: node.get() })
            }
            None => self.replace(disk, Self { node: Some(node), ..*self }),
        }
    }

    /// Takes the next [`GROUP_BLOCK_GROUPS`] counters for groups, which nobody was given before
    /// and nobody will be given again.
    pub fn take_group_block(&mut self, disk: &dyn Disk) -> Result<Range<u64>, IdentityError> {
        let block = self.group_block;
        if block >= GROUP_BLOCKS {
            return Err(IdentityError::GroupsUsedUp);
        }
        self.replace(disk, Self { group_block: block + 1, ..*self })?;
        let start = u64::from(block) * GROUP_BLOCK_GROUPS;
        Ok(start..start + GROUP_BLOCK_GROUPS)
    }

    /// The counter below which groups must not be appended to, see [`Identity::close_groups`].
    pub fn groups_closed_below(&self) -> u64 {
        u64::from(self.groups_closed) * GROUP_BLOCK_GROUPS
    }

    /// Closes every group that was begun until now, and skips counters up to `used`, of which
    /// this identity need not know: definitions were lost, so that nobody knows which slots of a
    /// group are taken.
    pub fn close_groups(
        &mut self,
        disk: &dyn Disk,
        used: Option<u64>,
    ) -> Result<(), IdentityError> {
        let beyond = used.map_or(0, |counter| counter / GROUP_BLOCK_GROUPS + 1);
        let block = u32::try_from(beyond).unwrap_or(GROUP_BLOCKS).max(self.group_block);
        self.replace(disk, Self { group_block: block, groups_closed: block, ..*self })
    }

    fn replace(&mut self, disk: &dyn Disk, identity: Self) -> Result<(), IdentityError> {
        identity.store(disk)?;
        *self = identity;
        Ok(())
    }

    fn store(&self, disk: &dyn Disk) -> Result<(), IdentityError> {
        let store = || {
            disk.remove_if_there(NEW_FILE)?;
            let file = disk.create(NEW_FILE)?;
            file.write_all_at(self.render().as_bytes(), 0)?;
            file.sync_data()?;
            disk.rename(NEW_FILE, FILE)?;
            disk.sync_dir()
        };
        store().map_err(|source| IdentityError::Io { doing: "write", source })
    }

    fn render(&self) -> String {
        let node = self.node.map_or("none".to_owned(), |node| node.get().to_string());
        let mut body = format!(
            "{TITLE}\nlog_id {}\nnode {node}\ngroup_block {}\n",
            self.log_id, self.group_block
        );
        if self.groups_closed > 0 {
            body += &format!("groups_closed {}\n", self.groups_closed);
        }
        format!("{body}crc32c {:08x}\n", crc32c::crc32c(body.as_bytes()))
    }

    fn parse(bytes: &[u8]) -> Option<Self> {
        let text = std::str::from_utf8(bytes).ok()?;
        let mut lines = text.lines().peekable();
        let mut field = |name: &str| {
            let line = lines.next_if(|line| line.starts_with(name))?;
            line[name.len()..].strip_prefix(' ')
        };
        field("noetl-metrics")?;
        let log_id = Uuid::try_parse(field("log_id")?).ok()?;
        let node = match field("node")? {
            "none" => None,
            number => Some(NodeNumber::new(number.parse().ok()?)?),
        };
        let group_block = field("group_block")?.parse().ok()?;
        let groups_closed = match field("groups_closed") {
            Some(block) => block.parse().ok()?,
            None => 0,
        };
        let identity = Self { log_id, node, group_block, groups_closed };
        // There is one way to write an identity, so equality checks title, order and checksum.
        (identity.render() == text).then_some(identity)
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::log::memory_disk::MemoryDisk;

    #[test]
    fn an_identity_lasts_and_a_block_is_taken_once() {
        let disk = MemoryDisk::default();
        let mut identity = Identity::load_or_create(&disk).unwrap();
        assert_eq!(identity.node(), None);
        assert_eq!(identity.take_group_block(&disk).unwrap(), 0..GROUP_BLOCK_GROUPS);
        let seven = NodeNumber::new(7).unwrap();
        identity.register_node(&disk, seven).unwrap();
        identity.register_node(&disk, seven).unwrap();
        let refused = identity.register_node(&disk, NodeNumber::new(8).unwrap());
        assert!(matches!(refused, Err(IdentityError::Registered { registered: 7, offered: 8 })));

        let disk = disk.crash(&mut |_| false);
        let mut again = Identity::load_or_create(&disk).unwrap();
        assert_eq!(again, identity);
        let block = again.take_group_block(&disk).unwrap();
        assert_eq!(block, GROUP_BLOCK_GROUPS..2 * GROUP_BLOCK_GROUPS);
    }

    #[test]
    fn the_last_block_ends_at_the_last_counter() {
        let disk = MemoryDisk::default();
        let mut identity =
            Identity { group_block: GROUP_BLOCKS - 1, ..Identity::load_or_create(&disk).unwrap() };
        assert_eq!(identity.take_group_block(&disk).unwrap().end, 1 << 45);
        assert!(matches!(identity.take_group_block(&disk), Err(IdentityError::GroupsUsedUp)));
    }

    #[test]
    fn what_is_not_exactly_an_identity_is_refused() {
        let disk = Arc::new(MemoryDisk::default());
        let identity = Identity::load_or_create(&*disk).unwrap();
        check_text(identity);
        let closed = Identity { groups_closed: 3, ..identity };
        check_text(closed);
        assert!(closed.render().contains("\ngroups_closed 3\n"));
    }

    fn check_text(identity: Identity) {
        let text = identity.render();
        assert_eq!(Identity::parse(text.as_bytes()), Some(identity));
        for at in 0..text.len() * 8 {
            let mut damaged = text.clone().into_bytes();
            damaged[at / 8] ^= 1 << (at % 8);
            assert_eq!(Identity::parse(&damaged), None, "bit {at}");
        }
        for end in 0..text.len() {
            assert_eq!(Identity::parse(&text.as_bytes()[..end]), None, "cut at {end}");
        }
    }

    #[test]
    fn groups_are_closed_up_to_the_last_that_anybody_may_have_begun() {
        let disk = MemoryDisk::default();
        let mut identity = Identity::load_or_create(&disk).unwrap();
        assert_eq!(identity.groups_closed_below(), 0);
        identity.take_group_block(&disk).unwrap();
        let check = |identity: &mut Identity, used, block: u64| {
            identity.close_groups(&disk, used).unwrap();
            assert_eq!(identity.groups_closed_below(), block * GROUP_BLOCK_GROUPS);
            assert_eq!(Identity::load(&disk).unwrap(), Some(*identity));
        };
        check(&mut identity, None, 1);
        check(&mut identity, Some(5), 1);
        check(&mut identity, Some(3 * GROUP_BLOCK_GROUPS), 4);
        assert_eq!(identity.take_group_block(&disk).unwrap().start, 4 * GROUP_BLOCK_GROUPS);
    }

    #[test]
    fn segments_without_an_identity_are_not_adopted() {
        let disk = MemoryDisk::default();
        disk.create("0000000000000000.log").unwrap();
        assert!(matches!(Identity::load_or_create(&disk), Err(IdentityError::Missing { .. })));
    }
}
