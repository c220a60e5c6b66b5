//! `tradewind secrets create`: the files that a deployment's services are given, made where they are missing.
//!
//! ```text
//! link-ca.pem, link-ca.key           the authority of the certificates that regions show each other
//! link-REGION.pem, link-REGION.key   a region's own, which speaks for no other, for the host by which it is reached
//! postgres-password                  of the regions' databases
//! credentials                        a first access key, as an AWS shared credentials file
//! ```
//!
//! What is there stays as it is, so that it may run before every start, but for a certificate that does not say for which
//! region it speaks: earlier ones did not, and link ports refuse them; a file comes into being whole or not at all. Nothing
//! secret is printed.

use std::fs::{self, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, chown};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use tradewind_rpc::{LinkAuthority, speaks_for};

use crate::arguments::operation::{LinkRegion, Secrets};

pub fn run(command: &Secrets) -> anyhow::Result<()> {
    let Secrets::Create { folder, region, owner } = command;
    let folder = Folder { path: folder.clone(), owner: *owner };
    fs::create_dir_all(&folder.path).with_context(|| folder.path.display().to_string())?;
    // A region that was given its certificate has no authority's key, and needs none.
    let mut missing = Vec::new();
    for region in region {
        if !folder.has_link(region)? {
            missing.push(region);
        }
    }
    if !missing.is_empty() {
        let authority = folder.authority()?;
        for region in missing {
            folder.link(region, &authority)?;
        }
    }
    folder.put("postgres-password", true, &random())?;
    folder.put("credentials", true, &profile())?;
    Ok(())
}

struct Folder {
    path: PathBuf,
    /// Who reads the services' files.
    owner: Option<u32>,
}

impl Folder {
    /// Made if there is none.
    fn authority(&self) -> anyhow::Result<LinkAuthority> {
        let (certificate_file, key_file) = (self.path.join("link-ca.pem"), self.path.join("link-ca.key"));
        if certificate_file.exists() && key_file.exists() {
            return LinkAuthority::read(read(&certificate_file)?, &read(&key_file)?)
                .with_context(|| format!("{}: no private key", key_file.display()));
        }
        if certificate_file.exists() {
            bail!("{}: its key is gone, so no certificate can be made", certificate_file.display());
        }
        let authority = LinkAuthority::make()?;
        // The key first: without it the certificate is worth nothing.
        self.replace("link-ca.key", false, &authority.key_pem())?;
        self.put("link-ca.pem", true, authority.certificate_pem())?;
        Ok(authority)
    }

    /// Whether the region's certificate is there and speaks for it.
    fn has_link(&self, region: &LinkRegion) -> anyhow::Result<bool> {
        let path = self.path.join(format!("link-{}.pem", region.name));
        Ok(path.exists() && speaks_for(&read(&path)?, region.name.as_str()))
    }

    fn link(&self, region: &LinkRegion, authority: &LinkAuthority) -> anyhow::Result<()> {
        let (certificate, key_name) =
            (format!("link-{}.pem", region.name), format!("link-{}.key", region.name));
        let path = self.path.join(&certificate);
        if path.exists() {
            eprintln!("{} does not speak for region {}", path.display(), region.name);
            // Until the new one is there it is none, whatever becomes of its key.
            fs::remove_file(&path).with_context(|| path.display().to_string())?;
        }
        let tls = authority.issue(region.name.as_str(), vec![region.host.clone(), "localhost".to_owned()])?;
        // The key first: where the certificate is, the key is its own.
        self.replace(&key_name, true, &tls.key_pem)?;
        self.put(&certificate, true, &tls.certificate_pem)
    }

    /// Makes a file that is missing.
    fn put(&self, name: &str, for_services: bool, text: &str) -> anyhow::Result<()> {
        match self.path.join(name).exists() {
            true => Ok(()),
            false => self.replace(name, for_services, text),
        }
    }

    fn replace(&self, name: &str, for_services: bool, text: &str) -> anyhow::Result<()> {
        let (path, part) = (self.path.join(name), self.path.join(format!("{name}.part")));
        let write = || {
            let mut file =
                OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&part)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()?;
            if let Some(owner) = self.owner.filter(|_| for_services) {
                chown(&part, Some(owner), None)?;
            }
            fs::rename(&part, &path)
        };
        write().with_context(|| path.display().to_string())?;
        eprintln!("made {}", path.display());
        Ok(())
    }
}

fn read(path: &Path) -> anyhow::Result<String> {
    fs::read_to_string(path).with_context(|| path.display().to_string())
}

/// 244 bits, in characters that no file or URL minds.
fn random() -> String {
    format!("{}{}", uuid::Uuid::new_v4().simple(), uuid::Uuid::new_v4().simple())
}

fn profile() -> String {
    let id = random()[..16].to_uppercase();
    format!("[default]\naws_access_key_id = TRDW{id}\naws_secret_access_key = {}\n", random())
}

#[cfg(test)]
mod tests {
    use tradewind_iam::Profiles;

    use super::*;

    fn create(path: &Path, regions: &[&str]) {
        let region = regions.iter().map(|region| region.parse().unwrap()).collect();
        run(&Secrets::Create { folder: path.to_owned(), region, owner: None }).unwrap();
    }

    #[test]
    fn what_is_there_stays_and_what_is_missing_is_made() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &["us-east-1"]);
        let all = || -> Vec<_> {
            let mut files: Vec<_> =
                fs::read_dir(folder.path()).unwrap().map(|file| file.unwrap().path()).collect();
            files.sort();
            files.into_iter().map(|file| (file.clone(), fs::read_to_string(&file).unwrap())).collect()
        };
        let before = all();
        assert_eq!(before.len(), 6, "{before:?}");
        create(folder.path(), &["us-east-1", "eu-west-1=eu.example.com"]);
        let after = all();
        assert_eq!(after.len(), 8);
        assert!(before.iter().all(|file| after.contains(file)), "nothing was replaced");
        let profiles = fs::read_to_string(folder.path().join("credentials")).unwrap();
        assert_eq!(Profiles::parse(&profiles).unwrap().iter().count(), 1);
    }

    /// Certificates of before link ports asked for which region they speak.
    #[test]
    fn a_certificate_that_speaks_for_another_region_or_none_is_made_again() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &["us-east-1", "eu-west-1"]);
        let file = |name: &str| folder.path().join(name);
        fs::copy(file("link-us-east-1.pem"), file("link-eu-west-1.pem")).unwrap();
        let before = fs::read_to_string(file("link-us-east-1.pem")).unwrap();
        create(folder.path(), &["us-east-1", "eu-west-1"]);
        assert!(speaks_for(&fs::read_to_string(file("link-eu-west-1.pem")).unwrap(), "eu-west-1"));
        assert_eq!(fs::read_to_string(file("link-us-east-1.pem")).unwrap(), before);
    }

    /// As a region that is added gets its files: without the key by which others could be added.
    #[test]
    fn a_region_with_its_certificate_needs_no_authority() {
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &["us-east-1"]);
        fs::remove_file(folder.path().join("link-ca.key")).unwrap();
        fs::remove_file(folder.path().join("credentials")).unwrap();
        create(folder.path(), &["us-east-1"]);
        assert!(folder.path().join("credentials").exists());
        let region = vec!["eu-west-1".parse().unwrap()];
        let command = Secrets::Create { folder: folder.path().to_owned(), region, owner: None };
        assert!(run(&command).unwrap_err().to_string().contains("its key is gone"));
    }

    #[test]
    fn only_their_owner_can_read_them() {
        use std::os::unix::fs::PermissionsExt;
        let folder = tempfile::tempdir().unwrap();
        create(folder.path(), &["us-east-1"]);
        for file in fs::read_dir(folder.path()).unwrap() {
            let mode = file.unwrap().metadata().unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
    }
}
