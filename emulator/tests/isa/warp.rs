//! Collectives of a warp against what each lane should see, and their faults.

use crate::kit::{Random, Reg, Snippet, low, refusal, signed};
use cuda_emulator::exec::LaunchError;
use cuda_emulator::fault::FaultKind;

/// Rows of random operands for whole warps.
fn warps(count: usize, operands: usize, range: u64) -> Vec<Vec<u128>> {
    let mut random = Random(count as u64 + range);
    (0..operands).map(|_| (0..32 * count).map(|_| u128::from(random.next() % range)).collect()).collect()
}

/// Runs a snippet on whole warps and compares every lane with `expected(lane, columns of the warp)`.
fn check(
    text: &str,
    operands: &[Reg],
    results: &[Reg],
    rows: &[Vec<u128>],
    expected: impl Fn(usize, &[&[u128]]) -> Vec<u128>,
) {
    let got = Snippet::new(text, operands, results).run(rows).unwrap_or_else(|e| panic!("{text}: {e}"));
    for warp in 0..rows[0].len() / 32 {
        let lanes = 32 * warp..32 * (warp + 1);
        let columns: Vec<&[u128]> = rows.iter().map(|c| &c[lanes.clone()]).collect();
        for lane in 0..32 {
            let got: Vec<u128> = got.iter().map(|c| c[32 * warp + lane]).collect();
            assert_eq!(got, expected(lane, &columns), "{text}: warp {warp}, lane {lane}, {columns:x?}");
        }
    }
}

/// The kinds of the faults of a snippet on these operands.
fn fault(text: &str, operands: &[Reg], rows: &[Vec<u128>]) -> (FaultKind, String) {
    match Snippet::new(text, operands, &[Reg::B32]).run(rows) {
        Ok(_) => panic!("{text} runs"),
        Err(LaunchError::Faults { faults, .. }) => (faults[0].kind, faults[0].detail.clone()),
        Err(other) => panic!("{text}: {other}"),
    }
}

const LANE: &str = "mov.u32 lane, %laneid;";

#[test]
fn shuffles() {
    // Value, lane or distance, and (uniform in a real program, but each lane's own) clamp and segment.
    let mut rows = warps(40, 3, 1 << 32);
    let mut random = Random(1);
    for c in &mut rows[2] {
        *c = u128::from(
            [0u32, 0x1F, 0x181F, 0x1C1F, 0x1E00, 0x0F, 0x1007, 0x1F1F][random.next() as usize % 8],
        );
    }
    for mode in ["up", "down", "bfly", "idx"] {
        let text = format!("shfl.sync.{mode}.b32 d0|d1, a0, a1, a2, 0xFFFFFFFF;");
        check(&text, &[Reg::B32; 3], &[Reg::B32, Reg::Pred], &rows, |lane, warp| {
            let (b, clamp, segment) =
                (warp[1][lane] as i32 & 31, warp[2][lane] as i32 & 31, warp[2][lane] as i32 >> 8);
            let lane = lane as i32;
            let limit = (lane & segment) | (clamp & !segment & 31);
            let (source, valid) = match mode {
                "up" => (lane - b, lane - b >= limit),
                "down" => (lane + b, lane + b <= limit),
                "bfly" => (lane ^ b, (lane ^ b) <= limit),
                _ => {
                    let source = (lane & segment) | (b & !segment & 31);
                    (source, source <= limit)
                }
            };
            let source = if valid { source } else { lane };
            vec![warp[0][source as usize], u128::from(valid)]
        });
        let text = format!("shfl.sync.{mode}.b32 d0, a0, 1, 0x1F, -1;");
        Snippet::new(&text, &[Reg::B32], &[Reg::B32]).run(&rows[..1]).expect("no predicate");
    }
}

/// Halves of a warp that take different ways shuffle among themselves, whatever the order in which they run.
#[test]
fn shuffles_of_part_of_a_warp() {
    let text = format!(
        "{{ .reg .b32 lane; .reg .pred low; {LANE} setp.lt.u32 low, lane, 16;
        @low bra first; shfl.sync.bfly.b32 d0, a0, 1, 0x1F, 0xFFFF0000; bra done;
        first: shfl.sync.bfly.b32 d0, a0, 3, 0x1F, 0x0000FFFF; done: }}"
    );
    check(&text, &[Reg::B32], &[Reg::B32], &warps(4, 1, 1 << 32), |lane, warp| {
        vec![warp[0][if lane < 16 { lane ^ 3 } else { lane ^ 1 }]]
    });
    // Both halves at the same instruction with their own masks.
    let text = format!(
        "{{ .reg .b32 lane, mask; .reg .pred low; {LANE} setp.lt.u32 low, lane, 16;
        selp.b32 mask, 0x0000FFFF, 0xFFFF0000, low; redux.sync.add.u32 d0, a0, mask; }}"
    );
    check(&text, &[Reg::B32], &[Reg::B32], &warps(4, 1, 1000), |lane, warp| {
        vec![warp[0][lane / 16 * 16..][..16].iter().sum()]
    });
}

/// Lanes come to the collective one after the other: it waits for all of them.
#[test]
fn diverged_lanes_are_waited_for() {
    let text = format!(
        "{{ .reg .b32 lane, n; .reg .pred more; {LANE} mov.u32 n, 0;
        again: add.u32 n, n, 1; setp.lt.u32 more, n, lane; @more bra again;
        shfl.sync.idx.b32 d0, n, 31, 0x1F, 0xFFFFFFFF; }}"
    );
    check(&text, &[Reg::B32], &[Reg::B32], &warps(2, 1, 10), |_, _| vec![31]);
}

#[test]
fn votes() {
    let mut rows = warps(12, 1, 2);
    rows[0][..32].fill(0);
    rows[0][32..64].fill(1);
    for (sign, negated) in [("", false), ("!", true)] {
        let holds = move |warp: &[&[u128]], lane: usize| (warp[0][lane] == 1) != negated;
        let text = format!(
            "vote.sync.all.pred d0, {sign}a0, -1; vote.sync.any.pred d1, {sign}a0, -1;
            vote.sync.uni.pred d2, {sign}a0, -1; vote.sync.ballot.b32 d3, {sign}a0, -1;"
        );
        let results = [Reg::Pred, Reg::Pred, Reg::Pred, Reg::B32];
        check(&text, &[Reg::Pred], &results, &rows, |_, warp| {
            let count = (0..32).filter(|&l| holds(warp, l)).count();
            let ballot = (0..32).map(|l| u128::from(holds(warp, l)) << l).sum();
            vec![u128::from(count == 32), u128::from(count > 0), u128::from(count % 32 == 0), ballot]
        });
    }
    // Only members have a vote.
    let text = format!(
        "{{ .reg .b32 lane; .reg .pred some; {LANE} and.b32 lane, lane, 3; setp.eq.u32 some, lane, 1; mov.u32 d0, 7;
        @some vote.sync.ballot.b32 d0, a0, 0x22222222; }}"
    );
    check(&text, &[Reg::Pred], &[Reg::B32], &rows, |lane, warp| {
        let ballot = (0..32).filter(|l| l % 4 == 1).map(|l| warp[0][l] << l).sum();
        vec![if lane % 4 == 1 { ballot } else { 7 }]
    });
}

#[test]
fn matches() {
    for (ty, reg) in [("b32", Reg::B32), ("b64", Reg::B64)] {
        let mut rows = warps(10, 1, 4);
        rows[0][..32].fill(5);
        for v in &mut rows[0] {
            // Values that differ in their high bits only.
            *v <<= reg.bits() - 3;
        }
        check(&format!("match.any.sync.{ty} d0, a0, -1;"), &[reg], &[Reg::B32], &rows, |lane, warp| {
            vec![(0..32).map(|l| u128::from(warp[0][l] == warp[0][lane]) << l).sum()]
        });
        let text = format!("match.all.sync.{ty} d0|d1, a0, -1;");
        check(&text, &[reg], &[Reg::B32, Reg::Pred], &rows, |_, warp| {
            let all = warp[0].iter().all(|v| *v == warp[0][0]);
            vec![if all { 0xFFFF_FFFF } else { 0 }, u128::from(all)]
        });
    }
}

#[test]
fn reductions() {
    let rows = warps(10, 1, 1 << 32);
    type Fold = fn(u128, u128) -> u128;
    let cases: [(&str, Fold); 9] = [
        ("add.u32", |a, b| (a + b) & 0xFFFF_FFFF),
        ("add.s32", |a, b| (a + b) & 0xFFFF_FFFF),
        ("min.u32", |a, b| a.min(b)),
        ("max.u32", |a, b| a.max(b)),
        ("min.s32", |a, b| low(signed(a, 32).min(signed(b, 32)), 32)),
        ("max.s32", |a, b| low(signed(a, 32).max(signed(b, 32)), 32)),
        ("and.b32", |a, b| a & b),
        ("or.b32", |a, b| a | b),
        ("xor.b32", |a, b| a ^ b),
    ];
    for (name, fold) in cases {
        check(&format!("redux.sync.{name} d0, a0, -1;"), &[Reg::B32], &[Reg::B32], &rows, |_, warp| {
            vec![warp[0].iter().copied().reduce(fold).unwrap()]
        });
    }
}

#[test]
fn active_lanes() {
    let text = format!(
        "{{ .reg .b32 lane; .reg .pred odd; {LANE} and.b32 lane, lane, 1; setp.eq.u32 odd, lane, 1;
        activemask.b32 d0; @odd activemask.b32 d0; }}"
    );
    check(&text, &[Reg::B32], &[Reg::B32], &warps(2, 1, 2), |lane, _| {
        vec![if lane % 2 == 1 { 0xAAAA_AAAA } else { 0xFFFF_FFFF }]
    });
}

/// Threads that have exited, or never were, are not waited for.
#[test]
fn exited_lanes_are_not_members() {
    // 40 threads: the second warp has 8.
    let rows = vec![(0..40).collect::<Vec<u128>>()];
    Snippet { block: 40, ..Snippet::new("redux.sync.add.u32 d0, a0, -1;", &[Reg::B32], &[Reg::B32]) }
        .check(&rows, |row| vec![if row[0] < 32 { (0..32).sum() } else { (32..40).sum() }]);
    let text =
        "{ .reg .pred p; mov.u32 d0, a0; setp.gt.u32 p, a0, 35; @p trap; vote.sync.ballot.b32 d0, 1, -1; }";
    Snippet { block: 36, ..Snippet::new(text, &[Reg::B32], &[Reg::B32]) }
        .check(&[(0..36).collect::<Vec<u128>>()], |row| vec![if row[0] < 32 { 0xFFFF_FFFF } else { 0xF }]);
}

#[test]
fn faults() {
    let rows = warps(1, 1, 100);
    // A member mask without the lane itself.
    let (kind, detail) = fault("shfl.sync.idx.b32 d0, a0, 0, 0x1F, 0x7FFFFFFF;", &[Reg::B32], &rows);
    assert_eq!(kind, FaultKind::InactiveLane);
    assert!(detail.contains("lane 31"), "{detail}");
    // A source that is no member.
    let text = format!(
        "{{ .reg .b32 lane; .reg .pred low; {LANE} setp.lt.u32 low, lane, 16; mov.u32 d0, 0;
        @low shfl.sync.idx.b32 d0, a0, 20, 0x1F, 0xFFFF; }}"
    );
    let (kind, detail) = fault(&text, &[Reg::B32], &rows);
    assert_eq!(kind, FaultKind::InactiveLane);
    assert!(detail.contains("lane 20"), "{detail}");
    // Members that never come.
    let text = format!(
        "{{ .reg .b32 lane; .reg .pred low; {LANE} setp.lt.u32 low, lane, 16; mov.u32 d0, 0;
        @!low bra done; vote.sync.ballot.b32 d0, 1, 0xFFFFFFFF; done: bar.warp.sync 0xFFFFFFFF; }}"
    );
    let (kind, detail) = fault(&text, &[Reg::B32], &rows);
    assert_eq!(kind, FaultKind::InactiveLane);
    assert!(detail.contains("0xffff0000"), "{detail}");
    // A source that has no thread.
    let snippet = Snippet {
        block: 16,
        ..Snippet::new("shfl.sync.down.b32 d0, a0, 1, 0x1F, -1;", &[Reg::B32], &[Reg::B32])
    };
    match snippet.run(&[rows[0][..16].to_vec()]) {
        Err(LaunchError::Faults { faults, .. }) => {
            assert_eq!((faults[0].kind, faults[0].thread), (FaultKind::InactiveLane, [15, 0, 0]));
            assert!(faults[0].detail.contains("lane 15 reads lane 16"), "{}", faults[0].detail);
        }
        other => panic!("{other:?}"),
    }
    // The clean twin: the last lane is out of range and reads itself.
    Snippet {
        block: 16,
        ..Snippet::new("shfl.sync.down.b32 d0, a0, 1, 0x0F, -1;", &[Reg::B32], &[Reg::B32])
    }
    .run(&[rows[0][..16].to_vec()])
    .expect("no fault");
}

#[test]
fn forms_that_do_not_exist() {
    for (text, part) in [
        ("shfl.idx.b32 d0, a0, a1, 0x1F;", ".sync"),
        ("vote.ballot.b32 d0, 1;", ".sync"),
        ("shfl.sync.b32 d0, a0, a1, 0x1F, -1;", ".up"),
        ("redux.sync.add.b32 d0, a0, -1;", "add"),
        ("redux.sync.xor.u32 d0, a0, -1;", "xor"),
        ("redux.sync.min.f32 d0, a0, -1;", "sm_100"),
        ("elect.sync d0|_, -1;", "sm_90"),
        ("match.sync.b32 d0, a0, -1;", ".all"),
    ] {
        let message = refusal(text, &[Reg::B32; 2], &[Reg::B32]);
        assert!(message.contains(part), "{text}: {message}");
    }
}
