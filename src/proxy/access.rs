//! Who may come in at a listener, by address (S8).

use std::net::IpAddr;
use std::sync::Arc;

use ipnet::IpNet;

/// A listener's lists of networks. An IPv4 client is one whatever socket it came by, so that networks of IPv4-mapped
/// addresses match nobody: they are to be written as IPv4.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Access {
    /// Who may come in; everybody, if it is empty.
    pub allow: Arc<[IpNet]>,
    /// Who may not, even if `allow` has them.
    pub deny: Arc<[IpNet]>,
}

impl Access {
    /// Whether this client may come in.
    pub(super) fn admits(&self, client: IpAddr) -> bool {
        // A dual-stack listener knows IPv4 clients by a mapped address.
        let client = client.to_canonical();
        let has_client = |networks: &[IpNet]| networks.iter().any(|network| network.contains(&client));
        (self.allow.is_empty() || has_client(&self.allow)) && !has_client(&self.deny)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn access(allow: &[&str], deny: &[&str]) -> Access {
        let networks = |texts: &[&str]| texts.iter().map(|text| text.parse().unwrap()).collect();
        Access { allow: networks(allow), deny: networks(deny) }
    }

    #[test]
    fn s8_deny_wins_and_an_empty_allow_is_everybody() {
        let (ten, one) = ("10.0.0.0/8", "10.0.0.1/32");
        for (allow, deny, of_ten, the_one, other) in [
            (&[][..], &[][..], true, true, true),
            (&[ten], &[], true, true, false),
            (&[], &[ten], false, false, true),
            (&[ten], &[one], true, false, false),
            (&[one], &[ten], false, false, false),
            (&[one, ten], &[one], true, false, false),
            (&["192.0.2.0/24", one], &[], false, true, false),
            (&[], &["192.0.2.0/24", one], true, false, true),
        ] {
            let access = access(allow, deny);
            let admitted =
                ["10.9.9.9", "10.0.0.1", "198.51.100.1"].map(|it| access.admits(it.parse().unwrap()));
            assert_eq!(admitted, [of_ten, the_one, other], "allow {allow:?} deny {deny:?}");
        }
    }

    #[test]
    fn s8_networks_end_where_they_end_in_either_family() {
        for (network, inside, outside) in [
            ("10.1.0.0/16", ["10.1.0.0", "10.1.255.255"], ["10.0.255.255", "10.2.0.0"]),
            ("192.0.2.7/32", ["192.0.2.7", "192.0.2.7"], ["192.0.2.6", "192.0.2.8"]),
            ("2001:db8::/33", ["2001:db8::", "2001:db8:7fff::"], ["2001:db7:ffff::", "2001:db8:8000::"]),
            ("::1/128", ["::1", "::1"], ["::", "::2"]),
        ] {
            let access = access(&[network], &[]);
            let admits = |client: &str| access.admits(client.parse().unwrap());
            assert!(inside.iter().all(|client| admits(client)), "{network}");
            assert!(!outside.iter().any(|client| admits(client)), "{network}");
        }
    }

    #[test]
    fn s8_an_ipv4_client_is_one_by_a_dual_stack_listener_too() {
        let mapped = "::ffff:10.0.0.1".parse().unwrap();
        assert!(access(&["10.0.0.0/8"], &[]).admits(mapped));
        assert!(!access(&[], &["10.0.0.0/8"]).admits(mapped));
        assert!(!access(&["::/0"], &[]).admits(mapped), "all of IPv6 is nothing of IPv4");
        assert!(access(&[], &["::/0"]).admits(mapped));
    }
}
