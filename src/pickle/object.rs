//! The values of a pickle: an arena of Python's plain values, and notes of the calls that would have made others.

use std::sync::Arc;

/// Index of a value in its pickle.
pub(crate) type Id = u32;

/// A finished pickle.
pub(crate) struct Pickle {
    pub(super) objects: Vec<Object>,
    pub(super) root: Id,
}

/// A Python value.
pub(crate) enum Object {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: little-endian two's complement.
    Long(Vec<u8>),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    /// A list, or a set.
    List(Vec<Id>),
    /// Items in the order they were set; of equal keys the last counts. `OrderedDict` and `defaultdict` too.
    Dict(Vec<(Id, Id)>),
    /// The name of a class or function.
    Global(Arc<Global>),
    /// What lies outside the pickle, by its id.
    Persistent(Id),
    Made(Box<Made>),
}

/// The name of a class or function.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Global {
    pub(crate) module: String,
    pub(crate) name: String,
}

/// An object that Python would have made by a call, as it was described.
pub(crate) struct Made {
    /// What would have been called, mostly a [`Object::Global`].
    pub(crate) callee: Id,
    /// The tuple of its arguments.
    pub(crate) arguments: Id,
    /// Items that were set, of an object that is a dict.
    pub(crate) items: Vec<(Id, Id)>,
    /// Items that were appended, of an object that is a list.
    pub(crate) list: Vec<Id>,
    /// What its attributes were set from, mostly a dict.
    pub(crate) state: Option<Id>,
}

impl Pickle {
    pub(crate) fn root(&self) -> Id {
        self.root
    }

    pub(crate) fn get(&self, id: Id) -> &Object {
        &self.objects[id as usize]
    }

    /// All values, in the order they were made.
    pub(crate) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The value as text, if it is one.
    pub(crate) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Str(text) => Some(text),
            _ => None,
        }
    }

    /// A text, also as the bytes that Python 2 wrote.
    pub(crate) fn any_text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Str(text) => Some(text),
            Object::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
            _ => None,
        }
    }

    /// The items of a dict, or of an object that is one.
    pub(crate) fn items(&self, id: Id) -> Option<&[(Id, Id)]> {
        match self.get(id) {
            Object::Dict(items) => Some(items),
            Object::Made(made) if !made.items.is_empty() => Some(&made.items),
            _ => None,
        }
    }

    /// The items of a list or tuple, or of an object that is one.
    pub(crate) fn list(&self, id: Id) -> Option<&[Id]> {
        match self.get(id) {
            Object::List(list) | Object::Tuple(list) => Some(list),
            Object::Made(made) if !made.list.is_empty() => Some(&made.list),
            _ => None,
        }
    }

    /// The class or function by whose call the value would have been made, and the arguments.
    pub(crate) fn call(&self, id: Id) -> Option<(&Global, &[Id])> {
        let Object::Made(made) = self.get(id) else { return None };
        match (self.get(made.callee), self.get(made.arguments)) {
            (Object::Global(global), Object::Tuple(arguments)) => Some((global, arguments)),
            _ => None,
        }
    }

    /// What an error calls the value: `a dict`, or of an object its class.
    pub(crate) fn describe(&self, id: Id) -> String {
        match self.get(id) {
            Object::None => "None",
            Object::Bool(_) => "a bool",
            Object::Int(_) | Object::Long(_) => "an int",
            Object::Float(_) => "a float",
            Object::Str(_) => "a text",
            Object::Bytes(_) => "bytes",
            Object::Tuple(_) => "a tuple",
            Object::List(_) => "a list",
            Object::Dict(_) => "a dict",
            Object::Global(_) => "a Python type or function",
            Object::Persistent(_) => "a value outside the pickle",
            Object::Made(_) => {
                let class = self.class(id);
                return class.map_or("a Python object".to_owned(), |class| format!("a `{class}`"));
            }
        }
        .to_owned()
    }

    /// The full name of the class of an object, safe to print.
    pub(crate) fn class(&self, id: Id) -> Option<String> {
        let (global, arguments) = self.call(id)?;
        // `copyreg._reconstructor(class, base, state)` and `copyreg.__newobj__(class, …)` make a `class`.
        let global = match (global.module.as_str(), arguments.first().map(|&first| self.get(first))) {
            ("copyreg" | "copy_reg", Some(Object::Global(class))) => class,
            _ => global,
        };
        Some(format!("{}.{}", global.module.escape_debug(), global.name.escape_debug()))
    }
}
