//! Which proxy a request goes through: `HTTPS_PROXY`, `HTTP_PROXY`, `ALL_PROXY`, and `NO_PROXY`.
//!
//! The variables are read in [`crate::config`]; the tunnel itself is ureq's.

use std::net::IpAddr;

use super::url::Url;

/// The proxies of the environment. `Debug` shows no user name and no password.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    https: Option<ureq::Proxy>,
    http: Option<ureq::Proxy>,
    no_proxy: Vec<Exception>,
}

/// One entry of `NO_PROXY`.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Exception {
    /// `*`
    Everything,
    /// `example.com` or `.example.com`, with an optional port: the host and all below it.
    Domain(String, Option<u16>),
    /// `10.0.0.0/8`, or a single address.
    Network(IpAddr, u8),
}

/// The value is no proxy that we could use. It is not shown, since it may hold a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct BadProxy;

impl Proxies {
    /// Reads the values of the variables; `all` stands in for each of the first two.
    ///
    /// # Errors
    /// The position (0 https, 1 http, 2 all) of the first value that is no address of an HTTP proxy.
    pub fn new(
        https: Option<&str>,
        http: Option<&str>,
        all: Option<&str>,
        no_proxy: &str,
    ) -> Result<Proxies, usize> {
        let all = all
            .map(parse_proxy)
            .transpose()
            .map_err(|BadProxy| 2usize)?;
        Ok(Proxies {
            https: https
                .map(parse_proxy)
                .transpose()
                .map_err(|BadProxy| 0usize)?
                .or_else(|| all.clone()),
            http: http
                .map(parse_proxy)
                .transpose()
                .map_err(|BadProxy| 1usize)?
                .or(all),
            no_proxy: no_proxy
                .split([',', ' '])
                .map(str::trim)
                .filter_map(Exception::parse)
                .collect(),
        })
    }

    /// The passwords, alone and as they are sent: `user:password`.
    pub(super) fn secrets(&self) -> impl Iterator<Item = String> + '_ {
        let proxies = self.https.iter().chain(&self.http);
        let passwords = proxies.filter_map(|proxy| Some((proxy.username(), proxy.password()?)));
        passwords.flat_map(|(user, password)| {
            let pair = format!("{}:{password}", user.unwrap_or_default());
            [password.to_owned(), pair]
        })
    }

    /// The proxy for a request to `url`, if any.
    pub fn choose(&self, url: &Url) -> Option<&ureq::Proxy> {
        let proxy = if url.is_https() {
            &self.https
        } else {
            &self.http
        };
        proxy
            .as_ref()
            .filter(|_| !self.no_proxy.iter().any(|exception| exception.covers(url)))
    }
}

fn parse_proxy(value: &str) -> Result<ureq::Proxy, BadProxy> {
    let proxy = ureq::Proxy::new(value.trim()).map_err(|_| BadProxy)?;
    match proxy.protocol() {
        ureq::ProxyProtocol::Http | ureq::ProxyProtocol::Https => Ok(proxy),
        // SOCKS would need a feature of ureq that we leave out.
        _ => Err(BadProxy),
    }
}

impl Exception {
    fn parse(entry: &str) -> Option<Exception> {
        if entry.is_empty() {
            return None;
        }
        if entry == "*" {
            return Some(Exception::Everything);
        }
        if let Some((address, length)) = entry.split_once('/') {
            return Some(Exception::Network(
                address.parse().ok()?,
                length.parse().ok()?,
            ));
        }
        if let Ok(address) = entry.trim_matches(['[', ']']).parse::<IpAddr>() {
            return Some(Exception::Network(
                address,
                if address.is_ipv4() { 32 } else { 128 },
            ));
        }
        let (domain, port) = match entry.rsplit_once(':') {
            Some((domain, port)) => (domain, Some(port.parse().ok()?)),
            None => (entry, None),
        };
        let domain = domain
            .trim_start_matches('*')
            .trim_start_matches('.')
            .to_ascii_lowercase();
        Some(Exception::Domain(domain, port))
    }

    fn covers(&self, url: &Url) -> bool {
        let (_, host, port) = url.origin();
        match self {
            Exception::Everything => true,
            Exception::Domain(domain, only_port) => {
                let below = host
                    .strip_suffix(domain.as_str())
                    .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'));
                below && only_port.is_none_or(|only| only == port)
            }
            Exception::Network(network, length) => host
                .parse()
                .is_ok_and(|address: IpAddr| shares_prefix(address, *network, *length)),
        }
    }
}

fn shares_prefix(address: IpAddr, network: IpAddr, length: u8) -> bool {
    let (address, network, width) = match (address, network) {
        (IpAddr::V4(address), IpAddr::V4(network)) => (
            u128::from(address.to_bits()),
            u128::from(network.to_bits()),
            32,
        ),
        (IpAddr::V6(address), IpAddr::V6(network)) => (address.to_bits(), network.to_bits(), 128),
        _ => return false,
    };
    let ignored = u32::from(width - length.min(width));
    address.checked_shr(ignored).unwrap_or(0) == network.checked_shr(ignored).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(no_proxy: &str, url: &str, proxied: bool) {
        let proxies = Proxies::new(Some("http://s:3128"), Some("h:3128"), None, no_proxy)
            .expect("valid proxies");
        let url = Url::parse(url).expect("valid url");
        assert_eq!(
            proxies.choose(&url).is_some(),
            proxied,
            "{no_proxy:?} {url}"
        );
    }

    #[test]
    fn the_scheme_of_the_url_chooses_the_proxy() {
        let proxies = Proxies::new(Some("http://s:1"), None, None, "").expect("valid");
        assert!(
            proxies
                .choose(&Url::parse("https://a/").expect("valid"))
                .is_some()
        );
        assert!(
            proxies
                .choose(&Url::parse("http://a/").expect("valid"))
                .is_none()
        );
        let proxies = Proxies::new(None, None, Some("all:1"), "").expect("valid");
        assert!(
            proxies
                .choose(&Url::parse("http://a/").expect("valid"))
                .is_some()
        );
    }

    #[test]
    fn no_proxy_knows_hosts_domains_ports_addresses_and_networks() {
        check("", "https://a.example/", true);
        check("*", "https://a.example/", false);
        check("a.example", "https://a.example/", false);
        check("example", "https://a.example/", false);
        check(".example, other", "https://a.example/", false);
        check("ple", "https://a.example/", true);
        check("a.example:8080", "https://a.example/", true);
        check("a.example:443", "https://a.example/", false);
        check("127.0.0.1", "http://127.0.0.1:80/", false);
        check("10.0.0.0/8", "http://10.1.2.3/", false);
        check("10.0.0.0/8", "http://11.1.2.3/", true);
        check("0.0.0.0/0", "http://11.1.2.3/", false);
        check("::1", "http://[::1]/", false);
        check("fd00::/8", "http://[fd12::1]/", false);
    }

    #[test]
    fn a_proxy_that_we_cannot_use_is_named_by_its_place() {
        assert_eq!(
            Proxies::new(Some("socks5://x:1"), None, None, "").err(),
            Some(0)
        );
        assert_eq!(Proxies::new(None, Some("ht tp"), None, "").err(), Some(1));
    }
}
