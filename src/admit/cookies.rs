//! Server cookies (RFC 7873, RFC 9018): what proves to this server that a client hears what is sent
//! to its address.
//!
//! They are made and given to every client that sends a cookie of its own, and they are asked of
//! nobody: a query with a wrong one, or none, is answered like any other. Nothing is kept per client;
//! a cookie is a keyed hash of the client's cookie, its address and the time. Time comes in as an
//! argument.

use std::net::IpAddr;

use siphasher::sip::SipHasher24;

use crate::config::CookieSecret;

/// The version of RFC 9018, 4.1, and the three bytes reserved behind it.
const VERSION: [u8; 4] = [1, 0, 0, 0];
/// A cookie is believed for so many seconds (RFC 9018, 4.3: one hour).
const LIFE: i32 = 3600;
/// So far ahead another server's clock may be, in seconds (RFC 9018, 4.3: five minutes).
const AHEAD: i32 = 300;

/// Makes and knows cookies.
pub struct Cookies(SipHasher24);

impl Cookies {
    /// With the secret of the configuration, or one drawn at random.
    pub fn new(secret: Option<&CookieSecret>) -> Cookies {
        let drawn: [u8; 16];
        let key = match secret {
            Some(secret) => secret.bytes(),
            None => {
                drawn = rand::random();
                &drawn
            }
        };
        Cookies(SipHasher24::new_with_key(key))
    }

    /// The data of the COOKIE option that answers a client's: its own eight bytes and a cookie made at
    /// `now`, in seconds since 1970 modulo 2^32. A new one each time, which RFC 9018, 4.3, allows and
    /// which costs less than a look at the old. `asked` has 8 bytes at least, else nothing is made.
    pub fn answer(&self, asked: &[u8], client: IpAddr, now: u32) -> Option<[u8; 24]> {
        let mut cookie = [0; 24];
        cookie[..8].copy_from_slice(asked.get(..8)?);
        cookie[8..12].copy_from_slice(&VERSION);
        cookie[12..16].copy_from_slice(&now.to_be_bytes());
        let hash = self.hash(&cookie[..16], client);
        cookie[16..].copy_from_slice(&hash);
        Some(cookie)
    }

    /// Whether a client's COOKIE option ends with a cookie that this server, or another with its
    /// secret, made for it: within the last hour, or not more than five minutes ahead.
    pub fn knows(&self, asked: &[u8], client: IpAddr, now: u32) -> bool {
        let Some(asked) = asked.first_chunk::<24>().filter(|_| asked.len() == 24) else {
            return false;
        };
        let [.., t0, t1, t2, t3] = asked[..16] else { return false };
        // Serial number arithmetic (RFC 1982): right beyond 2106 too.
        let age = now.wrapping_sub(u32::from_be_bytes([t0, t1, t2, t3])) as i32;
        // The reserved bytes are hashed as they came and need not be zero (RFC 9018, 4.2).
        let made = self.hash(&asked[..16], client);
        // All bytes are compared, so that the time it takes tells nothing of the right ones.
        let differs = made.iter().zip(&asked[16..]).fold(0, |all, (a, b)| all | (a ^ b));
        asked[8] == VERSION[0] && (-AHEAD..=LIFE).contains(&age) && differs == 0
    }

    /// SipHash-2-4 of client cookie, version, reserved bytes, time and address (RFC 9018, 4.4).
    fn hash(&self, front: &[u8], client: IpAddr) -> [u8; 8] {
        let mut bytes = [0u8; 32];
        bytes[..16].copy_from_slice(front);
        let len = match client.to_canonical() {
            IpAddr::V4(v4) => {
                bytes[16..20].copy_from_slice(&v4.octets());
                20
            }
            IpAddr::V6(v6) => {
                bytes[16..].copy_from_slice(&v6.octets());
                32
            }
        };
        self.0.hash(&bytes[..len]).to_le_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<u8> =
            text.chars().map(|c| u8::try_from(c.to_digit(16).unwrap()).unwrap()).collect();
        digits.chunks(2).map(|pair| pair[0] << 4 | pair[1]).collect()
    }

    fn cookies(secret: &str) -> Cookies {
        Cookies::new(Some(&secret.parse().unwrap()))
    }

    const SECRET: &str = "e5e973e5a6b2a43f48e7dc849e37bfcf";
    const FIRST: &str = "2464c4abcf10c957010000005cf79f111f8130c3eee29480";

    #[test]
    fn the_examples_of_rfc_9018_appendix_a() {
        for (secret, client, at, cookie) in [
            (SECRET, "198.51.100.100", 1_559_731_985, FIRST),
            (
                SECRET,
                "198.51.100.100",
                1_559_734_385,
                "2464c4abcf10c957010000005cf7a871d4a564a1442aca77",
            ),
            (
                SECRET,
                "203.0.113.203",
                1_559_734_700,
                "fc93fc62807ddb86010000005cf7a9acf73a7810aca2381e",
            ),
            (
                "dd3bdf9344b678b185a6f5cb60fca715",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                1_559_741_817,
                "22681ab97d52c298010000005cf7c57926556bd0934c72f8",
            ),
            (
                "445536bcd2513298075a5d379663c962",
                "2001:db8:220:1:59de:d0f4:8769:82b8",
                1_559_741_961,
                "22681ab97d52c298010000005cf7c609a6bb79d16625507a",
            ),
        ] {
            let (cookies, client, cookie) = (cookies(secret), client.parse().unwrap(), hex(cookie));
            let made = cookies.answer(&cookie[..8], client, at).unwrap();
            assert_eq!(made[..], cookie, "{client}");
            assert!(cookies.knows(&cookie, client, at));
        }
        // A.3: reserved bytes that are not zero.
        let odd = hex("fc93fc62807ddb8601abcdef5cf78f71a314227b6679ebf5");
        let client = "203.0.113.203".parse().unwrap();
        assert!(cookies(SECRET).knows(&odd, client, 0x5cf7_8f71));
    }

    #[test]
    fn only_its_own_and_only_for_an_hour() {
        let (cookies, client) = (cookies(SECRET), "198.51.100.100".parse().unwrap());
        let (cookie, made) = (hex(FIRST), 0x5cf7_9f11u32);
        for (now, known) in [
            (made, true),
            (made + 3600, true),
            (made + 3601, false),
            (made - 300, true),
            (made - 301, false),
            (made.wrapping_add(1 << 31), false),
        ] {
            assert_eq!(cookies.knows(&cookie, client, now), known, "{now}");
        }
        for at in 0..24 {
            let mut forged = cookie.clone();
            forged[at] ^= 1;
            assert!(!cookies.knows(&forged, client, made), "byte {at}");
        }
        assert!(!cookies.knows(&cookie, "198.51.100.101".parse().unwrap(), made));
        assert!(cookies.knows(&cookie, "::ffff:198.51.100.100".parse().unwrap(), made));
        assert!(!Cookies::new(None).knows(&cookie, client, made));
        assert!(!cookies.knows(&[&cookie[..], b"x"].concat(), client, made));
        assert!(!cookies.knows(&cookie[..8], client, made));
    }

    #[test]
    fn time_goes_round() {
        let (cookies, client) = (cookies(SECRET), "::1".parse().unwrap());
        let cookie = cookies.answer(&[9; 8], client, u32::MAX - 10).unwrap();
        assert!(cookies.knows(&cookie, client, 20));
        assert!(!cookies.knows(&cookie, client, 4000));
    }

    #[test]
    fn without_a_secret_one_is_drawn() {
        let client = "127.0.0.1".parse().unwrap();
        let made = [(); 2].map(|()| Cookies::new(None).answer(&[1; 8], client, 7));
        assert_ne!(made[0], made[1]);
    }
}
