//! Registers, says that the worker lives, and takes its leave.

use fastrand::Rng;
use hyper::Method;
use serde_json::{Value, json};
use tokio::time::{Instant, MissedTickBehavior, interval_at};

use super::task::Task;
use crate::transport::{Backoff, Outcome};
use crate::vocabulary::{
    DEREGISTER_PATH, HEARTBEAT_PATH, POOL_DEREGISTER_PATH, POOL_REGISTER_PATH, REGISTER_PATH,
    WORKER_POOL,
};

impl Task {
    /// Keeps the component registered until it is time to stop.
    pub(super) async fn attend(&self) {
        tokio::select! {
            biased;
            () = self.stopped() => {}
            () = self.attend_for_ever() => {}
        }
    }

    async fn attend_for_ever(&self) {
        let mut backoff = Backoff::new(self.settings.backoff_max, self.seed.wrapping_add(2));
        loop {
            self.register(&mut backoff).await;
            if self.settings.component_type == WORKER_POOL {
                self.beat_until_unknown().await;
            } else {
                // Of other components every report is a sign of life.
                self.unknown.notified().await;
            }
        }
    }

    async fn register(&self, backoff: &mut Backoff) {
        let settings = &self.settings;
        let body = json!({
            "name": self.component_name,
            "component_type": settings.component_type,
            "runtime": settings.runtime,
            "base_url": settings.base_url,
            "status": "ready",
            "capacity": settings.capacity,
            "labels": settings.labels,
            "pid": std::process::id(),
            "hostname": self.hostname,
            "meta": {"client": concat!("noetl-metrics-client/", env!("CARGO_PKG_VERSION"))},
        });
        let path =
            if settings.component_type == WORKER_POOL { POOL_REGISTER_PATH } else { REGISTER_PATH };
        let mut logged = false;
        loop {
            let answer = self.transport.lock().await.json(Method::POST, path, &body).await;
            let (after, said) = match answer.map(|answer| answer.outcome()) {
                Ok(Outcome::Taken(_)) => break,
                Ok(Outcome::Again { after, said }) => (after, said),
                Ok(Outcome::Denied { said, .. }) => (Some(settings.backoff_max), said),
                Ok(Outcome::Refused { said, .. }) => (None, said),
                Ok(Outcome::Unregistered) => (None, "status 404".to_owned()),
                Err(error) => (None, error.to_string()),
            };
            if !logged {
                tracing::warn!(said, "the component is not registered yet; it is tried again");
                logged = true;
            }
            self.pause(backoff.pause(after)).await;
        }
        backoff.reset();
        tracing::debug!(name = self.component_name, "registered");
    }

    /// Sends heartbeats until the server does not know the component.
    async fn beat_until_unknown(&self) {
        let interval = self.settings.heartbeat_interval;
        // A fleet that registered together does not beat together.
        let phase = interval.mul_f64(Rng::with_seed(self.seed).f64());
        let mut ticks = interval_at(Instant::now() + phase, interval);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let body = json!({ "name": self.component_name });
        loop {
            tokio::select! {
                _ = ticks.tick() => {}
                () = self.unknown.notified() => return,
            }
            let mut transport = self.transport.lock().await;
            match transport.json(Method::POST, HEARTBEAT_PATH, &body).await {
                Ok(answer) if answer.status_word().as_deref() == Some("unknown") => return,
                Ok(_) => {}
                // The next one comes soon, and a report is a sign of life as well.
                Err(error) => tracing::debug!(%error, "a heartbeat was not answered"),
            }
        }
    }

    /// Says that the component leaves. Where that is not heard, its silence will be.
    pub(super) async fn leave(&self) {
        let pool = self.settings.component_type == WORKER_POOL;
        let (method, path, body): (_, _, Value) = if pool {
            (Method::POST, POOL_DEREGISTER_PATH, json!({ "name": self.component_name }))
        } else {
            let component_type = &self.settings.component_type;
            let body = json!({ "name": self.component_name, "component_type": component_type });
            (Method::DELETE, DEREGISTER_PATH, body)
        };
        if let Err(error) = self.transport.lock().await.json(method, path, &body).await {
            tracing::debug!(%error, "the server was not told that the component leaves");
        }
    }
}
