//! Bounds, alignment, lifetime, and memory that nothing has written: each planted fault and its clean twin.

use super::{FIRST, OnFault, Test};
use cuda_emulator::exec::LaunchError;
use cuda_emulator::fault::FaultKind;

#[test]
fn out_of_bounds() {
    let body = "mad.wide.u32 %b, %t, 4, %p;\nld.global.u32 %x, [%b];\nst.global.u32 [%b], %x;";
    assert!(Test::new(body).faults(128).is_empty());
    let (kind, line, thread, address) = Test::new(body).fault(124);
    assert_eq!((kind, line, thread), (FaultKind::OutOfBounds, 1, 31));
    assert_eq!(address.unwrap() % 256, 124);
    let store = "mad.wide.u32 %b, %t, 8, %p;\nst.global.v2.u32 [%b-8], {%t, %t};";
    let (kind, line, thread, address) = Test::new(store).fault(256);
    assert_eq!((kind, line, thread, address.unwrap() % 256), (FaultKind::OutOfBounds, 1, 0, 248));
    for pointer in ["0", "0x7f00000000000000", "-8"] {
        let test = Test::new(&format!("mov.u64 %p, {pointer};\nld.global.u64 %a, [%p];"));
        assert_eq!(test.fault(8).0, FaultKind::OutOfBounds);
    }
}

#[test]
fn out_of_bounds_in_other_spaces() {
    let shared = |n: &str| Test::new(&format!(".shared .b32 s[32];\nst.shared.u32 [s+{n}], %t;")).block(1);
    assert!(shared("124").faults(4).is_empty());
    assert_eq!(shared("128").fault(4), (FaultKind::OutOfBounds, 1, 0, Some(128)));
    let local = |n: u32| Test::new(&format!(".local .b32 l[4];\nst.local.u32 [l+{n}], %t;"));
    assert!(local(12).faults(4).is_empty());
    assert_eq!(local(16).fault(4), (FaultKind::OutOfBounds, 1, 0, Some(16)));
    let constant = |n: u32| Test::new(&format!("ld.const.u32 %x, [c+{n}];")).head(".const .u32 c[2];\n");
    assert!(constant(4).faults(4).is_empty());
    let (kind, ..) = constant(8).fault(4);
    assert_eq!(kind, FaultKind::OutOfBounds);
    let parameter = Test::new("ld.param.u32 %x, [p+8];");
    assert_eq!(parameter.fault(4), (FaultKind::OutOfBounds, 0, 0, Some(8)));
}

#[test]
fn misaligned() {
    for (body, good) in [
        ("ld.global.u32 %x, [%p+2];", "ld.global.u32 %x, [%p+4];"),
        ("ld.global.v4.u32 {%x, %y, %z, %w}, [%p+8];", "ld.global.v4.u32 {%x, %y, %z, %w}, [%p+16];"),
        ("st.global.u64 [%p+4], %p;", "st.global.u64 [%p+8], %p;"),
        ("red.global.add.u64 [%p+4], 1;", "red.global.add.u64 [%p+8], 1;"),
        (
            ".shared .align 8 .b8 s[8]; st.shared.u32 [s+2], %t;",
            ".shared .align 8 .b8 s[8]; st.shared.u32 [s+4], 1;",
        ),
        (
            ".local .align 8 .b8 s[8]; st.local.u32 [s+2], %t;",
            ".local .align 8 .b8 s[8]; st.local.u32 [s+4], %t;",
        ),
    ] {
        let (kind, line, thread, _) = Test::new(body).fault(64);
        assert_eq!((kind, line, thread), (FaultKind::Misaligned, 0, 0), "{body}");
        assert!(Test::new(good).faults(64).is_empty(), "{good}");
    }
}

#[test]
fn use_after_free() {
    let device = super::device(OnFault::Abort);
    let memory = device.memory();
    let buffer = memory.allocate(64).unwrap();
    memory.fill(buffer, 64, &[0]);
    let test = Test::new("ld.global.u32 %x, [%p+60];");
    test.run_on(&device, buffer).unwrap();
    memory.free(buffer);
    memory.allocate(64).unwrap();
    let Err(LaunchError::Faults { faults, .. }) = test.run_on(&device, buffer) else { panic!("no fault") };
    assert_eq!((faults[0].kind, faults[0].line), (FaultKind::UseAfterFree, FIRST));
    assert_eq!(faults[0].address, Some(buffer + 60));
}

#[test]
fn reads_of_what_nothing_has_written() {
    let device = super::device(OnFault::Abort);
    let buffer = device.memory().allocate(128).unwrap();
    let test = Test::new(
        "setp.ne.u32 %q, %t, 9; mad.wide.u32 %b, %t, 4, %p;\n@%q st.global.u32 [%b], %t;\nld.global.u32 %x, [%b];",
    );
    let Err(LaunchError::Faults { faults, .. }) = test.run_on(&device, buffer) else { panic!("no fault") };
    assert_eq!(
        (faults[0].kind, faults[0].line, faults[0].thread),
        (FaultKind::Uninitialized, FIRST + 2, [9, 0, 0])
    );
    assert_eq!(faults[0].address, Some(buffer + 36));
    // One byte of four is missing.
    device.memory().write(buffer + 36, &[0; 3]);
    assert!(test.run_on(&device, buffer).is_err());
    device.memory().write(buffer + 39, &[0]);
    test.run_on(&device, buffer).unwrap();

    let shared =
        |body: &str| Test::new(&format!(".shared .b32 s[4];\n{body}\nld.shared.u32 %x, [s+8];")).block(1);
    assert_eq!(shared("").fault(4), (FaultKind::Uninitialized, 2, 0, Some(8)));
    assert_eq!(shared("st.shared.b16 [s+8], 1;").fault(4).0, FaultKind::Uninitialized);
    assert!(shared("st.shared.u32 [s+8], 1;").faults(4).is_empty());
    let local =
        |body: &str| Test::new(&format!(".local .b32 s[4];\n{body}\nld.local.u32 %x, [s+8];")).block(1);
    assert_eq!(local("").fault(4), (FaultKind::Uninitialized, 2, 0, Some(8)));
    assert!(local("st.local.u32 [s+8], 1;").faults(4).is_empty());
    let discard = |n: u32| Test::new(&format!("discard.global.L2 [%p], 128;\nld.global.u32 %x, [%p+{n}];"));
    assert_eq!(discard(124).fault(256).0, FaultKind::Uninitialized);
    assert!(discard(128).faults(256).is_empty());
}

#[test]
fn read_only_memory() {
    let test =
        Test::new("mov.u64 %a, c; cvta.const.u64 %a, %a;\nst.u32 [%a], 1;").head(".const .u32 c[2];\n");
    let (kind, ..) = test.fault(4);
    assert_eq!(kind, FaultKind::ReadOnly);
}

/// Collected: every lane reports, the others go on, and what a faulty lane reads is 0.
#[test]
fn collecting_goes_on() {
    let body = "setp.ge.u32 %q, %t, 30; mul.wide.u32 %b, %t, 4; @%q add.u64 %b, %b, 4096; add.u64 %b, %b, %p;
mov.u32 %x, 7; ld.global.u32 %x, [%b];
mad.wide.u32 %b, %t, 4, %p; st.global.u32 [%b], %x;";
    let device = super::device(OnFault::Collect);
    let buffer = device.memory().allocate(128).unwrap();
    device.memory().fill(buffer, 128, &[1]);
    let Err(LaunchError::Faults { faults, .. }) = Test::new(body).collect().run_on(&device, buffer) else {
        panic!("no fault")
    };
    assert_eq!(faults.iter().map(|f| f.thread[0]).collect::<Vec<_>>(), [30, 31]);
    let mut out = [0; 128];
    device.memory().read(buffer, &mut out);
    assert_eq!((out[119], &out[120..]), (1, &[0; 8][..]));
}

#[test]
fn faults_name_their_block() {
    let test = Test::new(
        "mov.u32 %x, %ctaid.x; mul.wide.u32 %b, %x, 4; add.u64 %b, %p, %b;\nld.global.u32 %x, [%b];",
    )
    .grid(9);
    let faults = test.faults(20);
    assert_eq!((faults[0].block, faults[0].kind), ([5, 0, 0], FaultKind::OutOfBounds));
}
