//! Broken kernels that load all the same are launched: they may fail, but neither bring the process down nor make the
//! emulator itself fail. `CUDA_EMULATOR_FUZZ_LAUNCHES` says how many are tried.

use super::machine::kernel;
use cuda_emulator::exec::{Device, LaunchConfig, LaunchError, Module, OnFault, Settings};

struct Numbers(u64);

impl Numbers {
    fn below(&mut self, n: usize) -> usize {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        ((self.0 >> 33) % n as u64) as usize
    }
}

/// Kernels in which every kind of control flow occurs.
fn sources() -> Vec<String> {
    let function = ".func (.param .b32 ret) f(.param .b32 n)\n{\n .reg .pred %p;\n .reg .b32 %r<6>;\n .reg .b64 %a<4>;\n \
        ld.param.u32 %r1, [n];\n setp.lt.u32 %p, %r1, 2;\n @%p bra SMALL;\n sub.u32 %r2, %r1, 1;\n {\n .param .b32 a;\n \
        .param .b32 b;\n st.param.b32 [a], %r2;\n call.uni (b), f, (a);\n ld.param.b32 %r3, [b];\n }\n alloca.u64 %a1, 16;\n \
        st.local.u32 [%a1+4], %r3;\n add.u32 %r1, %r3, 2;\n SMALL:\n st.param.b32 [ret], %r1;\n ret;\n}\n\
        .shared .align 4 .b8 s[512];\n.global .u64 t[2] = {f, 0};\n";
    let calls = "{\n .param .b32 p0;\n st.param.b32 [p0], %r1;\n .param .b32 q0;\n call.uni (q0), f, (p0);\n \
        ld.param.b32 %r0, [q0];\n }\n mov.u64 %rd5, t;\n ld.global.u64 %rd7, [%rd5];\n {\n .param .b32 p0;\n \
        st.param.b32 [p0], %r2;\n .param .b32 q0;\n proto: .callprototype (.param .b32 _) _ (.param .b32 _);\n \
        call (q0), %rd7, (p0), proto;\n ld.param.b32 %r10, [q0];\n }\n add.u32 %r0, %r0, %r10;";
    let flow = "mov.u32 %r10, 0;\n OUTER:\n setp.ge.u32 %p1, %r10, %r1;\n @%p1 bra END;\n and.b32 %r11, %r10, 3;\n \
        T: .branchtargets A, B, C, D;\n brx.idx %r11, T;\n A: add.u32 %r0, %r0, 1;\n bra NEXT;\n B: shl.b32 %r0, %r0, 1;\n \
        bra NEXT;\n C: bar.warp.sync 0xffffffff;\n D: xor.b32 %r0, %r0, %r10;\n NEXT: add.u32 %r10, %r10, 1;\n bra OUTER;\n \
        END: bar.sync 0;";
    let barriers = "mov.u32 %r10, s;\n shl.b32 %r11, %r1, 2;\n add.u32 %r12, %r10, %r11;\n st.shared.u32 [%r12], %r1;\n \
        bar.sync 0;\n setp.lt.u32 %p1, %r1, 32;\n @%p1 bra FIRST;\n bar.arrive 1, 96;\n barrier.sync 2, 64;\n bra JOIN;\n \
        FIRST: bar.sync 1, 96;\n ld.shared.u32 %r0, [%r12+128];\n JOIN: bar.red.popc.u32 %r13, 0, %p1;\n \
        shfl.sync.idx.b32 %r14|%p2, %r0, 3, 31, 0xffffffff;\n vote.sync.ballot.b32 %r15, %p2, 0xffffffff;\n \
        atom.shared.add.u32 %r16, [s], %r15;\n atom.global.add.u32 %r17, [%rd1], 1;\n nanosleep.u32 100;\n exit;";
    [calls, flow, barriers].map(|body| format!("{function}{}", kernel("k", body))).to_vec()
}

/// Words, spaces and signs, as they stand.
fn tokens(text: &str) -> Vec<&str> {
    let is_word = |c: char| c.is_alphanumeric() || "%._$".contains(c);
    let (mut out, mut start, mut last) = (Vec::new(), 0, None);
    for (i, c) in text.char_indices() {
        if last.is_some_and(|l| l != is_word(c) || !is_word(c)) {
            out.push(&text[start..i]);
            start = i;
        }
        last = Some(is_word(c));
    }
    out.push(&text[start..]);
    out
}

#[test]
fn broken_kernels_do_no_harm() {
    let count =
        std::env::var("CUDA_EMULATOR_FUZZ_LAUNCHES").ok().and_then(|n| n.parse().ok()).unwrap_or(1000);
    let sources = sources();
    let mut numbers = Numbers(7);
    let (mut launched, mut faulted) = (0, 0);
    let device = |on_fault| {
        let limits = Settings {
            instruction_limit: Some(20_000),
            memory_bytes: 64 << 20,
            threads: 1,
            ..Settings::default()
        };
        Device::new(Settings { on_fault, ..limits }).unwrap()
    };
    let devices = [device(OnFault::Abort), device(OnFault::Collect)];
    for i in 0..count {
        let device = &devices[i % 2];
        let source = &sources[numbers.below(sources.len())];
        let mut words = tokens(source);
        for _ in 0..1 + numbers.below(4) {
            let (at, from) = (numbers.below(words.len()), numbers.below(words.len()));
            if words[at].trim().len() > 1 && words[from].trim().len() > 1 {
                words[at] =
                    ["0", "4294967295", "-1", "16", words[from], words[from], words[from]][numbers.below(7)];
            }
        }
        let text = format!(".version 8.0\n.target sm_80\n.address_size 64\n{}", words.concat());
        let Ok(module) = Module::load(device, &text) else { continue };
        let Some(kernel) = module.kernel("k") else { continue };
        let out = device.memory().allocate(512).unwrap();
        let config =
            LaunchConfig { grid: [2, 1, 1], block: [64, 1, 1], dynamic_shared: 0, cooperative: i % 3 == 0 };
        launched += 1;
        if let Err(LaunchError::Faults { faults, .. }) = kernel.launch(&config, &out.to_le_bytes()) {
            faulted += 1;
            let own = faults.iter().find(|f| f.detail.contains("the emulator itself"));
            assert!(own.is_none(), "{}\n{text}", own.unwrap());
        }
        device.memory().free(out);
    }
    assert!(
        launched > count / 10 && faulted > launched / 20,
        "{launched} of {count} launched, {faulted} with faults"
    );
}
