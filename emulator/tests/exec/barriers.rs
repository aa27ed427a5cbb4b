//! Barriers of blocks and warps, and their faults.

use super::machine::{Machine, assert_kind, kernel};
use cuda_emulator::exec::{OnFault, Settings};
use cuda_emulator::fault::FaultKind;

/// Threads exchange values through shared memory: each reads what the last thread but itself wrote.
const SHARED: &str = ".shared .align 4 .b8 exchange[4096];\n";

fn exchange(barrier: &str) -> String {
    format!(
        "mov.u32 %r10, exchange;\n shl.b32 %r11, %r1, 2;\n add.u32 %r12, %r10, %r11;\n mul.lo.u32 %r13, %r4, 3;\n \
         st.shared.u32 [%r12], %r13;\n {barrier}\n sub.u32 %r14, %r3, 1;\n sub.u32 %r14, %r14, %r1;\n shl.b32 %r14, %r14, 2;\n \
         add.u32 %r14, %r10, %r14;\n ld.shared.u32 %r0, [%r14];"
    )
}

#[test]
fn a_barrier_orders_shared_memory() {
    for barrier in
        ["bar.sync 0;", "barrier.sync 3;", "barrier.sync.aligned 1;", "bar.sync 2, %r3;", "bar.cta.sync 0;"]
    {
        let (words, counters) =
            Machine::new(&format!("{SHARED}{}", kernel("k", &exchange(barrier)))).run("k", 3, 128);
        let expected: Vec<u32> = (0..384).map(|t| 3 * (t / 128 * 128 + 127 - t % 128)).collect();
        assert_eq!(words, expected, "{barrier}");
        assert_eq!(counters.barriers, 3);
    }
}

#[test]
fn a_barrier_without_alignment_in_divergent_code() {
    let body = "setp.lt.u32 %p1, %r1, 20;\n @%p1 bra A;\n barrier.sync 0;\n mov.u32 %r0, 1;\n bra B;\n A:\n \
        barrier.sync 0;\n mov.u32 %r0, 2;\n B:";
    let (words, counters) = Machine::new(&kernel("k", body)).run("k", 1, 64);
    assert_eq!(words, [vec![2; 20], vec![1; 44]].concat());
    assert_eq!(counters.barriers, 1);
}

#[test]
fn exited_threads_are_not_awaited() {
    let body = "setp.ge.u32 %p1, %r1, 50;\n @%p1 exit;\n bar.sync 0;\n mov.u32 %r0, 4;";
    let (words, _) = Machine::new(&kernel("k", body)).run("k", 1, 128);
    assert_eq!(words, [vec![4; 50], vec![0; 78]].concat());
    // They may exit after the others have come.
    let late = "setp.lt.u32 %p1, %r1, 32;\n @%p1 bra WAIT;\n mov.u32 %r10, 0;\n L: add.u32 %r10, %r10, 1;\n \
        setp.lt.u32 %p2, %r10, 30000;\n @%p2 bra L;\n exit;\n WAIT: bar.sync 0;\n mov.u32 %r0, 4;";
    let (words, _) = Machine::new(&kernel("k", late)).run("k", 1, 64);
    assert_eq!(words, [vec![4; 32], vec![0; 32]].concat());
}

#[test]
fn producers_arrive_and_consumers_wait() {
    // Warp 0 writes, arrives at barrier 1 and goes on; warp 1 waits there; barrier 2 the other way round.
    let body = "mov.u32 %r10, exchange;\n and.b32 %r15, %r1, 31;\n shl.b32 %r11, %r15, 2;\n add.u32 %r12, %r10, %r11;\n \
        setp.ge.u32 %p1, %r1, 32;\n @%p1 bra CONSUME;\n mov.u32 %r13, 0;\n PRODUCE:\n st.shared.u32 [%r12], %r13;\n \
        bar.arrive 1, 64;\n bar.sync 2, 64;\n add.u32 %r13, %r13, 1;\n setp.lt.u32 %p2, %r13, 10;\n @%p2 bra PRODUCE;\n \
        bra END;\n CONSUME:\n mov.u32 %r13, 0;\n NEXT:\n bar.sync 1, 64;\n ld.shared.u32 %r14, [%r12];\n \
        mad.lo.u32 %r0, %r0, 2, %r14;\n bar.arrive 2, 64;\n add.u32 %r13, %r13, 1;\n setp.lt.u32 %p2, %r13, 10;\n \
        @%p2 bra NEXT;\n END:";
    let (words, counters) = Machine::new(&format!("{SHARED}{}", kernel("k", body))).run("k", 1, 64);
    let expected = (0..10).fold(0, |sum, i| 2 * sum + i);
    assert_eq!(words, [vec![0; 32], vec![expected; 32]].concat());
    assert_eq!(counters.barriers, 20);
}

#[test]
fn barriers_that_reduce() {
    let body = "rem.u32 %r10, %r1, 3;\n setp.eq.u32 %p1, %r10, 0;\n bar.red.popc.u32 %r11, 0, %p1;\n \
        bar.red.popc.u32 %r12, 0, !%p1;\n setp.lt.u32 %p2, %r1, 100;\n barrier.red.and.pred %p3, 1, %p2;\n \
        bar.red.or.pred %p4, 0, %r3, %p1;\n setp.gt.u32 %p5, %r1, 100;\n barrier.red.or.aligned.pred %p6, 2, %p5;\n \
        mad.lo.u32 %r0, %r11, 1000, %r12;\n @%p3 add.u32 %r0, %r0, 1000000;\n @%p4 add.u32 %r0, %r0, 2000000;\n \
        @%p6 add.u32 %r0, %r0, 4000000;";
    let machine = Machine::new(&kernel("k", body));
    let expected = |threads: u32| {
        let multiples = threads.div_ceil(3);
        multiples * 1000
            + (threads - multiples)
            + if threads <= 100 { 1_000_000 } else { 0 }
            + 2_000_000
            + if threads > 101 { 4_000_000 } else { 0 }
    };
    for threads in [32, 64, 96, 128] {
        assert_eq!(
            machine.run("k", 1, threads).0,
            vec![expected(threads); threads as usize],
            "{threads} threads"
        );
    }
}

#[test]
fn an_aligned_barrier_in_divergent_code_is_a_fault() {
    let body = "setp.lt.u32 %p1, %r1, 20;\n @%p1 bra A;\n bar.sync 0;\n bra B;\n A: bar.sync 0;\n B:";
    let fault = Machine::new(&kernel("k", body)).fault("k", 1, 64);
    assert_kind(&fault, FaultKind::BarrierDivergence);
    assert_eq!((fault.instruction.as_str(), fault.block), ("bar.sync", [0, 0, 0]));
    let guarded = "setp.lt.u32 %p1, %r1, 20;\n @%p1 bar.sync 0;\n bar.sync 1;";
    assert_kind(&Machine::new(&kernel("k", guarded)).fault("k", 1, 32), FaultKind::BarrierDivergence);
}

#[test]
fn different_barriers_and_counts_are_faults() {
    let different = "setp.lt.u32 %p1, %r1, 32;\n @%p1 bra A;\n bar.sync 0;\n bra B;\n A: bar.sync 1;\n B:";
    assert_kind(&Machine::new(&kernel("k", different)).fault("k", 1, 64), FaultKind::BarrierDivergence);
    let counts =
        "setp.lt.u32 %p1, %r1, 32;\n @%p1 bra A;\n bar.sync 0, 64;\n bra B;\n A: bar.sync 0, 96;\n B:";
    assert_kind(&Machine::new(&kernel("k", counts)).fault("k", 1, 96), FaultKind::BarrierDivergence);
    let mixed = "setp.lt.u32 %p1, %r1, 32;\n @%p1 bra A;\n bar.sync 0;\n bra B;\n A: bar.red.popc.u32 %r0, 0, %p1;\n B:";
    assert_kind(&Machine::new(&kernel("k", mixed)).fault("k", 1, 64), FaultKind::BarrierDivergence);
}

#[test]
fn a_barrier_that_nobody_completes_is_a_deadlock() {
    let fault = Machine::new(&kernel("k", "bar.sync 0, 96;")).fault("k", 1, 64);
    assert_kind(&fault, FaultKind::Deadlock);
    assert!(fault.detail.contains("64 of 96"), "{fault}");
}

#[test]
fn barriers_that_do_not_exist_are_reported() {
    assert_kind(&Machine::new(&kernel("k", "bar.sync 16;")).fault("k", 1, 64), FaultKind::Undefined);
    assert_kind(&Machine::new(&kernel("k", "bar.sync 1, 33;")).fault("k", 1, 64), FaultKind::Undefined);
}

#[test]
fn lanes_meet_at_a_warp_barrier() {
    // The lanes of the second half write late; the first half waits for them.
    let body = "mov.u32 %r10, exchange;\n shl.b32 %r11, %r1, 2;\n add.u32 %r12, %r10, %r11;\n setp.lt.u32 %p1, %r1, 16;\n \
        @%p1 bra SYNC;\n mov.u32 %r13, 0;\n L: add.u32 %r13, %r13, 1;\n setp.lt.u32 %p2, %r13, 20000;\n @%p2 bra L;\n \
        st.shared.u32 [%r12], %r13;\n SYNC: bar.warp.sync 0xffffffff;\n @!%p1 bra END;\n ld.shared.u32 %r0, [%r12+64];\n END:";
    let (words, _) = Machine::new(&format!("{SHARED}{}", kernel("k", body))).run("k", 1, 32);
    assert_eq!(words, [vec![20000; 16], vec![0; 16]].concat());
}

#[test]
fn a_warp_barrier_without_its_members_is_a_fault() {
    let body = "setp.lt.u32 %p1, %r1, 16;\n @%p1 bra A;\n bar.warp.sync 0xffffffff;\n bra B;\n A: bar.warp.sync 0x1ffff;\n B:";
    assert_kind(&Machine::new(&kernel("k", body)).fault("k", 1, 32), FaultKind::InactiveLane);
    assert_kind(&Machine::new(&kernel("k", "bar.warp.sync 1;")).fault("k", 1, 32), FaultKind::InactiveLane);
    // Exited lanes need not come.
    let body = "setp.lt.u32 %p1, %r1, 16;\n @%p1 exit;\n bar.warp.sync 0xffffffff;\n mov.u32 %r0, 1;";
    assert_eq!(Machine::new(&kernel("k", body)).run("k", 1, 32).0, [vec![0; 16], vec![1; 16]].concat());
}

#[test]
fn lanes_meet_at_different_warp_barriers_of_the_same_mask() {
    let body = "mov.u32 %r10, exchange;\n shl.b32 %r11, %r1, 2;\n add.u32 %r12, %r10, %r11;\n setp.lt.u32 %p1, %r1, 16;\n \
        @%p1 bra A;\n mov.u32 %r13, 0;\n L: add.u32 %r13, %r13, 1;\n setp.lt.u32 %p2, %r13, 20000;\n @%p2 bra L;\n \
        st.shared.u32 [%r12], %r13;\n bar.warp.sync 0xffffffff;\n bra END;\n A: bar.warp.sync 0xffffffff;\n \
        ld.shared.u32 %r0, [%r12+64];\n END:";
    let (words, _) = Machine::new(&format!("{SHARED}{}", kernel("k", body))).run("k", 1, 32);
    assert_eq!(words, [vec![20000; 16], vec![0; 16]].concat());
}

#[test]
fn collected_faults_do_not_hang() {
    let settings = Settings { on_fault: OnFault::Collect, ..Settings::default() };
    for body in [
        "bar.sync 0, 96;",
        "setp.lt.u32 %p1, %r1, 20;\n @%p1 bar.sync 0;\n bar.sync 1;",
        "bar.sync 77;",
        "trap;",
    ] {
        Machine::with(settings.clone(), &kernel("k", body)).fault("k", 4, 64);
    }
}
