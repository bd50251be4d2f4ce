//! Series that are met for the first time, and what sources tell of where series come from.
//!
//! Both wait for the end of the tick: a target is introduced and scraped in the same moment, and the labels of its series must not depend on which of the two
//! arrived first.

use super::super::Labels;
use super::{History, Origins, UNSEEN, UNWANTED, series_labels};
use crate::model::{Catalog, EntityId, SeriesId};

impl History {
    /// Takes note of the labels that a source gives to all series of an entity. What the config says of it counts for more.
    pub fn introduce(&mut self, entity: &str, labels: Labels, catalog: &Catalog) {
        if self.origins.contains_key(entity) || self.learned.get(entity) == Some(&labels) {
            return;
        }
        self.learned.insert(entity.to_owned(), labels);
        self.retold.extend(catalog.find_entity(entity));
    }

    /// Hands over what sources have told, to one that goes on with other labels.
    pub(crate) fn told(&mut self) -> Origins {
        std::mem::take(&mut self.learned)
    }

    /// Goes on with what another was told.
    pub(crate) fn knows(&mut self, told: Origins) {
        self.learned = told;
    }

    /// Gives labels and a place to whoever came since the last tick.
    pub(super) fn seat(&mut self, catalog: &Catalog) {
        self.relabel(catalog);
        for (id, point) in std::mem::take(&mut self.newcomers) {
            if id == SeriesId::REFUSED {
                continue;
            }
            let index = id.index();
            if index >= self.places.len() {
                self.places.resize(index + 1, UNSEEN);
            }
            if self.places[index] == UNSEEN {
                self.places[index] = self.first_sight(id, catalog);
            }
            let place = self.places[index];
            if place != UNWANTED {
                self.push(place, point);
            }
        }
    }

    fn first_sight(&mut self, id: SeriesId, catalog: &Catalog) -> u32 {
        let Some(labels) = self.labels_of(id, catalog) else {
            return UNWANTED;
        };
        match self.keep_for(&labels) {
            Some(keep) => self.add(labels, Some(id), keep),
            None => UNWANTED,
        }
    }

    fn labels_of(&self, id: SeriesId, catalog: &Catalog) -> Option<Labels> {
        let (entity, signal) = catalog.parts(id)?;
        let (entity, signal) = (catalog.entity_name(entity), catalog.signal_name(signal));
        let origin = self
            .origins
            .get(entity.as_str())
            .or_else(|| self.learned.get(entity.as_str()));
        Some(series_labels(entity.as_str(), signal.as_str(), origin))
    }

    /// Names the series anew of which a source has told something else meanwhile, and looks again at those that nobody wanted under their old names.
    fn relabel(&mut self, catalog: &Catalog) {
        let retold = std::mem::take(&mut self.retold);
        if retold.is_empty() {
            return;
        }
        let of_retold = |id: SeriesId| {
            catalog
                .parts(id)
                .is_some_and(|(entity, _): (EntityId, _)| retold.contains(&entity))
        };
        for (number, place) in (0_u32..).zip(&mut self.places) {
            if *place == UNWANTED && of_retold(SeriesId(number)) {
                *place = UNSEEN;
            }
        }
        for place in 0..self.series.len() {
            let Some(id) = self.series[place].id.filter(|id| of_retold(*id)) else {
                continue;
            };
            if let Some(labels) = self.labels_of(id, catalog) {
                self.rename(place, labels);
            }
        }
    }

    fn rename(&mut self, place: usize, labels: Labels) {
        let keep = self.keep_for(&labels).unwrap_or(0);
        let Some(kept) = self.series.get_mut(place) else {
            return;
        };
        if kept.labels == labels {
            return;
        }
        kept.keep = keep;
        // The name stands in the signal and stays; only the order among those of that name changes.
        self.unsorted.insert(labels.name().into());
        kept.labels = labels;
    }
}
