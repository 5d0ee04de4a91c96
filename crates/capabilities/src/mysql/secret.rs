//! How a client proves that it knows a password, and how it tells it to whom only it is meant for.

use std::io;

use num_bigint::BigUint;
use rustls::pki_types::SubjectPublicKeyInfoDer;
use rustls::pki_types::pem::PemObject as _;
use sha1::{Digest as _, Sha1};
use sha2::Sha256;

use super::wire::malformed;

/// The longest public key that is taken, in bytes of its text.
const KEY: usize = 8 << 10;

/// The length of a SHA-1 digest.
const HASH: usize = 20;

/// The proof of `mysql_native_password`: nothing for no password.
pub(super) fn native(nonce: &[u8], password: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha1::digest(password);
    let known = Sha1::digest(once);
    let mask = Sha1::new().chain_update(nonce).chain_update(known).finalize();
    xored(&once, &mask)
}

/// The proof of `caching_sha2_password`: nothing for no password.
pub(super) fn sha2(nonce: &[u8], password: &[u8]) -> Vec<u8> {
    if password.is_empty() {
        return Vec::new();
    }
    let once = Sha256::digest(password);
    let known = Sha256::digest(once);
    let mask = Sha256::new().chain_update(known).chain_update(nonce).finalize();
    xored(&once, &mask)
}

fn xored(bytes: &[u8], mask: &[u8]) -> Vec<u8> {
    bytes.iter().zip(mask.iter().cycle()).map(|(byte, mask)| byte ^ mask).collect()
}

/// The password so that only who has the private key to a public one can read it. It takes
/// milliseconds.
pub(super) fn encrypted(key: &[u8], nonce: &[u8], password: &[u8]) -> io::Result<Vec<u8>> {
    if key.len() > KEY || nonce.is_empty() {
        return Err(malformed("its public key is too long"));
    }
    let key = SubjectPublicKeyInfoDer::from_pem_slice(key)
        .map_err(|_| malformed("its public key is none"))?;
    let (modulus, exponent) =
        public_key(&key).ok_or_else(|| malformed("its public key is none"))?;
    let secret = xored(&[password, &[0]].concat(), nonce);
    let size = modulus.len();
    let padded = padded(&secret, size)?;
    let number = BigUint::from_bytes_be(&padded);
    let modulus = BigUint::from_bytes_be(modulus);
    let encrypted = number.modpow(&BigUint::from_bytes_be(exponent), &modulus).to_bytes_be();
    let zeros = vec![0; size.saturating_sub(encrypted.len())];
    Ok([zeros, encrypted].concat())
}

/// An RSA key's modulus, without zeros before it, and its exponent.
fn public_key(key: &[u8]) -> Option<(&[u8], &[u8])> {
    const INTEGER: u8 = 0x02;
    const BITS: u8 = 0x03;
    const SEQUENCE: u8 = 0x30;
    let (mut info, _) = element(key, SEQUENCE)?;
    // The algorithm.
    (_, info) = element(info, SEQUENCE)?;
    let (bits, _) = element(info, BITS)?;
    let (numbers, _) = element(bits.strip_prefix(&[0])?, SEQUENCE)?;
    let (modulus, numbers) = element(numbers, INTEGER)?;
    let (exponent, _) = element(numbers, INTEGER)?;
    let zeros = modulus.iter().take_while(|byte| **byte == 0).count();
    // An exponent that is as long as the modulus would take long, and nobody has one.
    (exponent.len() <= 8 && modulus.len() > zeros).then(|| (&modulus[zeros..], exponent))
}

/// What an element of DER holds, and what follows it.
fn element(bytes: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&length, bytes) = bytes.strip_prefix(&[tag])?.split_first()?;
    if length < 0x80 {
        return bytes.split_at_checked(length.into());
    }
    let (digits, bytes) = bytes.split_at_checked((length - 0x80).into())?;
    let length = digits
        .iter()
        .try_fold(0_usize, |length, digit| Some(length.checked_mul(256)? + usize::from(*digit)))?;
    bytes.split_at_checked(length)
}

/// A message padded by OAEP with SHA-1 (RFC 8017) for a key of `size` bytes.
fn padded(message: &[u8], size: usize) -> io::Result<Vec<u8>> {
    let room = size.checked_sub(2 * HASH + 2).filter(|room| message.len() <= *room);
    let room = room.ok_or_else(|| malformed("its public key is too short"))?;
    let mut block = Sha1::digest([]).to_vec();
    block.resize(HASH + room - message.len(), 0);
    block.push(1);
    block.extend_from_slice(message);
    let mut seed = [0; HASH];
    getrandom::fill(&mut seed).map_err(|error| io::Error::other(error.to_string()))?;
    let block = xored(&block, &mask(&seed, block.len()));
    let seed = xored(&seed, &mask(&block, HASH));
    Ok([&[0][..], &seed, &block].concat())
}

/// The mask that a seed gives (MGF1).
fn mask(seed: &[u8], length: usize) -> Vec<u8> {
    let mut mask = Vec::with_capacity(length + HASH);
    let mut counter = 0_u32;
    while mask.len() < length {
        let hash = Sha1::new().chain_update(seed).chain_update(counter.to_be_bytes());
        mask.extend_from_slice(&hash.finalize());
        counter += 1;
    }
    mask.truncate(length);
    mask
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::process::Command;

    use super::*;

    #[test]
    fn nothing_proves_no_password() {
        assert!(native(b"nonce", b"").is_empty() && sha2(b"nonce", b"").is_empty());
        assert_eq!((native(b"nonce", b"x").len(), sha2(b"nonce", b"x").len()), (20, 32));
    }

    fn openssl(arguments: &[&str]) -> Vec<u8> {
        let output = Command::new("openssl").args(arguments).output().expect("openssl");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        output.stdout
    }

    #[test]
    fn who_has_the_key_reads_the_password() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
        for bits in ["2048", "3072"] {
            let (private, public) = (file("private.pem"), file("public.pem"));
            openssl(&["genrsa", "-out", &private, bits]);
            openssl(&["rsa", "-in", &private, "-pubout", "-out", &public]);
            let key = fs::read(&public).unwrap();
            let nonce = b"12345678901234567890";
            let secret = encrypted(&key, nonce, b"opensesame").unwrap();
            fs::write(file("secret"), &secret).unwrap();
            let read = openssl(&[
                "pkeyutl",
                "-decrypt",
                "-inkey",
                &private,
                "-in",
                &file("secret"),
                "-pkeyopt",
                "rsa_padding_mode:oaep",
            ]);
            assert_eq!(xored(&read, nonce), b"opensesame\0");
            assert!(encrypted(&key, nonce, &[b'x'; 400]).is_err());
            let half = String::from_utf8_lossy(&key[..200]).into_owned();
            assert!(encrypted(half.as_bytes(), nonce, b"x").is_err());
        }
    }

    #[test]
    fn what_is_no_key_is_an_error() {
        for der in [
            &[0x30, 0x84, 0xFF, 0xFF, 0xFF, 0xFF][..],
            &[0x30, 0x80],
            &[0x30, 0x89, 1, 1, 1, 1, 1, 1, 1, 1, 1],
            &[0x30, 2, 0x30, 0],
            &[],
        ] {
            assert!(public_key(der).is_none(), "{der:?}");
        }
    }
}
