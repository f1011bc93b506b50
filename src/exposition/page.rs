//! The page as it is served: rendered at most once a second, whoever asks how often.

use std::io::Write;
use std::sync::{Arc, OnceLock};
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use flate2::Compression;
use flate2::write::GzEncoder;
use parking_lot::Mutex;

use super::catalogue::Catalogue;
use crate::clock::Clock;
use crate::registry::{Component, Registry};

/// A rendered page is served for this long.
const PAGE_AGE_MAX: Duration = Duration::from_millis(900);

/// How the page is made.
#[derive(Clone, Copy, Debug)]
pub struct PageSettings {
    /// A series that was not reported for this long, in seconds, leaves the page.
    pub stale_after_s: u32,
}

/// The page of all components.
pub struct Page {
    registry: Arc<Registry>,
    clock: Arc<dyn Clock>,
    settings: PageSettings,
    catalogue: Mutex<Catalogue>,
    rendered: ArcSwapOption<Rendered>,
}

/// One rendering, with its compressed form once someone asked for that.
#[derive(Debug)]
pub struct Rendered {
    text: Bytes,
    gzip: OnceLock<Bytes>,
    at: Instant,
}

impl Page {
    /// A page of the components of `registry`.
    pub fn new(registry: Arc<Registry>, clock: Arc<dyn Clock>, settings: PageSettings) -> Self {
        Self {
            registry,
            clock,
            settings,
            catalogue: Mutex::new(Catalogue::default()),
            rendered: ArcSwapOption::empty(),
        }
    }

    /// The page of all components, at most a second old. Takes a while for many series: call
    /// it where blocking is allowed. Concurrent callers share one rendering.
    pub fn render(&self) -> Arc<Rendered> {
        if let Some(fresh) = self.fresh() {
            return fresh;
        }
        let mut catalogue = self.catalogue.lock();
        if let Some(fresh) = self.fresh() {
            return fresh;
        }
        catalogue.refresh(&self.registry.take_changed());
        let rendered = Arc::new(Rendered::new(catalogue.render(self.fresh_s())));
        self.rendered.store(Some(Arc::clone(&rendered)));
        rendered
    }

    /// The page of some components only, rendered anew.
    pub fn render_some(&self, components: &[Arc<Component>]) -> Rendered {
        Rendered::new(Catalogue::of(components).render(self.fresh_s()))
    }

    /// The last rendering, if it may still be served.
    pub fn fresh(&self) -> Option<Arc<Rendered>> {
        self.rendered.load_full().filter(|rendered| rendered.at.elapsed() < PAGE_AGE_MAX)
    }

    fn fresh_s(&self) -> u32 {
        self.clock.now().seconds().saturating_sub(self.settings.stale_after_s)
    }
}

impl Rendered {
    fn new(text: Vec<u8>) -> Self {
        Self { text: text.into(), gzip: OnceLock::new(), at: Instant::now() }
    }

    /// The page as text.
    pub fn text(&self) -> Bytes {
        self.text.clone()
    }

    /// The page compressed by gzip, once for all who ask.
    pub fn gzip(&self) -> Bytes {
        let compress = || {
            let mut encoder =
                GzEncoder::new(Vec::with_capacity(self.text.len() / 8), Compression::fast());
            encoder
                .write_all(&self.text)
                .and_then(|()| encoder.finish())
                .expect("writing to a Vec cannot fail")
                .into()
        };
        self.gzip.get_or_init(compress).clone()
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;
    use crate::clock::SystemClock;
    use crate::model::NodeNumber;
    use crate::registry::{GroupIds, RegistrySettings};

    #[test]
    fn a_fresh_page_is_served_again_and_gzip_holds_the_same_text() {
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..1);
        let registry =
            Arc::new(Registry::new(RegistrySettings { series_max: 1, components_max: 1000 }, ids));
        let page = Page::new(registry, Arc::new(SystemClock), PageSettings { stale_after_s: 300 });
        let first = page.render();
        assert!(Arc::ptr_eq(&first, &page.render()));
        let rendered = Rendered::new(b"m 1\n".to_vec());
        let mut text = String::new();
        flate2::read::GzDecoder::new(&rendered.gzip()[..]).read_to_string(&mut text).unwrap();
        assert_eq!(text.as_bytes(), rendered.text());
    }
}
