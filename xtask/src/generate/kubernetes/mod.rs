//! What the embedded control plane knows of the built-in kinds, from the published files of the
//! Kubernetes version that the real lab runs.

mod discovery;
mod go_types;
mod merging;
mod messages;
mod sources;

use anyhow::Result;

use super::Target;
pub(super) use sources::Sources;

/// The tables of the control plane.
pub(super) fn targets(sources: &Sources) -> Result<Vec<Target>> {
    let kinds = discovery::kinds(sources)?;
    let target = |path: &str, text| Target {
        path: format!("control-plane/src/{path}"),
        text,
    };
    Ok(vec![
        target("builtin/discovery.txt", discovery::table(&kinds)),
        target("protobuf/messages.txt", messages::table(sources, &kinds)?),
        target("schema/builtin/merging.txt", merging::table(sources)?),
    ])
}

#[cfg(test)]
mod tests {
    use control_plane::KUBERNETES_VERSION;
    use lab::real::Program;

    #[test]
    fn the_control_plane_follows_the_version_of_the_lab() {
        assert_eq!(KUBERNETES_VERSION, Program::KubeApiserver.version());
    }
}
