//! Instructions that move the program counter, or wait.

use super::code::{Action, Barrier, Call, Formal, Kind, Target};
use super::lowering::{Driver, Named};
use crate::isa::{Class, Lower, Lowering, Modifiers, Refusal, destination, predicate, source};
use crate::ptx::ast::{Instruction, Operand, Parameter, Prototype, Symbol};
use crate::ptx::types::Type;
use crate::state::registers::{PredicateSlot, Slot};

/// Lowers an instruction if it is one of these.
pub fn lower(i: &Instruction, cx: &mut Driver<'_>) -> Option<Lowering<(Kind, Class)>> {
    let mut modifiers = Modifiers::new(i);
    Some(match i.opcode.as_str() {
        "bra" => branch(i, &mut modifiers, cx),
        "brx" => table(i, &mut modifiers, cx),
        "call" => {
            modifiers.flag("uni");
            call(i, cx).map(|kind| (kind, Class::Call))
        }
        "ret" => {
            modifiers.flag("uni");
            Ok((Kind::Return, Class::Branch))
        }
        "exit" => Ok((Kind::Exit, Class::Branch)),
        "trap" | "brkpt" => Ok((Kind::Trap, Class::Branch)),
        "bar" | "barrier" => barrier(i, &mut modifiers, cx),
        "alloca" | "stacksave" | "stackrestore" => super::stack::lower(i, &mut modifiers, cx),
        "nanosleep" => {
            modifiers.flag("u32");
            Ok((Kind::Yield, Class::Other))
        }
        "griddepcontrol" => {
            modifiers.one_of(&[("launch_dependents", ()), ("wait", ())]);
            Ok((Kind::Yield, Class::Other))
        }
        "pmevent" => {
            modifiers.flag("mask");
            Ok((Kind::Yield, Class::Other))
        }
        _ => return None,
    })
    .map(|lowered| {
        let lowered = lowered?;
        modifiers.finish()?;
        Ok(lowered)
    })
}

fn operands<const N: usize>(i: &Instruction) -> Lowering<&[Operand; N]> {
    i.operands
        .as_slice()
        .try_into()
        .map_err(|_| Refusal(format!("{} operands where {N} should stand", i.operands.len())))
}

fn branch(i: &Instruction, modifiers: &mut Modifiers<'_>, cx: &Driver<'_>) -> Lowering<(Kind, Class)> {
    modifiers.flag("uni");
    match operands(i)? {
        [Operand::Label(target)] if *target <= cx.body().instructions.len() => {
            Ok((Kind::Branch(*target), Class::Branch))
        }
        _ => Err(Refusal("the target is not a label".to_string())),
    }
}

fn table(i: &Instruction, modifiers: &mut Modifiers<'_>, cx: &mut Driver<'_>) -> Lowering<(Kind, Class)> {
    if !modifiers.flag("idx") {
        return Err(Refusal("only brx.idx exists".to_string()));
    }
    modifiers.flag("uni");
    let [index, Operand::BranchTargets(table)] = operands(i)? else {
        return Err(Refusal("the second operand is not a table of branch targets".to_string()));
    };
    let targets = cx.body().branch_targets.get(*table).cloned().unwrap_or_default();
    if targets.iter().any(|&target| target > cx.body().instructions.len()) {
        return Err(Refusal("a target beyond the end of the function".to_string()));
    }
    Ok((Kind::Table { index: source(cx, index)?, targets: targets.into() }, Class::Branch))
}

fn barrier(i: &Instruction, modifiers: &mut Modifiers<'_>, cx: &mut Driver<'_>) -> Lowering<(Kind, Class)> {
    if i.opcode == "bar" && modifiers.flag("warp") {
        if !modifiers.flag("sync") {
            return Err(Refusal("bar.warp needs .sync".to_string()));
        }
        let [mask] = operands(i)?;
        return Ok((Kind::WarpBarrier(source(cx, mask)?), Class::Barrier));
    }
    modifiers.flag("cta");
    let word = modifiers.word();
    let reduction = if word == Some("red") { modifiers.word() } else { None };
    // `bar` is `barrier` with `.aligned`.
    let aligned = modifiers.flag("aligned") | (i.opcode == "bar");
    let all = i.operands.as_slice();
    let (action, rest) = match (word, reduction, all) {
        (Some("sync"), _, rest) => (Action::Wait, rest),
        (Some("arrive"), _, rest) => (Action::Arrive, rest),
        (Some("red"), Some("popc"), [out, rest @ .., p]) => {
            if !modifiers.flag("u32") {
                return Err(Refusal("popc gives .u32".to_string()));
            }
            (Action::Count { out: destination(cx, out)?, predicate: predicate(cx, p)? }, rest)
        }
        (Some("red"), Some(word @ ("and" | "or")), [out, rest @ .., p]) => {
            if !modifiers.flag("pred") {
                return Err(Refusal(format!("{word} gives .pred")));
            }
            let (out, _) = predicate(cx, out)?;
            (Action::Vote { all: word == "and", out, predicate: predicate(cx, p)? }, rest)
        }
        _ => return Err(Refusal("a barrier that does not exist".to_string())),
    };
    let (index, count) = match rest {
        [index] => (source(cx, index)?, None),
        [index, count] => (source(cx, index)?, Some(source(cx, count)?)),
        _ => return Err(Refusal("a barrier takes its number and at most a count".to_string())),
    };
    if matches!(action, Action::Arrive) && count.is_none() {
        return Err(Refusal("arrive needs a count".to_string()));
    }
    Ok((Kind::Barrier(Box::new(Barrier { index, count, aligned, action })), Class::Barrier))
}

/// The forms: `(returns), target, (arguments), prototype or targets`, of which all but the target may be absent.
fn call(i: &Instruction, cx: &mut Driver<'_>) -> Lowering<Kind> {
    let mut rest = i.operands.as_slice();
    let list = |rest: &mut &[Operand]| match rest {
        [Operand::List(all), tail @ ..] => {
            let all = all.clone();
            *rest = tail;
            all
        }
        _ => Vec::new(),
    };
    let returned = list(&mut rest);
    let Some((target, tail)) = rest.split_first() else {
        return Err(Refusal("a call of nothing".to_string()));
    };
    rest = tail;
    let passed = list(&mut rest);
    match (target, rest) {
        (Operand::Symbol { symbol: Symbol::Module(name), offset: 0 }, []) => {
            direct(name, &passed, &returned, cx)
        }
        (_, kinds) => indirect(target, kinds, &passed, &returned, cx),
    }
}

/// Bytes of a parameter; predicates have none.
fn bytes_of(parameter: &Parameter) -> u64 {
    match parameter {
        Parameter::Memory(variable) => variable.bytes() as u64,
        Parameter::Register { ty, .. } => ty.bytes() as u64,
    }
}

fn direct(name: &str, passed: &[Operand], returned: &[Operand], cx: &mut Driver<'_>) -> Lowering<Kind> {
    let target = match cx.names.module.get(name) {
        Some(Named::Function(index)) => *index,
        Some(Named::Builtin(builtin)) => {
            let arguments = actuals(passed, None, cx)?;
            let returns = actuals(returned, None, cx)?;
            return Ok(Kind::Call(Box::new(Call { target: Target::Builtin(*builtin), arguments, returns })));
        }
        _ => return Err(Refusal(format!("{name} is not a function of this module"))),
    };
    let function = &cx.names.functions[target];
    if function.is_kernel {
        return Err(Refusal(format!("{name} is a kernel, not a function")));
    }
    cx.calls.push(target);
    let arguments = actuals(passed, Some(&function.parameters), cx)?;
    let returns = actuals(returned, Some(&function.returns), cx)?;
    Ok(Kind::Call(Box::new(Call { target: Target::Function(target), arguments, returns })))
}

fn indirect(
    pointer: &Operand,
    kinds: &[Operand],
    passed: &[Operand],
    returned: &[Operand],
    cx: &mut Driver<'_>,
) -> Lowering<Kind> {
    let (mut allowed, mut prototype): (Option<Box<[usize]>>, Option<Prototype>) = (None, None);
    for kind in kinds {
        match kind {
            Operand::Prototype(i) => prototype = cx.body().prototypes.get(*i).cloned(),
            Operand::CallTargets(i) => {
                let names = cx.body().call_targets.get(*i).cloned().unwrap_or_default();
                let mut indices = Vec::new();
                for name in &names {
                    match cx.names.module.get(name.as_str()) {
                        Some(Named::Function(index)) => indices.push(*index),
                        _ => return Err(Refusal(format!("{name} is not a function of this module"))),
                    }
                }
                cx.calls.extend(&indices);
                if let Some(&first) = indices.first() {
                    let function = &cx.names.functions[first];
                    prototype = Some(Prototype {
                        returns: function.returns.clone(),
                        parameters: function.parameters.clone(),
                    });
                }
                allowed = Some(indices.into());
            }
            other => return Err(Refusal(format!("{other:?} is neither a prototype nor a list of targets"))),
        }
    }
    let Some(prototype) = prototype else {
        return Err(Refusal("a call through a pointer needs a prototype or a list of targets".to_string()));
    };
    let narrow = match pointer {
        Operand::Register(r) => cx.body().registers.get(*r).is_some_and(|r| r.ty.bits() == 32),
        _ => false,
    };
    // Where a pointer of 32 bits lies is noted with the type of a long one: `narrow` says which it is.
    let pointer = if narrow { Slot::new(source::<u32>(cx, pointer)?.row) } else { source(cx, pointer)? };
    cx.calls_pointers = true;
    let arguments = actuals(passed, Some(&prototype.parameters), cx)?;
    let returns = actuals(returned, Some(&prototype.returns), cx)?;
    Ok(Kind::Call(Box::new(Call {
        target: Target::Pointer { pointer, narrow, allowed },
        arguments,
        returns,
    })))
}

/// The actual parameters, which must fit the formal ones where those are known.
fn actuals(all: &[Operand], formals: Option<&[Parameter]>, cx: &mut Driver<'_>) -> Lowering<Vec<Formal>> {
    if formals.is_some_and(|f| f.len() != all.len()) {
        return Err(Refusal(format!(
            "{} parameters where {} are declared",
            all.len(),
            formals.map_or(0, <[_]>::len)
        )));
    }
    let mut out = Vec::with_capacity(all.len());
    for (i, operand) in all.iter().enumerate() {
        let formal = formals.map(|f| &f[i]);
        let actual = match operand {
            Operand::Register(r) => cx.in_register(*r)?,
            Operand::Symbol { symbol, offset: 0 } => match cx.in_frame(symbol) {
                Some(actual) => actual,
                None => constant(operand, formal, cx)?,
            },
            _ => constant(operand, formal, cx)?,
        };
        if let Some(formal) = formal
            && !fits(&actual, formal)
        {
            return Err(Refusal(format!("parameter {i} is not as declared")));
        }
        out.push(actual);
    }
    Ok(out)
}

/// An immediate or an address as a parameter.
fn constant(operand: &Operand, formal: Option<&Parameter>, cx: &mut Driver<'_>) -> Lowering<Formal> {
    if formal.map_or(8, bytes_of) <= 4 {
        Ok(Formal::Row { row: source::<u32>(cx, operand)?.row, rows: 1 })
    } else {
        Ok(Formal::Row { row: source::<u64>(cx, operand)?.row, rows: 2 })
    }
}

fn fits(actual: &Formal, formal: &Parameter) -> bool {
    match (actual, formal) {
        (Formal::Predicate(PredicateSlot(_)), Parameter::Register { ty, .. }) => *ty == Type::Pred,
        (Formal::Memory { bytes, .. }, _) => *bytes == bytes_of(formal),
        (Formal::Row { rows, .. }, _) => *rows == (bytes_of(formal) as usize).div_ceil(4),
        (Formal::Predicate(_), Parameter::Memory(_)) => false,
    }
}
