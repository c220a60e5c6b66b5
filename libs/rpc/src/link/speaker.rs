//! For which region a certificate speaks: a URI among its subject alternative names says it, signed by the authority, so
//! that no region can pass for another. Host names say nothing about it: several regions may share one.

use x509_parser::extensions::GeneralName;
use x509_parser::parse_x509_certificate;
use x509_parser::pem::parse_x509_pem;

const PREFIX: &str = "urn:tradewind:region:";

/// What a region's certificate has among its subject alternative names.
pub fn uri_of(region: &str) -> String {
    format!("{PREFIX}{region}")
}

/// Whether a certificate, the first of a PEM file, speaks for the region.
pub fn speaks_for(certificate_pem: &str, region: &str) -> bool {
    let pem = parse_x509_pem(certificate_pem.as_bytes());
    pem.is_ok_and(|(_, pem)| regions(&pem.contents).iter().any(|named| named == region))
}

/// Why the one who showed this certificate, as DER, may not ask as `region`.
pub(super) fn refusal(certificate: Option<&[u8]>, region: &str) -> Option<String> {
    let named = certificate.map(regions).unwrap_or_default();
    if named.iter().any(|named| named == region) {
        return None;
    }
    Some(match named.is_empty() {
        true => format!(
            "the certificate of who asks as region {region} says for no region that it speaks: it needs the URI {} among \
             its subject alternative names, as `tradewind secrets create` makes it",
            uri_of(region)
        ),
        false => {
            format!("the certificate speaks for region {}, and not for {region}", named.join(" and "))
        }
    })
}

fn regions(certificate: &[u8]) -> Vec<String> {
    let Ok((_, certificate)) = parse_x509_certificate(certificate) else { return Vec::new() };
    let Ok(Some(names)) = certificate.subject_alternative_name() else { return Vec::new() };
    let uris = names.value.general_names.iter().filter_map(|name| match name {
        GeneralName::URI(uri) => uri.strip_prefix(PREFIX),
        _ => None,
    });
    uris.map(str::to_owned).collect()
}

#[cfg(test)]
mod tests {
    use super::super::LinkAuthority;
    use super::*;

    #[test]
    fn a_certificate_speaks_for_the_region_it_was_issued_for_and_for_no_other() {
        let authority = LinkAuthority::make().unwrap();
        let tls = authority.issue("eu-west-1", vec!["us-east-1".to_owned()]).unwrap();
        assert!(speaks_for(&tls.certificate_pem, "eu-west-1"));
        assert!(!speaks_for(&tls.certificate_pem, "us-east-1"), "a host's name is no region's");
        assert!(!speaks_for(&tls.certificate_pem, "eu-west"));
        assert!(!speaks_for(authority.certificate_pem(), "eu-west-1"));
        assert!(!speaks_for("no certificate", "eu-west-1"));
    }

    #[test]
    fn who_may_not_ask_is_told_why() {
        let authority = LinkAuthority::make().unwrap();
        let tls = authority.issue("eu-west-1", vec!["localhost".to_owned()]).unwrap();
        let (_, pem) = parse_x509_pem(tls.certificate_pem.as_bytes()).unwrap();
        assert_eq!(refusal(Some(&pem.contents), "eu-west-1"), None);
        let other = refusal(Some(&pem.contents), "us-east-1").unwrap();
        assert_eq!(other, "the certificate speaks for region eu-west-1, and not for us-east-1");
        for certificate in [None, Some(&b"junk"[..])] {
            let told = refusal(certificate, "us-east-1").unwrap();
            assert!(told.contains("urn:tradewind:region:us-east-1"), "{told}");
        }
    }
}
