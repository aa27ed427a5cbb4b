//! Numbers beside the weights that NumPy made: scalars, and arrays that are a list.

use crate::pickle::{Id, Object, Pickle};
use half::f16;

/// Most dimensions of an array, all but one of extent one.
const MAX_RANK: usize = 8;

/// The numbers of a value as text, at most `most`: of a plain number, a scalar of NumPy, or an array of it; `None` for all
/// else.
pub(super) fn numbers(pickle: &Pickle, id: Id, most: usize) -> Option<Vec<String>> {
    match pickle.get(id) {
        Object::Bool(value) => return Some(vec![value.to_string()]),
        Object::Int(value) => return Some(vec![value.to_string()]),
        Object::Float(value) => return Some(vec![value.to_string()]),
        _ => {}
    }
    let (function, arguments) = pickle.call(id)?;
    if function.module.split('.').next() != Some("numpy") {
        return None;
    }
    let (dtype, bytes, shape) = match (function.name.as_str(), arguments) {
        ("scalar", &[dtype, bytes]) => (dtype, bytes, None),
        ("_frombuffer", &[bytes, dtype, shape, _]) => (dtype, bytes, Some(shape)),
        ("_reconstruct", _) => {
            let Object::Made(made) = pickle.get(id) else { return None };
            let &[_, shape, dtype, _, bytes] = pickle.list(made.state?)? else { return None };
            (dtype, bytes, Some(shape))
        }
        _ => return None,
    };
    let wide = |extent: &&Id| !matches!(pickle.get(**extent), Object::Int(1));
    let is_line = |shape: Id| {
        pickle
            .list(shape)
            .is_some_and(|shape| shape.len() <= MAX_RANK && shape.iter().filter(wide).count() <= 1)
    };
    if !shape.is_none_or(is_line) {
        return None;
    }
    let bytes = match pickle.get(bytes) {
        Object::Bytes(bytes) => bytes.as_slice(),
        // Python 2 knew no difference.
        Object::Str(text) => text.as_bytes(),
        _ => return None,
    };
    let (size, number) = element(pickle, dtype)?;
    let few = bytes.len().is_multiple_of(size) && (1..=most).contains(&(bytes.len() / size));
    if !few {
        return None;
    }
    bytes.chunks_exact(size).map(number).collect()
}

/// Size of an element in bytes, and what it is as text.
type Element = (usize, fn(&[u8]) -> Option<String>);

/// The elements of a dtype: a call with its short name, whose state tells the byte order.
fn element(pickle: &Pickle, dtype: Id) -> Option<Element> {
    let Object::Made(made) = pickle.get(dtype) else { return None };
    let (_, arguments) = pickle.call(dtype)?;
    let order = made.state.and_then(|state| pickle.text(*pickle.list(state)?.get(1)?));
    if order == Some(">") {
        return None;
    }
    let name = pickle.text(*arguments.first()?)?;
    Some(match name.trim_start_matches(['<', '|', '=']) {
        "f8" => (8, |bytes| Some(f64::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "f4" => (4, |bytes| Some(f32::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "f2" => (2, |bytes| Some(f16::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "i8" => (8, |bytes| Some(i64::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "i4" => (4, |bytes| Some(i32::from_le_bytes(bytes.try_into().ok()?).to_string())),
        "u1" => (1, |bytes| Some(bytes.first()?.to_string())),
        _ => return None,
    })
}
