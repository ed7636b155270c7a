//! Leave to join, which whoever runs a server gives to whom it likes. What is in it is the server's business:
//! here it is text.

use core::fmt;
use core::str::FromStr;
use serde::{Deserialize, Serialize};

/// Characters of a [`Token`] at most; `beacon-signal token` makes some 300.
pub const TOKEN_CHARS_MAX: usize = 2048;

/// A join token, such as `v4.public.…`. It is worth nothing without the key of the peer that it names.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Token(String);

/// What cannot be a token.
#[derive(Copy, Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "a join token is up to {TOKEN_CHARS_MAX} letters, digits, dots, - and _, as in v4.public.…: copy the whole of it and nothing else"
)]
pub struct TokenError;

impl Token {
    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromStr for Token {
    type Err = TokenError;

    fn from_str(text: &str) -> Result<Self, TokenError> {
        let fits = (1..=TOKEN_CHARS_MAX).contains(&text.len());
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b".-_".contains(&byte);
        (fits && text.bytes().all(plain)).then(|| Self(text.to_owned())).ok_or(TokenError)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_one_word_and_stays_out_of_logs() {
        let token: Token = "v4.public.A-_9".parse().unwrap();
        assert_eq!((token.as_str(), format!("{token:?}").as_str()), ("v4.public.A-_9", "Token"));
        for text in ["", "v4 public", "v4.public.A\n", "=", &"x".repeat(TOKEN_CHARS_MAX + 1)] {
            assert_eq!(text.parse::<Token>(), Err(TokenError), "{text:?}");
        }
    }
}
