//! Memory of a process, from `/proc/PID/status` and `/proc/PID/smaps_rollup`.

/// The most memory that a process has had resident, in bytes; None when it has ended.
pub(crate) fn resident_peak(pid: u32) -> Option<u64> {
    field(&read(pid, "status")?, "VmHWM:")
}

/// The memory that a process has resident now, in bytes.
pub(crate) fn resident(pid: u32) -> Option<u64> {
    field(&read(pid, "status")?, "VmRSS:")
}

/// A process' share of memory: pages that several have are divided among them, so that shares can
/// be added. Where that may not be read, all but memory shared on purpose, which PostgreSQL's
/// processes have all of together.
pub(super) fn share(pid: u32) -> Option<u64> {
    read(pid, "smaps_rollup").and_then(|rollup| field(&rollup, "Pss:")).or_else(|| {
        let status = read(pid, "status")?;
        Some(field(&status, "RssAnon:")? + field(&status, "RssFile:")?)
    })
}

fn read(pid: u32, file: &str) -> Option<String> {
    std::fs::read_to_string(format!("/proc/{pid}/{file}")).ok()
}

/// A line such as `VmRSS:      5268 kB`.
fn field(text: &str, name: &str) -> Option<u64> {
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    Some(line.trim().strip_suffix(" kB")?.parse::<u64>().ok()? * 1024)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fields_have_exact_names_and_are_in_kibibytes() {
        let text =
            "VmHWM:\t   12 kB\nVmRSS:\t    7 kB\nPss_Anon:  3 kB\nPss:   2 kB\nThreads:\t5\n";
        assert_eq!(field(text, "VmRSS:"), Some(7 * 1024));
        assert_eq!(field(text, "Pss:"), Some(2 * 1024));
        assert_eq!(field(text, "Threads:"), None);
        assert_eq!(field(text, "VmSwap:"), None);
    }

    #[test]
    fn this_process_has_memory() {
        let pid = std::process::id();
        let (now, peak, share) = (resident(pid), resident_peak(pid), share(pid));
        assert!(now > Some(100_000) && peak >= share && share > Some(100_000));
        assert_eq!(resident_peak(u32::MAX - 1), None);
    }
}
