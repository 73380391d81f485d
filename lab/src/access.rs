//! What it takes to use a cluster: a token, a kubeconfig, and our CRDs in a hub.

use std::fs::{self, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;
use std::time::Duration;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use control_plane::Sources;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Patch, PatchParams};
use kube::runtime::conditions::is_crd_established;
use kube::runtime::wait::await_condition;
use kube::{Api, Client, ResourceExt as _};
use serde_json::json;

/// How long a CRD may take until it is served.
const PATIENCE: Duration = Duration::from_mins(1);

/// What a token has at least: fewer letters could be guessed.
const TOKEN_LENGTH: usize = 20;

/// The administrator's token that is kept in a folder, in the file `token`; made if there is none.
/// `InvalidData` if the file holds what is no token.
pub fn token(folder: &Path) -> io::Result<String> {
    let file = folder.join("token");
    match fs::read_to_string(&file) {
        Ok(token) if !token.trim().is_empty() => checked(token.trim(), &file),
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => {
            let random = Sources::default().randomness;
            let token = format!("{:016x}{:016x}", random(), random());
            write_secret(&file, &token)?;
            Ok(token)
        }
    }
}

/// A token that is safe to use, and to write into a kubeconfig.
fn checked(token: &str, file: &Path) -> io::Result<String> {
    let is_word = token.bytes().all(|byte| byte.is_ascii_graphic());
    if token.len() >= TOKEN_LENGTH && is_word {
        return Ok(token.to_owned());
    }
    let why = format!(
        "{} holds no token: write at least {TOKEN_LENGTH} letters and digits on one line into it, or remove it to have a new one made",
        file.display()
    );
    Err(io::Error::new(io::ErrorKind::InvalidData, why))
}

/// A kubeconfig, as JSON, with a context for each cluster (its name and the URL of its server); the
/// first is the current one. The administrator of all has this token. `authority` is the certificate
/// of those that speak TLS, as PEM.
pub fn kubeconfig(clusters: &[(&str, String)], authority: &str, token: &str) -> String {
    let authority = BASE64_STANDARD.encode(authority);
    let cluster = |(name, server): &(&str, String)| {
        let mut cluster = json!({ "server": server });
        if server.starts_with("https:") {
            cluster["certificate-authority-data"] = json!(authority);
        }
        json!({ "name": name, "cluster": cluster })
    };
    let context = |(name, _): &(&str, String)| json!({ "name": name, "context": { "cluster": name, "user": "admin" } });
    let config = json!({
        "apiVersion": "v1", "kind": "Config",
        "current-context": clusters.first().map(|(name, _)| name),
        "clusters": clusters.iter().map(cluster).collect::<Vec<_>>(),
        "contexts": clusters.iter().map(context).collect::<Vec<_>>(),
        "users": [{ "name": "admin", "user": { "token": token } }],
    });
    format!("{config:#}\n")
}

/// Writes a file that only its owner may read, as a whole: somebody may be reading it.
pub fn write_secret(file: &Path, text: &str) -> io::Result<()> {
    let draft = file.with_extension("draft");
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true).mode(0o600);
    options.open(&draft)?.write_all(text.as_bytes())?;
    fs::rename(&draft, file)
}

/// Installs our CRDs, or brings them up to date, and waits until they are served.
pub async fn install_crds(hub: &Client) -> kube::Result<()> {
    let api: Api<CustomResourceDefinition> = Api::all(hub.clone());
    let definitions = federation::api::crds().map_err(kube::Error::SerdeError)?;
    for definition in &definitions {
        let params = PatchParams::apply("mck8s").force();
        let patch = Patch::Apply(definition);
        api.patch(&definition.name_any(), &params, &patch).await?;
    }
    for definition in &definitions {
        let name = definition.name_any();
        let served = await_condition(api.clone(), &name, is_crd_established());
        let served = tokio::time::timeout(PATIENCE, served).await;
        served.map_err(failure)?.map_err(failure)?;
    }
    Ok(())
}

fn failure(error: impl std::error::Error + Send + Sync + 'static) -> kube::Error {
    kube::Error::Service(Box::new(error))
}

#[cfg(test)]
mod tests {
    use kube::config::Kubeconfig;

    use super::*;

    #[test]
    fn what_is_no_token_is_refused() {
        let folder = std::env::temp_dir().join(format!("lab-token-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let file = folder.join("token");
        for garbage in [
            "a",
            "0123456789 0123456789",
            "0123456789\n0123456789",
            "0123456789ä123456789",
        ] {
            fs::write(&file, garbage).unwrap();
            let refused = token(&folder).unwrap_err();
            assert_eq!(refused.kind(), io::ErrorKind::InvalidData, "{garbage}");
            assert!(
                refused
                    .to_string()
                    .contains("remove it to have a new one made"),
                "{refused}"
            );
        }
        fs::write(&file, "").unwrap();
        let made = token(&folder).unwrap();
        assert_eq!((made.len(), token(&folder).unwrap()), (32, made));
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn the_kubeconfig_is_understood() {
        let clusters = [
            ("cluster0", "https://127.0.0.1:1".to_owned()),
            ("cluster1", "http://127.0.0.1:2".to_owned()),
        ];
        let text = kubeconfig(&clusters, "A", "secret");
        let config = Kubeconfig::from_yaml(&text).unwrap();
        assert_eq!(config.current_context.as_deref(), Some("cluster0"));
        assert_eq!(config.contexts.len(), 2);
        let authorities = config.clusters.iter().map(|named| {
            let cluster = named.cluster.as_ref().unwrap();
            cluster.certificate_authority_data.as_deref()
        });
        assert_eq!(authorities.collect::<Vec<_>>(), [Some("QQ=="), None]);
    }
}
