//! Branches: divergence, loops, tables, exits.

use super::machine::{Machine, kernel};

#[test]
fn both_sides_of_a_branch_run_and_meet_again() {
    let body = "and.b32 %r10, %r1, 1;\n setp.eq.u32 %p1, %r10, 0;\n @%p1 bra EVEN;\n \
        add.u32 %r0, %r1, 1000;\n bra JOIN;\n EVEN:\n add.u32 %r0, %r1, 2000;\n JOIN:\n add.u32 %r0, %r0, 1;";
    let (words, counters) = Machine::new(&kernel("k", body)).run("k", 1, 64);
    let expected: Vec<u32> = (0..64).map(|t| t + 1 + if t % 2 == 0 { 2000 } else { 1000 }).collect();
    assert_eq!(words, expected);
    assert_eq!((counters.branches, counters.divergent_branches), (2, 2));
    // Behind the join, all lanes run together: only the two sides are issued for half a warp.
    let (warps, lanes) = (counters.warp_instructions.total(), counters.lane_instructions.total());
    assert_eq!(32 * warps - lanes, 2 * 16 * 3, "{counters:?}");
}

#[test]
fn a_uniform_branch_does_not_diverge() {
    let body = "setp.lt.u32 %p1, %r1, 32;\n @%p1 bra LOW;\n mov.u32 %r0, 7;\n bra JOIN;\n LOW: mov.u32 %r0, 9;\n JOIN:";
    let (words, counters) = Machine::new(&kernel("k", body)).run("k", 1, 64);
    assert_eq!(words, [vec![9; 32], vec![7; 32]].concat());
    assert_eq!((counters.branches, counters.divergent_branches), (2, 0));
}

/// The number of Collatz steps: every lane leaves its loop at another time.
const COLLATZ: &str = "add.u32 %r10, %r4, 1;\n LOOP:\n setp.le.u32 %p1, %r10, 1;\n @%p1 bra DONE;\n and.b32 %r11, %r10, 1;\n \
    setp.eq.u32 %p2, %r11, 1;\n @%p2 bra ODD;\n shr.u32 %r10, %r10, 1;\n bra NEXT;\n ODD:\n \
    mad.lo.u32 %r10, %r10, 3, 1;\n NEXT:\n add.u32 %r0, %r0, 1;\n bra LOOP;\n DONE:";

fn collatz(thread: u32) -> u32 {
    let (mut n, mut steps) = (thread + 1, 0);
    while n > 1 {
        n = if n % 2 == 1 { 3 * n + 1 } else { n / 2 };
        steps += 1;
    }
    steps
}

#[test]
fn lanes_leave_a_loop_at_different_times() {
    let (words, _) = Machine::new(&kernel("k", COLLATZ)).run("k", 7, 96);
    let expected: Vec<u32> = (0..7 * 96).map(collatz).collect();
    assert_eq!(words, expected);
}

#[test]
fn nested_loops() {
    // Sum over i < tid, j < i of i·j.
    let body = "mov.u32 %r10, 0;\n OUTER:\n setp.ge.u32 %p1, %r10, %r1;\n @%p1 bra END;\n mov.u32 %r11, 0;\n INNER:\n \
        setp.ge.u32 %p2, %r11, %r10;\n @%p2 bra NEXT;\n mad.lo.u32 %r0, %r10, %r11, %r0;\n add.u32 %r11, %r11, 1;\n \
        bra INNER;\n NEXT:\n add.u32 %r10, %r10, 1;\n bra OUTER;\n END:";
    let (words, _) = Machine::new(&kernel("k", body)).run("k", 1, 70);
    for (t, &word) in words.iter().enumerate() {
        let expected: usize = (0..t).flat_map(|i| (0..i).map(move |j| i * j)).sum();
        assert_eq!(word as usize, expected, "thread {t}");
    }
}

#[test]
fn a_switch_through_a_table() {
    let body = "rem.u32 %r10, %r1, 5;\n min.u32 %r10, %r10, 3;\n T: .branchtargets A, B, C, D;\n brx.idx %r10, T;\n \
        A: mov.u32 %r0, 10;\n bra END;\n B: mov.u32 %r0, 20;\n bra END;\n C: mov.u32 %r0, 30;\n bra END;\n \
        D: mov.u32 %r0, 40;\n END: add.u32 %r0, %r0, 1;";
    let (words, counters) = Machine::new(&kernel("k", body)).run("k", 1, 32);
    let expected: Vec<u32> = (0..32u32).map(|t| [11, 21, 31, 41, 41][(t % 5) as usize]).collect();
    assert_eq!(words, expected);
    assert_eq!((counters.branches, counters.divergent_branches), (1, 1));
}

#[test]
fn a_table_index_beyond_its_end_is_reported() {
    let body = "T: .branchtargets A, B;\n brx.idx %r1, T;\n A: B: mov.u32 %r0, 1;";
    let fault = Machine::new(&kernel("k", body)).fault("k", 1, 32);
    super::machine::assert_kind(&fault, cuda_emulator::fault::FaultKind::Undefined);
    assert_eq!(fault.thread, [2, 0, 0]);
}

#[test]
fn exited_lanes_leave_the_others_alone() {
    let body = "st.global.u32 [%rd1], 5;\n setp.gt.u32 %p1, %r1, 9;\n @%p1 exit;\n mov.u32 %r0, 6;";
    let (words, _) = Machine::new(&kernel("k", body)).run("k", 1, 40);
    assert_eq!(words, [vec![6; 10], vec![5; 30]].concat());
}

#[test]
fn guards_hold_back_single_instructions() {
    let body = "setp.eq.u32 %p1, %r1, 3;\n @%p1 mov.u32 %r0, 1;\n @!%p1 add.u32 %r0, %r1, 100;";
    let (words, counters) = Machine::new(&kernel("k", body)).run("k", 1, 32);
    let expected: Vec<u32> = (0..32).map(|t| if t == 3 { 1 } else { t + 100 }).collect();
    assert_eq!(words, expected);
    let all = counters.warp_instructions.total() * 32 - counters.lane_instructions.total();
    assert_eq!(all, 32, "a guarded instruction counts for the lanes in which its guard holds");
}

#[test]
fn registers_that_share_a_row_do_not_disturb_each_other() {
    // %r20 lives across the loop, %r21 and %r22 in it, %r23 after it; a guarded write keeps the old value alive.
    let body = "add.u32 %r20, %r1, 5;\n mov.u32 %r24, 77;\n setp.lt.u32 %p3, %r1, 4;\n @%p3 mov.u32 %r24, 11;\n mov.u32 %r10, 0;\n \
        L: add.u32 %r21, %r10, 1;\n mul.lo.u32 %r22, %r21, %r21;\n add.u32 %r0, %r0, %r22;\n add.u32 %r10, %r10, 1;\n \
        setp.lt.u32 %p1, %r10, %r1;\n @%p1 bra L;\n add.u32 %r23, %r0, %r20;\n add.u32 %r0, %r23, %r24;";
    let (words, _) = Machine::new(&kernel("k", body)).run("k", 1, 32);
    for (t, &word) in words.iter().enumerate() {
        let t = t as u32;
        let squares: u32 = (1..=t.max(1)).map(|i| i * i).sum();
        assert_eq!(word, squares + t + 5 + if t < 4 { 11 } else { 77 }, "thread {t}");
    }
}

#[test]
fn special_registers() {
    type Expected = fn(u32) -> u32;
    let cases: [(&str, Expected); 10] = [
        ("mov.u32 %r0, %laneid;", |t| t % 32),
        ("mov.u32 %r0, %warpid;", |t| t % 64 / 32),
        ("mov.u32 %r0, %nwarpid;", |_| 2),
        ("mov.u32 %r0, %nctaid.x;", |_| 3),
        ("mov.u32 %r0, %lanemask_lt;", |t| (1 << (t % 32)) - 1),
        ("mov.u32 %r0, %lanemask_le;", |t| u32::MAX >> (31 - t % 32)),
        ("mov.u32 %r0, %lanemask_gt;", |t| !(u32::MAX >> (31 - t % 32))),
        ("mov.u32 %r0, %lanemask_ge;", |t| u32::MAX << (t % 32)),
        ("mov.u32 %r0, %lanemask_eq;", |t| 1 << (t % 32)),
        ("mov.u64 %rd5, %gridid;\n cvt.u32.u64 %r0, %rd5;", |_| 1),
    ];
    for (body, expected) in cases {
        let (words, _) = Machine::new(&kernel("k", body)).run("k", 3, 64);
        assert_eq!(words, (0..192).map(expected).collect::<Vec<_>>(), "{body}");
    }
}

#[test]
fn threads_of_three_dimensions() {
    let body = "mov.u32 %r10, %tid.y;\n mov.u32 %r11, %tid.z;\n mov.u32 %r12, %ntid.y;\n mad.lo.u32 %r13, %r11, %r12, %r10;\n \
        mad.lo.u32 %r13, %r13, %r3, %r1;\n mov.u32 %r14, %ctaid.y;\n mad.lo.u32 %r13, %r14, 30, %r13;\n \
        mad.wide.u32 %rd1, %r13, 4, %rd0;\n mad.lo.u32 %r0, %r11, 100, %r10;\n mad.lo.u32 %r0, %r0, 100, %r1;";
    let machine = Machine::new(&kernel("k", body));
    let out = machine.buffer(60);
    let config = cuda_emulator::exec::LaunchConfig {
        grid: [1, 2, 1],
        block: [5, 3, 2],
        dynamic_shared: 0,
        cooperative: false,
    };
    machine.launch_as("k", &config, &[out]).unwrap();
    let words = machine.words(out, 60);
    for (i, &word) in words.iter().enumerate() {
        let t = i as u32 % 30;
        assert_eq!(word, t / 15 * 10_000 + t / 5 % 3 * 100 + t % 5, "thread {t}");
    }
}

#[test]
fn the_clock_counts_instructions() {
    let body = "mov.u32 %r10, %clock;\n add.u32 %r11, %r10, 1;\n add.u32 %r11, %r10, 2;\n mov.u64 %rd5, %clock64;\n \
        cvt.u32.u64 %r12, %rd5;\n sub.u32 %r0, %r12, %r10;";
    let (words, _) = Machine::new(&kernel("k", body)).run("k", 1, 32);
    assert_eq!(words, vec![3; 32]);
}

#[test]
fn a_lane_that_spins_lets_the_lock_holder_go_on() {
    // Every lane takes a lock in turn, the way that hangs where lanes cannot pass each other.
    let body = "TAKE: atom.global.cas.b32 %r10, [%rd0], 0, 1;\n setp.ne.u32 %p1, %r10, 0;\n @%p1 bra TAKE;\n \
        ld.global.u32 %r11, [%rd0+4];\n add.u32 %r11, %r11, 1;\n st.global.u32 [%rd0+4], %r11;\n membar.gl;\n \
        atom.global.exch.b32 %r12, [%rd0], 0;\n exit;";
    let machine = Machine::new(&kernel("k", body));
    let out = machine.buffer(128);
    machine.launch("k", 2, 64, &[out]).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!(machine.words(out, 2), [0, 128]);
}
