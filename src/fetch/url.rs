//! Addresses of upstreams: checked once, compared by origin, joined with a `Location`, shown without secrets.

use std::fmt;

use ureq::http::Uri;

/// A shorter value of a query is no key, but a word such as `json`.
const KEY_LEAST_BYTES: usize = 8;

/// An absolute http(s) address with a host and without user name or password.
#[derive(Clone, PartialEq, Eq)]
pub struct Url(Uri);

/// Why a text is no address for us. `Display` is the sentence for the configuration error.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BadUrl {
    /// `host/path` without `https://`.
    NoScheme,
    /// A scheme other than http and https.
    OtherScheme,
    /// `https://` and no host.
    NoHost,
    /// `https://user:password@host`.
    UserInfo,
    /// Anything else that is no address.
    Malformed,
}

impl fmt::Display for BadUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            BadUrl::NoScheme => "has no scheme",
            BadUrl::OtherScheme => "is neither http nor https",
            BadUrl::NoHost => "has no host",
            BadUrl::UserInfo => "holds a user name or password",
            BadUrl::Malformed => "is no URL",
        })
    }
}

impl Url {
    /// Checks an address. A fragment is dropped, since it is never sent.
    ///
    /// # Errors
    /// [`BadUrl`], for the person who wrote the address.
    pub fn parse(text: &str) -> Result<Url, BadUrl> {
        let text = text.split('#').next().unwrap_or(text);
        match text.split_once("://") {
            None => return Err(BadUrl::NoScheme),
            Some((scheme, _))
                if !["http", "https"].contains(&scheme.to_ascii_lowercase().as_str()) =>
            {
                return Err(BadUrl::OtherScheme);
            }
            Some((_, rest)) if rest.is_empty() || rest.starts_with(['/', '?', ':']) => {
                return Err(BadUrl::NoHost);
            }
            Some((_, rest))
                if rest
                    .split(['/', '?'])
                    .next()
                    .is_some_and(|host| host.contains('@')) =>
            {
                return Err(BadUrl::UserInfo);
            }
            Some(_) => {}
        }
        let uri: Uri = text.parse().map_err(|_| BadUrl::Malformed)?;
        match uri.authority() {
            // `port_u16` is also none for a port that is no number up to 65535.
            Some(authority)
                if authority.as_str().matches(':').count() == 1
                    && authority.port_u16().is_none() =>
            {
                Err(BadUrl::Malformed)
            }
            Some(authority) if !authority.host().is_empty() => Ok(Url(uri)),
            _ => Err(BadUrl::NoHost),
        }
    }

    /// Whether the address is https.
    pub fn is_https(&self) -> bool {
        self.0.scheme_str() == Some("https")
    }

    /// The host, without port, an IPv6 address without brackets.
    pub fn host(&self) -> &str {
        self.0
            .host()
            .unwrap_or_default()
            .trim_start_matches('[')
            .trim_end_matches(']')
    }

    /// The path, `/` at least.
    pub fn path(&self) -> &str {
        self.0.path()
    }

    /// Whether a query follows the path.
    pub fn has_query(&self) -> bool {
        self.0.query().is_some()
    }

    /// What stands in the query behind its names and is long enough to be a key.
    pub(super) fn query_values(&self) -> impl Iterator<Item = &str> {
        let pairs = self.0.query().unwrap_or_default().split('&');
        let values = pairs.map(|pair| pair.split_once('=').map_or(pair, |(_, value)| value));
        values.filter(|value| value.len() >= KEY_LEAST_BYTES)
    }

    /// Scheme, host and port: what two addresses share that lie on the same server.
    pub fn origin(&self) -> (&str, String, u16) {
        let port = self
            .0
            .port_u16()
            .unwrap_or(if self.is_https() { 443 } else { 80 });
        (
            self.0.scheme_str().unwrap_or_default(),
            self.host().to_ascii_lowercase(),
            port,
        )
    }

    /// The address for a request.
    pub(crate) fn uri(&self) -> &Uri {
        &self.0
    }

    /// The address that a `Location` header means, seen from this one (RFC 3986, section 5.2).
    ///
    /// # Errors
    /// [`BadUrl`] when it leads nowhere we could go.
    pub fn join(&self, location: &str) -> Result<Url, BadUrl> {
        let scheme = self.0.scheme_str().unwrap_or("https");
        let authority = self
            .0
            .authority()
            .map(ureq::http::uri::Authority::as_str)
            .unwrap_or_default();
        let path = self.0.path();
        if has_scheme(location) {
            Url::parse(location)
        } else if location.starts_with("//") {
            Url::parse(&format!("{scheme}:{location}"))
        } else if location.starts_with('/') {
            Url::parse(&format!("{scheme}://{authority}{location}"))
        } else if location.starts_with('?') {
            Url::parse(&format!("{scheme}://{authority}{path}{location}"))
        } else {
            let folder = path.rsplit_once('/').map_or("", |(folder, _)| folder);
            Url::parse(&format!(
                "{scheme}://{authority}{}",
                without_dots(&format!("{folder}/{location}"))
            ))
        }
    }
}

/// Whether a reference begins with `scheme:`.
fn has_scheme(reference: &str) -> bool {
    reference.split_once(':').is_some_and(|(scheme, _)| {
        scheme.starts_with(|first: char| first.is_ascii_alphabetic())
            && scheme
                .chars()
                .all(|other| other.is_ascii_alphanumeric() || "+-.".contains(other))
    })
}

/// A path with its `.` and `..` segments carried out; a query is left as it is.
fn without_dots(path: &str) -> String {
    let (path, query) = path
        .split_once('?')
        .map_or((path, None), |(path, query)| (path, Some(query)));
    let mut kept: Vec<&str> = Vec::new();
    for segment in path.split('/').skip(1) {
        match segment {
            "." => {}
            ".." => drop(kept.pop()),
            other => kept.push(other),
        }
    }
    let query = query.map(|query| format!("?{query}")).unwrap_or_default();
    format!("/{}{query}", kept.join("/"))
}

/// Scheme, host, port and path. A query is not shown: it may hold a key.
impl fmt::Display for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let authority = self
            .0
            .authority()
            .map(ureq::http::uri::Authority::as_str)
            .unwrap_or_default();
        write!(
            f,
            "{}://{authority}{}",
            self.0.scheme_str().unwrap_or_default(),
            self.0.path()
        )
    }
}

impl fmt::Debug for Url {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Url({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Result<&str, BadUrl>) {
        assert_eq!(
            Url::parse(text).map(|url| url.to_string()),
            expected.map(str::to_owned),
            "{text:?}"
        );
    }

    #[test]
    fn an_address_is_absolute_and_http() {
        check(
            "https://status.example.com",
            Ok("https://status.example.com/"),
        );
        check("HTTP://h:8080/a?key=secret#part", Ok("http://h:8080/a"));
        check("https://[::1]:9/x", Ok("https://[::1]:9/x"));
        check("githubstatus.com", Err(BadUrl::NoScheme));
        check("ftp://host/", Err(BadUrl::OtherScheme));
        check("https:///path", Err(BadUrl::NoHost));
        check("https://", Err(BadUrl::NoHost));
        check("https://user:pw@host/", Err(BadUrl::UserInfo));
        check("https://ho st/", Err(BadUrl::Malformed));
        check("https://host:99999/", Err(BadUrl::Malformed));
        check("", Err(BadUrl::NoScheme));
    }

    fn check_join(location: &str, expected: &str) {
        let base = Url::parse("https://a.example/api/v2/summary.json?x=1").expect("valid");
        assert_eq!(
            base.join(location).map(|url| url.uri().to_string()),
            Ok(expected.to_owned()),
            "{location:?}"
        );
    }

    #[test]
    fn a_location_may_be_relative_in_every_way() {
        check_join("http://b.example/x", "http://b.example/x");
        check_join("//b.example/x", "https://b.example/x");
        check_join("/x?y=1", "https://a.example/x?y=1");
        check_join("?y=1", "https://a.example/api/v2/summary.json?y=1");
        check_join("other.json", "https://a.example/api/v2/other.json");
        check_join(
            "../v1/./s.json?q=../x",
            "https://a.example/api/v1/s.json?q=../x",
        );
    }
}
