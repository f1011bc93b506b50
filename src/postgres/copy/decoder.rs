//! A decoder of COPY data that shares nothing with the encoder, for tests.

/// One row as the decoder reads it: group, time (in microseconds since 2000), time of receipt,
/// report id; then its arrays.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Row {
    pub(crate) integers: [i64; 4],
    pub(crate) values: Vec<Option<f64>>,
    pub(crate) offsets: Option<Vec<Option<i32>>>,
}

/// Reads what the manual of COPY describes, field by field.
pub(crate) struct Decoder<'a>(&'a [u8]);

impl<'a> Decoder<'a> {
    pub(crate) fn new(bytes: &'a [u8]) -> Self {
        Self(bytes)
    }

    fn take<const N: usize>(&mut self) -> [u8; N] {
        let (head, rest) = self.0.split_first_chunk::<N>().expect("the data go on");
        self.0 = rest;
        *head
    }

    fn int(&mut self) -> i32 {
        i32::from_be_bytes(self.take())
    }

    pub(crate) fn rows(mut self) -> Vec<Row> {
        assert_eq!(&self.take::<11>(), b"PGCOPY\n\xff\r\n\0");
        assert_eq!((self.int(), self.int()), (0, 0), "flags and extension");
        let mut rows = Vec::new();
        loop {
            match i16::from_be_bytes(self.take()) {
                -1 => break,
                columns => assert_eq!(columns, 6),
            }
            let integers = [(); 4].map(|()| {
                assert_eq!(self.int(), 8);
                i64::from_be_bytes(self.take())
            });
            let values = self.array(701, |d| f64::from_be_bytes(d.take())).expect("not NULL");
            let offsets = self.array(23, Self::int);
            rows.push(Row { integers, values, offsets });
        }
        assert_eq!(self.0, b"", "nothing follows the trailer");
        rows
    }

    fn array<T>(&mut self, oid: i32, element: fn(&mut Self) -> T) -> Option<Vec<Option<T>>> {
        let bytes = usize::try_from(self.int()).ok()?;
        let before = self.0.len();
        let (dimensions, has_null) = (self.int(), self.int());
        assert_eq!(self.int(), oid);
        let mut elements = Vec::new();
        if dimensions > 0 {
            assert_eq!(dimensions, 1);
            let length = self.int();
            assert_eq!(self.int(), 1, "lower bound");
            for _ in 0..length {
                let size = self.int();
                elements.push((size >= 0).then(|| {
                    assert_eq!(usize::try_from(size), Ok(size_of::<T>()));
                    element(self)
                }));
            }
        }
        assert_eq!(elements.iter().any(Option::is_none), has_null == 1);
        assert_eq!(before - self.0.len(), bytes, "the array's own length");
        Some(elements)
    }
}
