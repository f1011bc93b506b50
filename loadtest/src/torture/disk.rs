//! Small disks that can be filled.

use std::fs::{File, OpenOptions};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

/// A file system in memory, mounted on a directory of ours.
#[derive(Debug)]
pub(crate) struct SmallDisk {
    path: PathBuf,
    kept: bool,
}

/// What fills a disk; it is freed when this is dropped.
#[derive(Debug)]
pub(crate) struct Ballast {
    path: PathBuf,
}

impl SmallDisk {
    /// Mounts one of `mebibytes` on `path`, which is made. Fails where mounting is not allowed.
    pub(crate) fn mount(path: &Path, mebibytes: u32) -> Result<Self> {
        std::fs::create_dir_all(path).with_context(|| format!("create {}", path.display()))?;
        let output = Command::new("mount")
            .args(["-t", "tmpfs", "-o", &format!("size={mebibytes}m,mode=755"), "tmpfs"])
            .arg(path)
            .output()
            .context("run mount")?;
        let said = String::from_utf8_lossy(&output.stderr);
        ensure!(
            output.status.success(),
            "mount a tmpfs: {}",
            said.lines().next().unwrap_or_default()
        );
        Ok(Self { path: path.to_owned(), kept: false })
    }

    /// Fills it to the last byte.
    pub(crate) fn fill(&self) -> Result<Ballast> {
        let ballast = Ballast { path: self.path.join("ballast") };
        let made = OpenOptions::new().create(true).append(true).open(&ballast.path);
        let mut file = made.context("make the ballast")?;
        // Space is taken at once and not written; what is left over is less than a piece.
        let mut piece = self.free_bytes()?;
        let mut length = 0;
        while piece >= 4096 {
            match rustix::fs::fallocate(&file, rustix::fs::FallocateFlags::empty(), length, piece) {
                Ok(()) => length += piece,
                Err(rustix::io::Errno::NOSPC) => piece /= 2,
                Err(error) => return Err(error).context("fill the disk"),
            }
        }
        let refused = file.write_all(&[0; 64 << 10]);
        ensure!(refused.is_err(), "{} is not full", self.path.display());
        Ok(ballast)
    }

    /// Leaves it mounted for a person to look at.
    pub(crate) fn keep(&mut self) {
        println!("             umount {} when you have seen enough", self.path.display());
        self.kept = true;
    }

    /// Bytes that may still be written.
    pub(crate) fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(&self.path).context("ask for free space")?;
        Ok(stat.f_bavail.saturating_mul(stat.f_frsize))
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if self.kept {
            return;
        }
        // Lazily, for a process that is on its way out may have a file open.
        let unmounted = Command::new("umount").arg("-l").arg(&self.path).status();
        if !unmounted.is_ok_and(|status| status.success()) {
            eprintln!("loadtest: cannot unmount {}", self.path.display());
        }
    }
}

impl Drop for Ballast {
    fn drop(&mut self) {
        let emptied = File::create(&self.path).and_then(|_| std::fs::remove_file(&self.path));
        if let Err(error) = emptied {
            eprintln!("loadtest: cannot free {}: {error}", self.path.display());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_disk_is_filled_and_freed() {
        let path = std::env::temp_dir().join(format!("small-disk-{}", std::process::id()));
        // Where mounting is not allowed, the torture says so and goes without.
        if let Ok(disk) = SmallDisk::mount(&path, 4) {
            std::fs::write(path.join("before"), [1; 10_000]).unwrap();
            let ballast = disk.fill().unwrap();
            assert!(std::fs::write(path.join("refused"), [1; 10_000]).is_err());
            drop(ballast);
            std::fs::write(path.join("after"), [1; 10_000]).unwrap();
        }
        std::fs::remove_dir(&path).unwrap();
    }
}
