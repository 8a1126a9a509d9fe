//! Random secrets, their hashes, and what is done with keys.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chacha20poly1305::aead::{Aead, Generate};
use chacha20poly1305::{Key, KeyInit, XChaCha20Poly1305, XNonce};
use hmac::{Hmac, Mac};
use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;

use crate::error::{Error, Result};

/// What an access token begins with, so that a leaked one is recognised.
pub const ACCESS: &str = "mta_";
/// What a refresh token begins with.
pub const REFRESH: &str = "mtr_";
/// What an authorization code begins with.
pub const CODE: &str = "mtx_";
/// What the id of a client begins with.
pub const CLIENT: &str = "mtc_";
/// What the secret of a client begins with.
pub const SECRET: &str = "mts_";

/// 256 random bits from the operating system behind a prefix.
pub fn random(prefix: &str) -> Result<String> {
    Ok(format!("{prefix}{}", URL_SAFE_NO_PAD.encode(key()?)))
}

/// 256 random bits.
pub fn key() -> Result<[u8; 32]> {
    let key = Key::try_generate().map_err(|error| {
        Error::internal("the operating system gave no random numbers").because(error)
    })?;
    Ok(key.into())
}

/// SHA-256, which is enough for what is random.
pub fn hash(text: &str) -> Vec<u8> {
    Sha256::digest(text.as_bytes()).to_vec()
}

/// The challenge that a verifier answers.
pub fn challenge_of(verifier: &str) -> String {
    URL_SAFE_NO_PAD.encode(hash(verifier))
}

/// Whether two values are the same, in a time that does not tell how much of them is.
pub fn same(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).into()
}

fn cipher_of(token: &str) -> XChaCha20Poly1305 {
    // Not the hash that is stored: who reads that can open nothing.
    let key = Sha256::new()
        .chain_update(b"medtainer: successor of a refresh token\0")
        .chain_update(token.as_bytes())
        .finalize();
    XChaCha20Poly1305::new(&key)
}

/// Encrypts a text with a key made of a token.
pub fn seal(token: &str, text: &str) -> Result<Vec<u8>> {
    let failed = || Error::internal("the next tokens could not be encrypted");
    let nonce = XNonce::try_generate().map_err(|error| failed().because(error))?;
    let sealed = cipher_of(token)
        .encrypt(&nonce, text.as_bytes())
        .map_err(|_| failed())?;
    Ok([nonce.as_slice(), &sealed].concat())
}

/// What [`seal`] made of it, if it was with this token.
pub fn open(token: &str, sealed: &[u8]) -> Option<String> {
    let (nonce, sealed) = sealed.split_at_checked(24)?;
    let nonce = XNonce::try_from(nonce).ok()?;
    let text = cipher_of(token).decrypt(&nonce, sealed).ok()?;
    String::from_utf8(text).ok()
}

fn mac(key: &[u8], parts: &[&str]) -> Option<Hmac<Sha256>> {
    let mut mac = <Hmac<Sha256> as hmac::KeyInit>::new_from_slice(key).ok()?;
    for part in parts {
        mac.update(&(part.len() as u64).to_be_bytes());
        mac.update(part.as_bytes());
    }
    Some(mac)
}

/// Signs texts.
pub fn sign(key: &[u8], parts: &[&str]) -> String {
    let mac = mac(key, parts).map(|mac| mac.finalize().into_bytes().to_vec());
    URL_SAFE_NO_PAD.encode(mac.unwrap_or_default())
}

/// Whether texts were signed with this key.
pub fn is_signed(key: &[u8], parts: &[&str], signature: &str) -> bool {
    let Ok(signature) = URL_SAFE_NO_PAD.decode(signature) else {
        return false;
    };
    mac(key, parts).is_some_and(|mac| mac.verify_slice(&signature).is_ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_pair_opens_with_the_token_that_it_replaced_alone() {
        let (old, other) = (random(REFRESH).unwrap(), random(REFRESH).unwrap());
        let sealed = seal(&old, "a\nb").unwrap();
        assert_eq!(open(&old, &sealed).as_deref(), Some("a\nb"));
        assert_eq!(open(&other, &sealed), None);
        assert_eq!(open(&old, &sealed[..20]), None);
        let hash = String::from_utf8_lossy(&hash(&old)).into_owned();
        assert_eq!(open(&hash, &sealed), None);
    }

    #[test]
    fn a_signature_holds_for_its_texts_and_key() {
        let key = key().unwrap();
        let signature = sign(&key, &["ab", "c"]);
        assert!(is_signed(&key, &["ab", "c"], &signature));
        assert!(!is_signed(&key, &["a", "bc"], &signature));
        assert!(!is_signed(&[0; 32], &["ab", "c"], &signature));
        assert!(!is_signed(&key, &["ab", "c"], ""));
        assert!(!is_signed(&key, &["ab", "c"], "?"));
    }

    #[test]
    fn the_challenge_is_the_one_of_rfc_7636() {
        // Its appendix B.
        assert_eq!(
            challenge_of("dBjftJeZ4CVP-mB92K27uhbUJU1p1r_wW1gFWFOEjXk"),
            "E9Melhoa2OwvFrEMTJguCHaoeK1t8URWbuGJSstw-cM"
        );
    }
}
