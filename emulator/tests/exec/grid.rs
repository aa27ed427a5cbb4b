//! Grids: independence of the number of threads, blocks that wait for each other, limits.

use super::machine::{Machine, assert_kind, kernel};
use cuda_emulator::exec::{LaunchConfig, LaunchError, OnFault, Settings};
use cuda_emulator::fault::FaultKind;

fn threads(threads: usize) -> Settings {
    Settings { threads, ..Settings::default() }
}

fn cooperative(grid: u32, block: u32) -> LaunchConfig {
    LaunchConfig { grid: [grid, 1, 1], block: [block, 1, 1], dynamic_shared: 0, cooperative: true }
}

/// Each thread runs a number of rounds that depends on it, with a barrier in each round that all reach.
const ROUNDS: &str = "mov.u32 %r10, 0;\n mad.lo.u32 %r11, %r2, 7, 3;\n L: mad.lo.u32 %r0, %r0, 1664525, %r4;\n \
    and.b32 %r12, %r0, 1;\n setp.eq.u32 %p1, %r12, 0;\n @%p1 bra EVEN;\n xor.b32 %r0, %r0, 12345;\n EVEN: bar.sync 0;\n \
    add.u32 %r10, %r10, 1;\n setp.lt.u32 %p2, %r10, %r11;\n @%p2 bra L;";

#[test]
fn results_and_counters_do_not_depend_on_the_number_of_threads() {
    let one = Machine::with(threads(1), &kernel("k", ROUNDS)).run("k", 37, 96);
    for n in [2, 5] {
        let many = Machine::with(threads(n), &kernel("k", ROUNDS)).run("k", 37, 96);
        assert_eq!(one, many, "{n} threads");
    }
    let deterministic = Settings { deterministic: true, ..threads(4) };
    assert_eq!(one, Machine::with(deterministic, &kernel("k", ROUNDS)).run("k", 37, 96));
}

#[test]
fn the_first_fault_in_the_order_of_blocks_is_told() {
    // Blocks from 3 on trap; the later, the sooner.
    let body = "setp.lt.u32 %p1, %r2, 3;\n @%p1 bra END;\n sub.u32 %r10, 40, %r2;\n mul.lo.u32 %r10, %r10, 100;\n \
        L: sub.u32 %r10, %r10, 1;\n setp.ne.u32 %p2, %r10, 0;\n @%p2 bra L;\n trap;\n END:";
    for n in [1, 2, 5] {
        let fault = Machine::with(threads(n), &kernel("k", body)).fault("k", 30, 32);
        assert_kind(&fault, FaultKind::Trap);
        assert_eq!(fault.block, [3, 0, 0], "{n} threads");
    }
}

#[test]
fn collected_faults_come_in_the_order_of_blocks() {
    for n in [1, 3] {
        let settings = Settings { on_fault: OnFault::Collect, ..threads(n) };
        let machine = Machine::with(settings, &kernel("k", "trap;"));
        let out = machine.buffer(3000 * 32);
        match machine.launch("k", 3000, 32, &[out]) {
            Err(LaunchError::Faults { faults, dropped, .. }) => {
                assert_eq!((faults.len(), dropped), (1000, 2000));
                assert!(faults.iter().enumerate().all(|(i, f)| f.block == [i as u32, 0, 0]));
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A barrier of the whole grid, the way `cooperative_groups` does it: thread 0 of each block counts and spins.
const GRID_BARRIER: &str = "mov.u32 %r20, 0;\n mov.u32 %r21, %nctaid.x;\n ROUND:\n bar.sync 0;\n setp.ne.u32 %p1, %r1, 0;\n \
    @%p1 bra WAITED;\n membar.gl;\n atom.global.add.u32 %r22, [%rd0+4096], 1;\n add.u32 %r23, %r20, 1;\n \
    mul.lo.u32 %r23, %r23, %r21;\n SPIN: ld.volatile.global.u32 %r24, [%rd0+4096];\n setp.lt.u32 %p2, %r24, %r23;\n \
    @%p2 bra SPIN;\n WAITED:\n bar.sync 0;\n add.u32 %r20, %r20, 1;\n setp.lt.u32 %p3, %r20, 5;\n @%p3 bra ROUND;\n \
    ld.volatile.global.u32 %r0, [%rd0+4096];";

#[test]
fn a_cooperative_grid_meets_at_its_barrier() {
    for n in [1, 2, 3] {
        let machine = Machine::with(threads(n), &kernel("k", GRID_BARRIER));
        let out = machine.buffer(1025);
        machine.launch_as("k", &cooperative(16, 64), &[out]).unwrap_or_else(|e| panic!("{e}"));
        assert_eq!(machine.words(out, 1024), vec![16 * 5; 1024]);
    }
}

#[test]
fn a_cooperative_grid_must_fit_on_the_device() {
    let settings = Settings { processors: 2, ..threads(1) };
    let machine = Machine::with(settings, &kernel("k", GRID_BARRIER));
    let out = machine.buffer(1025);
    match machine.launch_as("k", &cooperative(5, 1024), &[out]) {
        Err(LaunchError::TooManyBlocks { blocks: 5, resident: 4, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn blocks_of_an_ordinary_grid_wait_for_each_other() {
    // Each block waits until the one behind it has written: the wrong way round, but both fit on the device.
    let body = "add.u32 %r10, %r2, 1;\n mov.u32 %r11, %nctaid.x;\n setp.eq.u32 %p1, %r10, %r11;\n @%p1 bra WRITE;\n \
        SPIN: ld.volatile.global.u32 %r0, [%rd1+128];\n setp.eq.u32 %p2, %r0, 0;\n @%p2 bra SPIN;\n WRITE: add.u32 %r0, %r0, 1;";
    let (words, _) = Machine::with(threads(1), &kernel("k", body)).run("k", 6, 32);
    assert_eq!(words, (0..192).map(|t| 6 - t / 32).collect::<Vec<u32>>());
}

#[test]
fn an_endless_kernel_ends_at_the_limit() {
    let settings = Settings { instruction_limit: Some(1_000_000), ..threads(2) };
    let fault = Machine::with(settings, &kernel("k", "L: add.u32 %r0, %r0, 1;\n bra L;")).fault("k", 4, 64);
    assert_kind(&fault, FaultKind::Timeout);
    assert_eq!(fault.block, [0, 0, 0]);
}

#[test]
fn impossible_launches_are_refused() {
    let ptx = kernel("k", "") + &kernel("few", "").replace(")\n{", ")\n.maxntid 64\n{");
    let ptx = ptx + &kernel("exact", "").replace(")\n{", ")\n.reqntid 8, 4\n{");
    let machine = Machine::new(&ptx);
    let out = machine.buffer(2048);
    let shape = |grid: [u32; 3], block: [u32; 3]| LaunchConfig { grid, block, ..LaunchConfig::default() };
    let bad = [
        shape([0, 1, 1], [32, 1, 1]),
        shape([1, 1, 1], [0, 1, 1]),
        shape([1, 65536, 1], [1, 1, 1]),
        shape([1, 1, 65536], [1, 1, 1]),
        shape([u32::MAX, 1, 1], [1, 1, 1]),
        shape([1, 1, 1], [1025, 1, 1]),
        shape([1, 1, 1], [1, 1, 65]),
        shape([1, 1, 1], [32, 33, 1]),
        shape([1, 1, 1], [u32::MAX, u32::MAX, u32::MAX]),
    ];
    for config in bad {
        assert!(
            matches!(machine.launch_as("k", &config, &[out]), Err(LaunchError::Configuration { .. })),
            "{config:?}"
        );
    }
    for dynamic_shared in [164 << 10, u32::MAX] {
        let config = LaunchConfig { dynamic_shared, ..shape([1, 1, 1], [32, 1, 1]) };
        assert!(matches!(machine.launch_as("k", &config, &[out]), Err(LaunchError::Resources { .. })));
    }
    assert!(matches!(machine.launch("few", 1, 65, &[out]), Err(LaunchError::Resources { .. })));
    assert!(machine.launch("few", 1, 64, &[out]).is_ok());
    assert!(machine.launch_as("exact", &shape([1, 1, 1], [32, 1, 1]), &[out]).is_err());
    assert!(machine.launch_as("exact", &shape([1, 1, 1], [8, 4, 1]), &[out]).is_ok());
    match machine.launch("k", 1, 32, &[out, out]) {
        Err(LaunchError::Parameters { given: 16, wanted: 8, .. }) => {}
        other => panic!("{other:?}"),
    }
}

#[test]
fn shared_variables_are_laid_out_per_kernel() {
    let shared = ".shared .align 4 .b8 small[12];\n.shared .align 16 .b8 large[1024];\n.extern .shared .align 16 .b8 rest[];\n";
    let function = ".func fill(.param .b32 x)\n{\n .reg .b32 %r<3>;\n ld.param.u32 %r1, [x];\n mov.u32 %r2, large;\n \
        st.shared.u32 [%r2+4], %r1;\n ret;\n}\n";
    let a = kernel("a", "st.shared.u32 [small+8], 5;\n ld.shared.u32 %r0, [small+8];");
    let b = kernel(
        "b",
        "st.shared.u32 [small], 7;\n st.shared.u32 [rest+8], 9;\n {\n .param .b32 p;\n st.param.b32 [p], 100;\n \
         call.uni fill, (p);\n }\n ld.shared.u32 %r10, [large+4];\n ld.shared.u32 %r11, [rest+8];\n ld.shared.u32 %r12, [small];\n \
         add.u32 %r0, %r10, %r11;\n add.u32 %r0, %r0, %r12;\n mov.u32 %r13, %dynamic_smem_size;\n \
         mad.lo.u32 %r0, %r13, 1000, %r0;\n mov.u32 %r13, rest;\n mad.lo.u32 %r0, %r13, 1000000, %r0;",
    );
    let machine = Machine::new(&format!("{shared}{function}{a}{b}"));
    assert_eq!(machine.module.kernel("a").unwrap().info().static_shared, 12);
    assert_eq!(machine.module.kernel("b").unwrap().info().static_shared, 16 + 1024);
    assert_eq!(machine.run("a", 1, 1).0, [5]);
    let out = machine.buffer(1);
    let config = LaunchConfig { grid: [1, 1, 1], block: [1, 1, 1], dynamic_shared: 64, cooperative: false };
    machine.launch_as("b", &config, &[out]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(machine.words(out, 1), [116 + 64_000 + 1_040_000_000]);
}

#[test]
fn variables_and_their_initialisers() {
    let ptx = ".const .align 4 .u32 table[3] = {10, 20, 30};\n.global .align 4 .u32 count = 5;\n\
        .global .u64 where = count;\n.global .u64 inside = generic(table)+4;\n";
    let body = "ld.const.u32 %r10, [table+8];\n ld.global.u64 %rd5, [where];\n ld.global.u32 %r11, [%rd5];\n \
        ld.global.u64 %rd6, [inside];\n ld.u32 %r12, [%rd6];\n add.u32 %r0, %r10, %r11;\n add.u32 %r0, %r0, %r12;";
    let machine = Machine::new(&format!("{ptx}{}", kernel("k", body)));
    assert_eq!(machine.run("k", 1, 2).0, [55; 2]);
    let count = machine.module.global("count").unwrap();
    assert_eq!((machine.words(count.address, 1), count.bytes), (vec![5], 4));
}
