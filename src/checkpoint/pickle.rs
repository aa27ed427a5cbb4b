//! Reads the pickles of `torch.save` without Python and without running anything in them.
//!
//! A pickle is a program for a stack machine, and Python's machine lets it call any function. This one
//! builds plain values only. A name of Python code is looked up in [`Global::lookup`]: a handful of rebuild
//! functions have a meaning here, some value types that often lie beside weights become an opaque
//! value, and every other name ends the reading with an error that tells it.
//!
//! Values live in an arena and refer to each other by index, so a value that is used many times costs
//! its memory once, cycles are harmless and nothing recurses. Each byte of input makes at most one value, and
//! their number is limited.

use super::dtype::Dtype;
use super::{Fault, Parsed};
use std::collections::HashMap;

/// First byte of every pickle since protocol 2.
pub(super) const PROTO: u8 = 0x80;
/// Most values of one pickle, and most entries of its memo: a state dict needs a few dozen per tensor.
const MAX_OBJECTS: usize = 1 << 22;
/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;
/// Longest dotted name of Python code.
const MAX_GLOBAL: usize = 256;

/// Index of a value in its pickle.
pub(super) type Id = u32;

/// A finished pickle.
pub(super) struct Pickle {
    objects: Vec<Object>,
    root: Id,
}

/// A Python value.
pub(super) enum Object {
    None,
    Bool(bool),
    Int(i64),
    /// An integer beyond 64 bits: little-endian two's complement.
    Long(Vec<u8>),
    Float(f64),
    Str(String),
    Bytes(Vec<u8>),
    Tuple(Vec<Id>),
    List(Vec<Id>),
    /// Items in the order they were set; of equal keys the last counts.
    Dict(Vec<(Id, Id)>),
    Global(Global),
    Storage(Storage),
    Tensor(TensorRef),
    /// A Python object of a known type that means nothing to us.
    Opaque,
}

/// A name of Python code, as far as it means something here.
#[derive(Clone, Copy)]
pub(super) enum Global {
    /// `collections.OrderedDict` and `defaultdict`: a dict.
    Dict,
    /// `torch._utils._rebuild_tensor` and `_v2`: (storage, offset, size, stride, …).
    Tensor,
    /// `torch._utils._rebuild_parameter` and `_with_state`: (tensor, …).
    Parameter,
    /// `torch.Size`: (tuple,).
    Size,
    /// The class of a typed storage.
    StorageClass(Dtype),
    /// A value type without a meaning here.
    Opaque,
}

/// Where a run of elements lies in the file.
#[derive(Clone, Copy)]
pub(super) struct Storage {
    /// The text that names it.
    pub(super) key: Id,
    pub(super) dtype: Dtype,
    /// Elements that the pickle says it has.
    pub(super) elements: usize,
    /// First element of it, where it is itself a view (PyTorch before 1.6).
    pub(super) offset: usize,
}

/// A tensor: a view of a storage. Offset and strides count elements.
pub(super) struct TensorRef {
    pub(super) storage: Storage,
    pub(super) offset: usize,
    pub(super) shape: Vec<usize>,
    pub(super) strides: Vec<usize>,
}

/// Reads the pickle at the start of `bytes`; also returns how many bytes it takes. `name` is what
/// errors call it, `base` the offset in that from which they count.
pub(super) fn read(bytes: &[u8], name: &str, base: usize) -> Parsed<(Pickle, usize)> {
    let mut machine = Machine::new(bytes);
    match machine.run() {
        Ok(root) => Ok((Pickle { objects: machine.objects, root }, machine.at)),
        Err(Trouble { expected, found }) => {
            Err(Fault::new(format!("{name}, byte {}", base + machine.opcode_at), expected, found))
        }
    }
}

impl Pickle {
    pub(super) fn root(&self) -> &Object {
        self.get(self.root)
    }

    pub(super) fn get(&self, id: Id) -> &Object {
        &self.objects[id as usize]
    }

    /// All values, in the order they were made.
    pub(super) fn objects(&self) -> &[Object] {
        &self.objects
    }

    /// The items of a dict whose keys are texts.
    pub(super) fn items<'a>(&'a self, dict: &'a [(Id, Id)]) -> impl Iterator<Item = (&'a str, &'a Object)> {
        dict.iter().filter_map(|&(key, value)| Some((self.text(key)?, self.get(value))))
    }

    /// The value as text, if it is one.
    pub(super) fn text(&self, id: Id) -> Option<&str> {
        match self.get(id) {
            Object::Str(text) => Some(text),
            _ => None,
        }
    }
}

impl Object {
    /// What an error calls a value of this kind.
    pub(super) fn kind(&self) -> &'static str {
        match self {
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
            Object::Storage(_) => "a storage",
            Object::Tensor(_) => "a tensor",
            Object::Opaque => "a Python object",
        }
    }
}

impl Global {
    fn lookup(module: &str, name: &str) -> Option<Self> {
        Some(match (module, name) {
            ("collections", "OrderedDict" | "defaultdict") => Global::Dict,
            ("torch._utils", "_rebuild_tensor" | "_rebuild_tensor_v2") => Global::Tensor,
            ("torch._utils", "_rebuild_parameter" | "_rebuild_parameter_with_state") => Global::Parameter,
            ("torch", "Size") => Global::Size,
            ("torch", class) if Dtype::from_storage_class(class).is_some() => {
                Global::StorageClass(Dtype::from_storage_class(class)?)
            }
            ("torch", "device" | "dtype") => Global::Opaque,
            ("torch", "float64" | "float32" | "float16" | "bfloat16" | "int64" | "int32") => Global::Opaque,
            ("argparse", "Namespace") | ("datetime", "datetime" | "date" | "timedelta") => Global::Opaque,
            ("collections", "Counter" | "deque") | ("_codecs", "encode") => Global::Opaque,
            ("pathlib" | "pathlib._local", "Path" | "PosixPath" | "PurePosixPath" | "WindowsPath") => {
                Global::Opaque
            }
            (
                "builtins" | "__builtin__",
                "set" | "frozenset" | "dict" | "list" | "tuple" | "int" | "float" | "bool" | "str" | "bytes"
                | "bytearray" | "complex" | "slice" | "range" | "object",
            ) => Global::Opaque,
            ("copy_reg" | "copyreg", "_reconstructor") => Global::Opaque,
            ("numpy", "dtype" | "ndarray" | "float64" | "float32" | "int64" | "bool_") => Global::Opaque,
            ("numpy.core.multiarray" | "numpy._core.multiarray", "scalar" | "_reconstruct") => Global::Opaque,
            (
                "pytorch_lightning.utilities.parsing"
                | "lightning_fabric.utilities.data"
                | "lightning.fabric.utilities.data",
                "AttributeDict",
            ) => Global::Opaque,
            (module, class)
                if ["pytorch_lightning.callbacks.", "lightning.pytorch.callbacks."]
                    .iter()
                    .any(|package| module.starts_with(package))
                    && class.starts_with(|first: char| first.is_ascii_uppercase()) =>
            {
                Global::Opaque
            }
            _ => return None,
        })
    }
}

/// A fault at the current opcode.
struct Trouble {
    expected: String,
    found: String,
}

type Step<T> = Result<T, Trouble>;

fn trouble(expected: impl Into<String>, found: impl Into<String>) -> Trouble {
    Trouble { expected: expected.into(), found: found.into() }
}

struct Machine<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Start of the opcode being run.
    opcode_at: usize,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Machine {
            bytes,
            at: 0,
            opcode_at: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
        }
    }

    /// Runs to the STOP opcode and returns the value on top of the stack. Opcodes as in Python's `pickletools`.
    fn run(&mut self) -> Step<Id> {
        loop {
            self.opcode_at = self.at;
            match self.byte()? {
                PROTO => {
                    let version = self.byte()?;
                    if version > 5 {
                        return Err(trouble("pickle protocol 0 to 5", version.to_string()));
                    }
                }
                0x95 => drop(self.take(8)?), // FRAME: a length that only helps buffered readers
                b'.' => return self.pop(),
                b'(' => self.marks.push(self.stack.len()),
                b'0' => self.pop_or_mark()?,
                b'1' => drop(self.pop_to_mark()?),
                b'2' => {
                    let top = self.pop()?;
                    self.stack.extend([top, top]);
                }

                b'N' => self.push(Object::None)?,
                0x88 => self.push(Object::Bool(true))?,
                0x89 => self.push(Object::Bool(false))?,
                b'J' => {
                    let value = i32::from_le_bytes(self.array()?);
                    self.push(Object::Int(value.into()))?;
                }
                b'K' => {
                    let value = self.byte()?;
                    self.push(Object::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.array()?);
                    self.push(Object::Int(value.into()))?;
                }
                0x8a => {
                    let length = self.byte()?.into();
                    self.long(length)?;
                }
                0x8b => {
                    let length = u32::from_le_bytes(self.array()?).into();
                    self.long(length)?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.array()?);
                    self.push(Object::Float(value))?;
                }

                0x8c => {
                    let length = self.byte()?.into();
                    self.text(length)?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.array()?).into();
                    self.text(length)?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.text(length)?;
                }
                b'U' => {
                    let length = self.byte()?.into();
                    self.old_string(length)?;
                }
                b'T' => {
                    let length = u32::from_le_bytes(self.array()?).into();
                    self.old_string(length)?;
                }
                b'C' => {
                    let length = self.byte()?.into();
                    self.byte_string(length)?;
                }
                b'B' => {
                    let length = u32::from_le_bytes(self.array()?).into();
                    self.byte_string(length)?;
                }
                0x8e | 0x96 => {
                    let length = u64::from_le_bytes(self.array()?);
                    self.byte_string(length)?;
                }

                b')' => self.push(Object::Tuple(Vec::new()))?,
                0x85 => self.tuple(1)?,
                0x86 => self.tuple(2)?,
                0x87 => self.tuple(3)?,
                b't' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::Tuple(items))?;
                }
                b']' => self.push(Object::List(Vec::new()))?,
                b'l' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::List(items))?;
                }
                b'a' => {
                    let item = self.pop()?;
                    self.extend_list(vec![item])?;
                }
                b'e' => {
                    let items = self.pop_to_mark()?;
                    self.extend_list(items)?;
                }
                b'}' => self.push(Object::Dict(Vec::new()))?,
                b'd' => {
                    let items = self.pop_to_mark()?;
                    self.push(Object::Dict(Vec::new()))?;
                    self.set_items(items)?;
                }
                b's' => {
                    let value = self.pop()?;
                    let key = self.pop()?;
                    self.set_items(vec![key, value])?;
                }
                b'u' => {
                    let items = self.pop_to_mark()?;
                    self.set_items(items)?;
                }
                0x8f => self.push(Object::Opaque)?, // EMPTY_SET
                0x90 => {
                    // ADDITEMS
                    let items = self.pop_to_mark()?;
                    self.extend_list(items)?;
                }
                0x91 => {
                    // FROZENSET
                    self.pop_to_mark()?;
                    self.push(Object::Opaque)?;
                }

                b'p' => {
                    let index = self.decimal()?;
                    self.memoize(index)?;
                }
                b'q' => {
                    let index = self.byte()?.into();
                    self.memoize(index)?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.memoize(index)?;
                }
                0x94 => self.memoize(self.memo.len() as u32)?, // within u32: the memo's size is limited
                b'g' => {
                    let index = self.decimal()?;
                    self.recall(index)?;
                }
                b'h' => {
                    let index = self.byte()?.into();
                    self.recall(index)?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.array()?);
                    self.recall(index)?;
                }

                b'c' => {
                    let module = self.line()?;
                    let name = self.line()?;
                    self.global(module, name)?;
                }
                0x93 => self.stack_global()?,
                b'R' | 0x81 => {
                    // REDUCE, NEWOBJ: callable or class, arguments
                    let arguments = self.pop()?;
                    let callable = self.pop()?;
                    self.call(callable, arguments)?;
                }
                0x92 => {
                    // NEWOBJ_EX: class, arguments, keyword arguments
                    self.pop()?;
                    let arguments = self.pop()?;
                    let callable = self.pop()?;
                    self.call(callable, arguments)?;
                }
                b'b' => self.build()?,
                b'Q' => {
                    let id = self.pop()?;
                    let storage = self.storage(id)?;
                    self.push(Object::Storage(storage))?;
                }
                other => return Err(trouble("a pickle opcode of torch.save", format!("byte {other:#04x}"))),
            }
        }
    }

    fn take(&mut self, count: u64) -> Step<&'a [u8]> {
        let rest = &self.bytes[self.at..];
        let taken = usize::try_from(count).ok().and_then(|count| rest.get(..count)).ok_or_else(|| {
            trouble(format!("{count} more bytes of pickle"), format!("{} before its end", rest.len()))
        })?;
        self.at += taken.len();
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Step<[u8; N]> {
        let mut array = [0; N];
        array.copy_from_slice(self.take(N as u64)?);
        Ok(array)
    }

    fn byte(&mut self) -> Step<u8> {
        Ok(self.array::<1>()?[0])
    }

    /// The text up to the next line feed.
    fn line(&mut self) -> Step<&'a str> {
        let rest = &self.bytes[self.at..];
        let end = rest.iter().take(MAX_GLOBAL).position(|&byte| byte == b'\n');
        let end = end.ok_or_else(|| trouble("a short line of text", "no end of line"))?;
        self.at += end + 1;
        std::str::from_utf8(&rest[..end]).map_err(|_| trouble("a line of UTF-8", "other bytes"))
    }

    fn decimal(&mut self) -> Step<u32> {
        let line = self.line()?;
        line.parse().map_err(|_| trouble("a memo index", format!("`{}`", line.escape_debug())))
    }

    fn push(&mut self, object: Object) -> Step<()> {
        if self.objects.len() == MAX_OBJECTS {
            return Err(trouble(format!("at most {MAX_OBJECTS} values"), "more"));
        }
        self.stack.push(self.objects.len() as Id);
        self.objects.push(object);
        Ok(())
    }

    /// The height below which the stack is out of reach: that of the last mark.
    fn floor(&self) -> usize {
        self.marks.last().copied().unwrap_or(0)
    }

    fn pop(&mut self) -> Step<Id> {
        if self.stack.len() <= self.floor() {
            return Err(trouble("a value on the stack", "none"));
        }
        self.stack.pop().ok_or_else(|| trouble("a value on the stack", "none"))
    }

    fn pop_or_mark(&mut self) -> Step<()> {
        if self.stack.len() == self.floor() && self.marks.pop().is_some() {
            return Ok(());
        }
        self.pop().map(drop)
    }

    fn pop_to_mark(&mut self) -> Step<Vec<Id>> {
        let height = self.marks.pop().ok_or_else(|| trouble("a mark on the stack", "none"))?;
        Ok(self.stack.split_off(height))
    }

    fn top(&mut self) -> Step<&mut Object> {
        let top = self.pop()?;
        self.stack.push(top);
        Ok(&mut self.objects[top as usize])
    }

    fn memoize(&mut self, index: u32) -> Step<()> {
        let top = self.pop()?;
        self.stack.push(top);
        if self.memo.len() == MAX_OBJECTS {
            return Err(trouble(format!("at most {MAX_OBJECTS} memo entries"), "more"));
        }
        self.memo.insert(index, top);
        Ok(())
    }

    fn recall(&mut self, index: u32) -> Step<()> {
        let id = self.memo.get(&index).ok_or_else(|| trouble("a memo entry", format!("none at {index}")))?;
        self.stack.push(*id);
        Ok(())
    }

    fn long(&mut self, length: u64) -> Step<()> {
        let bytes = self.take(length)?;
        if bytes.len() > size_of::<i64>() {
            return self.push(Object::Long(bytes.to_vec()));
        }
        let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; size_of::<i64>()];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Object::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, length: u64) -> Step<()> {
        let bytes = self.take(length)?;
        let text = std::str::from_utf8(bytes).map_err(|error| {
            trouble("UTF-8 text", format!("byte {:#04x}", bytes.get(error.valid_up_to()).unwrap_or(&0)))
        })?;
        self.push(Object::Str(text.to_owned()))
    }

    /// Python 2's `str`, which may be text or bytes.
    fn old_string(&mut self, length: u64) -> Step<()> {
        let bytes = self.take(length)?;
        self.push(match std::str::from_utf8(bytes) {
            Ok(text) => Object::Str(text.to_owned()),
            Err(_) => Object::Bytes(bytes.to_vec()),
        })
    }

    fn byte_string(&mut self, length: u64) -> Step<()> {
        let bytes = self.take(length)?;
        self.push(Object::Bytes(bytes.to_vec()))
    }

    fn tuple(&mut self, count: usize) -> Step<()> {
        let mut items = Vec::with_capacity(count);
        for _ in 0..count {
            items.push(self.pop()?);
        }
        items.reverse();
        self.push(Object::Tuple(items))
    }

    fn extend_list(&mut self, items: Vec<Id>) -> Step<()> {
        match self.top()? {
            Object::List(list) => list.extend(items),
            Object::Opaque => {}
            other => return Err(trouble("a list to append to", other.kind())),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Step<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(trouble("keys and values in pairs", "a key without a value"));
        }
        match self.top()? {
            Object::Dict(dict) => dict.extend(pairs.iter().map(|&[key, value]| (key, value))),
            Object::Opaque => {}
            other => return Err(trouble("a dict to set items of", other.kind())),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Step<()> {
        let known = Global::lookup(module, name).ok_or_else(|| {
            trouble(
                "a state dict of plain tensors (nothing in a checkpoint is executed)",
                format!("the Python name `{}.{}`", module.escape_debug(), name.escape_debug()),
            )
        })?;
        self.push(Object::Global(known))
    }

    fn stack_global(&mut self) -> Step<()> {
        let ids = [self.pop()?, self.pop()?];
        let [Object::Str(name), Object::Str(module)] = ids.map(|id| &self.objects[id as usize]) else {
            return Err(trouble("a module and a name", "other values"));
        };
        if name.len().max(module.len()) > MAX_GLOBAL {
            return Err(trouble(format!("a name of at most {MAX_GLOBAL} bytes"), "a longer one"));
        }
        let (module, name) = (module.clone(), name.clone());
        self.global(&module, &name)
    }

    /// What calling a known global gives. Nothing is called: the result is built from the arguments.
    fn call(&mut self, callable: Id, arguments: Id) -> Step<()> {
        let global = match &self.objects[callable as usize] {
            Object::Global(global) => *global,
            other => return Err(trouble("a known rebuild function", other.kind())),
        };
        let Object::Tuple(arguments) = &self.objects[arguments as usize] else {
            return Err(trouble("a tuple of arguments", self.objects[arguments as usize].kind()));
        };
        match global {
            // OrderedDict of Python 2 has its pairs as an argument; a copy that drops them would hide weights.
            Global::Dict if arguments.iter().any(|&id| matches!(self.at_id(id), Object::List(_))) => {
                Err(trouble("an OrderedDict filled item by item", "one made from a list of pairs"))
            }
            Global::Dict => self.push(Object::Dict(Vec::new())),
            Global::Tensor => {
                let tensor = self.tensor(arguments)?;
                self.push(Object::Tensor(tensor))
            }
            // A parameter is its tensor, a size its tuple: the same value once more.
            Global::Parameter => self.same(arguments.first().copied(), "a tensor", |object| {
                matches!(object, Object::Tensor(_))
            }),
            Global::Size => {
                self.same(arguments.first().copied(), "a tuple", |object| matches!(object, Object::Tuple(_)))
            }
            Global::Opaque => self.push(Object::Opaque),
            Global::StorageClass(_) => Err(trouble("a storage kept outside the pickle", "one made inside it")),
        }
    }

    fn at_id(&self, id: Id) -> &Object {
        &self.objects[id as usize]
    }

    fn same(&mut self, id: Option<Id>, kind: &str, is_kind: impl Fn(&Object) -> bool) -> Step<()> {
        let id = id.filter(|&id| is_kind(self.at_id(id))).ok_or_else(|| trouble(kind, "another argument"))?;
        self.stack.push(id);
        Ok(())
    }

    /// Sets an object's attributes, of which none means anything here.
    fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.top()? {
            Object::Dict(_) | Object::Tensor(_) | Object::Opaque => Ok(()),
            other => Err(trouble("an object that has attributes", other.kind())),
        }
    }

    /// A storage from its persistent id: `('storage', class, key, device, elements)`; before PyTorch 1.6 also a
    /// sixth item, None or `(view key, offset, elements)`.
    fn storage(&self, id: Id) -> Step<Storage> {
        let not_storage = || trouble("the id of a storage", "another value");
        let Object::Tuple(items) = self.at_id(id) else { return Err(not_storage()) };
        let (&[tag, class, key, _, elements], view) = items.split_first_chunk().ok_or_else(not_storage)?;
        let (Object::Str(tag), Object::Str(_)) = (self.at_id(tag), self.at_id(key)) else {
            return Err(not_storage());
        };
        if tag != "storage" {
            return Err(not_storage());
        }
        let Object::Global(Global::StorageClass(dtype)) = *self.at_id(class) else {
            return Err(trouble("a storage class", self.at_id(class).kind()));
        };
        let offset = match view.first().map(|&view| self.at_id(view)) {
            Some(Object::Tuple(view)) => match view[..] {
                [_, offset, _] => self.size(offset)?,
                _ => return Err(not_storage()),
            },
            _ => 0,
        };
        Ok(Storage { key, dtype, elements: self.size(elements)?, offset })
    }

    /// A tensor from the arguments of its rebuild function.
    fn tensor(&self, arguments: &[Id]) -> Step<TensorRef> {
        let Some(&[storage, offset, shape, strides]) = arguments.first_chunk() else {
            return Err(trouble("storage, offset, size and stride", format!("{} arguments", arguments.len())));
        };
        let Object::Storage(storage) = *self.at_id(storage) else {
            return Err(trouble("a storage", self.at_id(storage).kind()));
        };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(trouble(format!("{} strides", shape.len()), strides.len().to_string()));
        }
        Ok(TensorRef { storage, offset: self.size(offset)?, shape, strides })
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        match self.at_id(id) {
            Object::Tuple(items) | Object::List(items) if items.len() <= MAX_RANK => {
                items.iter().map(|&id| self.size(id)).collect()
            }
            Object::Tuple(items) | Object::List(items) => {
                Err(trouble(format!("at most {MAX_RANK} dimensions"), items.len().to_string()))
            }
            other => Err(trouble("a tuple of sizes", other.kind())),
        }
    }

    fn size(&self, id: Id) -> Step<usize> {
        match self.at_id(id) {
            Object::Int(value) => usize::try_from(*value)
                .map_err(|_| trouble("a size that is not negative", value.to_string())),
            other => Err(trouble("a size", other.kind())),
        }
    }
}
