//! Graphs: captured, replayed, updated, and calls that end a capture.

use crate::child::succeed;
use crate::kernels::AXPY;
use cudarc::driver::sys::{self, CUresult as Code, CUstreamCaptureMode as Mode};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaSlice, CudaStream, DriverError, LaunchConfig, PushKernelArg,
};
use cudarc::nvrtc::Ptx;
use std::ffi::c_void;
use std::ptr::null_mut;
use std::sync::Arc;

const N: u32 = 64;

struct Setup {
    stream: Arc<CudaStream>,
    axpy: CudaFunction,
    x: CudaSlice<f32>,
    y: CudaSlice<f32>,
}

fn setup() -> Setup {
    let context = CudaContext::new(0).unwrap();
    // SAFETY: the streams of these programs are joined by hand.
    unsafe { context.disable_event_tracking() };
    let axpy = context.load_module(Ptx::from_src(AXPY)).unwrap().load_function("axpy").unwrap();
    let stream = context.new_stream().unwrap();
    let x = stream.clone_htod(&[1f32; N as usize]).unwrap();
    let y = stream.alloc_zeros::<f32>(N as usize).unwrap();
    Setup { stream, axpy, x, y }
}

impl Setup {
    fn add(&mut self, stream: &Arc<CudaStream>, a: f32) {
        let config = LaunchConfig { grid_dim: (1, 1, 1), block_dim: (N, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are those of the kernel; x and y have N elements.
        unsafe {
            stream.launch_builder(&self.axpy).arg(&a).arg(&self.x).arg(&mut self.y).arg(&N).launch(config)
        }
        .unwrap();
    }

    fn value(&self) -> f32 {
        let y = self.stream.clone_dtoh(&self.y).unwrap();
        assert!(y.iter().all(|v| *v == y[0]), "{y:?}");
        y[0]
    }
}

fn flags() -> sys::CUgraphInstantiate_flags {
    sys::CUgraphInstantiate_flags::CUDA_GRAPH_INSTANTIATE_FLAG_AUTO_FREE_ON_LAUNCH
}

#[test]
fn captured_and_replayed() {
    succeed("captures::captured_and_replayed", &[], || {
        let mut s = setup();
        let stream = s.stream.clone();
        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        s.add(&stream, 1.0);
        s.add(&stream, 10.0);
        let graph = stream.end_capture(flags()).unwrap().unwrap();
        assert_eq!(s.value(), 0.0, "a capture does nothing");
        for _ in 0..3 {
            graph.launch().unwrap();
        }
        assert_eq!(s.value(), 33.0);
    });
}

#[test]
fn forked_and_joined() {
    succeed("captures::forked_and_joined", &[], || {
        let mut s = setup();
        let stream = s.stream.clone();
        let context = stream.context().clone();
        let side = context.new_stream().unwrap();
        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_THREAD_LOCAL).unwrap();
        s.add(&stream, 1.0);
        let forked = stream.record_event(None).unwrap();
        side.wait(&forked).unwrap();
        s.add(&side, 2.0);
        let joined = side.record_event(None).unwrap();
        stream.wait(&joined).unwrap();
        s.add(&stream, 4.0);
        let graph = stream.end_capture(flags()).unwrap().unwrap();
        let mut count = 0;
        // SAFETY: a graph that lives, and a place for its number of nodes and of edges.
        unsafe {
            sys::cuGraphGetNodes(graph.cu_graph(), null_mut(), &mut count).result().unwrap();
            assert_eq!(count, 3);
        }
        graph.launch().unwrap();
        assert_eq!(s.value(), 7.0);

        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_RELAXED).unwrap();
        let forked = stream.record_event(None).unwrap();
        side.wait(&forked).unwrap();
        s.add(&side, 2.0);
        let error = stream.end_capture(flags()).err().unwrap();
        assert_eq!(error, DriverError(Code::CUDA_ERROR_STREAM_CAPTURE_UNJOINED));
        stream.synchronize().unwrap();
    });
}

#[test]
fn calls_that_end_a_capture() {
    succeed("captures::calls_that_end_a_capture", &[], || {
        let mut s = setup();
        let stream = s.stream.clone();
        let invalidated = |what: &str| {
            let error = stream.end_capture(flags()).err().unwrap();
            assert_eq!(error, DriverError(Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED), "{what}");
        };
        let unsupported = DriverError(Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED);
        let global = Mode::CU_STREAM_CAPTURE_MODE_GLOBAL;

        stream.begin_capture(global).unwrap();
        assert_eq!(stream.synchronize().unwrap_err(), unsupported);
        invalidated("waiting for the stream");

        stream.begin_capture(global).unwrap();
        let mut address = 0;
        // SAFETY: a place for an address.
        assert_eq!(unsafe { sys::cuMemAlloc_v2(&mut address, 64) }.result().unwrap_err(), unsupported);
        invalidated("an allocation");

        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_RELAXED).unwrap();
        // SAFETY: a place for an address, which is freed.
        unsafe {
            sys::cuMemAlloc_v2(&mut address, 64).result().unwrap();
            sys::cuMemFree_v2(address).result().unwrap();
        }
        s.add(&stream, 1.0);
        assert!(stream.end_capture(flags()).unwrap().is_some());

        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_RELAXED).unwrap();
        let legacy = sys::CUstream::default();
        // SAFETY: memory of the program, in the default stream.
        let result = unsafe { sys::cuMemsetD8Async(1 << 20, 0, 0, legacy) };
        assert_eq!(result, Code::CUDA_SUCCESS, "nothing to fill");
        let mut status = sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_NONE;
        // SAFETY: a stream that lives, and a place for the status.
        unsafe { sys::cuStreamIsCapturing(stream.cu_stream(), &mut status) }.result().unwrap();
        // The streams of cudarc do not wait for the legacy one.
        assert_eq!(status, sys::CUstreamCaptureStatus::CU_STREAM_CAPTURE_STATUS_ACTIVE);
        drop(stream.end_capture(flags()).unwrap());

        // SAFETY: streams and places for them, destroyed at the end.
        unsafe {
            let mut blocking = null_mut();
            sys::cuStreamCreate(&mut blocking, 0).result().unwrap();
            sys::cuStreamBeginCapture_v2(blocking, Mode::CU_STREAM_CAPTURE_MODE_RELAXED).result().unwrap();
            let code = sys::cuMemsetD8Async(address, 0, 0, legacy);
            assert_eq!(code, Code::CUDA_ERROR_STREAM_CAPTURE_IMPLICIT);
            let mut graph = null_mut();
            let code = sys::cuStreamEndCapture(blocking, &mut graph);
            assert_eq!(code, Code::CUDA_ERROR_STREAM_CAPTURE_INVALIDATED);
            assert!(graph.is_null());
            assert_eq!(sys::cuStreamEndCapture(blocking, &mut graph), Code::CUDA_ERROR_ILLEGAL_STATE);
            assert_eq!(
                sys::cuStreamBeginCapture_v2(legacy, Mode::CU_STREAM_CAPTURE_MODE_RELAXED),
                Code::CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED
            );
            sys::cuStreamDestroy_v2(blocking).result().unwrap();
        }
        s.add(&stream, 5.0);
        assert_eq!(s.value(), 5.0);
    });
}

#[test]
fn capture_mode_of_a_thread() {
    succeed("captures::capture_mode_of_a_thread", &[], || {
        let mut s = setup();
        let stream = s.stream.clone();
        stream.begin_capture(Mode::CU_STREAM_CAPTURE_MODE_GLOBAL).unwrap();
        let mut mode = Mode::CU_STREAM_CAPTURE_MODE_RELAXED;
        // SAFETY: places for a mode and an address; the memory is freed.
        unsafe {
            sys::cuThreadExchangeStreamCaptureMode(&mut mode).result().unwrap();
            assert_eq!(mode, Mode::CU_STREAM_CAPTURE_MODE_GLOBAL);
            let mut address = 0;
            sys::cuMemAlloc_v2(&mut address, 64).result().unwrap();
            sys::cuMemFree_v2(address).result().unwrap();
            sys::cuThreadExchangeStreamCaptureMode(&mut mode).result().unwrap();
        }
        s.add(&stream, 3.0);
        let graph = stream.end_capture(flags()).unwrap().unwrap();
        graph.launch().unwrap();
        assert_eq!(s.value(), 3.0);
    });
}

/// Arguments of `axpy` as a node takes them.
struct Arguments {
    a: f32,
    x: u64,
    y: u64,
    n: u32,
}

impl Arguments {
    fn pointers(&mut self) -> [*mut c_void; 4] {
        [
            (&raw mut self.a).cast(),
            (&raw mut self.x).cast(),
            (&raw mut self.y).cast(),
            (&raw mut self.n).cast(),
        ]
    }
}

#[test]
fn built_by_hand_and_updated() {
    succeed("captures::built_by_hand_and_updated", &[], || {
        use cudarc::driver::DevicePtr;
        let s = setup();
        let stream = s.stream.cu_stream();
        let address = |slice: &CudaSlice<f32>| slice.device_ptr(&s.stream).0;
        let mut arguments = Arguments { a: 2.0, x: address(&s.x), y: address(&s.y), n: N };
        // SAFETY: every pointer is to a local variable that outlives the call; handles come from the driver.
        unsafe {
            let (mut module, mut function) = (null_mut(), null_mut());
            let text = std::ffi::CString::new(AXPY).unwrap();
            sys::cuModuleLoadData(&mut module, text.as_ptr().cast()).result().unwrap();
            sys::cuModuleGetFunction(&mut function, module, c"axpy".as_ptr()).result().unwrap();
            let mut pointers = arguments.pointers();
            let mut params: sys::CUDA_KERNEL_NODE_PARAMS = std::mem::zeroed();
            params.func = function;
            (params.gridDimX, params.gridDimY, params.gridDimZ) = (1, 1, 1);
            (params.blockDimX, params.blockDimY, params.blockDimZ) = (N, 1, 1);
            params.kernelParams = pointers.as_mut_ptr();
            let build = |params: &sys::CUDA_KERNEL_NODE_PARAMS| {
                let (mut graph, mut fill, mut kernel) = (null_mut(), null_mut(), null_mut());
                sys::cuGraphCreate(&mut graph, 0).result().unwrap();
                let memset = sys::CUDA_MEMSET_NODE_PARAMS {
                    dst: arguments.y,
                    pitch: 0,
                    value: 1f32.to_bits(),
                    elementSize: 4,
                    width: N as usize,
                    height: 1,
                };
                sys::cuGraphAddMemsetNode(&mut fill, graph, std::ptr::null(), 0, &memset, null_mut())
                    .result()
                    .unwrap();
                sys::cuGraphAddKernelNode_v2(&mut kernel, graph, &fill, 1, params).result().unwrap();
                (graph, kernel)
            };
            let (graph, kernel) = build(&params);
            let mut exec = null_mut();
            sys::cuGraphInstantiateWithFlags(&mut exec, graph, 0).result().unwrap();
            sys::cuGraphLaunch(exec, stream).result().unwrap();
            assert_eq!(s.value(), 3.0);

            // The driver copied the parameters: changing ours changes nothing.
            *pointers[0].cast::<f32>() = 50.0;
            sys::cuGraphLaunch(exec, stream).result().unwrap();
            assert_eq!(s.value(), 3.0);
            sys::cuGraphExecKernelNodeSetParams_v2(exec, kernel, &params).result().unwrap();
            sys::cuGraphLaunch(exec, stream).result().unwrap();
            assert_eq!(s.value(), 51.0);

            *pointers[0].cast::<f32>() = 7.0;
            let (other, _) = build(&params);
            let mut info: sys::CUgraphExecUpdateResultInfo = std::mem::zeroed();
            sys::cuGraphExecUpdate_v2(exec, other, &mut info).result().unwrap();
            sys::cuGraphLaunch(exec, stream).result().unwrap();
            assert_eq!(s.value(), 8.0);

            let mut extra = null_mut();
            sys::cuGraphAddEmptyNode(&mut extra, other, std::ptr::null(), 0).result().unwrap();
            let code = sys::cuGraphExecUpdate_v2(exec, other, &mut info);
            assert_eq!(code, Code::CUDA_ERROR_GRAPH_EXEC_UPDATE_FAILURE);
            assert_eq!(
                info.result,
                sys::CUgraphExecUpdateResult::CU_GRAPH_EXEC_UPDATE_ERROR_TOPOLOGY_CHANGED
            );
            let mut read: sys::CUDA_KERNEL_NODE_PARAMS = std::mem::zeroed();
            sys::cuGraphKernelNodeGetParams_v2(kernel, &mut read).result().unwrap();
            assert_eq!(**read.kernelParams.cast::<*const f32>(), 2.0);

            sys::cuGraphExecDestroy(exec).result().unwrap();
            assert_eq!(sys::cuGraphLaunch(exec, stream), Code::CUDA_ERROR_INVALID_VALUE);
            sys::cuGraphDestroy(graph).result().unwrap();
            sys::cuGraphDestroy(other).result().unwrap();
            assert_eq!(sys::cuGraphDestroy(graph), Code::CUDA_ERROR_INVALID_VALUE);
            sys::cuModuleUnload(module).result().unwrap();
        }
    });
}
