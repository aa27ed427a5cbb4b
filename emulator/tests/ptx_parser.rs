//! The front end: what PTX says, and what is refused.

use cuda_emulator::ptx::ast::{Base, Linkage, Operand, Parameter, Symbol};
use cuda_emulator::ptx::types::{Space, Type};
use cuda_emulator::ptx::{ParseError, parse};

const HEAD: &str = ".version 8.0\n.target sm_80, debug\n.address_size 64\n";

fn body(text: &str) -> cuda_emulator::ptx::ast::Body {
    let text = format!("{HEAD}.visible .entry k(.param .u64 a, .param .align 8 .b8 s[24]) {{\n{text}\n}}");
    let module = parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    module.functions[0].body.clone().expect("a body")
}

fn refused(text: &str) -> ParseError {
    match parse(&format!("{HEAD}{text}")) {
        Err(why) => why,
        Ok(_) => panic!("accepted: {text}"),
    }
}

#[test]
fn module_head_and_signature() {
    let module = parse(&format!(
        "// a comment\n{HEAD}.visible .entry k(.param .u64 .ptr .global .align 16 a, .param .b8 s[24])\n\
         .maxntid 128, 2\n.minnctapersm 3 {{ ret; }}\n.extern .func (.param .b32 r) f(.param .b64 x);"
    ))
    .unwrap();
    assert_eq!((module.version, module.target, module.address_size), ((8, 0), 80, 64));
    assert_eq!(module.target_options, ["debug"]);
    let k = &module.functions[0];
    assert!(k.is_kernel && k.linkage == Linkage::Visible && k.body.is_some());
    assert_eq!(k.directives.max_threads, Some([128, 2, 1]));
    assert_eq!(k.directives.min_blocks, Some(3));
    let Parameter::Memory(a) = &k.parameters[0] else { panic!("{:?}", k.parameters) };
    assert_eq!((a.ty, a.align, a.space), (Type::U64, 16, Space::Param));
    let f = &module.functions[1];
    assert_eq!((f.returns.len(), f.parameters.len(), f.body.is_some()), (1, 1, false));
}

#[test]
fn registers_labels_and_scopes() {
    let body = body(
        ".reg .pred %p<3>; .reg .b32 %r<20>; .reg .v2 .f32 v;\n\
         L1: @!%p2 bra L2;\n { .reg .b32 %r<2>; L1: mov.b32 %r1, %r19; bra.uni L1; }\n\
         mov.f32 v.y, 0f3F800000; L2: bra L1;",
    );
    assert_eq!(body.registers.len(), 3 + 20 + 2 + 2);
    let guard = body.instructions[0].guard.unwrap();
    assert!((guard.register, guard.negated) == (2, true));
    let labels: Vec<_> =
        body.instructions.iter().filter(|i| i.opcode == "bra").map(|i| &i.operands[0]).collect();
    assert_eq!(labels, [&Operand::Label(4), &Operand::Label(1), &Operand::Label(0)]);
    assert_eq!(body.instructions[1].operands, [Operand::Register(26), Operand::Register(22)]);
    assert_eq!(body.instructions[3].operands, [Operand::Register(24), Operand::Float32(0x3F80_0000)]);
}

#[test]
fn operands() {
    let body = body(
        ".reg .pred p, q; .reg .b32 r, t; .reg .b64 d; .shared .align 4 .b8 buf[64];\n\
         ld.global.v2.u32 {r, _}, [d+-8];\n setp.lt.and.s32 p|q, r, -5, !p;\n\
         mov.u64 d, buf+4; ld.param.u32 r, [s+8]; mov.u32 r, %tid.y; mov.u32 r, WARP_SZ;\n\
         vadd.u32.u32.u32 r, t.b3, -r.h1, 0; add.u32 r, r, (1 << 4) | 0x3; fma.rn.f64 d, d, -0d3FF0000000000000, 1.5;\n\
         cp.async.ca.shared.global.L2::128B [buf], [d], 16; ld.global.u32 r, [g+4]; st.u32 [16], r;",
    );
    let of = |i: usize| &body.instructions[i].operands[..];
    assert_eq!(of(0)[0], Operand::Vector(vec![Operand::Register(2), Operand::Sink]));
    assert_eq!(of(0)[1], Operand::Address { base: Base::Register(4), offset: -8 });
    let pair = Operand::Pair(Box::new(Operand::Register(0)), Box::new(Operand::Register(1)));
    assert_eq!(of(1)[0], pair);
    assert_eq!(of(1)[2..], [Operand::Integer(-5i64 as u64), Operand::Not(0)]);
    assert_eq!(of(2)[1], Operand::Symbol { symbol: Symbol::Local(0), offset: 4 });
    assert_eq!(of(3)[1], Operand::Address { base: Base::Symbol(Symbol::Parameter(1)), offset: 8 });
    assert_eq!(of(4)[1], Operand::Special { name: "tid".into(), component: Some(1) });
    assert_eq!(of(5)[1], Operand::Integer(32));
    assert_eq!(of(6)[1], Operand::Select { register: 3, selector: "b3".into(), negative: false });
    assert_eq!(of(6)[2], Operand::Select { register: 2, selector: "h1".into(), negative: true });
    assert_eq!(of(7)[2], Operand::Integer(0x13));
    assert_eq!(of(8)[2..], [Operand::Float64((-1.0f64).to_bits()), Operand::Float64(1.5f64.to_bits())]);
    assert_eq!(body.instructions[9].modifiers, ["async", "ca", "shared", "global", "L2::128B"]);
    let g = Base::Symbol(Symbol::Module("g".into()));
    assert_eq!(of(10)[1], Operand::Address { base: g, offset: 4 });
    assert_eq!(of(11)[0], Operand::Address { base: Base::Zero, offset: 16 });
}

#[test]
fn calls_and_tables() {
    let body = body(
        ".reg .b32 r; .reg .b64 d; { .param .b32 p0; .param .b32 r0;\n\
         proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n\
         call (r0), f, (p0); call.uni (r0), d, (p0), proto; call g; }\n\
         T: .branchtargets A, B; brx.idx r, T; A: B: ret;",
    );
    let calls = &body.instructions;
    let f = Operand::Symbol { symbol: Symbol::Module("f".into()), offset: 0 };
    let list = |i| Operand::List(vec![Operand::Symbol { symbol: Symbol::Local(i), offset: 0 }]);
    assert_eq!(calls[0].operands, [list(1), f, list(0)]);
    assert_eq!(calls[1].operands[3], Operand::Prototype(0));
    assert_eq!(calls[3].operands[1], Operand::BranchTargets(0));
    assert_eq!(body.branch_targets, [[4, 4]]);
}

#[test]
fn initialisers() {
    let module = parse(&format!(
        "{HEAD}.global .align 4 .u16 a[2][3] = {{ {{1}}, {{2, -1}} }};\n.const .f32 f[] = {{ 0f40000000, 1.0, -2 }};\n\
         .global .u64 p[2] = {{ generic(a)+6, a }}; .global .b8 m[3] = {{ 0xFF(a), 0xFF00(a), 7 }};\n\
         .global .attribute(.managed) .v2 .u32 v = {{ 1, 2 }}; .extern .shared .align 16 .b8 dyn[];"
    ))
    .unwrap();
    let of = |i: usize| &module.variables[i].initial;
    assert_eq!(of(0).bytes, [1, 0, 0, 0, 0, 0, 2, 0, 0xff, 0xff]);
    assert_eq!(module.variables[0].elements, Some(6));
    assert_eq!(module.variables[1].elements, Some(3));
    let floats: Vec<u8> = [2.0f32, 1.0, -2.0].iter().flat_map(|v| v.to_le_bytes()).collect();
    assert_eq!(of(1).bytes, floats);
    let address = &of(2).addresses[0];
    assert_eq!((address.at, address.size, address.offset, address.generic), (0, 8, 6, true));
    assert_eq!(of(2).addresses[1].at, 8);
    assert_eq!(of(3).addresses.iter().map(|a| a.shift).collect::<Vec<_>>(), [0, 8]);
    assert_eq!(of(3).bytes, [0, 0, 7]);
    assert!(module.variables[4].managed);
    assert_eq!(of(4).bytes, [1, 0, 0, 0, 2, 0, 0, 0]);
    assert_eq!((module.variables[5].elements, module.variables[5].align), (None, 16));
}

#[test]
fn refusals_name_line_and_cause() {
    for (text, line, words) in [
        (".entry k() { mov.u32 %r1, %r2 }", 4, "\";\""),
        (".entry k() { bra L; }", 4, "no label L"),
        (".entry k() {\n.reg .b32 %r<4000000000>; }", 5, "registers in one function"),
        (".global .b8 a[0xffffffffffffffff][16];", 4, "bytes"),
        (".global .b8 a[2] = {1, 2, 3};", 4, "at most 2"),
        (".entry k() { /* for ever", 4, "never ends"),
        (".entry k() { @x ret; }", 4, "predicate"),
        (".func f(.param .b32 x);\n.func f(.param .b64 x) { ret; }", 5, "other parameters"),
        (".entry k() { ret; }\n.entry k() { ret; }", 5, "already"),
        (".entry k() { A: A: ret; }", 4, "twice"),
        (".bogus 7;", 4, "unknown directive .bogus"),
        (".global .u32 x = 1/0;", 4, "divides by zero"),
        (".global .u32 x = 99999999999999999999;", 4, "64 bits"),
        (".entry k() {", 4, "the end"),
        (".global .align 3 .u32 x;", 4, "power of two"),
    ] {
        let why = refused(text);
        assert_eq!(why.line, line, "{text}: {why}");
        assert!(why.message.contains(words), "{text}: {why}");
    }
    let deep = format!(".global .u32 x = {}1{};", "(".repeat(100_000), ")".repeat(100_000));
    assert!(refused(&deep).message.contains("nested"));
    let braces = format!(".global .u32 x[2] = {};", "{".repeat(100_000));
    assert_eq!(refused(&braces).line, 4);
    let pairs = format!(".entry k() {{ .reg .pred p; setp {}p; }}", "p|".repeat(100_000));
    assert!(refused(&pairs).message.contains("nested"));
    let scopes = format!(".entry k() {}", "{".repeat(100_000));
    assert!(refused(&scopes).message.contains("nested"));
    assert!(refused(&format!(".entry k() {{ x {}", "[{".repeat(100_000))).message.contains("nested"));
}
