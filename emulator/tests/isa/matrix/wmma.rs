//! `wmma`: fragments are loaded, multiplied and stored again; all that shows is matrices in memory.

use super::element::{Kind, Sum};
use super::layout::Shape;
use super::mma::list;
use crate::kit::{Random, Reg, assemble, device, refusal};
use cuda_emulator::exec::{LaunchConfig, Module};

/// A matrix in memory, as bits of elements.
struct Stored {
    bits: usize,
    /// Elements from one row (or column) to the next.
    stride: usize,
    column_major: bool,
    bytes: Vec<u8>,
}

impl Stored {
    fn new(rows: usize, columns: usize, bits: usize, stride: usize, column_major: bool) -> Self {
        let lines = if column_major { columns } else { rows };
        Stored { bits, stride, column_major, bytes: vec![0; (lines * stride * bits).div_ceil(8)] }
    }

    fn place(&self, row: usize, column: usize) -> usize {
        let (line, at) = if self.column_major { (column, row) } else { (row, column) };
        (line * self.stride + at) * self.bits
    }

    fn set(&mut self, row: usize, column: usize, value: u64) {
        let place = self.place(row, column);
        for i in 0..self.bits {
            self.bytes[(place + i) / 8] |= ((value >> i & 1) as u8) << ((place + i) % 8);
        }
    }

    fn get(&self, row: usize, column: usize) -> u64 {
        let place = self.place(row, column);
        (0..self.bits)
            .fold(0, |v, i| v | u64::from(self.bytes[(place + i) / 8] >> ((place + i) % 8) & 1) << i)
    }
}

struct Case {
    shape: Shape,
    kind: Kind,
    c: Sum,
    d: Sum,
    /// A, B, C and D.
    column_major: [bool; 4],
    operation: &'static str,
    suffix: &'static str,
    /// Through shared memory and strides beyond the matrix, or global memory and none.
    shared: bool,
}

fn sum_bits(sum: Sum) -> usize {
    match sum {
        Sum::F16 => 16,
        Sum::F64 => 64,
        _ => 32,
    }
}

/// Gives D.
fn check(case: &Case) -> Stored {
    let Case { shape: (m, n, k), kind, c, d, column_major, operation, suffix, shared } = *case;
    let mut random = Random((m + n * k) as u64);
    let pad = if shared { 128 / kind.bits().max(4) } else { 0 };
    let line = |rows: usize, columns: usize, column_major: bool, pad: usize| {
        if column_major { rows + pad } else { columns + pad }
    };
    let sizes = [(m, k), (k, n), (m, n), (m, n)];
    let bits = [kind.bits(), kind.bits(), sum_bits(c), sum_bits(d)];
    let pads = [pad, pad, if shared { 8 } else { 0 }, if shared { 16 } else { 0 }];
    let mut stored: Vec<Stored> = (0..4)
        .map(|i| {
            let (rows, columns) = sizes[i];
            let stride = line(rows, columns, column_major[i], pads[i]);
            Stored::new(rows, columns, bits[i], stride, column_major[i])
        })
        .collect();
    for (i, matrix) in stored.iter_mut().enumerate().take(3) {
        for row in 0..sizes[i].0 {
            for column in 0..sizes[i].1 {
                let value = if i < 2 { kind.random(&mut random) } else { c.random(&mut random) };
                matrix.set(row, column, value);
            }
        }
    }

    let shape = format!("m{m}n{n}k{k}");
    let layout = |i: usize| if column_major[i] { "col" } else { "row" };
    let multiplicand =
        |packed: usize, panels: usize| if kind == Kind::F16 { 8 } else { panels * k / (4 * packed) };
    let packed = (32 / kind.bits()).max(1);
    let counts = [
        multiplicand(packed, m / 8),
        multiplicand(packed, n / 8),
        m * n / 32 * sum_bits(c).min(32) / 32,
        m * n / 32 * sum_bits(d).min(32) / 32,
    ];
    let space = if shared { ".shared" } else { ".global" };
    let register = if kind == Kind::F64 { "b64" } else { "b32" };
    let mut text = format!(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 p0, .param .u64 p1, .param .u64 p2, .param .u64 p3)\n{{\n
        .reg .{register} a<8>, b<8>, c<8>, d<8>;\n.reg .b64 q<4>, s, w;\n.reg .b32 i, t;\n.reg .b8 v;\n.reg .pred more;\n
        .shared .align 128 .b8 tile[32768];\n mov.u32 t, %tid.x;\n"
    );
    for i in 0..4 {
        text += &format!("ld.param.u64 q{i}, [p{i}];\n");
    }
    let copy = |i: usize, back: bool, bytes: usize| {
        let (from, to) = if back { ("[s]", "[w]") } else { ("[w]", "[s]") };
        let (load, store) = if back { ("shared", "global") } else { ("global", "shared") };
        format!(
            "mov.u32 i, t;\nCOPY{i}{back}:\n cvt.u64.u32 w, i;\n mov.u64 s, tile;\n add.u64 s, s, w;\n add.u64 w, w, q{i};\n
            add.u64 s, s, {};\n ld.{load}.u8 v, {from};\n st.{store}.u8 {to}, v;\n add.u32 i, i, 32;\n
            setp.lt.u32 more, i, {bytes};\n @more bra COPY{i}{back};\n bar.sync 0;\n",
            8192 * i
        )
    };
    if shared {
        for (i, matrix) in stored.iter().enumerate().take(3) {
            text += &copy(i, false, matrix.bytes.len());
        }
    }
    for (i, (matrix, letter)) in ["a", "b", "c"].into_iter().zip(["a", "b", "c"]).enumerate() {
        let (address, stride) = if shared {
            (format!("tile + {}", 8192 * i), format!(", {}", stored[i].stride))
        } else {
            (format!("q{i}"), String::new())
        };
        let ty = if i < 2 { kind.name() } else { c.name() };
        text += &format!(
            "wmma.load.{matrix}.sync.aligned.{}.{shape}{space}.{ty} {}, [{address}]{stride};\n",
            layout(i),
            list(letter, 0, counts[i])
        );
    }
    let types = match kind {
        Kind::F16 => format!("{}.{}", d.name(), c.name()),
        _ => format!("{}.{}.{}.{}", d.name(), kind.name(), kind.name(), c.name()),
    };
    let rounding = if operation.starts_with(".r") { operation } else { "" };
    let bit_operation = if operation.ends_with("popc") { operation } else { "" };
    text += &format!(
        "wmma.mma{bit_operation}.sync.aligned.{}.{}.{shape}{rounding}.{types}{suffix} {}, {}, {}, {};\n",
        layout(0),
        layout(1),
        list("d", 0, counts[3]),
        list("a", 0, counts[0]),
        list("b", 0, counts[1]),
        list("c", 0, counts[2])
    );
    let (address, stride) = if shared {
        ("tile + 24576".to_string(), format!(", {}", stored[3].stride))
    } else {
        ("q3".to_string(), String::new())
    };
    text += &format!(
        "wmma.store.d.sync.aligned.{}.{shape}{space}.{} [{address}], {}{stride};\n",
        layout(3),
        d.name(),
        list("d", 0, counts[3])
    );
    if shared {
        // What lies between lines is not written: copy what is.
        let width = if column_major[3] { m } else { n } * sum_bits(d) / 8;
        let lines = if column_major[3] { n } else { m };
        text += "bar.sync 0;\n";
        for line in 0..lines {
            let at = line * stored[3].stride * sum_bits(d) / 8;
            text += &format!(
                "mov.u32 i, t;\nBACK{line}:\n setp.ge.u32 more, i, {width};\n @more bra DONE{line};\n cvt.u64.u32 w, i;\n mov.u64 s, tile;\n add.u64 s, s, w;\n add.u64 w, w, q3;\n
                ld.shared.u8 v, [s + {}];\n st.global.u8 [w + {at}], v;\n add.u32 i, i, 32;\n bra BACK{line};\nDONE{line}:\n",
                24576 + at
            );
        }
    }
    text += "ret;\n}\n";

    assemble(&text, "sm_80");
    let device = device();
    let module = Module::load(&device, &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let mut parameters = Vec::new();
    let mut addresses = Vec::new();
    for (i, matrix) in stored.iter().enumerate() {
        let address = device.memory().allocate(matrix.bytes.len() as u64).unwrap();
        if i < 3 {
            assert!(device.memory().write(address, &matrix.bytes));
        }
        parameters.extend(address.to_le_bytes());
        addresses.push(address);
    }
    let config = LaunchConfig { grid: [1, 1, 1], block: [32, 1, 1], ..LaunchConfig::default() };
    let counters =
        module.kernel("k").unwrap().launch(&config, &parameters).unwrap_or_else(|e| panic!("{e}\n{text}"));
    assert_eq!(counters.matrix_macs, (m * n * k) as u64);
    let mut bytes = vec![0; stored[3].bytes.len()];
    assert!(device.memory().read(addresses[3], &mut bytes));
    stored[3].bytes = bytes;
    let worth = |x: u64, y: u64| match bit_operation {
        ".xor.popc" => ((x ^ y) as f64, 1.0),
        ".and.popc" => ((x & y) as f64, 1.0),
        _ => (kind.value(x), kind.value(y)),
    };
    for row in 0..m {
        for column in 0..n {
            let products = (0..k).map(|i| worth(stored[0].get(row, i), stored[1].get(i, column)));
            let want = c.of(stored[2].get(row, column), products, suffix == ".satfinite", d);
            let got = stored[3].get(row, column);
            if rounding.is_empty() {
                assert_eq!(got, want, "{shape} {} [{row}][{column}]\n{text}", kind.name());
            } else {
                let (got, want) = (f64::from_bits(got), f64::from_bits(want));
                assert!((got - want).abs() <= want.abs() * 1e-14 + 1e-14, "{got} {want}");
            }
        }
    }
    stored.remove(3)
}

const SHAPES: [Shape; 3] = [(16, 16, 16), (8, 32, 16), (32, 8, 16)];

fn layouts() -> impl Iterator<Item = [bool; 4]> {
    (0..16).map(|bits| std::array::from_fn(|i| bits >> i & 1 == 1))
}

fn all(shapes: &[Shape], kind: Kind, sums: &[(Sum, Sum)], suffix: &'static str) {
    for &shape in shapes {
        for column_major in layouts() {
            for &(d, c) in sums {
                for shared in [false, true] {
                    check(&Case { shape, kind, c, d, column_major, operation: "", suffix, shared });
                }
            }
        }
    }
}

#[test]
fn halves() {
    use Sum::{F16, F32};
    all(&SHAPES, Kind::F16, &[(F32, F32), (F16, F16), (F32, F16), (F16, F32)], "");
}

#[test]
fn other_floats() {
    all(&SHAPES, Kind::Bf16, &[(Sum::F32, Sum::F32)], "");
    all(&[(16, 16, 8)], Kind::Tf32, &[(Sum::F32, Sum::F32)], "");
    all(&[(8, 8, 4)], Kind::F64, &[(Sum::F64, Sum::F64)], "");
}

#[test]
fn bytes() {
    for suffix in ["", ".satfinite"] {
        all(&SHAPES, Kind::S8, &[(Sum::S32, Sum::S32)], suffix);
        all(&SHAPES, Kind::U8, &[(Sum::S32, Sum::S32)], suffix);
    }
}

#[test]
fn nibbles_and_bits() {
    for column_major in layouts().filter(|l| !l[0] && l[1]) {
        for shared in [false, true] {
            let (c, d) = (Sum::S32, Sum::S32);
            for kind in [Kind::S4, Kind::U4] {
                for suffix in ["", ".satfinite"] {
                    check(&Case {
                        shape: (8, 8, 32),
                        kind,
                        c,
                        d,
                        column_major,
                        operation: "",
                        suffix,
                        shared,
                    });
                }
            }
            for operation in [".xor.popc", ".and.popc"] {
                check(&Case {
                    shape: (8, 8, 128),
                    kind: Kind::B1,
                    c,
                    d,
                    column_major,
                    operation,
                    suffix: "",
                    shared,
                });
            }
        }
    }
}

#[test]
fn roundings_of_doubles() {
    let [nearest, zero, down, up] = [".rn", ".rz", ".rm", ".rp"].map(|operation| {
        let (c, d) = (Sum::F64, Sum::F64);
        let column_major = [false, true, false, false];
        let shape = (8, 8, 4);
        check(&Case { shape, kind: Kind::F64, c, d, column_major, operation, suffix: "", shared: false })
    });
    // Sums that are rounded down at every step are the least, and so on; few of them are exact.
    let mut apart = 0;
    for row in 0..8 {
        for column in 0..8 {
            let value = |matrix: &Stored| f64::from_bits(matrix.get(row, column));
            let (least, most) = (value(&down), value(&up));
            assert!((least..=most).contains(&value(&nearest)) && (least..=most).contains(&value(&zero)));
            apart += u32::from(least < most);
        }
    }
    assert!(apart > 32, "{apart}");
}

#[test]
fn what_there_is_not() {
    for (text, part) in [
        ("wmma.load.a.sync.aligned.row.m16n16k32.global.f16 {d0}, [a0];", "m16n16k32"),
        ("wmma.load.a.sync.aligned.row.m16n16k16.global.f16 {d0}, [a0];", "8"),
        ("wmma.load.b.sync.aligned.row.m8n8k32.global.s4 {d0}, [a0];", "byte"),
        ("wmma.load.d.sync.aligned.row.m16n16k16.global.f32 {d0}, [a0];", "matrix"),
        ("wmma.load.a.sync.aligned.row.m16n16k16.local.f16 {d0, d0, d0, d0, d0, d0, d0, d0}, [a0];", "local"),
        ("wmma.mma.sync.aligned.row.col.m8n8k4.f32.f64.f64.f64 {d0}, {d0}, {d0}, {d0};", "F64"),
        ("wmma.mma.sync.aligned.row.col.m16n16k16.s32.s8.u8.s32 {d0}, {d0}, {d0}, {d0};", "U8"),
        ("wmma.fill {d0};", "wmma"),
    ] {
        let message = refusal(text, &[Reg::B64], &[Reg::B32]);
        assert!(message.contains(part), "{text}: {message}");
    }
}
