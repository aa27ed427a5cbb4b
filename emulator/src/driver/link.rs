//! Linking: several PTX texts as one module.

use super::device::driver;
use super::error::{Code, Result};
use super::handles::{Registry, lock};
use super::host;
use super::image::{self, REGISTERS, SEPARATOR};
use super::load::{LoadOptions, file, parse};
use super::objects::context::Context;
use super::sys::{Handle, In, Out, Text};
use std::sync::Mutex;

/// A link under way.
pub struct Link {
    load_options: LoadOptions,
    texts: Mutex<Vec<String>>,
    /// What `cuLinkComplete` gave a pointer to.
    linked: Mutex<Option<Vec<u8>>>,
}

pub static LINKS: Registry<Link> = Registry::new(11);

/// `CUjitInputType`.
const CUBIN: i32 = 0;
const PTX: i32 = 1;
const FAT_BINARY: i32 = 2;
const LIBRARY: i32 = 4;
/// The device runtime, of which the emulator has its own.
const DEVICE_RUNTIME: &str = "cudadevrt";
const DEVICE_RUNTIME_PTX: &str = include_str!("device_runtime.ptx");

impl Link {
    fn by_handle(handle: Handle) -> Result<std::sync::Arc<Link>> {
        driver()?;
        LINKS.get(handle).ok_or_else(|| Code::INVALID_HANDLE.because(format!("{handle:#x} is not a link")))
    }

    /// Adds texts, after a trial whether they can be read.
    fn add(&self, kind: i32, name: &str, texts: impl FnOnce() -> Result<Vec<String>>) -> Result {
        let added =
            match kind {
                LIBRARY if name.contains(DEVICE_RUNTIME) => Ok(vec![DEVICE_RUNTIME_PTX.to_string()]),
                PTX | FAT_BINARY => texts(),
                CUBIN | 3..=LIBRARY => Err(Code::NO_BINARY_FOR_GPU
                    .because("machine code cannot be linked; the emulator runs PTX only")),
                _ => Err(Code::INVALID_VALUE.because(format!("there is no input of kind {kind}"))),
            };
        let checked = added.and_then(|texts| {
            for text in &texts {
                parse(std::slice::from_ref(text), None)?;
            }
            Ok(texts)
        });
        self.load_options.finish(checked.as_ref().err())?;
        let mut all = lock(&self.texts);
        for text in checked? {
            if text != DEVICE_RUNTIME_PTX || !all.contains(&text) {
                all.push(text);
            }
        }
        Ok(())
    }
}

api! {
    fn cuLinkCreate_v2(count: u32, options: In<i32>, values: Out<usize>, link: Out<Handle>) {
        Context::current()?;
        let load_options = LoadOptions::from_options(count, options, values)?;
        if link.is_null() {
            return Err(Code::INVALID_VALUE.because("a pointer for a result is null"));
        }
        link.set(LINKS.insert(Link { load_options, texts: Mutex::default(), linked: Mutex::default() }))
    }

    fn cuLinkAddData_v2(
        link: Handle,
        kind: i32,
        data: In<u8>,
        bytes: usize,
        name: Text,
        _count: u32,
        _options: In<i32>,
        _values: In<usize>,
    ) {
        Link::by_handle(link)?.add(kind, &name.get_or_empty(), || {
            if bytes > 1 << 30 {
                return Err(Code::INVALID_VALUE.because(format!("{bytes} bytes of code")));
            }
            let mut code = vec![0; bytes];
            host::read(data.address(), &mut code)?;
            image::of(&code)
        })
    }

    fn cuLinkAddFile_v2(
        link: Handle,
        kind: i32,
        name: Text,
        _count: u32,
        _options: In<i32>,
        _values: In<usize>,
    ) {
        Link::by_handle(link)?.add(kind, &name.get_or_empty(), || file(name))
    }

    /// The result is no machine code but PTX, which `cuModuleLoadData` and `cuLibraryLoadData` take. It lives until
    /// `cuLinkDestroy`.
    fn cuLinkComplete(link: Handle, code: Out<*const u8>, bytes: Out<usize>) {
        let link = Link::by_handle(link)?;
        let texts = lock(&link.texts).clone();
        let merged = parse(&texts, link.load_options.max_registers);
        link.load_options.finish(merged.as_ref().err())?;
        merged?;
        let mut linked = lock(&link.linked);
        let image = linked.get_or_insert_with(|| {
            let limit = link.load_options.max_registers.map(|n| format!("{REGISTERS}{n}\n"));
            let mut image = format!("{}{}", limit.unwrap_or_default(), texts.join(SEPARATOR)).into_bytes();
            image.push(0);
            image
        });
        code.set(image.as_ptr())?;
        bytes.set_if_wanted(image.len());
        Ok(())
    }

    fn cuLinkDestroy(link: Handle) {
        Link::by_handle(link)?;
        LINKS.remove(link);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_device_runtime_can_be_read() {
        let tree = crate::ptx::parse(DEVICE_RUNTIME_PTX).unwrap();
        assert_eq!(tree.functions.len(), 2);
    }
}
