//! The word that it is time to stop, from the application to everything that runs until then.

use tokio::sync::watch;

/// Says stop, once.
#[derive(Debug)]
pub struct Switch(watch::Sender<bool>);

/// Hears when to stop. A switch that is gone says the same.
#[derive(Clone, Debug)]
pub struct Stop(watch::Receiver<bool>);

/// A switch and what hears it.
pub fn channel() -> (Switch, Stop) {
    let (sender, receiver) = watch::channel(false);
    (Switch(sender), Stop(receiver))
}

impl Switch {
    /// Says stop. Saying it again changes nothing.
    pub fn stop(&self) {
        self.0.send_replace(true);
    }
}

impl Stop {
    /// Returns when it is time to stop, at once if it was before. Cancellation-safe.
    pub async fn requested(&mut self) {
        // The outcome holds a lock that must not be held over the caller's next await.
        let heard = self.0.wait_for(|stop| *stop).await.is_ok();
        tracing::trace!(heard, "stop");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn stopping_and_dropping_the_switch_are_both_heard() {
        let (switch, mut stop) = channel();
        let mut other = stop.clone();
        switch.stop();
        stop.requested().await;
        drop(switch);
        other.requested().await;
        other.requested().await;
    }
}
