//! Several PTX texts as one tree.

use crate::ptx::ast::{Base, Function, Linkage, Module as Tree, Operand, Symbol, Variable};
use std::collections::{HashMap, HashSet};

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
}
