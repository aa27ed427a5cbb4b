//! Loads, stores, address conversions, call parameters.

use super::Test;

#[test]
fn values_are_extended_and_truncated() {
    let out = Test::new(
        "ld.global.s8 %x, [%p]; st.global.u32 [%p+16], %x;
         ld.global.u8 %x, [%p]; st.global.u32 [%p+20], %x;
         ld.global.s16 %x, [%p]; st.global.u32 [%p+24], %x;
         ld.global.s8 %a, [%p]; st.global.u64 [%p+32], %a;
         ld.global.s32 %a, [%p+4]; st.global.u64 [%p+40], %a;
         ld.global.b32 %a, [%p+4]; st.global.u64 [%p+48], %a;
         mov.u32 %x, 0x12345678; st.global.u8 [%p+56], %x; st.global.b16 [%p+58], %x;
         ld.global.u8 %h, [%p]; st.global.b16 [%p+60], %h;
         ld.global.s8 %h, [%p]; st.global.b16 [%p+62], %h;",
    )
    .words(&[0xffff_ff80, 0x8000_0001, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(out[4..7], [0xffff_ff80, 0x80, 0xffff_ff80]);
    assert_eq!(out[8..14], [0xffff_ff80, u32::MAX, 0x8000_0001, u32::MAX, 0x8000_0001, 0]);
    assert_eq!(out[14..16], [0x5678_0078, 0xff80_0080]);
}

#[test]
fn vectors() {
    let out = Test::new(
        "ld.global.v4.u32 {%x, %y, %z, %w}, [%p]; st.global.v4.b32 [%p+16], {%w, %z, %y, %x};
         ld.global.v2.u64 {%a, _}, [%p]; st.global.u64 [%p+32], %a;
         ld.global.nc.L1::no_allocate.L2::128B.v4.u8 {%x, %y, %z, %w}, [%p];
         st.global.v4.u8 [%p+40], {%w, %z, %y, %x};
         ld.volatile.global.v2.b16 {%h, %g}, [%p]; st.relaxed.gpu.global.v2.b16 [%p+44], {%g, %h};
         .reg .b128 %wide; ld.global.b128 %wide, [%p]; st.global.b128 [%p+48], %wide;",
    )
    .words(&[0x0403_0201, 2, 3, 4, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0]);
    assert_eq!(out[4..8], [4, 3, 2, 0x0403_0201]);
    assert_eq!(out[8..12], [0x0403_0201, 2, 0x0102_0304, 0x0201_0403]);
    assert_eq!(out[12..16], [0x0403_0201, 2, 3, 4]);
}

#[test]
fn cache_policies_and_hints() {
    let out = Test::new(
        "createpolicy.fractional.L2::evict_last.L2::evict_unchanged.b64 %c, 0f3F000000;
         createpolicy.fractional.L2::evict_first.b64 %d;
         createpolicy.range.global.L2::evict_last.L2::evict_first.b64 %d, [%p], 128, 256;
         createpolicy.cvt.L2.b64 %d, %c;
         ld.global.L2::cache_hint.u32 %x, [%p], %c; st.global.L1::evict_last.L2::cache_hint.u32 [%p+4], %x, %d;
         prefetch.global.L2 [%p]; prefetchu.L1 [%p]; prefetch.global.L2::evict_last [%p]; prefetch.local.L1 [%p];
         applypriority.global.L2::evict_normal [%p], 128;
         ld.global.cs.u32 %x, [%p]; ld.global.lu.u32 %x, [%p]; ld.cv.u32 %x, [%p]; ldu.global.u32 %x, [%p];
         st.global.wt.u32 [%p+8], %x; ld.acquire.sys.global.u32 %x, [%p+8]; st.release.cta.u32 [%p+12], %x;
         ld.mmio.relaxed.sys.global.u32 %x, [%p]; ld.weak.global.ca.u32 %x, [%p];
         fence.sc.gpu; fence.acq_rel.cta; membar.gl; membar.sys; membar.cta; fence.proxy.alias; fence.sc.sys;",
    )
    .words(&[7, 0, 0, 0]);
    assert_eq!(out, [7, 7, 7, 7]);
}

/// Each space through generic addresses, and `isspacep`.
#[test]
fn generic_addresses() {
    let out = Test::new(
        ".shared .align 8 .b32 s[64]; .local .align 8 .b32 l[2];
         mov.u32 %x, s; mad.lo.u32 %x, %t, 4, %x; st.shared.u32 [%x], %t;
         mov.u64 %a, s; cvta.shared.u64 %a, %a; mul.wide.u32 %b, %t, 4; add.u64 %c, %a, %b;
         ld.u32 %y, [%c];
         st.u32 [%c+128], %y;
         mov.u64 %d, l; cvta.local.u64 %d, %d; st.u32 [%d+4], %y; ld.local.u32 %z, [l+4];
         cvta.to.shared.u64 %a, %c; ld.shared.u32 %w, [%a+128];
         add.u32 %z, %z, %w;
         mov.u64 %a, table; cvta.const.u64 %a, %a; ld.u32 %w, [%a+4]; add.u32 %z, %z, %w;
         add.u64 %b, %p, %b; st.u32 [%b], %z;
         mov.u32 %y, 0;
         isspacep.shared %q, %c; @%q add.u32 %y, %y, 1;
         isspacep.local %q, %d; @%q add.u32 %y, %y, 2;
         isspacep.global %q, %p; @%q add.u32 %y, %y, 4;
         isspacep.const %q, %a; @%q add.u32 %y, %y, 8;
         isspacep.global %q, %c; @%q add.u32 %y, %y, 16;
         mov.u64 %a, p; cvta.param.u64 %a, %a; isspacep.param %q, %a; @%q add.u32 %y, %y, 32;
         ld.u64 %c, [%a]; setp.eq.u64 %q, %c, %p; @%q add.u32 %y, %y, 64;
         st.global.u32 [%b+128], %y;",
    )
    .head(".const .align 4 .u32 table[2] = {1, 100};\n")
    .words(&[0; 64]);
    for lane in 0..32 {
        assert_eq!(out[lane], 100 + 2 * lane as u32);
        assert_eq!(out[32 + lane], 1 + 2 + 4 + 8 + 32 + 64);
    }
}

/// Lanes of one instruction may be in different spaces.
#[test]
fn mixed_generic_addresses() {
    let out = Test::new(
        ".shared .b32 s[32];
         mul.wide.u32 %b, %t, 4;
         mov.u64 %a, s; cvta.shared.u64 %a, %a; add.u64 %a, %a, %b; st.u32 [%a], 5;
         add.u64 %c, %p, %b;
         and.b32 %x, %t, 1; setp.eq.u32 %q, %x, 1; selp.b64 %d, %a, %c, %q;
         ld.u32 %y, [%d]; add.u32 %y, %y, %t; st.u32 [%d], %y; bar.warp.sync -1; ld.shared.u32 %z, [s+4];
         @!%q bra DONE; ld.u32 %y, [%a]; st.global.u32 [%c], %y; DONE:",
    )
    .words(&[100; 32]);
    for (lane, &word) in out.iter().enumerate() {
        assert_eq!(word, if lane % 2 == 1 { 5 } else { 100 } + lane as u32);
    }
}

#[test]
fn parameters_of_calls() {
    let out = Test::new(
        "{ .param .align 16 .b8 a0[24]; .param .b32 r0;
           st.param.v2.b32 [a0], {%t, 7}; st.param.b64 [a0+8], 9; mov.b64 %a, 1; st.param.b64 [a0+16], %a;
           call.uni (r0), f, (a0);
           ld.param.b32 %x, [r0]; }
         mad.wide.u32 %b, %t, 4, %p; st.global.u32 [%b], %x;",
    )
    .head(
        ".func (.param .b32 r) f(.param .align 16 .b8 a[24]) { .reg .b32 %x, %y; .reg .b64 %a, %b; \
         ld.param.v2.u32 {%x, %y}, [a]; ld.param.u64 %a, [a+8]; mov.b64 %b, a; ld.param.u64 %b, [%b+16]; \
         mad.lo.u32 %x, %x, %y, %y; cvt.u32.u64 %y, %a; add.u32 %x, %x, %y; cvt.u32.u64 %y, %b; \
         add.u32 %x, %x, %y; st.param.b32 [r], %x; ret; }\n",
    )
    .words(&[0; 32]);
    for (lane, &word) in out.iter().enumerate() {
        assert_eq!(word, 7 * lane as u32 + 17);
    }
}

#[test]
fn local_arrays_are_per_lane() {
    let out = Test::new(
        ".local .align 4 .b32 l[8];
         mov.u64 %a, l; mov.u32 %x, 0;
         LOOP: mad.wide.u32 %b, %x, 4, %a; add.u32 %y, %x, %t; st.local.u32 [%b], %y;
         add.u32 %x, %x, 1; setp.lt.u32 %q, %x, 8; @%q bra LOOP;
         and.b32 %x, %t, 7; mad.wide.u32 %b, %x, 4, %a; ld.local.u32 %y, [%b];
         mad.wide.u32 %b, %t, 4, %p; st.global.u32 [%b], %y;",
    )
    .words(&[0; 32]);
    for lane in 0..32u32 {
        assert_eq!(out[lane as usize], lane + lane % 8);
    }
}
