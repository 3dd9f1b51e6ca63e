//! JSON objects as structs: each property with its name, its type, and its place for messages.

use crate::error::{Error, Result};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};

/// The place of a value in the document: `linux.namespaces[2].type`.
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

    /// An error about what stands here.
    pub fn error(&self, what: impl fmt::Display) -> Error {
        match self.parent {
            Some(_) => Error::new(format!("{self}: {what}")),
            None => Error::new(what.to_string()),
        }
    }

    /// The error about a value that should be a `wanted`: `a list`.
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

/// What can be read from a property's value and written as one.
pub trait Json: Sized {
    fn read(value: &Value, at: &At<'_>) -> Result<Self>;

    /// `None`: the property is left out.
    fn write(&self) -> Option<Value>;

    /// What a property that is missing (or null) means.
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
        items.iter().enumerate().map(|(number, item)| T::read(item, &at.item(number))).collect()
    }

    fn write(&self) -> Option<Value> {
        (!self.is_empty()).then(|| self.iter().filter_map(T::write).collect())
    }

    fn missing(_: &At<'_>) -> Result<Self> {
        Ok(Vec::new())
    }
}

impl<T: Json> Json for BTreeMap<String, T> {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let members = members(value, at)?;
        members.iter().map(|(name, value)| Ok((name.clone(), T::read(value, &at.member(name))?))).collect()
    }

    fn write(&self) -> Option<Value> {
        let one = |(name, value): (&String, &T)| Some((name.clone(), value.write()?));
        (!self.is_empty()).then(|| Value::Object(self.iter().filter_map(one).collect()))
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
        // No string of the kernel's can hold one.
        if text.contains('\0') {
            return Err(at.error("holds a NUL character"));
        }
        Ok(text.to_owned())
    }

    fn write(&self) -> Option<Value> {
        Some(self.as_str().into())
    }
}

/// What programs are given: any bytes but NUL. Those that are no text, which JSON cannot hold, stand as `{"hex": "ff"}`.
impl Json for OsString {
    fn read(value: &Value, at: &At<'_>) -> Result<Self> {
        let Some(digits) = value.get("hex").and_then(Value::as_str) else {
            return String::read(value, at).map(OsString::from);
        };
        let pairs = digits.as_bytes().chunks(2);
        let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok().filter(|byte| *byte != 0);
        let bytes: Option<Vec<u8>> = pairs.map(byte).collect();
        bytes.map(OsString::from_vec).ok_or_else(|| at.error("holds no bytes in hexadecimal digits"))
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
                let wide = value.as_i64().map(i128::from).or(value.as_u64().map(i128::from));
                let fits = wide.and_then(|wide| <$number>::try_from(wide).ok());
                let range = || format!("a whole number from {} to {}", <$number>::MIN, <$number>::MAX);
                fits.ok_or_else(|| at.is_not(value, &range()))
            }

            fn write(&self) -> Option<Value> {
                Some((*self).into())
            }
        }
    )*};
}
numbers!(u16, u32, u64, i32, i64);

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

/// The property `name`, read.
pub fn get<T: Json>(object: &Map<String, Value>, name: &str, at: &At<'_>) -> Result<T> {
    let at = at.member(name);
    match object.get(name) {
        None | Some(Value::Null) => T::missing(&at),
        Some(value) => T::read(value, &at),
    }
}

/// Those of the properties `names` that are there.
pub fn kept(object: &Map<String, Value>, names: &[&str]) -> Map<String, Value> {
    let is_there = |name: &&&str| object.get(**name).is_some_and(|value| !value.is_null());
    names.iter().filter(is_there).map(|name| ((*name).to_owned(), object[*name].clone())).collect()
}

/// Structs whose fields are properties, and how they are read and written. One that is missing has all of its
/// properties missing. `keeps` lists properties that are kept as JSON and not looked at.
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
                #[doc = concat!("Kept and not looked at: ", $($unread, " "),*)]
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
                    let value = $crate::container::document::object::Json::write(&self.$field);
                    value.map(|value| object.insert($property.to_owned(), value));
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

/// Enums whose values are strings of the specification. `what` ends a message: `a namespace`.
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
