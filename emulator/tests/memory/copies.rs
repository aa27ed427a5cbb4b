//! `cp.async` and mbarriers, with their hazards.

use super::{OnFault, Test};
use cuda_emulator::fault::FaultKind;

/// Every lane copies 16 bytes to `s`; `%x` is where, `%b` from where.
const COPY: &str = ".shared .align 16 .b8 s[1024];
mov.u32 %x, s; mad.lo.u32 %x, %t, 16, %x; mul.wide.u32 %b, %t, 16; add.u64 %b, %p, %b;
cp.async.cg.shared.global.L2::128B [%x], [%b], 16;
";

fn data() -> Vec<u32> {
    (0..128).collect()
}

#[test]
fn copies_arrive_at_the_wait() {
    for wait in ["cp.async.wait_all;", "cp.async.commit_group; cp.async.wait_group 0;"] {
        let out = Test::new(&format!(
            "{COPY} {wait} ld.shared.u32 %y, [%x+4]; add.u32 %y, %y, 1000; st.global.u32 [%b], %y;"
        ))
        .words(&data());
        for lane in 0..32 {
            assert_eq!(out[4 * lane], 4 * lane as u32 + 1001);
        }
    }
}

#[test]
fn reading_before_the_wait_is_a_hazard() {
    let test = Test::new(&format!("{COPY}ld.shared.u32 %y, [%x];"));
    assert_eq!(test.fault(512), (FaultKind::AsyncCopyHazard, 3, 0, Some(0)));
    // A group too few is waited for.
    let test = Test::new(&format!(
        "{COPY}cp.async.commit_group; cp.async.ca.shared.global [%x+512], [%b], 16; cp.async.commit_group;
cp.async.wait_group 1; ld.shared.u32 %y, [%x];
ld.shared.u32 %y, [%x+512];"
    ));
    assert_eq!(test.fault(512), (FaultKind::AsyncCopyHazard, 5, 0, Some(512)));
    let test = Test::new(&format!("{COPY}st.shared.u32 [%x+8], 1;"));
    assert_eq!(test.fault(512), (FaultKind::AsyncCopyHazard, 3, 0, Some(8)));
}

#[test]
fn an_overwritten_source_is_a_hazard() {
    let test =
        Test::new(&format!("{COPY}setp.eq.u32 %q, %t, 5; @%q st.global.u32 [%b+4], 1;\ncp.async.wait_all;"));
    let device = super::device(OnFault::Abort);
    let buffer = device.memory().allocate(512).unwrap();
    device.memory().fill(buffer, 512, &[0]);
    let why = test.run_on(&device, buffer).unwrap_err().to_string();
    assert!(
        why.contains("AsyncCopyHazard") && why.contains("line 9") && why.contains("thread (5,0,0)"),
        "{why}"
    );
    assert!(why.contains(&format!("{:#x}", buffer + 80)), "{why}");
    let clean =
        Test::new(&format!("{COPY}cp.async.wait_all;\nsetp.eq.u32 %q, %t, 5; @%q st.global.u32 [%b+4], 1;"));
    assert!(clean.faults(512).is_empty());
}

#[test]
fn parts_that_are_not_taken_are_zero() {
    let out = Test::new(
        ".shared .align 16 .b8 s[1024];
         mov.u32 %x, s; mad.lo.u32 %x, %t, 16, %x; mul.wide.u32 %b, %t, 16; add.u64 %b, %p, %b;
         and.b32 %y, %t, 1; setp.eq.u32 %q, %y, 1; shl.b32 %z, %y, 2;
         cp.async.ca.shared.global [%x], [%b], 8, %z;
         cp.async.ca.shared::cta.global [%x+8], [%b+8], 4, !%q;
         cp.async.ca.shared.global [%x+12], [%b+12], 4, 0;
         cp.async.wait_all; ld.shared.v4.u32 {%x, %y, %z, %w}, [%x]; st.global.v4.u32 [%b], {%x, %y, %z, %w};",
    )
    .words(&[9; 128]);
    assert_eq!(out[..8], [0, 0, 0, 0, 9, 0, 9, 0]);
}

#[test]
fn faults_of_the_source() {
    let test = Test::new(&format!("add.u64 %p, %p, 8;\n{COPY}"));
    assert_eq!(test.fault(1024).0, FaultKind::Misaligned);
    let test = Test::new(COPY);
    let (kind, line, thread, _) = test.fault(16 * 31);
    assert_eq!((kind, line, thread), (FaultKind::OutOfBounds, 2, 31));
}

/// One warp copies, and tells an mbarrier; the other waits there.
const PIPE: &str = ".shared .align 8 .b64 m; .shared .align 32 .b8 s[512];
setp.eq.u32 %q, %t, 0; @%q mbarrier.init.shared.b64 [m], 32; bar.sync 0;
mov.u32 %x, s; and.b32 %y, %t, 31; mad.lo.u32 %x, %y, 16, %x; mul.wide.u32 %b, %y, 16; add.u64 %b, %p, %b;
setp.ge.u32 %q, %t, 32; @%q bra CONSUMER;
cp.async.cg.shared.global [%x], [%b], 16;
cp.async.mbarrier.arrive.noinc.shared.b64 [m];
exit;
CONSUMER:
";

#[test]
fn mbarriers_wait_for_copies() {
    let out = Test::new(&format!(
        "{PIPE}WAIT: mbarrier.test_wait.parity.shared.b64 %r, [m], 0; @!%r bra WAIT;
xor.b32 %x, %x, 16; ld.shared.u32 %y, [%x]; st.global.u32 [%b+4], %y;"
    ))
    .block(64)
    .words(&data());
    for lane in 0..32 {
        assert_eq!(out[4 * lane + 1], 4 * (lane as u32 ^ 1), "of another lane");
    }
    let (kind, line, thread, _) =
        Test::new(&format!("{PIPE}nanosleep.u32 1; ld.shared.u32 %y, [%x];")).block(64).fault(512);
    assert_eq!((kind, line, thread), (FaultKind::AsyncCopyHazard, 8, 32));
}

#[test]
fn mbarriers_count_phases() {
    let out = Test::new(
        ".shared .align 8 .b64 m; .shared .b32 n;
         setp.eq.u32 %q, %t, 0; @%q mbarrier.init.shared.b64 [m], 64; @%q st.shared.u32 [n], 5; bar.sync 0;
         mbarrier.arrive.shared::cta.b64 %a, [m];
         mbarrier.pending_count.b64 %x, %a;
         WAIT: mbarrier.test_wait.shared.b64 %r, [m], %a; @!%r bra WAIT;
         mbarrier.arrive_drop.shared.b64 %c, [m]; mbarrier.test_wait.shared.b64 %r, [m], %a;
         selp.u32 %y, 1, 0, %r;
         mad.wide.u32 %b, %t, 8, %p; st.global.v2.u32 [%b], {%x, %y};",
    )
    .block(64)
    .words(&[0; 128]);
    for thread in 0..64 {
        assert_eq!(out[2 * thread..2 * thread + 2], [64 - thread as u32, 1]);
    }
    let test = Test::new(
        ".shared .align 8 .b64 m; mbarrier.init.shared.b64 [m], 31; bar.sync 0;\nmbarrier.arrive.noComplete.shared.b64 %a, [m], 30;\nmbarrier.arrive.shared.b64 _, [m];",
    );
    assert_eq!(test.fault(4).0, FaultKind::Undefined);
    let test = Test::new(".shared .align 8 .b64 m;\nmbarrier.arrive.shared.b64 %a, [m];");
    assert_eq!(test.fault(4), (FaultKind::Undefined, 1, 0, Some(0)));
}
