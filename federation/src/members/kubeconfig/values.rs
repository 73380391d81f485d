//! The values of a kubeconfig, checked before they count.

use std::fmt::{Display, Formatter};

use base64::prelude::{BASE64_STANDARD, Engine as _};
use reqwest::Url;
use rustls::pki_types::ServerName;

use super::LONGEST_CREDENTIAL;

/// What is wrong with a value.
#[derive(Debug)]
pub(super) struct Problem(&'static str);

impl Display for Problem {
    fn fmt(&self, f: &mut Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.0)
    }
}

/// The URL of an API server, in its normal form: whoever judges the address and whoever connects
/// see the same.
pub(super) fn server(text: &str) -> Result<String, Problem> {
    const WRONG: Problem =
        Problem("must be a URL of an API server such as https://edge1.example:6443");
    let url = Url::parse(text).map_err(|_| WRONG)?;
    let is_server = matches!(url.scheme(), "http" | "https")
        && url.has_host()
        && url.query().is_none()
        && url.fragment().is_none();
    if !is_server {
        return Err(WRONG);
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Problem(
            "must not hold credentials; write username and password of the user",
        ));
    }
    let text = url.as_str().trim_end_matches('/').to_owned();
    text.parse::<http::Uri>().map_err(|_| WRONG)?;
    Ok(text)
}

/// The URL of a proxy.
pub(super) fn proxy(text: &str) -> Result<String, Problem> {
    const WRONG: Problem = Problem("must be an http, https or socks5 URL with a host");
    let url = Url::parse(text).map_err(|_| WRONG)?;
    let text = url.to_string();
    let is_proxy = matches!(url.scheme(), "http" | "https" | "socks5") && host(&text).is_some();
    if !is_proxy || text.parse::<http::Uri>().is_err() {
        return Err(WRONG);
    }
    Ok(text)
}

/// The host of a URL. Only that of an http URL is brought into the normal form of addresses.
pub(super) fn host(text: &str) -> Option<String> {
    let url = Url::parse(text).ok()?;
    let host = url.host_str().filter(|host| !host.is_empty())?;
    let url = Url::parse(&format!("http://{host}")).ok()?;
    url.host_str().map(str::to_owned)
}

/// What a certificate is checked against.
pub(super) fn server_name(text: &str) -> Result<String, Problem> {
    let name = ServerName::try_from(text);
    name.map_err(|_| Problem("must be a DNS name or an IP address"))?;
    Ok(text.to_owned())
}

/// Base64 with whatever white space its lines have.
pub(super) fn base64(text: &str) -> Result<String, Problem> {
    let text: String = text.split_ascii_whitespace().collect();
    let decoded = BASE64_STANDARD.decode(&text);
    decoded.map_err(|_| Problem("must be base64"))?;
    Ok(text)
}

/// What a header can hold.
pub(super) fn credential(text: &str) -> Result<String, Problem> {
    if text.is_empty() || text.len() > LONGEST_CREDENTIAL {
        return Err(Problem("must not be empty or longer than 64 KiB"));
    }
    if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
        return Err(Problem("must be of visible ASCII characters, in one line"));
    }
    Ok(text.to_owned())
}

/// A text in one line.
pub(super) fn printable(text: &str) -> Result<String, Problem> {
    if text.chars().any(char::is_control) {
        return Err(Problem("must not have control characters"));
    }
    Ok(text.to_owned())
}

/// A username of basic authentication.
pub(super) fn name(text: &str) -> Result<String, Problem> {
    if text.contains(':') {
        return Err(Problem("must not have a colon"));
    }
    printable(text)
}
