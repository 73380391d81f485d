//! The differences that are known.
//!
//! ```yaml
//! Cluster IPs:                       # stands in bold in docs/control-plane.md
//!   a service gets a cluster IP:     # the case
//!     - 1 /spec/clusterIP            # request, and the place with all that is below it
//! ```
//!
//! A request of `*` is any, as is a case, and a step of the place; a place of `*` is all of the
//! answer.

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
    /// None for any.
    request: Option<usize>,
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
            if place.is_in(case, request) && place.has(path) {
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
        for place in self.places.iter().filter(|place| !place.seen) {
            let Place {
                case,
                request,
                path,
                ..
            } = place;
            let request = request.map_or("*".to_owned(), |number| number.to_string());
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
            request: request.parse().ok(),
            path: path.to_owned(),
            seen: false,
        }
    }

    fn is_in(&self, case: &str, request: usize) -> bool {
        (self.case == "*" || self.case == case) && self.request.is_none_or(|own| own == request)
    }

    /// Whether a path is this one, or below it.
    fn has(&self, path: &str) -> bool {
        let mut steps = path.split('/');
        let mut own = self.path.split('/');
        self.path == "*"
            || own.all(|own| steps.next().is_some_and(|step| own == "*" || own == step))
    }
}
