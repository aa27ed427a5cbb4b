//! Handles: numbers that are looked up, so that a wrong or stale one is an error and never a wild access.

use super::sys::Handle;
use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, RwLock};

/// The objects of one kind. Handles count up and are never given twice, so a destroyed one stays invalid.
pub struct Registry<T> {
    /// In the high bits of its handles: one kind's handle is never valid for another, and no handle is an address.
    kind: usize,
    objects: RwLock<Option<HashMap<Handle, Arc<T>>>>,
}

/// What is common to all registries: the number of the next handle.
static NEXT: AtomicUsize = AtomicUsize::new(1);

impl<T> Registry<T> {
    pub const fn new(kind: u8) -> Self {
        Registry { kind: kind as usize, objects: RwLock::new(None) }
    }

    /// A fresh handle.
    pub fn reserve(&self) -> Handle {
        self.kind << 48 | NEXT.fetch_add(1, Ordering::Relaxed) << 4
    }

    /// Enters an object under a handle from [`Self::reserve`].
    pub fn enter(&self, handle: Handle, object: Arc<T>) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.get_or_insert_default().insert(handle, object);
    }

    /// Enters an object; its handle.
    pub fn insert(&self, object: T) -> Handle {
        let handle = self.reserve();
        self.enter(handle, Arc::new(object));
        handle
    }

    pub fn get(&self, handle: Handle) -> Option<Arc<T>> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        objects.as_ref()?.get(&handle).cloned()
    }

    pub fn remove(&self, handle: Handle) -> Option<Arc<T>> {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        objects.as_mut()?.remove(&handle)
    }

    /// All objects for which a condition holds, in the order of their creation.
    pub fn select(&self, condition: impl Fn(&T) -> bool) -> Vec<(Handle, Arc<T>)> {
        let objects = self.objects.read().unwrap_or_else(PoisonError::into_inner);
        let mut found: Vec<_> = objects
            .iter()
            .flatten()
            .filter(|(_, object)| condition(object))
            .map(|(&handle, object)| (handle, object.clone()))
            .collect();
        found.sort_by_key(|(handle, _)| *handle);
        found
    }

    /// Removes the objects for which a condition holds.
    pub fn remove_where(&self, condition: impl Fn(&T) -> bool) {
        let mut objects = self.objects.write().unwrap_or_else(PoisonError::into_inner);
        if let Some(objects) = objects.as_mut() {
            objects.retain(|_, object| !condition(object));
        }
    }
}

/// A lock whose holder panicked guards nothing that a later call could not find consistent: every update is one
/// assignment or insertion.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
