//! The page as it is served: rendered at most once a second, whoever asks how often.

use std::sync::Arc;
use std::time::{Duration, Instant};

use arc_swap::ArcSwapOption;
use bytes::Bytes;
use parking_lot::Mutex;
use sha2::{Digest, Sha256};

use super::catalogue::Catalogue;
use super::deflate::{Gzip, PageText};
use super::sections::Sections;
use super::text::Format;
use crate::clock::Clock;
use crate::registry::{Component, Registry};
use crate::telemetry::Telemetry;

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
    telemetry: Arc<Telemetry>,
    settings: PageSettings,
    maker: Mutex<Maker>,
    served: [ArcSwapOption<Rendered>; 2],
    /// Tells this process' pages from those of the one before.
    run: String,
}

/// What is kept to make the next page from.
#[derive(Default)]
struct Maker {
    catalogue: Catalogue,
    sections: Sections,
    /// How many different pages there have been.
    versions: u64,
}

/// One rendering, compressed.
#[derive(Clone, Debug)]
pub struct Rendered {
    gzip: Gzip,
    format: Format,
    version: Arc<str>,
    at: Instant,
}

impl Page {
    /// A page of the components of `registry`.
    pub fn new(
        registry: Arc<Registry>,
        clock: Arc<dyn Clock>,
        telemetry: Arc<Telemetry>,
        settings: PageSettings,
    ) -> Self {
        Self {
            registry,
            clock,
            telemetry,
            settings,
            maker: Mutex::default(),
            served: [const { ArcSwapOption::const_empty() }; 2],
            run: uuid::Uuid::new_v4().simple().to_string()[..12].to_owned(),
        }
    }

    /// The page of all components, at most a second old. Takes a while for many series: call
    /// it where blocking is allowed. Concurrent callers share one rendering.
    pub fn render(&self, format: Format) -> Arc<Rendered> {
        if let Some(fresh) = self.fresh(format) {
            return fresh;
        }
        let mut maker = self.maker.lock();
        if let Some(fresh) = self.fresh(format) {
            return fresh;
        }
        // Taken first: the page is as old as the oldest value on it.
        let at = Instant::now();
        let Maker { catalogue, sections, versions } = &mut *maker;
        catalogue.update(&self.registry.take_changed());
        let now = catalogue.now();
        let (gzip, lines) = sections.render(&mut catalogue.families, format, self.fresh_s(), now);
        let served = &self.served[format as usize];
        let rendered = match served.load_full().filter(|before| before.gzip.is_same(&gzip)) {
            Some(before) => Rendered { at, ..Rendered::clone(&before) },
            None => {
                *versions += 1;
                let version = format!("{}-{versions:x}", self.run).into();
                Rendered { gzip, format, version, at }
            }
        };
        let rendered = Arc::new(rendered);
        served.store(Some(Arc::clone(&rendered)));
        let instruments = &self.telemetry.page;
        instruments.render_seconds.observe(at.elapsed().as_secs_f64());
        instruments.series.set(lines.try_into().unwrap_or(i64::MAX));
        let memory = catalogue.memory_bytes() + sections.memory_bytes();
        instruments.memory_bytes.set(memory.try_into().unwrap_or(i64::MAX));
        rendered
    }

    /// The page of some components only, rendered anew.
    pub fn render_some(&self, components: &[Arc<Component>], format: Format) -> Rendered {
        let at = Instant::now();
        let mut catalogue = Catalogue::default();
        catalogue.update(components);
        let now = catalogue.now();
        let (gzip, _) =
            Sections::default().render(&mut catalogue.families, format, self.fresh_s(), now);
        let mut digest = Sha256::new();
        gzip.parts().iter().for_each(|part| digest.update(part));
        let version: String =
            digest.finalize()[..12].iter().map(|byte| format!("{byte:02x}")).collect();
        Rendered { gzip, format, version: version.into(), at }
    }

    /// The last rendering, if it may still be served.
    pub fn fresh(&self, format: Format) -> Option<Arc<Rendered>> {
        let served = self.served[format as usize].load_full();
        served.filter(|rendered| rendered.at.elapsed() < PAGE_AGE_MAX)
    }

    fn fresh_s(&self) -> u32 {
        self.clock.now().seconds().saturating_sub(self.settings.stale_after_s)
    }
}

impl Rendered {
    /// What it is written in.
    pub fn format(&self) -> Format {
        self.format
    }

    /// Another text for each other page.
    pub fn version(&self) -> &str {
        &self.version
    }

    /// The page compressed by gzip, in parts.
    pub fn gzip(&self) -> Arc<[Bytes]> {
        Arc::clone(self.gzip.parts())
    }

    /// Bytes of the compressed page.
    pub fn gzip_bytes(&self) -> u64 {
        self.gzip.compressed_bytes()
    }

    /// The page as text.
    pub fn text(&self) -> PageText {
        self.gzip.text()
    }

    /// Bytes of the text.
    pub fn text_bytes(&self) -> u64 {
        self.gzip.text_bytes()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;
    use crate::model::NodeNumber;
    use crate::registry::{GroupIds, RegistrySettings};

    #[test]
    fn a_fresh_page_is_served_again() {
        let ids = GroupIds::new(NodeNumber::new(1).unwrap(), 0..1);
        let registry = Arc::new(Registry::new(RegistrySettings::new(1, 1_000_000), ids));
        let settings = PageSettings { stale_after_s: 300 };
        let page = Page::new(registry, Arc::new(SystemClock), Arc::default(), settings);
        let first = page.render(Format::Text);
        assert!(Arc::ptr_eq(&first, &page.render(Format::Text)));
        let open = page.render(Format::OpenMetrics);
        assert_ne!(first.version(), open.version());
        assert_eq!(open.text().flatten().collect::<Vec<_>>(), b"# EOF\n");
        assert_eq!(page.render_some(&[], Format::Text).text_bytes(), 0);
    }
}
