//! Cuts a template into text and actions, and actions into words.

use crate::error::{Error, Result};
use serde_json::Value;

/// A piece of a template.
pub enum Piece {
    Text(String),
    Action(Vec<Token>),
}

#[derive(Clone, Debug, PartialEq)]
pub enum Token {
    /// `.A.B`, or `.` alone.
    Dot(Vec<String>),
    /// `$name.A.B`
    Variable(String, Vec<String>),
    Word(String),
    Literal(Value),
    Pipe,
    Comma,
    /// `:=`, or `=`.
    Declare,
    Assign,
    Open,
    /// `)`, and the fields asked of what it closes.
    Close(Vec<String>),
}

/// All pieces; `{{-` and `-}}` take the blanks before and after them.
pub fn pieces(mut text: &str) -> Result<Vec<Piece>> {
    let mut pieces = Vec::new();
    let mut trim = false;
    loop {
        let Some((before, rest)) = text.split_once("{{") else {
            pieces.push(Piece::Text(if trim { text.trim_start() } else { text }.to_owned()));
            return Ok(pieces);
        };
        let inner = rest.strip_prefix('-').filter(|rest| rest.starts_with(char::is_whitespace));
        let before = if trim { before.trim_start() } else { before };
        pieces.push(Piece::Text(if inner.is_some() { before.trim_end() } else { before }.to_owned()));
        let mut lexer = Lexer { rest: inner.unwrap_or(rest) };
        if let Some(comment) = lexer.rest.trim_start().strip_prefix("/*") {
            lexer.rest = comment.split_once("*/").ok_or_else(|| Error::new("unclosed comment"))?.1;
        } else {
            pieces.push(Piece::Action(lexer.tokens()?));
        }
        (text, trim) = lexer.end().ok_or_else(|| Error::new("unclosed action"))?;
    }
}

struct Lexer<'t> {
    rest: &'t str,
}

impl<'t> Lexer<'t> {
    /// What follows the action, if it ends here, and whether that loses its blanks.
    fn end(&self) -> Option<(&'t str, bool)> {
        let trimmed = self.rest.trim_start();
        if trimmed.len() < self.rest.len()
            && let Some(rest) = trimmed.strip_prefix("-}}")
        {
            return Some((rest, true));
        }
        trimmed.strip_prefix("}}").map(|rest| (rest, false))
    }

    fn tokens(&mut self) -> Result<Vec<Token>> {
        let mut tokens = Vec::new();
        while self.end().is_none() {
            self.rest = self.rest.trim_start();
            tokens.push(self.token()?);
        }
        Ok(tokens)
    }

    fn token(&mut self) -> Result<Token> {
        let first = self.rest.chars().next().ok_or_else(|| Error::new("unclosed action"))?;
        let signs =
            [("|", Token::Pipe), (",", Token::Comma), (":=", Token::Declare), ("=", Token::Assign), ("(", Token::Open)];
        for (sign, token) in signs {
            if let Some(rest) = self.rest.strip_prefix(sign) {
                self.rest = rest;
                return Ok(token);
            }
        }
        let after = self.rest.get(first.len_utf8()..).unwrap_or_default();
        match first {
            ')' => {
                self.rest = after;
                Ok(Token::Close(self.fields()))
            }
            '.' => {
                let fields = self.fields();
                if fields.is_empty() {
                    self.rest = after;
                }
                Ok(Token::Dot(fields))
            }
            '$' => {
                self.rest = after;
                Ok(Token::Variable(self.name().to_owned(), self.fields()))
            }
            '`' => {
                let (raw, rest) = after.split_once('`').ok_or_else(|| Error::new("unterminated raw quoted string"))?;
                self.rest = rest;
                Ok(Token::Literal(raw.into()))
            }
            '"' => self.quoted(),
            '-' | '0'..='9' => self.number(),
            c if is_name(c) => {
                let word = self.name();
                Ok(match word {
                    "true" => Token::Literal(true.into()),
                    "false" => Token::Literal(false.into()),
                    "nil" => Token::Literal(Value::Null),
                    _ => Token::Word(word.to_owned()),
                })
            }
            c => Err(Error::new(format_args!("unexpected '{c}'"))),
        }
    }

    /// `.A.B`, as far as it goes.
    fn fields(&mut self) -> Vec<String> {
        let mut fields = Vec::new();
        while let Some(rest) = self.rest.strip_prefix('.').filter(|rest| rest.starts_with(is_name)) {
            self.rest = rest;
            fields.push(self.name().to_owned());
        }
        fields
    }

    fn name(&mut self) -> &'t str {
        let (name, rest) = self.rest.split_at(self.rest.find(|c| !is_name(c)).unwrap_or(self.rest.len()));
        self.rest = rest;
        name
    }

    /// A string as in JSON, whose escapes are those of Go's that people use.
    fn quoted(&mut self) -> Result<Token> {
        let mut escaped = false;
        let end = self.rest.char_indices().skip(1).find(|(_, c)| {
            let ends = *c == '"' && !escaped;
            escaped = *c == '\\' && !escaped;
            ends
        });
        let (text, rest) = self.rest.split_at(end.ok_or_else(|| Error::new("unterminated quoted string"))?.0 + 1);
        self.rest = rest;
        let value: Value =
            serde_json::from_slice(text.as_bytes()).map_err(|_| Error::new(format_args!("bad string {text}")))?;
        Ok(Token::Literal(value))
    }

    fn number(&mut self) -> Result<Token> {
        let end = self.rest.find(|c: char| !matches!(c, '-' | '.') && !is_name(c)).unwrap_or(self.rest.len());
        let (text, rest) = self.rest.split_at(end);
        self.rest = rest;
        let value: Value = serde_json::from_slice(text.as_bytes())
            .map_err(|_| Error::new(format_args!("bad number syntax: {text:?}")))?;
        Ok(Token::Literal(value))
    }
}

fn is_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || !c.is_ascii()
}
