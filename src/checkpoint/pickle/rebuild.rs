//! The names of Python code that a checkpoint may hold, and the values that their calls stand for.

use super::machine::{MAX_GLOBAL, MAX_OBJECTS, Machine};
use super::{Id, Object, Step, Storage, TensorRef, trouble};
use crate::checkpoint::dtype::Dtype;

/// Most dimensions of a tensor.
const MAX_RANK: usize = 8;

/// A name of Python code, as far as it means something here.
#[derive(Clone, Copy)]
pub(in crate::checkpoint) enum Global {
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

impl Machine<'_> {
    pub(super) fn global(&mut self, module: &str, name: &str) -> Step<()> {
        let known = Global::lookup(module, name).ok_or_else(|| {
            trouble(
                "a state dict of plain tensors (nothing in a checkpoint is executed)",
                format!("the Python name `{}.{}`", module.escape_debug(), name.escape_debug()),
            )
        })?;
        self.push(Object::Global(known))
    }

    pub(super) fn stack_global(&mut self) -> Step<()> {
        let ids = [self.pop()?, self.pop()?];
        let [Object::Str(name), Object::Str(module)] = ids.map(|id| self.get(id)) else {
            return Err(trouble("a module and a name", "other values"));
        };
        if name.len().max(module.len()) > MAX_GLOBAL {
            return Err(trouble(format!("a name of at most {MAX_GLOBAL} bytes"), "a longer one"));
        }
        let (module, name) = (module.clone(), name.clone());
        self.global(&module, &name)
    }

    /// What calling a known global gives. Nothing is called: the result is built from the arguments.
    pub(super) fn call(&mut self, callable: Id, arguments: Id) -> Step<()> {
        let global = match self.get(callable) {
            Object::Global(global) => *global,
            other => return Err(trouble("a known rebuild function", other.kind())),
        };
        let Object::Tuple(arguments) = self.get(arguments) else {
            return Err(trouble("a tuple of arguments", self.get(arguments).kind()));
        };
        match global {
            Global::Dict => {
                let pairs = match arguments.first().map(|&id| self.get(id)) {
                    Some(Object::List(pairs)) => self.pairs(pairs)?,
                    _ => Vec::new(),
                };
                self.copied += pairs.len();
                self.push(Object::Dict(pairs))
            }
            Global::Tensor => {
                let tensor = self.tensor(arguments)?;
                self.push(Object::Tensor(tensor))
            }
            // A parameter is its tensor, a size its tuple: the same value once more.
            Global::Parameter => self
                .same(arguments.first().copied(), "a tensor", |object| matches!(object, Object::Tensor(_))),
            Global::Size => {
                self.same(arguments.first().copied(), "a tuple", |object| matches!(object, Object::Tuple(_)))
            }
            Global::Opaque => self.push(Object::Opaque),
            Global::StorageClass(_) => {
                Err(trouble("a storage kept outside the pickle", "one made inside it"))
            }
        }
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

    fn same(&mut self, id: Option<Id>, kind: &str, is_kind: impl Fn(&Object) -> bool) -> Step<()> {
        let id = id.filter(|&id| is_kind(self.get(id))).ok_or_else(|| trouble(kind, "another argument"))?;
        self.stack.push(id);
        Ok(())
    }

    /// Sets an object's attributes, of which none means anything here.
    pub(super) fn build(&mut self) -> Step<()> {
        self.pop()?;
        match self.top()? {
            Object::Dict(_) | Object::Tensor(_) | Object::Opaque => Ok(()),
            other => Err(trouble("an object that has attributes", other.kind())),
        }
    }

    /// A storage from its persistent id: `('storage', class, key, device, elements)`; before PyTorch 1.6
    /// also a sixth item, None or `(view key, offset, elements)`.
    pub(super) fn storage(&self, id: Id) -> Step<Storage> {
        let not_storage = || trouble("the id of a storage", "another value");
        let Object::Tuple(items) = self.get(id) else { return Err(not_storage()) };
        let (&[tag, class, key, _, elements], view) = items.split_first_chunk().ok_or_else(not_storage)?;
        let (Object::Str(tag), Object::Str(_)) = (self.get(tag), self.get(key)) else {
            return Err(not_storage());
        };
        if tag != "storage" {
            return Err(not_storage());
        }
        let Object::Global(Global::StorageClass(dtype)) = *self.get(class) else {
            return Err(trouble("a storage class", self.get(class).kind()));
        };
        let offset = match view.first().map(|&view| self.get(view)) {
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
            return Err(trouble(
                "storage, offset, size and stride",
                format!("{} arguments", arguments.len()),
            ));
        };
        let Object::Storage(storage) = *self.get(storage) else {
            return Err(trouble("a storage", self.get(storage).kind()));
        };
        let (shape, strides) = (self.sizes(shape)?, self.sizes(strides)?);
        if shape.len() != strides.len() {
            return Err(trouble(format!("{} strides", shape.len()), strides.len().to_string()));
        }
        Ok(TensorRef { storage, offset: self.size(offset)?, shape, strides })
    }

    fn sizes(&self, id: Id) -> Step<Vec<usize>> {
        match self.get(id) {
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
        match self.get(id) {
            Object::Int(value) => {
                usize::try_from(*value).map_err(|_| trouble("a size that is not negative", value.to_string()))
            }
            other => Err(trouble("a size", other.kind())),
        }
    }
}
