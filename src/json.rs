//! JSON values, written as JSON. They are read by `serde_json::from_slice` alone: `from_str` is a second parser, of 5 KiB.

use serde_json::{Map, Result, Value};

/// A [`Value`] that looks like itself, as serde_json's macro of this name: but each member of an object is one call,
/// where that one writes down a fifth of a KiB of code in place.
macro_rules! json {
    (null) => { serde_json::Value::Null };
    ({ $($members:tt)* }) => {{
        #[allow(unused_mut)]
        let mut object = serde_json::Map::new();
        $crate::json::json!(@members object $($members)*);
        serde_json::Value::Object(object)
    }};
    ([ $($items:tt)* ]) => {{
        #[allow(unused_mut)]
        let mut list = Vec::<serde_json::Value>::new();
        $crate::json::json!(@items list $($items)*);
        serde_json::Value::Array(list)
    }};
    (@members $object:ident) => {};
    (@members $object:ident $name:tt : { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, Ok($crate::json::json!({ $($inner)* })));
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    (@members $object:ident $name:tt : [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, Ok($crate::json::json!([ $($inner)* ])));
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    (@members $object:ident $name:tt : null $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, Ok(serde_json::Value::Null));
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    (@members $object:ident $name:tt : $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::put(&mut $object, $name, serde_json::to_value(&$value));
        $crate::json::json!(@members $object $($($rest)*)?);
    };
    (@items $list:ident) => {};
    (@items $list:ident { $($inner:tt)* } $(, $($rest:tt)*)?) => {
        $crate::json::add(&mut $list, Ok($crate::json::json!({ $($inner)* })));
        $crate::json::json!(@items $list $($($rest)*)?);
    };
    (@items $list:ident [ $($inner:tt)* ] $(, $($rest:tt)*)?) => {
        $crate::json::add(&mut $list, Ok($crate::json::json!([ $($inner)* ])));
        $crate::json::json!(@items $list $($($rest)*)?);
    };
    (@items $list:ident null $(, $($rest:tt)*)?) => {
        $crate::json::add(&mut $list, Ok(serde_json::Value::Null));
        $crate::json::json!(@items $list $($($rest)*)?);
    };
    (@items $list:ident $value:expr $(, $($rest:tt)*)?) => {
        $crate::json::add(&mut $list, serde_json::to_value(&$value));
        $crate::json::json!(@items $list $($($rest)*)?);
    };
    ($value:expr) => { $crate::json::value(serde_json::to_value(&$value)) };
}
pub(crate) use json;

/// Null for what is no JSON, such as a map whose keys are no strings.
pub fn value(made: Result<Value>) -> Value {
    made.unwrap_or_default()
}

/// Adds a member to an object.
#[inline(never)]
pub fn put(object: &mut Map<String, Value>, name: &str, made: Result<Value>) {
    object.insert(name.to_owned(), value(made));
}

/// Adds an item to a list.
pub fn add(list: &mut Vec<Value>, made: Result<Value>) {
    list.push(value(made));
}

#[cfg(test)]
mod tests {
    use serde_json::json as wanted;

    #[test]
    fn it_is_serde_jsons() {
        let (name, list, none) = ("a".to_owned(), vec![1, 2], None::<u8>);
        macro_rules! both {
            ($($json:tt)*) => {
                assert_eq!(json!($($json)*), wanted!($($json)*))
            };
        }
        both!(null);
        both!({});
        both!([]);
        both!(list.len() + 1);
        both!({ "name": name, "list": list, "none": none, "half": 0.5, "is": list.is_empty() });
        both!({ "deep": { "er": { "x": null, }, "list": [] }, "last": [1, "two", { "three": [null, [4]] }, name.len()] });
        both!({ "text": format!("{name},{}", 1), "if": if list.is_empty() { 1 } else { 2 }, });
        both!([{ "a": 1 }, { "b": [1, 2] }, "c",]);
        // Neither has taken anything.
        assert_eq!((name.as_str(), list.len(), none), ("a", 2, None));
    }
}
