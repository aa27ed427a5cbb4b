//! Races in shared memory: planted ones, and the same programs with the barrier that they lack.

use super::Test;
use cuda_emulator::fault::FaultKind;

/// Threads write their word, and read that of their neighbour at a distance.
fn neighbours(between: &str, distance: u32) -> Test {
    Test::new(&format!(
        ".shared .b32 s[128]; mov.u32 %x, s; mad.lo.u32 %y, %t, 4, %x;\nst.shared.u32 [%y], %t;\n{between}\n\
         xor.b32 %z, %t, {distance}; mad.lo.u32 %z, %z, 4, %x; ld.shared.u32 %w, [%z];\n\
         mad.wide.u32 %b, %t, 4, %p; st.global.u32 [%b], %w;"
    ))
    .block(128)
}

#[test]
fn between_warps() {
    let (kind, line, _, address) = neighbours("bar.warp.sync -1;", 64).fault(512);
    assert!(
        matches!((kind, line), (FaultKind::SharedRace, 3) | (FaultKind::Uninitialized, 3)),
        "{kind:?} {line}"
    );
    assert!(address.is_some());
    for barrier in ["bar.sync 0;", "barrier.sync.aligned 3;", "bar.sync 1, 128;"] {
        assert!(neighbours(barrier, 64).faults(512).is_empty(), "{barrier}");
    }
}

#[test]
fn write_after_read() {
    let body = |barrier: &str| {
        format!(
            ".shared .b32 s[64]; mov.u32 %x, s; mad.lo.u32 %y, %t, 4, %x; st.shared.u32 [%y], %t; bar.sync 0; \
             setp.ge.u32 %q, %t, 32;\nxor.b32 %z, %t, 32; mad.lo.u32 %z, %z, 4, %x; ld.shared.u32 %w, [%z];\n{barrier}\n@%q st.shared.u32 [%y], %w;"
        )
    };
    let (kind, line, thread, address) = Test::new(&body("")).block(64).fault(4);
    assert_eq!((kind, line, thread, address), (FaultKind::SharedRace, 3, 32, Some(128)));
    assert!(Test::new(&body("bar.sync 0;")).block(64).faults(4).is_empty());
}

#[test]
fn inside_a_warp() {
    let (kind, line, thread, address) = neighbours("", 1).fault(512);
    assert_eq!((kind, line, thread, address), (FaultKind::SharedRace, 3, 0, Some(4)));
    assert!(neighbours("bar.warp.sync -1;", 1).faults(512).is_empty());
    assert!(neighbours("bar.warp.sync -1;", 16).faults(512).is_empty());
}

#[test]
fn lanes_that_write_different_values() {
    let body = |value: &str| format!(".shared .b32 s;\nst.shared.u32 [s], {value};");
    assert_eq!(Test::new(&body("%t")).fault(4), (FaultKind::SharedRace, 1, 1, Some(0)));
    assert!(Test::new(&body("7")).faults(4).is_empty());
    let (kind, line, thread, _) = Test::new(&body("7")).block(64).fault(4);
    assert_eq!(
        (kind, line, thread),
        (FaultKind::SharedRace, 1, 32),
        "the same value of another warp is a race"
    );
}

#[test]
fn atomics_do_not_race_with_each_other() {
    let body = |last: &str| {
        format!(
            ".shared .b32 s; setp.eq.u32 %q, %t, 0; @%q st.shared.u32 [s], 0; bar.sync 0;\n\
             red.shared.add.u32 [s], 1;\n{last}"
        )
    };
    assert!(Test::new(&body("ld.volatile.shared.u32 %x, [s];")).block(64).faults(4).is_empty());
    let (kind, line, ..) = Test::new(&body("ld.shared.u32 %x, [s];")).block(64).fault(4);
    assert_eq!((kind, line), (FaultKind::SharedRace, 2));
    assert!(Test::new(&body("bar.sync 0; ld.shared.u32 %x, [s];")).block(64).faults(4).is_empty());
}

/// Warp 0 produces for warp 1 through named barriers; warp 2 takes no part.
#[test]
fn named_barriers_order_their_participants() {
    let body = |third: &str| {
        format!(
            ".shared .b32 s[32]; mov.u32 %x, s; and.b32 %y, %t, 31; mad.lo.u32 %y, %y, 4, %x; shr.u32 %z, %t, 5;\n\
             setp.eq.u32 %q, %z, 0; @!%q bra OTHERS;\nst.shared.u32 [%y], %t; bar.arrive 1, 64; bar.sync 2, 64; exit;\n\
             OTHERS: setp.eq.u32 %q, %z, 1; @!%q bra THIRD;\nbar.sync 1, 64; xor.b32 %y, %y, 4; ld.shared.u32 %w, [%y]; bar.sync 2, 64; exit;\n\
             THIRD: {third}"
        )
    };
    assert!(Test::new(&body("ret;")).block(96).faults(4).is_empty());
    let (kind, line, thread, _) =
        Test::new(&body("nanosleep.u32 1; nanosleep.u32 1;\nld.shared.u32 %w, [%y];")).block(96).fault(4);
    assert_eq!((kind, line, thread), (FaultKind::SharedRace, 6, 64));
}

/// Half words and bytes of one word are places of their own.
#[test]
fn small_values() {
    let body = |ty: &str, size: u32, shift: u32| {
        format!(
            ".shared .align 4 .b8 s[256]; mov.u32 %x, s; add.u32 %y, %t, {shift}; mad.lo.u32 %y, %y, {size}, %x;\n\
             st.shared.{ty} [%y], %t;\nmad.lo.u32 %z, %t, {size}, %x; ld.shared.{ty} %w, [%z];"
        )
    };
    for (ty, size) in [("u8", 1), ("u16", 2)] {
        assert!(Test::new(&body(ty, size, 0)).block(64).faults(4).is_empty());
        let (kind, line, ..) = Test::new(&body(ty, size, 1))
            .collect()
            .block(64)
            .faults(4)
            .into_iter()
            .find(|f| f.kind == FaultKind::SharedRace)
            .map(|f| (f.kind, f.line - super::FIRST, f.thread[0], f.address))
            .unwrap();
        assert_eq!((kind, line), (FaultKind::SharedRace, 2));
    }
}

/// A block per generation of recycled records: what another block did is no race.
#[test]
fn blocks_do_not_race() {
    let test =
        Test::new(".shared .b32 s; setp.eq.u32 %q, %t, 0;\n@%q st.shared.u32 [s], 1;").grid(100).block(64);
    assert!(test.faults(4).is_empty());
}
