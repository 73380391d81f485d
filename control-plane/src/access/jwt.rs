//! JSON Web Tokens in compact form, signed with ES256 (RFC 7515, RFC 7519).

use base64::prelude::{BASE64_URL_SAFE_NO_PAD, Engine as _};
use serde_json::{Value, json};

use super::keys::SigningKey;
use crate::meta::text;

const ALGORITHM: &str = "ES256";

/// A token with these claims.
pub(crate) fn encode(key: &SigningKey, claims: &Value) -> String {
    let header = json!({"alg": ALGORITHM, "kid": key.id()});
    let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
    let message = format!("{}.{}", part(&header), part(claims));
    let signature = BASE64_URL_SAFE_NO_PAD.encode(key.sign(message.as_bytes()));
    format!("{message}.{signature}")
}

/// The claims of a token that this key has signed; none of any other.
pub(crate) fn decode(key: &SigningKey, token: &str) -> Option<Value> {
    let (message, signature) = token.rsplit_once('.')?;
    let (header, claims) = message.split_once('.')?;
    let part = |text: &str| -> Option<Value> {
        let bytes = BASE64_URL_SAFE_NO_PAD.decode(text).ok()?;
        serde_json::from_slice(&bytes).ok()
    };
    let header = part(header)?;
    // The token does not choose how it is verified.
    if text(&header, "/alg") != ALGORITHM || text(&header, "/kid") != key.id() {
        return None;
    }
    let signature = BASE64_URL_SAFE_NO_PAD.decode(signature).ok()?;
    if !key.is_signature(message.as_bytes(), &signature) {
        return None;
    }
    part(claims)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::access::keys::Keys;
    use crate::sources::Sources;

    #[test]
    fn only_what_the_key_has_signed_is_a_token() {
        let (ours, others) = (
            Keys::draw(&Sources::default()).unwrap().accounts,
            Keys::draw(&Sources::default()).unwrap().accounts,
        );
        let claims = json!({"sub": "a"});
        let token = encode(&ours, &claims);
        assert_eq!(decode(&ours, &token), Some(claims.clone()));
        assert_eq!(decode(&others, &token), None);
        let (head, signature) = token.rsplit_once('.').unwrap();
        let (header, _) = head.split_once('.').unwrap();
        let part = |value: &Value| BASE64_URL_SAFE_NO_PAD.encode(value.to_string());
        let other = part(&json!({"sub": "b"}));
        let none = part(&json!({"alg": "none", "kid": ours.id()}));
        for forged in [
            format!("{header}.{other}.{signature}"),
            format!("{none}.{}.", part(&claims)),
            format!("{head}."),
            head.to_owned(),
            String::new(),
        ] {
            assert_eq!(decode(&ours, &forged), None, "{forged}");
        }
    }
}
