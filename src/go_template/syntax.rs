//! Text to a tree of pieces: plain text, pipelines and blocks.
//!
//! Not here: what a pipeline comes to (see `run`).
//!
//! Invariant: what was read has bounded depth, and every function in it exists.

use super::functions;
use super::value::Value;

/// Blocks and brackets within each other.
const DEPTH_MAX: usize = 32;

/// A template that was understood.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Template(pub(super) Vec<Piece>);

/// One piece.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Piece {
    Plain(String),
    Show(Pipeline),
    If(Pipeline, Vec<Piece>, Vec<Piece>),
    With(Pipeline, Vec<Piece>, Vec<Piece>),
    Range(Pipeline, Vec<Piece>, Vec<Piece>),
}

/// Commands whose results are handed on, and the variables that take the last one.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Pipeline {
    pub(super) takes: Vec<String>,
    /// Whether the variables are new ones.
    pub(super) declares: bool,
    pub(super) commands: Vec<Vec<Operand>>,
}

/// A part of a command.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Operand {
    Constant(Value),
    Function(&'static str),
    /// Fields of the dot.
    Dot(Vec<String>),
    /// Fields of a variable.
    Variable(String, Vec<String>),
    /// Fields of what a pipeline comes to.
    Nested(Pipeline, Vec<String>),
}

impl Template {
    /// Reads a text.
    ///
    /// # Errors
    /// Says what is not understood.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut reader = Reader { parts: parts(text)?.into_iter(), depth: 0 };
        match reader.pieces()? {
            (pieces, End::Text) => Ok(Self(pieces)),
            _ => Err("an end or else belongs to nothing".to_owned()),
        }
    }
}

/// A stretch of plain text or the inside of `{{ }}`.
enum Part {
    Plain(String),
    Action(Vec<Token>),
}

fn parts(text: &str) -> Result<Vec<Part>, String> {
    let (mut found, mut rest, mut trims) = (Vec::new(), text, false);
    while let Some(at) = rest.find("{{") {
        let (plain, inside) = (&rest[..at], &rest[at + 2..]);
        let trims_before = inside.starts_with("- ") || inside.starts_with("-\n") || inside.starts_with("-\t");
        let inside = if trims_before { &inside[1..] } else { inside };
        let plain = if trims { plain.trim_start() } else { plain };
        found.push(Part::Plain(if trims_before { plain.trim_end() } else { plain }.to_owned()));
        if let Some(comment) = inside.trim_start().strip_prefix("/*") {
            let (_, after) = comment.split_once("*/").ok_or("a comment does not end")?;
            let after = after.trim_start();
            let (after, trimmed) = after.strip_prefix('-').map_or((after, false), |after| (after, true));
            rest = after.strip_prefix("}}").ok_or("a comment stands alone")?;
            trims = trimmed;
            continue;
        }
        let (tokens, after, trims_after) = tokens(inside)?;
        found.push(Part::Action(tokens));
        (rest, trims) = (after, trims_after);
    }
    found.push(Part::Plain(if trims { rest.trim_start() } else { rest }.to_owned()));
    Ok(found)
}

#[derive(Debug, Clone, PartialEq)]
enum Token {
    Text(String),
    Number(Value),
    Word(String),
    /// A dot with fields; it follows a bracket without a blank between.
    Fields(Vec<String>, bool),
    Variable(String, Vec<String>),
    Open,
    Close,
    Bar,
    Comma,
    Declare,
    Assign,
}

/// The tokens up to `}}`, what follows it, and whether blanks behind it go.
fn tokens(text: &str) -> Result<(Vec<Token>, &str, bool), String> {
    let mut found = Vec::new();
    let mut rest = text;
    loop {
        let trimmed = rest.trim_start();
        let is_apart = trimmed.len() < rest.len();
        rest = trimmed;
        if let Some(after) = rest.strip_prefix("}}") {
            return Ok((found, after, false));
        }
        if let Some(after) = rest.strip_prefix("-}}").filter(|_| is_apart) {
            return Ok((found, after, true));
        }
        let sign = rest.chars().next().ok_or("an action does not end")?;
        rest = match sign {
            '"' => quoted(rest, &mut found)?,
            '`' => {
                let (text, after) = rest[1..].split_once('`').ok_or("a text does not end")?;
                found.push(Token::Text(text.to_owned()));
                after
            }
            '(' | ')' | '|' | ',' => {
                let token = match sign {
                    '(' => Token::Open,
                    ')' => Token::Close,
                    '|' => Token::Bar,
                    _ => Token::Comma,
                };
                found.push(token);
                &rest[1..]
            }
            ':' if rest.starts_with(":=") => {
                found.push(Token::Declare);
                &rest[2..]
            }
            '=' => {
                found.push(Token::Assign);
                &rest[1..]
            }
            '$' => {
                let (name, after) = word(&rest[1..]);
                let (fields, after) = fields(after);
                found.push(Token::Variable(name.to_owned(), fields));
                after
            }
            '.' if !rest[1..].starts_with(|sign: char| sign.is_ascii_digit()) => {
                let (fields, after) = fields(rest);
                let after = if fields.is_empty() { &rest[1..] } else { after };
                found.push(Token::Fields(fields, !is_apart));
                after
            }
            _ if sign.is_ascii_digit() || "+-.".contains(sign) => number(rest, &mut found)?,
            _ if sign.is_alphabetic() || sign == '_' => {
                let (name, after) = word(rest);
                found.push(Token::Word(name.to_owned()));
                after
            }
            _ => return Err(format!("{sign:?} is not understood")),
        };
    }
}

fn word(text: &str) -> (&str, &str) {
    text.split_at(text.find(|sign: char| !sign.is_alphanumeric() && sign != '_').unwrap_or(text.len()))
}

/// `.a.b` as names.
fn fields(text: &str) -> (Vec<String>, &str) {
    let (mut names, mut rest) = (Vec::new(), text);
    while let Some(after) = rest.strip_prefix('.') {
        let (name, after) = word(after);
        if name.is_empty() {
            break;
        }
        names.push(name.to_owned());
        rest = after;
    }
    (names, rest)
}

fn number<'a>(text: &'a str, found: &mut Vec<Token>) -> Result<&'a str, String> {
    let is_part = |(at, sign): (usize, char)| {
        let after_e = at > 0 && matches!(text.as_bytes()[at - 1], b'e' | b'E');
        sign.is_ascii_alphanumeric() || "._".contains(sign) || "+-".contains(sign) && (at == 0 || after_e)
    };
    let end = text.char_indices().find(|part| !is_part(*part)).map_or(text.len(), |(at, _)| at);
    let plain = text[..end].replace('_', "");
    let value = match (plain.parse::<i64>(), plain.parse::<f64>()) {
        (Ok(whole), _) => Value::Whole(whole),
        (_, Ok(number)) if plain.contains(|sign: char| sign.is_ascii_digit()) => Value::Number(number),
        _ => return Err(format!("{:?} is no number", &text[..end])),
    };
    found.push(Token::Number(value));
    Ok(&text[end..])
}

fn quoted<'a>(text: &'a str, found: &mut Vec<Token>) -> Result<&'a str, String> {
    let mut out = String::new();
    let mut signs = text[1..].char_indices();
    while let Some((at, sign)) = signs.next() {
        match sign {
            '"' => {
                found.push(Token::Text(out));
                return Ok(&text[at + 2..]);
            }
            '\n' => break,
            '\\' => match signs.next().map(|(_, sign)| sign) {
                Some('n') => out.push('\n'),
                Some('t') => out.push('\t'),
                Some('r') => out.push('\r'),
                Some(sign @ ('"' | '\\' | '\'')) => out.push(sign),
                other => return Err(format!("\\{} is no escape", other.map_or_else(String::new, String::from))),
            },
            sign => out.push(sign),
        }
    }
    Err("a text does not end".to_owned())
}

/// What ended a row of pieces.
enum End {
    Text,
    Done,
    Else,
    /// `else if`, with the tokens behind `else`.
    Chain(Vec<Token>),
}

struct Reader {
    parts: std::vec::IntoIter<Part>,
    depth: usize,
}

impl Reader {
    fn pieces(&mut self) -> Result<(Vec<Piece>, End), String> {
        let mut pieces = Vec::new();
        while let Some(part) = self.parts.next() {
            let tokens = match part {
                Part::Plain(text) => {
                    if !text.is_empty() {
                        pieces.push(Piece::Plain(text));
                    }
                    continue;
                }
                Part::Action(tokens) => tokens,
            };
            let first = if let Some(Token::Word(word)) = tokens.first() { word.as_str() } else { "" };
            match first {
                "end" => return Ok((pieces, End::Done)),
                "else" if tokens.len() == 1 => return Ok((pieces, End::Else)),
                "else" => return Ok((pieces, End::Chain(tokens[1..].to_vec()))),
                "define" | "template" | "block" | "break" | "continue" => return Err(format!("{first} is not there")),
                _ => pieces.push(self.block(&tokens)?),
            }
        }
        Ok((pieces, End::Text))
    }

    fn block(&mut self, tokens: &[Token]) -> Result<Piece, String> {
        let kind = match tokens.first() {
            Some(Token::Word(word)) if ["if", "with", "range"].contains(&word.as_str()) => word.as_str(),
            None => return Err("an action is empty".to_owned()),
            _ => return Ok(Piece::Show(pipeline(tokens, 0)?)),
        };
        let condition = pipeline(&tokens[1..], 0)?;
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(format!("more than {DEPTH_MAX} blocks within each other"));
        }
        let no_end = || format!("{kind} has no end");
        let (first, end) = self.pieces()?;
        let other = match end {
            End::Done => Vec::new(),
            // Its end is ours.
            End::Chain(tokens) => vec![self.block(&tokens)?],
            End::Else => match self.pieces()? {
                (other, End::Done) => other,
                _ => return Err(no_end()),
            },
            End::Text => return Err(no_end()),
        };
        self.depth -= 1;
        Ok(match kind {
            "if" => Piece::If(condition, first, other),
            "with" => Piece::With(condition, first, other),
            _ => Piece::Range(condition, first, other),
        })
    }
}

/// `$a, $b := command | command`.
fn pipeline(tokens: &[Token], depth: usize) -> Result<Pipeline, String> {
    if depth > DEPTH_MAX {
        return Err(format!("more than {DEPTH_MAX} brackets within each other"));
    }
    let sets = |token: &Token| matches!(token, Token::Declare | Token::Assign);
    let (mut takes, mut rest, mut declares) = (Vec::new(), tokens, false);
    if let Some(at) = tokens.iter().position(sets).filter(|at| *at <= 3) {
        for token in &tokens[..at] {
            match token {
                Token::Variable(name, fields) if fields.is_empty() => takes.push(name.clone()),
                Token::Comma => {}
                _ => return Err("only variables take a value".to_owned()),
            }
        }
        (declares, rest) = (tokens[at] == Token::Declare, &tokens[at + 1..]);
    }
    let mut commands = vec![Vec::new()];
    let mut at = 0;
    while at < rest.len() {
        let command = commands.last_mut().expect("there is a first command");
        match &rest[at] {
            Token::Bar => commands.push(Vec::new()),
            Token::Open => {
                let end = closing(&rest[at..])? + at;
                let inside = pipeline(&rest[at + 1..end], depth + 1)?;
                let fields = match rest.get(end + 1) {
                    Some(Token::Fields(fields, true)) => fields.clone(),
                    _ => Vec::new(),
                };
                at = end + usize::from(!fields.is_empty());
                command.push(Operand::Nested(inside, fields));
            }
            Token::Text(text) => command.push(Operand::Constant(Value::Text(text.clone()))),
            Token::Number(number) => command.push(Operand::Constant(number.clone())),
            Token::Fields(fields, _) => command.push(Operand::Dot(fields.clone())),
            Token::Variable(name, fields) => command.push(Operand::Variable(name.clone(), fields.clone())),
            Token::Word(word) => command.push(match word.as_str() {
                "true" | "false" => Operand::Constant(Value::Flag(word == "true")),
                "nil" => Operand::Constant(Value::Nil),
                name => {
                    Operand::Function(functions::known(name).ok_or_else(|| format!("function {name:?} is not there"))?)
                }
            }),
            other => return Err(format!("{other:?} does not belong here")),
        }
        at += 1;
    }
    match commands.iter().any(Vec::is_empty) {
        true => Err("a command is missing".to_owned()),
        false => Ok(Pipeline { takes, declares, commands }),
    }
}

/// Where the bracket closes that opens at the first token.
fn closing(tokens: &[Token]) -> Result<usize, String> {
    let mut depth = 0;
    for (at, token) in tokens.iter().enumerate() {
        match token {
            Token::Open => depth += 1,
            Token::Close => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return Ok(at);
        }
    }
    Err("a bracket does not close".to_owned())
}
