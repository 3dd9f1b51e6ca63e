//! Does what a template says.

use super::parser::Node;
use super::{Call, Operand, Pipeline, functions};
use crate::error::{Error, Result};
use serde_json::Value;

/// Fields that are maps with any keys; all else are structures, which have the keys that they have.
const MAPS: &[&str] = &[
    "Labels",
    "Annotations",
    "ExposedPorts",
    "Volumes",
    "Data",
    "Networks",
    "Options",
    "PortBindings",
    "Ports",
    "Tmpfs",
];

/// Fields that JSON leaves out or calls null when nothing is in them, and what Go prints then.
const EMPTY: &[(&str, &str)] = &[
    ("Binds", "[]"),
    ("CapAdd", "[]"),
    ("CapDrop", "[]"),
    ("Cmd", "[]"),
    ("Entrypoint", "[]"),
    ("Env", "[]"),
    ("ExposedPorts", "map[]"),
    ("ExtraHosts", "[]"),
    ("GroupAdd", "[]"),
    ("Healthcheck", "<nil>"),
    ("Labels", "map[]"),
    ("OnBuild", "[]"),
    ("Options", "map[]"),
    ("SecurityOpt", "[]"),
    ("Shell", "[]"),
    ("StopSignal", ""),
    ("Tmpfs", "map[]"),
    ("Ulimits", "[]"),
    ("Variant", ""),
    ("Volumes", "map[]"),
];

fn empty(name: &str) -> Option<&'static str> {
    EMPTY.iter().find(|(own, _)| *own == name).map(|(_, text)| *text)
}

/// The text that the nodes make of `value`.
pub fn render(nodes: &[Node], value: &Value) -> Result<String> {
    let mut scope = Scope { variables: vec![(String::new(), value.clone())], text: String::new() };
    scope.nodes(nodes, value)?;
    Ok(scope.text)
}

struct Scope {
    /// The innermost last; the first one is `$`.
    variables: Vec<(String, Value)>,
    text: String,
}

impl Scope {
    /// What is declared in the nodes ends with them.
    fn nodes(&mut self, nodes: &[Node], dot: &Value) -> Result<()> {
        let outer = self.variables.len();
        let done = nodes.iter().try_for_each(|node| self.node(node, dot));
        self.variables.truncate(outer);
        done
    }

    fn node(&mut self, node: &Node, dot: &Value) -> Result<()> {
        match node {
            Node::Text(text) => self.text.push_str(text),
            Node::Print(pipeline) => {
                let value = self.pipeline(pipeline, dot)?;
                match asked(pipeline).and_then(empty).filter(|_| value.is_null()) {
                    Some(text) => self.text.push_str(text),
                    None => self.text.push_str(&functions::shown(&value)),
                }
            }
            Node::Set { name, declare, value } => {
                let value = self.pipeline(value, dot)?;
                match self.variables.iter_mut().rev().find(|(own, _)| own == name) {
                    Some((_, old)) if !declare => *old = value,
                    None if !declare => return Err(Error::new(format_args!("at <${name}>: undefined variable"))),
                    _ => self.variables.push((name.clone(), value)),
                }
            }
            Node::If { condition, then, otherwise } => {
                let condition = functions::is_true(&self.pipeline(condition, dot)?);
                return self.nodes(if condition { then } else { otherwise }, dot);
            }
            Node::With { value, then, otherwise } => {
                let value = self.pipeline(value, dot)?;
                return if functions::is_true(&value) { self.nodes(then, &value) } else { self.nodes(otherwise, dot) };
            }
            Node::Range { variables, over, each, otherwise } => {
                let items: Vec<(Value, Value)> = match self.pipeline(over, dot)? {
                    Value::Null => Vec::new(),
                    Value::Array(items) => items.into_iter().enumerate().map(|(at, v)| (at.into(), v)).collect(),
                    Value::Object(map) => map.into_iter().map(|(key, value)| (key.into(), value)).collect(),
                    other => {
                        return Err(Error::new(format_args!("range can't iterate over {}", functions::shown(&other))));
                    }
                };
                if items.is_empty() {
                    return self.nodes(otherwise, dot);
                }
                for (key, item) in items {
                    let outer = self.variables.len();
                    match &variables[..] {
                        [value] => self.variables.push((value.clone(), item.clone())),
                        [name, value] => {
                            self.variables.extend([(name.clone(), key), (value.clone(), item.clone())]);
                        }
                        _ => {}
                    }
                    let done = self.nodes(each, &item);
                    self.variables.truncate(outer);
                    done?;
                }
            }
        }
        Ok(())
    }

    fn pipeline(&self, pipeline: &Pipeline, dot: &Value) -> Result<Value> {
        let mut result = None;
        for call in pipeline {
            result = Some(self.call(call, result.take(), dot)?);
        }
        Ok(result.unwrap_or_default())
    }

    fn call(&self, call: &Call, piped: Option<Value>, dot: &Value) -> Result<Value> {
        let Some((first, rest)) = call.split_first() else { return Ok(Value::Null) };
        if let Operand::Function(name) = first {
            let mut arguments = rest.iter().map(|operand| self.operand(operand, dot)).collect::<Result<Vec<_>>>()?;
            arguments.extend(piped);
            return functions::call(name, &arguments)
                .map_err(|error| error.context(format_args!("error calling {name}")));
        }
        if !rest.is_empty() || piped.is_some() {
            return Err(Error::new("a value is no function and takes no arguments"));
        }
        self.operand(first, dot)
    }

    fn operand(&self, operand: &Operand, dot: &Value) -> Result<Value> {
        match operand {
            Operand::Dot(names) => field(dot, "", names),
            Operand::Variable(name, names) => {
                let variable = self.variables.iter().rev().find(|(own, _)| own == name);
                let (_, value) =
                    variable.ok_or_else(|| Error::new(format_args!("at <${name}>: undefined variable")))?;
                field(value, &format!("${name}"), names)
            }
            Operand::Literal(value) => Ok(value.clone()),
            Operand::Function(name) => functions::call(name, &[]),
            Operand::Group(pipeline, names) => field(&self.pipeline(pipeline, dot)?, "(…)", names),
        }
    }
}

/// The name of the field, if a pipeline is one and nothing more.
fn asked(pipeline: &Pipeline) -> Option<&str> {
    match pipeline.first().map(Vec::as_slice) {
        Some([Operand::Dot(names) | Operand::Variable(_, names)]) if pipeline.len() == 1 => {
            names.last().map(String::as_str)
        }
        _ => None,
    }
}

/// The field that `names` lead to; `of` is what the template calls the value they begin at.
fn field(value: &Value, of: &str, names: &[String]) -> Result<Value> {
    let mut value = value;
    for (at, name) in names.iter().enumerate() {
        let in_map = at > 0 && names.get(at - 1).is_some_and(|outer| MAPS.contains(&outer.as_str()));
        value = match value.get(name) {
            Some(inner) => inner,
            None if in_map || empty(name).is_some() => &Value::Null,
            None => return Err(Error::new(format_args!("at <{of}.{}>: can't evaluate field {name}", names.join(".")))),
        };
    }
    Ok(value.clone())
}
