//! Allocations: of devices, of page-locked and of managed memory.

use super::device::driver;
use super::error::{Code, Result};
use super::handles::lock;
use super::objects::capture;
use super::objects::context::Context;
use super::objects::operation::Operation;
use super::objects::stream::Stream;
use super::sys::{DevicePointer, Handle, Ordinal, Out};
use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

/// What kind of memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Device,
    Managed,
    /// Page-locked memory, with the flags it was asked for with. Lies where the device's memory lies, so the device has
    /// the same address for it.
    Host(u32),
    /// Memory of the program that it declared as page-locked. The device has no address for it.
    Registered(u32),
}

/// An allocation.
#[derive(Clone, Copy, Debug)]
pub struct Allocation {
    pub address: u64,
    pub bytes: u64,
    pub kind: Kind,
    pub context: Handle,
    pub ordinal: Ordinal,
    pub number: u64,
}

static ALLOCATIONS: Mutex<BTreeMap<u64, Allocation>> = Mutex::new(BTreeMap::new());
static NUMBER: AtomicU64 = AtomicU64::new(1);

/// Flags of managed memory: attach to all, to the host, to a single stream.
const ATTACH_FLAGS: [u32; 3] = [1, 2, 4];
/// Portable, mapped, write-combined.
const HOST_FLAGS: u32 = 7;
/// Portable, mapped, I/O memory, read-only.
const REGISTER_FLAGS: u32 = 15;
/// What rows of pitched memory are multiples of.
const PITCH: usize = 512;

/// The allocation that an address lies in.
pub fn find(address: u64) -> Option<Allocation> {
    let all = lock(&ALLOCATIONS);
    let (_, &allocation) = all.range(..=address).next_back()?;
    (address - allocation.address < allocation.bytes).then_some(allocation)
}

fn enter(context: &Context, address: u64, bytes: u64, kind: Kind) {
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let allocation =
        Allocation { address, bytes, kind, context: context.handle, ordinal: context.ordinal, number };
    lock(&ALLOCATIONS).insert(address, allocation);
}

/// Allocates memory of the current context's device.
fn allocate(context: &Context, bytes: usize, kind: Kind) -> Result<u64> {
    if bytes == 0 {
        return Err(Code::INVALID_VALUE.because("an allocation of 0 bytes"));
    }
    let memory = context.device()?.machine.memory();
    let address = match kind {
        Kind::Device => memory.allocate(bytes as u64),
        _ => memory.allocate_host(bytes as u64),
    };
    let Some(address) = address else {
        let (used, all) = (memory.used(), memory.limit());
        let detail =
            format!("{bytes} bytes, where {used} of {all} are in use (CUDA_EMULATOR_MEMORY sets the limit)");
        return Err(Code::OUT_OF_MEMORY.because(detail));
    };
    enter(context, address, bytes as u64, kind);
    Ok(address)
}

/// Allocates and hands the address over.
fn allocate_into(place: Out<u64>, bytes: usize, kind: Kind) -> Result {
    let context = Context::current()?;
    capture::forbid_unsafe_call()?;
    if place.is_null() {
        return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
    }
    place.set(allocate(&context, bytes, kind)?)
}

/// Frees what begins at an address and is of the wanted kind.
fn free(address: u64, wanted: impl Fn(Kind) -> bool) -> Result {
    let allocation = lock(&ALLOCATIONS).get(&address).copied().filter(|a| wanted(a.kind));
    let Some(allocation) = allocation else {
        return Err(
            Code::INVALID_VALUE.because(format!("nothing that this call frees begins at {address:#x}"))
        );
    };
    lock(&ALLOCATIONS).remove(&address);
    discard(&allocation)
}

fn discard(allocation: &Allocation) -> Result {
    if !matches!(allocation.kind, Kind::Registered(_)) {
        driver()?.device(allocation.ordinal)?.machine.memory().free(allocation.address);
    }
    Ok(())
}

fn free_device(address: DevicePointer) -> Result {
    let context = Context::current_even_if_failed()?;
    capture::forbid_unsafe_call()?;
    if address != 0 {
        // Freed even if a kernel failed, so that what is left in the end are leaks; freeing waits for the device.
        free(address, |kind| matches!(kind, Kind::Device | Kind::Managed))?;
    }
    context.synchronize()
}

/// Frees everything that a context owns; what is left of it is told if it counts as leaked.
pub fn release(context: Handle, tell: bool) {
    let left: Vec<Allocation> = {
        let mut all = lock(&ALLOCATIONS);
        let left = all.values().filter(|a| a.context == context).copied().collect();
        all.retain(|_, a| a.context != context);
        left
    };
    let leaks: Vec<_> = left.iter().filter(|a| !matches!(a.kind, Kind::Registered(_))).collect();
    if tell && !leaks.is_empty() {
        let bytes: u64 = leaks.iter().map(|a| a.bytes).sum();
        eprintln!("cuda-emulator: leak: {} allocations, {bytes} bytes, never freed:", leaks.len());
        for leak in leaks.iter().take(20) {
            let kind = match leak.kind {
                Kind::Device => "device",
                Kind::Managed => "managed",
                Kind::Host(_) | Kind::Registered(_) => "page-locked",
            };
            eprintln!(
                "cuda-emulator: leak: {} bytes of {kind} memory at {:#x}, allocation {}",
                leak.bytes, leak.address, leak.number
            );
        }
        if leaks.len() > 20 {
            eprintln!("cuda-emulator: leak: and {} more", leaks.len() - 20);
        }
    }
    for allocation in &left {
        let _ = discard(allocation);
    }
}

fn register(address: u64, bytes: usize, flags: u32) -> Result {
    let context = Context::current()?;
    if flags & !REGISTER_FLAGS != 0 || address == 0 || bytes == 0 {
        return Err(Code::INVALID_VALUE.because(format!("{bytes} bytes at {address:#x}, flags {flags:#x}")));
    }
    let end = address.checked_add(bytes as u64).ok_or(Code::INVALID_VALUE)?;
    let overlaps =
        lock(&ALLOCATIONS).range(..end).next_back().is_some_and(|(_, a)| a.address + a.bytes > address);
    if overlaps {
        let detail = format!("{bytes} bytes at {address:#x} are page-locked already, or the device's");
        return Err(Code::HOST_MEMORY_ALREADY_REGISTERED.because(detail));
    }
    enter(&context, address, bytes as u64, Kind::Registered(flags));
    Ok(())
}

api! {
    fn cuMemGetInfo_v2(available: Out<usize>, total: Out<usize>) {
        let context = Context::current()?;
        let memory = context.device()?.machine.memory();
        available.set((memory.limit() - memory.used().min(memory.limit())) as usize)?;
        total.set(memory.limit() as usize)
    }

    fn cuMemAlloc_v2(pointer: Out<DevicePointer>, bytes: usize) {
        allocate_into(pointer, bytes, Kind::Device)
    }

    fn cuMemAllocPitch_v2(
        pointer: Out<DevicePointer>,
        pitch: Out<usize>,
        width: usize,
        height: usize,
        element: u32,
    ) {
        if ![4, 8, 16].contains(&element) {
            return Err(Code::INVALID_VALUE.because(format!("elements of {element} bytes")));
        }
        let row = width.checked_next_multiple_of(PITCH);
        let Some((row, bytes)) = row.and_then(|row| Some((row, row.checked_mul(height)?))) else {
            return Err(Code::INVALID_VALUE.because("the size does not fit"));
        };
        if pitch.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
        }
        allocate_into(pointer, bytes, Kind::Device)?;
        pitch.set(row)
    }

    /// Works, though devices say that they have no memory pools: programs need not ask.
    per_thread cuMemAllocAsync_ptsz
    fn cuMemAllocAsync(pointer: Out<DevicePointer>, bytes: usize, stream: Handle) {
        Stream::resolve(stream)?.forbid_capturing("allocations")?;
        let context = Context::current()?;
        if pointer.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
        }
        pointer.set(allocate(&context, bytes, Kind::Device)?)
    }

    fn cuMemAllocManaged(pointer: Out<DevicePointer>, bytes: usize, flags: u32) {
        if !ATTACH_FLAGS.contains(&flags) {
            return Err(Code::INVALID_VALUE.because(format!("flags {flags:#x}")));
        }
        allocate_into(pointer, bytes, Kind::Managed)
    }

    fn cuMemFree_v2(pointer: DevicePointer) {
        free_device(pointer)
    }

    per_thread cuMemFreeAsync_ptsz
    fn cuMemFreeAsync(pointer: DevicePointer, stream: Handle) {
        Stream::resolve(stream)?.forbid_capturing("freeing")?;
        Context::current()?;
        free(pointer, |kind| kind == Kind::Device)
    }

    fn cuMemAllocHost_v2(pointer: Out<u64>, bytes: usize) {
        allocate_into(pointer, bytes, Kind::Host(0))
    }

    fn cuMemHostAlloc(pointer: Out<u64>, bytes: usize, flags: u32) {
        if flags & !HOST_FLAGS != 0 {
            return Err(Code::INVALID_VALUE.because(format!("flags {flags:#x}")));
        }
        allocate_into(pointer, bytes, Kind::Host(flags))
    }

    fn cuMemFreeHost(pointer: u64) {
        let context = Context::current_even_if_failed()?;
        capture::forbid_unsafe_call()?;
        if pointer != 0 {
            free(pointer, |kind| matches!(kind, Kind::Host(_)))?;
        }
        context.synchronize()
    }

    fn cuMemHostRegister_v2(pointer: u64, bytes: usize, flags: u32) {
        register(pointer, bytes, flags)
    }

    fn cuMemHostUnregister(pointer: u64) {
        Context::current_even_if_failed()?;
        let mut all = lock(&ALLOCATIONS);
        match all.get(&pointer).map(|a| a.kind) {
            Some(Kind::Registered(_)) => {
                all.remove(&pointer);
                Ok(())
            }
            _ => Err(Code::HOST_MEMORY_NOT_REGISTERED.because(format!("{pointer:#x} was not registered"))),
        }
    }

    fn cuMemHostGetDevicePointer_v2(pointer: Out<DevicePointer>, host: u64, flags: u32) {
        Context::current()?;
        match find(host).map(|a| a.kind) {
            _ if flags != 0 => Err(Code::INVALID_VALUE.because("the flags must be 0")),
            Some(Kind::Host(_) | Kind::Managed) => pointer.set(host),
            Some(Kind::Registered(_)) => {
                Err(Code::NOT_SUPPORTED.because("the device has no address for registered memory; use cuMemHostAlloc"))
            }
            _ => Err(Code::INVALID_VALUE.because(format!("{host:#x} is not page-locked memory"))),
        }
    }

    fn cuMemHostGetFlags(flags: Out<u32>, host: u64) {
        Context::current()?;
        match find(host).map(|a| a.kind) {
            Some(Kind::Host(own) | Kind::Registered(own)) => flags.set(own),
            _ => Err(Code::INVALID_VALUE.because(format!("{host:#x} is not page-locked memory"))),
        }
    }

    fn cuMemGetAddressRange_v2(base: Out<DevicePointer>, bytes: Out<usize>, pointer: DevicePointer) {
        Context::current()?;
        let found = find(pointer).filter(|a| !matches!(a.kind, Kind::Registered(_)));
        let (start, length) = match found {
            Some(allocation) => (allocation.address, allocation.bytes),
            None => driver()?.device_of(pointer)
                .and_then(|d| d.machine.memory().allocation(pointer))
                .map(|a| (a.address, a.bytes))
                .ok_or_else(|| Code::NOT_FOUND.because(format!("{pointer:#x} is not memory of a device")))?,
        };
        base.set_if_wanted(start);
        bytes.set_if_wanted(length as usize);
        Ok(())
    }

    /// Managed memory lies where host and device both reach it: there is nothing to move.
    per_thread cuMemPrefetchAsync_ptsz
    fn cuMemPrefetchAsync(
        pointer: DevicePointer,
        bytes: usize,
        device: Ordinal,
        stream: Handle,
    ) {
        if device != -1 {
            driver()?.device(device)?;
        }
        managed_range(pointer, bytes)?;
        Stream::resolve(stream)?.submit(Operation::Empty)
    }

    /// The location is a structure of type and number, passed in one register.
    per_thread cuMemPrefetchAsync_v2_ptsz
    fn cuMemPrefetchAsync_v2(
        pointer: DevicePointer,
        bytes: usize,
        location: u64,
        flags: u32,
        stream: Handle,
    ) {
        let (kind, id) = (location as u32, (location >> 32) as i32);
        if flags != 0 || kind == 0 || kind > 4 {
            return Err(Code::INVALID_VALUE.because(format!("flags {flags:#x}, location of type {kind}")));
        }
        if kind == 1 {
            driver()?.device(id)?;
        }
        managed_range(pointer, bytes)?;
        Stream::resolve(stream)?.submit(Operation::Empty)
    }

    fn cuMemAdvise(pointer: DevicePointer, bytes: usize, advice: i32, device: Ordinal) {
        if device != -1 {
            driver()?.device(device)?;
        }
        advise(pointer, bytes, advice)
    }

    fn cuMemAdvise_v2(pointer: DevicePointer, bytes: usize, advice: i32, _location: u64) {
        advise(pointer, bytes, advice)
    }

    per_thread cuStreamAttachMemAsync_ptsz
    fn cuStreamAttachMemAsync(
        stream: Handle,
        pointer: DevicePointer,
        bytes: usize,
        flags: u32,
    ) {
        if !ATTACH_FLAGS.contains(&flags) {
            return Err(Code::INVALID_VALUE.because(format!("flags {flags:#x}")));
        }
        managed_range(pointer, bytes.max(1))?;
        Stream::resolve(stream)?.forbid_capturing("attaching memory")
    }
}

fn advise(pointer: DevicePointer, bytes: usize, advice: i32) -> Result {
    if !(1..=6).contains(&advice) {
        return Err(Code::INVALID_VALUE.because(format!("there is no advice {advice}")));
    }
    managed_range(pointer, bytes)
}

fn managed_range(pointer: DevicePointer, bytes: usize) -> Result {
    Context::current()?;
    let fits = find(pointer).is_some_and(|a| {
        a.kind == Kind::Managed && bytes > 0 && bytes as u64 <= a.bytes - (pointer - a.address)
    });
    match fits {
        true => Ok(()),
        false => {
            Err(Code::INVALID_VALUE.because(format!("{bytes} bytes at {pointer:#x} are not managed memory")))
        }
    }
}
