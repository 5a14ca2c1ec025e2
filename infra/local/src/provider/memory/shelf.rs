//! An index by time that returns any page, newest first, without reading the rest.

use jiff::Timestamp;

/// The places of documents, oldest first.
#[derive(Debug, Default)]
pub(crate) struct Shelf(Vec<(Timestamp, usize)>);

impl Shelf {
    pub(crate) fn insert(&mut self, at: Timestamp, place: usize) {
        if let Err(index) = self.0.binary_search(&(at, place)) {
            self.0.insert(index, (at, place));
        }
    }

    pub(crate) fn remove(&mut self, at: Timestamp, place: usize) {
        if let Ok(index) = self.0.binary_search(&(at, place)) {
            self.0.remove(index);
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    pub(crate) fn newest_first(&self) -> impl Iterator<Item = usize> {
        self.page(0, usize::MAX)
    }

    /// A page. Skipping costs nothing, since it skips in a slice.
    pub(crate) fn page(&self, offset: usize, size: usize) -> impl Iterator<Item = usize> {
        self.0.iter().rev().skip(offset).take(size).map(|(_, place)| *place)
    }
}
