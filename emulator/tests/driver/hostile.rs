//! Calls with null pointers, wrong and stale handles and impossible sizes: every one gives a code, none ends the
//! process. The functions and the types of their arguments are read from the driver's own sources.

use crate::child::run;
use crate::kernels::OTHERS;
use std::ffi::{CString, c_void};

const SOURCES: &[&str] = &[
    include_str!("../../src/driver/context.rs"),
    include_str!("../../src/driver/copy.rs"),
    include_str!("../../src/driver/device.rs"),
    include_str!("../../src/driver/event.rs"),
    include_str!("../../src/driver/fill.rs"),
    include_str!("../../src/driver/function.rs"),
    include_str!("../../src/driver/graph.rs"),
    include_str!("../../src/driver/graph_exec.rs"),
    include_str!("../../src/driver/graph_nodes.rs"),
    include_str!("../../src/driver/launch.rs"),
    include_str!("../../src/driver/library.rs"),
    include_str!("../../src/driver/link.rs"),
    include_str!("../../src/driver/memory.rs"),
    include_str!("../../src/driver/module.rs"),
    include_str!("../../src/driver/occupancy.rs"),
    include_str!("../../src/driver/pointer.rs"),
    include_str!("../../src/driver/primary.rs"),
    include_str!("../../src/driver/proc_address.rs"),
    include_str!("../../src/driver/stream.rs"),
    include_str!("../../src/driver/stream_capture.rs"),
    include_str!("../../src/driver/user_object.rs"),
];

/// Arguments of the longest function.
const MOST: usize = 11;
/// Room behind every pointer that is not null.
const ROOM: usize = 1 << 20;

#[derive(Clone, Copy, PartialEq)]
enum Argument {
    /// Null, or room.
    Pointer,
    /// Null: what lies there is called.
    Callback,
    /// Anything.
    Number,
}

struct Function {
    name: String,
    address: *const c_void,
    arguments: Vec<Argument>,
}

/// The functions of the library.
fn functions(library: *mut c_void) -> Vec<Function> {
    let mut found = Vec::new();
    for source in SOURCES {
        for (at, _) in source.match_indices("    fn cu") {
            let rest = &source[at + 7..];
            let (name, rest) = rest.split_once('(').unwrap();
            let (list, _) = rest.split_once(") {").unwrap();
            let arguments =
                list.split(',').filter_map(|a| a.split_once(':')).map(|(_, ty)| match ty.trim() {
                    "HostFunction" | "StreamCallback" | "SharedOfBlock" => Argument::Callback,
                    ty if ty.starts_with("Out<")
                        || ty.starts_with("In<")
                        || ty == "Text"
                        || ty.starts_with('*') =>
                    {
                        Argument::Pointer
                    }
                    _ => Argument::Number,
                });
            let c_name = CString::new(name).unwrap();
            // SAFETY: an open library and a C string.
            let address = unsafe { libc::dlsym(library, c_name.as_ptr()) };
            assert!(!address.is_null(), "{name} is not exported");
            found.push(Function { name: name.to_string(), address, arguments: arguments.collect() });
        }
    }
    assert!(found.len() > 200, "{} functions", found.len());
    found
}

fn call(function: &Function, arguments: [usize; MOST]) -> i32 {
    // SAFETY: integers and pointers are passed alike; in this calling convention, arguments in excess are ignored.
    unsafe {
        let f: extern "C" fn(
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
            usize,
        ) -> i32 = std::mem::transmute(function.address);
        let [a, b, c, d, e, g, h, i, j, k, l] = arguments;
        f(a, b, c, d, e, g, h, i, j, k, l)
    }
}

/// Handles and addresses that are good, most of the time.
fn fresh(functions: &[Function], room: &mut [u8]) -> Vec<usize> {
    let find = |name: &str| functions.iter().find(|f| f.name == name).unwrap();
    let mut good = Vec::new();
    let mut make = |name: &str, rest: &[usize]| {
        let mut place = 0usize;
        let mut arguments = [0; MOST];
        arguments[0] = (&raw mut place) as usize;
        arguments[1..=rest.len()].copy_from_slice(rest);
        call(find(name), arguments);
        good.push(place);
        place
    };
    let context = make("cuDevicePrimaryCtxRetain", &[0]);
    let mut set = [0; MOST];
    set[0] = context;
    call(find("cuCtxSetCurrent"), set);
    let text = CString::new(OTHERS).unwrap();
    let module = make("cuModuleLoadData", &[text.as_ptr() as usize]);
    make("cuModuleGetFunction", &[module, c"empty".as_ptr() as usize]);
    let library = make("cuLibraryLoadData", &[text.as_ptr() as usize]);
    make("cuLibraryGetKernel", &[library, c"empty".as_ptr() as usize]);
    make("cuStreamCreate", &[0]);
    make("cuStreamCreate", &[1]);
    make("cuEventCreate", &[0]);
    make("cuMemAlloc_v2", &[4096]);
    make("cuMemHostAlloc", &[4096, 0]);
    let graph = make("cuGraphCreate", &[0]);
    make("cuGraphAddEmptyNode", &[graph, 0, 0]);
    make("cuGraphInstantiateWithFlags", &[graph, 0]);
    // What structures and lists begin with.
    for (place, value) in room.chunks_exact_mut(size_of::<usize>()).zip(good.iter().cycle().take(64)) {
        place.copy_from_slice(&value.to_ne_bytes());
    }
    good
}

#[test]
fn nothing_ends_the_process() {
    let output = run("hostile::nothing_ends_the_process", &[("CUDA_EMULATOR_MEMORY", "64M")], || {
        // SAFETY: loads a library that is this project's.
        let library = unsafe { libc::dlopen(c"libcuda.so.1".as_ptr(), libc::RTLD_NOW) };
        assert!(!library.is_null());
        let functions = functions(library);
        let mut room = vec![0u8; ROOM];
        // Before cuInit everything says so, or does something harmless.
        for function in functions.iter().filter(|f| f.name != "cuInit") {
            let code = call(function, [0; MOST]);
            assert!(code != 999, "{}", function.name);
        }
        call(functions.iter().find(|f| f.name == "cuInit").unwrap(), [0; MOST]);

        let mut state = 0x2545_f491_4f6c_dd1d_u64;
        let mut random = |n: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state >> 20) as usize % n
        };
        let mut good = Vec::new();
        for round in 0..30_000 {
            if round % 300 == 0 {
                good = fresh(&functions, &mut room);
            }
            let numbers =
                [0, 1, 2, 3, 4, 7, 40, 4096, u32::MAX as usize, usize::MAX, room.as_ptr() as usize, 64];
            let function = &functions[random(functions.len())];
            let mut arguments = [0; MOST];
            for (place, kind) in arguments.iter_mut().zip(&function.arguments) {
                *place = match kind {
                    Argument::Callback => 0,
                    Argument::Pointer if random(3) == 0 => 0,
                    Argument::Pointer => room.as_ptr() as usize,
                    Argument::Number if random(2) == 0 => good[random(good.len())],
                    Argument::Number => numbers[random(numbers.len())],
                };
            }
            eprintln!("{}{:x?}", function.name, &arguments[..function.arguments.len()]);
            let code = call(function, arguments);
            assert!(code != 999, "{} panicked with {arguments:x?}", function.name);
        }
        println!("survived");
    });
    let Some(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    let last: Vec<&str> = errors.lines().rev().take(20).collect();
    assert!(output.status.success() && text.contains("survived"), "{}\n{text}\n{last:#?}", output.status);
}
