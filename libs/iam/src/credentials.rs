//! Credentials, and the file in which AWS's tools keep them.
//!
//! ```text
//! [default]
//! aws_access_key_id = AKIDEXAMPLE
//! aws_secret_access_key = wJalr...      ; a comment follows white space
//! # aws_session_token = only for temporary credentials
//! ```
//!
//! Source: "Shared config and credentials files" in the AWS SDKs and Tools Reference Guide.

use std::collections::BTreeMap;
use std::fmt;

/// Text that is never printed.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Box<str>);

impl Secret {
    pub fn new(text: impl Into<Box<str>>) -> Secret {
        Secret(text.into())
    }

    /// The text itself, for where it is used or stored.
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// An access key, with the session token if it is a temporary one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Credentials {
    access_key_id: Box<str>,
    secret_access_key: Secret,
    session_token: Option<Secret>,
}

impl Credentials {
    pub fn new(access_key_id: impl Into<Box<str>>, secret_access_key: Secret) -> Credentials {
        Credentials { access_key_id: access_key_id.into(), secret_access_key, session_token: None }
    }

    pub fn with_session_token(self, session_token: Secret) -> Credentials {
        Credentials { session_token: Some(session_token), ..self }
    }

    pub fn access_key_id(&self) -> &str {
        &self.access_key_id
    }

    pub fn secret_access_key(&self) -> &Secret {
        &self.secret_access_key
    }

    pub fn session_token(&self) -> Option<&Secret> {
        self.session_token.as_ref()
    }
}

/// The credentials of a shared credentials file by profile.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Profiles(BTreeMap<String, Credentials>);

/// What is wrong with a credentials file, and where; never what the line says.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
#[error("line {line}: {problem}")]
pub struct BadProfile {
    /// Counted from 1.
    pub line: usize,
    pub problem: Problem,
}

#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum Problem {
    #[error("a profile is written [name]")]
    MalformedProfile,
    #[error("a setting before the first [profile]")]
    OutsideProfile,
    #[error("neither a [profile] nor a setting `name = value`")]
    NotASetting,
    #[error("{0} has no value")]
    NoValue(&'static str),
    #[error("an access key id has no white space, slash, comma or control character")]
    BadAccessKeyId,
    #[error("the profile has no {0}")]
    Lacks(&'static str),
}

const ID: &str = "aws_access_key_id";
const SECRET: &str = "aws_secret_access_key";
const TOKEN: &str = "aws_session_token";

impl Profiles {
    /// Reads a shared credentials file. Settings other than the three of a key are left alone, and so are profiles
    /// without any of the three. A profile that comes twice is one profile; of a setting that comes twice the later
    /// counts.
    pub fn parse(text: &str) -> Result<Profiles, BadProfile> {
        let mut reader = Reader::default();
        // Editors on Windows begin files with a byte order mark.
        for (nth, line) in text.trim_start_matches('\u{feff}').lines().enumerate() {
            let line_number = nth + 1;
            reader.read(line, line_number).map_err(|problem| BadProfile { line: line_number, problem })?;
        }
        reader.finish()
    }

    pub fn get(&self, profile: &str) -> Option<&Credentials> {
        self.0.get(profile)
    }

    /// All profiles in the order of their names.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Credentials)> {
        self.0.iter().map(|(name, credentials)| (name.as_str(), credentials))
    }
}

#[derive(Default)]
struct Reader {
    drafts: BTreeMap<String, Draft>,
    current: Option<String>,
    /// How far the last setting was indented: what is indented further belongs to it.
    indent: Option<usize>,
}

#[derive(Default)]
struct Draft {
    line: usize,
    id: Option<String>,
    secret: Option<String>,
    token: Option<String>,
}

impl Reader {
    fn read(&mut self, line: &str, line_number: usize) -> Result<(), Problem> {
        let content = without_comment(line).trim();
        if content.is_empty() {
            return Ok(());
        }
        if let Some(header) = content.strip_prefix('[') {
            return self.begin(header, line_number);
        }
        let indent = line.len() - line.trim_start().len();
        if self.indent.is_some_and(|setting| indent > setting) {
            return Ok(());
        }
        self.indent = Some(indent);
        let (name, value) = content.split_once('=').ok_or(Problem::NotASetting)?;
        self.set(name.trim_end(), value.trim_start())
    }

    fn begin(&mut self, header: &str, line_number: usize) -> Result<(), Problem> {
        let name = header.strip_suffix(']').map(str::trim).filter(|name| !name.is_empty());
        let name = name.ok_or(Problem::MalformedProfile)?.to_owned();
        self.drafts.entry(name.clone()).or_default().line = line_number;
        self.current = Some(name);
        self.indent = None;
        Ok(())
    }

    fn set(&mut self, name: &str, value: &str) -> Result<(), Problem> {
        let draft = self.current.as_ref().and_then(|name| self.drafts.get_mut(name));
        let draft = draft.ok_or(Problem::OutsideProfile)?;
        let (name, place) = match name.to_ascii_lowercase().as_str() {
            ID => (ID, &mut draft.id),
            SECRET => (SECRET, &mut draft.secret),
            TOKEN => (TOKEN, &mut draft.token),
            _ => return Ok(()),
        };
        if value.is_empty() {
            return Err(Problem::NoValue(name));
        }
        if name == ID && !is_access_key_id(value) {
            return Err(Problem::BadAccessKeyId);
        }
        *place = Some(value.to_owned());
        Ok(())
    }

    fn finish(self) -> Result<Profiles, BadProfile> {
        let mut profiles = Profiles::default();
        for (name, draft) in self.drafts {
            let line = draft.line;
            if let Some(credentials) = draft.finish().map_err(|problem| BadProfile { line, problem })? {
                profiles.0.insert(name, credentials);
            }
        }
        Ok(profiles)
    }
}

impl Draft {
    fn finish(self) -> Result<Option<Credentials>, Problem> {
        let credentials = match (self.id, self.secret) {
            (Some(id), Some(secret)) => Credentials::new(id, Secret::new(secret)),
            (None, None) if self.token.is_none() => return Ok(None),
            (None, _) => return Err(Problem::Lacks(ID)),
            (Some(_), None) => return Err(Problem::Lacks(SECRET)),
        };
        let session_token = self.token.map(Secret::new);
        Ok(Some(Credentials { session_token, ..credentials }))
    }
}

/// An id stands between other things in an Authorization header, and must not run into them.
fn is_access_key_id(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'/' | b','))
}

/// A comment is a `#` or `;` that begins the line or follows white space.
fn without_comment(line: &str) -> &str {
    let begins_comment = |(at, byte): &(usize, u8)| {
        matches!(byte, b'#' | b';') && (*at == 0 || matches!(line.as_bytes()[at - 1], b' ' | b'\t'))
    };
    line.bytes().enumerate().find(begins_comment).map_or(line, |(at, _)| &line[..at])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn refused(text: &str) -> (usize, Problem) {
        let BadProfile { line, problem } = Profiles::parse(text).unwrap_err();
        (line, problem)
    }

    #[test]
    fn profiles_comments_and_white_space_are_read_as_aws_tools_read_them() {
        let profiles = Profiles::parse(
            "\u{feff}# a comment\r\n\r\n[default]\r\naws_access_key_id=AKID\r\naws_secret_access_key = a/b+c=#;d\r\n\
             region = eu-west-1\n  [ temporary ]  ; who\n\tAWS_ACCESS_KEY_ID\t=\tTEMP # key\n\
             \taws_secret_access_key = s ;x\n\taws_session_token=t\n[role]\nrole_arn = arn:aws:iam::1:role/r\n\
             s3 =\n  max_concurrent_requests = 20\n  not even a setting\n",
        )
        .unwrap();
        let default = profiles.get("default").unwrap();
        assert_eq!(default.access_key_id(), "AKID");
        assert_eq!(default.secret_access_key().expose(), "a/b+c=#;d");
        assert_eq!(default.session_token(), None);
        let temporary = Credentials::new("TEMP", Secret::new("s")).with_session_token(Secret::new("t"));
        assert_eq!(profiles.get("temporary"), Some(&temporary));
        assert_eq!(profiles.iter().map(|(name, _)| name).collect::<Vec<_>>(), ["default", "temporary"]);
    }

    #[test]
    fn a_profile_in_two_places_is_one_and_the_later_setting_counts() {
        let text = "[a]\naws_access_key_id=1\n[b]\n[a]\naws_secret_access_key=2\naws_access_key_id=3\n";
        let profiles = Profiles::parse(text).unwrap();
        assert_eq!(profiles.get("a"), Some(&Credentials::new("3", Secret::new("2"))));
    }

    #[test]
    fn an_error_names_the_line_and_the_problem() {
        assert_eq!(refused("\naws_access_key_id = x"), (2, Problem::OutsideProfile));
        assert_eq!(refused("[a]\n\n[b"), (3, Problem::MalformedProfile));
        assert_eq!(refused("[ ]"), (1, Problem::MalformedProfile));
        assert_eq!(refused("[a]\nsecret"), (2, Problem::NotASetting));
        assert_eq!(refused("[a]\naws_session_token = # later"), (2, Problem::NoValue(TOKEN)));
        assert_eq!(refused("[a]\naws_access_key_id = a/b"), (2, Problem::BadAccessKeyId));
        assert_eq!(refused("#\n[a]\naws_access_key_id = b"), (2, Problem::Lacks(SECRET)));
        assert_eq!(refused("[a]\naws_session_token = b"), (1, Problem::Lacks(ID)));
        let error = Profiles::parse("[a]\naws_secret_access_key = hidden").unwrap_err();
        assert_eq!(error.to_string(), "line 1: the profile has no aws_access_key_id");
    }

    #[test]
    fn secrets_are_not_printed() {
        let text =
            "[a]\naws_access_key_id = AKID\naws_secret_access_key = hidden\naws_session_token = hidden";
        let printed = format!("{:?}", Profiles::parse(text).unwrap());
        assert!(printed.contains("AKID") && !printed.contains("hidden"), "{printed}");
    }

    proptest::proptest! {
        #[test]
        fn any_text_is_read_or_refused(text in "([\\[\\]#; =\t\n\u{e9}a]|aws_access_key_id){0,40}") {
            let _ = Profiles::parse(&text);
        }
    }
}
