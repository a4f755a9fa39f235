//! Which connections a bound address takes, without IO.

use std::net::SocketAddr;

/// Whether a socket that is bound to `wide` takes every connection that one bound to `narrow` does. `[::]` takes those of
/// IPv4, too, as in [`bind`](super::bind).
pub fn covers(wide: SocketAddr, narrow: SocketAddr) -> bool {
    let (wide_ip, narrow_ip) = (wide.ip().to_canonical(), narrow.ip().to_canonical());
    let is_everywhere = wide_ip.is_unspecified() && (wide_ip.is_ipv6() || narrow_ip.is_ipv4());
    wide.port() == narrow.port() && (wide_ip == narrow_ip || is_everywhere)
}

/// Whether some connections are for either, so that one is in the other's way.
pub fn overlap(one: SocketAddr, other: SocketAddr) -> bool {
    covers(one, other) || covers(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn who_takes_all_takes_some() {
        let at = |text: &str| text.parse::<SocketAddr>().unwrap();
        for (one, other, covered, covers_back) in [
            ("[::]:443", "0.0.0.0:443", true, false),
            ("[::]:443", "10.0.0.1:443", true, false),
            ("[::]:443", "[::1]:443", true, false),
            ("0.0.0.0:443", "10.0.0.1:443", true, false),
            ("0.0.0.0:443", "[::ffff:10.0.0.1]:443", true, false),
            ("0.0.0.0:443", "[::1]:443", false, false),
            ("10.0.0.1:443", "[::ffff:10.0.0.1]:443", true, true),
            ("10.0.0.1:443", "10.0.0.2:443", false, false),
            ("[::]:443", "[::]:443", true, true),
            ("[::]:443", "[::]:444", false, false),
        ] {
            let (one, other) = (at(one), at(other));
            assert_eq!((covers(one, other), covers(other, one)), (covered, covers_back), "{one} {other}");
            assert_eq!(overlap(one, other), covered || covers_back, "{one} {other}");
        }
    }
}
