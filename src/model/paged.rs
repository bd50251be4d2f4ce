//! A column that grows page by page: nothing is ever moved, so that no sample waits for a copy of millions of others, and no
//! more than one page is held in vain.

use std::ops::{Index, IndexMut};

/// Elements per page.
const PAGE: usize = 8192;

/// A list that only grows.
#[derive(Debug, Clone)]
pub struct Paged<T> {
    pages: Vec<Vec<T>>,
}

impl<T> Default for Paged<T> {
    fn default() -> Self {
        Self { pages: Vec::new() }
    }
}

impl<T> Paged<T> {
    /// Adds an element at the end.
    pub fn push(&mut self, element: T) {
        if self.pages.last().is_none_or(|page| page.len() == PAGE) {
            // A shard with a handful of series should not hold a page for a thousand.
            let room = if self.pages.is_empty() { 8 } else { PAGE };
            self.pages.push(Vec::with_capacity(room));
        }
        if let Some(page) = self.pages.last_mut() {
            page.push(element);
        }
    }

    /// How many elements there are.
    pub fn len(&self) -> usize {
        self.pages
            .last()
            .map_or(0, |page| (self.pages.len() - 1) * PAGE + page.len())
    }

    /// True if there is none.
    pub const fn is_empty(&self) -> bool {
        self.pages.is_empty()
    }

    /// The element at that place, if there is one.
    pub fn get(&self, index: usize) -> Option<&T> {
        self.pages.get(index / PAGE)?.get(index % PAGE)
    }

    /// The element at that place, if there is one.
    pub fn get_mut(&mut self, index: usize) -> Option<&mut T> {
        self.pages.get_mut(index / PAGE)?.get_mut(index % PAGE)
    }
}

impl<T> Index<usize> for Paged<T> {
    type Output = T;

    fn index(&self, index: usize) -> &T {
        &self.pages[index / PAGE][index % PAGE]
    }
}

impl<T> IndexMut<usize> for Paged<T> {
    fn index_mut(&mut self, index: usize) -> &mut T {
        &mut self.pages[index / PAGE][index % PAGE]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elements_keep_their_places_over_page_boundaries() {
        let mut column = Paged::default();
        assert!(column.is_empty() && column.get(0).is_none());
        for n in 0..=2 * PAGE {
            column.push(n);
            assert_eq!(column.len(), n + 1);
        }
        column[PAGE] += 7;
        assert_eq!(
            (column[0], column[PAGE], column.get(2 * PAGE), column.get(2 * PAGE + 1)),
            (0, PAGE + 7, Some(&(2 * PAGE)), None)
        );
    }
}
