//! `ldmatrix`, with its bank conflicts.

use crate::kit::{Reg, Snippet, assemble, device, refusal};
use cuda_emulator::counters::Counters;
use cuda_emulator::exec::{LaunchConfig, Module};

/// A warp writes 2 KiB of shared memory (half h holds h) and loads matrices whose row r lies at `pitch · r` bytes.
fn kernel(count: usize, trans: bool, space: &str, pitch: u32) -> String {
    let registers = (0..count).map(|i| format!("d{i}")).collect::<Vec<_>>().join(", ");
    let mut text = String::from(
        ".version 8.0\n.target sm_80\n.address_size 64\n.visible .entry k(.param .u64 out)\n{\n
        .shared .align 16 .b8 tile[4096];\n.reg .b32 t, i, v, p, d<4>;\n.reg .b64 a, o, wide;\n.reg .pred more;
        mov.u32 t, %tid.x;\n ld.param.u64 o, [out];\n mov.u32 i, t;\nFILL:\n
        shl.b32 v, i, 1;\n add.u32 p, v, 1;\n prmt.b32 v, v, p, 0x5410;\n shl.b32 p, i, 2;\n
        mov.u64 a, tile;\n cvt.u64.u32 wide, p;\n add.u64 a, a, wide;\n st.shared.u32 [a], v;\n
        add.u32 i, i, 32;\n setp.lt.u32 more, i, 1024;\n @more bra FILL;\n bar.sync 0;\n",
    );
    text += &format!(
        "mul.lo.u32 p, t, {pitch};\n mov.u64 a, tile;\n cvt.u64.u32 wide, p;\n add.u64 a, a, wide;\n"
    );
    if space.is_empty() {
        text += "cvta.shared.u64 a, a;\n";
    }
    let trans = if trans { ".trans" } else { "" };
    text += &format!("ldmatrix.sync.aligned.m8n8.x{count}{trans}{space}.b16 {{{registers}}}, [a + 16];\n");
    text += "mul.wide.u32 wide, t, 16;\n add.u64 o, o, wide;\n";
    for i in 0..count {
        text += &format!("st.global.u32 [o + {}], d{i};\n", 4 * i);
    }
    text + "ret;\n}\n"
}

fn run(count: usize, trans: bool, space: &str, pitch: u32) -> (Vec<u32>, Counters) {
    let device = device();
    let text = kernel(count, trans, space, pitch);
    assemble(&text, "sm_80");
    let module = Module::load(&device, &text).unwrap_or_else(|e| panic!("{e}\n{text}"));
    let out = device.memory().allocate(512).unwrap();
    let config = LaunchConfig { grid: [1, 1, 1], block: [32, 1, 1], ..LaunchConfig::default() };
    let counters = module.kernel("k").unwrap().launch(&config, &out.to_le_bytes()).unwrap();
    let mut words = Vec::new();
    for thread in 0..32 {
        for i in 0..count {
            let mut word = [0; 4];
            assert!(device.memory().read(out + 16 * thread + 4 * i as u64, &mut word));
            words.push(u32::from_le_bytes(word));
        }
    }
    (words, counters)
}

#[test]
fn every_form() {
    for count in [1, 2, 4] {
        for trans in [false, true] {
            for space in [".shared", ".shared::cta", ""] {
                let pitch = 80;
                let (words, _) = run(count, trans, space, pitch);
                for lane in 0..32 {
                    for matrix in 0..count {
                        let element = |row: usize, column: usize| {
                            ((8 * matrix + row) * pitch as usize / 2 + 8 + column) as u32
                        };
                        let (i, t) = (lane / 4, lane % 4);
                        let want = match trans {
                            false => element(i, 2 * t) | element(i, 2 * t + 1) << 16,
                            true => element(2 * t, i) | element(2 * t + 1, i) << 16,
                        };
                        assert_eq!(
                            words[lane * count + matrix],
                            want,
                            "x{count} {trans} {space} lane {lane}"
                        );
                    }
                }
            }
        }
    }
}

/// Eight rows 16 bytes wide: 16 apart they fill all banks once; 64 apart they share half of them four by four; 128 apart
/// they share four.
#[test]
fn bank_conflicts() {
    let fill = 1024 / 32; // stores without conflicts
    for (pitch, wavefronts) in [(16, 1), (80, 1), (32, 2), (64, 4), (128, 8)] {
        for count in [1, 2] {
            let (_, counters) = run(count, false, ".shared", pitch);
            let loads = &counters.shared_loads;
            let count = count as u64;
            assert_eq!((loads.requests, loads.wavefronts), (1, count * wavefronts), "{pitch}");
            assert_eq!(loads.wavefronts - loads.ideal_wavefronts, count * (wavefronts - 1), "{pitch}");
            assert_eq!(counters.shared_stores.wavefronts, fill);
        }
    }
}

#[test]
fn addresses_are_checked() {
    let text = |address: &str| {
        format!(
            "{{ .shared .align 16 .b8 tile[128]; .reg .b64 a; .reg .b32 p; mov.u64 a, tile;
             cvt.u32.u64 p, a; add.u32 p, p, {address};
             ldmatrix.sync.aligned.m8n8.x1.shared.b16 {{d0}}, [p]; }}"
        )
    };
    for (address, kind) in [("8", "Misaligned"), ("4096", "OutOfBounds"), ("0", "Uninitialized")] {
        let text = text(address);
        let snippet = Snippet { block: 32, ..Snippet::new(&text, &[], &[Reg::B32]) };
        let error = snippet.run(&[]).unwrap_err().to_string();
        assert!(error.contains(kind), "{address}: {error}");
    }
}

#[test]
fn what_there_is_not() {
    for (modifiers, part) in [
        ("sync.aligned.m16n16.x1.trans.shared.b8", "sm_100"),
        ("sync.aligned.m8n8.x3.shared.b16", "x4"),
        ("sync.aligned.m8n8.x1.global.b16", "global"),
        ("sync.aligned.m8n8.x2.shared.b16", "registers"),
        ("m8n8.x1.shared.b16", "aligned"),
    ] {
        let text = format!("ldmatrix.{modifiers} {{d0}}, [a0];");
        let message = refusal(&text, &[Reg::B64], &[Reg::B32]);
        assert!(message.contains(part), "{modifiers}: {message}");
    }
}
