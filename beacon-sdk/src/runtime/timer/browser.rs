//! Timers over the one `setTimeout` and the `performance` clock of a page or a worker, with the
//! names and meanings of tokio's.
//!
//! All timers of a thread share one timeout, set for the earliest of them, because most are
//! dropped before they fire. A browser rounds timeouts up to 4 ms when they follow each other, and
//! in a hidden page, though not in its workers, to a second.

use core::cell::RefCell;
use core::fmt;
use core::future::{Future, poll_fn};
use core::ops::{Add, AddAssign, Sub};
use core::pin::{Pin, pin};
use core::task::{Context, Poll, Waker};
use core::time::Duration;
use js_sys::{Function, Reflect};
use std::collections::BTreeMap;
use wasm_bindgen::JsCast as _;
use wasm_bindgen::JsValue;
use wasm_bindgen::closure::Closure;

/// The longest timeout that is asked for: browsers take 31 bits of milliseconds. A timer that is
/// further away takes several.
const TIMEOUT_MAX: Duration = Duration::from_secs(3600);

/// A moment on the clock of this page or worker, which never goes backwards.
#[derive(Copy, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Instant(Duration);

impl Instant {
    /// This moment. Browsers blur it by up to 0.1 ms.
    #[must_use]
    pub fn now() -> Self {
        Self(HOST.with(Host::elapsed))
    }

    /// Time since this moment, zero when it is yet to come.
    #[must_use]
    pub fn elapsed(&self) -> Duration {
        Self::now() - *self
    }

    /// Time from `earlier` to this moment, zero when it is the later one.
    #[must_use]
    pub fn duration_since(&self, earlier: Self) -> Duration {
        *self - earlier
    }
}

impl Add<Duration> for Instant {
    type Output = Self;
    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl AddAssign<Duration> for Instant {
    fn add_assign(&mut self, duration: Duration) {
        *self = *self + duration;
    }
}

impl Sub for Instant {
    type Output = Duration;
    fn sub(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// Wall time since 1970, and the same moment on this clock.
pub(in crate::runtime) fn wall() -> (Duration, Instant) {
    let now = Instant::now();
    (HOST.with(Host::origin) + now.0, now)
}

/// What a page, a worker and Node.js have in common.
struct Host {
    performance: JsValue,
    now: Function,
    set_timeout: Function,
    clear_timeout: Function,
}

impl Host {
    fn find() -> Self {
        let global = js_sys::global();
        // Every host has these; where one is missing, its call throws, which is noticed below.
        let get = |of: &JsValue, name: &str| Reflect::get(of, &name.into()).unwrap_or_default();
        let performance = get(&global, "performance");
        Self {
            now: get(&performance, "now").unchecked_into(),
            performance,
            set_timeout: get(&global, "setTimeout").unchecked_into(),
            clear_timeout: get(&global, "clearTimeout").unchecked_into(),
        }
    }

    fn elapsed(&self) -> Duration {
        let ms = self.now.call0(&self.performance).ok().and_then(|ms| ms.as_f64());
        Duration::try_from_secs_f64(ms.unwrap_or_default() / 1000.0).unwrap_or_default()
    }

    fn origin(&self) -> Duration {
        let ms = Reflect::get(&self.performance, &"timeOrigin".into()).ok();
        let ms = ms.and_then(|ms| ms.as_f64()).unwrap_or_default();
        Duration::try_from_secs_f64(ms / 1000.0).unwrap_or_default()
    }
}

thread_local! {
    static HOST: Host = Host::find();
    static TIMERS: RefCell<Timers> = RefCell::new(Timers::new());
}

/// The timers of this thread that are waited for.
struct Timers {
    /// By deadline; the number tells those of one deadline apart. As many as there are pending
    /// futures.
    wakers: BTreeMap<(Instant, u64), Waker>,
    last: u64,
    /// The timeout that is set: when it fires, and its handle.
    armed: Option<(Instant, JsValue)>,
    fire: Closure<dyn Fn()>,
}

impl Timers {
    fn new() -> Self {
        let fire = Closure::new(|| {
            let due = TIMERS.with_borrow_mut(Self::take_due);
            // Outside of the borrow: an executor may poll right inside of `wake`.
            due.into_values().for_each(Waker::wake);
        });
        Self { wakers: BTreeMap::new(), last: 0, armed: None, fire }
    }

    fn take_due(&mut self) -> BTreeMap<(Instant, u64), Waker> {
        self.armed = None;
        let later = self.wakers.split_off(&(Instant::now(), u64::MAX));
        let due = core::mem::replace(&mut self.wakers, later);
        self.arm();
        due
    }

    /// Sets the timeout for the earliest timer, unless one is set that is no later.
    fn arm(&mut self) {
        let Some(((first, _), _)) = self.wakers.first_key_value() else { return };
        if self.armed.as_ref().is_some_and(|(at, _)| at <= first) {
            return;
        }
        let wait = (*first - Instant::now()).min(TIMEOUT_MAX);
        // Rounded up: one that fires early would only be set again.
        let ms = wait.as_micros().div_ceil(1000) as f64;
        HOST.with(|host| {
            if let Some((_, handle)) = self.armed.take() {
                let _ = host.clear_timeout.call1(&JsValue::UNDEFINED, &handle);
            }
            let fire = self.fire.as_ref();
            // Throws in no host; if it did, timers would not fire, and nothing else.
            let handle = host.set_timeout.call2(&JsValue::UNDEFINED, fire, &ms.into());
            self.armed = handle.ok().map(|handle| (*first, handle));
        });
    }
}

/// A future that waits until a moment; see [`sleep_until`].
#[must_use = "futures do nothing unless polled"]
pub struct Sleep {
    deadline: Instant,
    /// Its number among the timers that are waited for.
    number: Option<u64>,
}

impl Sleep {
    /// Waits for another moment from now on; poll it again to be woken then.
    pub fn reset(mut self: Pin<&mut Self>, deadline: Instant) {
        self.forget();
        self.deadline = deadline;
    }

    fn forget(&mut self) {
        if let Some(number) = self.number.take() {
            // Not to be had only while the thread ends, and its timers with it.
            let _ = TIMERS.try_with(|timers| {
                timers.borrow_mut().wakers.remove(&(self.deadline, number));
            });
        }
    }
}

impl Future for Sleep {
    type Output = ();
    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        if Instant::now() >= self.deadline {
            self.forget();
            return Poll::Ready(());
        }
        let deadline = self.deadline;
        TIMERS.with_borrow_mut(|timers| {
            let number = *self.number.get_or_insert_with(|| {
                timers.last += 1;
                timers.last
            });
            timers.wakers.insert((deadline, number), context.waker().clone());
            timers.arm();
        });
        Poll::Pending
    }
}

impl Drop for Sleep {
    fn drop(&mut self) {
        self.forget();
    }
}

impl fmt::Debug for Sleep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sleep").field("deadline", &self.deadline).finish_non_exhaustive()
    }
}

/// Waits for `duration`.
pub fn sleep(duration: Duration) -> Sleep {
    sleep_until(Instant::now() + duration)
}

/// Waits until `deadline`.
pub fn sleep_until(deadline: Instant) -> Sleep {
    Sleep { deadline, number: None }
}

/// A future has not ended in its time.
#[derive(Debug, Copy, Clone, PartialEq, Eq, thiserror::Error)]
#[error("deadline has elapsed")]
pub struct Elapsed(());

/// Awaits `future` for `duration` at most.
///
/// # Errors
/// [`Elapsed`] when it has not ended by then; it is dropped.
pub async fn timeout<F: Future>(duration: Duration, future: F) -> Result<F::Output, Elapsed> {
    timeout_at(Instant::now() + duration, future).await
}

/// Awaits `future` until `deadline` at most.
///
/// # Errors
/// [`Elapsed`] when it has not ended by then; it is dropped.
pub async fn timeout_at<F: Future>(deadline: Instant, future: F) -> Result<F::Output, Elapsed> {
    let (mut future, mut deadline) = (pin!(future), sleep_until(deadline));
    poll_fn(|context| match future.as_mut().poll(context) {
        Poll::Ready(output) => Poll::Ready(Ok(output)),
        Poll::Pending => Pin::new(&mut deadline).poll(context).map(|()| Err(Elapsed(()))),
    })
    .await
}
