//! The accounts of a process tree over repeated looks at all processes. Pure.

use std::collections::HashMap;

use crate::usage::stat::Stat;

/// A process, told from a later one with the same id by its start.
type Key = (u32, u64);

/// What is known of a tree of processes.
#[derive(Debug, Default)]
pub(crate) struct Tree {
    members: HashMap<Key, Member>,
    gone: Ticks,
    /// A process that does not count, nor what is below it.
    left_out: Option<u32>,
}

#[derive(Clone, Copy, Debug)]
struct Member {
    stat: Stat,
    parent: Option<Key>,
    is_root: bool,
}

/// CPU time in ticks of 10 ms.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Ticks {
    /// Of the roots themselves.
    pub(crate) roots: u64,
    /// Of everything below them.
    pub(crate) descendants: u64,
}

impl Tree {
    /// A tree that has no such process, whoever its parent is.
    pub(crate) fn without(left_out: Option<u32>) -> Self {
        Self { left_out, ..Self::default() }
    }

    /// Takes in a look at all processes of the machine. Processes in `roots` and their
    /// descendants belong to the tree, and stay in it when their parent dies before them.
    pub(crate) fn observe(&mut self, processes: &[Stat], roots: &[u32]) {
        let by_pid: HashMap<u32, &Stat> = processes.iter().map(|stat| (stat.pid, stat)).collect();
        self.settle_the_gone(&by_pid);
        let mut children: HashMap<u32, Vec<&Stat>> = HashMap::new();
        for stat in processes.iter().filter(|stat| Some(stat.pid) != self.left_out) {
            children.entry(stat.parent).or_default().push(stat);
        }
        let known = self.members.keys().map(|(pid, _)| *pid);
        let mut queue: Vec<u32> = known.chain(roots.iter().copied()).collect();
        let mut seen = std::collections::HashSet::new();
        while let Some(pid) = queue.pop() {
            let Some(stat) = by_pid.get(&pid).filter(|_| seen.insert(pid)) else { continue };
            let parent = by_pid.get(&stat.parent).map(|parent| key(parent));
            let is_root = roots.contains(&pid);
            self.members.insert(key(stat), Member { stat: **stat, parent, is_root });
            queue.extend(children.get(&pid).into_iter().flatten().map(|child| child.pid));
        }
    }

    /// Process ids of the descendants that live.
    pub(crate) fn descendants(&self) -> impl Iterator<Item = u32> {
        self.members.values().filter(|member| !member.is_root).map(|member| member.stat.pid)
    }

    /// All that the tree has used, since its processes began.
    pub(crate) fn ticks(&self) -> Ticks {
        self.members.values().fold(self.gone, |sum, member| sum.with(member))
    }

    /// Forgets the members that have ended. What they used has gone to the member that waited for
    /// them; where no member is left to have done so, it is kept as last seen.
    fn settle_the_gone(&mut self, by_pid: &HashMap<u32, &Stat>) {
        let lives = |key: &Key| by_pid.get(&key.0).is_some_and(|stat| stat.started == key.1);
        let orphaned = |member: &Member| {
            let mut parent = member.parent;
            while let Some(ancestor) = parent.and_then(|key| self.members.get(&key)) {
                if lives(&key(&ancestor.stat)) {
                    return false;
                }
                parent = ancestor.parent;
            }
            true
        };
        let gone: Vec<Member> = self
            .members
            .iter()
            .filter(|(key, member)| !lives(key) && orphaned(member))
            .map(|(_, member)| *member)
            .collect();
        self.gone = gone.iter().fold(self.gone, Ticks::with);
        self.members.retain(|key, _| lives(key));
    }
}

impl Ticks {
    fn with(self, member: &Member) -> Self {
        let Stat { own, reaped, .. } = member.stat;
        if member.is_root {
            Self { roots: self.roots + own, descendants: self.descendants + reaped }
        } else {
            Self { descendants: self.descendants + own + reaped, ..self }
        }
    }
}

fn key(stat: &Stat) -> Key {
    (stat.pid, stat.started)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stat(pid: u32, parent: u32, own: u64, reaped: u64) -> Stat {
        Stat { pid, parent, started: u64::from(pid), own, reaped }
    }

    fn check(looks: &[&[Stat]], roots: u64, descendants: u64) {
        let mut tree = Tree::default();
        for look in looks {
            tree.observe(look, &[10]);
        }
        assert_eq!(tree.ticks(), Ticks { roots, descendants });
    }

    #[test]
    fn only_the_tree_counts() {
        let others = stat(99, 1, 1_000, 1_000);
        check(&[&[stat(1, 0, 500, 0), stat(10, 1, 5, 0), stat(11, 10, 7, 2), others]], 5, 9);
        check(&[&[others]], 0, 0);
    }

    #[test]
    fn who_is_left_out_does_not_count_nor_does_what_is_below_it() {
        let mut tree = Tree::without(Some(11));
        let look = [stat(10, 1, 5, 1), stat(11, 10, 7, 2), stat(12, 11, 9, 0), stat(13, 10, 4, 0)];
        tree.observe(&look, &[10]);
        assert_eq!(tree.ticks(), Ticks { roots: 5, descendants: 5 });
        assert_eq!(tree.descendants().collect::<Vec<_>>(), [13]);
    }

    #[test]
    fn grandchildren_listed_before_their_parents() {
        check(&[&[stat(3, 4, 1, 0), stat(4, 10, 2, 0), stat(10, 1, 4, 0)]], 4, 3);
    }

    #[test]
    fn a_waited_for_child_is_counted_by_its_parent_only() {
        check(&[&[stat(10, 1, 5, 0), stat(11, 10, 7, 0)], &[stat(10, 1, 6, 8)]], 6, 8);
        // One that was never seen is found there as well.
        check(&[&[stat(10, 1, 5, 0)], &[stat(10, 1, 6, 3)]], 6, 3);
    }

    #[test]
    fn an_orphan_stays_in_the_tree_and_is_remembered() {
        let parented = [stat(10, 1, 5, 0), stat(11, 10, 1, 0), stat(12, 11, 7, 0)];
        let reparented = [stat(10, 1, 5, 1), stat(12, 1, 9, 0)];
        check(&[&parented, &reparented], 5, 10);
        check(&[&parented, &reparented, &[stat(10, 1, 6, 1)]], 6, 10);
    }

    #[test]
    fn a_dead_root_keeps_its_account() {
        check(&[&[stat(10, 1, 5, 3), stat(11, 10, 7, 0)], &[stat(11, 1, 8, 0)], &[]], 5, 11);
    }

    #[test]
    fn a_reused_pid_is_another_process() {
        let reused = Stat { started: 5_000, ..stat(11, 1, 400, 0) };
        check(&[&[stat(10, 1, 5, 0), stat(11, 10, 7, 0)], &[stat(10, 1, 5, 7), reused]], 5, 7);
    }
}
