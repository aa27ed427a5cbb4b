//! Work that is done: operations of streams and graphs, in a context.

use super::device::driver;
use super::error::{Code, Result};
use super::handles::lock;
use super::objects::context::Context;
use super::objects::graph::Graph;
use super::objects::launch::Launch;
use super::objects::operation::Operation;
use super::profile;
use crate::exec::{LaunchError, OnFault};
use crate::fault::FaultKind;

/// Does an operation.
pub fn operation(operation: &Operation, context: &Context) -> Result {
    match operation {
        Operation::Kernel(kernel) => launch(kernel, context),
        Operation::Copy(copy) => copy.run(),
        Operation::Fill(fill) => fill.run(),
        Operation::Host(call) => {
            // SAFETY: a function of the program, called with the argument it gave, as the program asked.
            unsafe { (call.function)(call.data) };
            Ok(())
        }
        // All work in front is done when an operation runs: there is nothing to wait for.
        Operation::Empty | Operation::Wait(_) => Ok(()),
        Operation::Record(event) => {
            event.record_now();
            Ok(())
        }
        Operation::Graph(whole) => graph(whole, context),
    }
}

/// Runs all nodes of a graph.
fn graph(graph: &Graph, context: &Context) -> Result {
    for node in graph.order()? {
        let found = lock(&graph.nodes).get(&node).map(|n| n.operation.clone());
        found.map_or(Ok(()), |found| operation(&found, context))?;
    }
    Ok(())
}

/// Runs a kernel. A fault is left for the next call that waits.
fn launch(launch: &Launch, context: &Context) -> Result {
    if launch.function.context() != context.handle {
        return Err(Code::INVALID_HANDLE.because("function and stream belong to different contexts"));
    }
    let module = launch.function.module()?;
    let Some(kernel) = module.code.kernel(&launch.function.name) else {
        return Err(Code::INVALID_HANDLE.because("the module has no such kernel"));
    };
    let result = kernel.launch(&launch.config(), launch.parameters());
    flush_printed();
    profile::count(&module, kernel.info(), launch, &result);
    match result {
        Ok(_) => Ok(()),
        Err(LaunchError::Faults { faults, dropped, .. }) => {
            for fault in &faults {
                eprintln!("cuda-emulator: {fault}");
            }
            if dropped > 0 {
                eprintln!("cuda-emulator: {}: {dropped} more faults", launch.function.name);
            }
            let first = faults.first().map_or(FaultKind::Undefined, |f| f.kind);
            let asserted = faults.first().is_some_and(|f| f.detail.contains("assert"));
            if driver()?.config.report == OnFault::Abort {
                context.fail(code_of(first, asserted));
            }
            Ok(())
        }
        Err(error @ LaunchError::TooManyBlocks { .. }) => {
            Err(Code::COOPERATIVE_LAUNCH_TOO_LARGE.because(error.to_string()))
        }
        Err(error @ LaunchError::Resources { .. }) => {
            Err(Code::LAUNCH_OUT_OF_RESOURCES.because(error.to_string()))
        }
        Err(error) => Err(Code::INVALID_VALUE.because(error.to_string())),
    }
}

/// What the kernel printed appears before what the program prints next.
fn flush_printed() {
    use std::io::Write;
    let _ = std::io::stdout().flush();
}

/// The driver's code for a fault.
fn code_of(kind: FaultKind, asserted: bool) -> Code {
    match kind {
        FaultKind::OutOfBounds | FaultKind::UseAfterFree | FaultKind::ReadOnly => Code::ILLEGAL_ADDRESS,
        FaultKind::Misaligned => Code::MISALIGNED_ADDRESS,
        FaultKind::Trap if asserted => Code::ASSERT,
        FaultKind::BadCall => Code::INVALID_PC,
        FaultKind::Deadlock | FaultKind::Timeout => Code::LAUNCH_TIMEOUT,
        _ => Code::LAUNCH_FAILED,
    }
}
