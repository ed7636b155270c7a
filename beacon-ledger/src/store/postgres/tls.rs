//! TLS to the database, as its address asks for it.
//!
//! libpq's `sslmode=require` encrypts and takes any certificate, which keeps out nobody who can change packets. Here a certificate
//! is always verified, name and all, whatever libpq calls that.

use crate::store::StoreError;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject as _;
use rustls::{ClientConfig, RootCertStore};
use std::sync::Arc;
use tokio_postgres_rustls::MakeRustlsConnect;

/// What only this crate reads of an address.
const OURS: [&str; 2] = ["sslmode", "sslrootcert"];

/// An address without what it says of TLS, and how to speak TLS, if that is asked for.
pub(super) fn read(url: &str) -> Result<(String, Option<MakeRustlsConnect>), StoreError> {
    let (base, query) = url.split_once('?').unwrap_or((url, ""));
    let ours = |pair: &&str| OURS.iter().any(|name| pair.split('=').next() == Some(name));
    let (asked, rest): (Vec<&str>, Vec<&str>) =
        query.split('&').filter(|pair| !pair.is_empty()).partition(ours);
    let of = |name: &str| {
        let said = asked.iter().rev().filter_map(|pair| pair.split_once('='));
        said.filter(|(key, _)| *key == name).map(|(_, value)| decoded(value)).next()
    };
    let address =
        if rest.is_empty() { base.to_owned() } else { format!("{base}?{}", rest.join("&")) };
    let roots = of("sslrootcert").transpose()?.filter(|file| file != "system");
    match of("sslmode").transpose()?.as_deref() {
        None | Some("disable") if roots.is_none() => Ok((address, None)),
        Some("require" | "verify-ca" | "verify-full") => {
            Ok((address, Some(MakeRustlsConnect::new(config(roots.as_deref())?))))
        }
        mode => Err(StoreError::Address(format!(
            "sslmode={} is not spoken here: require, which verifies the certificate by sslrootcert=FILE or else the \
             machine's authorities, or disable",
            mode.unwrap_or("")
        ))),
    }
}

/// A value of an address, where bytes may be written as `%2F`.
fn decoded(value: &str) -> Result<String, StoreError> {
    let mut bytes = Vec::new();
    let mut rest = value.as_bytes();
    while let [first, after @ ..] = rest {
        let digits = after.get(..2).and_then(|two| core::str::from_utf8(two).ok());
        match digits.and_then(|two| u8::from_str_radix(two, 16).ok()) {
            Some(byte) if *first == b'%' => {
                bytes.push(byte);
                rest = &after[2..];
            }
            _ => {
                bytes.push(*first);
                rest = after;
            }
        }
    }
    String::from_utf8(bytes).map_err(|error| StoreError::Address(error.to_string()))
}

/// What verifies the server: by the authorities in a file, or by the machine's.
fn config(file: Option<&str>) -> Result<ClientConfig, StoreError> {
    let mut roots = RootCertStore::empty();
    match file {
        Some(file) => {
            let failed = |error: &dyn core::fmt::Display| {
                StoreError::Address(format!(
                    "sslrootcert={file}: {error}; name a file of certificates in PEM"
                ))
            };
            for certificate in CertificateDer::pem_file_iter(file).map_err(|e| failed(&e))? {
                let certificate = certificate.map_err(|error| failed(&error))?;
                roots.add(certificate).map_err(|error| failed(&error))?;
            }
            if roots.is_empty() {
                return Err(failed(&"there is no certificate in it"));
            }
        }
        None => {
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(|error| StoreError::Broken(error.to_string()))?;
    Ok(config.with_root_certificates(roots).with_no_client_auth())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn an_address_says_how_it_is_reached() {
        let plain = "postgres://u@h/d?connect_timeout=3";
        for (url, tls) in [
            (plain, false),
            ("postgres://u@h/d?sslmode=disable&connect_timeout=3", false),
            ("postgres://u@h/d?connect_timeout=3&sslmode=require", true),
            ("postgres://u@h/d?sslmode=verify-full&sslrootcert=system&connect_timeout=3", true),
        ] {
            let (address, speaks) = read(url).unwrap();
            assert_eq!((address.as_str(), speaks.is_some()), (plain, tls), "{url}");
        }
        assert_eq!(read("postgres://u@h/d?sslmode=require").unwrap().0, "postgres://u@h/d");
        for (url, word) in [
            ("postgres://u@h/d?sslmode=prefer", "sslmode=prefer is not spoken"),
            ("postgres://u@h/d?sslrootcert=a.pem", "require"),
            ("postgres://u@h/d?sslmode=require&sslrootcert=%2Fnowhere%2Fa.pem", "/nowhere/a.pem"),
        ] {
            let error = read(url).map(|_| ()).unwrap_err().to_string();
            assert!(error.contains(word), "{error}");
        }
    }
}
