//! The seam to the disk: one directory, and files in it that are read and written by offset.
//!
//! The log does no I/O but through these two traits, so that a simulated disk can lose what was
//! not synced, run full and fail.

use std::fs::{File, OpenOptions, TryLockError};
use std::io;
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

use parking_lot::Mutex;
use rustix::fs::{FallocateFlags, fallocate};

/// The name of the file whose lock keeps a second process out of the directory.
const LOCK_FILE: &str = "lock";

/// One directory. Names are plain file names.
pub trait Disk: Send + Sync + 'static {
    /// Where the directory is, for messages.
    fn location(&self) -> String;
    /// Keeps other processes out until this disk is dropped; asking again is no error. Whoever
    /// only reads keeps out those who write.
    /// [`io::ErrorKind::WouldBlock`] when another process is in.
    fn lock_exclusive(&self) -> io::Result<()>;
    /// The names of the files, in no order.
    fn list(&self) -> io::Result<Vec<String>>;
    /// A new empty file; [`io::ErrorKind::AlreadyExists`] when there is one of that name.
    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// The file of that name, for reading and writing.
    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>>;
    /// Gives a file another name, replacing what had it; synced by [`Disk::sync_dir`].
    fn rename(&self, from: &str, to: &str) -> io::Result<()>;
    /// Removes a name; synced by [`Disk::sync_dir`]. Whoever has the file open can still read it.
    fn remove(&self, name: &str) -> io::Result<()>;
    /// Syncs the directory: files created, renamed and removed.
    fn sync_dir(&self) -> io::Result<()>;
}

impl dyn Disk + '_ {
    /// Removes a name that may not be there, as that of a draft which a crash left behind.
    pub(super) fn remove_if_there(&self, name: &str) -> io::Result<()> {
        match self.remove(name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed,
        }
    }
}

/// An open file.
pub trait DiskFile: Send + Sync {
    /// Reads up to `bytes.len()` bytes from `offset`; 0 at the file's end.
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize>;
    /// Writes some of `bytes` at `offset` and says how many.
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize>;
    /// Returns when everything written, and the file's length, is on stable storage.
    fn sync_data(&self) -> io::Result<()>;
    /// The file's length in bytes.
    fn bytes(&self) -> io::Result<u64>;
    /// Reserves space for `bytes` bytes, so that a full disk shows before anything is written.
    fn allocate(&self, bytes: u64) -> io::Result<()>;
}

impl dyn DiskFile + '_ {
    /// Writes all of `bytes` at `offset`, going on after short writes and interruptions.
    pub(super) fn write_all_at(&self, mut bytes: &[u8], mut offset: u64) -> io::Result<()> {
        while !bytes.is_empty() {
            match self.write_at(bytes, offset) {
                Ok(0) => return Err(io::ErrorKind::WriteZero.into()),
                Ok(written) => {
                    bytes = &bytes[written..];
                    offset += written as u64;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(())
    }

    /// Reserves space for `bytes` bytes, going on after interruptions.
    pub(super) fn allocate_all(&self, bytes: u64) -> io::Result<()> {
        loop {
            match self.allocate(bytes) {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                done => return done,
            }
        }
    }

    /// Reads until `bytes` is full or the file ends, and says how many bytes it read.
    pub(super) fn read_full_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < bytes.len() {
            match self.read_at(&mut bytes[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

/// What is to be done with a directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// It is read and left as it is; the disk may be one that cannot be written to.
    Read,
    /// It is changed.
    Write,
}

/// A directory of the file system.
#[derive(Debug)]
pub struct RealDisk {
    dir: PathBuf,
    access: Access,
    handle: File,
    lock: Mutex<Option<File>>,
}

impl RealDisk {
    /// Opens `dir`, which is created when it is missing.
    pub fn new(dir: &Path) -> io::Result<Self> {
        if !dir.try_exists()? {
            std::fs::create_dir_all(dir)?;
            if let Some(parent) = dir.canonicalize()?.parent() {
                File::open(parent)?.sync_all()?;
            }
        }
        Self::existing(dir, Access::Write)
    }

    /// Opens `dir`, which must be there.
    pub fn existing(dir: &Path, access: Access) -> io::Result<Self> {
        let handle = File::open(dir)?;
        Ok(Self { dir: dir.to_owned(), access, handle, lock: Mutex::new(None) })
    }

    fn lock_file(&self) -> io::Result<Option<File>> {
        let path = self.dir.join(LOCK_FILE);
        match self.access {
            Access::Write => {
                OpenOptions::new().create(true).truncate(false).write(true).open(path).map(Some)
            }
            Access::Read => match File::open(path) {
                // Nobody has ever used the directory, or it is a copy without the file.
                Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
                opened => opened.map(Some),
            },
        }
    }

    fn options(&self) -> OpenOptions {
        let mut options = OpenOptions::new();
        options.read(true).write(self.access == Access::Write);
        options
    }
}

impl Disk for RealDisk {
    fn location(&self) -> String {
        self.dir.display().to_string()
    }

    fn lock_exclusive(&self) -> io::Result<()> {
        let mut lock = self.lock.lock();
        if lock.is_some() {
            return Ok(());
        }
        let Some(file) = self.lock_file()? else { return Ok(()) };
        let locked = match self.access {
            Access::Write => file.try_lock(),
            Access::Read => file.try_lock_shared(),
        };
        match locked {
            Ok(()) => {
                *lock = Some(file);
                Ok(())
            }
            Err(TryLockError::WouldBlock) => Err(io::ErrorKind::WouldBlock.into()),
            Err(TryLockError::Error(error)) => Err(error),
        }
    }

    fn list(&self) -> io::Result<Vec<String>> {
        // A name that is not UTF-8 is none of the log's.
        std::fs::read_dir(&self.dir)?
            .filter_map(|entry| entry.map(|entry| entry.file_name().into_string().ok()).transpose())
            .collect()
    }

    fn create(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.options().create_new(true).open(self.dir.join(name))?))
    }

    fn open(&self, name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(self.options().open(self.dir.join(name))?))
    }

    fn rename(&self, from: &str, to: &str) -> io::Result<()> {
        std::fs::rename(self.dir.join(from), self.dir.join(to))
    }

    fn remove(&self, name: &str) -> io::Result<()> {
        std::fs::remove_file(self.dir.join(name))
    }

    fn sync_dir(&self) -> io::Result<()> {
        self.handle.sync_all()
    }
}

impl DiskFile for File {
    fn read_at(&self, bytes: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, bytes, offset)
    }

    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        FileExt::write_at(self, bytes, offset)
    }

    fn sync_data(&self) -> io::Result<()> {
        File::sync_data(self)
    }

    fn bytes(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn allocate(&self, bytes: u64) -> io::Result<()> {
        match fallocate(self, FallocateFlags::empty(), 0, bytes) {
            // Such a file system allocates as the file is filled; it will say so then.
            Ok(()) | Err(rustix::io::Errno::OPNOTSUPP) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_lock_keeps_a_second_disk_out_until_the_first_is_dropped() {
        let dir = tempfile::tempdir().unwrap();
        let first = RealDisk::new(dir.path()).unwrap();
        first.lock_exclusive().unwrap();
        first.lock_exclusive().unwrap();
        let second = RealDisk::new(dir.path()).unwrap();
        let refused = second.lock_exclusive().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(first);
        second.lock_exclusive().unwrap();
    }

    #[test]
    fn readers_share_the_lock_and_leave_nothing_behind() {
        let dir = tempfile::tempdir().unwrap();
        let read = || RealDisk::existing(dir.path(), Access::Read).unwrap();
        read().lock_exclusive().unwrap();
        assert!(read().list().unwrap().is_empty());
        assert!(read().create("a").is_err());
        let writer = RealDisk::new(dir.path()).unwrap();
        writer.lock_exclusive().unwrap();
        let refused = read().lock_exclusive().unwrap_err();
        assert_eq!(refused.kind(), io::ErrorKind::WouldBlock);
        drop(writer);
        let (one, two) = (read(), read());
        one.lock_exclusive().unwrap();
        two.lock_exclusive().unwrap();
        let writer = RealDisk::new(dir.path()).unwrap();
        assert_eq!(writer.lock_exclusive().unwrap_err().kind(), io::ErrorKind::WouldBlock);
        assert!(RealDisk::existing(&dir.path().join("none"), Access::Read).is_err());
    }

    #[test]
    fn a_file_is_created_once_and_read_as_it_was_written() {
        let dir = tempfile::tempdir().unwrap();
        let disk = RealDisk::new(dir.path()).unwrap();
        let file = disk.create("a").unwrap();
        assert_eq!(disk.create("a").err().map(|e| e.kind()), Some(io::ErrorKind::AlreadyExists));
        file.allocate(8192).unwrap();
        file.write_all_at(b"hello", 8000).unwrap();
        file.sync_data().unwrap();
        disk.rename("a", "b").unwrap();
        disk.sync_dir().unwrap();
        let mut read = [0; 10_000];
        assert_eq!(disk.open("b").unwrap().read_full_at(&mut read, 8000).unwrap(), 192);
        assert_eq!(&read[..5], b"hello");
        assert_eq!(disk.list().unwrap(), ["b"]);
        disk.remove("b").unwrap();
        assert!(disk.list().unwrap().is_empty());
    }
}
