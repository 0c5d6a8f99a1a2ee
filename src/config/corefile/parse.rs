//! Tokens → server blocks.
//!
//! The parser reads from a stack of token lists: an import puts a file or a snippet on top, and when
//! that is used up the line after the import is next.

use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

use super::lex::{Token, TokenKind, tokens};
use super::{Block, CorefileError, Directive, Outside, Place, Source, Word};
use crate::limits::{
    COREFILE_BYTES_MAX, COREFILE_IMPORT_DEPTH_MAX, COREFILE_IMPORTS_MAX, COREFILE_NESTING_MAX,
    COREFILE_TOKENS_MAX, COREFILE_WORD_BYTES_MAX,
};

/// Reads a Corefile and what it imports.
///
/// # Errors
/// The first thing that is wrong.
pub fn parse(source: Source, outside: Outside<'_>) -> Result<Vec<Block>, CorefileError> {
    let start = Place { file: Arc::clone(&source.name), line: 1 };
    let mut parser = Parser {
        stack: Vec::new(),
        snippets: HashMap::new(),
        imports: 0,
        tokens_taken: 0,
        bytes: 0,
        outside,
    };
    parser.push_file(source, &start, 0)?;
    let mut blocks = Vec::new();
    while let Some(token) = parser.peek() {
        match token.kind {
            TokenKind::Open => {
                return Err(parser.here().error("unexpected '{': no address is before it"));
            }
            TokenKind::Close => return Err(parser.stray_close()),
            TokenKind::Word { .. } => blocks.extend(parser.block()?),
        }
    }
    if blocks.is_empty() {
        return Err(start.error("there is no server block: at least `. { pocketbase }` is needed"));
    }
    Ok(blocks)
}

struct Parser<'a> {
    stack: Vec<Frame>,
    snippets: HashMap<String, Frame>,
    imports: usize,
    /// Tokens that were taken, those of an import as often as it was imported.
    tokens_taken: usize,
    /// Octets of all files.
    bytes: usize,
    outside: Outside<'a>,
}

/// Tokens that are being read.
#[derive(Clone)]
struct Frame {
    file: Arc<str>,
    tokens: Rc<[Token]>,
    at: usize,
    /// Imports that lead here.
    depth: usize,
}

impl Frame {
    fn place_at(&self, at: usize) -> Place {
        let line = self.tokens.get(at).or_else(|| self.tokens.last()).map_or(1, |token| token.line);
        Place { file: Arc::clone(&self.file), line }
    }
}

impl Parser<'_> {
    /// The next token. Lists that are used up go.
    fn peek(&mut self) -> Option<Token> {
        loop {
            let frame = self.stack.last()?;
            if let Some(token) = frame.tokens.get(frame.at) {
                return Some(token.clone());
            }
            self.stack.pop();
        }
    }

    /// The next token if it is on the line of the last one.
    fn peek_on_line(&self) -> Option<&Token> {
        let frame = self.stack.last()?;
        frame.tokens.get(frame.at).filter(|token| !token.starts_line)
    }

    /// Goes past the token that was peeked at; gives its place.
    fn advance(&mut self) -> Result<Place, CorefileError> {
        let place = self.here();
        if let Some(frame) = self.stack.last_mut() {
            frame.at += 1;
        }
        self.tokens_taken += 1;
        if self.tokens_taken > COREFILE_TOKENS_MAX {
            return Err(place.error(format!(
                "more than {COREFILE_TOKENS_MAX} words, with all that is imported"
            )));
        }
        Ok(place)
    }

    /// The place of the next token.
    fn here(&self) -> Place {
        self.stack.last().map_or_else(
            || Place { file: Arc::from("?"), line: 0 },
            |frame| frame.place_at(frame.at),
        )
    }

    fn stray_close(&self) -> CorefileError {
        self.here().error("unexpected '}': no '{' in this file is open")
    }

    /// The next word if it is on this line, its variables replaced.
    fn word_on_line(&mut self) -> Result<Option<Word>, CorefileError> {
        match self.peek_on_line() {
            Some(Token { kind: TokenKind::Word { .. }, .. }) => self.word().map(Some),
            _ => Ok(None),
        }
    }

    /// Takes the word that is next.
    fn word(&mut self) -> Result<Word, CorefileError> {
        let token = self.peek();
        let place = self.advance()?;
        let Some(Token { kind: TokenKind::Word { text, is_quoted }, .. }) = token else {
            return Err(place.error("a word is needed here"));
        };
        if !is_quoted && text.ends_with('{') {
            return Err(place.error(
                "a word ends in a brace: put a blank before the brace, or the word in quotes",
            ));
        }
        let text = self.replace_variables(text, &place)?;
        Ok(Word { text, place })
    }

    /// Is the next token the word `import`, written out?
    fn is_import(token: &Token) -> bool {
        matches!(&token.kind, TokenKind::Word { text, is_quoted: false } if text == "import")
    }

    /// A server block; `None` when what stood there was a snippet or brought nothing.
    fn block(&mut self) -> Result<Option<Block>, CorefileError> {
        let begin = self.here();
        let mut keys: Vec<Word> = Vec::new();
        let mut is_line_start = true;
        let mut wants_more = false;
        loop {
            let Some(token) = self.peek() else {
                if wants_more {
                    return Err(
                        begin.error("the file ends after a comma: another address is missing")
                    );
                }
                break;
            };
            match token.kind {
                TokenKind::Open if wants_more => {
                    return Err(self.here().error("another address is missing after the comma"));
                }
                TokenKind::Open => break,
                TokenKind::Close => return Err(self.stray_close()),
                TokenKind::Word { .. } if keys.is_empty() || wants_more || !token.starts_line => {}
                TokenKind::Word { .. } => break,
            }
            is_line_start |= token.starts_line;
            if is_line_start && Self::is_import(&token) {
                self.import()?;
                continue;
            }
            is_line_start = false;
            let mut word = self.word()?;
            wants_more = word.text.ends_with(',');
            if wants_more {
                word.text.pop();
            }
            if word.text.is_empty() {
                // A variable that is not set: an address less.
                if self.peek_on_line().is_none() && keys.is_empty() {
                    return Err(word.place.error("the server block has no address"));
                }
                continue;
            }
            keys.push(word);
            // An import that ended here has brought a whole line.
            if self.peek_on_line().is_none() && !wants_more {
                break;
            }
        }
        if keys.is_empty() {
            return match self.peek() {
                Some(_) => Err(self.here().error("the server block has no address")),
                None => Ok(None),
            };
        }
        if let [key] = &keys[..]
            && let Some(name) = key.text.strip_prefix('(').and_then(|rest| rest.strip_suffix(')'))
        {
            let (name, place) = (name.to_owned(), key.place.clone());
            self.define_snippet(name, &place)?;
            return Ok(None);
        }
        let directives = match self.peek() {
            Some(Token { kind: TokenKind::Open, .. }) => {
                let open = self.advance()?;
                self.lines(Some(&open), 0)?
            }
            Some(_) => self.lines(None, 0)?,
            None => Vec::new(),
        };
        Ok(Some(Block { keys, directives }))
    }

    /// Lines up to the brace that closes what was opened at `open`, or else to the end of the file.
    fn lines(
        &mut self,
        open: Option<&Place>,
        nesting: usize,
    ) -> Result<Vec<Directive>, CorefileError> {
        let depth = self.stack.len();
        let mut lines = Vec::new();
        loop {
            let token = self.peek();
            let is_same_file = self.stack.len() == depth;
            let has_left = self.stack.len() < depth;
            match (token, open) {
                (Some(Token { kind: TokenKind::Close, .. }), Some(_)) if is_same_file => {
                    self.advance()?;
                    return Ok(lines);
                }
                (None, Some(open)) => return Err(open.error("'{' is never closed")),
                (Some(_), Some(open)) if has_left => {
                    return Err(open.error("'{' is not closed in this file"));
                }
                (None, None) => return Ok(lines),
                (Some(_), None) if has_left => return Ok(lines),
                (Some(Token { kind: TokenKind::Close, .. }), _) => return Err(self.stray_close()),
                (Some(Token { kind: TokenKind::Open, .. }), _) => {
                    return Err(self.here().error(
                        "unexpected '{': it belongs on the line of the word that it follows",
                    ));
                }
                (Some(token), _) if Self::is_import(&token) => self.import()?,
                (Some(_), _) => lines.push(self.directive(nesting)?),
            }
        }
    }

    fn directive(&mut self, nesting: usize) -> Result<Directive, CorefileError> {
        let name = self.word()?;
        let mut args = Vec::new();
        while let Some(word) = self.word_on_line()? {
            args.push(word);
        }
        let mut body = None;
        if matches!(self.peek_on_line(), Some(Token { kind: TokenKind::Open, .. })) {
            let open = self.advance()?;
            if nesting == COREFILE_NESTING_MAX {
                return Err(open.error(format!(
                    "blocks stand in each other more than {COREFILE_NESTING_MAX} deep"
                )));
            }
            body = Some(self.lines(Some(&open), nesting + 1)?);
            if let Some(Token { kind: TokenKind::Word { .. } | TokenKind::Open, .. }) =
                self.peek_on_line()
            {
                return Err(self.here().error("unexpected word after '}': begin a new line"));
            }
        }
        Ok(Directive { name, args, body })
    }

    /// Keeps the tokens between the braces that follow.
    fn define_snippet(&mut self, name: String, place: &Place) -> Result<(), CorefileError> {
        if self.snippets.contains_key(&name) {
            return Err(place.error(format!("the snippet ({name}) is defined twice")));
        }
        if !matches!(self.peek(), Some(Token { kind: TokenKind::Open, .. })) {
            return Err(place.error(format!("the snippet ({name}) needs a '{{'")));
        }
        let open = self.advance()?;
        let depth = self.stack.len();
        let mut kept: Vec<Token> = Vec::new();
        let mut nesting = 0_usize;
        loop {
            let token = self.peek().filter(|_| self.stack.len() == depth);
            let Some(mut token) = token else {
                return Err(open.error("'{' is never closed"));
            };
            self.advance()?;
            match token.kind {
                TokenKind::Open => nesting += 1,
                TokenKind::Close if nesting == 0 => break,
                TokenKind::Close => nesting -= 1,
                TokenKind::Word { .. } => {}
            }
            token.starts_line |= kept.is_empty();
            kept.push(token);
        }
        let file = Arc::clone(&place.file);
        self.snippets.insert(name, Frame { file, tokens: kept.into(), at: 0, depth: 0 });
        Ok(())
    }

    /// The line `import WHAT`: what it names is read next.
    fn import(&mut self) -> Result<(), CorefileError> {
        let place = self.advance()?;
        let what = self.word_on_line()?.filter(|what| !what.text.is_empty());
        let what =
            what.ok_or_else(|| place.error("`import` needs a snippet, a file or a pattern"))?;
        if let Some(Token { kind: TokenKind::Word { .. } | TokenKind::Open, .. }) =
            self.peek_on_line()
        {
            return Err(place.error("`import` takes one snippet, file or pattern"));
        }
        let depth = 1 + self.stack.last().map_or(0, |frame| frame.depth);
        if depth > COREFILE_IMPORT_DEPTH_MAX {
            return Err(place.error(format!(
                "imports stand in each other more than {COREFILE_IMPORT_DEPTH_MAX} deep: is one of \
                 them importing itself?"
            )));
        }
        if let Some(snippet) = self.snippets.get(&what.text) {
            let frame = Frame { depth, ..snippet.clone() };
            self.count_import(&place)?;
            self.stack.push(frame);
            return Ok(());
        }
        let files = (self.outside.import)(&what.text, &place.file)
            .map_err(|message| place.error(message))?;
        // The first is read first.
        for file in files.into_iter().rev() {
            self.count_import(&place)?;
            self.push_file(file, &place, depth)?;
        }
        Ok(())
    }

    fn count_import(&mut self, place: &Place) -> Result<(), CorefileError> {
        self.imports += 1;
        if self.imports > COREFILE_IMPORTS_MAX {
            return Err(place.error(format!("more than {COREFILE_IMPORTS_MAX} imports")));
        }
        Ok(())
    }

    fn push_file(
        &mut self,
        source: Source,
        from: &Place,
        depth: usize,
    ) -> Result<(), CorefileError> {
        self.bytes += source.text.len();
        if self.bytes > COREFILE_BYTES_MAX {
            return Err(from.error(format!(
                "more than {COREFILE_BYTES_MAX} octets, with all that is imported"
            )));
        }
        let tokens = tokens(&source)?.into();
        self.stack.push(Frame { file: source.name, tokens, at: 0, depth });
        Ok(())
    }

    /// `{$NAME}` and `{%NAME%}` become the value of the variable, or nothing. What has no name or
    /// no end stays as it is.
    fn replace_variables(&self, text: String, place: &Place) -> Result<String, CorefileError> {
        let mut done = String::new();
        let mut rest = &*text;
        while let Some(at) = rest.find('{') {
            let (before, found) = rest.split_at(at);
            done.push_str(before);
            let name = [("{$", "}"), ("{%", "%}")].into_iter().find_map(|(begin, end)| {
                let (name, after) = found.strip_prefix(begin)?.split_once(end)?;
                (!name.is_empty()).then_some((name, after))
            });
            rest = match name {
                Some((name, after)) => {
                    done.push_str(&(self.outside.variable)(name).unwrap_or_default());
                    after
                }
                None => {
                    done.push('{');
                    found.get(1..).unwrap_or_default()
                }
            };
            if done.len() > COREFILE_WORD_BYTES_MAX {
                break;
            }
        }
        done.push_str(rest);
        if done.len() > COREFILE_WORD_BYTES_MAX {
            return Err(
                place.error(format!("a word has more than {COREFILE_WORD_BYTES_MAX} octets"))
            );
        }
        Ok(done)
    }
}
