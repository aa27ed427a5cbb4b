//! The front end: what PTX says, and what is refused.

use cuda_emulator::ptx::ast::{Base, Linkage, Operand, Parameter, Symbol};
use cuda_emulator::ptx::types::{Space, Type};
use cuda_emulator::ptx::{ParseError, limits, parse};

const HEAD: &str = ".version 8.0\n.target sm_80, debug\n.address_size 64\n";

fn body(text: &str) -> cuda_emulator::ptx::ast::Body {
    let others = ".func (.reg .b32 r) f(.reg .b32 x); .func g; .global .b32 v[2];";
    let text =
        format!("{HEAD}{others}.visible .entry k(.param .u64 a, .param .align 8 .b8 s[24]) {{\n{text}\n}}");
    let module = parse(&text).unwrap_or_else(|why| panic!("{why}\n{text}"));
    module.functions[2].body.clone().expect("a body")
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
    assert_eq!(
        (a.ty, a.align, a.space),
        (Type::U64, 8, Space::Param),
        "16 is the alignment of what it points to"
    );
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
    let name = |r: usize| body.registers[r].name.as_str();
    let guard = body.instructions[0].guard.unwrap();
    assert!(name(guard.register) == "%p2" && guard.negated);
    let labels: Vec<_> =
        body.instructions.iter().filter(|i| i.opcode == "bra").map(|i| &i.operands[0]).collect();
    assert_eq!(labels, [&Operand::Label(4), &Operand::Label(1), &Operand::Label(0)]);
    let [Operand::Register(inner), Operand::Register(outer)] = body.instructions[1].operands[..] else {
        panic!("{:?}", body.instructions[1])
    };
    assert_eq!((name(inner), name(outer)), ("%r1", "%r19"));
    // Registers of a range are there once an instruction names them.
    assert_eq!(body.registers.len(), 2 + 1 + 2);
    let v = body.registers.iter().position(|r| r.vector == 2).unwrap();
    assert_eq!(body.instructions[3].operands, [Operand::Register(v + 1), Operand::Float32(0x3F80_0000)]);
}

#[test]
fn operands() {
    let body = body(
        ".reg .pred p, q; .reg .b32 r, t; .reg .b64 d; .shared .align 4 .b8 buf[64];\n\
         ld.global.v2.u32 {r, _}, [d+-8];\n setp.lt.and.s32 p|q, r, -5, !p;\n\
         mov.u64 d, buf+4; ld.param.u32 r, [s+8]; mov.u32 r, %tid.y; mov.u32 r, WARP_SZ;\n\
         vadd.u32.u32.u32 r, t.b3, -r.h1, 0; add.u32 r, r, (1 << 4) | 0x3; fma.rn.f64 d, d, -0d3FF0000000000000, 1.5;\n\
         cp.async.ca.shared.global.L2::128B [buf], [d], 16; ld.global.u32 r, [v+4]; st.u32 [16], r;",
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
    let g = Base::Symbol(Symbol::Module("v".into()));
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
        (".entry k() { mov.u32 %r1, %r2 }", 4, "expected `,` or `;`, found `}`"),
        (".entry k() {\n.reg .b32 r;\nmov.u32 r,\n%r2; }", 6, "`%r2` is not declared"),
        (".entry k() { bra L; }", 4, "`L` is not declared"),
        (".entry k() { { L: ret; } bra L; }", 4, "`L` is not declared"),
        (".entry k() {\nT: .branchtargets A,\nB; A: ret; }", 6, "label `B` is missing"),
        (".entry k() {\n.reg .b32 %r<4000000000>; }", 5, "4000000000 registers"),
        (".entry k() {\n.reg .b32 %r<9>, %r4; }", 5, "`%r4` is declared again (first on line 5)"),
        (".entry k() {\n.reg .b32 %r4;\n.reg .b16 %r<9>; }", 6, "`%r` is declared again"),
        (".entry k(.param .u32 a, .param .u32 a) { ret; }", 4, "two parameters `a`"),
        (".entry k() { .reg .v2 .f32 v; mov.f32 v.z, 0f00000000; }", 4, "no component .z"),
        (".entry k() { .reg .b32 r; mov.u32 r, %tid.q; }", 4, "a component of %tid"),
        (".entry k() { .reg .pred r; ld.u32 r, [r, 5; }", 4, "expected `]`"),
        (".global .b8 a[0xffffffffffffffff][16];", 4, "elements"),
        (".global .b8 a[0][0xffffffffff][0xffffffffff];", 4, "bytes"),
        (".global .b8 a[1099511627776][2];", 4, "bytes"),
        (".global .b8 a[];", 4, "extent of `a` is missing"),
        (".global .b8 a[2] = {1, 2, 3};", 4, "more elements than the variable"),
        (".global .b8 a[2][2] = {{1}, {2, 3, 4}};", 4, "more elements than the variable"),
        (".global .b8 a[2][1073741824] = {{1}, {2}};", 4, "initialisers cover more than"),
        (".shared .b32 a = 1;", 4, "cannot have an initialiser"),
        (".global .b32 a = 1.5;", 4, "cannot initialise"),
        (".global .b16 a = b;", 4, "does not fit 2 bytes"),
        (".global .b64 a = b;", 4, "`b` is not declared"),
        (".global .b8 a = 0xF0(a);", 4, "not the mask of one byte"),
        (".global .pred a;", 4, "cannot be a predicate"),
        (".global .v4 a;", 4, "expected a type, found `a`"),
        (".entry k() { /* for ever", 4, "not closed"),
        (".entry k() { @x ret; }", 4, "`x` is not declared"),
        (".entry k() { .reg .b32 x; @x ret; }", 4, "`x` is not a predicate"),
        (".func f(.param .b32 x);\n.func f(.param .b64 x) { ret; }", 5, "other parameters"),
        (".extern .global .b32 x;\n.global .b64 x;", 5, "another shape"),
        (".global .b32 x;\n.global .b32 x;", 5, "defined again (first on line 4)"),
        (".global .b32 x;\n.func x { ret; }", 5, "is a variable since line 4"),
        (".entry k() { ret; }\n.entry k() { ret; }", 5, "defined again (first on line 4)"),
        (".entry k() { call f; }", 4, "`f` is not declared"),
        (".func f;\n.alias g, f;", 5, "`g` is none"),
        (".entry k() { A: A: ret; }", 4, "`A` is declared again"),
        (".bogus 7;", 4, "found `.bogus`"),
        (".entry k() .bogus { ret; }", 4, "unknown directive `bogus`"),
        (".entry k() { .bogus 7; }", 4, "found `.bogus`"),
        (".global .u32 x = 1/0;", 4, "divided by zero"),
        (".global .u32 x = 99999999999999999999;", 4, "64 bits"),
        (".entry k() {", 4, "the end"),
        (".section .debug_info {\n.b8 1", 5, "expected `}`, found the end"),
        (".global .align 3 .u32 x;", 4, "power of two"),
        ("#include <x>", 4, "preprocessed"),
    ] {
        let why = refused(text);
        assert_eq!(why.line, line, "{text}: {why}");
        assert!(why.message.contains(words), "{text}: {why}");
    }
}

#[test]
fn elements_of_arrays() {
    let body = body(
        ".reg .b32 r; .reg .b64 d; .reg .f32 f; .shared .v2 .b32 w[4]; mov.u64 d, v[1]; ld.global.u32 r, v[1];\n\
         ld.shared.u32 r, w[1 + 2]; mov.f32 f, .5; tex.2d.v4.f32.f32 {f, f, f, f}, [d, {f, f}];",
    );
    let of = |i: usize| body.instructions[i].operands[1].clone();
    let v = Symbol::Module("v".into());
    assert_eq!(of(0), Operand::Symbol { symbol: v.clone(), offset: 4 });
    assert_eq!(of(1), Operand::Address { base: Base::Symbol(v), offset: 4 });
    assert_eq!(of(2), Operand::Address { base: Base::Symbol(Symbol::Local(0)), offset: 24 });
    assert_eq!(of(3), Operand::Float64(0.5f64.to_bits()));
    let coordinates = Operand::Vector(vec![Operand::Register(2); 2]);
    assert_eq!(of(4), Operand::Bracketed(vec![Operand::Register(1), coordinates]));
}

/// A module may have textures next to kernels that do not use them.
#[test]
fn opaque_variables() {
    let text =
        ".global .texref t; .global .samplerref s[2] = { { addr_mode_0 = wrap }, { filter_mode = linear } };";
    let module = parse(&format!("{HEAD}{text} .entry k(.param .texref p) {{ ret; }}")).unwrap();
    assert_eq!((module.variables[0].ty, module.variables[1].ty), (Type::Texref, Type::Samplerref));
}

#[test]
fn hostile_texts_are_small_trouble() {
    let deep = format!(".global .u32 x = {}1{};", "(".repeat(100_000), ")".repeat(100_000));
    assert!(refused(&deep).message.contains("nested"));
    let braces = format!(".global .u32 x{} = {};", "[2]".repeat(32), "{".repeat(100_000));
    assert_eq!(refused(&braces).line, 4);
    let dimensions = format!(".global .u32 x{};", "[1]".repeat(100_000));
    assert!(refused(&dimensions).message.contains("dimensions"));
    let pairs = format!(".entry k() {{ .reg .pred p; setp {}p; }}", "p|".repeat(100_000));
    assert!(refused(&pairs).message.contains("expected `,` or `;`, found `|`"));
    let scopes = format!(".entry k() {}", "{".repeat(100_000));
    assert!(refused(&scopes).message.contains("nested"));
    assert!(refused(&format!(".entry k() {{ x {}", "{".repeat(100_000))).message.contains("nested"));
    assert!(refused(&format!(".entry k() {{ x {}", "[".repeat(100_000))).message.contains("a constant"));
    let name = "n".repeat(1 << 20);
    assert!(refused(&format!(".entry k() {{ bra {name}; }}")).message.len() < 400);
}

/// Registers that nothing names take no memory, however many functions declare them.
#[test]
fn unused_registers_are_free() {
    let functions: String = (0..2000)
        .map(|i| format!(".func f{i} {{ .reg .b32 %r<16777216>; mov.u32 %r16777215, 0; }}\n"))
        .collect();
    let module = parse(&format!("{HEAD}{functions}")).unwrap();
    assert_eq!(module.functions.len(), 2000);
    assert!(module.functions.iter().all(|f| f.body.as_ref().unwrap().registers.len() == 1));
}

#[test]
fn too_much_is_refused() {
    let long = " ".repeat(limits::MAX_TEXT);
    assert!(refused(&long).message.contains("bytes"));
    let many = format!(".entry k() {{ {} }}", "a;".repeat(limits::MAX_NODES / 4 + 1));
    assert!(refused(&many).message.contains("instructions, operands and names"));
}

#[test]
fn debug_directives_say_nothing() {
    let module = parse(&format!(
        "{HEAD}.file 1 \"a \\\"b\\\".cu\", 1700000000, 12\n.entry k() {{\n.loc 1 2 3\n$L__func_begin0:\n.loc 1 5 6, \
         function_name $L__info_string0+4, inlined_at 1 2 3\n.pragma \"nounroll\";\nret;\n}}\n@@DWARF .byte 0x12, \
         'q\n.section .debug_loc {{\n.b8 1,2\n.b64 $L__func_begin0 - 4 {{ }} \n.b32 .debug_abbrev\n}}"
    ))
    .unwrap();
    let body = module.functions[0].body.as_ref().unwrap();
    assert_eq!((body.instructions.len(), body.instructions[0].line), (1, 10));
}

#[test]
fn aliases_and_declarations() {
    let module = parse(&format!(
        "{HEAD}.func f(.param .b32 x);\n.extern .global .b8 table[];\n.func g(.param .b32 x);\n.alias g, f;\n\
         .global .u64 p = g;\n.entry k() {{ call g, (1); call late; }}\n.visible .func f(.param .b32 x) {{ ret; }}\n\
         .global .b8 table[3] = {{1, 2, 3}}; .extern .func f(.param .b32 x); .func late {{ ret; }}"
    ))
    .unwrap();
    let names: Vec<_> = module.functions.iter().map(|f| (f.name.as_str(), f.body.is_some())).collect();
    assert_eq!(names, [("f", true), ("g", false), ("k", true), ("late", true)]);
    assert_eq!(module.functions[0].linkage, Linkage::Visible);
    assert_eq!(module.variables[0].elements, Some(3));
    assert_eq!(module.variables[1].initial.addresses[0].name, "f");
    let call = &module.functions[2].body.as_ref().unwrap().instructions[0];
    assert_eq!(call.operands[0], Operand::Symbol { symbol: Symbol::Module("f".into()), offset: 0 });
}

#[test]
fn tables_may_stand_behind_their_use() {
    let body = body(
        ".reg .b32 r; .reg .b64 d; brx.idx r, T; A: call d, P; { call d, C; T: ret; }\n\
         T: .branchtargets A; P: .callprototype _ (); C: .calltargets g, g;",
    );
    assert_eq!(body.instructions[0].operands[1], Operand::BranchTargets(0));
    assert_eq!(body.instructions[1].operands[1], Operand::Prototype(0));
    assert_eq!(body.instructions[2].operands[1], Operand::CallTargets(0));
    assert_eq!(
        (&body.branch_targets, &body.call_targets[0]),
        (&vec![vec![1]], &vec!["g".into(), "g".into()])
    );
}

#[test]
fn a_megabyte_of_scopes() {
    let block =
        "{ .reg .pred p; setp.lt.s32 p, %r1, 7; @p bra L; fma.rn.f32 %f3, %f1, 0f3F800000, %f2; L: }\n";
    let body = block.repeat((1 << 20) / block.len());
    let text = format!("{HEAD}.entry k() {{ .reg .b32 %r<9>; .reg .f32 %f<9>;\n{body}}}");
    let module = parse(&text).unwrap();
    let body = module.functions[0].body.as_ref().unwrap();
    assert_eq!(body.instructions.len(), 3 * ((1 << 20) / block.len()));
}
