//! Whom limits count as one: an IPv4 host, or an IPv6 network of one customer.

use std::net::{IpAddr, Ipv6Addr};

/// The unit that limits apply to.
#[must_use]
pub fn host_of(address: IpAddr) -> IpAddr {
    match address {
        IpAddr::V4(_) => address,
        IpAddr::V6(v6) => match v6.to_ipv4_mapped() {
            Some(v4) => IpAddr::V4(v4),
            None => {
                let [a, b, c, d, ..] = v6.segments();
                IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0))
            }
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_ipv6_64_is_one_address_and_a_mapped_ipv4_is_itself() {
        let ip = |text: &str| text.parse::<IpAddr>().unwrap();
        assert_eq!(host_of(ip("2001:db8:1:2:3:4:5:6")), host_of(ip("2001:db8:1:2:ffff::1")));
        assert_ne!(host_of(ip("2001:db8:1:2::1")), host_of(ip("2001:db8:1:3::1")));
        assert_eq!(host_of(ip("::ffff:10.1.2.3")), ip("10.1.2.3"));
    }
}
