//! NumPy's numbers in pickles, which hold them as calls with the bytes of the elements among the arguments.
//!
//! An array is `_reconstruct(ndarray, (0,), b"b")` with the state (1, shape, dtype, whether Fortran's order, bytes) up to
//! protocol 4, `_frombuffer(bytes, dtype, shape, order)` since protocol 5; a number is `scalar(dtype, bytes)`. A dtype is a
//! call of `dtype` with its short name, whose state tells the byte order.

use super::object::{Global, Id, Object, Pickle};
use half::f16;

/// Most dimensions of an array that is read as a list of numbers, all but one of extent one.
const MAX_RANK: usize = 8;
/// What an array without bytes is called.
const NO_ELEMENTS: &str = "an array without its elements";

/// An array of bytes, its last dimension the fastest.
pub(crate) struct ByteArray<'a> {
    pub(crate) shape: Vec<usize>,
    pub(crate) bytes: &'a [u8],
}

/// The array of unsigned bytes that a value is; or what it is instead.
pub(crate) fn byte_array(pickle: &Pickle, id: Id) -> Result<ByteArray<'_>, String> {
    let Parts { bytes, dtype, shape: Some(shape), fortran } = parts(pickle, id)? else {
        return Err(pickle.describe(id));
    };
    let sizes = pickle.list(shape).unwrap_or_default().iter().map(|&size| match pickle.get(size) {
        Object::Int(size) => usize::try_from(*size).ok(),
        _ => None,
    });
    let shape = sizes.collect::<Option<Vec<_>>>().ok_or("an array of a shape that cannot be")?;
    let bytes = elements(pickle, bytes).ok_or(NO_ELEMENTS)?;
    match short_name(pickle, dtype) {
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

/// The numbers of a value as text, at most `most`: of a plain number, a scalar of NumPy, or an array of it that is a list;
/// `None` for all else.
pub(crate) fn numbers(pickle: &Pickle, id: Id, most: usize) -> Option<Vec<String>> {
    match pickle.get(id) {
        Object::Bool(value) => return Some(vec![value.to_string()]),
        Object::Int(value) => return Some(vec![value.to_string()]),
        Object::Float(value) => return Some(vec![value.to_string()]),
        _ => {}
    }
    let Parts { bytes, dtype, shape, .. } = parts(pickle, id).ok()?;
    let wide = |extent: &&Id| !matches!(pickle.get(**extent), Object::Int(1));
    let is_line = |shape: Id| {
        pickle
            .list(shape)
            .is_some_and(|shape| shape.len() <= MAX_RANK && shape.iter().filter(wide).count() <= 1)
    };
    if !shape.is_none_or(is_line) {
        return None;
    }
    let bytes = elements(pickle, bytes)?;
    let (size, number) = element(pickle, dtype)?;
    let few = bytes.len().is_multiple_of(size) && (1..=most).contains(&(bytes.len() / size));
    if !few {
        return None;
    }
    bytes.chunks_exact(size).map(number).collect()
}

/// What an array or a number is made of; a number has no shape.
struct Parts {
    bytes: Id,
    dtype: Id,
    shape: Option<Id>,
    /// Whether the first dimension is the fastest.
    fortran: bool,
}

/// The parts of the array or number of NumPy that a value is; or what it is instead.
fn parts(pickle: &Pickle, id: Id) -> Result<Parts, String> {
    let other = || pickle.describe(id);
    let (function, arguments) = pickle.call(id).ok_or_else(other)?;
    match (numpy_name(function), arguments) {
        (Some("scalar"), &[dtype, bytes]) => Ok(Parts { bytes, dtype, shape: None, fortran: false }),
        (Some("_frombuffer"), &[bytes, dtype, shape, order]) => {
            Ok(Parts { bytes, dtype, shape: Some(shape), fortran: pickle.text(order) != Some("C") })
        }
        (Some("_reconstruct"), _) => {
            let Object::Made(made) = pickle.get(id) else { return Err(other()) };
            let state = made.state.and_then(|state| pickle.list(state)).unwrap_or_default();
            let &[_, shape, dtype, order, bytes] = state else { return Err(NO_ELEMENTS.to_owned()) };
            let fortran = !matches!(pickle.get(order), Object::Bool(false) | Object::Int(0));
            Ok(Parts { bytes, dtype, shape: Some(shape), fortran })
        }
        _ => Err(other()),
    }
}

/// The name of a function of NumPy's core, which has moved between versions.
fn numpy_name(function: &Global) -> Option<&str> {
    (function.module.split('.').next() == Some("numpy")).then_some(function.name.as_str())
}

/// The bytes of an array.
fn elements(pickle: &Pickle, id: Id) -> Option<&[u8]> {
    match pickle.get(id) {
        Object::Bytes(bytes) => Some(bytes),
        // Python 2 knew no difference.
        Object::Str(text) => Some(text.as_bytes()),
        _ => None,
    }
}

/// The short name of a dtype: a kind and a number of bytes.
fn short_name(pickle: &Pickle, dtype: Id) -> Option<&str> {
    let (_, arguments) = pickle.call(dtype)?;
    pickle.any_text(*arguments.first()?)
}

/// Size of an element in bytes, and what it is as text.
type Element = (usize, fn(&[u8]) -> Option<String>);

/// The elements of a dtype, unless they are big-endian.
fn element(pickle: &Pickle, dtype: Id) -> Option<Element> {
    let Object::Made(made) = pickle.get(dtype) else { return None };
    let order = made.state.and_then(|state| pickle.text(*pickle.list(state)?.get(1)?));
    if order == Some(">") {
        return None;
    }
    Some(match short_name(pickle, dtype)?.trim_start_matches(['<', '|', '=']) {
        "f8" => (8, |bytes| Some(f64::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "f4" => (4, |bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "f2" => (2, |bytes| Some(f16::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "i8" => (8, |bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "i4" => (4, |bytes| Some(i32::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "u1" => (1, |bytes| Some(bytes.first()?.to_string())),
        _ => return None,
    })
}
