//! What a template comes to.
//!
//! Not here: functions (see `functions`), how values are printed (see `format`).
//!
//! Invariant: at most so much is written and so many pieces are run through, whatever is ranged over.

use super::format::plain;
use super::functions::{self, Ground};
use super::syntax::{Operand, Piece, Pipeline, Template};
use super::value::Value;

/// Longest text that a template may come to.
const BYTES_MAX: usize = 64 << 10;
/// Most pieces run through.
const PIECES_MAX: usize = 20_000;

/// Renders a template: `variables` are there under `$name`, and the dot is `dot`.
///
/// # Errors
/// Says what went wrong where a value is of the wrong kind, a query fails, or the text becomes too long.
pub(crate) fn render(
    template: &Template,
    variables: &[(&str, Value)],
    dot: &Value,
    ground: &Ground<'_>,
) -> Result<String, String> {
    let mut known: Vec<(String, Value)> = vec![(String::new(), dot.clone())];
    known.extend(variables.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
    let mut run = Run { variables: known, out: String::new(), pieces: 0, ground };
    run.pieces(&template.0, dot)?;
    Ok(run.out)
}

struct Run<'a> {
    /// The newest last.
    variables: Vec<(String, Value)>,
    out: String,
    pieces: usize,
    ground: &'a Ground<'a>,
}

impl Run<'_> {
    fn pieces(&mut self, pieces: &[Piece], dot: &Value) -> Result<(), String> {
        let known = self.variables.len();
        for piece in pieces {
            self.pieces += 1;
            if self.pieces > PIECES_MAX || self.out.len() > BYTES_MAX {
                return Err("the text becomes too long".to_owned());
            }
            self.piece(piece, dot)?;
        }
        self.variables.truncate(known);
        Ok(())
    }

    fn piece(&mut self, piece: &Piece, dot: &Value) -> Result<(), String> {
        match piece {
            Piece::Plain(text) => self.out.push_str(text),
            Piece::Show(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                if pipeline.takes.is_empty() {
                    self.out.push_str(&plain(&value));
                }
            }
            Piece::If(condition, then, otherwise) => {
                let known = self.variables.len();
                let holds = self.pipeline(condition, dot)?.is_true();
                self.pieces(if holds { then } else { otherwise }, dot)?;
                self.variables.truncate(known);
            }
            Piece::With(condition, then, otherwise) => {
                let known = self.variables.len();
                let value = self.pipeline(condition, dot)?;
                match value.is_true() {
                    true => self.pieces(then, &value)?,
                    false => self.pieces(otherwise, dot)?,
                }
                self.variables.truncate(known);
            }
            Piece::Range(over, each, otherwise) => self.range(over, each, otherwise, dot)?,
        }
        Ok(())
    }

    fn range(&mut self, over: &Pipeline, each: &[Piece], otherwise: &[Piece], dot: &Value) -> Result<(), String> {
        let items: Vec<(Value, Value)> = match self.command_row(over, dot)? {
            Value::List(items) => {
                items.into_iter().enumerate().map(|(at, one)| (Value::Whole(at as i64), one)).collect()
            }
            Value::Map(fields) => fields.into_iter().map(|(name, one)| (Value::Text(name), one)).collect(),
            Value::Nil => Vec::new(),
            other => return Err(format!("a {} cannot be ranged over", other.kind())),
        };
        if items.is_empty() {
            return self.pieces(otherwise, dot);
        }
        let known = self.variables.len();
        for (key, item) in items {
            match over.takes.as_slice() {
                [] => {}
                [one] => self.variables.push((one.clone(), item.clone())),
                [first, second, ..] => {
                    self.variables.push((first.clone(), key));
                    self.variables.push((second.clone(), item.clone()));
                }
            }
            self.pieces(each, &item)?;
            self.variables.truncate(known);
        }
        Ok(())
    }

    fn pipeline(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let value = self.command_row(pipeline, dot)?;
        for name in &pipeline.takes {
            if pipeline.declares {
                self.variables.push((name.clone(), value.clone()));
                continue;
            }
            let known = self.variables.iter_mut().rev().find(|(known, _)| known == name);
            known.ok_or_else(|| format!("there is no ${name}"))?.1 = value.clone();
        }
        Ok(value)
    }

    fn command_row(&mut self, pipeline: &Pipeline, dot: &Value) -> Result<Value, String> {
        let mut handed: Option<Value> = None;
        for command in &pipeline.commands {
            handed = Some(self.command(command, handed, dot)?);
        }
        Ok(handed.unwrap_or(Value::Nil))
    }

    fn command(&mut self, command: &[Operand], handed: Option<Value>, dot: &Value) -> Result<Value, String> {
        let [first, rest @ ..] = command else { return Err("a command is missing".to_owned()) };
        if let Operand::Function(name) = first {
            let mut arguments = rest.iter().map(|one| self.operand(one, dot)).collect::<Result<Vec<_>, _>>()?;
            arguments.extend(handed);
            return functions::call(name, &arguments, self.ground).map_err(|what| format!("{name}: {what}"));
        }
        match rest.is_empty() && handed.is_none() {
            true => self.operand(first, dot),
            false => Err("only functions take arguments".to_owned()),
        }
    }

    fn operand(&mut self, operand: &Operand, dot: &Value) -> Result<Value, String> {
        let (value, fields) = match operand {
            Operand::Constant(value) => return Ok(value.clone()),
            Operand::Function(name) => return functions::call(name, &[], self.ground),
            Operand::Dot(fields) => (dot.clone(), fields),
            Operand::Variable(name, fields) => {
                let known = self.variables.iter().rev().find(|(known, _)| known == name);
                (known.ok_or_else(|| format!("there is no ${name}"))?.1.clone(), fields)
            }
            Operand::Nested(pipeline, fields) => (self.pipeline(pipeline, dot)?, fields),
        };
        fields.iter().try_fold(value, |value, name| value.field(name))
    }
}
