//! Words of a master file, their escapes and what they may stand for.

use super::Problem;
use crate::wire::name::{Name, NameError, unescape};

/// Characters that an error quotes from a text.
const EXCERPT_CHARS_MAX: usize = 64;

/// One word of a master file, as it stands there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Token<'a> {
    /// Its octets without the quotation marks around it, escapes unresolved. A word that is not
    /// quoted may hold a quoted part after an equals sign: `alpn="h2,h3"` (RFC 9460 §2.1).
    pub text: &'a [u8],
    /// Did it stand between quotation marks?
    pub quoted: bool,
}

impl Token<'_> {
    /// The octets that the word stands for, of any length.
    ///
    /// # Errors
    /// [`Problem::Escape`], and [`Problem::Quote`] for a bare quotation mark within the word.
    pub fn octets(self) -> Result<Vec<u8>, Problem> {
        let mut octets = Vec::with_capacity(self.text.len());
        let mut rest = self.text;
        while let Some((&byte, tail)) = rest.split_first() {
            rest = tail;
            octets.push(match byte {
                b'\\' => unescape(&mut rest).map_err(|_| Problem::Escape)?,
                b'"' => return Err(Problem::Quote),
                other => other,
            });
        }
        Ok(octets)
    }

    /// The name that the word stands for, completed with `origin` when it is relative.
    ///
    /// # Errors
    /// [`Problem::Name`], [`Problem::QuotedName`], and [`Problem::Quote`] for a bare quotation mark
    /// within the word.
    pub fn name(self, origin: Option<&Name>) -> Result<Name, Problem> {
        if self.quoted {
            return Err(Problem::QuotedName);
        }
        if self.has_bare_quote() {
            return Err(Problem::Quote);
        }
        let text = std::str::from_utf8(self.text)
            .map_err(|_| Problem::Name(NameError::NonAscii { a_label: None }))?;
        Name::parse(text, origin).map_err(Problem::Name)
    }

    /// The start of the word, for an error to quote.
    #[must_use]
    pub fn excerpt(self) -> String {
        String::from_utf8_lossy(self.text).chars().take(EXCERPT_CHARS_MAX).collect()
    }

    /// Is there a quotation mark that no backslash escapes?
    fn has_bare_quote(self) -> bool {
        let mut is_escaped = false;
        self.text.contains(&b'"')
            && self.text.iter().any(|&byte| {
                let is_bare = byte == b'"' && !is_escaped;
                is_escaped = byte == b'\\' && !is_escaped;
                is_bare
            })
    }
}
