//! Lists in pages, by keyset: a page starts after the last item of the one before, so that nothing is
//! skipped or shown twice while rows are added.

use std::fmt;

/// One page of a list and where the next one starts.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Page<T> {
    /// The items, at most as many as were asked for.
    pub items: Vec<T>,
    /// Present when there may be more.
    pub next: Option<Cursor>,
}

impl<T> Page<T> {
    /// Builds a page from up to `limit + 1` rows: the extra row only tells that there is more.
    pub fn from_rows(mut rows: Vec<T>, limit: PageLimit, cursor: impl Fn(&T) -> Cursor) -> Self {
        let more = rows.len() > limit.rows();
        rows.truncate(limit.rows());
        let next = if more { rows.last().map(cursor) } else { None };
        Self { items: rows, next }
    }

    /// The same page with each item turned into something else.
    pub fn map<U>(self, turn: impl FnMut(T) -> U) -> Page<U> {
        Page { items: self.items.into_iter().map(turn).collect(), next: self.next }
    }
}

/// How many items a page holds: 1 to 200, 50 when not said.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PageLimit(u16);

impl PageLimit {
    /// The largest page.
    pub const MAX: u16 = 200;

    /// A limit between 1 and [`Self::MAX`]; `None` outside.
    pub fn new(limit: u16) -> Option<Self> {
        (1..=Self::MAX).contains(&limit).then_some(Self(limit))
    }

    /// The number of rows on a page.
    pub fn rows(self) -> usize {
        usize::from(self.0)
    }

    /// The number of rows to ask a database for: one more than the page, to learn whether there is more.
    pub fn rows_to_fetch(self) -> i64 {
        i64::from(self.0).saturating_add(1)
    }
}

impl Default for PageLimit {
    fn default() -> Self {
        Self(50)
    }
}

/// Where a page starts, opaque to clients: the sort key of the last item seen, in hexadecimal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cursor(Vec<u8>);

/// The text is not a cursor that this list gave out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("use the nextCursor of the page before, unchanged")]
pub struct CursorError;

impl Cursor {
    /// A cursor after the item with this 64-bit sort key.
    pub fn from_i64(key: i64) -> Self {
        Self(key.to_be_bytes().to_vec())
    }

    /// A cursor after the item with this id.
    pub fn from_uuid(key: uuid::Uuid) -> Self {
        Self(key.into_bytes().to_vec())
    }

    /// The 64-bit sort key; an error when the cursor was made from something else.
    pub fn as_i64(&self) -> Result<i64, CursorError> {
        Ok(i64::from_be_bytes(self.0.as_slice().try_into().map_err(|_| CursorError)?))
    }

    /// The id; an error when the cursor was made from something else.
    pub fn as_uuid(&self) -> Result<uuid::Uuid, CursorError> {
        uuid::Uuid::from_slice(&self.0).map_err(|_| CursorError)
    }

    /// Reads a cursor back from its text.
    pub fn parse(text: &str) -> Result<Self, CursorError> {
        if text.is_empty() || !text.is_ascii() || !text.len().is_multiple_of(2) {
            return Err(CursorError);
        }
        let byte = |index: usize| {
            let end = index.saturating_add(2);
            u8::from_str_radix(&text[index..end], 16).map_err(|_| CursorError)
        };
        (0..text.len()).step_by(2).map(byte).collect::<Result<_, _>>().map(Self)
    }
}

impl fmt::Display for Cursor {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.iter().try_for_each(|byte| write!(formatter, "{byte:02x}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_knows_whether_there_is_more() {
        let limit = PageLimit::new(2).unwrap();
        let cursor = |item: &i64| Cursor::from_i64(*item);
        let full = Page::from_rows(vec![1, 2, 3], limit, cursor);
        assert_eq!(full.items, [1, 2]);
        assert_eq!(full.next.unwrap().as_i64(), Ok(2));
        assert_eq!(Page::from_rows(vec![1, 2], limit, cursor).next, None);
    }

    #[test]
    fn cursors_survive_their_text_and_refuse_others() {
        let id = uuid::Uuid::from_u128(7);
        assert_eq!(Cursor::parse(&Cursor::from_i64(-5).to_string()).unwrap().as_i64(), Ok(-5));
        assert_eq!(Cursor::parse(&Cursor::from_uuid(id).to_string()).unwrap().as_uuid(), Ok(id));
        assert_eq!(Cursor::from_i64(1).as_uuid(), Err(CursorError));
        for text in ["", "0", "zz", "+1", "é0"] {
            assert!(Cursor::parse(text).and_then(|cursor| cursor.as_i64()).is_err(), "{text:?}");
        }
    }

    #[test]
    fn limits_are_bounded() {
        assert_eq!(PageLimit::new(0), None);
        assert_eq!(PageLimit::new(201), None);
        assert_eq!(PageLimit::default().rows_to_fetch(), 51);
    }
}
