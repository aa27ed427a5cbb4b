//! Functions of features that the devices say they do not have: they exist, so that programs that look every function up
//! start, and answer `CUDA_ERROR_NOT_SUPPORTED`.

use super::error::{Code, guard};
use std::ffi::c_void;

/// Arguments are not looked at: in the C calling convention the caller puts them up and takes them down.
macro_rules! unsupported {
    ($($name:ident: $feature:literal;)*) => {
        $(
            /// Not supported.
            ///
            /// # Safety
            /// None: no argument is read.
            #[unsafe(no_mangle)]
            #[allow(non_snake_case, reason = "names of the CUDA driver API")]
            pub unsafe extern "C" fn $name() -> i32 {
                guard(stringify!($name), false, || {
                    Err(Code::NOT_SUPPORTED.because(concat!($feature, " are not supported")))
                })
            }
        )*

        /// Looks up a function of this file.
        pub(super) fn address(symbol: &str) -> Option<*const c_void> {
            $(
                if symbol == stringify!($name) {
                    return Some($name as *const c_void);
                }
            )*
            None
        }
    };
}

unsupported! {
    cuDeviceGetDefaultMemPool: "memory pools";
    cuDeviceGetMemPool: "memory pools";
    cuDeviceSetMemPool: "memory pools";
    cuMemPoolCreate: "memory pools";
    cuMemPoolDestroy: "memory pools";
    cuMemPoolTrimTo: "memory pools";
    cuMemPoolSetAttribute: "memory pools";
    cuMemPoolGetAttribute: "memory pools";
    cuMemPoolSetAccess: "memory pools";
    cuMemPoolGetAccess: "memory pools";
    cuMemAllocFromPoolAsync: "memory pools";
    cuMemAddressReserve: "address ranges without memory";
    cuMemAddressFree: "address ranges without memory";
    cuMemCreate: "memory handles";
    cuMemRelease: "memory handles";
    cuMemMap: "memory handles";
    cuMemUnmap: "memory handles";
    cuMemSetAccess: "memory handles";
    cuMemGetAccess: "memory handles";
    cuMemGetAllocationGranularity: "memory handles";
    cuMemRetainAllocationHandle: "memory handles";
    cuMemExportToShareableHandle: "memory handles";
    cuMemImportFromShareableHandle: "memory handles";
    cuIpcGetMemHandle: "handles between processes";
    cuIpcOpenMemHandle_v2: "handles between processes";
    cuIpcCloseMemHandle: "handles between processes";
    cuIpcGetEventHandle: "handles between processes";
    cuIpcOpenEventHandle: "handles between processes";
    cuImportExternalMemory: "external memories";
    cuExternalMemoryGetMappedBuffer: "external memories";
    cuDestroyExternalMemory: "external memories";
    cuArrayCreate_v2: "arrays";
    cuArray3DCreate_v2: "arrays";
    cuArrayDestroy: "arrays";
    cuMipmappedArrayCreate: "arrays";
    cuMipmappedArrayDestroy: "arrays";
    cuTexObjectCreate: "textures";
    cuTexObjectDestroy: "textures";
    cuSurfObjectCreate: "surfaces";
    cuSurfObjectDestroy: "surfaces";
    cuModuleGetTexRef: "textures";
    cuModuleGetSurfRef: "surfaces";
    cuStreamWaitValue32_v2: "memory operations of streams";
    cuStreamWaitValue64_v2: "memory operations of streams";
    cuStreamWriteValue32_v2: "memory operations of streams";
    cuStreamWriteValue64_v2: "memory operations of streams";
    cuStreamBatchMemOp_v2: "memory operations of streams";
    cuGraphAddMemAllocNode: "allocations in graphs";
    cuGraphAddMemFreeNode: "allocations in graphs";
    cuDeviceGraphMemTrim: "allocations in graphs";
    cuGreenCtxCreate: "green contexts";
    cuGreenCtxDestroy: "green contexts";
    cuCtxFromGreenCtx: "green contexts";
    cuTensorMapEncodeTiled: "tensor maps";
    cuLaunchCooperativeKernelMultiDevice: "launches on several devices";
}
