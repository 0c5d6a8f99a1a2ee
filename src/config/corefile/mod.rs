//! A Corefile as text: words, lines, blocks. What the words mean is [`super::file`]'s to say.
//!
//! The syntax is that of CoreDNS (its parser is `github.com/coredns/caddy/caddyfile`): server blocks
//! with or without braces, snippets, `import` of snippets, files and one-wildcard patterns,
//! `{$NAME}` and `{%NAME%}` for the environment, `#` comments, `"quotes"`. Stricter than there:
//!
//! - what is quoted or comes from the environment is never a brace or an `import`;
//! - a brace is closed in the file that opened it, a quote before the file ends;
//! - a variable is replaced once, so its value cannot name further variables.
//!
//! Pure: files and variables come through [`Outside`]. Every error has its file and line.
//!
//! | file | holds |
//! |---|---|
//! | `lex` | octets → tokens |
//! | `parse` | tokens → [`Block`]s; imports, variables |

mod lex;
mod parse;
#[cfg(test)]
mod tests;

use std::fmt;
use std::sync::Arc;

pub use parse::parse;

/// A line of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    /// The file's name as it is printed.
    pub file: Arc<str>,
    /// From 1 on.
    pub line: u32,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.file, self.line)
    }
}

/// What is wrong at a place. The message says what was found and what there could be; it quotes no
/// value that may be a secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {message}")]
pub struct CorefileError {
    /// Where.
    pub place: Place,
    /// What.
    pub message: String,
}

impl Place {
    /// An error here.
    pub fn error(&self, message: impl Into<String>) -> CorefileError {
        CorefileError { place: self.clone(), message: message.into() }
    }
}

/// A word with its variables replaced.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Word {
    /// Never with quotes; may be empty.
    pub text: String,
    /// Where it stands.
    pub place: Place,
}

/// A server block.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Block {
    /// Its addresses, at least one, none empty.
    pub keys: Vec<Word>,
    /// Its lines, in order, imports replaced by what they bring.
    pub directives: Vec<Directive>,
}

/// A line of a block, and the block it may open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Directive {
    /// The first word.
    pub name: Word,
    /// The others.
    pub args: Vec<Word>,
    /// The lines between its braces, when it has any.
    pub body: Option<Vec<Self>>,
}

/// A file's name and octets.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// As it is printed, and as what is imported from it is looked for.
    pub name: Arc<str>,
    /// Its content.
    pub text: Vec<u8>,
}

/// Finds the files for `import`: called with the pattern and the name of the file that it stands
/// in; gives the files in order. An error is told at the place of the import.
pub type Import<'a> = dyn FnMut(&str, &str) -> Result<Vec<Source>, String> + 'a;

/// What the parser asks of the world.
pub struct Outside<'a> {
    /// The value of an environment variable; `None` and empty are the same.
    pub variable: &'a dyn Fn(&str) -> Option<String>,
    /// See [`Import`].
    pub import: &'a mut Import<'a>,
}
