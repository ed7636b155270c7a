//! Which network a connection comes from, also from behind proxies.

use axum::http::HeaderMap;
use core::fmt;
use ipnet::{IpNet, Ipv6Net};
use std::net::{IpAddr, Ipv6Addr, SocketAddr};

/// Bits of an IPv6 address that are one customer's: what providers are told to give a home (RIPE-690
/// §4.2). A /64 would be one of 256 that such a home may come from, and a /48 a whole street with others.
const IPV6_BITS: u8 = 56;
/// Entries of `X-Forwarded-For` that are looked at: a longer chain of proxies of one's own is a loop.
const HOPS_MAX: usize = 16;
/// Where proxies say whom they speak for.
const FORWARDED_FOR: &str = "x-forwarded-for";

/// What is taken for one customer's network: an IPv4 address, since a home or a company has one of them
/// (a /24 would be 256 strangers), and a /56 of IPv6.
#[derive(Copy, Clone, PartialEq, Eq, Hash, Debug)]
pub(super) struct Network(IpAddr);

impl Network {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            v4 @ IpAddr::V4(_) => Self(v4),
            // A prefix of 56 bits is one.
            IpAddr::V6(v6) => Self(
                Ipv6Net::new(v6, IPV6_BITS)
                    .map_or(Ipv6Addr::UNSPECIFIED, |net| net.network())
                    .into(),
            ),
        }
    }
}

impl fmt::Display for Network {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            IpAddr::V4(v4) => v4.fmt(f),
            IpAddr::V6(v6) => write!(f, "{v6}/{IPV6_BITS}"),
        }
    }
}

/// The proxies whose word is taken for where a request comes from.
#[derive(Debug)]
pub(super) struct Proxies(Vec<IpNet>);

impl Proxies {
    pub(super) fn new(trusted: &[IpNet]) -> Self {
        Self(trusted.to_vec())
    }

    /// Where a request comes from that came by a socket of `socket`: what the last proxy that is trusted
    /// says. Each appends whom it heard it from, so what a client has written itself comes before that and
    /// is not looked at. `None` for this machine.
    pub(super) fn origin(&self, socket: IpAddr, head: &HeaderMap) -> Option<IpAddr> {
        let mut origin = socket.to_canonical();
        let lines = head.get_all(FORWARDED_FOR).iter().rev();
        let entries = lines.flat_map(|line| line.to_str().unwrap_or_default().rsplit(','));
        for entry in entries.take(HOPS_MAX) {
            if !self.0.iter().any(|net| net.contains(&origin)) {
                break;
            }
            // A proxy that writes something else ("unknown") is itself the last that is known.
            let Some(before) = address(entry.trim()) else { break };
            origin = before;
        }
        (!origin.is_loopback()).then_some(origin)
    }
}

/// An address as proxies write it, some with a port.
fn address(text: &str) -> Option<IpAddr> {
    let bare = text.strip_prefix('[').and_then(|text| text.strip_suffix(']')).unwrap_or(text);
    let address = bare.parse().or_else(|_| text.parse().map(|with: SocketAddr| with.ip()));
    address.ok().map(|address: IpAddr| address.to_canonical())
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_network_is_what_one_customer_has() {
        let same = |a, b| Network::of(ip(a)) == Network::of(ip(b));
        assert!(!same("203.0.113.1", "203.0.113.2"));
        assert!(same("203.0.113.1", "::ffff:203.0.113.1"));
        assert!(same("2001:db8:1:200::1", "2001:db8:1:2ff:ffff::9"));
        assert!(!same("2001:db8:1:200::1", "2001:db8:1:300::1"));
        assert_eq!(Network::of(ip("2001:db8:1:2ff::9")).to_string(), "2001:db8:1:200::/56");
        assert_eq!(Network::of(ip("::ffff:203.0.113.1")).to_string(), "203.0.113.1");
    }

    fn origin(proxies: &[&str], socket: &str, lines: &[&str]) -> Option<String> {
        let proxies: Vec<IpNet> = proxies.iter().map(|net| net.parse().unwrap()).collect();
        let mut head = HeaderMap::new();
        for line in lines {
            head.append(FORWARDED_FOR, line.parse().unwrap());
        }
        Proxies::new(&proxies).origin(ip(socket), &head).map(|origin| origin.to_string())
    }

    #[test]
    fn only_proxies_that_are_named_are_believed() {
        let some = |text: &str| Some(text.to_owned());
        let (ours, local) = (["10.0.0.0/8", "::1/128"], ["127.0.0.1/32"]);
        assert_eq!(origin(&[], "198.51.100.7", &["203.0.113.1"]), some("198.51.100.7"));
        assert_eq!(origin(&ours, "198.51.100.7", &["203.0.113.1"]), some("198.51.100.7"));
        assert_eq!(origin(&ours, "10.1.2.3", &["203.0.113.1"]), some("203.0.113.1"));
        assert_eq!(origin(&ours, "::ffff:10.1.2.3", &["203.0.113.1"]), some("203.0.113.1"));
        // What the client wrote itself comes first.
        let forged = ["192.0.2.9, 203.0.113.1, 10.9.9.9"];
        assert_eq!(origin(&ours, "10.1.2.3", &forged), some("203.0.113.1"));
        let lines = ["192.0.2.9", "203.0.113.1,10.9.9.9"];
        assert_eq!(origin(&ours, "10.1.2.3", &lines), some("203.0.113.1"));
        assert_eq!(origin(&local, "127.0.0.1", &["[2001:db8::1]:443"]), some("2001:db8::1"));
        assert_eq!(origin(&local, "127.0.0.1", &["203.0.113.1:5000"]), some("203.0.113.1"));
        assert_eq!(origin(&ours, "10.1.2.3", &["203.0.113.1, unknown"]), some("10.1.2.3"));
        assert_eq!(origin(&ours, "10.1.2.3", &[]), some("10.1.2.3"));
    }

    #[test]
    fn this_machine_is_nobodys_network() {
        assert_eq!(origin(&[], "127.0.0.1", &["203.0.113.1"]), None);
        assert_eq!(origin(&["127.0.0.0/8"], "127.0.0.1", &[]), None);
        assert_eq!(origin(&[], "::ffff:127.0.0.1", &[]), None);
        let endless = vec!["10.0.0.1"; 1000].join(",");
        assert_eq!(origin(&["10.0.0.0/8"], "10.1.2.3", &[&endless]), Some("10.0.0.1".into()));
    }
}
