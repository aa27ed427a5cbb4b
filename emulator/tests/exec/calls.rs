//! Device functions: parameters in memory and in registers, recursion, function pointers, stacks that are full.

use super::machine::{Machine, assert_kind, kernel};
use cuda_emulator::exec::{LoadError, Module};
use cuda_emulator::fault::FaultKind;

/// `twice(x) = 2 x`, the way nvcc passes parameters.
const TWICE: &str = ".func (.param .b32 ret) twice(.param .b32 x)\n{\n .reg .b32 %a;\n ld.param.u32 %a, [x];\n \
    shl.b32 %a, %a, 1;\n st.param.b32 [ret], %a;\n ret;\n}\n";

fn call(function: &str) -> String {
    format!(
        "{{\n .param .b32 p0;\n st.param.b32 [p0], %r10;\n .param .b32 q0;\n call.uni (q0), {function}, (p0);\n \
         ld.param.b32 %r0, [q0];\n}}\n"
    )
}

#[test]
fn parameters_in_memory() {
    let body = format!("add.u32 %r10, %r1, 3;\n {}", call("twice"));
    let (words, counters) = Machine::new(&format!("{TWICE}{}", kernel("k", &body))).run("k", 2, 48);
    assert_eq!(words, (0..96).map(|t| 2 * (t % 48 + 3)).collect::<Vec<u32>>());
    assert_eq!(counters.warp_instructions.get(cuda_emulator::isa::Class::Call), 4);
}

#[test]
fn parameters_in_registers() {
    let ptx = ".func (.reg .u32 %ret, .reg .pred %big) scale(.reg .u32 %x, .reg .u64 %y, .reg .pred %p)\n{\n .reg .b32 %t;\n \
        cvt.u32.u64 %t, %y;\n mul.lo.u32 %ret, %x, %t;\n @%p add.u32 %ret, %ret, 1000;\n \
        setp.gt.u32 %big, %ret, 500;\n ret;\n}\n";
    let body = "mov.u64 %rd5, 3;\n setp.lt.u32 %p1, %r1, 4;\n call (%r0, %p2), scale, (%r1, %rd5, %p1);\n \
        @%p2 add.u32 %r0, %r0, 7;";
    let (words, _) = Machine::new(&format!("{ptx}{}", kernel("k", body))).run("k", 1, 32);
    let expected = |t: u32| if t < 4 { 3 * t + 1007 } else { 3 * t };
    assert_eq!(words, (0..32).map(expected).collect::<Vec<_>>());
}

#[test]
fn structures_by_value() {
    // s = {u32 a; u32 pad; u64 b}: gives {a + b, a·b}.
    let ptx = ".func (.param .align 8 .b8 ret[16]) mix(.param .align 8 .b8 s[16])\n{\n .reg .b32 %a;\n .reg .b64 %b<5>;\n \
        ld.param.u32 %a, [s];\n ld.param.u64 %b1, [s+8];\n cvt.u64.u32 %b2, %a;\n add.u64 %b3, %b1, %b2;\n \
        mul.lo.u64 %b4, %b1, %b2;\n st.param.v2.b64 [ret], {%b3, %b4};\n ret;\n}\n";
    let body = "cvt.u64.u32 %rd5, %r1;\n add.u64 %rd5, %rd5, 10;\n {\n .param .align 8 .b8 p[16];\n .param .align 8 .b8 q[16];\n \
        st.param.b32 [p], %r1;\n st.param.b64 [p+8], %rd5;\n call.uni (q), mix, (p);\n ld.param.b64 %rd6, [q];\n \
        ld.param.b64 %rd7, [q+8];\n }\n mad.lo.u64 %rd8, %rd7, 1000, %rd6;\n cvt.u32.u64 %r0, %rd8;";
    let (words, _) = Machine::new(&format!("{ptx}{}", kernel("k", body))).run("k", 1, 32);
    assert_eq!(words, (0..32u32).map(|t| t * (t + 10) * 1000 + 2 * t + 10).collect::<Vec<_>>());
}

#[test]
fn lanes_call_different_functions_and_meet_again() {
    let ptx = format!(
        "{TWICE}.func (.param .b32 ret) thrice(.param .b32 x)\n{{\n .reg .b32 %a;\n ld.param.u32 %a, [x];\n \
         mul.lo.u32 %a, %a, 3;\n st.param.b32 [ret], %a;\n ret;\n}}\n"
    );
    let body = format!(
        "mov.u32 %r10, %r1;\n and.b32 %r11, %r1, 1;\n setp.eq.u32 %p1, %r11, 1;\n @%p1 bra ODD;\n {}\n bra JOIN;\n ODD:\n {}\n \
         JOIN:\n add.u32 %r0, %r0, 1;",
        call("twice"),
        call("thrice")
    );
    let (words, _) = Machine::new(&format!("{ptx}{}", kernel("k", &body))).run("k", 1, 64);
    assert_eq!(words, (0..64).map(|t| t * (2 + t % 2) + 1).collect::<Vec<u32>>());
}

/// `fib(n) = n < 2 ? n : fib(n − 1) + fib(n − 2)`.
const FIB: &str = ".func (.param .b32 ret) fib(.param .b32 n)\n{\n .reg .pred %p;\n .reg .b32 %r<6>;\n ld.param.u32 %r1, [n];\n \
    setp.lt.u32 %p, %r1, 2;\n @%p bra SMALL;\n sub.u32 %r2, %r1, 1;\n {\n .param .b32 a;\n .param .b32 b;\n \
    st.param.b32 [a], %r2;\n call.uni (b), fib, (a);\n ld.param.b32 %r3, [b];\n }\n sub.u32 %r4, %r1, 2;\n {\n .param .b32 a;\n \
    .param .b32 b;\n st.param.b32 [a], %r4;\n call.uni (b), fib, (a);\n ld.param.b32 %r5, [b];\n }\n \
    add.u32 %r1, %r3, %r5;\n SMALL:\n st.param.b32 [ret], %r1;\n ret;\n}\n";

#[test]
fn recursion_of_different_depths_in_one_warp() {
    let body = format!("rem.u32 %r10, %r1, 13;\n {}", call("fib"));
    let (words, _) = Machine::new(&format!("{FIB}{}", kernel("k", &body))).run("k", 1, 64);
    let fib = [0, 1, 1, 2, 3, 5, 8, 13, 21, 34, 55, 89, 144];
    assert_eq!(words, (0..64).map(|t| fib[t % 13]).collect::<Vec<u32>>());
}

#[test]
fn a_recursion_without_end_is_a_bad_call() {
    let ptx = ".func down(.param .b32 n)\n{\n .reg .b32 %r;\n ld.param.u32 %r, [n];\n {\n .param .b32 a;\n \
        st.param.b32 [a], %r;\n call.uni down, (a);\n }\n ret;\n}\n";
    let body = "{\n .param .b32 a;\n st.param.b32 [a], %r1;\n call.uni down, (a);\n }";
    let fault = Machine::new(&format!("{ptx}{}", kernel("k", body))).fault("k", 1, 32);
    assert_kind(&fault, FaultKind::BadCall);
    let without_parameters = ".func f()\n{\n call.uni f;\n ret;\n}\n";
    let fault =
        Machine::new(&format!("{without_parameters}{}", kernel("k", "call.uni f;"))).fault("k", 1, 32);
    assert_kind(&fault, FaultKind::BadCall);
}

const POINTERS: &str = ".func (.param .b32 ret) plus(.param .b32 x)\n{\n .reg .b32 %a;\n ld.param.u32 %a, [x];\n \
    add.u32 %a, %a, 100;\n st.param.b32 [ret], %a;\n ret;\n}\n.global .u64 table[2] = {twice, plus};\n";

#[test]
fn function_pointers_differ_between_lanes() {
    let body = "mov.u32 %r10, %r1;\n and.b32 %r11, %r1, 1;\n mov.u64 %rd5, table;\n mul.wide.u32 %rd6, %r11, 8;\n \
        add.u64 %rd6, %rd5, %rd6;\n ld.global.u64 %rd7, [%rd6];\n {\n .param .b32 p0;\n st.param.b32 [p0], %r10;\n .param .b32 q0;\n \
        proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n call (q0), %rd7, (p0), proto;\n \
        ld.param.b32 %r0, [q0];\n }";
    let (words, _) = Machine::new(&format!("{TWICE}{POINTERS}{}", kernel("k", body))).run("k", 1, 64);
    assert_eq!(words, (0..64).map(|t| if t % 2 == 0 { 2 * t } else { t + 100 }).collect::<Vec<u32>>());
}

#[test]
fn pointers_limited_to_a_list_of_targets() {
    let body = "mov.u32 %r10, 5;\n mov.u64 %rd7, plus;\n {\n .param .b32 p0;\n st.param.b32 [p0], %r10;\n .param .b32 q0;\n \
        list: .calltargets twice, plus;\n call (q0), %rd7, (p0), list;\n ld.param.b32 %r0, [q0];\n }";
    let (words, _) = Machine::new(&format!("{TWICE}{POINTERS}{}", kernel("k", body))).run("k", 1, 3);
    assert_eq!(words, [105; 3]);
    let narrow = body.replace("twice, plus", "twice");
    let fault = Machine::new(&format!("{TWICE}{POINTERS}{}", kernel("k", &narrow))).fault("k", 1, 3);
    assert_kind(&fault, FaultKind::BadCall);
}

#[test]
fn null_and_wrong_pointers_are_bad_calls() {
    for (value, takes) in [("0", ".param .b32 _"), ("1234567", ".param .b32 _"), ("twice", ".param .b64 _")] {
        let body = format!(
            "mov.u64 %rd7, {value};\n {{\n {} p0;\n .param .b32 q0;\n \
             proto: .callprototype (.param .b32 _) _ ({takes});\n call (q0), %rd7, (p0), proto;\n }}",
            takes.trim_end_matches(" _")
        );
        let fault = Machine::new(&format!("{TWICE}{}", kernel("k", &body))).fault("k", 1, 32);
        assert_kind(&fault, FaultKind::BadCall);
    }
}

fn load(ptx: &str) -> Result<Module, LoadError> {
    let device = Machine::new("").device;
    Module::load(&device, &format!(".version 8.0\n.target sm_80\n.address_size 64\n{ptx}"))
}

#[test]
fn undefined_functions_and_wrong_parameters_are_refused() {
    let declared = ".extern .func (.param .b32 ret) missing(.param .b32 x);\n";
    let body = format!("mov.u32 %r10, 1;\n {}", call("missing"));
    match load(&format!("{declared}{}", kernel("k", &body))) {
        Err(LoadError::Unresolved(name)) => assert_eq!(name, "missing"),
        other => panic!("{other:?}"),
    }
    let body = "{\n .param .b64 p0;\n .param .b32 q0;\n call.uni (q0), twice, (p0);\n }";
    match load(&format!("{TWICE}{}", kernel("k", body))) {
        Err(LoadError::Refused { function, instruction, .. }) => {
            assert_eq!((function.as_str(), instruction.as_str()), ("k", "call.uni"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_unknown_instruction_is_refused_with_its_line() {
    match load(&kernel("k", "frobnicate.u32 %r0, %r1;")) {
        Err(LoadError::Refused { function, line, instruction, .. }) => {
            assert_eq!((function.as_str(), line, instruction.as_str()), ("k", 14, "frobnicate.u32"));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn local_memory_taken_as_a_function_runs() {
    // sum(n): puts 0..n into an array of n words and adds them up; the array is given back at the end of each call.
    let ptx = ".func (.param .b32 ret) sum(.param .b32 n)\n{\n .reg .pred %p;\n .reg .b32 %r<6>;\n .reg .b64 %a<6>;\n \
        ld.param.u32 %r1, [n];\n mul.wide.u32 %a1, %r1, 4;\n alloca.u64 %a2, %a1, 16;\n mov.u32 %r2, 0;\n mov.u32 %r3, 0;\n \
        FILL: setp.ge.u32 %p, %r2, %r1;\n @%p bra FULL;\n mad.wide.u32 %a3, %r2, 4, %a2;\n st.local.u32 [%a3], %r2;\n \
        add.u32 %r2, %r2, 1;\n bra FILL;\n FULL: setp.eq.u32 %p, %r2, 0;\n @%p bra END;\n sub.u32 %r2, %r2, 1;\n \
        mad.wide.u32 %a3, %r2, 4, %a2;\n ld.local.u32 %r4, [%a3];\n add.u32 %r3, %r3, %r4;\n bra FULL;\n END:\n \
        st.param.b32 [ret], %r3;\n ret;\n}\n";
    let body = format!(
        "mov.u32 %r20, 0;\n mov.u32 %r10, %r1;\n LOOP:\n {}\n add.u32 %r20, %r20, 1;\n setp.lt.u32 %p1, %r20, 100;\n @%p1 bra LOOP;",
        call("sum")
    );
    let (words, _) = Machine::new(&format!("{ptx}{}", kernel("k", &body))).run("k", 1, 64);
    assert_eq!(words, (0..64u32).map(|t| t * t.saturating_sub(1) / 2).collect::<Vec<u32>>());
    let endless = "L: alloca.u64 %rd5, 64;\n bra L;";
    assert_kind(&Machine::new(&kernel("k", endless)).fault("k", 1, 32), FaultKind::BadCall);
    let restored = "mov.u32 %r10, 0;\n L: stacksave.u64 %rd6;\n alloca.u64 %rd5, 64;\n stackrestore.u64 %rd6;\n \
        add.u32 %r10, %r10, 1;\n setp.lt.u32 %p1, %r10, 5000;\n @%p1 bra L;\n mov.u32 %r0, %r10;";
    assert_eq!(Machine::new(&kernel("k", restored)).run("k", 1, 2).0, [5000; 2]);
}
