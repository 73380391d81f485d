//! The differences that are known.
//!
//! ```yaml
//! Cluster IPs:                       # stands in bold in docs/control-plane.md
//!   a service gets a cluster IP:     # the case
//!     - 1 /spec/clusterIP            # request, and the place with all that is below it
//! ```
//!
//! A place of `*` is all of the answer.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write;
use std::fs;
use std::path::Path;

/// The differences that are known, and which of them were seen.
pub struct Known {
    places: Vec<Place>,
    requests: BTreeSet<(String, usize)>,
    undocumented: Vec<String>,
}

struct Place {
    case: String,
    request: usize,
    path: String,
    seen: bool,
}

impl Known {
    /// Of a file.
    pub fn load(path: &Path) -> Self {
        type Reasons = BTreeMap<String, BTreeMap<String, Vec<String>>>;
        let text = fs::read_to_string(path).unwrap();
        let reasons: Reasons = serde_saphyr::from_str(&text)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let page = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/control-plane.md");
        let page = fs::read_to_string(page).unwrap();
        let mut known = Self {
            places: Vec::new(),
            requests: BTreeSet::new(),
            undocumented: Vec::new(),
        };
        for (reason, cases) in reasons {
            if !page.contains(&format!("**{reason}**")) {
                known.undocumented.push(reason);
            }
            for (case, places) in cases {
                known
                    .places
                    .extend(places.iter().map(|place| Place::of(&case, place)));
            }
        }
        known
    }

    /// Whether a difference is known; it counts as seen then.
    pub fn covers(&mut self, case: &str, request: usize, path: &str) -> bool {
        let mut covered = false;
        for place in &mut self.places {
            if place.case == case && place.request == request && place.has(path) {
                place.seen = true;
                covered = true;
            }
        }
        if covered {
            self.requests.insert((case.to_owned(), request));
        }
        covered
    }

    /// How many requests were answered differently for a known reason.
    pub fn requests(&self) -> usize {
        self.requests.len()
    }

    /// Reports what is known and no longer so, or what no page tells of.
    pub fn report_stale(&self, report: &mut String) {
        for reason in &self.undocumented {
            let _ = writeln!(report, "docs/control-plane.md has no **{reason}**");
        }
        for Place {
            case,
            request,
            path,
            ..
        } in self.places.iter().filter(|place| !place.seen)
        {
            let _ = writeln!(
                report,
                "known.yaml: {case} / {request} no longer differs at {path}"
            );
        }
    }
}

impl Place {
    fn of(case: &str, text: &str) -> Self {
        let (request, path) = text.split_once(' ').unwrap();
        Self {
            case: case.to_owned(),
            request: request.parse().unwrap(),
            path: path.to_owned(),
            seen: false,
        }
    }

    fn has(&self, path: &str) -> bool {
        let below = path.strip_prefix(self.path.as_str());
        self.path == "*" || below.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}
