//! What components registered with, when they were last heard, and which of it PostgreSQL lacks.
//!
//! A registration changes the memory at once and waits in a list until it is written. So the list
//! is as long as there are components, however long PostgreSQL is away, and a component that
//! registers again meanwhile is written once.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use tokio::sync::{Notify, oneshot};

use super::component::Component;
use super::directory::Registry;
use crate::model::{
    ComponentKey, Details, ListedComponent, Profile, RuntimeId, STATUS_OFFLINE, STATUS_READY,
    Timestamp,
};

/// Bytes of all texts that components have registered with.
const DETAILS_BYTES_MAX: usize = 256 << 20;

/// What became of a change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Written {
    /// PostgreSQL has it.
    Stored,
    /// PostgreSQL does not answer; the change waits for it in memory.
    Away,
    /// PostgreSQL will not have it, for this reason.
    Refused(Box<str>),
}

/// What a component asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ChangeKind {
    /// To be registered: all of its row changes.
    Registered,
    /// To be marked offline: its status changes.
    Deregistered,
}

/// A change that PostgreSQL does not have yet.
#[derive(Debug)]
pub struct Change {
    /// Whose.
    pub component: Arc<Component>,
    /// Which.
    pub kind: ChangeKind,
    /// The row as it is to be.
    pub profile: Profile,
    since: Instant,
    version: u32,
}

impl Change {
    /// How long ago it was asked for.
    pub fn age(&self) -> Duration {
        self.since.elapsed()
    }
}

/// The memory has no room for a further component or for what it registers with.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "the server holds its limit of components and takes no new one; known ones go on. Try again \
     later, use another server, or raise components-max or series-max"
)]
pub struct RegistryFull;

/// A heartbeat that PostgreSQL does not have yet.
#[derive(Debug)]
pub struct Beat {
    /// Whose.
    pub component: Arc<Component>,
    /// When, in seconds since the Unix epoch.
    pub seen_s: u32,
}

/// What is known of a component beside its series.
#[derive(Debug, Default)]
pub(super) struct Standing {
    /// `None` for one that only reports told of.
    profile: Option<Box<Profile>>,
    unwritten: Option<(ChangeKind, Instant)>,
    /// Whether the component waits in [`Unwritten`].
    queued: bool,
    /// Counts the changes, to tell one that came while its predecessor was written.
    version: u32,
    /// Those who wait for the change to be written.
    waiters: Vec<oneshot::Sender<Written>>,
}

/// The components whose changes PostgreSQL lacks, each once.
#[derive(Debug, Default)]
pub(super) struct Unwritten {
    queue: Mutex<VecDeque<Arc<Component>>>,
    added: Notify,
    /// Whether PostgreSQL is away, so that nobody waits for it.
    away: AtomicBool,
    /// Bytes of the texts in all profiles.
    details_bytes: AtomicUsize,
}

impl Registry {
    /// Registers a component, or again with other details; it is heard at the same time. The
    /// receiver learns when PostgreSQL has it.
    pub fn register(
        &self,
        key: &ComponentKey,
        status: &str,
        details: Details,
        now: Timestamp,
    ) -> Result<(Arc<Component>, oneshot::Receiver<Written>), RegistryFull> {
        loop {
            let component = match self.find(Some(key.component_type()), key.name()) {
                Some(component) => component,
                None if self.is_full() => return Err(RegistryFull),
                None => self.insert_unread(key.clone()),
            };
            // Held until the change is noted, so that the component cannot leave before that.
            let state = component.lock();
            if state.is_evicted() {
                continue;
            }
            let mut standing = component.standing.lock();
            let created_at = standing.profile.as_ref().map_or(now, |known| known.created_at);
            let profile = Profile { status: status.into(), details, created_at, updated_at: now };
            self.take_room(&standing, &profile)?;
            standing.profile = Some(Box::new(profile));
            component.touch(now.seconds());
            let written = self.note_change(&component, &mut standing, ChangeKind::Registered);
            drop(standing);
            drop(state);
            return Ok((component, written));
        }
    }

    /// Marks a component offline until it is heard again; `None` when it has left the memory a
    /// moment ago and must be looked up again.
    pub fn deregister(
        &self,
        component: &Arc<Component>,
        now: Timestamp,
    ) -> Option<oneshot::Receiver<Written>> {
        let state = component.lock();
        if state.is_evicted() {
            return None;
        }
        let mut standing = component.standing.lock();
        // What it registers with may wait to be written still; its new status goes along.
        let kind = standing.unwritten.map_or(ChangeKind::Deregistered, |(kind, _)| kind);
        let profile = standing.profile.get_or_insert_with(|| Box::new(Profile::seen(now)));
        profile.status = STATUS_OFFLINE.into();
        profile.updated_at = now;
        component.touch(now.seconds());
        // The change itself says when; a heartbeat after it would say that the component is back.
        component.beat_s.store(now.seconds(), Ordering::Relaxed);
        Some(self.note_change(component, &mut standing, kind))
    }

    fn note_change(
        &self,
        component: &Arc<Component>,
        standing: &mut Standing,
        kind: ChangeKind,
    ) -> oneshot::Receiver<Written> {
        standing.unwritten = Some((kind, Instant::now()));
        standing.version = standing.version.wrapping_add(1);
        // A client that left no longer waits, and must not be waited for.
        standing.waiters.retain(|waiter| !waiter.is_closed());
        let (waiter, written) = oneshot::channel();
        if self.is_away() {
            drop(waiter.send(Written::Away));
        } else {
            standing.waiters.push(waiter);
        }
        self.enqueue(component, standing);
        written
    }

    /// Has those who register from now on not wait for PostgreSQL, or wait again.
    pub fn set_away(&self, away: bool) {
        self.unwritten.away.store(away, Ordering::Relaxed);
    }

    fn enqueue(&self, component: &Arc<Component>, standing: &mut Standing) {
        if !std::mem::replace(&mut standing.queued, true) {
            self.unwritten.queue.lock().push_back(Arc::clone(component));
        }
        self.unwritten.added.notify_one();
    }

    /// Whether PostgreSQL is known to be away.
    pub fn is_away(&self) -> bool {
        self.unwritten.away.load(Ordering::Relaxed)
    }

    /// Waits until there may be changes to write. Cancellation-safe.
    pub async fn changes_added(&self) {
        self.unwritten.added.notified().await;
    }

    /// How many components' changes PostgreSQL lacks.
    pub fn unwritten_count(&self) -> usize {
        self.unwritten.queue.lock().len()
    }

    /// Up to `max` changes, the oldest first. Each has to be settled.
    pub fn take_changes(&self, max: usize) -> Vec<Change> {
        let components: Vec<_> = {
            let mut queue = self.unwritten.queue.lock();
            let count = queue.len().min(max);
            queue.drain(..count).collect()
        };
        let snapshot = |component: Arc<Component>| {
            let mut standing = component.standing.lock();
            standing.queued = false;
            let ((kind, since), version) = (standing.unwritten?, standing.version);
            let profile = standing.profile.as_deref()?.clone();
            drop(standing);
            Some(Change { component, kind, profile, since, version })
        };
        components.into_iter().filter_map(snapshot).collect()
    }

    /// Says what became of a change; one that is not written waits again.
    pub fn settle(&self, change: &Change, outcome: &Written) {
        let component = &change.component;
        let mut standing = component.standing.lock();
        let latest = standing.version == change.version;
        if latest && *outcome != Written::Away {
            standing.unwritten = None;
        } else if standing.unwritten.is_some() {
            self.enqueue(component, &mut standing);
        }
        if latest || *outcome == Written::Away {
            for waiter in std::mem::take(&mut standing.waiters) {
                // Who has stopped waiting knows that it may be written later.
                drop(waiter.send(outcome.clone()));
            }
        }
    }

    /// The heartbeats that PostgreSQL lacks.
    pub fn beats(&self) -> Vec<Beat> {
        let beat = |component: Arc<Component>| {
            let seen_s = component.last_report_s();
            let news = seen_s != component.beat_s.load(Ordering::Relaxed);
            (news && seen_s > 0).then_some(Beat { component, seen_s })
        };
        self.all().into_iter().filter_map(beat).collect()
    }

    /// Notes that PostgreSQL has been told of these heartbeats.
    pub fn beats_written(&self, beats: &[Beat]) {
        for beat in beats {
            beat.component.beat_s.store(beat.seen_s, Ordering::Relaxed);
        }
    }

    /// Notes that PostgreSQL has marked the component offline.
    pub fn mark_offline(&self, id: RuntimeId, now: Timestamp) {
        let Some(component) = self.find_by_id(id) else { return };
        let mut standing = component.standing.lock();
        if standing.unwritten.is_none() {
            let profile = standing.profile.get_or_insert_with(|| Box::new(Profile::seen(now)));
            profile.status = STATUS_OFFLINE.into();
            profile.updated_at = now;
        }
    }

    /// Takes over what PostgreSQL says of the component, unless the memory knows better.
    pub(super) fn restore_profile(&self, component: &Component, stored: &Profile) {
        let mut standing = component.standing.lock();
        if standing.unwritten.is_none() && self.take_room(&standing, stored).is_ok() {
            standing.profile = Some(Box::new(stored.clone()));
        }
    }

    /// Forgets what the component registered with; `false` when PostgreSQL lacks some of it, and
    /// the component has to stay.
    pub(super) fn forget_profile(&self, component: &Component) -> bool {
        let mut standing = component.standing.lock();
        if standing.unwritten.is_some() {
            return false;
        }
        if let Some(profile) = standing.profile.take() {
            let bytes = profile.details.text_bytes();
            self.unwritten.details_bytes.fetch_sub(bytes, Ordering::Relaxed);
        }
        true
    }

    /// Accounts for `profile` instead of the one there is.
    fn take_room(&self, standing: &Standing, profile: &Profile) -> Result<(), RegistryFull> {
        let bytes_of = |profile: &Profile| profile.details.text_bytes();
        let (old, new) = (standing.profile.as_deref().map_or(0, bytes_of), bytes_of(profile));
        let used = &self.unwritten.details_bytes;
        if new > old && used.load(Ordering::Relaxed) + (new - old) > DETAILS_BYTES_MAX {
            return Err(RegistryFull);
        }
        used.fetch_add(new, Ordering::Relaxed);
        used.fetch_sub(old, Ordering::Relaxed);
        Ok(())
    }
}

impl Component {
    /// The component as a list shows it, as far as the memory knows.
    pub fn listed(&self) -> ListedComponent {
        let heard = seconds(self.last_report_s());
        let standing = self.standing.lock();
        let unknown;
        let profile = match standing.profile.as_deref() {
            Some(profile) => profile,
            None => {
                unknown = Profile::seen(heard);
                &unknown
            }
        };
        let mut listed = ListedComponent {
            key: self.key().clone(),
            runtime_id: self.runtime_id(),
            status: profile.status.clone(),
            runtime: profile.details.runtime.clone(),
            capacity: profile.details.capacity,
            labels: profile.details.labels.clone(),
            last_heartbeat: heard,
            created_at: profile.created_at,
            updated_at: profile.updated_at,
        };
        back_once_heard(&mut listed, heard);
        listed
    }

    /// Adds to `row`, as PostgreSQL has it, what it does not know yet.
    pub fn bring_up_to_date(&self, row: &mut ListedComponent) {
        let standing = self.standing.lock();
        if let (Some((kind, _)), Some(profile)) = (standing.unwritten, standing.profile.as_deref())
        {
            row.status.clone_from(&profile.status);
            row.updated_at = profile.updated_at;
            if kind == ChangeKind::Registered {
                row.runtime.clone_from(&profile.details.runtime);
                row.capacity = profile.details.capacity;
                row.labels.clone_from(&profile.details.labels);
            }
        }
        let heard_s = self.last_report_s();
        if heard_s > row.last_heartbeat.seconds() {
            row.last_heartbeat = seconds(heard_s);
            back_once_heard(row, row.last_heartbeat);
            // Where both happened within a second, the memory knows which came first.
            if let Some(profile) = &standing.profile
                && &*row.status == STATUS_OFFLINE
            {
                row.status.clone_from(&profile.status);
            }
        }
    }

    /// Notes a heartbeat; one that was silent before is back.
    pub fn heartbeat(&self, now_s: u32) {
        self.touch(now_s);
        let mut standing = self.standing.lock();
        if standing.unwritten.is_none()
            && let Some(profile) = standing.profile.as_mut()
            && &*profile.status == STATUS_OFFLINE
        {
            profile.status = STATUS_READY.into();
        }
    }

    /// Whether the component was heard within `within_s` before `now_s` and did not
    /// take its leave.
    pub fn is_active(&self, now_s: u32, within_s: u32) -> bool {
        let heard_s = self.last_report_s();
        let left = |profile: &Profile| {
            &*profile.status == STATUS_OFFLINE && heard_s <= profile.updated_at.seconds()
        };
        now_s.saturating_sub(heard_s) <= within_s
            && !self.standing.lock().profile.as_deref().is_some_and(left)
    }
}

/// A component that was heard after it went offline is back.
fn back_once_heard(row: &mut ListedComponent, heard: Timestamp) {
    if &*row.status == STATUS_OFFLINE && heard.seconds() > row.updated_at.seconds() {
        row.status = STATUS_READY.into();
    }
}

fn seconds(since_epoch_s: u32) -> Timestamp {
    Timestamp::MIN.offset_by(i64::from(since_epoch_s) * 1_000_000)
}

#[cfg(test)]
mod tests;
