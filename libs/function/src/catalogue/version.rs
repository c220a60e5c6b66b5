//! Versions and aliases: what a function was when it was published, and names for that.
//!
//! ```text
//! function-versions/<function>   <number, ten digits>   the function as it was; never changed
//! function-aliases/<function>    <alias>                which version it stands for
//! ```

use serde::{Deserialize, Serialize};
use tradewind_engine::Documents;

use super::{Catalogue, CatalogueError, Code, Function};

#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Alias {
    pub name: String,
    /// A number, or `$LATEST`.
    pub version: String,
    #[serde(default)]
    pub description: String,
    /// Another one after each change.
    pub revision_id: String,
}

impl Function {
    /// As Lambda shows it: the number, or `$LATEST`.
    pub fn version_text(&self) -> String {
        self.version.map_or_else(|| "$LATEST".to_owned(), |number| number.to_string())
    }

    /// The function as it would be published: without what versions do not have, or have of their own.
    fn substance(&self) -> Function {
        Function {
            version: None,
            published: 0,
            description: String::new(),
            tags: Default::default(),
            reserved_concurrency: None,
            revision_id: String::new(),
            last_modified_ms: 0,
            ..self.clone()
        }
    }

    pub fn is_as_published(&self, version: &Function) -> bool {
        self.substance() == version.substance()
    }

    /// The package that it needs.
    pub fn package(&self) -> Option<&str> {
        match &self.code {
            Code::Zip { sha256, .. } => Some(sha256),
            Code::Directory { .. } | Code::Http(_) | Code::Handler => None,
        }
    }
}

/// The name of a reference like `name:qualifier`, and its qualifier unless that is `$LATEST`.
pub fn split(reference: &str) -> (&str, Option<&str>) {
    match reference.split_once(':') {
        Some((name, qualifier)) => (name, Some(qualifier).filter(|qualifier| *qualifier != "$LATEST")),
        None => (reference, None),
    }
}

impl<D: Documents> Catalogue<D> {
    /// The function of a reference: `name`, `name:version` or `name:alias`.
    pub async fn resolve(&self, reference: &str) -> Result<Option<Function>, CatalogueError> {
        let (name, qualifier) = split(reference);
        let Some(qualifier) = qualifier else { return self.function(name).await };
        if let Ok(number) = qualifier.parse() {
            return self.version(name, number).await;
        }
        let Some(alias) = self.alias(name, qualifier).await? else { return Ok(None) };
        match alias.version.parse() {
            Ok(number) => self.version(name, number).await,
            Err(_) => self.function(name).await,
        }
    }

    pub async fn version(&self, function: &str, number: u64) -> Result<Option<Function>, CatalogueError> {
        Ok(self.get(&versions_of(function), &numbered(number)).await?.map(|(_, version)| version))
    }

    /// The oldest first.
    pub async fn versions(&self, function: &str) -> Result<Vec<Function>, CatalogueError> {
        self.list(&versions_of(function)).await
    }

    /// Keeps a version whose number nobody else was given.
    pub async fn keep_version(&self, version: &Function) -> Result<(), CatalogueError> {
        let number = version.version.unwrap_or_default();
        self.create(&versions_of(&version.name), &numbered(number), version).await?;
        Ok(())
    }

    pub async fn delete_version(
        &self,
        function: &str,
        number: u64,
    ) -> Result<Option<Function>, CatalogueError> {
        self.delete(&versions_of(function), &numbered(number)).await
    }

    pub async fn alias(&self, function: &str, alias: &str) -> Result<Option<Alias>, CatalogueError> {
        Ok(self.get(&aliases_of(function), alias).await?.map(|(_, alias)| alias))
    }

    pub async fn aliases(&self, function: &str) -> Result<Vec<Alias>, CatalogueError> {
        self.list(&aliases_of(function)).await
    }

    /// Answers false if there is one of that name.
    pub async fn create_alias(&self, function: &str, alias: &Alias) -> Result<bool, CatalogueError> {
        self.create(&aliases_of(function), &alias.name, alias).await
    }

    pub async fn update_alias<E>(
        &self,
        function: &str,
        alias: &str,
        edit: impl Fn(&mut Alias) -> Result<(), E>,
    ) -> Result<Option<Result<Alias, E>>, CatalogueError> {
        self.update(&aliases_of(function), alias, edit).await
    }

    pub async fn delete_alias(&self, function: &str, alias: &str) -> Result<Option<Alias>, CatalogueError> {
        self.delete(&aliases_of(function), alias).await
    }

    /// Versions and aliases of a function that is no more.
    pub async fn forget_versions(&self, function: &str) -> Result<(), CatalogueError> {
        for alias in self.aliases(function).await? {
            self.delete_alias(function, &alias.name).await?;
        }
        for version in self.versions(function).await? {
            self.delete_version(function, version.version.unwrap_or_default()).await?;
        }
        Ok(())
    }
}

fn versions_of(function: &str) -> String {
    format!("function-versions/{function}")
}

fn aliases_of(function: &str) -> String {
    format!("function-aliases/{function}")
}

fn numbered(number: u64) -> String {
    format!("{number:010}")
}
