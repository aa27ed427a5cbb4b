//! `cuGetProcAddress`: functions by the name that programs write and the version they were compiled for.

use super::error::{Code, Result};
use super::sys::{Out, Text};
use std::ffi::c_void;

/// Names whose meaning changed: from which version on which symbol stands for them. What is not listed here stands for
/// itself, or for its `_v2`, which is what headers since CUDA 4 mean.
const VERSIONS: &[(&str, &[(i32, &str)])] = &[
    ("cuCtxCreate", &[(0, "cuCtxCreate_v2"), (11040, "cuCtxCreate_v3"), (12050, "cuCtxCreate_v4")]),
    ("cuCtxGetDevice", &[(0, "cuCtxGetDevice"), (13000, "cuCtxGetDevice_v2")]),
    ("cuCtxSynchronize", &[(0, "cuCtxSynchronize"), (13000, "cuCtxSynchronize_v2")]),
    ("cuDeviceGetUuid", &[(0, "cuDeviceGetUuid"), (11040, "cuDeviceGetUuid_v2")]),
    (
        "cuDevicePrimaryCtxRelease",
        &[(0, "cuDevicePrimaryCtxRelease"), (11000, "cuDevicePrimaryCtxRelease_v2")],
    ),
    ("cuDevicePrimaryCtxReset", &[(0, "cuDevicePrimaryCtxReset"), (11000, "cuDevicePrimaryCtxReset_v2")]),
    (
        "cuDevicePrimaryCtxSetFlags",
        &[(0, "cuDevicePrimaryCtxSetFlags"), (11000, "cuDevicePrimaryCtxSetFlags_v2")],
    ),
    ("cuEventElapsedTime", &[(0, "cuEventElapsedTime"), (12080, "cuEventElapsedTime_v2")]),
    ("cuGetProcAddress", &[(0, "cuGetProcAddress"), (12000, "cuGetProcAddress_v2")]),
    ("cuGraphAddDependencies", &[(0, "cuGraphAddDependencies"), (12030, "cuGraphAddDependencies_v2")]),
    ("cuGraphAddKernelNode", &[(0, "cuGraphAddKernelNode"), (12000, "cuGraphAddKernelNode_v2")]),
    ("cuGraphAddNode", &[(0, "cuGraphAddNode"), (12030, "cuGraphAddNode_v2")]),
    (
        "cuGraphExecKernelNodeSetParams",
        &[(0, "cuGraphExecKernelNodeSetParams"), (12000, "cuGraphExecKernelNodeSetParams_v2")],
    ),
    ("cuGraphExecUpdate", &[(0, "cuGraphExecUpdate"), (12000, "cuGraphExecUpdate_v2")]),
    ("cuGraphGetEdges", &[(0, "cuGraphGetEdges"), (12030, "cuGraphGetEdges_v2")]),
    ("cuGraphInstantiate", &[(0, "cuGraphInstantiate_v2"), (12000, "cuGraphInstantiateWithFlags")]),
    (
        "cuGraphKernelNodeGetParams",
        &[(0, "cuGraphKernelNodeGetParams"), (12000, "cuGraphKernelNodeGetParams_v2")],
    ),
    (
        "cuGraphKernelNodeSetParams",
        &[(0, "cuGraphKernelNodeSetParams"), (12000, "cuGraphKernelNodeSetParams_v2")],
    ),
    (
        "cuGraphNodeGetDependencies",
        &[(0, "cuGraphNodeGetDependencies"), (12030, "cuGraphNodeGetDependencies_v2")],
    ),
    (
        "cuGraphNodeGetDependentNodes",
        &[(0, "cuGraphNodeGetDependentNodes"), (12030, "cuGraphNodeGetDependentNodes_v2")],
    ),
    (
        "cuGraphRemoveDependencies",
        &[(0, "cuGraphRemoveDependencies"), (12030, "cuGraphRemoveDependencies_v2")],
    ),
    ("cuMemAdvise", &[(0, "cuMemAdvise"), (12020, "cuMemAdvise_v2")]),
    ("cuMemPrefetchAsync", &[(0, "cuMemPrefetchAsync"), (12020, "cuMemPrefetchAsync_v2")]),
    (
        "cuStreamGetCaptureInfo",
        &[
            (0, "cuStreamGetCaptureInfo"),
            (11030, "cuStreamGetCaptureInfo_v2"),
            (12030, "cuStreamGetCaptureInfo_v3"),
        ],
    ),
    ("cuStreamGetCtx", &[(0, "cuStreamGetCtx"), (12050, "cuStreamGetCtx_v2")]),
    (
        "cuStreamUpdateCaptureDependencies",
        &[(0, "cuStreamUpdateCaptureDependencies"), (12030, "cuStreamUpdateCaptureDependencies_v2")],
    ),
];

/// Flags of a look-up: the legacy default stream (or 0), or the thread's own.
const LEGACY: u64 = 1;
const PER_THREAD: u64 = 2;

/// `CUdriverProcAddressQueryResult`.
const FOUND: i32 = 0;
const NOT_FOUND: i32 = 1;

/// The exported function of a symbol.
fn symbol(name: &str) -> Option<*const c_void> {
    use super::{
        context, copy, device, event, fill, function, graph, graph_exec, graph_nodes, launch, library, link,
        memory, module, occupancy, pointer, primary, stream, stream_capture, unsupported, user_object,
    };
    let files: [fn(&str) -> Option<*const c_void>; 22] = [
        device::address,
        context::address,
        primary::address,
        memory::address,
        pointer::address,
        copy::address,
        fill::address,
        stream::address,
        stream_capture::address,
        event::address,
        module::address,
        function::address,
        library::address,
        link::address,
        launch::address,
        occupancy::address,
        graph::address,
        graph_nodes::address,
        graph_exec::address,
        unsupported::address,
        user_object::address,
        address,
    ];
    files.iter().find_map(|file| file(name))
}

/// The function that a program compiled for a version of CUDA means by a name.
fn find(name: &str, version: i32, per_thread: bool) -> Option<*const c_void> {
    let versions = VERSIONS.iter().find(|(base, _)| *base == name).map(|(_, versions)| *versions);
    let chosen = versions.and_then(|v| v.iter().rev().find(|(from, _)| *from <= version)).map(|(_, s)| *s);
    let candidates = match chosen {
        Some(chosen) => vec![chosen.to_string()],
        None => vec![format!("{name}_v2"), name.to_string()],
    };
    candidates.iter().find_map(|candidate| {
        let own = per_thread
            .then(|| symbol(&format!("{candidate}_ptsz")).or_else(|| symbol(&format!("{candidate}_ptds"))));
        own.flatten().or_else(|| symbol(candidate))
    })
}

fn look_up(name: Text, place: Out<*const c_void>, version: i32, flags: u64, status: Out<i32>) -> Result {
    let name = name.get()?;
    if place.is_null() || version < 0 || flags & !(LEGACY | PER_THREAD) != 0 {
        return Err(Code::INVALID_VALUE.because(format!("version {version}, flags {flags:#x}")));
    }
    let found = find(&name, version, flags & PER_THREAD != 0);
    place.set(found.unwrap_or(std::ptr::null()))?;
    if !status.is_null() {
        return status.set(if found.is_some() { FOUND } else { NOT_FOUND });
    }
    found.map(|_| ()).ok_or_else(|| Code::NOT_FOUND.into())
}

api! {
    fn cuGetProcAddress(name: Text, place: Out<*const c_void>, version: i32, flags: u64) {
        look_up(name, place, version, flags, Out::null())
    }

    fn cuGetProcAddress_v2(
        name: Text,
        place: Out<*const c_void>,
        version: i32,
        flags: u64,
        status: Out<i32>,
    ) {
        look_up(name, place, version, flags, status)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_choose_symbols() {
        let same = |name, version, expected: &str| {
            assert_eq!(find(name, version, false), symbol(expected), "{name}")
        };
        same("cuInit", 2000, "cuInit");
        same("cuMemAlloc", 3020, "cuMemAlloc_v2");
        same("cuCtxCreate", 11000, "cuCtxCreate_v2");
        same("cuCtxCreate", 13000, "cuCtxCreate_v4");
        same("cuEventElapsedTime", 12080, "cuEventElapsedTime_v2");
        same("cuGetProcAddress", 12000, "cuGetProcAddress_v2");
        assert_eq!(find("cuMemcpyHtoDAsync", 13000, true), symbol("cuMemcpyHtoDAsync_v2_ptsz"));
        assert_eq!(find("cuMemcpyHtoD", 13000, true), symbol("cuMemcpyHtoD_v2_ptds"));
        assert_eq!(find("cuMemAlloc", 13000, true), symbol("cuMemAlloc_v2"));
        assert_eq!(find("cuNoSuchThing", 13000, false), None);
    }

    #[test]
    fn every_listed_symbol_exists() {
        for (_, versions) in VERSIONS {
            for (_, name) in *versions {
                assert!(symbol(name).is_some(), "{name}");
            }
        }
    }
}
