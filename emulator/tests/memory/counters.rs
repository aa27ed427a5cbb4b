//! Counters, against hand-counted kernels.

use super::Test;
use cuda_emulator::counters::{GlobalTraffic, SharedTraffic, Traffic};

#[test]
fn coalescing() {
    let load = |body: &str| Test::new(body).counts(8192).global_loads;
    let all = |requests, bytes, used_bytes, sectors, distinct_bytes| GlobalTraffic {
        requests,
        bytes,
        used_bytes,
        sectors,
        distinct_bytes,
    };
    let dense = load("mad.wide.u32 %b, %t, 4, %p; ld.global.u32 %x, [%b];");
    assert_eq!(dense, all(1, 128, 128, 4, 128));
    assert_eq!(dense.efficiency(), 1.0);
    let shifted = load("mad.wide.u32 %b, %t, 4, %p; ld.global.u32 %x, [%b+4];");
    assert_eq!(shifted, all(1, 128, 128, 5, 128));
    let strided = load("mad.wide.u32 %b, %t, 32, %p; ld.global.u32 %x, [%b];");
    assert_eq!(strided, all(1, 128, 128, 32, 128));
    assert_eq!(strided.efficiency(), 0.125);
    assert_eq!(load("ld.global.u32 %x, [%p];"), all(1, 128, 4, 1, 4));
    let wide = load("mad.wide.u32 %b, %t, 16, %p; ld.global.v4.u32 {%x, %y, %z, %w}, [%b];");
    assert_eq!(wide, all(1, 512, 512, 16, 512));
    let partial = load("mad.wide.u32 %b, %t, 4, %p; setp.lt.u32 %q, %t, 9; @%q ld.global.u32 %x, [%b];");
    assert_eq!(partial, all(1, 36, 36, 2, 36));
    let twice = load("mad.wide.u32 %b, %t, 4, %p; ld.global.u32 %x, [%b]; ld.u32 %x, [%b+64];");
    assert_eq!(twice, all(2, 256, 256, 8, 192));
}

#[test]
fn distinct_bytes_count_once_per_launch() {
    let test =
        Test::new("mad.wide.u32 %b, %t, 2, %p; ld.global.u16 %h, [%b]; st.global.u16 [%b+64], %h;").grid(8);
    let counters = test.counts(128);
    assert_eq!((counters.global_loads.bytes, counters.global_loads.distinct_bytes), (512, 64));
    assert_eq!((counters.global_stores.bytes, counters.global_stores.distinct_bytes), (512, 64));
    assert_eq!((counters.global_stores.sectors, counters.global_stores.requests), (16, 8));
}

#[test]
fn bank_conflicts() {
    let store = |stride: u32| {
        Test::new(&format!(
            ".shared .align 16 .b8 s[8192]; mov.u32 %x, s; mad.lo.u32 %x, %t, {stride}, %x; st.shared.u32 [%x], 1; ld.shared.u32 %y, [%x];"
        ))
        .counts(4)
    };
    let all = |wavefronts| SharedTraffic { requests: 1, bytes: 128, wavefronts, ideal_wavefronts: 1 };
    for (stride, wavefronts) in [(4, 1), (8, 2), (16, 4), (128, 32), (132, 1)] {
        let counters = store(stride);
        assert_eq!(counters.shared_stores, all(wavefronts), "stride {stride}");
        assert_eq!(counters.shared_loads, all(wavefronts));
        assert_eq!(counters.shared_loads.conflicts(), wavefronts - 1);
    }
    let wide = Test::new(".shared .align 16 .b8 s[8192]; mov.u32 %x, s; mad.lo.u32 %x, %t, 16, %x; st.shared.v4.u32 [%x], {1, 2, 3, 4};").counts(4);
    assert_eq!(
        wide.shared_stores,
        SharedTraffic { requests: 1, bytes: 512, wavefronts: 4, ideal_wavefronts: 4 }
    );
}

#[test]
fn other_spaces() {
    let counters = Test::new(
        ".local .b64 l; .shared .b32 s; st.local.u64 [l], %p; ld.local.u32 %x, [l]; ld.const.u32 %x, [c];
         setp.eq.u32 %q, %t, 0; st.shared.u32 [s], 0; bar.warp.sync -1;
         red.global.add.u32 [%p], 1; @%q atom.shared.add.u32 %x, [s], 1;",
    )
    .head(".const .u32 c[2];\n")
    .counts(4);
    let traffic = |requests, bytes| Traffic { requests, bytes };
    assert_eq!(counters.local_stores, traffic(1, 256));
    assert_eq!(counters.local_loads, traffic(1, 128));
    assert_eq!(counters.constant_loads, traffic(1, 128));
    assert_eq!(counters.parameter_loads, traffic(1, 256));
    assert_eq!(counters.global_atomics, traffic(1, 128));
    assert_eq!(counters.shared_atomics, traffic(1, 4));
}

#[test]
fn asynchronous_copies() {
    let counters = Test::new(
        ".shared .align 16 .b8 s[512]; mov.u32 %x, s; mad.lo.u32 %x, %t, 16, %x; mad.wide.u32 %b, %t, 16, %p;
         cp.async.cg.shared.global [%x], [%b], 16; setp.lt.u32 %q, %t, 2; cp.async.wait_all;
         cp.async.ca.shared.global [%x], [%b], 16, %q; cp.async.wait_all;",
    )
    .counts(512);
    assert_eq!(
        counters.async_copies,
        SharedTraffic { requests: 2, bytes: 1024, wavefronts: 8, ideal_wavefronts: 8 }
    );
    let loads = counters.global_loads;
    assert_eq!((loads.requests, loads.bytes, loads.sectors, loads.distinct_bytes), (2, 512 + 480, 31, 512));
}
