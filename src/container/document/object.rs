//! JSON objects as structs. Each property has a name and a type, and messages name its path.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The path of a value in the document: `linux.namespaces[2].type`.
pub struct At<'a> {
    parent: Option<&'a At<'a>>,
    step: Step<'a>,
}

enum Step<'a> {
    Member(&'a str),
    Item(usize),
}

impl At<'_> {
    pub const TOP: At<'static> = At { parent: None, step: Step::Member("") };

    pub fn member<'b>(&'b self, name: &'b str) -> At<'b> {
        At { parent: Some(self), step: Step::Member(name) }
    }

    pub fn item(&self, at: usize) -> At<'_> {
        At { parent: Some(self), step: Step::Item(at) }
    }

    /// An error about the value at this path.
    pub fn error(&self, what: impl fmt::Display) -> Error {
        match self.parent {
            Some(_) => Error::new(format_args!("{self}: {what}")),
            None => Error::new(what.to_string()),
        }
    }

    /// The error for a value of the wrong type; `wanted`: `a list`.
    pub fn is_not(&self, value: &Value, wanted: &str) -> Error {
        let shown = match value {
            Value::Object(_) => "an object".to_owned(),
            Value::Array(_) => "a list".to_owned(),
            Value::String(text) => format!("'{text}'"),
            other => other.to_string(),
        };
        self.error(format!("{shown} is not {wanted}"))
    }
}

impl fmt::Display for At<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(parent) = self.parent else { return Ok(()) };
        write!(f, "{parent}")?;
        match self.step {
            Step::Item(at) => write!(f, "[{at}]"),
            Step::Member(name) if parent.parent.is_none() => f.write_str(name),
            Step::Member(name) => write!(f, ".{name}"),
        }
    }
}

/// A type that is read from and written to a property's value.
pub trait Json: Sized {
    fn read(value: &Value, at: &At<'_>) -> Result<Self>;

    /// Returns `None` if the property is to be left out.
    fn write(&self) -> Option<Value>;

    /// The value of a property that is missing or null.
    fn missing(at: &At<'_>) -> Result<Self> {
        Err(at.error("is missing"))
    }
}

impl<T: Json> Json for Option<T> {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        T::read(value, at).map(Some)
    }

    fn write(&self) -> Option<Value> {
        self.as_ref().and_then(T::write)
    }

    fn missing(_: &At<'_>) -> Result<Self> {
        Ok(None)
    }
}

impl<T: Json> Json for Vec<T> {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let items = value.as_array().ok_or_else(|| at.is_not(value, "a list"))?;
        let mut all = Vec::with_capacity(items.len());
        for (number, item) in items.iter().enumerate() {
            all.push(T::read(item, &at.item(number))?);
        }
        Ok(all)
    }

    fn write(&self) -> Option<Value> {
        let mut all = Vec::with_capacity(self.len());
        for item in self {
            all.extend(item.write());
        }
        (!self.is_empty()).then_some(Value::Array(all))
    }

    fn missing(_: &At<'_>) -> Result<Self> {
        Ok(Vec::new())
    }
}

impl<T: Json> Json for BTreeMap<String, T> {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let members = members(value, at)?;
        let mut map = BTreeMap::new();
        for (name, value) in members {
            map.insert(name.clone(), T::read(value, &at.member(name))?);
        }
        Ok(map)
    }

    fn write(&self) -> Option<Value> {
        let one = |(name, value): (&String, &T)| Some((name.clone(), value.write()?));
        (!self.is_empty()).then(|| Value::Object(crate::sort::into(self.iter().filter_map(one))))
    }

    fn missing(_: &At<'_>) -> Result<Self> {
        Ok(BTreeMap::new())
    }
}

impl Json for Value {
    fn read(value: &Value, _: &At<'_>) -> Result<Self> {
        Ok(value.clone())
    }

    fn write(&self) -> Option<Value> {
        Some(self.clone())
    }
}

impl Json for String {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let text = value.as_str().ok_or_else(|| at.is_not(value, "a string"))?;
        // The kernel's strings end at a NUL.
        if text.contains('\0') {
            return Err(at.error("holds a NUL character"));
        }
        Ok(text.to_owned())
    }

    fn write(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

/// Arguments, variables and paths: any bytes but NUL. Bytes that are not UTF-8 are written as `{"hex": "ff"}`.
impl Json for OsString {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let Some(digits) = value.get("hex").and_then(Value::as_str) else {
            return String::read(value, at).map(OsString::from);
        };
        let pairs = digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|byte| *byte != 0);
        let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
        bytes.map(OsString::from_vec).ok_or_else(|| at.error("is not a string of hexadecimal bytes"))
    }

    fn write(&self) -> Option<Value> {
        let in_digits = || self.as_bytes().iter().map(|byte| format!("{byte:02x}")).collect::<String>();
        Some(self.to_str().map_or_else(|| serde_json::json!({ "hex": in_digits() }), Value::from))
    }
}

impl Json for bool {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        value.as_bool().ok_or_else(|| at.is_not(value, "true or false"))
    }

    fn write(&self) -> Option<Value> {
        Some((*self).into())
    }
}

macro_rules! numbers {
    ($($number:ty),*) => {$(
        impl Json for $number {
            fn read(value: &Value, at: &At<'_>) -> Result<Self> {
                let wide = whole(value, at, <$number>::MIN as i64, <$number>::MAX as u64)?;
                <$number>::try_from(wide).map_err(|_| at.error("does not fit"))
            }

            fn write(&self) -> Option<Value> {
                Some((*self).into())
            }
        }
    )*};
}
numbers!(u16, u32, u64, i32, i64);

fn whole(value: &Value, at: &At<'_>, least: i64, most: u64) -> Result<i128> {
    let wide = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
    let fits = wide.filter(|wide| (least.into()..=most.into()).contains(wide));
    fits.ok_or_else(|| at.is_not(value, &format!("a whole number from {least} to {most}")))
}

/// An absolute path.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Absolute(pub PathBuf);

impl Json for Absolute {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let text = OsString::read(value, at)?;
        if Path::new(&text).is_absolute() {
            return Ok(Absolute(text.into()));
        }
        Err(at.error(format!("'{}' is not an absolute path", text.display())))
    }

    fn write(&self) -> Option<Value> {
        self.0.as_os_str().to_owned().write()
    }
}

pub fn members<'a>(value: &'a Value, at: &At<'_>) -> Result<&'a Map<String, Value>> {
    value.as_object().ok_or_else(|| at.is_not(value, "an object"))
}

/// Reads the property `name`.
#[inline(never)]
pub fn get<T: Json>(object: &Map<String, Value>, name: &str, at: &At<'_>) -> Result<T> {
    let at = at.member(name);
    match object.get(name) {
        None | Some(Value::Null) => T::missing(&at),
        Some(value) => T::read(value, &at),
    }
}

/// Adds the property `name`, if it is not left out.
#[inline(never)]
pub fn put<T: Json>(object: &mut Map<String, Value>, name: &str, field: &T) {
    if let Some(value) = field.write() {
        crate::json::put(object, name, Ok(value));
    }
}

/// The properties among `names` that are present.
pub fn kept(object: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let is_there = |name: &&&str| object.get(**name).is_some_and(|value| !value.is_null());
    crate::sort::into(names.iter().filter(is_there).map(|name| ((*name).to_owned(), object[*name].clone())))
}

/// Defines structs whose fields are properties, with code to read and write them. A missing object counts as one whose
/// properties are all missing. `keeps` lists properties that are kept as JSON.
macro_rules! object {
    ($(
        $(#[$meta:meta])*
        pub struct $name:ident {
            $($(#[$doc:meta])* $field:ident: $kind:ty = $property:literal,)*
        } $(keeps $kept:ident: [$($unread:literal),*])?
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, PartialEq)]
        pub struct $name {
            $($(#[$doc])* pub $field: $kind,)*
            $(
                #[doc = concat!("Kept as JSON: ", $($unread, " "),*)]
                pub $kept: $crate::container::document::Unread,
            )?
        }

        impl $crate::container::document::object::Json for $name {
            fn read(
                value: &serde_json::Value,
                at: &$crate::container::document::object::At<'_>,
            ) -> $crate::error::Result<Self> {
                let object = $crate::container::document::object::members(value, at)?;
                Ok($name {
                    $($field: $crate::container::document::object::get(object, $property, at)?,)*
                    $($kept: $crate::container::document::object::kept(object, &[$($unread),*]),)?
                })
            }

            fn write(&self) -> Option<serde_json::Value> {
                #[allow(unused_mut)]
                let mut object = serde_json::Map::new();
                $(
                    $crate::container::document::object::put(&mut object, $property, &self.$field);
                )*
                $(
                    object.extend(self.$kept.clone());
                )?
                (!object.is_empty()).then_some(serde_json::Value::Object(object))
            }

            fn missing(at: &$crate::container::document::object::At<'_>) -> $crate::error::Result<Self> {
                Self::read(&serde_json::Value::Object(serde_json::Map::new()), at).map_err(|_| at.error("is missing"))
            }
        }
    )*};
}
pub(in crate::container::document) use object;

/// Defines enums whose values are strings of the specification. `what` names the type in messages: `a namespace`.
macro_rules! words {
    ($(
        $(#[$meta:meta])*
        pub enum $name:ident ($what:literal) { $($(#[$doc:meta])* $case:ident = $word:literal,)* }
    )*) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name { $($(#[$doc])* $case,)* }

        impl $name {
            pub fn word(self) -> &'static str {
                match self { $($name::$case => $word,)* }
            }
        }

        impl $crate::container::document::object::Json for $name {
            fn read(
                value: &serde_json::Value,
                at: &$crate::container::document::object::At<'_>,
            ) -> $crate::error::Result<Self> {
                match value.as_str() {
                    $(Some($word) => Ok($name::$case),)*
                    _ => Err(at.is_not(value, &format!("{} ({})", $what, [$($word),*].join(", ")))),
                }
            }

            fn write(&self) -> Option<serde_json::Value> {
                Some(self.word().into())
            }
        }
    )*};
}
pub(in crate::container::document) use words;
