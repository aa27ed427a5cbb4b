//! Runs single instructions on the emulator: a kernel loads operands from arrays, one element per thread, executes the
//! instruction and stores what it gives.
//!
//! In the text of an instruction `a0`, `a1`, … are the operands and `d0`, `d1`, … the results; registers are of bit
//! types, predicates of type `.pred`. With `CUDA_EMULATOR_TEST_PTXAS` set to the path of ptxas, every kernel must also be
//! accepted by it for the target that it names.

use cuda_emulator::exec::{Device, LaunchConfig, LaunchError, Module, Settings};
use std::fmt::Write;
use std::sync::Arc;

/// What a register holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reg {
    Pred,
    B16,
    B32,
    B64,
    B128,
}

impl Reg {
    /// Bytes of an element of its array.
    pub fn bytes(self) -> usize {
        match self {
            Reg::Pred => 1,
            Reg::B16 => 2,
            Reg::B32 => 4,
            Reg::B64 => 8,
            Reg::B128 => 16,
        }
    }

    pub fn bits(self) -> u32 {
        if self == Reg::Pred { 1 } else { 8 * self.bytes() as u32 }
    }

    fn name(self) -> &'static str {
        match self {
            Reg::Pred => "pred",
            Reg::B16 => "b16",
            Reg::B32 => "b32",
            Reg::B64 => "b64",
            Reg::B128 => "b128",
        }
    }

    /// The register of an integer type: `"s32"`.
    pub fn of(ty: &str) -> Reg {
        match ty.trim_start_matches(|c: char| c.is_ascii_alphabetic()) {
            "16" => Reg::B16,
            "32" | "16x2" => Reg::B32,
            "64" => Reg::B64,
            "128" => Reg::B128,
            _ => Reg::Pred,
        }
    }
}

/// An instruction, or several, as text.
#[derive(Clone, Debug)]
pub struct Snippet<'a> {
    /// `"add.u32 d0, a0, a1;"`.
    pub text: &'a str,
    pub operands: &'a [Reg],
    pub results: &'a [Reg],
    /// `"sm_80"`.
    pub target: &'a str,
    /// Threads per block.
    pub block: u32,
}

impl<'a> Snippet<'a> {
    /// For `sm_80`, in blocks of 128 threads.
    pub fn new(text: &'a str, operands: &'a [Reg], results: &'a [Reg]) -> Self {
        Snippet { text, operands, results, target: "sm_80", block: 128 }
    }

    /// The kernel around it: parameters are the arrays of the operands, those of the results, and their length.
    pub fn kernel(&self) -> String {
        let mut k =
            format!(".version 8.8\n.target {}\n.address_size 64\n.visible .entry snippet(\n", self.target);
        let arrays = self.operands.len() + self.results.len();
        for i in 0..arrays {
            writeln!(k, "  .param .u64 array{i},").unwrap();
        }
        k += "  .param .u32 length\n)\n{\n  .reg .pred out_of_range, test;\n  .reg .b32 thread, block, size, length32;\n";
        k += "  .reg .b16 flag;\n  .reg .b64 index, array, low, high;\n";
        for (letter, registers) in [("a", self.operands), ("d", self.results)] {
            for (i, r) in registers.iter().enumerate() {
                writeln!(k, "  .reg .{} {letter}{i};", r.name()).unwrap();
            }
        }
        k += "  mov.u32 thread, %tid.x;\n  mov.u32 block, %ctaid.x;\n  mov.u32 size, %ntid.x;\n";
        k += "  mad.lo.u32 thread, block, size, thread;\n  ld.param.u32 length32, [length];\n";
        k += "  setp.ge.u32 out_of_range, thread, length32;\n  @out_of_range ret;\n";
        let address = |k: &mut String, array: usize, r: Reg| {
            writeln!(k, "  ld.param.u64 array, [array{array}];").unwrap();
            writeln!(k, "  mul.wide.u32 index, thread, {};\n  add.u64 array, array, index;", r.bytes())
                .unwrap();
        };
        for (i, &r) in self.operands.iter().enumerate() {
            address(&mut k, i, r);
            match r {
                Reg::Pred => writeln!(k, "  ld.global.u8 flag, [array];\n  setp.ne.u16 a{i}, flag, 0;"),
                Reg::B128 => {
                    writeln!(k, "  ld.global.v2.b64 {{low, high}}, [array];\n  mov.b128 a{i}, {{low, high}};")
                }
                _ => writeln!(k, "  ld.global.{} a{i}, [array];", r.name()),
            }
            .unwrap();
        }
        writeln!(k, "{}", self.text).unwrap();
        for (i, &r) in self.results.iter().enumerate() {
            address(&mut k, self.operands.len() + i, r);
            match r {
                Reg::Pred => writeln!(k, "  selp.b16 flag, 1, 0, d{i};\n  st.global.u8 [array], flag;"),
                Reg::B128 => {
                    writeln!(k, "  mov.b128 {{low, high}}, d{i};\n  st.global.v2.b64 [array], {{low, high}};")
                }
                _ => writeln!(k, "  st.global.{} [array], d{i};", r.name()),
            }
            .unwrap();
        }
        k += "  ret;\n}\n";
        k
    }

    /// Runs it on columns of operands; gives a column per result.
    pub fn run(&self, columns: &[Vec<u128>]) -> Result<Vec<Vec<u128>>, LaunchError> {
        assert_eq!(columns.len(), self.operands.len(), "{}", self.text);
        let length = columns.first().map_or(self.block as usize, Vec::len);
        let text = self.kernel();
        assemble(&text, self.target);
        let device = device();
        let module = Module::load(&device, &text).unwrap_or_else(|e| panic!("{}: {e}\n{text}", self.text));
        let mut parameters = Vec::new();
        let mut addresses = Vec::new();
        for &r in self.operands.iter().chain(self.results) {
            let address = device.memory().allocate((length * r.bytes()) as u64).expect("memory");
            addresses.push(address);
            parameters.extend(address.to_le_bytes());
        }
        parameters.extend((length as u32).to_le_bytes());
        for ((column, r), &address) in columns.iter().zip(self.operands).zip(&addresses) {
            assert_eq!(column.len(), length, "{}", self.text);
            let bytes: Vec<u8> = column.iter().flat_map(|v| v.to_le_bytes()[..r.bytes()].to_vec()).collect();
            assert!(device.memory().write(address, &bytes));
        }
        let config = LaunchConfig {
            grid: [(length as u32).div_ceil(self.block), 1, 1],
            block: [self.block, 1, 1],
            ..LaunchConfig::default()
        };
        module.kernel("snippet").expect("the kernel").launch(&config, &parameters)?;
        let mut results = Vec::new();
        for (&r, &address) in self.results.iter().zip(&addresses[self.operands.len()..]) {
            let mut bytes = vec![0; length * r.bytes()];
            assert!(device.memory().read(address, &mut bytes));
            results.push(
                bytes
                    .chunks(r.bytes())
                    .map(|b| {
                        let mut value = [0; 16];
                        value[..b.len()].copy_from_slice(b);
                        u128::from_le_bytes(value)
                    })
                    .collect(),
            );
        }
        Ok(results)
    }

    /// Runs it on columns of operands and compares with what `expected` gives for each row of them.
    pub fn check(&self, columns: &[Vec<u128>], expected: impl Fn(&[u128]) -> Vec<u128>) {
        let results = self.run(columns).unwrap_or_else(|e| panic!("{}: {e}", self.text));
        let mut wrong = Vec::new();
        for row in 0..columns.first().map_or(0, Vec::len) {
            let operands: Vec<u128> = columns.iter().map(|c| c[row]).collect();
            let got: Vec<u128> = results.iter().map(|c| c[row]).collect();
            let want = expected(&operands);
            if got != want {
                wrong.push(
                    format!("row {row}: {operands:#x?} gave {got:#x?}, not {want:#x?}").replace('\n', ""),
                );
            }
        }
        let shown = wrong.iter().take(5).cloned().collect::<Vec<_>>().join("\n");
        assert!(wrong.is_empty(), "{}: {} rows are wrong\n{shown}", self.text, wrong.len());
    }
}

/// A device with all checks that stops at the first fault.
pub fn device() -> Arc<Device> {
    Device::new(Settings {
        memory_bytes: 64 << 20,
        threads: 1,
        instruction_limit: Some(100_000_000),
        ..Settings::default()
    })
    .expect("memory")
}

/// Why a module with this instruction is refused.
pub fn refusal(text: &str, operands: &[Reg], results: &[Reg]) -> String {
    let snippet = Snippet::new(text, operands, results);
    match Module::load(&device(), &snippet.kernel()) {
        Ok(_) => panic!("{text} is accepted"),
        Err(e) => e.to_string(),
    }
}

/// Lets ptxas have a look, if there is one.
pub fn assemble(text: &str, target: &str) {
    let Some(ptxas) = std::env::var_os("CUDA_EMULATOR_TEST_PTXAS") else { return };
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("snippet.ptx");
    std::fs::write(&path, text).unwrap();
    let output = std::process::Command::new(ptxas)
        .args([format!("-arch={target}").as_ref(), path.as_os_str(), "-o".as_ref(), "/dev/null".as_ref()])
        .output()
        .expect("ptxas runs");
    assert!(output.status.success(), "{}\n{text}", String::from_utf8_lossy(&output.stderr));
}

/// Random numbers that are the same every time.
pub struct Random(pub u64);

impl Random {
    pub fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ z >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ z >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ z >> 31
    }

    /// A value of so many bits: any, or one with few significant bits, or a mask.
    pub fn value(&mut self, bits: u32) -> u128 {
        let any = u128::from(self.next()) << 64 | u128::from(self.next());
        let kind = self.next();
        let shift = (kind >> 8) as u32 % bits;
        let all = u128::MAX >> (128 - bits);
        (match kind % 4 {
            0 => all >> shift,
            1 => (any & all) >> shift,
            _ => any,
        }) & all
    }
}

/// The values of so many bits at which something may go wrong.
pub fn edges(bits: u32) -> Vec<u128> {
    if bits == 1 {
        return vec![0, 1];
    }
    let all = u128::MAX >> (128 - bits);
    let top = 1 << (bits - 1);
    let n = u128::from(bits);
    let mut edges = vec![0, 1, 2, 7, n - 1, n, n + 1, 2 * n, top - 1, top, top + 1, all - 1, all];
    edges.extend([(u128::MAX / 3) & all, (u128::MAX / 3 * 2) & all, 0xFF, 0x100]);
    edges.sort_unstable();
    edges.dedup();
    edges
}

/// Columns of operands: every combination of edges, then `random` rows.
pub fn columns(registers: &[Reg], random: usize) -> Vec<Vec<u128>> {
    let choices: Vec<Vec<u128>> = registers.iter().map(|r| edges(r.bits())).collect();
    columns_of(registers, &choices, random)
}

/// Columns of operands: every combination of these choices, then `random` rows.
pub fn columns_of(registers: &[Reg], choices: &[Vec<u128>], random: usize) -> Vec<Vec<u128>> {
    let rows: usize = choices.iter().map(Vec::len).product();
    let mut columns = vec![Vec::with_capacity(rows + random); registers.len()];
    for row in 0..rows {
        let mut rest = row;
        for (column, choice) in columns.iter_mut().zip(choices) {
            column.push(choice[rest % choice.len()]);
            rest /= choice.len();
        }
    }
    let mut numbers = Random(rows as u64);
    for _ in 0..random {
        for (column, r) in columns.iter_mut().zip(registers) {
            column.push(numbers.value(r.bits()));
        }
    }
    columns
}

/// The low bits of a value as a signed number.
pub fn signed(value: u128, bits: u32) -> i128 {
    (value << (128 - bits)) as i128 >> (128 - bits)
}

/// The low bits of a number.
pub fn low(value: i128, bits: u32) -> u128 {
    value as u128 & u128::MAX >> (128 - bits)
}
