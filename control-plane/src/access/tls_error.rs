//! What can be wrong with the certificates of a server.

use std::io;

use thiserror::Error;

/// Why certificates can't be used.
#[derive(Debug, Error)]
pub enum TlsError {
    /// A file can't be read or written.
    #[error("a certificate can't be read or written: {0}")]
    Storage(#[from] io::Error),
    /// A certificate can't be made.
    #[error("a certificate can't be made: {0}")]
    Make(#[from] rcgen::Error),
    /// A file holds no certificate or key.
    #[error("a certificate can't be read: {0}")]
    Read(#[from] rustls::pki_types::pem::Error),
    /// The authority's key can't be read.
    #[error(
        "{file} holds no key: restore it, or remove it to have another authority made; kubeconfigs that trust the old one are void then"
    )]
    AuthorityKey {
        /// The name of the file.
        file: String,
    },
    /// Certificate and key can't be used together.
    #[error("a certificate can't be used: {0}")]
    Use(#[from] rustls::Error),
}
