//! Programs of cudarc 0.19, as anybody would write them.

use crate::child::{is_child, run, succeed};
use crate::kernels::{AXPY, OTHERS};
use cudarc::driver::sys::{self, CUdevice_attribute as Attribute, CUresult as Code};
use cudarc::driver::{
    CudaContext, CudaFunction, CudaStream, DriverError, LaunchConfig, PushKernelArg, result,
};
use cudarc::nvrtc::Ptx;
use std::sync::Arc;

fn start(ptx: &str, kernel: &str) -> (Arc<CudaStream>, CudaFunction) {
    let context = CudaContext::new(0).unwrap();
    let module = context.load_module(Ptx::from_src(ptx)).unwrap();
    (context.default_stream(), module.load_function(kernel).unwrap())
}

fn one_block(threads: u32, shared_mem_bytes: u32) -> LaunchConfig {
    LaunchConfig { grid_dim: (1, 1, 1), block_dim: (threads, 1, 1), shared_mem_bytes }
}

#[test]
fn computes() {
    let leaks = succeed("cudarc_programs::computes", &[], || {
        let (stream, axpy) = start(AXPY, "axpy");
        let n = 1000u32;
        let x: Vec<f32> = (0..n).map(|i| i as f32).collect();
        let x = stream.clone_htod(&x).unwrap();
        let mut y = stream.clone_htod(&vec![1f32; n as usize]).unwrap();
        // SAFETY: the arguments are those of the kernel; x and y have n elements.
        unsafe {
            stream
                .launch_builder(&axpy)
                .arg(&2f32)
                .arg(&x)
                .arg(&mut y)
                .arg(&n)
                .launch(LaunchConfig::for_num_elems(n))
        }
        .unwrap();
        let y = stream.clone_dtoh(&y).unwrap();
        assert!(y.iter().enumerate().all(|(i, &v)| v == 2.0 * i as f32 + 1.0), "{y:?}");
    });
    assert!(!leaks.contains("cuda-emulator"), "{leaks}");
}

#[test]
fn describes_itself() {
    succeed("cudarc_programs::describes_itself", &[("CUDA_EMULATOR_MEMORY", "256M")], || {
        let context = CudaContext::new(0).unwrap();
        assert_eq!(CudaContext::device_count().unwrap(), 1);
        assert_eq!(context.compute_capability().unwrap(), (8, 0));
        assert!(context.name().unwrap().contains("sm_80"));
        assert_eq!(context.total_mem().unwrap(), 256 << 20);
        let attribute = |a| context.attribute(a).unwrap();
        assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_WARP_SIZE), 32);
        assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT), 108);
        assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK), 48 << 10);
        assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MAX_SHARED_MEMORY_PER_BLOCK_OPTIN), 163 << 10);
        assert_eq!(attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_POOLS_SUPPORTED), 0);
        assert!(!context.has_async_alloc());
        let stream = context.default_stream();
        let (before, _) = context.mem_get_info().unwrap();
        let held = stream.alloc_zeros::<u8>(1 << 20).unwrap();
        assert_eq!(before - context.mem_get_info().unwrap().0, 1 << 20);
        drop(held);
        assert_eq!(context.mem_get_info().unwrap().0, before);
        let error = stream.alloc_zeros::<u8>(512 << 20).unwrap_err();
        assert_eq!(error, DriverError(Code::CUDA_ERROR_OUT_OF_MEMORY));
        assert_eq!(CudaContext::new(1).unwrap_err(), DriverError(Code::CUDA_ERROR_INVALID_DEVICE));
    });
}

#[test]
fn streams_and_events() {
    succeed("cudarc_programs::streams_and_events", &[], || {
        let (first, axpy) = start(AXPY, "axpy");
        let context = first.context().clone();
        let second = context.new_stream().unwrap();
        let flags = Some(sys::CUevent_flags::CU_EVENT_DEFAULT);
        let begun = context.new_event(flags).unwrap();
        let ended = context.new_event(flags).unwrap();
        let x = second.clone_htod(&[1f32; 64]).unwrap();
        let mut y = second.alloc_zeros::<f32>(64).unwrap();
        begun.record(&second).unwrap();
        for _ in 0..10 {
            // SAFETY: the arguments are those of the kernel; x and y have 64 elements.
            unsafe {
                second
                    .launch_builder(&axpy)
                    .arg(&1f32)
                    .arg(&x)
                    .arg(&mut y)
                    .arg(&64u32)
                    .launch(one_block(64, 0))
            }
            .unwrap();
        }
        ended.record(&second).unwrap();
        first.wait(&ended).unwrap();
        let copied = first.clone_dtod(&y).unwrap();
        first.synchronize().unwrap();
        assert!(ended.is_complete());
        assert!(begun.elapsed_ms(&ended).unwrap() > 0.0);
        assert_eq!(first.clone_dtoh(&copied).unwrap(), [10f32; 64]);
        let untimed = context.new_event(None).unwrap();
        untimed.record(&first).unwrap();
        assert_eq!(untimed.elapsed_ms(&ended).unwrap_err(), DriverError(Code::CUDA_ERROR_INVALID_HANDLE));
    });
}

/// The error that a kernel leaves, and the line that is told of it.
fn fault(test: &str, environment: &[(&str, &str)], kernel: &str, expected: Code, told: &str) {
    let text = succeed(test, environment, || {
        let (stream, function) = start(OTHERS, kernel);
        let context = stream.context().clone();
        let mut cell = stream.alloc_zeros::<u32>(4).unwrap();
        let takes_pointer = kernel == "beyond" || kernel == "crooked";
        let mut launch = stream.launch_builder(&function);
        if takes_pointer {
            launch.arg(&mut cell);
        }
        // SAFETY: the arguments are those of the kernel, whose faults the emulator stops.
        unsafe { launch.launch(one_block(1, 0)) }.unwrap();
        assert_eq!(stream.synchronize().unwrap_err(), DriverError(expected));
        assert_eq!(context.synchronize().unwrap_err(), DriverError(expected), "the error stays");
        // SAFETY: an allocation that is never used.
        let error = unsafe { result::malloc_sync(16) }.unwrap_err();
        assert_eq!(error, DriverError(expected));
        std::mem::forget(cell);
    });
    if !is_child() {
        assert!(text.contains(told) && text.contains(&format!("in {kernel} at PTX line")), "{text}");
        assert!(!text.contains("leak"), "{text}");
    }
}

#[test]
fn out_of_bounds() {
    let test = "cudarc_programs::out_of_bounds";
    fault(test, &[], "beyond", Code::CUDA_ERROR_ILLEGAL_ADDRESS, "OutOfBounds");
}

#[test]
fn misaligned() {
    let test = "cudarc_programs::misaligned";
    fault(test, &[], "crooked", Code::CUDA_ERROR_MISALIGNED_ADDRESS, "Misaligned");
}

#[test]
fn traps() {
    fault("cudarc_programs::traps", &[], "trapped", Code::CUDA_ERROR_LAUNCH_FAILED, "Trap");
}

#[test]
fn too_long() {
    let limit = [("CUDA_EMULATOR_LIMIT", "100000")];
    fault("cudarc_programs::too_long", &limit, "endless", Code::CUDA_ERROR_LAUNCH_TIMEOUT, "Timeout");
}

#[test]
fn collected_faults_let_the_program_go_on() {
    let environment = [("CUDA_EMULATOR_REPORT", "collect")];
    let text = succeed("cudarc_programs::collected_faults_let_the_program_go_on", &environment, || {
        let (stream, function) = start(OTHERS, "beyond");
        let mut cell = stream.alloc_zeros::<u32>(4).unwrap();
        // SAFETY: the argument is that of the kernel, whose faults the emulator stops.
        unsafe { stream.launch_builder(&function).arg(&mut cell).launch(one_block(3, 0)) }.unwrap();
        stream.synchronize().unwrap();
        assert_eq!(stream.clone_dtoh(&cell).unwrap(), [0; 4]);
    });
    if !is_child() {
        assert_eq!(text.matches("OutOfBounds").count(), 3, "{text}");
    }
}

#[test]
fn shared_memory_beyond_48_kib() {
    succeed("cudarc_programs::shared_memory_beyond_48_kib", &[], || {
        let (stream, function) = start(OTHERS, "last_word");
        let mut cell = stream.alloc_zeros::<u32>(1).unwrap();
        let launch = |bytes: u32, cell: &mut _| {
            let mut builder = stream.launch_builder(&function);
            builder.arg(cell);
            let last = bytes - 4;
            builder.arg(&last);
            // SAFETY: the arguments are those of the kernel; the last word lies within what is asked for.
            unsafe { builder.launch(one_block(1, bytes)) }.map(|_| ())
        };
        launch(48 << 10, &mut cell).unwrap();
        let refused = DriverError(Code::CUDA_ERROR_INVALID_VALUE);
        assert_eq!(launch(64 << 10, &mut cell).unwrap_err(), refused);
        let attribute = sys::CUfunction_attribute::CU_FUNC_ATTRIBUTE_MAX_DYNAMIC_SHARED_SIZE_BYTES;
        assert_eq!(function.set_attribute(attribute, 164 << 10).unwrap_err(), refused);
        function.set_attribute(attribute, 64 << 10).unwrap();
        launch(64 << 10, &mut cell).unwrap();
        assert_eq!(launch((64 << 10) + 4, &mut cell).unwrap_err(), refused);
        assert_eq!(stream.clone_dtoh(&cell).unwrap(), [77]);
    });
}

#[test]
fn variables_of_modules() {
    succeed("cudarc_programs::variables_of_modules", &[], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let module = context.load_module(Ptx::from_src(OTHERS)).unwrap();
        let constants = module.load_function("constants").unwrap();
        let mut out = stream.alloc_zeros::<u32>(4).unwrap();
        let run = |out: &mut _| {
            // SAFETY: the argument is that of the kernel, one word per thread.
            unsafe { stream.launch_builder(&constants).arg(out).launch(one_block(4, 0)) }.unwrap();
        };
        run(&mut out);
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [17, 27, 37, 47]);
        let mut table = module.get_global("table", &stream).unwrap();
        assert_eq!(table.len(), 16);
        let bytes: Vec<u8> = [1u32, 2, 3, 4].iter().flat_map(|v| v.to_le_bytes()).collect();
        stream.memcpy_htod(&bytes, &mut table).unwrap();
        run(&mut out);
        assert_eq!(stream.clone_dtoh(&out).unwrap(), [8, 9, 10, 11]);
        let missing = module.load_function("nothing").unwrap_err();
        assert_eq!(missing, DriverError(Code::CUDA_ERROR_NOT_FOUND));
    });
}

#[test]
fn bad_code_is_refused_with_its_line() {
    let text = succeed("cudarc_programs::bad_code_is_refused_with_its_line", &[], || {
        let context = CudaContext::new(0).unwrap();
        let unknown = AXPY.replace("fma.rn.f32", "frobnicate.f32");
        let error = context.load_module(Ptx::from_src(unknown)).unwrap_err();
        assert_eq!(error, DriverError(Code::CUDA_ERROR_INVALID_PTX));
        let newer = AXPY.replace("sm_80", "sm_90");
        let error = context.load_module(Ptx::from_src(newer)).unwrap_err();
        assert_eq!(error, DriverError(Code::CUDA_ERROR_NO_BINARY_FOR_GPU));
        let machine_code = Ptx::from_binary(b"\x7fELF\x02\x01\x01\0".to_vec());
        let error = context.load_module(machine_code).unwrap_err();
        assert_eq!(error, DriverError(Code::CUDA_ERROR_NO_BINARY_FOR_GPU));
    });
    if !is_child() {
        assert!(text.contains("frobnicate") && text.contains("axpy") && text.contains("line 28"), "{text}");
    }
}

#[test]
fn leaks_are_told() {
    let text = succeed("cudarc_programs::leaks_are_told", &[], || {
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        stream.alloc_zeros::<u8>(12345).unwrap().leak();
    });
    if !is_child() {
        assert!(text.contains("leak: 1 allocations, 12345 bytes"), "{text}");
    }
}

#[test]
fn several_devices() {
    succeed("cudarc_programs::several_devices", &[("CUDA_EMULATOR_DEVICES", "3")], || {
        assert_eq!(CudaContext::device_count().unwrap(), 3);
        let streams: Vec<_> = (0..3).map(|i| CudaContext::new(i).unwrap().default_stream()).collect();
        let one = streams[0].clone_htod(&[1u32, 2, 3]).unwrap();
        let other = streams[2].clone_dtod(&one).unwrap();
        assert_eq!(streams[2].clone_dtoh(&other).unwrap(), [1, 2, 3]);
        let uuids: Vec<_> = streams.iter().map(|s| s.context().uuid().unwrap().bytes).collect();
        assert!(uuids[0] != uuids[1] && uuids[1] != uuids[2]);
    });
}

#[test]
fn kernels_compiled_by_nvrtc() {
    const SOURCE: &str = r#"
        extern "C" __global__ void sum(const float *in, float *out) {
            __shared__ float parts[256];
            parts[threadIdx.x] = in[blockIdx.x * 256 + threadIdx.x];
            for (int width = 128; width > 0; width /= 2) {
                __syncthreads();
                if (threadIdx.x < width) parts[threadIdx.x] += parts[threadIdx.x + width];
            }
            if (threadIdx.x == 0) out[blockIdx.x] = parts[0];
        }"#;
    let output = run("cudarc_programs::kernels_compiled_by_nvrtc", &[], || {
        // SAFETY: looks for a shared library.
        if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
            println!("skipped: there is no libnvrtc");
            return;
        }
        let options = cudarc::nvrtc::CompileOptions { arch: Some("compute_80"), ..Default::default() };
        let ptx = cudarc::nvrtc::compile_ptx_with_opts(SOURCE, options).unwrap();
        let context = CudaContext::new(0).unwrap();
        let stream = context.default_stream();
        let sum = context.load_module(ptx).unwrap().load_function("sum").unwrap();
        let values: Vec<f32> = (0..1024).map(|i| (i % 7) as f32).collect();
        let input = stream.clone_htod(&values).unwrap();
        let mut out = stream.alloc_zeros::<f32>(4).unwrap();
        let config = LaunchConfig { grid_dim: (4, 1, 1), block_dim: (256, 1, 1), shared_mem_bytes: 0 };
        // SAFETY: the arguments are those of the kernel; 4 · 256 values, 4 sums.
        unsafe { stream.launch_builder(&sum).arg(&input).arg(&mut out).launch(config) }.unwrap();
        let expected: Vec<f32> = values.chunks(256).map(|c| c.iter().sum()).collect();
        assert_eq!(stream.clone_dtoh(&out).unwrap(), expected);
        println!("ran");
    });
    let Some(output) = output else { return };
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success(), "{text}\n{}", String::from_utf8_lossy(&output.stderr));
    println!("{}", if text.contains("skipped") { "skipped: there is no libnvrtc" } else { "ran" });
}
