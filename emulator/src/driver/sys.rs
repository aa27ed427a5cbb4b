//! Types of the C interface: handles as numbers that are looked up, structures as `cuda.h` lays them out, and pointers
//! of the caller, which are null or point at what the function's contract says.

use super::error::{Code, Result};
use std::ffi::{CStr, c_char, c_void};

/// An opaque handle: what `CUcontext`, `CUstream`, … are to a caller. Never dereferenced.
pub type Handle = usize;
/// `CUdeviceptr`.
pub type DevicePointer = u64;
/// `CUdevice`: an ordinal.
pub type Ordinal = i32;
/// `CUhostFn`.
pub type HostFunction = Option<unsafe extern "C" fn(*mut c_void)>;
/// `CUstreamCallback`.
pub type StreamCallback = Option<unsafe extern "C" fn(Handle, i32, *mut c_void)>;

/// Most elements of a list that a caller hands over.
const MOST_ELEMENTS: usize = 1 << 22;

/// A place of the caller's that receives a value.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Out<T>(*mut T);

impl<T> Out<T> {
    /// No place: for results that are not wanted.
    pub fn null() -> Self {
        Out(std::ptr::null_mut())
    }

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Writes the value; an error if the pointer is null.
    pub fn set(self, value: T) -> Result {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
        }
        // SAFETY: not null; such pointers come only from callers of the C interface, whose contract is that they point
        // at space for a T. It may lie at any alignment.
        unsafe { self.0.write_unaligned(value) };
        Ok(())
    }

    /// Writes the value unless the pointer is null.
    pub fn set_if_wanted(self, value: T) {
        if !self.0.is_null() {
            let _ = self.set(value);
        }
    }

    /// Writes consecutive values.
    pub fn fill(self, values: impl IntoIterator<Item = T>) -> Result {
        for (i, value) in values.into_iter().enumerate() {
            Out(self.0.wrapping_add(i)).set(value)?;
        }
        Ok(())
    }

    /// The current value.
    pub fn get(self) -> Result<T>
    where
        T: Copy,
    {
        In(self.0.cast_const()).get()
    }

    /// The `i`-th place behind the pointer; null stays null.
    pub fn at(self, i: usize) -> Out<T> {
        if self.0.is_null() { self } else { Out(self.0.wrapping_add(i)) }
    }

    /// The address.
    pub fn address(self) -> u64 {
        self.0 as u64
    }
}

/// A value of the caller's, or an array of them.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct In<T>(*const T);

// SAFETY: an address of the caller's, which only calls that the caller makes read.
unsafe impl<T> Send for In<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for In<T> {}
// SAFETY: an address of the caller's, which only calls that the caller makes write.
unsafe impl<T> Send for Out<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for Out<T> {}

impl<T: Copy> In<In<T>> {
    /// A list of pointers that the emulator keeps.
    pub fn to(list: &[usize]) -> Self {
        In(list.as_ptr().cast())
    }
}

impl<T: Copy> In<T> {
    /// No pointer.
    pub fn null() -> Self {
        In(std::ptr::null())
    }

    /// The `i`-th value behind the pointer.
    pub fn at(self, i: usize) -> In<T> {
        In(self.0.wrapping_add(i))
    }

    pub fn is_null(self) -> bool {
        self.0.is_null()
    }

    /// Reads the value; an error if the pointer is null.
    pub fn get(self) -> Result<T> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer to an argument is null"));
        }
        // SAFETY: not null; such pointers come only from callers of the C interface, whose contract is that they point
        // at a T. It may lie at any alignment.
        Ok(unsafe { self.0.read_unaligned() })
    }

    /// Reads `count` consecutive values. A count that no caller means, or memory that is not there, is an error.
    pub fn array(self, count: usize) -> Result<Vec<T>> {
        if count == 0 {
            return Ok(Vec::new());
        }
        if count > MOST_ELEMENTS {
            return Err(Code::INVALID_VALUE.because(format!("a list of {count} elements")));
        }
        let mut bytes = vec![0; count * size_of::<T>()];
        super::host::read(self.address(), &mut bytes)?;
        // SAFETY: `bytes` holds `count` values of T, copied from an array of T as the contract of such pointers says;
        // its alignment does not matter.
        Ok((0..count).map(|i| unsafe { bytes.as_ptr().cast::<T>().add(i).read_unaligned() }).collect())
    }

    /// The address.
    pub fn address(self) -> u64 {
        self.0 as u64
    }
}

/// A C string of the caller's.
#[derive(Clone, Copy)]
#[repr(transparent)]
pub struct Text(*const c_char);

impl Text {
    /// The string, or an empty one for none.
    pub fn get_or_empty(self) -> String {
        if self.0.is_null() { String::new() } else { self.get().unwrap_or_default() }
    }

    /// The string; an error if the pointer is null.
    pub fn get(self) -> Result<String> {
        if self.0.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer to a string is null"));
        }
        // SAFETY: not null; such pointers come only from callers of the C interface, whose contract is that they point
        // at a string that ends with a zero.
        Ok(unsafe { CStr::from_ptr(self.0) }.to_string_lossy().into_owned())
    }
}

/// `CUDA_MEMCPY2D`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Memcpy2d {
    pub src_x: usize,
    pub src_y: usize,
    pub src_type: i32,
    pub src_host: u64,
    pub src_device: DevicePointer,
    pub src_array: Handle,
    pub src_pitch: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_type: i32,
    pub dst_host: u64,
    pub dst_device: DevicePointer,
    pub dst_array: Handle,
    pub dst_pitch: usize,
    pub width: usize,
    pub height: usize,
}

/// `CUDA_MEMCPY3D`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct Memcpy3d {
    pub src_x: usize,
    pub src_y: usize,
    pub src_z: usize,
    pub src_lod: usize,
    pub src_type: i32,
    pub src_host: u64,
    pub src_device: DevicePointer,
    pub src_array: Handle,
    pub reserved0: usize,
    pub src_pitch: usize,
    pub src_height: usize,
    pub dst_x: usize,
    pub dst_y: usize,
    pub dst_z: usize,
    pub dst_lod: usize,
    pub dst_type: i32,
    pub dst_host: u64,
    pub dst_device: DevicePointer,
    pub dst_array: Handle,
    pub reserved1: usize,
    pub dst_pitch: usize,
    pub dst_height: usize,
    pub width: usize,
    pub height: usize,
    pub depth: usize,
}

/// `CUDA_MEMSET_NODE_PARAMS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct MemsetParams {
    pub dst: DevicePointer,
    pub pitch: usize,
    pub value: u32,
    pub element_size: u32,
    pub width: usize,
    pub height: usize,
}

/// `CUDA_HOST_NODE_PARAMS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct HostParams {
    pub function: HostFunction,
    pub data: *mut c_void,
}

/// `CUDA_KERNEL_NODE_PARAMS_v1`: what v2 begins with.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KernelParamsV1 {
    pub function: Handle,
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
    pub parameters: In<In<u8>>,
    pub extra: In<usize>,
}

/// `CUDA_KERNEL_NODE_PARAMS_v2` (and `_v3`).
#[derive(Clone, Copy)]
#[repr(C)]
pub struct KernelParams {
    pub v1: KernelParamsV1,
    pub kernel: Handle,
    pub context: Handle,
}

/// `CUlaunchConfig`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LaunchConfig {
    pub grid: [u32; 3],
    pub block: [u32; 3],
    pub shared: u32,
    pub stream: Handle,
    pub attributes: In<LaunchAttribute>,
    pub attribute_count: u32,
}

/// `CUlaunchAttribute`: the value is a union of 64 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct LaunchAttribute {
    pub id: i32,
    pub padding: u32,
    pub value: LaunchAttributeValue,
}

/// `CUlaunchAttributeValue`.
#[derive(Clone, Copy)]
#[repr(C, align(8))]
pub struct LaunchAttributeValue(pub [u32; 16]);

/// `CUgraphNodeParams`: a tag and a union of 232 bytes.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct NodeParams {
    pub kind: i32,
    pub reserved0: [i32; 3],
    pub payload: [u64; 29],
    pub reserved2: i64,
}

/// `CUgraphExecUpdateResultInfo`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct UpdateResult {
    pub result: i32,
    pub node: Handle,
    pub from_node: Handle,
}

/// `CUDA_GRAPH_INSTANTIATE_PARAMS`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct InstantiateParams {
    pub flags: u64,
    pub upload_stream: Handle,
    pub error_node: Handle,
    pub result: i32,
}

/// `CUdevprop`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct DeviceProperties {
    pub max_threads_per_block: i32,
    pub max_threads: [i32; 3],
    pub max_grid: [i32; 3],
    pub shared_per_block: i32,
    pub constant_memory: i32,
    pub warp: i32,
    pub pitch: i32,
    pub registers: i32,
    pub clock: i32,
    pub texture_align: i32,
}

const _: () = {
    assert!(size_of::<Memcpy2d>() == 128);
    assert!(size_of::<Memcpy3d>() == 200);
    assert!(size_of::<MemsetParams>() == 40);
    assert!(size_of::<KernelParamsV1>() == 56);
    assert!(size_of::<KernelParams>() == 72);
    assert!(size_of::<LaunchConfig>() == 56);
    assert!(size_of::<LaunchAttribute>() == 72);
    assert!(size_of::<NodeParams>() == 256);
};
