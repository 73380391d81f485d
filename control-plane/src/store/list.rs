//! Lists, now or as of an earlier revision.
//!
//! An earlier revision is read by undoing what has happened since, which the history knows. So a
//! continued list costs nothing between its pages, and lasts as long as the history reaches.

use std::collections::BTreeMap;
use std::iter;
use std::num::NonZeroUsize;
use std::ops::{Bound, RangeBounds};
use std::sync::Arc;

use super::error::ReadError;
use super::object::Object;
use super::state::State;
use super::table::Table;

/// Which part of a list. The default is all of it, now.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Page {
    /// At most so many objects.
    pub limit: Option<NonZeroUsize>,
    /// As of this revision; the latest if none. To continue a list, the one it had.
    pub at: Option<u64>,
    /// Only what follows this position: `next` of the page before.
    pub after: Option<String>,
}

/// A list, or a page of one.
#[derive(Clone, Debug)]
pub struct List {
    /// The revision at which it was read.
    pub revision: u64,
    /// The objects, in order.
    pub items: Vec<Arc<Object>>,
    /// Where the next page begins; none if this is the last.
    pub next: Option<String>,
    /// Objects that follow this page.
    pub remaining: usize,
}

impl State {
    pub(super) fn list(
        &self,
        resource: &str,
        namespace: Option<&str>,
        page: &Page,
    ) -> Result<List, ReadError> {
        let latest = self.revision();
        let revision = page.at.unwrap_or(latest);
        if revision > latest {
            let asked = revision;
            return Err(ReadError::TooNew { asked, latest });
        }
        self.reaches(resource, revision)?;
        let mut list = List {
            revision,
            items: Vec::new(),
            next: None,
            remaining: 0,
        };
        let range = Range::new(namespace, page.after.as_deref());
        if let (Some(table), Some(range)) = (self.table(resource), range) {
            table.read(&range, revision, page.limit, &mut list);
        }
        Ok(list)
    }
}

impl Table {
    /// Fills in the objects that stood in the range at a revision.
    fn read(&self, range: &Range, revision: u64, limit: Option<NonZeroUsize>, list: &mut List) {
        let undone = self.undone(range, revision);
        let now = self.objects.range::<str, _>(range.bounds());
        let now = now.map(|(path, object)| (&**path, object));
        let mut now = now
            .filter(|(path, _)| !undone.contains_key(path))
            .peekable();
        let then = undone.iter();
        let mut then = then
            .filter_map(|(path, object)| object.as_ref().map(|object| (*path, object)))
            .peekable();
        let mut both = iter::from_fn(|| match (now.peek(), then.peek()) {
            (Some((a, _)), Some((b, _))) if b < a => then.next(),
            (None, _) => then.next(),
            (Some(_), _) => now.next(),
        });
        let Some(limit) = limit else {
            list.items
                .extend(both.map(|(_, object)| Arc::clone(object)));
            return;
        };
        let mut last = None;
        for (path, object) in both.by_ref().take(limit.get()) {
            last = Some(path);
            list.items.push(Arc::clone(object));
        }
        list.remaining = both.count();
        if list.remaining > 0 {
            list.next = last.map(str::to_owned);
        }
    }

    /// What stood in the range at a revision, where it is different now; none where nothing was.
    fn undone<'a>(
        &'a self,
        range: &Range,
        revision: u64,
    ) -> BTreeMap<&'a str, Option<Arc<Object>>> {
        let mut undone = BTreeMap::new();
        let since = self.history.iter().rev();
        for event in since.take_while(|event| event.revision > revision) {
            if RangeBounds::<str>::contains(&range.bounds(), &*event.place.path) {
                // What the reader parses goes with the reader.
                let previous = event.previous.as_ref().map(|object| object.unparsed());
                undone.insert(&*event.place.path, previous);
            }
        }
        undone
    }
}

/// A range of paths that is not empty.
struct Range {
    start: Bound<String>,
    end: Bound<String>,
}

impl Range {
    /// The paths of a namespace, or all; those that follow a position, which may be any text.
    fn new(namespace: Option<&str>, after: Option<&str>) -> Option<Self> {
        let after = after.map(str::to_owned);
        let Some(namespace) = namespace else {
            return Some(Self {
                start: after.map_or(Bound::Unbounded, Bound::Excluded),
                end: Bound::Unbounded,
            });
        };
        // `0` follows `/`.
        let (first, end) = (format!("{namespace}/"), format!("{namespace}0"));
        let start = match after {
            Some(after) if after >= end => return None,
            Some(after) if after >= first => Bound::Excluded(after),
            _ => Bound::Included(first),
        };
        let end = Bound::Excluded(end);
        Some(Self { start, end })
    }

    fn bounds(&self) -> (Bound<&str>, Bound<&str>) {
        let start = self.start.as_ref().map(String::as_str);
        (start, self.end.as_ref().map(String::as_str))
    }
}
