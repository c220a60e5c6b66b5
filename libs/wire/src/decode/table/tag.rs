//! Tags of tables. These operations check their parameters one after the other, the ARN in between.

use crate::error::{ApiError, Code};
use crate::request::item::TableRef;
use crate::request::table::{ListTagsOfResource, Tag, TagResource, UntagResource};
use crate::shape::check::check;
use crate::shape::node::Members;

pub(crate) fn tag(mut request: Members<'_>) -> Result<TagResource, ApiError> {
    check_arn_form(&request, "TagResource")?;
    check(&request)?;
    let table = resource(&request)?;
    let tags = tags(&mut request).unwrap_or_default();
    if tags.is_empty() {
        return Err(ApiError::validation("Atleast one Tag needs to be provided as Input."));
    }
    check_tags(&tags)?;
    Ok(TagResource { table, tags })
}

pub(crate) fn untag(mut request: Members<'_>) -> Result<UntagResource, ApiError> {
    check_arn_form(&request, "UntagResource")?;
    check(&request)?;
    let table = resource(&request)?;
    let keys = request.texts("TagKeys").unwrap_or_default();
    if keys.is_empty() {
        return Err(ApiError::validation("Atleast one Tag Key needs to be provided as Input."));
    }
    Ok(UntagResource { table, keys })
}

pub(crate) fn list(request: &Members<'_>) -> Result<ListTagsOfResource, ApiError> {
    check_arn_form(request, "ListTagsOfResource")?;
    check(request)?;
    Ok(ListTagsOfResource { table: resource(request)?, next_token: request.owned_text("NextToken") })
}

pub(crate) fn tags(request: &mut Members<'_>) -> Option<Vec<Tag>> {
    let tag = |members: Members<'_>| Tag {
        key: members.owned_text("Key").unwrap_or_default(),
        value: members.owned_text("Value").unwrap_or_default(),
    };
    Some(request.structures("Tags")?.into_iter().map(tag).collect())
}

/// Keys and values hold letters, digits, spaces and a few signs; keys that begin with `aws:` are AWS's own.
pub(crate) fn check_tags(tags: &[Tag]) -> Result<(), ApiError> {
    for (at, tag) in (1..).zip(tags) {
        for (member, text) in [("key", &tag.key), ("value", &tag.value)] {
            if !text.chars().all(may_stand_in_a_tag) {
                return Err(ApiError::validation(format!(
                    "1 validation error detected: Value '{text}' at 'tags.{at}.member.{member}' failed to satisfy \
                     constraint: Member must satisfy regular expression pattern: ^([\\p{{L}}\\p{{Z}}\\p{{N}}_.:/=+\\-@]*)$"
                )));
            }
        }
        if tag.key.get(..4).is_some_and(|begin| begin.eq_ignore_ascii_case("aws:")) {
            return Err(ApiError::invalid_value(
                "aws: prefixed tag key names are not allowed for external use.",
            ));
        }
    }
    Ok(())
}

fn may_stand_in_a_tag(sign: char) -> bool {
    sign.is_alphanumeric() || sign.is_whitespace() && !sign.is_control() || "_.:/=+-@".contains(sign)
}

/// What is no ARN at all is nothing that anyone could be allowed to touch.
fn check_arn_form(request: &Members<'_>, operation: &str) -> Result<(), ApiError> {
    let Some(arn) = request.text("ResourceArn") else { return Err(ApiError::validation("Invalid TableArn")) };
    let parts: Vec<_> = arn.splitn(6, ':').collect();
    let resource = parts.get(5).and_then(|resource| resource.split_once('/'));
    let full = parts.iter().take(5).all(|part| !part.is_empty());
    if full && resource.is_some_and(|(kind, name)| !kind.is_empty() && !name.is_empty()) {
        return Ok(());
    }
    let shown = if arn.is_empty() { "*" } else { arn };
    Err(ApiError::new(
        Code::AccessDenied,
        format!(
            "User: arn:aws:iam::000000000000:root is not authorized to perform: dynamodb:{operation} on resource: {shown}"
        ),
    ))
}

fn resource(request: &Members<'_>) -> Result<TableRef, ApiError> {
    let arn = request.text("ResourceArn").unwrap_or_default();
    match TableRef::from_arn(arn) {
        Some(_) => Ok(TableRef::parse(arn)),
        None => Err(ApiError::validation(format!(
            "Invalid TableArn: Invalid ResourceArn provided as input {arn}"
        ))),
    }
}
