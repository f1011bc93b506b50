//! The words that every other module speaks: ids, timestamps, series, samples, limits.
//!
//! Owns the canonical bytes of a series ([`series`]) and the partition arithmetic
//! ([`partition`]). Guarantees that a value which exists is valid: constructors check, fields
//! are private. Refuses to know JSON, SQL, files and clocks.

pub mod component;
pub mod ids;
pub mod limits;
pub mod pace;
pub mod partition;
pub mod place;
pub mod profile;
pub mod sample;
pub mod series;
pub mod stored;
pub mod timestamp;

pub use component::ComponentKey;
pub use ids::{
    GroupId, LogPosition, NodeNumber, ROW_SPAN_US, ReportId, RuntimeId, SLOTS_PER_GROUP, Slot,
};
pub use limits::Limits;
pub use pace::{Meter, Pace};
pub use partition::{PartitionInterval, PartitionStart};
pub use place::{LogMark, LogPlace};
pub use profile::{Details, ListedComponent, Profile, STATUS_OFFLINE, STATUS_READY};
pub use sample::{Reject, RejectKind, Sample, SampleBatch};
pub use series::{MetricType, SeriesDefinition};
pub use stored::{StoredComponent, StoredSeries};
pub use timestamp::Timestamp;
