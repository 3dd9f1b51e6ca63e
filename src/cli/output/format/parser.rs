//! Makes a tree of a template's pieces.

use super::lexer::{Piece, Token, pieces};
use super::{Call, Operand, Pipeline, functions};
use crate::error::{Error, Result};

#[derive(Debug, PartialEq)]
pub enum Node {
    Text(String),
    Print(Pipeline),
    /// A variable's name and its new value; `declare`: a new variable.
    Set {
        name: String,
        declare: bool,
        value: Pipeline,
    },
    If {
        condition: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    With {
        value: Pipeline,
        then: Vec<Node>,
        otherwise: Vec<Node>,
    },
    /// The variables are for the key and the value, or the value alone.
    Range {
        variables: Vec<String>,
        over: Pipeline,
        each: Vec<Node>,
        otherwise: Vec<Node>,
    },
}

/// How deep blocks and brackets may go: more is no template that somebody means.
const DEPTH: usize = 50;

pub fn parse(text: &str) -> Result<Vec<Node>> {
    let mut parser = Parser { pieces: pieces(text)?.into_iter() };
    match parser.nodes(0)? {
        (nodes, Stop::Eof) => Ok(nodes),
        (_, Stop::End) => Err(Error::new("unexpected {{end}}")),
        (_, Stop::Else(_)) => Err(Error::new("unexpected {{else}}")),
    }
}

/// What ended a list of nodes.
enum Stop {
    Eof,
    End,
    /// With what follows the word: `if …`.
    Else(Vec<Token>),
}

struct Parser {
    pieces: std::vec::IntoIter<Piece>,
}

impl Parser {
    fn nodes(&mut self, depth: usize) -> Result<(Vec<Node>, Stop)> {
        if depth > DEPTH {
            return Err(Error::new("too many blocks in each other"));
        }
        let mut nodes = Vec::new();
        while let Some(piece) = self.pieces.next() {
            let tokens = match piece {
                Piece::Text(text) => {
                    nodes.push(Node::Text(text));
                    continue;
                }
                Piece::Action(tokens) => tokens,
            };
            match tokens.split_first() {
                Some((Token::Word(word), rest)) if word == "end" => {
                    return if rest.is_empty() {
                        Ok((nodes, Stop::End))
                    } else {
                        Err(Error::new("unexpected word in end"))
                    };
                }
                Some((Token::Word(word), rest)) if word == "else" => return Ok((nodes, Stop::Else(rest.to_vec()))),
                Some((Token::Word(word), rest)) if ["if", "with", "range"].contains(&word.as_str()) => {
                    nodes.push(self.block(word, rest, depth + 1)?);
                }
                Some((Token::Variable(name, fields), [sign @ (Token::Declare | Token::Assign), value @ ..]))
                    if fields.is_empty() =>
                {
                    let declare = *sign == Token::Declare;
                    nodes.push(Node::Set { name: name.clone(), declare, value: pipeline(value)? });
                }
                _ => nodes.push(Node::Print(pipeline(&tokens)?)),
            }
        }
        Ok((nodes, Stop::Eof))
    }

    /// `if`, `with` or `range` with all that belongs to it.
    fn block(&mut self, word: &str, head: &[Token], depth: usize) -> Result<Node> {
        let (variables, head) = if word == "range" { variables(head) } else { (Vec::new(), head) };
        let value = pipeline(head)?;
        let (then, stop) = self.nodes(depth)?;
        let otherwise = match stop {
            Stop::Eof => return Err(Error::new("unexpected EOF")),
            Stop::End => Vec::new(),
            Stop::Else(rest) => match rest.split_first() {
                None => match self.nodes(depth)? {
                    (otherwise, Stop::End) => otherwise,
                    _ => return Err(Error::new("expected {{end}}")),
                },
                // Its end is the end of both.
                Some((Token::Word(inner), rest)) if inner == word && word != "range" => {
                    if depth >= DEPTH {
                        return Err(Error::new("too many blocks in each other"));
                    }
                    vec![self.block(word, rest, depth + 1)?]
                }
                Some(_) => return Err(Error::new("unexpected word in else")),
            },
        };
        Ok(match word {
            "if" => Node::If { condition: value, then, otherwise },
            "with" => Node::With { value, then, otherwise },
            _ => Node::Range { variables, over: value, each: then, otherwise },
        })
    }
}

/// `$k, $v :=` and what follows.
fn variables(head: &[Token]) -> (Vec<String>, &[Token]) {
    match head {
        [Token::Variable(key, _), Token::Comma, Token::Variable(value, _), Token::Declare, rest @ ..] => {
            (vec![key.clone(), value.clone()], rest)
        }
        [Token::Variable(value, _), Token::Declare, rest @ ..] => (vec![value.clone()], rest),
        _ => (Vec::new(), head),
    }
}

fn pipeline(tokens: &[Token]) -> Result<Pipeline> {
    let mut tokens = tokens.iter();
    let (pipeline, closed) = calls(&mut tokens, 0)?;
    if closed.is_some() { Err(Error::new("unexpected right paren")) } else { Ok(pipeline) }
}

/// Calls up to the end or a closing bracket, whose fields it gives.
fn calls(tokens: &mut std::slice::Iter<'_, Token>, depth: usize) -> Result<(Pipeline, Option<Vec<String>>)> {
    if depth > DEPTH {
        return Err(Error::new("too many brackets in each other"));
    }
    let mut pipeline = Pipeline::new();
    let mut call = Call::new();
    let mut closed = None;
    while let Some(token) = tokens.next() {
        call.push(match token {
            Token::Dot(fields) => Operand::Dot(fields.clone()),
            Token::Variable(name, fields) => Operand::Variable(name.clone(), fields.clone()),
            Token::Literal(value) => Operand::Literal(value.clone()),
            Token::Word(name) if functions::exists(name) => Operand::Function(name.clone()),
            Token::Word(name) => return Err(Error::new(format_args!("function \"{name}\" not defined"))),
            Token::Open => match calls(tokens, depth + 1)? {
                (inner, Some(fields)) => Operand::Group(inner, fields),
                (_, None) => return Err(Error::new("unclosed left paren")),
            },
            Token::Close(fields) => {
                closed = Some(fields.clone());
                break;
            }
            Token::Pipe if call.is_empty() => return Err(Error::new("missing value for command")),
            Token::Pipe => {
                pipeline.push(std::mem::take(&mut call));
                continue;
            }
            Token::Comma | Token::Declare | Token::Assign => return Err(Error::new("unexpected ',' or '='")),
        });
    }
    if call.is_empty() {
        return Err(Error::new("missing value for command"));
    }
    pipeline.push(call);
    Ok((pipeline, closed))
}
