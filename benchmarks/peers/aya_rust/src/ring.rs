//! Ring buffers, read with `RingBuf::next`; poll(2) waits where a program of aya's has tokio's AsyncFd.

use std::error::Error;
use std::os::fd::AsRawFd;

use aya::maps::{Map, MapData, RingBuf};
use libc::{CLOCK_MONOTONIC, POLLIN, poll, pollfd};

use crate::stopwatch::{Stopwatch, clock_ns};
use crate::{Answer, Arguments, map_of};

pub type Reader = RingBuf<MapData>;

/// A new reader: one keeps its own count of what was consumed, and here others read the ring in between.
pub fn open(given: &Arguments) -> Result<Reader, Box<dyn Error>> {
    Ok(RingBuf::try_from(Map::from_map_data(map_of(given.number("fd"))?)?)?)
}

pub fn word(record: &[u8], index: usize) -> u64 {
    u64::from_ne_bytes(record[index * 8..index * 8 + 8].try_into().expect("8 bytes"))
}

pub fn wait(reader: &Reader) -> Result<(), Box<dyn Error>> {
    let mut waited = pollfd { fd: reader.as_raw_fd(), events: POLLIN, revents: 0 };
    // SAFETY: one pollfd.
    match unsafe { poll(&mut waited, 1, 5000) } {
        1 => Ok(()),
        0 => Err("no record for 5 s".into()),
        _ => Err(std::io::Error::last_os_error().into()),
    }
}

pub fn ring(given: &Arguments) -> Answer {
    let mut reader = open(given)?;
    let wanted = given.number("count");
    let (mut count, mut sum) = (0, 0u64);
    let took = Stopwatch::start();
    while count < wanted {
        while let Some(record) = reader.next() {
            sum = sum.wrapping_add(word(&record, 0));
            count += 1;
        }
        if count < wanted {
            wait(&reader)?;
        }
    }
    Ok(took.stop().answer(count, sum))
}

pub fn wake(given: &Arguments) -> Answer {
    let mut reader = open(given)?;
    let wanted = given.number("count") as usize;
    let mut latencies = Vec::with_capacity(wanted);
    let mut sum = 0u64;
    println!(r#"{{"ready": true}}"#);
    while latencies.len() < wanted {
        while let Some(record) = reader.next() {
            latencies.push(clock_ns(CLOCK_MONOTONIC) - word(&record, 1));
            sum = sum.wrapping_add(word(&record, 0));
        }
        if latencies.len() < wanted {
            wait(&reader)?;
        }
    }
    latencies.sort_unstable();
    Ok(format!(
        r#"{{"p50_ns": {}, "p99_ns": {}, "count": {wanted}, "sum": {sum}}}"#,
        latencies[wanted / 2],
        latencies[wanted * 99 / 100]
    ))
}
