//! The lines: sections of aligned columns, in ASCII whatever the texts of servers contain.

use std::fmt::{self, Display, Formatter};
use std::iter::once;

use federation::api::{ClusterVerdict, PlacementStatus, UnplacedReason, UnplacedReplicas};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, Time};

/// What there is to say of one object. Shown, it is lines for a person, each ending with a newline.
#[derive(Clone, Debug, PartialEq)]
pub struct Explanation {
    /// Which object.
    pub(super) title: String,
    /// What it asks for.
    pub(super) asked: Vec<(&'static str, String)>,
    /// Which decision the shares are of.
    pub(super) decision: String,
    /// What `Share::counted` counts.
    pub(super) counted: &'static str,
    pub(super) shares: Vec<Share>,
    /// What has no cluster.
    pub(super) unplaced: Vec<Vec<String>>,
    /// What else must be known to read it.
    pub(super) notes: Vec<String>,
    pub(super) conditions: Vec<Condition>,
    /// What was said of each cluster, the chosen first.
    pub(super) clusters: Vec<ClusterVerdict>,
}

/// What one cluster has of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Share {
    pub(super) cluster: String,
    pub(super) replicas: u32,
    /// Ready, or on record before.
    pub(super) counted: u32,
    pub(super) why: String,
}

impl Share {
    pub(super) fn of(placement: &PlacementStatus, counted: u32) -> Self {
        let mut why = vec![placement.why.clone()];
        if placement.leaving > 0 {
            why.push(format!("{} of them are leaving", placement.leaving));
        }
        why.extend(placement.problem.clone());
        Self {
            cluster: placement.cluster.clone(),
            replicas: placement.replicas,
            counted,
            why: why.join("; "),
        }
    }

    fn row(&self) -> Vec<String> {
        vec![
            self.cluster.clone(),
            self.replicas.to_string(),
            self.counted.to_string(),
            self.why.clone(),
        ]
    }
}

/// How many replicas have no cluster, of which location, and why; since when, if that is known.
pub(super) fn unplaced_row(unplaced: &UnplacedReplicas, since: Option<&Time>) -> Vec<String> {
    let location = unplaced.location.as_deref().unwrap_or("no location");
    let why = match unplaced.reason {
        UnplacedReason::NoRoom => "the clusters that may run them are full",
        UnplacedReason::NotEnoughClusters => "fewer clusters may be chosen than are requested",
        UnplacedReason::NotEligible => "no cluster may run them, whatever its room",
        UnplacedReason::UnknownCluster => "there is no member cluster of this name",
    };
    let mut row = vec![
        unplaced.replicas.to_string(),
        format!("of {location}"),
        format!("{:?}", unplaced.reason),
        why.to_owned(),
    ];
    row.extend(since.map(|since| format!("since {}", since.0)));
    row
}

impl Display for Explanation {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        writeln!(f, "{}", ascii(&self.title))?;
        let asked = self.asked.iter();
        let asked = asked.map(|(name, value)| vec![(*name).to_owned(), value.clone()]);
        let header = ["CLUSTER", "REPLICAS", self.counted, "WHY"];
        let header = header.map(str::to_owned).to_vec();
        let mut shares: Vec<_> = once(header)
            .chain(self.shares.iter().map(Share::row))
            .collect();
        if self.shares.is_empty() {
            shares = vec![vec!["no cluster has replicas of it".to_owned()]];
        }
        let notes = self.notes.iter().map(|note| vec![note.clone()]);
        let conditions = self.conditions.iter().map(|one| {
            vec![
                one.type_.clone(),
                one.status.clone(),
                one.reason.clone(),
                one.last_transition_time.0.to_string(),
                one.message.clone(),
            ]
        });
        let clusters = self.clusters.iter();
        let clusters = clusters.map(|one| vec![one.cluster.clone(), one.verdict.clone()]);
        section(f, "Asked for", asked.collect())?;
        section(f, &self.decision, shares)?;
        section(f, "Unplaced", self.unplaced.clone())?;
        section(f, "Notes", notes.collect())?;
        section(f, "Conditions", conditions.collect())?;
        section(f, "Clusters", clusters.collect())
    }
}

/// A heading and its rows, whose columns are as wide as what is in them; nothing without rows.
fn section(f: &mut Formatter<'_>, heading: &str, mut rows: Vec<Vec<String>>) -> fmt::Result {
    if rows.is_empty() {
        return Ok(());
    }
    writeln!(f, "\n{heading}")?;
    for cell in rows.iter_mut().flatten() {
        *cell = ascii(cell);
    }
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |column: usize| {
        let cells = rows.iter().filter_map(|row| row.get(column));
        cells.map(String::len).max().unwrap_or(0)
    };
    let widths: Vec<usize> = (0..columns).map(width).collect();
    for row in &rows {
        let cells = row.iter().zip(&widths);
        let line: Vec<_> = cells
            .map(|(cell, width)| format!("{cell:width$}"))
            .collect();
        writeln!(f, "  {}", line.join("  ").trim_end())?;
    }
    Ok(())
}

/// The text on one line, without characters that a terminal may take for commands.
fn ascii(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            ' '..='~' => plain.push(c),
            '\u{2026}' => plain.push_str("..."),
            c if c.is_whitespace() => plain.push(' '),
            c => plain.extend(c.escape_default()),
        }
    }
    plain
}
