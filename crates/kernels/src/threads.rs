//! Threads that wait for work between the regions of a step, and numbers that are flushed to zero.

use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;

use crate::error::KernelError;

/// What the threads work on now: a closure that takes `(part, thread)`.
type Work = &'static (dyn Fn(usize, usize) + Sync);

struct State {
    /// Counts regions; a thread works once for each.
    region: u64,
    work: Option<Work>,
    parts: usize,
    busy: usize,
    panicked: bool,
    ended: bool,
}

/// How often a thread looks for a change before it goes to sleep: some tens of microseconds, about what falling asleep and
/// being woken would take.
const LOOKS: usize = 1500;

struct Shared {
    state: Mutex<State>,
    /// Copies of the state's region and busy threads, to be looked at without the lock.
    region: AtomicU64,
    busy: AtomicUsize,
    begin: Condvar,
    done: Condvar,
    next_part: AtomicUsize,
}

/// `threads − 1` waiting threads beside the caller's own.
pub(crate) struct Threads {
    shared: Arc<Shared>,
    handles: Vec<JoinHandle<()>>,
}

impl Threads {
    pub(crate) fn new(threads: usize) -> Result<Self, KernelError> {
        let shared = Arc::new(Shared {
            state: Mutex::new(State { region: 0, work: None, parts: 0, busy: 0, panicked: false, ended: false }),
            region: AtomicU64::new(0),
            busy: AtomicUsize::new(0),
            begin: Condvar::new(),
            done: Condvar::new(),
            next_part: AtomicUsize::new(0),
        });
        let mut pool = Threads { shared: Arc::clone(&shared), handles: Vec::new() };
        for thread in 1..threads {
            let shared = Arc::clone(&shared);
            let handle = std::thread::Builder::new()
                .name(format!("kernels {thread}"))
                .spawn(move || serve(&shared, thread))
                .map_err(|error| KernelError::Spawn { problem: error.to_string() })?;
            pool.handles.push(handle);
        }
        Ok(pool)
    }

    pub(crate) fn count(&self) -> usize {
        self.handles.len() + 1
    }

    /// Calls `work(part, thread)` once for each part, on whichever thread is free, and waits for all.
    /// Panics where `work` panics.
    ///
    /// The caller holds a [`FlushToZero`], as the other threads do: or a result would depend on who computed it.
    pub(crate) fn run(&self, parts: usize, work: &(dyn Fn(usize, usize) + Sync)) {
        if self.handles.is_empty() || parts <= 1 {
            return (0..parts).for_each(|part| work(part, 0));
        }
        // SAFETY: only the lifetime is changed. No thread touches `work` after `busy` is back to 0, which `WaitForAll` awaits
        // before this function returns or unwinds.
        let work = unsafe { std::mem::transmute::<&(dyn Fn(usize, usize) + Sync), Work>(work) };
        let panicked = {
            let wait = WaitForAll(&self.shared);
            {
                let mut state = self.shared.state.lock().expect("no thread panics while it holds the lock");
                self.shared.next_part.store(0, Ordering::Relaxed);
                state.region += 1;
                state.work = Some(work);
                state.parts = parts;
                state.busy = self.handles.len();
                self.shared.busy.store(state.busy, Ordering::Relaxed);
                self.shared.region.store(state.region, Ordering::Relaxed);
                self.shared.begin.notify_all();
            }
            take_parts(&self.shared.next_part, parts, |part| work(part, 0));
            wait.finish()
        };
        assert!(!panicked, "a thread of the engine panicked");
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        self.shared.state.lock().expect("no thread panics while it holds the lock").ended = true;
        self.shared.begin.notify_all();
        for handle in self.handles.drain(..) {
            // A panic of a thread was already raised by `run`.
            let _ = handle.join();
        }
    }
}

struct WaitForAll<'a>(&'a Shared);

impl WaitForAll<'_> {
    fn finish(self) -> bool {
        self.wait()
    }

    fn wait(&self) -> bool {
        look_for(|| self.0.busy.load(Ordering::Relaxed) == 0);
        let mut state = self.0.state.lock().expect("no thread panics while it holds the lock");
        while state.busy > 0 {
            state = self.0.done.wait(state).expect("no thread panics while it holds the lock");
        }
        state.work = None;
        std::mem::take(&mut state.panicked)
    }
}

impl Drop for WaitForAll<'_> {
    fn drop(&mut self) {
        self.wait();
    }
}

/// Waits without sleeping, but not for long.
fn look_for(change: impl Fn() -> bool) {
    for _ in 0..LOOKS {
        if change() {
            return;
        }
        std::hint::spin_loop();
    }
}

fn take_parts(next: &AtomicUsize, parts: usize, mut work: impl FnMut(usize)) {
    loop {
        let part = next.fetch_add(1, Ordering::Relaxed);
        if part >= parts {
            return;
        }
        work(part);
    }
}

fn serve(shared: &Shared, thread: usize) {
    let _flushed = FlushToZero::new();
    let mut seen = 0;
    loop {
        look_for(|| shared.region.load(Ordering::Relaxed) != seen);
        let (work, parts) = {
            let mut state = shared.state.lock().expect("no thread panics while it holds the lock");
            loop {
                if state.ended {
                    return;
                }
                if let Some(work) = state.work.filter(|_| state.region != seen) {
                    seen = state.region;
                    break (work, state.parts);
                }
                state = shared.begin.wait(state).expect("no thread panics while it holds the lock");
            }
        };
        let result = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| {
            take_parts(&shared.next_part, parts, |part| work(part, thread));
        }));
        let mut state = shared.state.lock().expect("no thread panics while it holds the lock");
        state.panicked |= result.is_err();
        state.busy -= 1;
        shared.busy.store(state.busy, Ordering::Relaxed);
        if state.busy == 0 {
            shared.done.notify_all();
        }
    }
}

/// While it lives, this thread reads and writes denormal numbers as zero: gradients that fade out would
/// otherwise slow a step down by two orders of magnitude. The pool's threads hold one for life, the caller's
/// thread for the length of a call.
pub(crate) struct FlushToZero {
    before: control::Word,
}

impl FlushToZero {
    pub(crate) fn new() -> Self {
        let before = control::read();
        control::write(before | control::FLUSHED);
        FlushToZero { before }
    }
}

impl Drop for FlushToZero {
    fn drop(&mut self) {
        control::write(self.before);
    }
}

#[cfg(target_arch = "x86_64")]
mod control {
    //! The control register of the vector unit, MXCSR.

    pub(super) type Word = u32;

    /// Bit 15 flushes results to zero, bit 6 reads denormals as zero.
    pub(super) const FLUSHED: Word = 0x8040;

    pub(super) fn read() -> Word {
        let mut value: Word = 0;
        // SAFETY: stores the vector unit's control register to `value`.
        unsafe { std::arch::asm!("stmxcsr [{}]", in(reg) &raw mut value, options(nostack)) };
        value
    }

    pub(super) fn write(value: Word) {
        // SAFETY: loads a control register that differs from the default in how denormals are treated, nothing else; the code
        // that runs under it computes with floats only where flushing is wanted, and `FlushToZero` restores it.
        unsafe { std::arch::asm!("ldmxcsr [{}]", in(reg) &raw const value, options(nostack)) };
    }
}

#[cfg(target_arch = "aarch64")]
mod control {
    //! The control register of floating point, FPCR.

    pub(super) type Word = u64;

    /// FZ flushes results to zero and reads denormals as zero.
    pub(super) const FLUSHED: Word = 1 << 24;

    pub(super) fn read() -> Word {
        let value: Word;
        // SAFETY: reads floating point's control register.
        unsafe { std::arch::asm!("mrs {}, fpcr", out(reg) value, options(nostack)) };
        value
    }

    pub(super) fn write(value: Word) {
        // SAFETY: writes a control register that differs from the default in how denormals are treated, nothing else; the code
        // that runs under it computes with floats only where flushing is wanted, and `FlushToZero` restores it.
        unsafe { std::arch::asm!("msr fpcr, {}", in(reg) value, options(nostack)) };
    }
}

#[cfg(not(any(target_arch = "x86_64", target_arch = "aarch64")))]
mod control {
    //! Denormal numbers stay what they are on other processors.

    pub(super) type Word = u32;

    pub(super) const FLUSHED: Word = 0;

    pub(super) fn read() -> Word {
        0
    }

    pub(super) fn write(_: Word) {}
}

/// A pointer that threads share; who writes where is the business of the region that uses it.
pub(crate) struct SharedPointer<T>(*mut T);

impl<T> Clone for SharedPointer<T> {
    fn clone(&self) -> Self {
        *self
    }
}

impl<T> Copy for SharedPointer<T> {}

// SAFETY: a region's parts write disjoint ranges (by image, part or thread) and read what no part of that region writes.
unsafe impl<T> Send for SharedPointer<T> {}
// SAFETY: as above.
unsafe impl<T> Sync for SharedPointer<T> {}

impl<T> SharedPointer<T> {
    pub(crate) fn new(slice: &mut [T]) -> Self {
        SharedPointer(slice.as_mut_ptr())
    }

    /// The same from this place on.
    ///
    /// # Safety
    /// `offset` within the slice (or one past its end).
    pub(crate) unsafe fn offset(self, offset: usize) -> Self {
        // SAFETY: the caller's promise.
        SharedPointer(unsafe { self.at(offset) })
    }

    /// # Safety
    /// `offset` within the slice (or one past its end).
    #[inline(always)]
    pub(crate) unsafe fn at(self, offset: usize) -> *mut T {
        // SAFETY: the caller's promise.
        unsafe { self.0.add(offset) }
    }
}
