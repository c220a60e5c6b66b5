//! Who is a node of the region: whoever has a certificate of the region's authority.
//!
//! The authority is made once, by the first node, and kept in the catalogue by compare-and-set, so that whoever can read the
//! region's database can be a node and nobody else. Every process issues itself a certificate when it starts; the private
//! key of that never leaves it. Its name is the same for all nodes: an address says nothing about who may answer there.

use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer,
    KeyPair, KeyUsagePurpose, SanType, date_time_ymd,
};
use serde::{Deserialize, Serialize};
use tradewind_engine::{Documents, Error};

/// The name in every node's certificate.
pub(crate) const NODE_NAME: &str = "node.tradewind.internal";
const COLLECTION: &str = "authorities";
const NAME: &str = "nodes";

#[derive(Debug, thiserror::Error)]
pub enum AuthorityError {
    #[error(transparent)]
    Engine(#[from] Error),
    /// What the catalogue holds is no authority, or a certificate could not be made of it.
    #[error("the authority of the region's nodes: {0}")]
    Unusable(String),
}

impl From<rcgen::Error> for AuthorityError {
    fn from(error: rcgen::Error) -> Self {
        AuthorityError::Unusable(error.to_string())
    }
}

/// The region's authority. Its key is a secret: whoever has it can be a node.
pub struct Authority {
    certificate_pem: String,
    key: KeyPair,
}

/// A process's own certificate with its key, and the authority that the others' are checked against; all PEM.
#[derive(Clone)]
pub struct Identity {
    pub(crate) certificate_pem: String,
    pub(crate) key_pem: String,
    pub(crate) authority_pem: String,
}

impl Identity {
    /// The same certificate, with others checked by the authority that `other` is of.
    pub fn trusting(self, other: &Identity) -> Identity {
        Identity { authority_pem: other.authority_pem.clone(), ..self }
    }
}

/// As it lies in the catalogue.
#[derive(Serialize, Deserialize)]
struct Stored {
    certificate_pem: String,
    key_pem: String,
}

impl Authority {
    /// The authority of the region whose catalogue this is; made if there is none yet.
    ///
    /// # Errors
    /// The catalogue cannot be reached, or holds something else under that name.
    pub async fn of<D: Documents>(catalogue: &D) -> Result<Authority, AuthorityError> {
        if let Some(document) = catalogue.get(COLLECTION, NAME).await? {
            return Authority::read(&document.body);
        }
        let made = Authority::make()?;
        let body = made.written();
        if catalogue.compare_and_set(COLLECTION, NAME, None, Some(&body)).await?.is_some() {
            return Ok(made);
        }
        // Another node came first: it is that one's, for all.
        let document = catalogue.get(COLLECTION, NAME).await?;
        let document = document
            .ok_or_else(|| AuthorityError::Unusable("it was removed from the catalogue".to_owned()))?;
        Authority::read(&document.body)
    }

    fn make() -> Result<Authority, AuthorityError> {
        let key = KeyPair::generate()?;
        let certificate_pem = make_authority("Tradewind nodes", &key)?;
        Ok(Authority { certificate_pem, key })
    }

    fn read(body: &[u8]) -> Result<Authority, AuthorityError> {
        // The reader's own words could quote the key.
        let stored: Stored = serde_json::from_slice(body)
            .map_err(|_| AuthorityError::Unusable("the catalogue's document is not one".to_owned()))?;
        let key = KeyPair::from_pem(&stored.key_pem)?;
        Ok(Authority { certificate_pem: stored.certificate_pem, key })
    }

    fn written(&self) -> Vec<u8> {
        let stored =
            Stored { certificate_pem: self.certificate_pem.clone(), key_pem: self.key.serialize_pem() };
        serde_json::to_vec(&stored).expect("strings are JSON")
    }

    /// A certificate for one process.
    pub fn issue(&self) -> Result<Identity, AuthorityError> {
        let issuer = Issuer::from_ca_cert_pem(&self.certificate_pem, &self.key)?;
        let key = KeyPair::generate()?;
        let mut params = named("Tradewind node")?;
        params.subject_alt_names = vec![SanType::DnsName(NODE_NAME.try_into()?)];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        let certificate_pem = params.signed_by(&key, &issuer)?.pem();
        Ok(Identity {
            certificate_pem,
            key_pem: key.serialize_pem(),
            authority_pem: self.certificate_pem.clone(),
        })
    }
}

/// The certificate of an authority, as PEM.
pub(crate) fn make_authority(name: &str, key: &KeyPair) -> Result<String, AuthorityError> {
    let mut params = named(name)?;
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    Ok(params.self_signed(key)?.pem())
}

/// Nodes' certificates live as long as their processes do, and an authority as long as its region: an expiry date would
/// only be a day on which a region stops. The bounds also leave room for clocks that are wrong.
pub(crate) fn named(name: &str) -> Result<CertificateParams, AuthorityError> {
    let mut params = CertificateParams::new(Vec::new())?;
    params.distinguished_name = DistinguishedName::new();
    params.distinguished_name.push(DnType::CommonName, name);
    params.not_before = date_time_ymd(2020, 1, 1);
    params.not_after = date_time_ymd(2120, 1, 1);
    Ok(params)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_authority_survives_being_stored_and_its_key_is_in_no_message() {
        let made = Authority::make().unwrap();
        let read = Authority::read(&made.written()).unwrap();
        assert_eq!(read.certificate_pem, made.certificate_pem);
        assert_eq!(read.key.serialize_pem(), made.key.serialize_pem());
        let damaged = made.written().iter().map(|byte| byte ^ 1).collect::<Vec<_>>();
        let error = Authority::read(&damaged).err().unwrap().to_string();
        assert_eq!(error, "the authority of the region's nodes: the catalogue's document is not one");
    }
}
