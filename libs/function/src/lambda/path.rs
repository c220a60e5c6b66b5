//! Paths and queries, percent-decoded.

use super::ApiError;

/// The parts of a path. Those of tags hold an ARN with its slashes and colons escaped; an unescaped one is put together.
pub fn segments(path: &str) -> Result<Vec<String>, ApiError> {
    let parts = path.trim_matches('/').split('/').map(decode).collect::<Option<Vec<_>>>();
    let mut parts = parts.ok_or_else(|| ApiError::invalid_parameter("Path is not valid UTF-8"))?;
    if parts.get(1).is_some_and(|part| part == "tags") && parts.len() > 3 {
        let arn = parts.split_off(2).join("/");
        parts.push(arn);
    }
    Ok(parts)
}

/// The values of a parameter, in order.
pub fn values(query: &str, name: &str) -> Vec<String> {
    let pairs = query.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let named = pairs.filter(|(key, _)| decode(key).as_deref() == Some(name));
    named.filter_map(|(_, value)| decode(&value.replace('+', " "))).collect()
}

pub fn value(query: &str, name: &str) -> Option<String> {
    values(query, name).into_iter().next()
}

fn decode(text: &str) -> Option<String> {
    let mut bytes = text.bytes();
    let mut decoded = Vec::with_capacity(text.len());
    while let Some(byte) = bytes.next() {
        if byte != b'%' {
            decoded.push(byte);
            continue;
        }
        let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
        let (high, low) = (digit(bytes.next()?)?, digit(bytes.next()?)?);
        decoded.push(high * 16 + low);
    }
    String::from_utf8(decoded).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn escapes_are_undone_and_arns_of_tags_stay_whole() {
        let arn = "arn:aws:lambda:eu-west-1:000000000000:function:f";
        let parts = segments("/2017-03-31/tags/arn%3Aaws%3Alambda%3Aeu-west-1%3A000000000000%3Afunction%3Af");
        assert_eq!(parts.unwrap(), ["2017-03-31", "tags", arn]);
        assert!(segments("/a/%f").is_err() && segments("/a/%ff").is_err());
        assert_eq!(values("tagKeys=a%20b&x=1&tagKeys=c+d", "tagKeys"), ["a b", "c d"]);
        assert_eq!(value("MaxItems=5", "Marker"), None);
    }
}
