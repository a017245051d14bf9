//! The secret of server cookies: read, compared and used, but never shown.

use std::fmt;
use std::str::FromStr;

/// 128 bits that a node, or all servers behind one address, make their cookies with.
#[derive(Clone, PartialEq, Eq)]
pub struct CookieSecret([u8; 16]);

/// The text is no secret; it is not repeated, lest a mistyped one is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("this is not 32 hexadecimal digits")]
pub struct BadSecret;

impl CookieSecret {
    /// The key itself.
    pub fn bytes(&self) -> &[u8; 16] {
        &self.0
    }
}

impl FromStr for CookieSecret {
    type Err = BadSecret;

    fn from_str(text: &str) -> Result<CookieSecret, BadSecret> {
        // Without this a sign would pass for a digit.
        if text.len() != 32 || !text.bytes().all(|digit| digit.is_ascii_hexdigit()) {
            return Err(BadSecret);
        }
        let value = u128::from_str_radix(text, 16).map_err(|_| BadSecret)?;
        Ok(CookieSecret(value.to_be_bytes()))
    }
}

impl fmt::Debug for CookieSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("CookieSecret(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_and_nothing_else() {
        let text = "00112233445566778899AABBccddeeff";
        let read = text.parse::<CookieSecret>().map(|secret| *secret.bytes());
        let bytes = [0, 17, 34, 51, 68, 85, 102, 119, 136, 153, 170, 187, 204, 221, 238, 255];
        assert_eq!(read, Ok(bytes));
        let signed = format!("+{}", &text[1..]);
        let long = format!("{text}0");
        for bad in ["", "0", &text[1..], &signed, &long, "0x112233445566778899aabbccddeeff"] {
            assert_eq!(bad.parse::<CookieSecret>(), Err(BadSecret), "{bad}");
        }
    }

    #[test]
    fn it_is_not_shown() {
        let secret = "00112233445566778899aabbccddeeff".parse::<CookieSecret>();
        assert_eq!(format!("{secret:?}"), "Ok(CookieSecret(..))");
    }
}
