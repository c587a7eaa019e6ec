//! Elements of maps.

use aya::Pod;
use aya::maps::{HashMap, Map};

use crate::stopwatch::Stopwatch;
use crate::{Answer, Arguments, map_of};

#[derive(Clone, Copy)]
#[repr(C)]
struct Traffic {
    packets: u64,
    bytes: u64,
}

// SAFETY: two integers, no padding.
unsafe impl Pod for Traffic {}

pub fn lookup(given: &Arguments) -> Answer {
    let map: HashMap<_, u32, Traffic> = HashMap::try_from(Map::from_map_data(map_of(given.number("fd"))?)?)?;
    let (keys, count) = (given.number("keys"), given.number("count"));
    let mut sum = 0;
    let took = Stopwatch::start();
    for i in 0..count {
        let value = map.get(&((i % keys) as u32), 0)?;
        sum += value.bytes;
    }
    Ok(took.stop().answer(count, sum))
}

pub fn update(given: &Arguments) -> Answer {
    let mut map: HashMap<_, u32, Traffic> = HashMap::try_from(Map::from_map_data(map_of(given.number("fd"))?)?)?;
    let (keys, count, salt) = (given.number("keys"), given.number("count"), given.number("salt"));
    let mut sum = 0;
    let took = Stopwatch::start();
    for i in 0..count {
        let key = i % keys;
        map.insert(key as u32, Traffic { packets: i, bytes: key * 64 + salt }, 0)?;
        sum += key;
    }
    Ok(took.stop().answer(count, sum))
}

/// aya has no batch lookup: its iterator asks for each key and each value.
pub fn scan(given: &Arguments) -> Answer {
    let map: HashMap<_, u32, u64> = HashMap::try_from(Map::from_map_data(map_of(given.number("fd"))?)?)?;
    let entries = given.number("count") as usize;
    let took = Stopwatch::start();
    let (mut keys, mut values) = (Vec::with_capacity(entries), Vec::with_capacity(entries));
    for element in map.iter() {
        let (key, value) = element?;
        keys.push(key);
        values.push(value);
    }
    let sum = values.iter().sum();
    Ok(took.stop().answer(values.len() as u64, sum))
}
