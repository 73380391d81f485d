//! Requests for certificates (`CertificateSigningRequest`): who asks, who may approve, and the
//! signers for clients of the API server.
//!
//! `kubernetes.io/kube-apiserver-client` and `kubernetes.io/kube-apiserver-client-kubelet` sign
//! what was approved, for a year at most.

use base64::prelude::{BASE64_STANDARD, Engine as _};
use rcgen::KeyUsagePurpose;
use rustls::pki_types::CertificateSigningRequestDer;
use rustls::pki_types::pem::PemObject as _;
use serde_json::{Value, json};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::prelude::FromDer as _;

use super::authorization::{Attributes, allowed};
use super::client_certificates::Certificate;
use super::subject::Subject;
use super::{Access, User};
use crate::meta::{items, name, number, object_in, strings, text};
use crate::objects::Error;
use crate::sources::seconds;

pub(super) const GROUP: &str = "certificates.k8s.io";
pub(super) const PLURAL: &str = "certificatesigningrequests";
const SIGNER: &str = "kubernetes.io/kube-apiserver-client";
const KUBELET_SIGNER: &str = "kubernetes.io/kube-apiserver-client-kubelet";
const MASTERS: &str = "system:masters";

/// Seconds.
const YEAR: i64 = 365 * 24 * 60 * 60;
const SKEW: i64 = 5 * 60;

/// Fills in who asks; refuses an approval by who may not approve.
pub(super) fn admit(
    access: &Access,
    user: &User,
    subresource: &str,
    new: &mut Value,
    old: Option<&Value>,
) -> Result<(), Error> {
    let Some(old) = old else {
        let spec = object_in(new, "spec");
        for field in ["username", "uid", "groups", "extra"] {
            spec.remove(field);
        }
        spec.insert("username".to_owned(), user.name.clone().into());
        if !user.uid.is_empty() {
            spec.insert("uid".to_owned(), user.uid.clone().into());
        }
        if !user.groups.is_empty() {
            spec.insert("groups".to_owned(), json!(user.groups));
        }
        if !user.extra.is_empty() {
            spec.insert("extra".to_owned(), json!(user.extra));
        }
        return check_subject(new);
    };
    let verb = match subresource {
        "approval" => "approve",
        "status" if signs(new, old) => "sign",
        _ => return Ok(()),
    };
    let signer = text(old, "/spec/signerName");
    let domain = signer.split_once('/').map_or(signer, |(domain, _)| domain);
    let may = [signer.to_owned(), format!("{domain}/*")]
        .into_iter()
        .any(|name| {
            let attributes = Attributes {
                verb: verb.to_owned(),
                group: GROUP.to_owned(),
                resource: "signers".to_owned(),
                name,
                ..Attributes::default()
            };
            allowed(access, user, &attributes)
        });
    if may {
        return Ok(());
    }
    let why = format!("user not permitted to {verb} requests with signerName {signer:?}");
    Err(Error::forbidden_in(GROUP, PLURAL, name(old), &why))
}

/// Whether a change is what a signer does.
fn signs(new: &Value, old: &Value) -> bool {
    let certificate = "/status/certificate";
    text(new, certificate) != text(old, certificate)
        || items(new, "/status/conditions") != items(old, "/status/conditions")
}

/// Nobody asks to be an administrator.
fn check_subject(request: &Value) -> Result<(), Error> {
    let is_master = || {
        let subject = der(request)
            .and_then(|der| Subject::read(&parse(&der)?.certification_request_info.subject));
        subject.is_some_and(|subject| subject.groups.iter().any(|group| group == MASTERS))
    };
    if text(request, "/spec/signerName") == SIGNER && is_master() {
        let why = format!("use of {SIGNER} signer with {MASTERS} group is not allowed");
        return Err(Error::forbidden_in(GROUP, PLURAL, name(request), &why));
    }
    Ok(())
}

/// What was sent, as DER; none if it is no request for a certificate as PEM.
fn der(request: &Value) -> Option<CertificateSigningRequestDer<'static>> {
    let pem = BASE64_STANDARD
        .decode(text(request, "/spec/request"))
        .ok()?;
    CertificateSigningRequestDer::from_pem_slice(&pem).ok()
}

/// What is asked for; none if it can't be read.
fn parse(der: &[u8]) -> Option<X509CertificationRequest<'_>> {
    let (_, request) = X509CertificationRequest::from_der(der).ok()?;
    Some(request)
}

fn has_condition(request: &Value, wanted: &str) -> bool {
    let conditions = items(request, "/status/conditions");
    conditions
        .iter()
        .any(|condition| text(condition, "/type") == wanted)
}

/// Whether the signer has something to do.
pub(crate) fn is_waiting(request: &Value) -> bool {
    [SIGNER, KUBELET_SIGNER].contains(&text(request, "/spec/signerName"))
        && text(request, "/status/certificate").is_empty()
        && has_condition(request, "Approved")
        && !has_condition(request, "Denied")
        && !has_condition(request, "Failed")
}

/// A request with its certificate, or with why there is none.
pub(crate) fn signed(access: &Access, request: &Value) -> Result<Value, Error> {
    let now = access.objects.sources.now();
    let mut signed = request.clone();
    match certificate(access, request)? {
        Ok(pem) => {
            let encoded = BASE64_STANDARD.encode(pem);
            object_in(&mut signed, "status").insert("certificate".to_owned(), encoded.into());
        }
        Err(why) => {
            let mut conditions = items(request, "/status/conditions").to_vec();
            conditions.push(json!({
                "type": "Failed",
                "status": "True",
                "reason": "SignerValidationFailure",
                "message": why,
                "lastUpdateTime": seconds(now),
                "lastTransitionTime": seconds(now),
            }));
            object_in(&mut signed, "status").insert("conditions".to_owned(), conditions.into());
        }
    }
    Ok(signed)
}

/// The certificate as PEM, or why there is none.
fn certificate(access: &Access, request: &Value) -> Result<Result<String, String>, Error> {
    let der = der(request);
    let asked = der.as_deref().and_then(parse);
    let asked = asked.filter(|asked| asked.verify_signature().is_ok());
    let Some(asked) = asked else {
        return Ok(Err(
            "the request is no certificate request, or not signed by its key".to_owned(),
        ));
    };
    let Some(subject) = Subject::read(&asked.certification_request_info.subject) else {
        let why = "the subject must have a common name, and names that are texts";
        return Ok(Err(why.to_owned()));
    };
    let is_node = subject.groups == ["system:nodes"] && subject.user.starts_with("system:node:");
    if text(request, "/spec/signerName") == KUBELET_SIGNER && !is_node {
        let why = "the subject must be system:node:NAME in the organization system:nodes";
        return Ok(Err(why.to_owned()));
    }
    let usages = strings(request, "/spec/usages");
    if !usages.iter().any(|usage| usage == "client auth") {
        return Ok(Err("usages did not contain \"client auth\"".to_owned()));
    }
    let mut key_usages = Vec::new();
    for usage in &usages {
        match usage.as_str() {
            "digital signature" => key_usages.push(KeyUsagePurpose::DigitalSignature),
            "key encipherment" => key_usages.push(KeyUsagePurpose::KeyEncipherment),
            "client auth" => {}
            other => return Ok(Err(format!("usage {other:?} is not allowed"))),
        }
    }
    let sources = &access.objects.sources;
    let now = sources.now().as_second();
    let life = number(request, "/spec/expirationSeconds").unwrap_or(YEAR);
    let wanted = Certificate {
        request: &asked,
        key_usages,
        from: now - SKEW,
        to: now + life.clamp(600, YEAR),
        serial: (sources.randomness)(),
        key: &access.keys()?.clients,
    };
    Ok(wanted.sign().map_err(|error| error.to_string()))
}
