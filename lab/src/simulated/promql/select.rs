//! Selectors.

use promql_parser::label::METRIC_NAME;
use promql_parser::parser::{MatrixSelector, VectorSelector};

use super::{Family, Growth, Labels, QueryError, Sample, Series, nameless, unsupported};

/// The samples that a selector selects.
pub(super) fn instant(
    series: &(impl Series + ?Sized),
    selector: &VectorSelector,
) -> Result<Vec<(Labels, f64)>, QueryError> {
    let found = families(series, selector)?;
    let samples = found.into_iter().flat_map(|family| {
        let name = family.name;
        let samples = family.samples.into_iter();
        samples.map(move |sample| (labels(name, &sample), sample.value))
    });
    Ok(samples.collect())
}

/// How much the counters that a selector selects grow in so many seconds, as they do now.
pub(super) fn growth(
    series: &(impl Series + ?Sized),
    function: &str,
    range: &MatrixSelector,
    seconds: f64,
) -> Result<Vec<(Labels, f64)>, QueryError> {
    let mut grown = Vec::new();
    for family in families(series, &range.vs)? {
        if family.growth == Growth::Gauge {
            let name = family.name;
            return Err(QueryError::Execution(format!(
                "{name} is a gauge, and {function} is for counters: write {name} alone"
            )));
        }
        let samples = family.samples.iter();
        grown.extend(samples.map(|sample| {
            let labels = nameless(labels(family.name, sample));
            (labels, sample.rate * seconds)
        }));
    }
    Ok(grown)
}

/// The families that a selector means, with the samples that it matches.
fn families(
    series: &(impl Series + ?Sized),
    selector: &VectorSelector,
) -> Result<Vec<Family>, QueryError> {
    if selector.offset.is_some() {
        return Err(unsupported("offset is"));
    }
    if selector.at.is_some() {
        return Err(unsupported("the modifier @ is"));
    }
    let matchers = &selector.matchers;
    if !matchers.or_matchers.is_empty() {
        return Err(unsupported("or between matchers is"));
    }
    let is_asked = |name: &str| {
        selector.name.as_deref().is_none_or(|asked| asked == name)
            && (matchers.matchers.iter())
                .filter(|matcher| matcher.name == METRIC_NAME)
                .all(|matcher| matcher.is_match(name))
    };
    let mut families = series.families(&is_asked);
    for family in &mut families {
        family.samples.retain(|sample| {
            let others = matchers.matchers.iter();
            let mut others = others.filter(|matcher| matcher.name != METRIC_NAME);
            // A label that is missing is as an empty one.
            others.all(|matcher| matcher.is_match(sample.label(&matcher.name)))
        });
    }
    Ok(families)
}

impl Sample {
    fn label(&self, name: &str) -> &str {
        let found = self.labels.iter().find(|(label, _)| *label == name);
        found.map_or("", |(_, value)| value)
    }
}

fn labels(name: &str, sample: &Sample) -> Labels {
    let name = (METRIC_NAME.to_owned(), name.to_owned());
    let labels = sample.labels.iter();
    let labels = labels.map(|(label, value)| ((*label).to_owned(), value.clone()));
    labels.chain([name]).collect()
}
