//! A log's disk that costs nothing.

use std::io;
use std::sync::atomic::{AtomicU64, Ordering};

use noetl_metrics::log::{Disk, DiskFile};

/// A disk that forgets everything at once.
pub(crate) struct NullDisk;

struct NullFile(AtomicU64);

impl Disk for NullDisk {
    fn location(&self) -> String {
        "nowhere".to_owned()
    }
    fn lock_exclusive(&self) -> io::Result<()> {
        Ok(())
    }
    fn list(&self) -> io::Result<Vec<String>> {
        Ok(Vec::new())
    }
    fn create(&self, _name: &str) -> io::Result<Box<dyn DiskFile>> {
        Ok(Box::new(NullFile(AtomicU64::new(0))))
    }
    fn open(&self, _name: &str) -> io::Result<Box<dyn DiskFile>> {
        Err(io::ErrorKind::NotFound.into())
    }
    fn rename(&self, _from: &str, _to: &str) -> io::Result<()> {
        Ok(())
    }
    fn remove(&self, _name: &str) -> io::Result<()> {
        Ok(())
    }
    fn sync_dir(&self) -> io::Result<()> {
        Ok(())
    }
}

impl DiskFile for NullFile {
    fn read_at(&self, bytes: &mut [u8], _offset: u64) -> io::Result<usize> {
        bytes.fill(0);
        Ok(bytes.len())
    }
    fn write_at(&self, bytes: &[u8], offset: u64) -> io::Result<usize> {
        self.0.fetch_max(offset + bytes.len() as u64, Ordering::Relaxed);
        Ok(bytes.len())
    }
    fn sync_data(&self) -> io::Result<()> {
        Ok(())
    }
    fn bytes(&self) -> io::Result<u64> {
        Ok(self.0.load(Ordering::Relaxed))
    }
    fn allocate(&self, _bytes: u64) -> io::Result<()> {
        Ok(())
    }
}
