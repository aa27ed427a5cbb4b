use cuda_emulator::exec::*;
use cuda_emulator::ptx::ast::*;
use cuda_emulator::ptx::types::*;
fn ins(line: u32, name: &str, ops: Vec<Operand>) -> Instruction {
    let mut w = name.split('.');
    Instruction {
        line,
        guard: None,
        opcode: w.next().unwrap().into(),
        modifiers: w.map(String::from).collect(),
        operands: ops,
    }
}
use Operand::*;
fn main() {
    let reg = |ty| RegisterInfo { name: "r".into(), ty, vector: 1 };
    let mut registers: Vec<_> = (0..20).map(|_| reg(Type::B32)).collect();
    registers.push(reg(Type::Pred)); // 20
    let tid = Special { name: "tid".into(), component: Some(0) };
    let mut code = vec![
        ins(1, "mov.u32", vec![Register(0), tid]),
        ins(2, "mov.u32", vec![Register(1), Integer(0)]),
        ins(3, "mov.u32", vec![Register(2), Integer(0)]),
    ];
    let top = code.len();
    for i in 0..16 {
        code.push(ins(
            4,
            "mad.lo.u32",
            vec![Register(3 + i % 8), Register(3 + (i + 3) % 8), Register(0), Register(3 + i % 8)],
        ));
    }
    code.push(ins(5, "add.u32", vec![Register(2), Register(2), Integer(1)]));
    code.push(ins(6, "setp.lt.u32", vec![Register(20), Register(2), Integer(200_000)]));
    let mut b = ins(7, "bra", vec![Label(top)]);
    b.guard = Some(Guard { register: 20, negated: false });
    code.push(b);
    code.push(ins(8, "bar.sync", vec![Integer(0)]));
    code.push(ins(9, "ret", vec![]));
    let f = Function {
        name: "k".into(),
        line: 1,
        linkage: Linkage::Visible,
        is_kernel: true,
        returns: vec![],
        parameters: vec![],
        directives: Default::default(),
        body: Some(Body { registers, instructions: code, ..Default::default() }),
    };
    let m = cuda_emulator::ptx::ast::Module {
        version: (8, 0),
        target: 80,
        target_options: vec![],
        address_size: 64,
        variables: vec![],
        functions: vec![f],
    };
    let d = Device::new(Settings { threads: 1, ..Default::default() }).unwrap();
    let m = cuda_emulator::exec::Module::from_tree(&d, &m).unwrap();
    let t = std::time::Instant::now();
    let c = m
        .kernel("k")
        .unwrap()
        .launch(&LaunchConfig { grid: [2, 1, 1], block: [64, 1, 1], ..Default::default() }, &[])
        .unwrap();
    let s = t.elapsed().as_secs_f64();
    println!("{c:?}\n{} G lane instr/s", c.lane_instructions.total() as f64 / s / 1e9);
}
