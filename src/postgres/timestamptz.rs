//! [`Timestamp`] as PostgreSQL's `timestamptz`, exact to the microsecond.

use sqlx::encode::IsNull;
use sqlx::error::BoxDynError;
use sqlx::postgres::types::Oid;
use sqlx::postgres::{
    PgArgumentBuffer, PgHasArrayType, PgTypeInfo, PgValueFormat, PgValueRef, Postgres,
};
use sqlx::{Decode, Encode, Type};

use crate::model::Timestamp;

/// 2000-01-01T00:00:00Z, from which PostgreSQL counts, in microseconds since the Unix epoch.
pub(super) const POSTGRES_EPOCH_US: i64 = 946_684_800_000_000;

/// Types of `pg_type.dat`; their numbers are part of the wire protocol.
const TIMESTAMPTZ: Oid = Oid(1184);
const TIMESTAMPTZ_ARRAY: Oid = Oid(1185);

/// A column or parameter of type `timestamptz`.
///
/// A value beyond the range of [`Timestamp`], `-infinity` and `infinity` included, is read as
/// the nearest end of that range.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timestamptz(pub(crate) Timestamp);

impl Type<Postgres> for Timestamptz {
    fn type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ)
    }
}

impl PgHasArrayType for Timestamptz {
    fn array_type_info() -> PgTypeInfo {
        PgTypeInfo::with_oid(TIMESTAMPTZ_ARRAY)
    }
}

impl Encode<'_, Postgres> for Timestamptz {
    fn encode_by_ref(&self, buf: &mut PgArgumentBuffer) -> Result<IsNull, BoxDynError> {
        buf.extend_from_slice(&(self.0.micros() - POSTGRES_EPOCH_US).to_be_bytes());
        Ok(IsNull::No)
    }
}

impl<'r> Decode<'r, Postgres> for Timestamptz {
    fn decode(value: PgValueRef<'r>) -> Result<Self, BoxDynError> {
        if value.format() == PgValueFormat::Text {
            return Err("timestamps are read from prepared statements only".into());
        }
        let micros = i64::from_be_bytes(value.as_bytes()?.try_into()?);
        Ok(Self(Timestamp::MIN.offset_by(micros.saturating_add(POSTGRES_EPOCH_US))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::postgres::test_cluster;

    #[tokio::test]
    async fn timestamps_pass_through_postgres_unchanged() {
        let mut conn = test_cluster::empty_database().await.connect().await;
        for micros in [0, 1, 946_684_799_999_999, 1_704_110_400_123_457, Timestamp::MAX.micros()] {
            let timestamp = Timestamp::from_micros(micros).unwrap();
            let (echo, text): (Timestamptz, String) = sqlx::query_as(
                "SELECT $1, to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')",
            )
            .bind(Timestamptz(timestamp))
            .fetch_one(&mut conn)
            .await
            .unwrap();
            assert_eq!(echo.0, timestamp, "{text}");
            if micros == 1_704_110_400_123_457 {
                assert_eq!(text, "2024-01-01 12:00:00.123457");
            }
        }
    }

    #[tokio::test]
    async fn what_lies_beyond_is_read_as_the_nearest_end() {
        let mut conn = test_cluster::empty_database().await.connect().await;
        for (literal, expected) in [
            ("-infinity", Timestamp::MIN),
            ("1969-12-31 00:00:00+00", Timestamp::MIN),
            ("10000-01-01 00:00:00+00", Timestamp::MAX),
            ("infinity", Timestamp::MAX),
        ] {
            let read: Timestamptz = sqlx::query_scalar("SELECT $1::text::timestamptz")
                .bind(literal)
                .fetch_one(&mut conn)
                .await
                .unwrap();
            assert_eq!(read.0, expected, "{literal}");
        }
    }
}
