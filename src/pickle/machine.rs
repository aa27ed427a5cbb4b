//! The stack machine: opcodes of Python's `pickletools`, protocols 0 to 5, as far as a value needs them.

use super::fault::{Fault, Step, Trouble, trouble};
use super::input::Input;
use super::object::{Global, Id, Made, Object, Pickle};
use super::text::{MAX_LINE, latin1};
use std::collections::HashMap;
use std::sync::Arc;

/// First byte of every pickle since protocol 2.
pub(crate) const PROTO: u8 = 0x80;
/// Most values of one pickle, and most entries of its memo: a state dict needs a few dozen per tensor, a log of a loss per
/// step five per step.
const MAX_OBJECTS: usize = 1 << 24;

/// Reads the pickle at the start of `bytes`; also returns how many bytes it takes.
pub(crate) fn read(bytes: &[u8]) -> Result<(Pickle, usize), Fault> {
    let mut machine = Machine::new(bytes);
    match machine.run() {
        Ok(root) => Ok((Pickle { objects: machine.objects, root }, machine.input.at)),
        Err(Trouble { expected, found, ended }) => {
            Err(Fault { at: machine.opcode_at, expected, found, ended })
        }
    }
}

struct Machine<'a> {
    input: Input<'a>,
    /// Start of the opcode being run.
    opcode_at: usize,
    objects: Vec<Object>,
    stack: Vec<Id>,
    /// Heights of the stack at which marks were set.
    marks: Vec<usize>,
    memo: HashMap<u32, Id>,
    /// Items of dicts that were copied out of lists.
    copied: usize,
    /// Characters of texts that were looked through to make bytes of them.
    encoded: usize,
    /// Names of Python code, each once however often it is used.
    globals: HashMap<(String, String), Arc<Global>>,
}

impl<'a> Machine<'a> {
    fn new(bytes: &'a [u8]) -> Self {
        Machine {
            input: Input { bytes, at: 0 },
            opcode_at: 0,
            objects: Vec::new(),
            stack: Vec::new(),
            marks: Vec::new(),
            memo: HashMap::new(),
            copied: 0,
            encoded: 0,
            globals: HashMap::new(),
        }
    }

    /// Runs to the STOP opcode and returns the value on top of the stack.
    fn run(&mut self) -> Step<Id> {
        loop {
            self.opcode_at = self.input.at;
            match self.input.byte()? {
                PROTO => {
                    let version = self.input.byte()?;
                    if version > 5 {
                        return Err(trouble("pickle protocol 0 to 5", version.to_string()));
                    }
                }
                0x95 => drop(self.input.take(8)?), // FRAME: a length that only helps buffered readers
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
                    let value = i32::from_le_bytes(self.input.array()?);
                    self.push(Object::Int(value.into()))?;
                }
                b'K' => {
                    let value = self.input.byte()?;
                    self.push(Object::Int(value.into()))?;
                }
                b'M' => {
                    let value = u16::from_le_bytes(self.input.array()?);
                    self.push(Object::Int(value.into()))?;
                }
                0x8a => {
                    let length = self.input.byte()?.into();
                    self.long(length)?;
                }
                0x8b => {
                    let length = u32::from_le_bytes(self.input.array()?).into();
                    self.long(length)?;
                }
                // Lines of text, of protocols 0 and 1.
                b'I' | b'L' => {
                    let value = self.input.integer()?;
                    self.push(value)?;
                }
                b'F' => {
                    let value = self.input.number()?;
                    self.push(Object::Float(value))?;
                }
                b'S' => {
                    let value = self.input.quoted()?;
                    self.push_old_string(value)?;
                }
                b'V' => {
                    let value = self.input.unicode()?;
                    self.push(Object::Str(value))?;
                }
                b'G' => {
                    let value = f64::from_be_bytes(self.input.array()?);
                    self.push(Object::Float(value))?;
                }

                0x8c => {
                    let length = self.input.byte()?.into();
                    self.text(length)?;
                }
                b'X' => {
                    let length = u32::from_le_bytes(self.input.array()?).into();
                    self.text(length)?;
                }
                0x8d => {
                    let length = u64::from_le_bytes(self.input.array()?);
                    self.text(length)?;
                }
                b'U' => {
                    let length = self.input.byte()?.into();
                    self.old_string(length)?;
                }
                b'T' => {
                    let length = u32::from_le_bytes(self.input.array()?).into();
                    self.old_string(length)?;
                }
                b'C' => {
                    let length = self.input.byte()?.into();
                    self.byte_string(length)?;
                }
                b'B' => {
                    let length = u32::from_le_bytes(self.input.array()?).into();
                    self.byte_string(length)?;
                }
                0x8e | 0x96 => {
                    let length = u64::from_le_bytes(self.input.array()?);
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
                0x8f => self.push(Object::List(Vec::new()))?, // EMPTY_SET
                0x90 => {
                    // ADDITEMS
                    let items = self.pop_to_mark()?;
                    self.extend_list(items)?;
                }
                0x91 => {
                    // FROZENSET
                    let items = self.pop_to_mark()?;
                    self.push(Object::List(items))?;
                }

                b'p' => {
                    let index = self.input.number()?;
                    self.memoize(index)?;
                }
                b'q' => {
                    let index = self.input.byte()?.into();
                    self.memoize(index)?;
                }
                b'r' => {
                    let index = u32::from_le_bytes(self.input.array()?);
                    self.memoize(index)?;
                }
                0x94 => self.memoize(self.memo.len() as u32)?, // within u32: the memo's size is limited
                b'g' => {
                    let index = self.input.number()?;
                    self.recall(index)?;
                }
                b'h' => {
                    let index = self.input.byte()?.into();
                    self.recall(index)?;
                }
                b'j' => {
                    let index = u32::from_le_bytes(self.input.array()?);
                    self.recall(index)?;
                }

                b'c' => {
                    let module = self.input.line()?;
                    let name = self.input.line()?;
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
                b'i' => {
                    // INST: a class of Python 2, its arguments down to the mark
                    let module = self.input.line()?;
                    let name = self.input.line()?;
                    let arguments = self.pop_to_mark()?;
                    self.global(module, name)?;
                    self.push(Object::Tuple(arguments))?;
                    let arguments = self.pop()?;
                    let callee = self.pop()?;
                    self.call(callee, arguments)?;
                }
                b'o' => {
                    // OBJ: as INST, the class on the stack
                    let mut items = self.pop_to_mark()?.into_iter();
                    let callee = items.next().ok_or_else(|| trouble("a class", "none"))?;
                    self.push(Object::Tuple(items.collect()))?;
                    let arguments = self.pop()?;
                    self.call(callee, arguments)?;
                }
                b'b' => self.build()?,
                b'P' => {
                    let id = self.input.line()?.to_owned();
                    self.push(Object::Str(id))?;
                    let id = self.pop()?;
                    self.push(Object::Persistent(id))?;
                }
                b'Q' => {
                    let id = self.pop()?;
                    self.push(Object::Persistent(id))?;
                }
                other => return Err(trouble("a pickle opcode of torch.save", format!("byte {other:#04x}"))),
            }
        }
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

    fn get(&self, id: Id) -> &Object {
        &self.objects[id as usize]
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
        let bytes = self.input.take(length)?;
        if bytes.len() > size_of::<i64>() {
            return self.push(Object::Long(bytes.to_vec()));
        }
        let sign = if bytes.last().is_some_and(|&last| last >= 0x80) { 0xff } else { 0 };
        let mut wide = [sign; size_of::<i64>()];
        wide[..bytes.len()].copy_from_slice(bytes);
        self.push(Object::Int(i64::from_le_bytes(wide)))
    }

    fn text(&mut self, length: u64) -> Step<()> {
        let bytes = self.input.take(length)?;
        // Python writes halves of surrogate pairs, as in the names of files that are no UTF-8.
        self.push(Object::Str(String::from_utf8_lossy(bytes).into_owned()))
    }

    fn old_string(&mut self, length: u64) -> Step<()> {
        let bytes = self.input.take(length)?;
        self.push_old_string(bytes.to_vec())
    }

    /// Python 2's `str`, which may be text or bytes.
    fn push_old_string(&mut self, bytes: Vec<u8>) -> Step<()> {
        self.push(
            String::from_utf8(bytes).map_or_else(|error| Object::Bytes(error.into_bytes()), Object::Str),
        )
    }

    fn byte_string(&mut self, length: u64) -> Step<()> {
        let bytes = self.input.take(length)?;
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
            Object::Made(made) => made.list.extend(items),
            _ => return Err(trouble("a list to append to", "another value")),
        }
        Ok(())
    }

    fn set_items(&mut self, items: Vec<Id>) -> Step<()> {
        let (pairs, rest) = items.as_chunks::<2>();
        if !rest.is_empty() {
            return Err(trouble("keys and values in pairs", "a key without a value"));
        }
        let pairs = pairs.iter().map(|&[key, value]| (key, value));
        match self.top()? {
            Object::Dict(dict) => dict.extend(pairs),
            Object::Made(made) => made.items.extend(pairs),
            _ => return Err(trouble("a dict to set items of", "another value")),
        }
        Ok(())
    }

    fn global(&mut self, module: &str, name: &str) -> Step<()> {
        let (module, name) = (module.to_owned(), name.to_owned());
        let known = self.globals.entry((module, name));
        let (module, name) = known.key();
        let global = Arc::new(Global { module: module.clone(), name: name.clone() });
        let global = known.or_insert(global).clone();
        self.push(Object::Global(global))
    }

    fn stack_global(&mut self) -> Step<()> {
        let ids = [self.pop()?, self.pop()?];
        let [Object::Str(name), Object::Str(module)] = ids.map(|id| self.get(id)) else {
            return Err(trouble("a module and a name", "other values"));
        };
        if name.len().max(module.len()) > MAX_LINE {
            return Err(trouble(format!("a name of at most {MAX_LINE} bytes"), "a longer one"));
        }
        let (module, name) = (module.clone(), name.clone());
        self.global(&module, &name)
    }

    /// What a call gives. Nothing is called: dicts, and bytes that Python 3 writes as text for Python 2, are built
    /// from the arguments, of everything else it is noted what would have been called.
    fn call(&mut self, callee: Id, arguments: Id) -> Step<()> {
        let Object::Tuple(given) = self.get(arguments) else {
            return Err(trouble("a tuple of arguments", "another value"));
        };
        let first = given.first().map(|&id| self.get(id));
        let made = match self.get(callee) {
            Object::Global(global) => match (global.module.as_str(), global.name.as_str()) {
                ("collections", "OrderedDict" | "defaultdict") => match first {
                    Some(Object::List(pairs)) => {
                        let pairs = self.pairs(pairs)?;
                        self.copied += pairs.len();
                        Some(Object::Dict(pairs))
                    }
                    _ => Some(Object::Dict(Vec::new())),
                },
                ("_codecs", "encode") => match first {
                    // A text that is encoded again and again stays a note, and is looked through no more.
                    Some(Object::Str(text)) if self.encoded <= self.input.bytes.len() => {
                        let length = text.chars().count();
                        let once = self.encoded + length <= self.input.bytes.len();
                        let encoded = if once { latin1(text).map(Object::Bytes) } else { None };
                        self.encoded += length;
                        encoded
                    }
                    _ => None,
                },
                _ => None,
            },
            _ => None,
        };
        let noted = Made { callee, arguments, items: Vec::new(), list: Vec::new(), state: None };
        self.push(made.unwrap_or_else(|| Object::Made(Box::new(noted))))
    }

    /// The items of a dict from a list of pairs, as Python 2 hands them to `OrderedDict`. This is the one
    /// place where values multiply, so what it has copied in all is limited as the values are.
    fn pairs(&self, pairs: &[Id]) -> Step<Vec<(Id, Id)>> {
        if self.copied + pairs.len() > MAX_OBJECTS {
            return Err(trouble(format!("at most {MAX_OBJECTS} items"), "more"));
        }
        let pair = |&id: &Id| match self.get(id) {
            Object::List(pair) | Object::Tuple(pair) => <[Id; 2]>::try_from(&pair[..]).ok(),
            _ => None,
        };
        let items: Option<Vec<[Id; 2]>> = pairs.iter().map(pair).collect();
        let items = items.ok_or_else(|| trouble("pairs of key and value", "another value"))?;
        Ok(items.into_iter().map(|[key, value]| (key, value)).collect())
    }

    /// Sets an object's attributes: noted for what a call made, of no use for a dict or list.
    fn build(&mut self) -> Step<()> {
        let state = self.pop()?;
        match self.top()? {
            Object::Made(made) => made.state = Some(state),
            Object::Dict(_) | Object::List(_) => {}
            _ => return Err(trouble("an object that has attributes", "another value")),
        }
        Ok(())
    }
}
