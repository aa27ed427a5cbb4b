//! NumPy's arrays in pickles, which hold them as calls with the bytes of the elements among the arguments.
//!
//! `_reconstruct(ndarray, (0,), b"b")` with the state (1, shape, dtype, whether Fortran's order, bytes) up to protocol 4,
//! `_frombuffer(bytes, dtype, shape, order)` since protocol 5. A dtype is a call of `dtype` with its short name.

use crate::pickle::{Global, Id, Object, Pickle};

/// An array of bytes, its last dimension the fastest.
pub(super) struct ByteArray<'a> {
    pub shape: Vec<usize>,
    pub bytes: &'a [u8],
}

/// The array of unsigned bytes that a value is; or what it is instead.
pub(super) fn byte_array(pickle: &Pickle, id: Id) -> Result<ByteArray<'_>, String> {
    let other = || pickle.describe(id);
    let Some((function, arguments)) = pickle.call(id) else { return Err(other()) };
    let (bytes, dtype, shape, fortran) = if is(function, "_reconstruct") {
        let Object::Made(made) = pickle.get(id) else { return Err(other()) };
        let state = made.state.and_then(|state| pickle.list(state)).unwrap_or_default();
        let &[_, shape, dtype, order, bytes] = state else {
            return Err("an array without its elements".to_owned());
        };
        (bytes, dtype, shape, !matches!(pickle.get(order), Object::Bool(false) | Object::Int(0)))
    } else if is(function, "_frombuffer") {
        let &[bytes, dtype, shape, order] = arguments else { return Err(other()) };
        (bytes, dtype, shape, pickle.text(order) != Some("C"))
    } else {
        return Err(other());
    };
    let sizes = pickle.list(shape).unwrap_or_default().iter().map(|&size| match pickle.get(size) {
        Object::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    });
    let shape = sizes.collect::<Option<Vec<_>>>().ok_or("an array of a shape that cannot be")?;
    let name = pickle.call(dtype).and_then(|(_, arguments)| text(pickle, *arguments.first()?));
    let bytes = match pickle.get(bytes) {
        Object::Bytes(bytes) => bytes.as_slice(),
        // Python 2 knew no difference.
        Object::Str(text) => text.as_bytes(),
        _ => return Err("an array without its elements".to_owned()),
    };
    match name {
        Some("u1" | "|u1" | "uint8") => {}
        name => return Err(format!("an array of dtype {:?}", name.unwrap_or("unknown"))),
    }
    let size = shape.iter().try_fold(1usize, |product, &size| product.checked_mul(size));
    if fortran && shape.len() > 1 || size != Some(bytes.len()) {
        let order = if fortran { " in Fortran's order" } else { "" };
        return Err(format!("an array of shape {shape:?}{order} and {} bytes", bytes.len()));
    }
    Ok(ByteArray { shape, bytes })
}

/// A text, also as the bytes that Python 2 wrote.
pub(super) fn text(pickle: &Pickle, id: Id) -> Option<&str> {
    match pickle.get(id) {
        Object::Str(text) => Some(text),
        Object::Bytes(bytes) => std::str::from_utf8(bytes).ok(),
        _ => None,
    }
}

/// Whether a function of NumPy's core has this name; the core has moved between versions.
fn is(function: &Global, name: &str) -> bool {
    function.name == name && function.module.split('.').next() == Some("numpy")
}
