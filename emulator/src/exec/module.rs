//! Modules: PTX that is loaded onto a device.

use super::code::{Builtin, Code, FunctionCode, SharedVariable, function_address};
use super::device::{Device, limits};
use super::lower::{Refused, lower};
use super::lowering::{Named, Names, parameter_layout};
use crate::memory::CONST_WINDOW;
use crate::ptx::ast::{Function, Linkage, Module as Tree, Symbol, Variable};
use crate::ptx::types::Space;
use crate::ptx::{ParseError, parse};
use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

/// Why a module cannot be loaded.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum LoadError {
    /// The text is not PTX.
    #[error("PTX line {line}: {message}")]
    Syntax { line: u32, message: String },
    /// An instruction that this device does not run.
    #[error("PTX line {line}, in {function}: {instruction}: {reason}")]
    Refused { function: String, line: u32, instruction: String, reason: String },
    /// A variable that has no place, or a wrong initialiser.
    #[error("PTX line {line}, variable {name}: {reason}")]
    Variable { name: String, line: u32, reason: String },
    /// A function or variable that is declared and used, but nowhere defined.
    #[error("{0} is declared, but not defined")]
    Unresolved(String),
    /// No memory for the module's variables.
    #[error("out of memory: {0} bytes for a variable")]
    OutOfMemory(u64),
}

impl From<Refused> for LoadError {
    fn from(refused: Refused) -> Self {
        let Refused { function, line, instruction, reason } = refused;
        LoadError::Refused { function, line, instruction, reason }
    }
}

/// A module on a device. Dropping it frees its variables.
pub struct Module {
    pub(super) device: Arc<Device>,
    pub(super) code: Code,
    /// Constant memory as the text initialises it, and where on the device it lies, so that the host can write it.
    constants: Vec<u8>,
    constants_address: u64,
    pub(super) kernels: Vec<KernelInfo>,
    globals: HashMap<String, Global>,
    owned: Vec<u64>,
}

/// A variable that the host can reach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Global {
    /// Its address on the device. (Kernels reach constants through a window of their own.)
    pub address: u64,
    pub bytes: u64,
    pub space: Space,
}

/// What is known of a kernel before it runs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KernelInfo {
    pub name: String,
    pub(super) function: usize,
    /// Byte offset and size of each parameter.
    pub parameters: Vec<(u64, u64)>,
    /// Bytes of all parameters.
    pub parameter_bytes: u64,
    /// Shared memory that it and its functions declare.
    pub static_shared: u32,
    /// Alignment of the dynamic part, and where it begins.
    pub dynamic_start: u32,
    /// Local memory per thread.
    pub local_bytes: u64,
    /// `.maxntid`, `.reqntid`, `.minnctapersm`, `.maxnreg`.
    pub max_threads: Option<[u32; 3]>,
    pub required_threads: Option<[u32; 3]>,
    pub min_blocks: Option<u32>,
    pub max_registers: Option<u32>,
    /// Registers of 32 bits that are alive at once, at most: what a compiler would need without spilling, about.
    pub live_registers: u32,
    /// PTX version and target: 80 for 8.0.
    pub ptx_version: u32,
    pub target: u32,
    /// Address of each shared variable of the module in this kernel's block.
    pub(super) shared: Vec<u64>,
}

impl fmt::Debug for Module {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Module").field("kernels", &self.kernels).field("globals", &self.globals).finish()
    }
}

impl Drop for Module {
    fn drop(&mut self) {
        for &address in &self.owned {
            self.device.memory().free(address);
        }
    }
}

impl Module {
    /// Reads a PTX text, lowers it and allocates its variables.
    pub fn load(device: &Arc<Device>, ptx: &str) -> Result<Module, LoadError> {
        let tree = parse(ptx).map_err(|ParseError { line, message }| LoadError::Syntax { line, message })?;
        Module::from_tree(device, &tree)
    }

    /// Lowers a tree and allocates its variables.
    pub fn from_tree(device: &Arc<Device>, tree: &Tree) -> Result<Module, LoadError> {
        let mut module = Module {
            device: device.clone(),
            code: Code { functions: Vec::new(), shared: Vec::new() },
            constants: Vec::new(),
            constants_address: 0,
            kernels: Vec::new(),
            globals: HashMap::new(),
            owned: Vec::new(),
        };
        let names = module.place(tree)?;
        module.initialize(tree, &names)?;
        module.upload_constants()?;
        let mut ids = 0;
        for (index, function) in tree.functions.iter().enumerate() {
            let code = match function.body {
                Some(_) => lower(&names, index, &mut ids)?,
                None => FunctionCode::absent(),
            };
            module.code.functions.push(code);
        }
        for (index, function) in tree.functions.iter().enumerate() {
            if function.is_kernel && function.body.is_some() {
                let info = module.kernel_info(index, function, tree)?;
                module.kernels.push(info);
            }
        }
        Ok(module)
    }

    /// The kernels, in the order of the text.
    pub fn kernels(&self) -> &[KernelInfo] {
        &self.kernels
    }

    /// A variable in global or constant memory.
    pub fn global(&self, name: &str) -> Option<Global> {
        self.globals.get(name).copied()
    }

    /// Gives all variables their addresses and resolves names.
    fn place<'t>(&mut self, tree: &'t Tree) -> Result<Names<'t>, LoadError> {
        let mut names = Names {
            functions: &tree.functions,
            target: tree.target,
            module: HashMap::new(),
            locals: vec![HashMap::new(); tree.functions.len()],
        };
        for variable in &tree.variables {
            if let Some(named) = self.place_variable(variable)? {
                if let Named::Fixed(address, space) = named {
                    let global = Global { address, bytes: variable.bytes() as u64, space };
                    self.globals.insert(variable.name.clone(), global);
                }
                names.module.insert(&variable.name, named);
            }
        }
        for (index, function) in tree.functions.iter().enumerate() {
            let named = match (&function.body, Builtin::named(&function.name)) {
                (Some(body), _) => {
                    for (i, variable) in body.variables.iter().enumerate() {
                        if let Some(named) = self.place_variable(variable)? {
                            names.locals[index].insert(i, named);
                        }
                    }
                    Named::Function(index)
                }
                (None, Some(builtin)) => Named::Builtin(builtin),
                // An error if it is used.
                (None, None) => continue,
            };
            names.module.insert(&function.name, named);
        }
        for function in &tree.functions {
            for symbol in symbols(function) {
                if !names.module.contains_key(symbol) {
                    return Err(LoadError::Unresolved(symbol.to_string()));
                }
            }
        }
        Ok(names)
    }

    /// `None` for variables of frames, and for those that are defined elsewhere.
    fn place_variable(&mut self, variable: &Variable) -> Result<Option<Named>, LoadError> {
        let refuse = |reason: &str| {
            let (name, line, reason) = (variable.name.clone(), variable.line, reason.to_string());
            LoadError::Variable { name, line, reason }
        };
        let bytes = variable.bytes() as u64;
        let is_extern = variable.linkage == Linkage::Extern;
        if !variable.align.is_power_of_two() || variable.align > 1 << 16 {
            return Err(refuse("its alignment is not a power of two up to 65536"));
        }
        Ok(match variable.space {
            Space::Shared => {
                let dynamic = is_extern || variable.elements.is_none();
                self.code.shared.push(SharedVariable { bytes, align: variable.align as u64, dynamic });
                Some(Named::Shared(self.code.shared.len() - 1))
            }
            Space::Global | Space::Const if is_extern => None,
            Space::Global => {
                let address =
                    self.device.memory().allocate(bytes.max(1)).ok_or(LoadError::OutOfMemory(bytes))?;
                self.owned.push(address);
                Some(Named::Fixed(address, Space::Global))
            }
            Space::Const => {
                let start = self.constants.len().next_multiple_of(variable.align.max(1));
                let end = start as u64 + bytes;
                if end > limits::CONSTANT {
                    return Err(refuse("constant memory is full"));
                }
                self.constants.resize(end as usize, 0);
                Some(Named::Fixed(start as u64, Space::Const))
            }
            Space::Local | Space::Param | Space::Generic => None,
        })
    }

    fn initialize(&mut self, tree: &Tree, names: &Names<'_>) -> Result<(), LoadError> {
        for variable in &tree.variables {
            if let Some(&named) = names.module.get(variable.name.as_str()) {
                self.initialize_variable(variable, named, names)?;
            }
        }
        for (function, locals) in tree.functions.iter().zip(&names.locals) {
            for (i, variable) in function.body.iter().flat_map(|b| &b.variables).enumerate() {
                if let Some(&named) = locals.get(&i) {
                    self.initialize_variable(variable, named, names)?;
                }
            }
        }
        Ok(())
    }

    fn initialize_variable(
        &mut self,
        variable: &Variable,
        named: Named,
        names: &Names<'_>,
    ) -> Result<(), LoadError> {
        let Named::Fixed(address, space) = named else { return Ok(()) };
        let refuse = |reason: String| {
            let (name, line) = (variable.name.clone(), variable.line);
            LoadError::Variable { name, line, reason }
        };
        let size = variable.bytes();
        let mut bytes = vec![0; size];
        let initial = &variable.initial;
        let Some(head) = bytes.get_mut(..initial.bytes.len()) else {
            return Err(refuse("its initialiser is longer than itself".to_string()));
        };
        head.copy_from_slice(&initial.bytes);
        for element in &initial.addresses {
            let target = match names.module.get(element.name.as_str()) {
                Some(Named::Fixed(address, Space::Const)) if element.generic => CONST_WINDOW + address,
                Some(Named::Fixed(address, _)) => *address,
                Some(Named::Function(index)) => function_address(*index),
                Some(Named::Shared(_) | Named::Builtin(_)) => {
                    return Err(refuse(format!(
                        "the address of {} is not known before a launch",
                        element.name
                    )));
                }
                None => return Err(LoadError::Unresolved(element.name.clone())),
            };
            let value = target.wrapping_add_signed(element.offset) >> element.shift.min(63);
            let end = element.at.checked_add(element.size);
            let place = end.and_then(|end| bytes.get_mut(element.at..end));
            let (Some(place), 1..=8) = (place, element.size) else {
                return Err(refuse("its initialiser has an address that does not fit".to_string()));
            };
            place.copy_from_slice(&value.to_le_bytes()[..element.size]);
        }
        if space == Space::Const {
            self.constants[address as usize..][..size].copy_from_slice(&bytes);
        } else if !self.device.memory().write(address, &bytes) {
            return Err(refuse("its memory cannot be written".to_string()));
        }
        Ok(())
    }

    /// Gives constants a place on the device.
    fn upload_constants(&mut self) -> Result<(), LoadError> {
        if self.constants.is_empty() {
            return Ok(());
        }
        let bytes = self.constants.len() as u64;
        let memory = self.device.memory();
        let address = memory.allocate(bytes).ok_or(LoadError::OutOfMemory(bytes))?;
        self.owned.push(address);
        memory.write(address, &self.constants);
        self.constants_address = address;
        for global in self.globals.values_mut().filter(|g| g.space == Space::Const) {
            global.address += address;
        }
        Ok(())
    }

    /// Bytes of constant memory.
    pub fn constant_bytes(&self) -> u32 {
        self.constants.len() as u32
    }

    /// What constant memory holds now.
    pub(super) fn constants(&self) -> Vec<u8> {
        let mut bytes = self.constants.clone();
        if !bytes.is_empty() {
            self.device.memory().read(self.constants_address, &mut bytes);
        }
        bytes
    }

    /// All functions that a kernel can reach, itself first.
    fn reachable(&self, kernel: usize) -> Vec<usize> {
        let mut seen = vec![false; self.code.functions.len()];
        let (mut found, mut next) = (vec![kernel], 0);
        seen[kernel] = true;
        while let Some(&index) = found.get(next) {
            next += 1;
            for &callee in &self.code.functions[index].calls {
                if !std::mem::replace(&mut seen[callee], true) {
                    found.push(callee);
                }
            }
        }
        // A pointer may come from a table in memory: then it can lead to any function.
        if found.iter().any(|&f| self.code.functions[f].calls_pointers) {
            found.extend((0..seen.len()).filter(|&f| !seen[f] && !self.code.functions[f].is_kernel));
        }
        found
    }

    /// Bytes of local memory that the calls of a function need at most; `None` where that has no bound.
    fn stack(&self, function: usize, known: &mut [Option<Option<u64>>], depth: u32) -> Option<u64> {
        if depth > 256 {
            return None;
        }
        if let Some(known) = known[function] {
            return known;
        }
        known[function] = Some(None); // whoever meets it again calls itself
        let code = &self.code.functions[function];
        let mut deepest = (!code.calls_pointers && !code.uses_stack).then_some(0);
        for &callee in &code.calls {
            let below = self.stack(callee, known, depth + 1);
            deepest = deepest.zip(below).map(|(a, b): (u64, u64)| a.max(b));
        }
        let total = deepest.map(|d| d + code.frame_bytes);
        known[function] = Some(total);
        total
    }

    fn kernel_info(&self, index: usize, function: &Function, tree: &Tree) -> Result<KernelInfo, LoadError> {
        let refuse = |reason: String| LoadError::Refused {
            function: function.name.clone(),
            line: function.line,
            instruction: ".entry".to_string(),
            reason,
        };
        let (offsets, parameter_bytes) = parameter_layout(&function.parameters).map_err(|r| refuse(r.0))?;
        if parameter_bytes > limits::PARAMETERS {
            return Err(refuse(format!("{parameter_bytes} bytes of parameters")));
        }
        let sizes = function.parameters.iter().map(|p| match p {
            crate::ptx::ast::Parameter::Memory(variable) => variable.bytes() as u64,
            crate::ptx::ast::Parameter::Register { ty, .. } => ty.bytes() as u64,
        });
        let reachable = self.reachable(index);
        let live_registers =
            reachable.iter().map(|&f| self.code.functions[f].first_fill as u32).max().unwrap_or(0);
        let (mut end, mut dynamic_align) = (0u64, 16u64);
        let mut shared = vec![0; self.code.shared.len()];
        let mut used: Vec<usize> =
            reachable.iter().flat_map(|&f| &self.code.functions[f].shared).copied().collect();
        used.sort_unstable();
        used.dedup();
        for &v in &used {
            let variable = &self.code.shared[v];
            if variable.dynamic {
                dynamic_align = dynamic_align.max(variable.align);
                continue;
            }
            shared[v] = end.next_multiple_of(variable.align.max(1));
            end = shared[v] + variable.bytes;
            if end > u64::from(limits::SHARED) {
                return Err(refuse(format!("{end} bytes of shared memory")));
            }
        }
        let dynamic_start = end.next_multiple_of(dynamic_align);
        for &v in used.iter().filter(|&&v| self.code.shared[v].dynamic) {
            shared[v] = dynamic_start;
        }
        let mut known = vec![None; self.code.functions.len()];
        let own = self.code.functions[index].frame_bytes;
        let stack = self.stack(index, &mut known, 0).unwrap_or(own + self.device.settings().stack_bytes);
        if stack > limits::LOCAL {
            return Err(refuse(format!("{stack} bytes of local memory")));
        }
        Ok(KernelInfo {
            name: function.name.clone(),
            function: index,
            parameters: offsets.into_iter().zip(sizes).collect(),
            parameter_bytes,
            static_shared: end as u32,
            dynamic_start: dynamic_start as u32,
            local_bytes: stack,
            max_threads: function.directives.max_threads,
            required_threads: function.directives.required_threads,
            min_blocks: function.directives.min_blocks,
            max_registers: function.directives.max_registers,
            live_registers,
            ptx_version: tree.version.0 * 10 + tree.version.1,
            target: tree.target,
            shared,
        })
    }
}

/// The names of the module that a function uses.
fn symbols(function: &Function) -> Vec<&str> {
    use crate::ptx::ast::{Base, Operand};
    fn visit<'a>(operand: &'a Operand, out: &mut Vec<&'a str>) {
        match operand {
            Operand::Address { base: Base::Symbol(Symbol::Module(name)), .. }
            | Operand::Symbol { symbol: Symbol::Module(name), .. } => out.push(name),
            Operand::Vector(all) | Operand::List(all) | Operand::Bracketed(all) => {
                all.iter().for_each(|o| visit(o, out));
            }
            _ => {}
        }
    }
    let mut out = Vec::new();
    for instruction in function.body.iter().flat_map(|b| &b.instructions) {
        instruction.operands.iter().for_each(|o| visit(o, &mut out));
    }
    out
}
