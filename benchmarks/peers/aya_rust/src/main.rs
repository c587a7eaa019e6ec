//! One side of the benchmarks: a command a line on stdin (case TAB key=value TAB ...), an answer a line on stdout (JSON).

mod btf;
mod live;
mod maps;
mod objects;
mod ring;
mod stopwatch;

use std::collections::HashMap;
use std::error::Error;
use std::io::{BufRead, Write, stdin, stdout};
use std::os::fd::{BorrowedFd, OwnedFd};

use aya::maps::MapData;

/// The arguments of one command.
pub struct Arguments<'a>(HashMap<&'a str, &'a str>);

impl<'a> Arguments<'a> {
    pub fn text(&self, key: &str) -> &'a str {
        self.0.get(key).copied().unwrap_or_else(|| panic!("no argument {key}"))
    }

    pub fn number(&self, key: &str) -> u64 {
        self.text(key).parse().unwrap_or_else(|_| panic!("argument {key} is no number"))
    }
}

/// A line of JSON, or why there is none.
pub type Answer = Result<String, Box<dyn Error>>;

/// A map with a descriptor of its own: a map closes what it was given.
pub fn map_of(fd: u64) -> Result<MapData, Box<dyn Error>> {
    // SAFETY: the harness passes the descriptor and keeps it open as long as this process lives.
    let given = unsafe { BorrowedFd::borrow_raw(fd as i32) };
    let copied: OwnedFd = given.try_clone_to_owned()?;
    Ok(MapData::from_fd(copied)?)
}

/// As a string of JSON.
pub fn quoted(text: &str) -> String {
    let mut out = String::from('"');
    for character in text.chars() {
        match character {
            '"' | '\\' => out.extend(['\\', character]),
            '\0'..='\u{1f}' => out.push(' '),
            _ => out.push(character),
        }
    }
    out.push('"');
    out
}

fn main() {
    println!(r#"{{"side": "aya", "version": "0.14.0", "compiler": {}}}"#, quoted(env!("RUSTC_VERSION")));
    for line in stdin().lock().lines() {
        let line = line.expect("stdin is lines of UTF-8");
        let mut words = line.split('\t');
        let command = words.next().unwrap_or_default();
        let arguments = Arguments(words.filter_map(|word| word.split_once('=')).collect());
        let answer = match command {
            "ring" => ring::ring(&arguments),
            "wake" => ring::wake(&arguments),
            "live" => live::live(&arguments),
            "btf" => btf::find(&arguments),
            "open" => objects::open(&arguments),
            "load" => objects::load(&arguments),
            "lookup" => maps::lookup(&arguments),
            "update" => maps::update(&arguments),
            "scan" => maps::scan(&arguments),
            _ => Ok(r#"{"unsupported": true}"#.to_owned()),
        };
        println!("{}", answer.unwrap_or_else(|error| format!(r#"{{"error": {}}}"#, quoted(&error.to_string()))));
        stdout().flush().expect("the harness listens");
    }
}
