//! Rings that are filled while they are read.

use libc::{CLOCK_MONOTONIC, RUSAGE_SELF, getrusage, rusage};

use crate::ring::{open, wait, word};
use crate::stopwatch::{Stopwatch, clock_ns};
use crate::{Answer, Arguments};

/// How often a thread of this process gave its CPU away to wait.
fn sleeps() -> i64 {
    // SAFETY: all zeroes is a rusage, and the kernel fills the one that it is given.
    unsafe {
        let mut usage: rusage = std::mem::zeroed();
        getrusage(RUSAGE_SELF, &mut usage);
        usage.ru_nvcsw
    }
}

pub fn live(given: &Arguments) -> Answer {
    let mut reader = open(given)?;
    let (last, mask) = (given.number("last"), given.number("mask"));
    let mut latencies = Vec::with_capacity((given.number("count") / (mask + 1) + 1) as usize);
    let (mut count, mut sum, mut is_over) = (0, 0u64, false);
    println!(r#"{{"ready": true}}"#);
    let slept = sleeps();
    let took = Stopwatch::start();
    loop {
        while let Some(record) = reader.next() {
            let sequence = word(&record, 0);
            if sequence & mask == 0 {
                latencies.push(clock_ns(CLOCK_MONOTONIC) - word(&record, 1));
            }
            sum = sum.wrapping_add(sequence);
            count += 1;
            is_over = sequence >= last;
        }
        if is_over {
            break;
        }
        wait(&reader)?;
    }
    let took = took.stop();
    let (end_ns, slept) = (clock_ns(CLOCK_MONOTONIC), sleeps() - slept);
    latencies.sort_unstable();
    Ok(format!(
        r#"{{{}, "end_ns": {end_ns}, "sleeps": {slept}, "p50_ns": {}, "p99_ns": {}}}"#,
        took.fields(count, sum),
        latencies[latencies.len() / 2],
        latencies[latencies.len() * 99 / 100]
    ))
}
