//! Wall and processor time of this process.

use libc::{CLOCK_MONOTONIC, CLOCK_PROCESS_CPUTIME_ID, clock_gettime, clockid_t, timespec};

pub fn clock_ns(clock: clockid_t) -> u64 {
    let mut now = timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: `now` is one timespec.
    unsafe { clock_gettime(clock, &mut now) };
    now.tv_sec as u64 * 1_000_000_000 + now.tv_nsec as u64
}

pub struct Stopwatch {
    wall_ns: u64,
    cpu_ns: u64,
}

impl Stopwatch {
    pub fn start() -> Self {
        let cpu_ns = clock_ns(CLOCK_PROCESS_CPUTIME_ID);
        Self { cpu_ns, wall_ns: clock_ns(CLOCK_MONOTONIC) }
    }

    pub fn stop(self) -> Self {
        let wall_ns = clock_ns(CLOCK_MONOTONIC) - self.wall_ns;
        Self { wall_ns, cpu_ns: clock_ns(CLOCK_PROCESS_CPUTIME_ID) - self.cpu_ns }
    }

    /// The fields of an answer, without its braces.
    pub fn fields(&self, count: u64, sum: u64) -> String {
        format!(r#""ns": {}, "cpu_ns": {}, "count": {count}, "sum": {sum}"#, self.wall_ns, self.cpu_ns)
    }

    pub fn answer(&self, count: u64, sum: u64) -> String {
        format!("{{{}}}", self.fields(count, sum))
    }
}
