//! An authority for links, for operators who have none of their own: its certificates are what [`LinkTls`] wants.

use rcgen::{CertificateParams, ExtendedKeyUsagePurpose, Issuer, KeyPair, KeyUsagePurpose, SanType};

use super::LinkTls;
use super::speaker::uri_of;
use crate::authority::{AuthorityError, make_authority, named};

/// Its key is a secret: whoever has it can make a region.
pub struct LinkAuthority {
    certificate_pem: String,
    key: KeyPair,
}

impl LinkAuthority {
    /// # Errors
    /// There is no randomness.
    pub fn make() -> Result<LinkAuthority, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate_pem = make_authority("Tradewind links", &key)?;
        Ok(LinkAuthority { certificate_pem, key })
    }

    /// # Errors
    /// The key is none.
    pub fn read(certificate_pem: String, key_pem: &str) -> Result<LinkAuthority, AuthorityError> {
        Ok(LinkAuthority { certificate_pem, key: KeyPair::from_pem(key_pem)? })
    }

    pub fn certificate_pem(&self) -> &str {
        &self.certificate_pem
    }

    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// A certificate for the services of one region, which is reached by these hosts: names or addresses.
    ///
    /// # Errors
    /// A host is neither.
    pub fn issue(&self, region: &str, hosts: Vec<String>) -> Result<LinkTls, AuthorityError> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, &self.key)?;
        let key = KeyPair::generate()?;
        let mut params = named(region)?;
        params.subject_alt_names = CertificateParams::new(hosts)?.subject_alt_names;
        params.subject_alt_names.push(SanType::URI(uri_of(region).try_into()?));
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate_pem = params.signed_by(&key, &issuer)?.pem();
        let authority_pem = self.certificate_pem.clone();
        Ok(LinkTls { certificate_pem, key_pem: key.serialize_pem(), authority_pem })
    }
}
