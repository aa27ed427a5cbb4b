//! `atom` and `red`.

use super::Test;

#[test]
fn lanes_take_their_turns_in_order() {
    let out =
        Test::new("atom.global.add.u32 %x, [%p], 3; mad.wide.u32 %b, %t, 4, %p; st.global.u32 [%b+128], %x;")
            .words(&[10; 64]);
    assert_eq!(out[0], 10 + 96);
    for lane in 0..32 {
        assert_eq!(out[32 + lane], 10 + 3 * lane as u32);
    }
}

#[test]
fn operations() {
    let out = Test::new(
        "setp.ne.u32 %q, %t, 0; @%q exit;
         atom.global.min.s32 %x, [%p], -5; atom.global.max.u32 %y, [%p+4], 9;
         atom.relaxed.gpu.global.and.b32 %x, [%p+8], 12; red.global.or.b32 [%p+12], 3;
         red.relaxed.cta.global.xor.b32 [%p+16], 5; atom.global.exch.b32 %z, [%p+20], 77;
         atom.acq_rel.sys.global.cas.b32 %w, [%p+24], 1, 50; atom.cas.b32 %w, [%p+28], 9, 50;
         atom.global.inc.u32 %x, [%p+32], 5; atom.global.dec.u32 %x, [%p+36], 5;
         atom.global.add.u64 %a, [%p+40], 1; st.global.u64 [%p+48], %a;
         atom.global.add.f32 %f, [%p+56], 0f3FC00000; red.global.add.noftz.f16x2 [%p+60], %x;
         red.global.add.f64 [%p+64], 0d3FF8000000000000; atom.global.add.noftz.f16 %h, [%p+72], %g;
         atom.global.cas.b16 %h, [%p+76], %g, %g; st.global.u32 [%p+80], %z;",
    );
    let mut data = [1; 24];
    data[3] = 4;
    data[10] = u32::MAX;
    data[11] = 0;
    data[14] = 1.25f32.to_bits();
    data[15] = 0x3c00_3c00;
    (data[16], data[17]) = (0, 0x4000_0000);
    data[18] = 0x7777_3c00;
    data[19] = 0x7777_0000;
    let out = {
        let test = out;
        test.words(&data)
    };
    assert_eq!(out[..10], [-5i32 as u32, 9, 0, 7, 4, 77, 50, 1, 2, 0]);
    assert_eq!(out[10..14], [0, 1, u32::MAX, 0], "carries into the high word");
    assert_eq!(f32::from_bits(out[14]), 2.75);
    assert_eq!(f64::from_bits(u64::from(out[17]) << 32 | u64::from(out[16])), 3.5);
    assert_eq!(out[18..21], [0x7777_3c00, 0x7777_0000, 1]);
}

#[test]
fn wide_and_vector_forms() {
    let mut test = Test::new(
        "setp.ne.u32 %q, %t, 0; @%q exit;
         .reg .b128 %u, %v, %s; ld.global.b128 %u, [%p]; ld.global.b128 %v, [%p+16];
         atom.global.cas.b128 %s, [%p+32], %u, %v; st.global.b128 [%p+48], %s;
         atom.global.exch.b128 %s, [%p], %v;
         mov.b32 %f, 0f3F800000; mov.b32 %e, 0f40000000;
         atom.global.add.v2.f32 {%f, %e}, [%p+64], {%f, %e}; st.global.v2.f32 [%p+72], {%f, %e};",
    );
    test.body = test.body.to_string();
    let mut data = [0; 20];
    data[..4].copy_from_slice(&[1, 2, 3, 4]);
    data[4..8].copy_from_slice(&[5, 6, 7, 8]);
    data[8..12].copy_from_slice(&[1, 2, 3, 4]);
    (data[16], data[17]) = (10f32.to_bits(), 20f32.to_bits());
    let out = test.words(&data);
    assert_eq!(out[8..12], [5, 6, 7, 8]);
    assert_eq!(out[12..16], [1, 2, 3, 4]);
    assert_eq!(out[..4], [5, 6, 7, 8]);
    assert_eq!(out[16..20].iter().map(|&w| f32::from_bits(w)).collect::<Vec<_>>(), [11.0, 22.0, 10.0, 20.0]);
}

/// Blocks on several host threads, shared and global atomics together.
#[test]
fn histogram_of_all_blocks() {
    let out = Test::new(
        ".shared .b32 bins[8];
         setp.lt.u32 %q, %t, 8; mov.u32 %x, bins; mad.lo.u32 %y, %t, 4, %x; @%q st.shared.u32 [%y], 0;
         bar.sync 0;
         and.b32 %z, %t, 7; mad.lo.u32 %z, %z, 4, %x; red.shared.add.u32 [%z], 1;
         bar.sync 0;
         @%q ld.shared.u32 %w, [%y]; mad.wide.u32 %b, %t, 4, %p; @%q red.add.u32 [%b], %w;",
    )
    .block(128)
    .grid(64)
    .words(&[0; 8]);
    assert_eq!(out, [16 * 64; 8]);
}

/// A lock in shared memory, whose holder must go on while others spin, and no race is seen behind its fences.
#[test]
fn locks() {
    let out = Test::new(
        ".shared .b32 lock, sum;
         setp.eq.u32 %q, %t, 0; @%q st.shared.u32 [lock], 0; @%q st.shared.u32 [sum], 0; bar.sync 0;
         AGAIN: atom.shared.cas.b32 %x, [lock], 0, 1; setp.ne.u32 %r, %x, 0; @%r bra AGAIN;
         membar.cta; ld.shared.u32 %y, [sum]; add.u32 %y, %y, 1; st.shared.u32 [sum], %y; membar.cta;
         atom.shared.exch.b32 %x, [lock], 0;
         bar.sync 0; @%q ld.shared.u32 %y, [sum]; @%q st.global.u32 [%p], %y;",
    )
    .block(96)
    .words(&[0]);
    assert_eq!(out, [96]);
}
