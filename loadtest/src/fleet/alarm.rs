//! Wakes the connections of one thread when their requests are due. The runtime's own timer rounds
//! up to whole milliseconds, which would be charged to the server and would bunch the requests.

use std::cell::RefCell;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::future::poll_fn;
use std::os::fd::OwnedFd;
use std::task::{Poll, Waker};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use rustix::time::{
    Itimerspec, TimerfdClockId, TimerfdFlags, TimerfdTimerFlags, Timespec, timerfd_create,
    timerfd_settime,
};
use tokio::io::unix::AsyncFd;

/// Between two wake-ups at least, so that the client does not spend its time on them.
const GRAIN: Duration = Duration::from_micros(100);

/// The times at which a thread's connections wait to be woken.
#[derive(Debug)]
pub(super) struct Alarm {
    timer: AsyncFd<OwnedFd>,
    waiting: RefCell<BinaryHeap<Reverse<Sleeper>>>,
}

/// A connection that waits.
#[derive(Debug)]
struct Sleeper {
    due: Instant,
    waker: Waker,
}

impl Ord for Sleeper {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.due.cmp(&other.due)
    }
}

impl PartialOrd for Sleeper {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl PartialEq for Sleeper {
    fn eq(&self, other: &Self) -> bool {
        self.due == other.due
    }
}

impl Eq for Sleeper {}

impl Alarm {
    /// Nobody waits yet. Works in the runtime in which it is made.
    pub(super) fn new() -> Result<Self> {
        let flags = TimerfdFlags::NONBLOCK | TimerfdFlags::CLOEXEC;
        let timer = timerfd_create(TimerfdClockId::Monotonic, flags).context("make a timer")?;
        #[expect(
            deprecated,
            reason = "unsound for a type that changes or closes its descriptor \
            meanwhile, which an OwnedFd does not; the one that replaces it is unsafe"
        )]
        let timer = AsyncFd::new(timer).context("watch a timer")?;
        Ok(Self { timer, waiting: RefCell::default() })
    }

    /// Waits until `due`, while `ring` is polled as well.
    pub(super) async fn sleep_until(&self, due: Instant) -> Result<()> {
        poll_fn(|context| {
            if Instant::now() >= due {
                return Poll::Ready(Ok(()));
            }
            let mut waiting = self.waiting.borrow_mut();
            let is_first = waiting.peek().is_none_or(|Reverse(first)| due < first.due);
            waiting.push(Reverse(Sleeper { due, waker: context.waker().clone() }));
            match if is_first { self.set(due) } else { Ok(()) } {
                Ok(()) => Poll::Pending,
                Err(error) => Poll::Ready(Err(error)),
            }
        })
        .await
    }

    /// Wakes everybody in time, for as long as it is polled; returns with an error only.
    pub(super) async fn ring(&self) -> Result<std::convert::Infallible> {
        loop {
            let mut ready = self.timer.readable().await.context("wait for a timer")?;
            let mut expirations = [0; 8];
            match rustix::io::read(self.timer.get_ref(), &mut expirations) {
                Ok(_) | Err(rustix::io::Errno::AGAIN) => ready.clear_ready(),
                Err(error) => return Err(error).context("read a timer"),
            }
            let now = Instant::now();
            let next = {
                let mut waiting = self.waiting.borrow_mut();
                while waiting.peek().is_some_and(|Reverse(first)| first.due <= now)
                    && let Some(Reverse(sleeper)) = waiting.pop()
                {
                    sleeper.waker.wake();
                }
                waiting.peek().map(|Reverse(first)| first.due.max(now + GRAIN))
            };
            if let Some(next) = next {
                self.set(next)?;
            }
        }
    }

    fn set(&self, due: Instant) -> Result<()> {
        // A time of zero would stop the timer.
        let rest = due.saturating_duration_since(Instant::now()).max(Duration::from_nanos(1));
        let it_value = Timespec {
            tv_sec: rest.as_secs().try_into().context("a time too far away")?,
            tv_nsec: rest.subsec_nanos().into(),
        };
        let it_interval = Timespec { tv_sec: 0, tv_nsec: 0 };
        let spec = Itimerspec { it_interval, it_value };
        timerfd_settime(self.timer.get_ref(), TimerfdTimerFlags::empty(), &spec)
            .context("set a timer")?;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::rc::Rc;
    use tokio::task::LocalSet;

    #[test]
    fn sleepers_are_woken_in_the_order_of_their_times() {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        LocalSet::new().block_on(&runtime, async {
            let alarm = Rc::new(Alarm::new().unwrap());
            // Late enough that all of them wait before the first one is due, also on a busy machine.
            let start = Instant::now() + Duration::from_millis(200);
            let woken = Rc::new(RefCell::new(Vec::new()));
            let sleepers: Vec<_> = [3_000, 200, 900, 0, 901, 5_000]
                .into_iter()
                .map(|micros| {
                    let (alarm, woken) = (Rc::clone(&alarm), Rc::clone(&woken));
                    tokio::task::spawn_local(async move {
                        let due = start + Duration::from_micros(micros);
                        alarm.sleep_until(due).await.unwrap();
                        assert!(Instant::now() >= due);
                        woken.borrow_mut().push(micros);
                    })
                })
                .collect();
            let all = async {
                for sleeper in sleepers {
                    sleeper.await.unwrap();
                }
            };
            tokio::select! {
                () = all => {}
                error = alarm.ring() => panic!("{error:?}"),
                () = tokio::time::sleep(Duration::from_secs(20)) => panic!("not woken"),
            }
            assert_eq!(*woken.borrow(), [0, 200, 900, 901, 3_000, 5_000]);
        });
    }
}
