//! One line of `/proc/PID/stat`.

/// What is read of a process; times in ticks of 10 ms.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Stat {
    /// Process id.
    pub(crate) pid: u32,
    /// Its parent's.
    pub(crate) parent: u32,
    /// When it started, since boot; with the id, it tells a process from a later one.
    pub(crate) started: u64,
    /// Its own user and system time.
    pub(crate) own: u64,
    /// That of its children (and theirs) that have ended and been waited for.
    pub(crate) reaped: u64,
}

impl Stat {
    /// Reads the line. The name stands in parentheses and may itself hold parentheses, spaces and
    /// line breaks, so the fields are counted from its last parenthesis (see `proc_pid_stat(5)`).
    pub(crate) fn parse(line: &str) -> Option<Self> {
        let (pid, _) = line.split_once(' ')?;
        let (_, rest) = line.rsplit_once(')')?;
        let fields: Vec<&str> = rest.split_ascii_whitespace().collect();
        // `rest` begins with field 3, the state.
        let number = |field: usize| fields.get(field - 3)?.parse::<i64>().ok();
        let ticks = |field: usize| number(field).and_then(|ticks| u64::try_from(ticks).ok());
        Some(Self {
            pid: pid.parse().ok()?,
            parent: u32::try_from(number(4)?).ok()?,
            started: ticks(22)?,
            own: ticks(14)? + ticks(15)?,
            reaped: ticks(16)? + ticks(17)?,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_cannot_confuse_it() {
        let rest = "S 7 42 42 0 -1 4194560 500 900 1 2 11 22 33 44 20 0 3 0 987654 1000 2000 1";
        let expected = Stat { pid: 42, parent: 7, started: 987_654, own: 33, reaped: 77 };
        for name in ["postgres", "a b", "a) S 1 (b", "((", "))", "", "line\nbreak", "é)"] {
            assert_eq!(Stat::parse(&format!("42 ({name}) {rest}")), Some(expected), "{name:?}");
        }
    }

    #[test]
    fn what_is_not_a_stat_line() {
        for line in ["", "42", "42 (a", "42 (a) S 7 42", "x (a) S 7 42 42 0 -1 0 0 0 0 0 1 1 1 1"] {
            assert_eq!(Stat::parse(line), None, "{line:?}");
        }
    }
}
