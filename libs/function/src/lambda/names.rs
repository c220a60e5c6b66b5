//! The names of functions and mappings, in each form that Lambda takes.

use super::ApiError;
use super::constraints::Checks;

/// What a request calls a function by.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct FunctionRef {
    pub name: String,
    pub qualifier: Option<String>,
}

pub fn function_arn(region: &str, account: &str, name: &str) -> String {
    format!("arn:aws:lambda:{region}:{account}:function:{name}")
}

pub fn mapping_arn(region: &str, account: &str, uuid: &str) -> String {
    format!("arn:aws:lambda:{region}:{account}:event-source-mapping:{uuid}")
}

/// Takes a name, `name:qualifier`, a partial ARN (`account:function:name`) or an ARN. `field` is for messages.
pub fn parse_function(given: &str, field: &str) -> Result<FunctionRef, ApiError> {
    let rest = match given.strip_prefix("arn:") {
        // arn:partition:lambda:region:account:function:…
        Some(arn) => after(arn, 4).and_then(|rest| rest.strip_prefix("function:")),
        None => match given.split_once("function:") {
            Some((account, rest)) if account.is_empty() || is_account(account) => Some(rest),
            Some(_) => None,
            None => Some(given),
        },
    };
    let parsed = rest.and_then(|rest| {
        let (name, qualifier) = match rest.split_once(':') {
            Some((name, qualifier)) => (name, Some(qualifier)),
            None => (rest, None),
        };
        let fine = is_name(name) && qualifier.is_none_or(is_qualifier);
        fine.then(|| FunctionRef { name: name.to_owned(), qualifier: qualifier.map(str::to_owned) })
    });
    let mut checks = Checks::default();
    if parsed.is_none() || given.len() > 256 {
        checks.fail(field, given, "Member must satisfy regular expression pattern: (arn:(aws[a-zA-Z-]*)?:lambda:)?([a-z]{2}((-gov)|(-iso([a-z]?)))?-[a-z]+-\\d{1}:)?(\\d{12}:)?(function:)?([a-zA-Z0-9-_]+)(:(\\$LATEST|[a-zA-Z0-9-_]+))?");
    }
    if let Some(parsed) = &parsed
        && parsed.name.len() > 64
    {
        checks.fail(field, given, "Member must have length less than or equal to 64");
    }
    checks.finish()?;
    parsed.ok_or_else(|| ApiError::invalid_parameter("function name"))
}

/// The function that an OnFailure destination names; `None` if it is not a function's ARN.
pub fn destination_function(arn: &str) -> Option<String> {
    let function = arn.starts_with("arn:").then(|| parse_function(arn, "destination").ok()).flatten();
    function.filter(|function| function.qualifier.is_none()).map(|function| function.name)
}

/// What follows the first `colons` colons.
fn after(text: &str, colons: usize) -> Option<&str> {
    text.splitn(colons + 1, ':').nth(colons)
}

fn is_account(prefix: &str) -> bool {
    let account = prefix.trim_end_matches(':').rsplit(':').next().unwrap_or_default();
    account.len() == 12 && account.bytes().all(|byte| byte.is_ascii_digit())
}

fn is_name(name: &str) -> bool {
    !name.is_empty() && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_')
}

fn is_qualifier(qualifier: &str) -> bool {
    qualifier == "$LATEST" || is_name(qualifier)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_names_the_same_function() {
        let forms = [
            "f-1",
            "f-1:$LATEST",
            "function:f-1",
            "000000000000:function:f-1",
            "arn:aws:lambda:us-east-1:000000000000:function:f-1",
            "arn:aws:lambda:local:000000000000:function:f-1:$LATEST",
        ];
        for form in forms {
            assert_eq!(parse_function(form, "functionName").unwrap().name, "f-1", "{form}");
        }
        for bad in ["", "a b", "a:b:c", "arn:aws:lambda:x", "arn:aws:s3:::b", "../f", &"x".repeat(65)] {
            assert_eq!(parse_function(bad, "functionName").unwrap_err().kind, "ValidationException", "{bad}");
        }
    }
}
