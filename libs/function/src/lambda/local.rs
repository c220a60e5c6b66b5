//! Functions that Lambda does not have: what lies on this machine, and what answers HTTP. Said in headers, so that bodies
//! stay Lambda's:
//!
//! ```text
//! x-tradewind-directory  an absolute folder, used as it is and reloaded when a file changes
//! x-tradewind-command    a shell command that speaks the Runtime API, run in that folder
//! x-tradewind-url        an HTTP endpoint, instead of code
//! x-tradewind-form       how it is spoken to: webhook (default), or emulator for a container behind AWS's Runtime
//!                        Interface Emulator
//! x-tradewind-secret     whsec_…, for a webhook's signatures; one is made if none is given
//! ```

use std::path::PathBuf;

use super::{ApiError, Request};
use crate::catalogue::{Code, Endpoint, Form};
use crate::http::signature;

#[derive(Debug, Default)]
pub struct Local {
    pub directory: Option<PathBuf>,
    pub command: Option<String>,
    pub endpoint: Option<Endpoint>,
    /// A key that was made here and is shown this once.
    pub made_secret: Option<String>,
}

impl Local {
    pub fn of(request: &Request<'_>) -> Result<Local, ApiError> {
        let text = |name: &str| request.header(name).map(str::to_owned);
        let directory = text("x-tradewind-directory").map(PathBuf::from);
        let command = text("x-tradewind-command");
        if let Some(directory) = directory.as_ref().filter(|path| !path.is_absolute() || !path.is_dir()) {
            let message =
                format!("x-tradewind-directory is not an absolute path of a folder: {}", directory.display());
            return Err(ApiError::invalid_parameter(message));
        }
        if command.is_some() && directory.is_none() {
            return Err(ApiError::invalid_parameter("x-tradewind-command needs x-tradewind-directory"));
        }
        let (endpoint, made_secret) = endpoint(request)?;
        if endpoint.is_some() && directory.is_some() {
            return Err(ApiError::invalid_parameter(
                "x-tradewind-url and x-tradewind-directory exclude each other",
            ));
        }
        Ok(Local { directory, command, endpoint, made_secret })
    }

    /// Whether code and role may be missing.
    pub fn is_given(&self) -> bool {
        self.directory.is_some() || self.endpoint.is_some()
    }

    /// Whether runtime and handler may be missing.
    pub fn runs_itself(&self) -> bool {
        self.command.is_some() || self.endpoint.is_some()
    }

    pub fn code(&self) -> Option<Code> {
        let endpoint = self.endpoint.clone().map(Code::Http);
        endpoint.or_else(|| self.directory.clone().map(|path| Code::Directory { path }))
    }
}

fn endpoint(request: &Request<'_>) -> Result<(Option<Endpoint>, Option<String>), ApiError> {
    let (form, secret) = (request.header("x-tradewind-form"), request.header("x-tradewind-secret"));
    let Some(url) = request.header("x-tradewind-url") else {
        return match form.or(secret) {
            Some(_) => Err(ApiError::invalid_parameter("x-tradewind-form and -secret need x-tradewind-url")),
            None => Ok((None, None)),
        };
    };
    let form = match form {
        None | Some("webhook") => Form::Webhook,
        Some("emulator") => Form::Emulator,
        Some(_) => return Err(ApiError::invalid_parameter("x-tradewind-form is one of webhook, emulator")),
    };
    let parsed: Option<hyper::Uri> = url.parse().ok();
    let is_http =
        |uri: &hyper::Uri| matches!(uri.scheme_str(), Some("http" | "https")) && uri.host().is_some();
    if !parsed.as_ref().is_some_and(is_http) {
        let message = format!("x-tradewind-url is not an http or https URL: {url}");
        return Err(ApiError::invalid_parameter(message));
    }
    if let Some(secret) = secret
        && (form == Form::Emulator || signature::key(secret).is_none())
    {
        let message = "x-tradewind-secret is whsec_ and 24 to 64 bytes in base64, for webhooks";
        return Err(ApiError::invalid_parameter(message));
    }
    let made = (form == Form::Webhook && secret.is_none()).then(signature::new_secret);
    let secret = secret.map(str::to_owned).or_else(|| made.clone());
    Ok((Some(Endpoint { url: url.to_owned(), form, secret }), made))
}
