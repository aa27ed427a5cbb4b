//! A CUDA device that is open: its streams, its kernels, and the first thing that went wrong.
//!
//! A [`Context`] is one stream of a device; [`Context::queue`] makes another, and [`Context::after`] lets one wait for another.
//!
//! Operations of a backend return nothing, because they only begin there. So the first error stays here; whatever
//! comes after it does nothing, and [`Context::synchronize`] reports it.

use super::fill::Fill;
use super::kernels::{ARCH, MODULES, NVCC};
use crate::error::{Error, Result};
use cudarc::driver::sys::{self, CUdevice_attribute_enum as Attribute};
use cudarc::driver::{CudaContext, CudaFunction, CudaModule, CudaStream, DriverError, result};
use cudarc::nvrtc::Ptx;
use std::collections::HashMap;
use std::fmt::Display;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What a device is.
#[derive(Clone, Debug, PartialEq)]
pub struct Facts {
    /// Its number.
    pub ordinal: usize,
    /// Its name.
    pub name: String,
    /// Compute capability, such as (8, 0).
    pub compute: (i32, i32),
    /// Bytes of device memory.
    pub memory: usize,
    /// Bytes that nothing uses.
    pub free: usize,
    /// Multiprocessors.
    pub multiprocessors: usize,
    /// CUDA version of the driver, such as 13000.
    pub driver: i32,
    /// Peak bandwidth of the memory, bytes per second, where the driver tells its clock and width.
    pub bandwidth: Option<f64>,
}

impl Facts {
    /// Asks device `ordinal`, whether or not it can run the kernels.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no driver, no such device, or the driver does not tell.
    pub fn of(ordinal: usize) -> Result<Facts> {
        let context = connect(ordinal)?;
        let ask = || -> std::result::Result<Facts, DriverError> {
            let (free, memory) = context.mem_get_info()?;
            let mut driver = 0;
            // SAFETY: the address of a number that lives through the call.
            unsafe { sys::cuDriverGetVersion(&mut driver) }.result()?;
            let count = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MULTIPROCESSOR_COUNT)?;
            Ok(Facts {
                ordinal,
                name: context.name()?,
                compute: context.compute_capability()?,
                memory,
                free,
                multiprocessors: usize::try_from(count).unwrap_or(1).max(1),
                driver,
                bandwidth: bandwidth(&context),
            })
        };
        ask().map_err(|error| failed(format!("cuda:{ordinal}"), error))
    }

    /// Why the device cannot run kernels that `nvcc` (such as `13.0.88`) compiled for `arch` (such as `compute_80`); `None`
    /// if it can. A driver refuses PTX that is newer than itself or made for a later device.
    pub fn unfit(&self, nvcc: &str, arch: &str) -> Option<String> {
        let digits: String = arch.chars().filter(char::is_ascii_digit).collect();
        let (major, minor) = self.compute;
        if digits.parse().is_ok_and(|least: i32| 10 * major + minor < least) {
            return Some(format!("compute capability {major}.{minor}, expected that of {arch} or more"));
        }
        let mut version = nvcc.split('.').map_while(|part| part.parse::<i32>().ok());
        let (major, minor) = (version.next()?, version.next().unwrap_or(0));
        (self.driver < 1000 * major + 10 * minor).then(|| {
            let (has, part) = (self.driver / 1000, self.driver % 1000 / 10);
            format!("a driver for CUDA {has}.{part}, expected {major}.{minor} or newer")
        })
    }
}

/// One stream of an open device.
pub struct Context {
    device: Arc<Device>,
    stream: Arc<CudaStream>,
    number: usize,
    /// How full launches make the device, while somebody wants to know.
    filling: Mutex<Option<Fill>>,
}

/// What the streams of an open device share.
struct Device {
    context: Arc<CudaContext>,
    modules: Mutex<HashMap<&'static str, Arc<CudaModule>>>,
    functions: Mutex<HashMap<String, CudaFunction>>,
    failure: Mutex<Option<String>>,
    /// Streams made so far.
    streams: AtomicUsize,
    multiprocessors: usize,
    async_memory: bool,
}

/// Whether there is a driver, and devices that it drives.
///
/// # Errors
/// [`Error::Device`] with what is missing.
pub fn count() -> Result<usize> {
    // SAFETY: opening the driver's library runs its initialisers, as every CUDA program does.
    if !unsafe { sys::is_culib_present() } {
        return Err(Error::Device("no CUDA driver: libcuda.so.1 is not found".into()));
    }
    let count = CudaContext::device_count().map_err(|error| failed("counting the devices", error))?;
    Ok(usize::try_from(count).unwrap_or(0))
}

/// The driver's context of device `ordinal`.
fn connect(ordinal: usize) -> Result<Arc<CudaContext>> {
    let count = count().map_err(|error| Error::Device(format!("cuda:{ordinal}: {error}")))?;
    if ordinal >= count {
        return Err(Error::Device(format!("cuda:{ordinal}: expected one of {count} devices")));
    }
    CudaContext::new(ordinal).map_err(|error| failed(format!("cuda:{ordinal}"), error))
}

/// Two transfers per clock, in kHz, of so many bits.
fn bandwidth(context: &CudaContext) -> Option<f64> {
    let clock = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_MEMORY_CLOCK_RATE).ok()?;
    let bits = context.attribute(Attribute::CU_DEVICE_ATTRIBUTE_GLOBAL_MEMORY_BUS_WIDTH).ok()?;
    (clock > 0 && bits > 0).then(|| 2.0 * 1e3 * f64::from(clock) * f64::from(bits) / 8.0)
}

impl Context {
    /// Opens device `ordinal`.
    ///
    /// # Errors
    /// [`Error::Device`] if there is no driver, no such device, or one that cannot run the kernels.
    pub fn open(ordinal: usize) -> Result<Arc<Context>> {
        let facts = Facts::of(ordinal)?;
        if let Some(why) = facts.unfit(NVCC, ARCH) {
            return Err(Error::Device(format!("cuda:{ordinal}, {}: {why}", facts.name)));
        }
        let context = connect(ordinal)?;
        let opening = |error| failed(format!("cuda:{ordinal}"), error);
        // SAFETY: what one stream reads of another's is ordered by `after`, so that no event of the library need do it.
        unsafe { context.disable_event_tracking() };
        let stream = context.new_stream().map_err(opening)?;
        let device = Device {
            async_memory: context.has_async_alloc(),
            context,
            modules: Mutex::default(),
            functions: Mutex::default(),
            failure: Mutex::default(),
            streams: AtomicUsize::new(1),
            multiprocessors: facts.multiprocessors,
        };
        Ok(Arc::new(Context { device: Arc::new(device), stream, number: 0, filling: Mutex::default() }))
    }

    /// Another stream of the same device, if it can be had: what is begun on it runs beside what is begun here.
    pub fn queue(&self) -> Option<Arc<Context>> {
        let device = self.device.clone();
        let stream = self.attempt("making a stream", || device.context.new_stream())?;
        let number = device.streams.fetch_add(1, Ordering::Relaxed);
        Some(Arc::new(Context { device, stream, number, filling: Mutex::default() }))
    }

    /// Lets what is begun here from now on wait for all that was begun on `other`, a stream of the same device.
    pub fn after(&self, other: &Context) {
        self.attempt("waiting for another stream", || self.stream.join(&other.stream));
    }

    /// Which of the device's streams it is; the first is 0.
    pub(super) fn number(&self) -> usize {
        self.number
    }

    /// What the device is.
    ///
    /// # Errors
    /// [`Error::Device`] if the driver does not tell.
    pub fn facts(&self) -> Result<Facts> {
        Facts::of(self.device.context.ordinal())
    }

    /// Multiprocessors of the device.
    pub fn multiprocessors(&self) -> usize {
        self.device.multiprocessors
    }

    /// Whether memory comes and goes in the order of the stream.
    pub(super) fn async_memory(&self) -> bool {
        self.device.async_memory
    }

    /// The stream itself.
    pub(super) fn stream(&self) -> &Arc<CudaStream> {
        &self.stream
    }

    /// Does `work` unless something has failed before; keeps what goes wrong, as that of `what`.
    pub(super) fn attempt<T>(
        &self,
        what: impl Display,
        work: impl FnOnce() -> std::result::Result<T, DriverError>,
    ) -> Option<T> {
        if lock(&self.device.failure).is_some() { None } else { self.always(what, work) }
    }

    /// Does `work` even if something has failed before: what has to be undone whatever happened.
    pub(super) fn always<T>(
        &self,
        what: impl Display,
        work: impl FnOnce() -> std::result::Result<T, DriverError>,
    ) -> Option<T> {
        match self.device.context.bind_to_thread().and_then(|()| work()) {
            Ok(value) => Some(value),
            Err(error) => {
                self.fail(format!("{what}: {}", words(error)));
                None
            }
        }
    }

    /// Keeps an error, unless there is one already.
    pub(super) fn fail(&self, what: String) {
        lock(&self.device.failure).get_or_insert(what);
    }

    /// The first error, if there is one.
    ///
    /// # Errors
    /// That one.
    pub(super) fn check(&self) -> Result<()> {
        match &*lock(&self.device.failure) {
            Some(what) => Err(Error::Device(format!("cuda:{}: {what}", self.device.context.ordinal()))),
            None => Ok(()),
        }
    }

    /// Does `work`, and says how full its launches make the device.
    pub fn filling(&self, work: impl FnOnce()) -> Fill {
        *lock(&self.filling) = Some(Fill::default());
        work();
        lock(&self.filling).take().unwrap_or_default()
    }

    /// Takes a launch of `blocks` into account, of which a multiprocessor holds as many as `resident` says.
    pub(super) fn launched(
        &self,
        blocks: usize,
        resident: impl FnOnce() -> std::result::Result<u32, DriverError>,
    ) {
        if let Some(fill) = &mut *lock(&self.filling)
            && let Some(resident) = self.attempt("asking how many blocks fit", resident)
        {
            fill.add(blocks, resident as usize * self.multiprocessors());
        }
    }

    /// Waits for everything that was begun on this stream.
    ///
    /// # Errors
    /// [`Error::Device`] naming the first operation that failed.
    pub fn synchronize(&self) -> Result<()> {
        self.attempt("running kernels", || self.stream.synchronize());
        self.check()
    }

    /// Seconds that `work` takes on the device, after everything that was begun before.
    ///
    /// # Errors
    /// [`Error::Device`] naming the first operation that failed.
    pub fn timed(&self, work: impl FnOnce()) -> Result<f64> {
        let record = || self.stream.record_event(Some(sys::CUevent_flags::CU_EVENT_DEFAULT));
        let start = self.attempt("timing", record);
        work();
        let end = self.attempt("timing", record);
        let elapsed = start.zip(end).and_then(|(start, end)| {
            self.attempt("timing", || start.elapsed_ms(&end)).map(|ms| f64::from(ms) / 1e3)
        });
        self.check().map(|()| elapsed.unwrap_or_default())
    }

    /// Bytes that nothing uses.
    pub(super) fn free_memory(&self) -> Option<usize> {
        self.attempt("asking for free memory", result::mem_get_info).map(|(free, _)| free)
    }

    /// Kernel `name` of file `module`, loaded when it is first asked for.
    pub(super) fn kernel(&self, module: &'static str, name: &str) -> Option<CudaFunction> {
        if let Some(function) = lock(&self.device.functions).get(name) {
            return Some(function.clone());
        }
        let loaded = self.module(module)?;
        let function = self.attempt(format_args!("kernel {name}"), || loaded.load_function(name))?;
        lock(&self.device.functions).insert(name.to_owned(), function.clone());
        Some(function)
    }

    fn module(&self, name: &'static str) -> Option<Arc<CudaModule>> {
        let mut modules = lock(&self.device.modules);
        if let Some(module) = modules.get(name) {
            return Some(module.clone());
        }
        let Some((_, ptx)) = MODULES.iter().find(|(stem, _)| *stem == name) else {
            self.fail(format!("kernels/{name}.cu: not built in"));
            return None;
        };
        let load = || self.device.context.load_module(Ptx::from_src(*ptx));
        let module = self.attempt(format_args!("loading kernels/{name}.cu"), load)?;
        modules.insert(name, module.clone());
        Some(module)
    }
}

/// What is behind a lock: no value in this file is left half-changed by a panic.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn failed(what: impl Display, error: DriverError) -> Error {
    Error::Device(format!("{what}: {}", words(error)))
}

/// The driver's own words for an error.
fn words(error: DriverError) -> String {
    let text = |text: std::result::Result<&std::ffi::CStr, DriverError>| {
        text.map_or_else(|_| format!("error {}", error.0 as u32), |text| text.to_string_lossy().into_owned())
    };
    format!("{} ({})", text(error.error_name()), text(error.error_string()))
}
