//! Networks, and who is behind the proxies of one's own.

use crate::Problem;
use axum::Router;
use axum::extract::{ConnectInfo, MatchedPath, Request};
use axum::http::{Extensions, HeaderMap, StatusCode};
use axum::middleware::{self, Next};
use axum::response::IntoResponse;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;
use std::sync::Arc;

/// A network in CIDR notation: `10.0.0.0/8`, `fd00::/8`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Network {
    /// In IPv6; addresses of IPv4 are mapped (RFC 4291 section 2.5.5.2).
    address: Ipv6Addr,
    length: u32,
}

/// The text is not a network.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("not a network such as 10.0.0.0/8 or fd00::/8")]
pub struct NetworkError;

const IPV6_BITS: u32 = 128;
/// How many bits stand before an IPv4 address that is mapped.
const MAPPED_BITS: u32 = 96;

impl Network {
    /// Whether every address is in it, or every one of IPv4.
    pub fn is_everybody(&self) -> bool {
        self.contains(Ipv4Addr::UNSPECIFIED.into()) && self.contains(Ipv4Addr::BROADCAST.into())
    }

    /// Whether an address is in it.
    pub fn contains(&self, address: IpAddr) -> bool {
        let differing = mapped(address).to_bits() ^ self.address.to_bits();
        differing.leading_zeros() >= self.length
    }
}

impl FromStr for Network {
    type Err = NetworkError;

    fn from_str(text: &str) -> Result<Self, NetworkError> {
        let (address, length) = text.split_once('/').ok_or(NetworkError)?;
        let address: IpAddr = address.parse().map_err(|_| NetworkError)?;
        let length: u32 = length.parse().map_err(|_| NetworkError)?;
        let before = if address.is_ipv4() { MAPPED_BITS } else { 0 };
        let length = length.checked_add(before).filter(|length| *length <= IPV6_BITS);
        Ok(Self { address: mapped(address), length: length.ok_or(NetworkError)? })
    }
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped(),
        IpAddr::V6(address) => address,
    }
}

/// Where a request comes from: whoever connects, or the client behind trusted proxies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ClientAddress(pub IpAddr);

impl ClientAddress {
    /// The address of a request, if [`trust_proxies`] wraps its route.
    pub fn of(extensions: &Extensions) -> Option<Self> {
        extensions.get().copied()
    }

    /// What one customer has: the address, or of IPv6 the network of 64 bits.
    pub fn network(self) -> IpAddr {
        match self.0 {
            IpAddr::V4(_) => self.0,
            IpAddr::V6(address) => {
                Ipv6Addr::from_bits(address.to_bits() & (u128::MAX << 64)).into()
            }
        }
    }
}

/// Finds out the client's address on these routes. `X-Forwarded-For` is read from the right, as far as
/// it was written by one of `proxies`: whatever stands further left anybody may have made up.
pub fn trust_proxies(router: Router, proxies: Vec<Network>) -> Router {
    let proxies: Arc<[Network]> = proxies.into();
    router.layer(middleware::from_fn(move |mut request: Request, next: Next| {
        if let Some(peer) = peer(request.extensions()) {
            let client = client(peer, request.headers(), &proxies);
            request.extensions_mut().insert(ClientAddress(client));
        }
        next.run(request)
    }))
}

/// Answers 403 on the routes that begin with `prefix`, as they were declared, unless the client's address
/// is in one of `networks`. [`trust_proxies`] has to wrap the result.
pub fn restrict(router: Router, prefix: &'static str, networks: Vec<Network>) -> Router {
    let networks: Arc<[Network]> = networks.into();
    router.layer(middleware::from_fn(move |request: Request, next: Next| {
        let route = request.extensions().get::<MatchedPath>().map(MatchedPath::as_str);
        let is_restricted = route.is_some_and(|route| route.starts_with(prefix));
        let from = ClientAddress::of(request.extensions());
        let is_allowed = !is_restricted
            || from.is_some_and(|from| networks.iter().any(|network| network.contains(from.0)));
        async move {
            if is_allowed {
                return next.run(request).await;
            }
            let detail =
                "this is open to certain networks only, and your address is in none of them";
            Problem::new(StatusCode::FORBIDDEN, "address_not_allowed", detail).into_response()
        }
    }))
}

/// Whoever connects.
pub(crate) fn peer(extensions: &Extensions) -> Option<IpAddr> {
    extensions.get::<ConnectInfo<SocketAddr>>().map(|peer| peer.0.ip())
}

fn client(peer: IpAddr, headers: &HeaderMap, proxies: &[Network]) -> IpAddr {
    let is_proxy = |address| proxies.iter().any(|network| network.contains(address));
    let mut client = peer.to_canonical();
    let lines = headers.get_all("x-forwarded-for").iter().rev();
    // Hop by hop: what a client sent that is no text must not hide what the proxy wrote behind it.
    let hops = lines.flat_map(|line| line.as_bytes().rsplit(|byte| *byte == b','));
    for hop in hops {
        if !is_proxy(client) {
            break;
        }
        let Some(address) = address(hop) else { break };
        client = address;
    }
    client
}

/// An address as proxies write it, with or without a port.
fn address(hop: &[u8]) -> Option<IpAddr> {
    let text = str::from_utf8(hop).ok()?.trim();
    let plain = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')).unwrap_or(text);
    let address = plain.parse().ok();
    address.or_else(|| Some(text.parse::<SocketAddr>().ok()?.ip())).map(|one| one.to_canonical())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn networks_hold_what_they_say() {
        for (network, address, holds) in [
            ("10.0.0.0/8", "10.255.0.1", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.2.3", true),
            ("10.0.0.0/8", "fd00::1", false),
            ("0.0.0.0/0", "192.0.2.1", true),
            ("0.0.0.0/0", "2001:db8::1", false),
            ("192.0.2.7/32", "192.0.2.7", true),
            ("192.0.2.7/32", "192.0.2.6", false),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
            ("::/0", "192.0.2.1", true),
        ] {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(address.parse().unwrap()), holds, "{network:?} {address}");
        }
        for text in ["10.0.0.0", "10.0.0.0/33", "fd00::/129", "proxy/8", "", "/", "10.0.0.0/-1"] {
            assert_eq!(text.parse::<Network>(), Err(NetworkError), "{text}");
        }
    }

    #[test]
    fn only_what_a_proxy_of_ours_wrote_is_believed() {
        let proxies: Vec<Network> =
            ["10.0.0.0/8", "fd00::/8"].map(|text| text.parse().unwrap()).to_vec();
        for (peer, forwarded, expected) in [
            ("192.0.2.1", &["198.51.100.9"][..], "192.0.2.1"),
            ("10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["203.0.113.5, 198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["203.0.113.5, 198.51.100.9, 10.0.0.2"], "198.51.100.9"),
            ("10.0.0.1", &["203.0.113.5", "198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["198.51.100.9:4711"], "198.51.100.9"),
            ("10.0.0.1", &["[2001:db8::1]:4711"], "2001:db8::1"),
            ("10.0.0.1", &["[2001:db8::1]"], "2001:db8::1"),
            ("::ffff:10.0.0.1", &["198.51.100.9"], "198.51.100.9"),
            ("fd00::1", &["2001:db8::1"], "2001:db8::1"),
            ("10.0.0.1", &["198.51.100.9, unknown"], "10.0.0.1"),
            ("10.0.0.1", &["é, 198.51.100.9"], "198.51.100.9"),
            ("10.0.0.1", &["198.51.100.9, é"], "10.0.0.1"),
            ("10.0.0.1", &[""], "10.0.0.1"),
            ("10.0.0.1", &[], "10.0.0.1"),
            ("10.0.0.1", &["10.0.0.3"], "10.0.0.3"),
        ] {
            let mut headers = HeaderMap::new();
            for line in forwarded {
                headers.append("x-forwarded-for", line.parse().unwrap());
            }
            let found = client(peer.parse().unwrap(), &headers, &proxies);
            assert_eq!(found, expected.parse::<IpAddr>().unwrap(), "{peer} {forwarded:?}");
        }
    }
}
