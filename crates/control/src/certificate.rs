//! Certificates as they come: whether a chain and a key can be served for a host, and until when. Who
//! signed it is the business of those who trust it.

use std::time::{Duration, SystemTime};

use dayfly_model::platform::DomainName;
use rustls::client::verify_server_name;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName};
use rustls::server::ParsedCertificate;
use rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

/// The longest chain, in bytes of PEM and in certificates.
const MAX_CHAIN_BYTES: usize = 64 << 10;
const MAX_CERTIFICATES: usize = 10;

/// The longest key, in bytes of PEM.
const MAX_KEY_BYTES: usize = 16 << 10;

/// How far in the future a certificate may begin: clocks differ.
const EARLY: Duration = Duration::from_secs(5 * 60);

/// When a certificate is valid, in milliseconds since 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Validity {
    pub(crate) begins_ms: i64,
    pub(crate) expires_ms: i64,
}

/// Checks a chain, the host's own certificate first, and its key, both PEM.
///
/// # Errors
/// If they cannot be served for the host now: why, for whoever sent them. Nothing of the key is in it.
pub(crate) fn check(
    chain: &str,
    key: &str,
    host: &DomainName,
    now: SystemTime,
) -> Result<Validity, String> {
    if chain.len() > MAX_CHAIN_BYTES || key.len() > MAX_KEY_BYTES {
        let most = [MAX_CHAIN_BYTES, MAX_KEY_BYTES].map(|bytes| bytes >> 10);
        return Err(format!("a chain is up to {} KiB, and a key up to {} KiB", most[0], most[1]));
    }
    let ders = certificates(chain)?;
    let parsed: Vec<Certificate> = ders.iter().enumerate().map(parsed).collect::<Result<_, _>>()?;
    in_order(&parsed)?;
    let validity = parsed
        .iter()
        .enumerate()
        .map(|(index, it)| valid(index, it, now))
        .collect::<Result<Vec<_>, _>>()?;
    is_for(&ders[0], host)?;
    fits(ders, key)?;
    validity.into_iter().next().ok_or_else(|| "the chain is empty".to_owned())
}

fn certificates(chain: &str) -> Result<Vec<CertificateDer<'static>>, String> {
    let found: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(chain.as_bytes()).collect();
    let found = found.map_err(|_| "the chain is not valid PEM".to_owned())?;
    match found.len() {
        0 => {
            Err("the chain has no block that begins with `-----BEGIN CERTIFICATE-----`".to_owned())
        }
        1..=MAX_CERTIFICATES => Ok(found),
        _ => Err(format!("the chain has more than {MAX_CERTIFICATES} certificates")),
    }
}

fn parsed((index, der): (usize, &CertificateDer<'_>)) -> Result<Certificate, String> {
    let number = index + 1;
    Certificate::from_der(der).map_err(|_| format!("certificate {number} of the chain is none"))
}

/// Whether each certificate was issued by the one behind it.
fn in_order(chain: &[Certificate]) -> Result<(), String> {
    for (index, pair) in chain.windows(2).enumerate() {
        if pair[0].tbs_certificate.issuer != pair[1].tbs_certificate.subject {
            let (first, second) = (index + 1, index + 2);
            return Err(format!(
                "certificate {second} of the chain has not issued certificate {first}: the host's own \
                 comes first, and behind each one the one that issued it"
            ));
        }
    }
    Ok(())
}

fn valid(index: usize, certificate: &Certificate, now: SystemTime) -> Result<Validity, String> {
    let which = match index {
        0 => "the certificate".to_owned(),
        _ => format!("certificate {} of the chain", index + 1),
    };
    let since = now.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let validity = &certificate.tbs_certificate.validity;
    let begins = validity.not_before.to_unix_duration();
    let expires = validity.not_after.to_unix_duration();
    let ms = |time: Duration| i64::try_from(time.as_millis()).unwrap_or(i64::MAX);
    let said = |time: Duration| crate::clock::text(ms(time));
    if expires <= since {
        return Err(format!("{which} expired at {}", said(expires)));
    }
    if begins > since + EARLY {
        return Err(format!("{which} is valid from {} on only", said(begins)));
    }
    Ok(Validity { begins_ms: ms(begins), expires_ms: ms(expires) })
}

fn is_for(own: &CertificateDer<'_>, host: &DomainName) -> Result<(), String> {
    let other = || format!("the certificate is not for `{host}`");
    let name = ServerName::try_from(host.as_str()).map_err(|_| other())?;
    let parsed = ParsedCertificate::try_from(own);
    let parsed = parsed.map_err(|_| "the certificate cannot be served".to_owned())?;
    verify_server_name(&parsed, &name).map_err(|_| other())
}

fn fits(chain: Vec<CertificateDer<'static>>, key: &str) -> Result<(), String> {
    let key = PrivateKeyDer::from_pem_slice(key.as_bytes()).map_err(|_| {
        "the key has no block that begins with `-----BEGIN PRIVATE KEY-----`; one with a passphrase \
         has to be decrypted first"
            .to_owned()
    })?;
    let provider = rustls::crypto::ring::default_provider();
    match CertifiedKey::from_der(chain, key, &provider) {
        Ok(_) => Ok(()),
        Err(rustls::Error::InconsistentKeys(_)) => {
            Err("the key does not belong to the certificate".to_owned())
        }
        Err(_) => Err("a key of this kind cannot be served: RSA, ECDSA or Ed25519 can".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use rcgen::{BasicConstraints, CertificateParams, DnType, IsCa, Issuer, KeyPair};

    use super::*;

    struct Authority(Issuer<'static, KeyPair>, String);

    impl Authority {
        fn new(name: &str) -> Self {
            let key = KeyPair::generate().unwrap();
            let mut params = CertificateParams::new([]).unwrap();
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            let pem = params.self_signed(&key).unwrap().pem();
            Self(Issuer::new(params, key), pem)
        }

        fn issue(&self, names: &[&str], years: std::ops::Range<i32>) -> (String, String) {
            let key = KeyPair::generate().unwrap();
            let names: Vec<String> = names.iter().map(|name| (*name).to_owned()).collect();
            let mut params = CertificateParams::new(names).unwrap();
            params.not_before = rcgen::date_time_ymd(years.start, 1, 1);
            params.not_after = rcgen::date_time_ymd(years.end, 1, 1);
            (params.signed_by(&key, &self.0).unwrap().pem(), key.serialize_pem())
        }
    }

    #[test]
    fn what_can_be_served_says_until_when() {
        let authority = Authority::new("one");
        let (leaf, key) = authority.issue(&["www.example.com", "*.shop.example"], 2020..2100);
        let chain = format!("{leaf}{}", authority.1);
        for (host, is_good) in [
            ("www.example.com", true),
            ("a.shop.example", true),
            ("shop.example", false),
            ("a.b.shop.example", false),
            ("example.com", false),
        ] {
            let checked = check(&chain, &key, &host.parse().unwrap(), SystemTime::now());
            match is_good {
                true => assert_eq!(checked.unwrap().expires_ms, 4_102_444_800_000, "{host}"),
                false => assert!(checked.unwrap_err().contains("is not for"), "{host}"),
            }
        }
    }

    #[test]
    fn what_cannot_is_refused_with_the_reason() {
        let (authority, other) = (Authority::new("one"), Authority::new("two"));
        let host: DomainName = "a.example".parse().unwrap();
        let (leaf, key) = authority.issue(&["a.example"], 2020..2100);
        let (_, strange) = authority.issue(&["a.example"], 2020..2100);
        let (old, old_key) = authority.issue(&["a.example"], 2019..2020);
        let (new, new_key) = authority.issue(&["a.example"], 2099..2100);
        let wrong = format!("{leaf}{}", other.1);
        let long = leaf.repeat(MAX_CERTIFICATES + 1);
        let huge = "a".repeat(MAX_CHAIN_BYTES + 1);
        for (chain, key, expected) in [
            (&leaf, &strange, "does not belong"),
            (&old, &old_key, "expired at 2020-01-01"),
            (&new, &new_key, "is valid from 2099-01-01"),
            (&wrong, &key, "certificate 2 of the chain has not issued certificate 1"),
            (&key, &key, "BEGIN CERTIFICATE"),
            (&leaf, &leaf, "BEGIN PRIVATE KEY"),
            (&long, &key, "more than 10 certificates"),
            (&huge, &key, "64 KiB"),
        ] {
            let error = check(chain, key, &host, SystemTime::now()).unwrap_err();
            assert!(error.contains(expected), "{expected}: {error}");
        }
    }
}
