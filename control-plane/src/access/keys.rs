//! What a control plane signs with: the tokens of service accounts, and certificates of clients.
//!
//! Signatures are ECDSA on P-256 with SHA-256, and deterministic (RFC 6979), so that a run whose
//! keys come from injected randomness can be repeated.

use std::fs;
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::Path;
use std::sync::Arc;

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use p256::ecdsa::signature::{Signer as _, Verifier as _};
use p256::ecdsa::{Signature, SigningKey as PrivateKey, VerifyingKey};
use p256::pkcs8::{DecodePrivateKey as _, EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use rcgen::{PKCS_ECDSA_P256_SHA256, PublicKeyData, SignatureAlgorithm};
use serde_json::{Value, json};
use sha2::{Digest as _, Sha256};
use thiserror::Error;

use crate::sources::Sources;

/// Why keys can't be used.
#[derive(Debug, Error)]
pub enum KeyError {
    /// A file can't be read or written.
    #[error("a key can't be read or written: {0}")]
    Storage(#[from] io::Error),
    /// A file holds no key of the right kind.
    #[error(
        "{file} holds no ECDSA key on P-256 in PKCS #8: restore it, or remove it to have a new one made; what the old one has signed is void then"
    )]
    Read {
        /// The name of the file.
        file: String,
    },
    /// A key can't be made or written as PEM.
    #[error("a key can't be made")]
    Make,
}

/// The keys of one control plane. Clones share them.
#[derive(Clone)]
pub struct Keys {
    /// Signs the tokens of service accounts.
    pub(crate) accounts: Arc<SigningKey>,
    /// Signs the certificates of clients.
    pub(crate) clients: Arc<SigningKey>,
}

const ACCOUNTS: &str = "sa.key";
const CLIENTS: &str = "client-ca.key";

impl Keys {
    /// The keys in a folder, `sa.key` and `client-ca.key`. What is missing is made, for its owner
    /// only: the folder is 0700 and the files are 0600.
    pub fn open(folder: &Path, sources: &Sources) -> Result<Self, KeyError> {
        let mut builder = fs::DirBuilder::new();
        builder.recursive(true).mode(0o700).create(folder)?;
        fs::set_permissions(folder, fs::Permissions::from_mode(0o700))?;
        Ok(Self {
            accounts: Arc::new(SigningKey::open(&folder.join(ACCOUNTS), sources)?),
            clients: Arc::new(SigningKey::open(&folder.join(CLIENTS), sources)?),
        })
    }

    /// Keys that are kept nowhere.
    pub(crate) fn draw(sources: &Sources) -> Result<Self, KeyError> {
        Ok(Self {
            accounts: Arc::new(SigningKey::draw(sources)?),
            clients: Arc::new(SigningKey::draw(sources)?),
        })
    }
}

/// A key that signs, with what is shown of it.
pub(crate) struct SigningKey {
    private: PrivateKey,
    /// The public key: a point, uncompressed.
    point: Vec<u8>,
    id: String,
}

impl SigningKey {
    fn new(private: PrivateKey) -> Result<Self, KeyError> {
        let public = private.verifying_key();
        let info = public.to_public_key_der().map_err(|_| KeyError::Make)?;
        Ok(Self {
            point: public.to_encoded_point(false).as_bytes().to_vec(),
            id: BASE64_URL_SAFE_NO_PAD.encode(Sha256::digest(info.as_bytes())),
            private,
        })
    }

    fn draw(sources: &Sources) -> Result<Self, KeyError> {
        let mut bytes = [0; 32];
        for part in bytes.chunks_mut(8) {
            part.copy_from_slice(&(sources.randomness)().to_be_bytes());
        }
        // A number from 1 to below the order of the curve, whatever was drawn.
        bytes[0] &= 0x7f;
        bytes[31] |= 1;
        Self::new(PrivateKey::from_slice(&bytes).map_err(|_| KeyError::Make)?)
    }

    fn open(file: &Path, sources: &Sources) -> Result<Self, KeyError> {
        match fs::read_to_string(file) {
            Ok(text) => {
                let key = PrivateKey::from_pkcs8_pem(&text);
                let file = file.display().to_string();
                Self::new(key.map_err(|_| KeyError::Read { file })?)
            }
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let key = Self::draw(sources)?;
                let text = key.private.to_pkcs8_pem(LineEnding::LF);
                write_secret(file, text.map_err(|_| KeyError::Make)?.as_bytes())?;
                Ok(key)
            }
            Err(error) => Err(error.into()),
        }
    }

    /// The key's name in tokens: a hash of the public key.
    pub(crate) fn id(&self) -> &str {
        &self.id
    }

    /// 64 bytes.
    pub(crate) fn sign(&self, message: &[u8]) -> Vec<u8> {
        let signature: Signature = self.private.sign(message);
        signature.to_bytes().to_vec()
    }

    pub(crate) fn is_signature(&self, message: &[u8], signature: &[u8]) -> bool {
        let public: &VerifyingKey = self.private.verifying_key();
        Signature::from_slice(signature)
            .is_ok_and(|signature| public.verify(message, &signature).is_ok())
    }

    /// The public key as a JSON Web Key.
    pub(crate) fn json_web_key(&self) -> Value {
        // A byte says that the point is uncompressed; both coordinates follow.
        let (x, y) = self.point.split_at_checked(33).unwrap_or_default();
        let number = |bytes: &[u8]| BASE64_URL_SAFE_NO_PAD.encode(bytes);
        json!({
            "use": "sig",
            "kty": "EC",
            "kid": self.id,
            "crv": "P-256",
            "alg": "ES256",
            "x": number(x.get(1..).unwrap_or_default()),
            "y": number(y),
        })
    }
}

impl PublicKeyData for SigningKey {
    fn der_bytes(&self) -> &[u8] {
        &self.point
    }

    fn algorithm(&self) -> &'static SignatureAlgorithm {
        &PKCS_ECDSA_P256_SHA256
    }
}

impl rcgen::SigningKey for SigningKey {
    fn sign(&self, message: &[u8]) -> Result<Vec<u8>, rcgen::Error> {
        let signature: Signature = self.private.sign(message);
        Ok(signature.to_der().as_bytes().to_vec())
    }
}

/// Writes a file that only its owner may read, as a whole or not at all, under any umask.
pub(crate) fn write_secret(file: &Path, bytes: &[u8]) -> io::Result<()> {
    let draft = file.with_extension("draft");
    if let Err(error) = fs::remove_file(&draft)
        && error.kind() != io::ErrorKind::NotFound
    {
        return Err(error);
    }
    let mut options = fs::OpenOptions::new();
    let mut written = options
        .write(true)
        .create_new(true)
        .mode(0o600)
        .open(&draft)?;
    written.set_permissions(fs::Permissions::from_mode(0o600))?;
    written.write_all(bytes)?;
    written.sync_all()?;
    fs::rename(&draft, file)
}
