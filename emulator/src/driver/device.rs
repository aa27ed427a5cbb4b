//! Devices: how many there are and what they say of themselves.

use super::config::Config;
use super::error::{Code, Result};
use super::limits::{MAX_BLOCK, MAX_GRID, MAX_THREADS, REGISTERS, SHARED_PER_BLOCK, limits};
use super::sys::{DeviceProperties, Ordinal, Out, Text};
use crate::exec;
use std::ffi::c_char;
use std::sync::{Arc, Mutex, OnceLock};

/// What `cuInit` sets up.
pub struct Driver {
    pub config: Config,
    pub devices: Vec<Device>,
}

/// One device.
pub struct Device {
    pub machine: Arc<exec::Device>,
}

static DRIVER: OnceLock<Driver> = OnceLock::new();

/// The version of the driver API that is implemented: 13.0. PTX up to ISA 9.5 is accepted all the same.
pub const VERSION: i32 = 13000;

/// The driver, if `cuInit` was called.
pub fn driver() -> Result<&'static Driver> {
    DRIVER.get().ok_or_else(|| Code::NOT_INITIALIZED.because("cuInit was not called"))
}

/// The same where that is no error.
pub fn driver_if_initialized() -> Option<&'static Driver> {
    DRIVER.get()
}

impl Driver {
    pub fn device(&self, ordinal: Ordinal) -> Result<&Device> {
        usize::try_from(ordinal)
            .ok()
            .and_then(|i| self.devices.get(i))
            .ok_or_else(|| Code::INVALID_DEVICE.because(format!("there is no device {ordinal}")))
    }

    /// The device in whose memory an address lies: memory of modules counts too.
    pub fn device_of(&self, address: u64) -> Option<&Device> {
        self.devices.iter().find(|d| d.machine.memory().contains(address, 1))
    }
}

/// The value of a `CUdevice_attribute`; `None` for one that does not exist.
fn attribute(id: i32, config: &Config, ordinal: Ordinal) -> Option<i32> {
    let limits = limits(config.compute);
    let value = match id {
        1 => MAX_THREADS,
        2..=4 => MAX_BLOCK[id as usize - 2],
        5..=7 => MAX_GRID[id as usize - 5],
        8 => SHARED_PER_BLOCK,
        9 => 64 << 10,
        10 => 32,
        11 => i32::MAX as u32,
        12 | 82 => REGISTERS,
        13 => limits.clock_khz,
        14 | 30 => 512, // texture and surface alignment
        15 => 1,        // copies overlap kernels
        16 => limits.multiprocessors,
        19 => 1, // host memory can be mapped
        31 => 1, // concurrent kernels
        33 => ordinal as u32 + 1,
        36 => limits.memory_clock_khz,
        37 => limits.bus_bits,
        38 => limits.l2,
        39 => limits.threads_per_multiprocessor,
        40 => 1,
        41 => 1,  // unified addressing
        51 => 32, // texture pitch
        75 => config.compute.0,
        76 => config.compute.1,
        78 => 1, // stream priorities
        79 | 80 => 1,
        81 => limits.shared_per_multiprocessor,
        83 => 1,              // managed memory
        85 => ordinal as u32, // its own board
        87 => 2,              // single to double precision
        89 => 1,              // the host may touch managed memory at any time
        90 => 1,              // preemption
        95 => 1,              // cooperative launches
        97 => limits.shared_opt_in,
        106 => limits.blocks_per_multiprocessor,
        111 => limits.shared_reserved,
        // Everything else is a feature that is absent, or a limit of textures and surfaces, which are.
        17..=162 => 0,
        _ => return None,
    };
    i32::try_from(value).ok()
}

fn uuid(ordinal: Ordinal) -> [u8; 16] {
    let mut uuid = *b"cuda-emulator \0\0";
    uuid[15] = ordinal as u8;
    uuid
}

fn bus_id(ordinal: Ordinal) -> String {
    format!("0000:{:02X}:00.0", ordinal + 1)
}

/// Writes a C string into a buffer of `length` bytes, cut to fit.
pub fn put_text(place: Out<u8>, length: i32, text: &str) -> Result {
    let room = usize::try_from(length).unwrap_or(0);
    if room == 0 {
        return Err(Code::INVALID_VALUE.because("the buffer has no room"));
    }
    place.fill(text.bytes().take(room - 1).chain([0]))
}

api! {
    /// Sets the devices up, as the environment says. More calls change nothing.
    fn cuInit(flags: u32) {
        if flags != 0 {
            return Err(Code::INVALID_VALUE.because("the flags must be 0"));
        }
        static SETTING_UP: Mutex<()> = Mutex::new(());
        let _turn = super::handles::lock(&SETTING_UP);
        if DRIVER.get().is_some() {
            return Ok(());
        }
        let config = Config::from_environment()?;
        if config.devices == 0 {
            return Err(Code::NO_DEVICE.because("CUDA_EMULATOR_DEVICES=0"));
        }
        let devices = (0..config.devices)
            .map(|_| match exec::Device::new(config.settings()) {
                Ok(machine) => Ok(Device { machine }),
                Err(error) => Err(Code::OUT_OF_MEMORY.because(format!("device memory: {error}"))),
            })
            .collect::<Result<_>>()?;
        DRIVER.get_or_init(|| Driver { config, devices });
        Ok(())
    }

    fn cuDriverGetVersion(version: Out<i32>) {
        version.set(VERSION)
    }

    fn cuDeviceGetCount(count: Out<i32>) {
        count.set(driver()?.devices.len() as i32)
    }

    fn cuDeviceGet(device: Out<Ordinal>, ordinal: i32) {
        driver()?.device(ordinal)?;
        device.set(ordinal)
    }

    fn cuDeviceGetName(name: Out<u8>, length: i32, device: Ordinal) {
        let driver = driver()?;
        driver.device(device)?;
        let (major, minor) = driver.config.compute;
        put_text(name, length, &format!("CUDA emulator sm_{major}{minor}"))
    }

    fn cuDeviceGetUuid(place: Out<[u8; 16]>, device: Ordinal) {
        driver()?.device(device)?;
        place.set(uuid(device))
    }

    fn cuDeviceGetUuid_v2(place: Out<[u8; 16]>, device: Ordinal) {
        driver()?.device(device)?;
        place.set(uuid(device))
    }

    fn cuDeviceGetPCIBusId(place: Out<u8>, length: i32, device: Ordinal) {
        driver()?.device(device)?;
        put_text(place, length, &bus_id(device))
    }

    fn cuDeviceGetByPCIBusId(device: Out<Ordinal>, id: Text) {
        let wanted = id.get()?;
        let domainless = |full: &str| full.split_once(':').map(|(_, rest)| rest.to_string());
        let found = (0..driver()?.devices.len() as i32).find(|&i| {
            let own = bus_id(i);
            wanted.eq_ignore_ascii_case(&own) || domainless(&own).is_some_and(|d| wanted.eq_ignore_ascii_case(&d))
        });
        match found {
            Some(ordinal) => device.set(ordinal),
            None => Err(Code::INVALID_DEVICE.because(format!("no device at {wanted}"))),
        }
    }

    fn cuDeviceTotalMem_v2(bytes: Out<usize>, device: Ordinal) {
        bytes.set(driver()?.device(device)?.machine.memory().limit() as usize)
    }

    fn cuDeviceGetAttribute(value: Out<i32>, id: i32, device: Ordinal) {
        let driver = driver()?;
        driver.device(device)?;
        let found = attribute(id, &driver.config, device);
        value.set(found.ok_or_else(|| Code::INVALID_VALUE.because(format!("no device attribute {id}")))?)
    }

    fn cuDeviceComputeCapability(major: Out<i32>, minor: Out<i32>, device: Ordinal) {
        let driver = driver()?;
        driver.device(device)?;
        major.set(driver.config.compute.0 as i32)?;
        minor.set(driver.config.compute.1 as i32)
    }

    fn cuDeviceGetProperties(place: Out<DeviceProperties>, device: Ordinal) {
        let driver = driver()?;
        driver.device(device)?;
        let value = |id| attribute(id, &driver.config, device).unwrap_or(0);
        place.set(DeviceProperties {
            max_threads_per_block: value(1),
            max_threads: [value(2), value(3), value(4)],
            max_grid: [value(5), value(6), value(7)],
            shared_per_block: value(8),
            constant_memory: value(9),
            warp: value(10),
            pitch: value(11),
            registers: value(12),
            clock: value(13),
            texture_align: value(14),
        })
    }

    /// Devices share the address space, but a kernel sees its own device's memory only.
    fn cuDeviceCanAccessPeer(can: Out<i32>, device: Ordinal, peer: Ordinal) {
        driver()?.device(device)?;
        driver()?.device(peer)?;
        can.set(0)
    }

    fn cuDeviceGetP2PAttribute(value: Out<i32>, id: i32, device: Ordinal, peer: Ordinal) {
        driver()?.device(device)?;
        driver()?.device(peer)?;
        if !(1..=5).contains(&id) || device == peer {
            return Err(Code::INVALID_VALUE.because(format!("peer attribute {id} of {device} and {peer}")));
        }
        value.set(0)
    }

    fn cuDeviceGetExecAffinitySupport(supported: Out<i32>, _kind: i32, device: Ordinal) {
        driver()?.device(device)?;
        supported.set(0)
    }

    fn cuGetErrorName(error: i32, name: Out<*const c_char>) {
        match Code(error).name() {
            Some(text) => name.set(text.as_ptr()),
            None => {
                name.set_if_wanted(std::ptr::null());
                Err(Code::INVALID_VALUE.into())
            }
        }
    }

    fn cuGetErrorString(error: i32, text: Out<*const c_char>) {
        match Code(error).text() {
            Some(found) => text.set(found.as_ptr()),
            None => {
                text.set_if_wanted(std::ptr::null());
                Err(Code::INVALID_VALUE.into())
            }
        }
    }
}
