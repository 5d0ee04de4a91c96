//! The names of tenants, apps, releases, domains and settings: each a type of its own, whose values
//! are legal wherever they came from.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// A text is no name of this kind.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{text}` is no {what}: {rule}")]
pub struct NameError {
    /// The text, as far as it is shown.
    text: String,
    what: &'static str,
    rule: &'static str,
}

/// Makes a type of a text that a function finds legal.
macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, $rule:literal, $example:literal, $is_legal:expr) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, ToSchema)]
        #[serde(try_from = "String", into = "String")]
        #[schema(value_type = String, example = $example)]
        pub struct $name(String);

        impl $name {
            /// The text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl FromStr for $name {
            type Err = NameError;

            fn from_str(text: &str) -> Result<Self, NameError> {
                Self::try_from(text.to_owned())
            }
        }

        impl TryFrom<String> for $name {
            type Error = NameError;

            fn try_from(text: String) -> Result<Self, NameError> {
                let is_legal: fn(&str) -> bool = $is_legal;
                match is_legal(&text) {
                    true => Ok(Self(text)),
                    false => Err(NameError::new(&text, $what, $rule)),
                }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

name!(
    /// An owner of apps: a label of a host's name, because it is part of its apps' addresses.
    TenantId,
    "name of a tenant",
    "it has up to 40 lower-case letters, digits and hyphens, and begins with a letter",
    "default",
    is_label
);

name!(
    /// An app within its tenant: a label of a host's name, too.
    AppName,
    "name of an app",
    "it has up to 40 lower-case letters, digits and hyphens, and begins with a letter",
    "hello",
    is_label
);

name!(
    /// A preview of an app: it begins the label of its address, before two hyphens and the app's name.
    PreviewName,
    "name of a preview",
    "it has 3 to 20 lower-case letters, digits and single hyphens, and begins with a letter",
    "pr-12",
    is_preview
);

name!(
    /// A release of an app: the digest of its package's manifest.
    ReleaseId,
    "release",
    "it is `sha256:` and 64 hexadecimal digits",
    "sha256:b5bb9d8014a0f9b1d61e21e796d78dccdf1352f23cd32812f4850b878ae4944c",
    is_digest
);

name!(
    /// What a blob's bytes are called by.
    BlobDigest,
    "digest",
    "it is `sha256:` and 64 hexadecimal digits",
    "sha256:7d865e959b2466918c9863afca942d0fb89d7c9ac0c99bafc3749504ded97730",
    is_digest
);

name!(
    /// A host that an app answers on beside its own: a full name in lower case, as DNS has it.
    DomainName,
    "domain",
    "it is a full host name in lower case, such as `www.example.com`",
    "www.example.com",
    is_domain
);

name!(
    /// Domains that a tenant's apps may have: one by its name, `*.` and a name for all below that, or `*` for
    /// all.
    DomainPattern,
    "domain that may be given to a tenant",
    "it is a full host name in lower case, `*.` before one for all below it, or `*` for all",
    "*.example.com",
    is_domain_pattern
);

name!(
    /// What an app is told something by: a variable that it declares, or an environment variable.
    SettingName,
    "name of a setting",
    "it has up to 128 letters, digits and underscores, and begins with none of the digits",
    "LOG_LEVEL",
    is_setting
);

/// An app of the platform.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AppId {
    /// Whose it is.
    pub tenant: TenantId,
    /// What it is called there.
    pub app: AppName,
}

impl TenantId {
    /// The tenant that a platform begins with, whose apps' addresses do not name it.
    pub const DEFAULT: &str = "default";

    /// Whether it is [`Self::DEFAULT`].
    #[must_use]
    pub fn is_default(&self) -> bool {
        self.0 == Self::DEFAULT
    }
}

impl AppId {
    /// The host that the app answers on below the platform's own domain.
    #[must_use]
    pub fn host(&self, base: &str) -> String {
        match self.tenant.is_default() {
            true => format!("{}.{base}", self.app),
            false => format!("{}.{}.{base}", self.app, self.tenant),
        }
    }
}

impl fmt::Display for AppId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.tenant, self.app)
    }
}

impl DomainPattern {
    /// Whether a domain is one of them.
    #[must_use]
    pub fn covers(&self, domain: &DomainName) -> bool {
        match self.0.strip_prefix('*') {
            Some(above) => domain.0.ends_with(above),
            None => domain.0 == self.0,
        }
    }
}

impl BlobDigest {
    /// The hexadecimal digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0[SCHEME.len()..]
    }
}

impl ReleaseId {
    /// The hexadecimal digits.
    #[must_use]
    pub fn digits(&self) -> &str {
        &self.0[SCHEME.len()..]
    }
}

impl NameError {
    /// How much of a text that is none is shown.
    const SHOWN: usize = 80;

    fn new(text: &str, what: &'static str, rule: &'static str) -> Self {
        let shown = text.chars().filter(|c| !c.is_control()).take(Self::SHOWN);
        Self { text: shown.collect(), what, rule }
    }
}

const SCHEME: &str = "sha256:";

fn is_label(text: &str) -> bool {
    // `xn--` begins a name in other letters, which looks like another one.
    text.len() <= 40
        && is_dns_label(text)
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.get(2..4) != Some("--")
}

fn is_preview(text: &str) -> bool {
    // With two characters, the hyphens behind it would be where those of `xn--` are.
    (3..=20).contains(&text.len()) && is_label(text) && !text.contains("--")
}

fn is_dns_label(text: &str) -> bool {
    let is_legal = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-';
    (1..=63).contains(&text.len())
        && text.bytes().all(is_legal)
        && !text.starts_with('-')
        && !text.ends_with('-')
}

fn is_digest(text: &str) -> bool {
    let is_hex = |b: u8| b.is_ascii_digit() || (b'a'..=b'f').contains(&b);
    text.strip_prefix(SCHEME).is_some_and(|hex| hex.len() == 64 && hex.bytes().all(is_hex))
}

fn is_domain(text: &str) -> bool {
    let is_number = |label: &str| label.bytes().all(|b| b.is_ascii_digit());
    let mut labels = text.rsplit('.');
    // An address in digits ends with a number, and no host's name does.
    let top = labels.next().is_some_and(|top| is_dns_label(top) && !is_number(top));
    text.len() <= 253 && text.contains('.') && top && labels.all(is_dns_label)
}

fn is_domain_pattern(text: &str) -> bool {
    text == "*" || is_domain(text.strip_prefix("*.").unwrap_or(text))
}

fn is_setting(text: &str) -> bool {
    let is_legal = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    (1..=128).contains(&text.len())
        && text.bytes().all(is_legal)
        && !text.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_labels_of_hosts() {
        for good in ["a", "default", "a-b", "a1", &"a".repeat(40)] {
            assert!(good.parse::<TenantId>().is_ok() && good.parse::<AppName>().is_ok(), "{good}");
        }
        let long = "a".repeat(41);
        for bad in
            ["", "A", "1a", "-a", "a-", "a.b", "a/b", "..", "a_b", "xn--a", "ä", "a\0", &long]
        {
            assert!(bad.parse::<TenantId>().is_err() && bad.parse::<AppName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn domains_are_full_names_and_no_addresses() {
        for good in ["a.b", "www.example.com", "xn--bcher-kva.example", "1.example"] {
            assert!(good.parse::<DomainName>().is_ok(), "{good}");
        }
        for bad in ["", "localhost", "127.0.0.1", "a..b", ".a.b", "a.b.", "A.b", "a.b:80", "*.a.b"]
        {
            assert!(bad.parse::<DomainName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn patterns_cover_a_name_or_what_is_below_it() {
        let covers = |pattern: &str, domain: &str| {
            let pattern: DomainPattern = pattern.parse().unwrap();
            pattern.covers(&domain.parse().unwrap())
        };
        for (pattern, domain) in [
            ("acme.example", "acme.example"),
            ("*.acme.example", "www.acme.example"),
            ("*.acme.example", "a.b.acme.example"),
            ("*", "www.example.com"),
        ] {
            assert!(covers(pattern, domain), "{pattern} {domain}");
        }
        for (pattern, domain) in [
            ("acme.example", "www.acme.example"),
            ("*.acme.example", "acme.example"),
            ("*.acme.example", "notacme.example"),
            ("*.acme.example", "www.acme.example.com"),
        ] {
            assert!(!covers(pattern, domain), "{pattern} {domain}");
        }
        for bad in
            ["", "**", "*.", "*.example", "*a.example", "a.*.example", "*.A.example", "*.*.a.b"]
        {
            assert!(bad.parse::<DomainPattern>().is_err(), "{bad}");
        }
    }

    #[test]
    fn digests_and_settings_are_what_they_are() {
        let digest = format!("sha256:{}", "a1".repeat(32));
        assert_eq!(digest.parse::<BlobDigest>().unwrap().digits(), "a1".repeat(32));
        for bad in ["", "sha256:", &digest[1..], &digest.to_uppercase(), &format!("{digest}0")] {
            assert!(bad.parse::<ReleaseId>().is_err(), "{bad}");
        }
        assert!("LOG_LEVEL".parse::<SettingName>().is_ok());
        for bad in ["", "1a", "a=b", "a-b", "a b", &"a".repeat(129)] {
            assert!(bad.parse::<SettingName>().is_err(), "{bad}");
        }
    }

    #[test]
    fn what_is_no_name_is_shown_in_part_and_never_read() {
        let error = format!("a\n{}", "b".repeat(1000)).parse::<AppName>().unwrap_err();
        assert!(error.to_string().len() < 250 && !error.to_string().contains('\n'), "{error}");
        assert!(serde_json::from_str::<AppName>("\"../x\"").is_err());
    }

    #[test]
    fn the_default_tenant_is_not_in_its_apps_addresses() {
        let id =
            |tenant: &str| AppId { tenant: tenant.parse().unwrap(), app: "shop".parse().unwrap() };
        assert_eq!(id("default").host("apps.example"), "shop.apps.example");
        assert_eq!(id("acme").host("apps.example"), "shop.acme.apps.example");
    }
}
