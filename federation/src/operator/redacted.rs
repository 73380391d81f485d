//! The text of errors that people read: in conditions, Events and log lines. The libraries' own
//! text quotes what could not be read, and what a credential plugin was given and printed.

use std::error::Error;

use kube::client::AuthError;
use kube::config::KubeconfigError;
use kube::core::Status;
use kube::runtime::watcher;

/// The longest text, in characters; what is longer comes from a server and is cut off.
const LONGEST: usize = 1024;

/// User-facing text of an error, without secrets: what a server says and its code, and of anything
/// that cannot be read where it ends to be readable, never what stands there.
pub fn redacted_message(error: &(dyn Error + 'static)) -> String {
    let mut texts: Vec<String> = Vec::new();
    let mut cause = Some(error);
    while let Some(one) = cause {
        let known = known(one);
        cause = one.source().filter(|_| known.is_none());
        if known.is_none() && is_wrapper(one) {
            continue;
        }
        let text = known.unwrap_or_else(|| one.to_string());
        if texts.last().is_none_or(|last| !last.contains(&text)) {
            texts.push(text);
        }
    }
    bounded(&texts.join(": "))
}

/// The text of an error whose own may quote a secret, or has the structure of a Rust value.
fn known(error: &(dyn Error + 'static)) -> Option<String> {
    if let Some(error) = error.downcast_ref::<kube::Error>() {
        return match error {
            kube::Error::Api(status) => Some(answer(status)),
            kube::Error::ProxyProtocolUnsupported { .. }
            | kube::Error::ProxyProtocolDisabled { .. } => {
                Some("its proxy-url needs a protocol that is not supported".to_owned())
            }
            kube::Error::FromUtf8(_) => Some("the answer is not UTF-8".to_owned()),
            _ => None,
        };
    }
    if let Some(watcher::Error::WatchError(status)) = error.downcast_ref() {
        return Some(answer(status));
    }
    if let Some(error) = error.downcast_ref::<serde_json::Error>() {
        return Some(format!(
            "the answer has a value that cannot be read, at column {}",
            error.column()
        ));
    }
    if let Some(KubeconfigError::Parse(error)) = error.downcast_ref() {
        return Some(invalid_yaml(error));
    }
    error.downcast_ref().and_then(of_credentials)
}

/// What a server says, and its code.
fn answer(status: &Status) -> String {
    let text = Some(&status.message).filter(|message| !message.is_empty());
    let text = text.unwrap_or(&status.reason);
    match status.code {
        // Nobody has answered.
        0 | 504 => text.clone(),
        code => format!("{text} ({code})"),
    }
}

fn invalid_yaml(error: &serde_saphyr::Error) -> String {
    let place = error.location().map(|place| {
        let (line, column) = (place.line(), place.column());
        format!(" at line {line}, column {column}")
    });
    format!("no valid kubeconfig{}", place.unwrap_or_default())
}

fn of_credentials(error: &AuthError) -> Option<String> {
    Some(match error {
        AuthError::AuthExecRun { out, .. } => {
            format!("its credential plugin has failed ({})", out.status)
        }
        AuthError::AuthExecParse(_) => {
            "its credential plugin has printed no ExecCredential".to_owned()
        }
        AuthError::ParseTokenKey(_) => "its credential plugin has printed no JSON".to_owned(),
        AuthError::AuthExec(_) => "its auth-provider has given no token".to_owned(),
        AuthError::MalformedTokenExpirationDate(_) => {
            "its credentials expire at a time that cannot be read".to_owned()
        }
        AuthError::InvalidBearerToken(_) => {
            "its token has characters that no HTTP header may have".to_owned()
        }
        _ => return None,
    })
}

/// Says only what its cause says, with a word of Rust before it.
fn is_wrapper(error: &(dyn Error + 'static)) -> bool {
    error.source().is_some()
        && (error.is::<kube::Error>()
            || error.is::<watcher::Error>()
            || error.is::<KubeconfigError>())
}

/// Control characters could forge lines of a log.
fn bounded(text: &str) -> String {
    let printable = |c: char| if c.is_control() { ' ' } else { c };
    let mut short: String = text.chars().take(LONGEST).map(printable).collect();
    if text.chars().nth(LONGEST).is_some() {
        short.push('…');
    }
    short
}

#[cfg(test)]
mod tests {
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::{ExitStatus, Output};

    use super::*;

    #[test]
    fn what_a_credential_plugin_was_given_and_printed_is_redacted() {
        let failed = || AuthError::AuthExecRun {
            cmd: "KEY=secret plugin".to_owned(),
            out: Box::new(Output {
                status: ExitStatus::from_raw(256),
                stdout: b"secret".to_vec(),
                stderr: Vec::new(),
            }),
        };
        let at_the_start = kube::Error::Auth(failed());
        let in_a_request = kube::Error::Service(Box::new(failed()));
        for error in [at_the_start, in_a_request] {
            let text = "its credential plugin has failed (exit status: 1)";
            assert_eq!(redacted_message(&error), text);
        }
    }

    #[test]
    fn the_answer_of_a_server_is_its_message_and_code() {
        let status = Status::failure("Unauthorized", "Unauthorized").with_code(401);
        let refused = || kube::Error::Api(status.clone().boxed());
        let text = "Unauthorized (401)";
        assert_eq!(redacted_message(&refused()), text);
        let watch = watcher::Error::InitialListFailed(refused());
        assert_eq!(redacted_message(&watch), text);
        let watch = watcher::Error::WatchError(status.boxed());
        assert_eq!(redacted_message(&watch), text);
    }

    #[test]
    fn a_value_that_cannot_be_read_is_redacted() {
        let error = serde_json::from_str::<u8>("\"secret\"").unwrap_err();
        let error = watcher::Error::WatchFailed(kube::Error::SerdeError(error));
        let text = redacted_message(&error);
        assert!(
            text.contains("cannot be read") && !text.contains("secret"),
            "{text}"
        );
        let yaml = kube::config::Kubeconfig::from_yaml("users: [{name: a, user: secret}]");
        let text = redacted_message(&yaml.unwrap_err());
        assert_eq!(text, "no valid kubeconfig at line 1, column 25");
    }

    #[test]
    fn a_cause_is_said_once_and_in_one_line() {
        let refused = std::io::Error::other("connection\nrefused");
        let text = redacted_message(&kube::Error::Service(Box::new(refused)));
        assert_eq!(text, "connection refused");
        let long = std::io::Error::other("x".repeat(5000));
        assert_eq!(redacted_message(&long).chars().count(), LONGEST + 1);
    }
}
