//! What is signed: requests for certificates that were approved, and the tokens of Secrets.

use std::collections::BTreeSet;
use std::sync::Arc;

use base64::prelude::{BASE64_STANDARD, Engine as _};
use serde_json::{Value, json};
use tracing::warn;

use super::written::Written;
use crate::access::service_accounts::issue_for_secret;
use crate::access::{Access, signing_requests};
use crate::kinds::{Resource, table};
use crate::meta::{is_deleting, metadata, name, namespace, object_in, text, uid};
use crate::objects::{DeleteOptions, Error, Objects, typed};
use crate::store::{Key, Object, Page, WriteError};

const REQUESTS: (&str, &str) = ("certificates.k8s.io", "certificatesigningrequests");
const SECRET_TYPE: &str = "kubernetes.io/service-account-token";
const ACCOUNT: &str = "kubernetes.io/service-account.name";
const ACCOUNT_UID: &str = "kubernetes.io/service-account.uid";

/// What may have to be signed.
#[derive(Default)]
pub(super) struct Signing {
    requests: BTreeSet<String>,
    /// By namespace and name.
    secrets: BTreeSet<(String, String)>,
}

impl Signing {
    pub(super) fn note(&mut self, objects: &Objects, written: Written<'_>) {
        if let Some(request) = written.after
            && written.table == table(REQUESTS.0, REQUESTS.1)
            && signing_requests::is_waiting(request.value())
        {
            self.requests.insert(name(request.value()).to_owned());
        }
        if let Some(secret) = written.after
            && written.table == table("", "secrets")
            && is_of_account(secret.value())
        {
            self.secrets.insert(place(secret.value()));
        }
        if let (Some(account), None) = (written.before, written.after)
            && written.table == table("", "serviceaccounts")
        {
            // The tokens of an account go with it.
            let space = Some(namespace(account.value()));
            let secrets = objects
                .store
                .list(&table("", "secrets"), space, &Page::default());
            let secrets = secrets.map(|list| list.items).unwrap_or_default();
            let of_accounts = secrets
                .iter()
                .filter(|secret| is_of_account(secret.value()));
            self.secrets
                .extend(of_accounts.map(|secret| place(secret.value())));
        }
    }

    /// Nothing has failed.
    pub(super) fn is_done(&self) -> bool {
        self.requests.is_empty() && self.secrets.is_empty()
    }

    /// What can't be done is tried again.
    pub(super) async fn work(&mut self, access: &Access) {
        for request in std::mem::take(&mut self.requests) {
            if let Err(error) = sign(access, &request).await {
                warn!(request, %error, "a certificate was not signed");
                self.requests.insert(request);
            }
        }
        for (space, secret) in std::mem::take(&mut self.secrets) {
            if let Err(error) = fill(access, &space, &secret).await {
                warn!(namespace = space, secret, %error, "a token was not written");
                self.secrets.insert((space, secret));
            }
        }
    }
}

fn is_of_account(secret: &Value) -> bool {
    text(secret, "/type") == SECRET_TYPE
}

fn place(object: &Value) -> (String, String) {
    (namespace(object).to_owned(), name(object).to_owned())
}

/// Signs a request that was approved.
async fn sign(access: &Access, request: &str) -> Result<(), Error> {
    let key = Key::new(&table(REQUESTS.0, REQUESTS.1), None, request);
    replace(access, REQUESTS, &key, |request| {
        if !signing_requests::is_waiting(request) {
            return Ok(None);
        }
        signing_requests::signed(access, request).map(Some)
    })
    .await
}

/// Gives the Secret of an account its token; deletes it if there is no such account.
async fn fill(access: &Access, space: &str, secret: &str) -> Result<(), Error> {
    let key = Key::new(&table("", "secrets"), Some(space), secret);
    let Some(object) = access.objects.store.get(&key) else {
        return Ok(());
    };
    if !is_of_account(object.value()) || is_deleting(object.value()) {
        return Ok(());
    }
    let Some(account) = account(&access.objects, space, object.value()) else {
        let kinds = access.objects.registry.now();
        let Some(resource) = kinds.find("", "v1", "secrets") else {
            return Ok(());
        };
        let options = DeleteOptions::background();
        return match access.objects.delete(resource, &key, &options).await {
            Ok(_) | Err(Error::NotFound { .. }) => Ok(()),
            Err(error) => Err(error),
        };
    };
    replace(access, ("", "secrets"), &key, |secret| {
        filled(access, account.value(), secret)
    })
    .await
}

/// The account that a Secret names.
fn account(objects: &Objects, space: &str, secret: &Value) -> Option<Arc<Object>> {
    let annotation = |name: &str| {
        let annotations = secret.pointer("/metadata/annotations");
        let value = annotations.and_then(|all| all.get(name));
        value.and_then(Value::as_str).unwrap_or_default()
    };
    let key = Key::new(
        &table("", "serviceaccounts"),
        Some(space),
        annotation(ACCOUNT),
    );
    let account = objects.store.get(&key)?;
    let wanted = annotation(ACCOUNT_UID);
    (wanted.is_empty() || wanted == uid(account.value())).then_some(account)
}

/// A Secret with all that it lacks; none if it lacks nothing.
fn filled(access: &Access, account: &Value, secret: &Value) -> Result<Option<Value>, Error> {
    let mut filled = secret.clone();
    let annotations = metadata(&mut filled)
        .entry("annotations")
        .or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(ACCOUNT_UID.to_owned(), uid(account).into());
    }
    let data = object_in(&mut filled, "data");
    let mut set = |field: &str, text: &str| {
        data.insert(field.to_owned(), BASE64_STANDARD.encode(text).into());
    };
    set("namespace", namespace(account));
    if let Some(authority) = &access.authority {
        set("ca.crt", authority);
    }
    if text(secret, "/data/token").is_empty() {
        set("token", &issue_for_secret(access, account, name(secret))?);
    }
    Ok((filled != *secret).then_some(filled))
}

/// Replaces an object, again if somebody else was faster; does nothing if there is nothing to do.
async fn replace(
    access: &Access,
    (group, plural): (&str, &str),
    key: &Key,
    make: impl Fn(&Value) -> Result<Option<Value>, Error>,
) -> Result<(), Error> {
    let objects = &access.objects;
    let kinds = objects.registry.now();
    let Some(resource) = kinds.find(group, "v1", plural) else {
        return Ok(());
    };
    let resource: &Resource = resource;
    loop {
        let Some(object) = objects.store.get(key) else {
            return Ok(());
        };
        let Some(new) = make(object.value())? else {
            return Ok(());
        };
        let new = typed(resource, &new);
        match objects.update(resource, &object, new, false).await {
            Err(WriteError::Conflict { .. }) => {}
            Err(WriteError::NotFound) | Ok(_) => return Ok(()),
            Err(error) => return Err(Error::write(resource, &key.name, &error)),
        }
    }
}
