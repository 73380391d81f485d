//! The subjects of clients' certificates: who a client is.

use thiserror::Error;
use x509_parser::x509::X509Name;
use yasna::{ASN1Error, construct_der, parse_der};

use super::keys::SigningKey;

/// What a subject says to Kubernetes.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Subject {
    /// The common name; the last one if there are several, as Go reads it.
    pub(super) user: String,
    /// The organizations, in order.
    pub(super) groups: Vec<String>,
}

impl Subject {
    /// None if a name can't be read, or there is no common name.
    pub(super) fn read(name: &X509Name<'_>) -> Option<Self> {
        let user = name.iter_common_name().last()?.as_str().ok()?;
        let groups = name
            .iter_organization()
            .map(|group| group.as_str().map(str::to_owned));
        Some(Self {
            user: (!user.is_empty()).then(|| user.to_owned())?,
            groups: groups.collect::<Result<_, _>>().ok()?,
        })
    }
}

/// Why a certificate could not be given its subject.
#[derive(Debug, Error)]
pub(crate) enum SubjectError {
    /// It is no certificate.
    #[error("the certificate can't be read: {0}")]
    Read(ASN1Error),
    /// The key does not sign.
    #[error("the certificate can't be signed: {0}")]
    Sign(#[from] rcgen::Error),
}

impl From<ASN1Error> for SubjectError {
    fn from(error: ASN1Error) -> Self {
        Self::Read(error)
    }
}

/// Where the subject is among the fields of a certificate that has a version (RFC 5280, 4.1).
const SUBJECT: usize = 5;

/// A certificate with another subject, signed again. All is DER. What makes certificates writes
/// one name of each kind only, and a subject may have several organizations.
pub(super) fn with_subject(
    certificate: &[u8],
    subject: &[u8],
    key: &SigningKey,
) -> Result<Vec<u8>, SubjectError> {
    let signed = parts(certificate)?;
    let [old, algorithm, _] = signed.as_slice() else {
        return Err(ASN1Error::new(yasna::ASN1ErrorKind::Invalid).into());
    };
    let mut fields = parts(old)?;
    if let Some(field) = fields.get_mut(SUBJECT) {
        *field = subject.to_vec();
    }
    let new = sequence(&fields);
    let signature = rcgen::SigningKey::sign(key, &new)?;
    let signature = construct_der(|writer| {
        writer.write_bitvec_bytes(&signature, signature.len() * 8);
    });
    Ok(sequence(&[new, algorithm.clone(), signature]))
}

/// The parts of a sequence.
fn parts(sequence: &[u8]) -> Result<Vec<Vec<u8>>, ASN1Error> {
    parse_der(sequence, |reader| {
        let mut parts = Vec::new();
        reader.read_sequence_of(|reader| {
            parts.push(reader.read_der()?);
            Ok(())
        })?;
        Ok(parts)
    })
}

fn sequence(parts: &[Vec<u8>]) -> Vec<u8> {
    construct_der(|writer| {
        writer.write_sequence(|writer| {
            for part in parts {
                writer.next().write_der(part);
            }
        });
    })
}
