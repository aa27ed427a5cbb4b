//! Linking: several PTX texts as one module.

use super::error::{Code, Result};
use super::handles::{Registry, lock};
use super::host;
use super::image::{self, REGISTERS, SEPARATOR};
use super::module::{LoadOptions, file, parse};
use super::sys::{Handle, In, Out, Text};
use crate::ptx::ast::{Base, Function, Linkage, Module as Tree, Operand, Symbol, Variable};
use std::collections::{HashMap, HashSet};
use std::sync::Mutex;

/// A link under way.
pub struct Link {
    load_options: LoadOptions,
    texts: Mutex<Vec<String>>,
    /// What `cuLinkComplete` gave a pointer to.
    linked: Mutex<Option<Vec<u8>>>,
}

pub static LINKS: Registry<Link> = Registry::new(11);

/// `CUjitInputType`.
const CUBIN: i32 = 0;
const PTX: i32 = 1;
const FAT_BINARY: i32 = 2;
const LIBRARY: i32 = 4;
/// The device runtime, of which the emulator has its own.
const DEVICE_RUNTIME: &str = "cudadevrt";
const DEVICE_RUNTIME_PTX: &str = include_str!("device_runtime.ptx");

/// One tree of several: a name that is private to its text stays apart, a declaration gives way to a definition.
pub fn merge(mut trees: Vec<Tree>) -> std::result::Result<Tree, String> {
    let Some(mut merged) = trees.pop() else { return Err("there is nothing to link".to_string()) };
    if trees.is_empty() {
        return Ok(merged);
    }
    trees.push(merged.clone());
    merged.variables.clear();
    merged.functions.clear();
    let mut taken: HashSet<String> = HashSet::new();
    for tree in &trees {
        let variables = tree.variables.iter().filter(|v| v.linkage != Linkage::Internal).map(|v| &v.name);
        let functions = tree.functions.iter().filter(|f| !is_private(f)).map(|f| &f.name);
        taken.extend(variables.chain(functions).cloned());
    }
    for (number, mut tree) in trees.into_iter().enumerate() {
        rename(&mut tree, number, &mut taken);
        merged.version = merged.version.max(tree.version);
        merged.target = merged.target.max(tree.target);
        if merged.address_size != tree.address_size {
            return Err("texts of 32 and of 64 bits cannot be linked".to_string());
        }
        for variable in tree.variables {
            add_variable(&mut merged.variables, variable)?;
        }
        for function in tree.functions {
            add_function(&mut merged.functions, function)?;
        }
    }
    Ok(merged)
}

fn is_private(function: &Function) -> bool {
    function.linkage == Linkage::Internal && !function.is_kernel
}

fn add_variable(all: &mut Vec<Variable>, new: Variable) -> std::result::Result<(), String> {
    let Some(old) = all.iter_mut().find(|v| v.name == new.name) else {
        all.push(new);
        return Ok(());
    };
    match (old.linkage, new.linkage) {
        (_, Linkage::Extern) | (_, Linkage::Weak) => {}
        (Linkage::Extern | Linkage::Weak, _) => *old = new,
        (Linkage::Common, Linkage::Common) => {
            if new.bytes() > old.bytes() {
                *old = new;
            }
        }
        (Linkage::Common, _) => *old = new,
        (_, Linkage::Common) => {}
        _ => return Err(format!("the variable {} is defined twice", new.name)),
    }
    Ok(())
}

fn add_function(all: &mut Vec<Function>, new: Function) -> std::result::Result<(), String> {
    let Some(old) = all.iter_mut().find(|f| f.name == new.name) else {
        all.push(new);
        return Ok(());
    };
    match (old.body.is_some(), new.body.is_some()) {
        (_, false) => {}
        (false, true) => *old = new,
        (true, true) if new.linkage == Linkage::Weak => {}
        (true, true) if old.linkage == Linkage::Weak => *old = new,
        (true, true) => return Err(format!("the function {} is defined twice", new.name)),
    }
    Ok(())
}

/// Gives private names that others use too a number.
fn rename(tree: &mut Tree, number: usize, taken: &mut HashSet<String>) {
    let variables = tree.variables.iter().filter(|v| v.linkage == Linkage::Internal).map(|v| v.name.clone());
    let functions = tree.functions.iter().filter(|f| is_private(f)).map(|f| f.name.clone());
    let mut names = HashMap::new();
    for name in variables.chain(functions) {
        if taken.contains(&name) {
            let mut fresh = format!("{name}${number}");
            while taken.contains(&fresh) {
                fresh.push('$');
            }
            taken.insert(fresh.clone());
            names.insert(name, fresh);
        } else {
            taken.insert(name);
        }
    }
    if names.is_empty() {
        return;
    }
    let change = |name: &mut String| {
        if let Some(fresh) = names.get(name) {
            name.clone_from(fresh);
        }
    };
    for variable in &mut tree.variables {
        change(&mut variable.name);
        change_initial(variable, &change);
    }
    for function in &mut tree.functions {
        change(&mut function.name);
        let Some(body) = &mut function.body else { continue };
        for variable in &mut body.variables {
            change_initial(variable, &change);
        }
        body.call_targets.iter_mut().flatten().for_each(&change);
        for instruction in &mut body.instructions {
            instruction.operands.iter_mut().for_each(|o| change_operand(o, &change));
        }
    }
}

fn change_initial(variable: &mut Variable, change: &impl Fn(&mut String)) {
    for address in &mut variable.initial.addresses {
        change(&mut address.name);
    }
}

fn change_operand(operand: &mut Operand, change: &impl Fn(&mut String)) {
    match operand {
        Operand::Address { base: Base::Symbol(Symbol::Module(name)), .. }
        | Operand::Symbol { symbol: Symbol::Module(name), .. } => change(name),
        Operand::Vector(all) | Operand::List(all) | Operand::Bracketed(all) => {
            all.iter_mut().for_each(|o| change_operand(o, change));
        }
        Operand::Pair(first, second) => {
            change_operand(first, change);
            change_operand(second, change);
        }
        _ => {}
    }
}

impl Link {
    fn by_handle(handle: Handle) -> Result<std::sync::Arc<Link>> {
        super::device::driver()?;
        LINKS.get(handle).ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not a link")))
    }

    /// Adds texts, after a trial whether they can be read.
    fn add(&self, kind: i32, name: &str, texts: impl FnOnce() -> Result<Vec<String>>) -> Result {
        let added =
            match kind {
                LIBRARY if name.contains(DEVICE_RUNTIME) => Ok(vec![DEVICE_RUNTIME_PTX.to_string()]),
                PTX | FAT_BINARY => texts(),
                CUBIN | 3..=LIBRARY => Err(Code::NO_BINARY_FOR_GPU
                    .because("machine code cannot be linked; the emulator runs PTX only")),
                _ => Err(Code::INVALID_VALUE.because(format!("there is no input of kind {kind}"))),
            };
        let checked = added.and_then(|texts| {
            for text in &texts {
                parse(std::slice::from_ref(text), None)?;
            }
            Ok(texts)
        });
        self.load_options.finish(checked.as_ref().err())?;
        let mut all = lock(&self.texts);
        for text in checked? {
            if text != DEVICE_RUNTIME_PTX || !all.contains(&text) {
                all.push(text);
            }
        }
        Ok(())
    }
}

api! {
    fn cuLinkCreate_v2(count: u32, options: In<i32>, values: Out<usize>, link: Out<Handle>) {
        super::context::Context::current()?;
        let load_options = LoadOptions::from_options(count, options, values)?;
        if link.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
        }
        link.set(LINKS.insert(Link { load_options, texts: Mutex::default(), linked: Mutex::default() }))
    }

    fn cuLinkAddData_v2(
        link: Handle,
        kind: i32,
        data: In<u8>,
        bytes: usize,
        name: Text,
        _count: u32,
        _options: In<i32>,
        _values: In<usize>,
    ) {
        Link::by_handle(link)?.add(kind, &name.get_or_empty(), || {
            if bytes > 1 << 30 {
                return Err(Code::INVALID_VALUE.because(format!("{bytes} bytes of code")));
            }
            let mut code = vec![0; bytes];
            host::read(data.address(), &mut code)?;
            image::of(&code)
        })
    }

    fn cuLinkAddFile_v2(
        link: Handle,
        kind: i32,
        name: Text,
        _count: u32,
        _options: In<i32>,
        _values: In<usize>,
    ) {
        Link::by_handle(link)?.add(kind, &name.get_or_empty(), || file(name))
    }

    /// The result is no machine code but PTX, which `cuModuleLoadData` and `cuLibraryLoadData` take. It lives until
    /// `cuLinkDestroy`.
    fn cuLinkComplete(link: Handle, code: Out<*const u8>, bytes: Out<usize>) {
        let link = Link::by_handle(link)?;
        let texts = lock(&link.texts).clone();
        let merged = parse(&texts, link.load_options.max_registers);
        link.load_options.finish(merged.as_ref().err())?;
        merged?;
        let mut linked = lock(&link.linked);
        let image = linked.get_or_insert_with(|| {
            let limit = link.load_options.max_registers.map(|n| format!("{REGISTERS}{n}\n"));
            let mut image = format!("{}{}", limit.unwrap_or_default(), texts.join(SEPARATOR)).into_bytes();
            image.push(0);
            image
        });
        code.set(image.as_ptr())?;
        bytes.set_if_wanted(image.len());
        Ok(())
    }

    fn cuLinkDestroy(link: Handle) {
        Link::by_handle(link)?;
        LINKS.remove(link);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAD: &str = ".version 8.0\n.target sm_80\n.address_size 64\n";

    fn merged(texts: &[&str]) -> std::result::Result<Tree, String> {
        merge(texts.iter().map(|t| crate::ptx::parse(&format!("{HEAD}{t}")).unwrap()).collect())
    }

    #[test]
    fn declarations_give_way_to_definitions() {
        let caller = ".extern .global .u32 cell;\n.extern .func f();\n\
            .visible .entry k() { .reg .b32 %r; ld.global.u32 %r, [cell]; call f; ret; }";
        let callee = ".visible .global .u32 cell = 3;\n.visible .func f() { ret; }";
        for texts in [[caller, callee], [callee, caller]] {
            let tree = merged(&texts).unwrap();
            assert_eq!(tree.functions.len(), 2);
            assert!(tree.functions.iter().all(|f| f.body.is_some()));
            assert_eq!(tree.variables.len(), 1);
            assert_ne!(tree.variables[0].linkage, Linkage::Extern);
        }
    }

    #[test]
    fn private_names_stay_apart() {
        let text = |kernel: &str| {
            format!(
                ".global .u32 own = 1;\n.func helper() {{ ret; }}\n.visible .entry {kernel}() \
                 {{ .reg .b32 %r; ld.global.u32 %r, [own+4]; call helper; ret; }}"
            )
        };
        let tree = merged(&[&text("a"), &text("b")]).unwrap();
        assert_eq!((tree.variables.len(), tree.functions.len()), (2, 4));
        let base = |kernel: &str| {
            let function = tree.functions.iter().find(|f| f.name == kernel).unwrap();
            let operands = function.body.as_ref().unwrap().instructions.iter().flat_map(|i| &i.operands);
            let names: Vec<String> = operands
                .filter_map(|o| match o {
                    Operand::Address { base: Base::Symbol(Symbol::Module(name)), .. }
                    | Operand::Symbol { symbol: Symbol::Module(name), .. } => Some(name.clone()),
                    _ => None,
                })
                .collect();
            names
        };
        let (a, b) = (base("a"), base("b"));
        assert_eq!((a.len(), b.len()), (2, 2));
        for (x, y) in a.iter().zip(&b) {
            assert_ne!(x, y);
            let known = |n: &String| {
                tree.variables.iter().any(|v| v.name == *n) || tree.functions.iter().any(|f| f.name == *n)
            };
            assert!(known(x) && known(y), "{x} {y}");
        }
    }

    #[test]
    fn two_definitions_are_refused_unless_weak() {
        let plain = ".visible .func f() { ret; }";
        let weak = ".weak .func f() { ret; }";
        assert!(merged(&[plain, plain]).unwrap_err().contains("the function f is defined twice"));
        assert_eq!(merged(&[weak, plain]).unwrap().functions[0].linkage, Linkage::Visible);
        assert_eq!(merged(&[plain, weak, weak]).unwrap().functions.len(), 1);
        assert!(merged(&[]).is_err());
    }

    #[test]
    fn the_device_runtime_can_be_read() {
        let tree = crate::ptx::parse(DEVICE_RUNTIME_PTX).unwrap();
        assert_eq!(tree.functions.len(), 2);
    }
}
