//! Clients that show who they are by a certificate of the control plane's authority for clients:
//! the common name is the user, and the organizations are the groups.

use std::collections::BTreeMap;
use std::sync::Arc;

use p256::pkcs8::LineEnding;
use p256::pkcs8::der::pem::encode_string;
use rcgen::{
    BasicConstraints, CertificateParams, CustomExtension, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyUsagePurpose, SubjectPublicKeyInfo,
};
use rustls::SignatureScheme;
use rustls::client::danger::HandshakeSignatureValid;
use rustls::crypto::{WebPkiSupportedAlgorithms, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, UnixTime};
use rustls::server::WebPkiClientVerifier;
use rustls::server::danger::{ClientCertVerified, ClientCertVerifier};
use rustls::{DigitallySignedStruct, DistinguishedName, RootCertStore, ServerConnection};
use sha2::{Digest as _, Sha256};
use x509_parser::certification_request::X509CertificationRequest;
use x509_parser::cri_attributes::ParsedCriAttribute;
use x509_parser::oid_registry::OID_X509_EXT_SUBJECT_ALT_NAME;
use x509_parser::prelude::{FromDer as _, X509Certificate};

use super::certificates::time;
use super::keys::SigningKey;
use super::subject::{Subject, SubjectError, with_subject};
use super::{Access, User};
use crate::objects::Error;

/// The certificates that a client has shown on its connection, its own first. It has their key;
/// who has signed them is still to be seen.
#[derive(Clone, Debug, Default)]
pub(crate) struct Shown(Arc<[CertificateDer<'static>]>);

impl Shown {
    pub(crate) fn of(connection: &ServerConnection) -> Self {
        Self(connection.peer_certificates().unwrap_or_default().into())
    }
}

/// The user of what a client has shown; none if it has shown nothing.
pub(crate) fn authenticate(access: &Access, shown: &Shown) -> Result<Option<User>, Error> {
    let Some((own, others)) = shown.0.split_first() else {
        return Ok(None);
    };
    let trusted = is_trusted(access, own, others)?;
    if !trusted {
        return Err(Error::Unauthorized);
    }
    Ok(Some(user(own).ok_or(Error::Unauthorized)?))
}

/// Whether the authority for clients has signed a certificate, it is for clients, and it is not at
/// its end.
fn is_trusted(
    access: &Access,
    own: &CertificateDer<'_>,
    others: &[CertificateDer<'_>],
) -> Result<bool, Error> {
    let internal = |why: &dyn std::fmt::Display| Error::Internal(why.to_string());
    let authority = authority(&access.keys()?.clients).map_err(|error| internal(&error))?;
    let mut roots = RootCertStore::empty();
    roots.add(authority).map_err(|error| internal(&error))?;
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let verifier = verifier.build().map_err(|error| internal(&error))?;
    let seconds = u64::try_from(access.objects.sources.now().as_second()).unwrap_or_default();
    let now = UnixTime::since_unix_epoch(std::time::Duration::from_secs(seconds));
    Ok(verifier.verify_client_cert(own, others, now).is_ok())
}

/// The user that a certificate names; none if it names none.
fn user(certificate: &CertificateDer<'_>) -> Option<User> {
    let (_, parsed) = X509Certificate::from_der(certificate).ok()?;
    let Subject { user, mut groups } = Subject::read(parsed.subject())?;
    groups.push("system:authenticated".to_owned());
    let hash = Sha256::digest(certificate);
    let id = format!("X509SHA256={hash:x}");
    Some(User {
        name: user,
        groups,
        extra: BTreeMap::from([(
            "authentication.kubernetes.io/credential-id".to_owned(),
            vec![id],
        )]),
        ..User::default()
    })
}

/// The authority for clients. Its certificate follows from its key, and is not kept: who trusts it
/// looks at name and key only.
fn authority(key: &SigningKey) -> Result<CertificateDer<'static>, rcgen::Error> {
    Ok(authority_params().self_signed(key)?.der().clone())
}

fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    let name = &mut params.distinguished_name;
    name.push(DnType::CommonName, "kubernetes-client-ca");
    params
}

/// A certificate for a client, as it was asked for.
pub(crate) struct Certificate<'a> {
    /// Subject, key and alternative names are taken from it.
    pub(crate) request: &'a X509CertificationRequest<'a>,
    pub(crate) key_usages: Vec<KeyUsagePurpose>,
    /// Seconds since 1970.
    pub(crate) from: i64,
    pub(crate) to: i64,
    pub(crate) serial: u64,
    pub(crate) key: &'a SigningKey,
}

impl Certificate<'_> {
    /// The certificate, as PEM.
    pub(crate) fn sign(self) -> Result<String, SubjectError> {
        let asked = &self.request.certification_request_info;
        let mut params = CertificateParams::default();
        params.custom_extensions = alternative_names(self.request);
        params.key_usages = self.key_usages;
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        params.is_ca = IsCa::ExplicitNoCa;
        params.use_authority_key_identifier_extension = true;
        params.not_before = time(self.from);
        params.not_after = time(self.to);
        params.serial_number = Some(self.serial.into());
        let issuer = Issuer::new(authority_params(), self.key);
        let key = SubjectPublicKeyInfo::from_der(asked.subject_pki.raw)?;
        let certificate = params.signed_by(&key, &issuer)?;
        let certificate = with_subject(certificate.der(), asked.subject.as_raw(), self.key)?;
        let pem = encode_string("CERTIFICATE", LineEnding::LF, &certificate);
        pem.map_err(|_| rcgen::Error::CouldNotParseCertificate.into())
    }
}

/// The alternative names that a request asks for, as they are.
fn alternative_names(request: &X509CertificationRequest<'_>) -> Vec<CustomExtension> {
    let attributes = request.certification_request_info.iter_attributes();
    let asked = attributes.filter_map(|attribute| match attribute.parsed_attribute() {
        ParsedCriAttribute::ExtensionRequest(asked) => Some(&asked.extensions),
        _ => None,
    });
    let names = asked.flatten();
    let names = names.filter(|extension| extension.oid == OID_X509_EXT_SUBJECT_ALT_NAME);
    names
        .map(|names| CustomExtension::from_oid_content(&[2, 5, 29, 17], names.value.to_vec()))
        .take(1)
        .collect()
}

/// Asks clients for a certificate, takes any, and makes sure that they have its key. Each control
/// plane behind the listener has an authority of its own, and sees for itself who has signed it.
#[derive(Debug)]
pub(super) struct AskForCertificate(WebPkiSupportedAlgorithms);

impl AskForCertificate {
    pub(super) fn new() -> Self {
        let provider = rustls::crypto::ring::default_provider();
        Self(provider.signature_verification_algorithms)
    }
}

impl ClientCertVerifier for AskForCertificate {
    fn client_auth_mandatory(&self) -> bool {
        false
    }

    fn root_hint_subjects(&self) -> &[DistinguishedName] {
        &[]
    }

    fn verify_client_cert(
        &self,
        _own: &CertificateDer<'_>,
        _others: &[CertificateDer<'_>],
        _now: UnixTime,
    ) -> Result<ClientCertVerified, rustls::Error> {
        Ok(ClientCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls12_signature(message, certificate, signature, &self.0)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        verify_tls13_signature(message, certificate, signature, &self.0)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.supported_schemes()
    }
}

#[cfg(test)]
#[path = "client_certificates_tests.rs"]
mod tests;
