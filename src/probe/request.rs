//! From the configured request to one that can be sent, checked once at start.

use bytes::Bytes;
use http_body_util::Empty;
use hyper::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING, UPGRADE, USER_AGENT};
use hyper::header::{HeaderName, HeaderValue};
use hyper::http::uri::PathAndQuery;
use hyper::{HeaderMap, Method, Uri};

use super::settings::Request;

/// Who asks, unless the configuration says otherwise: for the nodes' access logs.
const AGENT: &str = concat!("raftgate/", env!("CARGO_PKG_VERSION"));

/// Headers that the program sets, since the connection depends on them.
const RESERVED: [HeaderName; 5] = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING, UPGRADE];

/// What is wrong with a configured request.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum RequestError {
    /// The method cannot be sent.
    #[error("probe.method is \"{0}\"; expected an HTTP method such as GET")]
    Method(String),
    /// The path cannot be sent.
    #[error("probe.path is \"{0}\"; expected a path that begins with \"/\", without spaces or \"#\"")]
    Path(String),
    /// The host cannot be sent.
    #[error("probe.host is \"{0}\"; expected a host name, with or without a port")]
    Host(String),
    /// A header's name cannot be sent.
    #[error("probe.headers has a header named \"{0}\", which is not a header name")]
    HeaderName(String),
    /// A header's value cannot be sent. The value is not repeated: it may be a secret.
    #[error("probe.headers has a value for \"{0}\" with control characters in it")]
    HeaderValue(String),
    /// A header that the program sets itself.
    #[error("probe.headers sets \"{0}\", which raftgate sets itself (for Host there is probe.host)")]
    Reserved(String),
}

pub(super) fn parse(request: &Request) -> Result<hyper::Request<Empty<Bytes>>, RequestError> {
    let mut parsed = hyper::Request::new(Empty::new());
    // Nodes are many, and by itself a map begins with room for six.
    *parsed.headers_mut() = HeaderMap::with_capacity(request.headers.len() + 2);
    *parsed.method_mut() = Method::from_bytes(request.method.as_bytes())
        .ok()
        .filter(|method| *method != Method::CONNECT)
        .ok_or_else(|| RequestError::Method(request.method.clone()))?;
    *parsed.uri_mut() = uri(&request.path).ok_or_else(|| RequestError::Path(request.path.clone()))?;
    let host = HeaderValue::from_str(&request.host).ok().filter(|host| !host.is_empty());
    parsed.headers_mut().insert(HOST, host.ok_or_else(|| RequestError::Host(request.host.clone()))?);
    for (name, value) in &request.headers {
        let (name, value) = header(name, value)?;
        parsed.headers_mut().append(name, value);
    }
    parsed.headers_mut().entry(USER_AGENT).or_insert(HeaderValue::from_static(AGENT));
    Ok(parsed)
}

fn uri(path: &str) -> Option<Uri> {
    // The parser would drop a fragment silently, and accept a path without its slash.
    if !path.starts_with('/') || path.contains('#') {
        return None;
    }
    path.parse::<PathAndQuery>().ok().map(Uri::from)
}

fn header(name: &str, value: &str) -> Result<(HeaderName, HeaderValue), RequestError> {
    let parsed =
        HeaderName::from_bytes(name.as_bytes()).map_err(|_| RequestError::HeaderName(name.to_owned()))?;
    if RESERVED.contains(&parsed) {
        return Err(RequestError::Reserved(name.to_owned()));
    }
    let mut value = HeaderValue::from_str(value).map_err(|_| RequestError::HeaderValue(name.to_owned()))?;
    // It may be a token: not for logs.
    value.set_sensitive(true);
    Ok((parsed, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request() -> Request {
        Request { method: "GET".into(), path: "/a?b=c".into(), host: "n1:1280".into(), headers: Vec::new() }
    }

    fn with_header(name: &str, value: &str) -> Request {
        Request { headers: vec![(name.into(), value.into())], ..request() }
    }

    #[test]
    fn what_is_configured_is_what_is_sent() {
        let parsed = parse(&with_header("X-Token", "secret")).unwrap();
        assert_eq!((parsed.method().as_str(), parsed.uri().to_string()), ("GET", "/a?b=c".to_owned()));
        assert_eq!(parsed.headers()[HOST], "n1:1280");
        assert_eq!(parsed.headers()["x-token"], "secret");
        assert!(!format!("{parsed:?}").contains("secret"));
        assert_eq!(parsed.headers()[USER_AGENT], AGENT);
        assert_eq!(parse(&with_header("User-Agent", "me")).unwrap().headers()[USER_AGENT], "me");
    }

    #[test]
    fn what_cannot_be_sent_is_known_at_start() {
        use RequestError as E;
        let cases = [
            (Request { method: "GE T".into(), ..request() }, E::Method("GE T".into())),
            (Request { method: "CONNECT".into(), ..request() }, E::Method("CONNECT".into())),
            (Request { path: "health".into(), ..request() }, E::Path("health".into())),
            (Request { path: "/a b".into(), ..request() }, E::Path("/a b".into())),
            (Request { path: "/a#b".into(), ..request() }, E::Path("/a#b".into())),
            (Request { path: String::new(), ..request() }, E::Path(String::new())),
            (Request { host: String::new(), ..request() }, E::Host(String::new())),
            (Request { host: "a\nb".into(), ..request() }, E::Host("a\nb".into())),
            (with_header("a b", "c"), E::HeaderName("a b".into())),
            (with_header("a", "b\r\nc"), E::HeaderValue("a".into())),
            (with_header("host", "c"), E::Reserved("host".into())),
            (with_header("Connection", "close"), E::Reserved("Connection".into())),
        ];
        for (request, error) in cases {
            assert_eq!(parse(&request).unwrap_err(), error);
        }
    }
}
